"""Filter that restricts the papers of a question, as a value and as a condition of SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.index.keys import (
    RETRACTED,
    WHOLE,
    make_collection_key,
    make_printable,
    make_whole_key,
    normalise,
    normalise_name,
    split_words,
)
from rag.readers.zotero.address import is_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Keys = list[tuple[str, str]]  # fields with the key that a paper must have there

_MOST_VALUES = 200  # of one part of a filter
_SEVERAL = ("authors", "venues", "sources", "tags", "collections")
_FIRST_YEAR, _LAST_YEAR = -9999, 9999
_FURTHEST_YEAR = 10_000  # "after 9999" is no mistake of type
_HAS_KEY = "paper.number IN (SELECT paper FROM key WHERE field = ? AND key = ?)"
_HAS_ID = (
    "paper.number IN (SELECT paper FROM key WHERE field = 'id' "
    "AND key IN (SELECT value FROM json_each(?)))"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Restriction on papers. All given parts must match.

    Names are compared without case, accents and punctuation.

    Attributes:
        years: first and last year, both included; None leaves an end open.
        authors: any of these: a family name ("Clark"), or a given name or initial with it ("Kevin
            Clark", "K. Clark", "Clark, K."). Middle names of the paper's author do not matter.
            "Clark and Luong" asks for papers that both wrote.
        venues: any of these. All words must occur in the venue's name. After "=" the name must
            match as a whole ("=Nature"), or its acronym in parentheses. A leading "the", a year and
            everything from a parenthesis on ("BMJ (Clinical research ed.)") are ignored.
        sources: any of these source files, by path or by name, or any of these Zotero libraries
            ("zotero:local", "zotero:groups/5").
        ids: any of these paper ids or aliases; None restricts nothing, () matches no paper.
        tags: any of these tags or keywords.
        retracted: True for papers that their source marks as retracted, False for all others.
        collections: any of these collections of Zotero, with those below it: by path
            ("Thesis/Chapter 2") or by name ("Chapter 2").

    Raises:
        SettingsError: a part has another type or too many values, or the first year is after the
            last.
    """

    years: tuple[int | None, int | None] | None = None
    authors: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    retracted: bool | None = None
    collections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.years is not None:
            object.__setattr__(self, "years", _check_years(self.years))
        for name in _SEVERAL:
            values = _check_texts(name, getattr(self, name))
            if len(values) > _MOST_VALUES:
                raise SettingsError(f"The filter has too many {name}. Give at most {_MOST_VALUES}.")
            object.__setattr__(self, name, values)
        for source in filter(is_address, self.sources):
            _check_library(source)
        if self.ids is not None:
            object.__setattr__(self, "ids", _check_texts("ids", self.ids))
        if self.retracted not in (None, True, False):
            raise SettingsError(
                f"Filter(retracted={self.retracted!r:.60}) takes True, False or None."
            )

    def to_sql(self) -> tuple[str, list[object]]:
        """Return the restriction as a condition on `paper`, with its values."""
        parts = [*_match_years(*(self.years or (None, None)))]
        parts += map(_match_any, filter(None, self._list_choices()))
        if self.ids is not None:
            parts.append((_HAS_ID, [json.dumps([*map(make_printable, self.ids)])]))
        if self.retracted is not None:
            is_marked = _HAS_KEY if self.retracted else f"NOT {_HAS_KEY}"
            parts.append((is_marked, ["retracted", RETRACTED]))
        condition = " AND ".join(f"({sql})" for sql, _ in parts) or "1"
        return condition, [value for _, values in parts for value in values]

    def _list_choices(self) -> Iterator[list[Keys]]:
        """Yield the choices of each part: one of them must match, with all of its keys."""
        yield [choice for name in self.authors for choice in _list_author_choices(name)]
        yield [_list_venue_keys(venue) for venue in self.venues]
        yield [[("source", _make_source_key(source))] for source in self.sources]
        yield [[("tag", normalise(tag))] for tag in self.tags]
        yield [[("collection", make_collection_key(name))] for name in self.collections]

    def __str__(self) -> str:
        """Return the restriction in words, or "" if there is none.

        >>> str(Filter(years=(2020, None), authors=("Clark",)))
        'from 2020 on, by Clark'
        """
        said = [_describe_years(*self.years)] if self.years else []
        named = (
            ("by", self.authors),
            ("in", [venue.removeprefix(WHOLE) for venue in self.venues]),
            ("from" if all(map(is_address, self.sources)) else "from the file", self.sources),
            ("with the tag", self.tags),
            ("in the collection", self.collections),
        )
        said += [f"{word} {' or '.join(values)}" for word, values in named if values]
        if self.ids is not None:
            one = f"with the id {self.ids[0]}" if len(self.ids) == 1 else ""
            said.append(one or f"among {len(self.ids)} chosen")
        if self.retracted is not None:
            said.append("marked as retracted" if self.retracted else "not marked as retracted")
        return ", ".join(filter(None, said))

    def and_also(self, other: Filter) -> Filter:
        """Add the parts that only the other filter has. This one's parts win."""
        parts = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return Filter(
            **{
                name: getattr(other, name) if own == default else own
                for name, (own, default) in parts.items()
            }
        )


