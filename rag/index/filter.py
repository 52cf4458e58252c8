"""`Filter`: which papers a question may be answered from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.papers import drop_et_al, is_han, join_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.papers import Paper

Condition = dict[str, Any]
_NOBODY = ""  # a key that no row has
_MOST_VALUES = 200  # of one part of a filter; a condition holds no more
_MOST_WORDS = 40  # of a venue that are compared
_WHOLE = "="  # before the whole name of a venue
_ACRONYM = re.compile(r"\(([A-Z][\w&-]*[A-Z][\w&-]*)\)")
_YEAR_OF_VENUE = re.compile(r"\b(?:19|20)\d\d\b")  # "ICML 2020" is asked for as "ICML" too
_COUNTRIES = frozenset({"USA"})  # no acronyms of venues
# Keys of one row, by field: the database takes about 5,400 in one row.
_MOST_KEYS = {
    "author_keys": 3500,
    "tag_keys": 500,
    "source_keys": 500,
    "paper_ids": 500,
    "venue_keys": _MOST_WORDS + 10,
}
_BLOCK_IDS = 200  # in one condition; SQLite's expressions are at most 1000 deep


@dataclass(frozen=True, slots=True)
class Filter:
    """A restriction on papers; the parts that are given must all hold.

    Names are compared without case, accents and punctuation.

    Attributes:
        years: first and last year, both included; None leaves an end open.
        authors: any of these: a family name ("Clark"), or a given name or initial with it ("Kevin
            Clark", "K. Clark", "Clark, K."); further given names of the paper do not matter.
            "Clark and Luong" asks for papers that both wrote.
        venues: any of these; all words must stand in the venue's name, and of one behind "=" it
            must be the whole name ("=Nature"), or the acronym that the name has in parentheses; a
            "the" that it begins with, a year in it and what follows from a parenthesis on
            ("BMJ (Clinical research ed.)") do not matter.
        sources: any of these source files, by path or by name.
        ids: any of these paper ids (an alias counts); None restricts nothing, () lets none pass.
        tags: any of these tags or keywords.

    Raises:
        SettingsError: the first year lies after the last.
    """

    years: tuple[int | None, int | None] | None = None
    authors: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        first, last = self.years or (None, None)
        if first is not None and last is not None and first > last:
            raise SettingsError(f"The years {first}..{last} hold none; put the earlier first.")
        for name in ("authors", "venues", "sources", "tags"):
            if len(getattr(self, name)) > _MOST_VALUES:
                raise SettingsError(f"A filter takes at most {_MOST_VALUES} {name}.")

    def to_where(self) -> Condition | None:
        """The restriction, `ids` aside, as a condition on a row's fields; None restricts nothing.

        Ids can be thousands, more than one condition holds; see `id_conditions`.
        """
        parts = [
            *self._year_parts(),
            *_any_of(
                "author_keys", [keys for each in self.authors for keys in _asked_author(each)]
            ),
            *_any_of("venue_keys", [_asked_venue(venue) for venue in self.venues]),
            *_any_of("source_keys", [[_printable(source)] for source in self.sources]),
            *_any_of("tag_keys", [[_plain(tag)] for tag in self.tags]),
        ]
        return _all(parts) if parts else None

    def id_conditions(self) -> list[Condition]:
        """Conditions on a row's fields, any of which lets a row pass that `ids` lets pass."""
        ids = self.ids or ()
        blocks = (ids[first : first + _BLOCK_IDS] for first in range(0, len(ids), _BLOCK_IDS))
        return [_any_of("paper_ids", [[_printable(each)] for each in b])[0] for b in blocks]

    def __str__(self) -> str:
        """What is let through, in words; "" for everything.

        >>> str(Filter(years=(2020, None), authors=("Clark",)))
        'from 2020 on, by Clark'
        """
        said = [_years_in_words(*self.years)] if self.years else []
        named = (
            ("by", self.authors),
            ("in", [venue.removeprefix(_WHOLE) for venue in self.venues]),
            ("from the file", self.sources),
            ("with the tag", self.tags),
        )
        said += [f"{word} {' or '.join(values)}" for word, values in named if values]
        if self.ids is not None:
            one = f"with the id {self.ids[0]}" if len(self.ids) == 1 else ""
            said.append(one or f"among {len(self.ids)} chosen")
        return ", ".join(filter(None, said))

    def and_also(self, other: Filter) -> Filter:
        """What both let through; a part that only one has is taken over, else this one's stays."""
        mine = {name: getattr(self, name) for name in self.__slots__}
        return Filter(**{name: own or getattr(other, name) for name, own in mine.items()})

    def _year_parts(self) -> list[Condition]:
        first, last = self.years or (None, None)
        parts: list[Condition] = []
        if first is not None:
            parts.append({"year": {"$gte": first}})
        if last is not None:
            parts.append({"year": {"$lte": last}})
        return parts


def filter_fields(paper: Paper) -> dict[str, Any]:
    """The fields of a row that `Filter` looks at; empty ones are left out."""
    tags = paper.metadata.get("tags")
    named: dict[str, Iterable[str]] = {
        "paper_ids": [paper.id, *paper.aliases],
        "source_keys": [key for path in paper.sources for key in (path, PurePath(path).name)],
        "venue_keys": _venue_keys(paper.venue or ""),
        "author_keys": _author_keys(drop_et_al(paper.authors)),
        "tag_keys": map(_plain, map(str, tags if isinstance(tags, list) else ())),
    }
    keys = {name: _keys(values, _MOST_KEYS[name]) for name, values in named.items()}
    fields: dict[str, Any] = {name: values for name, values in keys.items() if values}
    return fields if paper.year is None else {**fields, "year": paper.year}


def _author_keys(authors: Iterable[str]) -> Iterable[str]:
    """All that authors may be called, what is asked for most first: there may be thousands."""
    names = [words for words in (_name(author).split() for author in authors) if words]
    yield from (words[-1] for words in names)
    yield from (word[0] for word, *more in names if is_han(word) and not more)  # the family name
    yield from (f"{words[0][0]} {words[-1]}" for words in names)
    yield from (f"{words[0]} {words[-1]}" for words in names)
    yield from (" ".join(words[n:]) for words in names for n in range(len(words) - 1))
    yield from (word for words in names for word in words)


def _asked_author(author: str) -> Iterable[list[str]]:
    """Yield the keys that choose an author, or several joined by "and": all must be authors.

    The whole text is a choice too: an author may be a "Centre for Health and Society".
    """
    yield [_name(author)]
    names = [_name(name) for name in author.split(" and ")]
    if len(names) > 1 and all(names):
        yield names


def _asked_venue(venue: str) -> list[str]:
    """The keys that a venue must have to be the one that is asked for."""
    return [_whole(venue)] if venue.startswith(_WHOLE) else _words(venue)


def _venue_keys(venue: str) -> Iterable[str]:
    """All that a venue may be asked for by: its names, then their words."""
    acronyms = [name for name in _ACRONYM.findall(venue) if len(name) > 2]
    bare = _ACRONYM.sub(" ", venue)
    yearless = _YEAR_OF_VENUE.sub(" ", bare)
    opening = venue.partition("(")[0]  # "BMJ (Clinical research ed.)"
    names = [venue, bare, yearless, opening, *(a for a in acronyms if a not in _COUNTRIES)]
    yield from islice(map(_whole, filter(str.strip, names)), 10)
    yield from _words(venue)


def _whole(venue: str) -> str:
    """The key of a whole name; no word is one."""
    return _WHOLE + " ".join(_plain(venue).split()[:_MOST_WORDS]).removeprefix("the ")


def _name(author: str) -> str:
    """A name as it is compared, given name first."""
    family, _, given = author.partition(",")
    return _plain(join_name(given, family))


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(_plain(text).split()))[:_MOST_WORDS]


def _plain(text: str) -> str:
    """Letters and digits in lower case without accents, words set apart by one space."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def _printable(text: str) -> str:
    """A path or id as it is stored, whatever bytes it was made of."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _keys(values: Iterable[str], most: int) -> list[str]:
    return list(islice(dict.fromkeys(value for value in values if value), most))


def _years_in_words(first: int | None, last: int | None) -> str:
    if first == last:
        return "" if first is None else f"of {first}"
    if last is None:
        return f"from {first} on"
    return f"up to {last}" if first is None else f"of {first} to {last}"


def _any_of(field: str, choices: list[list[str]]) -> list[Condition]:
    """That a row's field has all keys of one of the choices; no condition without choices."""
    parts = [_all([{field: {"$contains": key}} for key in keys or [_NOBODY]]) for keys in choices]
    if len(parts) < 2:
        return parts
    return [{"$or": parts}]


def _all(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else {"$and": parts}
