"""`Filter`: which papers a question may be answered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError

if TYPE_CHECKING:
    from rag.papers import Paper


@dataclass(frozen=True, slots=True)
class Filter:
    """A restriction on papers; the parts that are given must all hold.

    Attributes:
        years: first and last year, both included; None leaves an end open.
        authors: any of these; a whole name or one word of it, upper and lower case alike.
        venues: any of these, upper and lower case alike.
        sources: any of these source files.
        ids: any of these paper ids (an alias counts).

    Raises:
        SettingsError: the first year lies after the last.
    """

    years: tuple[int | None, int | None] | None = None
    authors: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        first, last = self.years or (None, None)
        if first is not None and last is not None and first > last:
            raise SettingsError(f"The years {first}..{last} hold none; put the earlier first.")

    def to_where(self) -> dict[str, Any] | None:
        """The same restriction as a condition on a row's fields; None restricts nothing."""
        parts = [*self._year_parts()]
        if self.venues:
            parts.append({"venue_key": {"$in": [_key(venue) for venue in self.venues]}})
        for field, values in (
            ("author_keys", tuple(map(_key, self.authors))),
            ("sources", self.sources),
            ("paper_ids", self.ids),
        ):
            if values:
                parts.append(_any([{field: {"$contains": value}} for value in values]))
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else {"$and": parts}

    def _year_parts(self) -> list[dict[str, Any]]:
        first, last = self.years or (None, None)
        parts: list[dict[str, Any]] = []
        if first is not None:
            parts.append({"year": {"$gte": first}})
        if last is not None:
            parts.append({"year": {"$lte": last}})
        return parts


def filter_fields(paper: Paper) -> dict[str, Any]:
    """The fields of a row that `Filter` looks at; empty ones are left out."""
    fields = {
        "paper_ids": [paper.id, *paper.aliases],
        "sources": list(paper.sources),
        "year": paper.year,
        "venue_key": _key(paper.venue) if paper.venue else None,
        "author_keys": sorted({key for name in paper.authors for key in _author_keys(name)}),
    }
    return {name: value for name, value in fields.items() if value not in (None, [], "")}


def _author_keys(name: str) -> set[str]:
    return {_key(name), *(_key(word) for word in name.replace(",", " ").split())}


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _any(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"$or": parts}