def _check_years(years: object) -> tuple[int | None, int | None]:
    """Return the first and last year of a filter.

    Raises:
        SettingsError: they are no two years, or in the wrong order.
    """
    if isinstance(years, list | tuple) and len(years) == 2 and all(map(_is_year, years)):
        first, last = years
        if first is not None and last is not None and first > last:
            raise SettingsError(
                f"The years {first}..{last} are in the wrong order. Put the earlier year first."
            )
        return first, last
    raise SettingsError(
        f"Filter(years={years!r:.60}) takes the first and the last year, such as "
        "years=(2019, 2021). Write years=(2021, 2021) for one year, years=(2020, None) for 2020 "
        "and later."
    )


def _is_year(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return value is None
    return abs(value) <= _FURTHEST_YEAR


def _check_texts(name: str, values: object) -> tuple[str, ...]:
    """Return the values of a part of a filter.

    Raises:
        SettingsError: it is one text alone, or holds something else than text.
    """
    if isinstance(values, list | tuple | set | frozenset):
        if all(isinstance(value, str) for value in values):
            return tuple(values)
    elif isinstance(values, str):
        raise SettingsError(
            f"Filter({name}={values!r:.60}) takes a tuple of texts. "
            f"Write Filter({name}=({values!r:.60},))."
        )
    raise SettingsError(f"Filter({name}={values!r:.60}) takes a tuple of texts.")


def _check_library(source: str) -> None:
    """Check the address of a Zotero library.

    Raises:
        SettingsError: it has another form, or is that of a part.
    """
    if parse_address(source).part:
        raise SettingsError(
            f"A filter takes {source:.80} only without its part. Filter by the library, and by a "
            "collection (--collection) or a tag (--tag)."
        )


def _list_author_choices(author: str) -> Iterator[Keys]:
    """Yield the keys of an author. For names joined by "and", all must be authors.

    The whole text is a choice too: an author may be a "Centre for Health and Society".
    """
    yield [("author", normalise_name(author))]
    names = [normalise_name(name) for name in author.split(" and ")]
    if len(names) > 1 and all(names):
        yield [("author", name) for name in names]


def _list_venue_keys(venue: str) -> Keys:
    """Return the keys that a venue must have to match the filter's."""
    keys = [make_whole_key(venue)] if venue.startswith(WHOLE) else split_words(venue)
    return [("venue", key) for key in keys]


def _make_source_key(source: str) -> str:
    """Return the key of a file, or of a Zotero library."""
    return parse_address(source).link_start if is_address(source) else make_printable(source)


def _describe_years(first: int | None, last: int | None) -> str:
    if first == last:
        return "" if first is None else f"of {first}"
    if last is None:
        return f"from {first} on"
    return f"up to {last}" if first is None else f"of {first} to {last}"


def _match_years(first: int | None, last: int | None) -> Iterator[tuple[str, list[object]]]:
    """Yield the condition on years, if there is one."""
    if (first, last) != (None, None):
        # with both ends SQLite uses the index of years
        bounds: list[object] = [
            _FIRST_YEAR if first is None else first,
            _LAST_YEAR if last is None else last,
        ]
        yield "paper.year BETWEEN ? AND ?", bounds


def _match_any(choices: Iterable[Keys]) -> tuple[str, list[object]]:
    """Require all keys of one of the choices. A choice without a key matches nothing."""
    alternatives: list[str] = []
    values: list[object] = []
    for keys in choices:
        alternatives.append(" AND ".join([_HAS_KEY] * len(keys)) or "0")
        values += [value for pair in keys for value in pair]
    return " OR ".join(f"({each})" for each in alternatives), values
