"""What a reader of the Library tab looks for: query, order, page, and filters with their fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.index.filter import Filter
from rag.web.escape import safe
from rag.web.table import COLUMNS, TableState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_LONGEST_QUERY = 200
_LONGEST = 100  # characters of a name
_LAST_YEAR = 9999
_PARTS: dict[str, Any] = {"venue": "venues", "author": "authors", "tag": "tags"}
_NAMES = ("since", "until", *_PARTS)


def looked(sight: TableState, action: dict[str, Any]) -> TableState:
    """What is looked at after an action of a browser."""
    name = action["act"]
    if name == "find":
        return replace(sight, query=str(action.get("text", ""))[:_LONGEST_QUERY], page=0)
    if name == "filter":
        try:
            where = filter_of(action.get("values"))
        except SettingsError as error:
            return replace(sight, problem=str(error), page=0)
        return replace(sight, where=where, problem="", page=0)
    if name == "sort":
        column = str(action.get("column"))
        if column not in COLUMNS:
            return sight
        descending = sight.column == column and not sight.descending
        return replace(sight, column=column, descending=descending, page=0)
    return replace(sight, page=max(0, whole_number(action.get("to"))))


def whole_number(value: Any) -> int:
    """The number that a browser sent; 0 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):  # the last for 1e400, which is read as infinity
        return 0


def fields(papers: Sequence[Paper], where: Filter | None) -> str:
    """A field for each thing that papers can be told apart by; none for what no paper has."""
    where = where or Filter()
    years = [paper.year for paper in papers if paper.year]
    first, last = where.years or (None, None)
    drawn = []
    if years:
        drawn.append(_field("since", "From year", first, min(years)))
        drawn.append(_field("until", "To year", last, max(years)))
    known = (
        ("venue", "Venue", where.venues, any(paper.venue for paper in papers)),
        ("author", "Author", where.authors, any(paper.authors for paper in papers)),
        ("tag", "Tag", where.tags, any(paper.metadata.get("tags") for paper in papers)),
    )
    drawn += [_field(name, label, "".join(now[:1]), None) for name, label, now, has in known if has]
    return f'<div class="filters" role="group" aria-label="Filters">{"".join(drawn)}</div>'


def filter_of(values: object) -> Filter | None:
    """What the fields mean, by name as a browser sends them; None where all are empty.

    Raises:
        SettingsError: a year is none, or the first lies after the last.
    """
    given = values if isinstance(values, dict) else {}
    named = {name: str(given.get(name, "")).strip()[:_LONGEST] for name in _NAMES}
    years = (_year(named["since"]), _year(named["until"]))
    found = Filter(
        years=years if years != (None, None) else None,
        **{part: (named[name],) for name, part in _PARTS.items() if named[name]},
    )
    return found if found != Filter() else None


def _year(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_YEAR):
        raise SettingsError("A year is written with digits, such as 2021.")
    return int(text)


def _field(name: str, label: str, value: object, hint: int | None) -> str:
    shown = "" if value is None else safe(value)
    kind = f'inputmode="numeric" placeholder="{hint}"' if hint else ""
    return (
        f'<label>{label}<input type="search" data-filter="{name}" value="{shown}" '
        f'id="filter-{name}" autocomplete="off" maxlength="{_LONGEST}" {kind}></label>'
    )
