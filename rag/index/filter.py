"""Filter that restricts the papers of a question, and the row fields it is compared with."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.papers import drop_et_al, is_han, join_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rag.papers import Paper

Condition = dict[str, Any]
_NO_KEY = ""  # a key that no row has
_MOST_VALUES = 200  # of one part of a filter; the limit of a condition
_MOST_WORDS = 40  # of a venue, for comparison
_WHOLE = "="  # stands before the whole name of a venue
_ACRONYM = re.compile(r"\(([A-Z][\w&-]*[A-Z][\w&-]*)\)")
_YEAR_OF_VENUE = re.compile(r"\b(?:19|20)\d\d\b")  # "ICML 2020" also matches "ICML"
_COUNTRIES = frozenset({"USA"})  # not acronyms of venues
# Most keys of one row, by field. The database accepts about 5,400 per row.
_MOST_KEYS = {
    "author_keys": 3500,
    "tag_keys": 500,
    "source_keys": 500,
    "paper_ids": 500,
    "venue_keys": _MOST_WORDS + 10,
}
_BLOCK_IDS = 200  # in one condition; SQLite allows expressions up to 1000 deep


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
        sources: any of these source files, by path or by name.
        ids: any of these paper ids or aliases; None restricts nothing, () matches no paper.
        tags: any of these tags or keywords.

    Raises:
        SettingsError: the first year is after the last, or a part has too many values.
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
            raise SettingsError(
                f"The years {first}..{last} are in the wrong order. Put the earlier year first."
            )
        for name in ("authors", "venues", "sources", "tags"):
            if len(getattr(self, name)) > _MOST_VALUES:
                raise SettingsError(f"The filter has too many {name}. Give at most {_MOST_VALUES}.")

    def to_where(self) -> Condition | None:
        """Return the restriction without `ids` as a condition on row fields, or None.

        There can be thousands of ids, more than fit in one condition; see `id_conditions`.
        """
        parts = [
            *self._match_years(),
            *_match_any(
                "author_keys", chain.from_iterable(map(_list_author_choices, self.authors))
            ),
            *_match_any("venue_keys", [_list_required_keys(venue) for venue in self.venues]),
            *_match_any("source_keys", [[_make_printable(source)] for source in self.sources]),
            *_match_any("tag_keys", [[_normalise(tag)] for tag in self.tags]),
        ]
        return _match_all(parts) if parts else None

    def id_conditions(self) -> list[Condition]:
        """Return conditions on row fields. A row with one of `ids` matches one of them."""
        ids = self.ids or ()
        blocks = (ids[first : first + _BLOCK_IDS] for first in range(0, len(ids), _BLOCK_IDS))
        return [_match_any("paper_ids", [[_make_printable(each)] for each in b])[0] for b in blocks]

    def __str__(self) -> str:
        """Return the restriction in words, or "" if there is none.

        >>> str(Filter(years=(2020, None), authors=("Clark",)))
        'from 2020 on, by Clark'
        """
        said = [_describe_years(*self.years)] if self.years else []
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
        """Add the parts that only the other filter has. This one's parts win."""
        mine = {name: getattr(self, name) for name in self.__slots__}
        return Filter(**{name: own or getattr(other, name) for name, own in mine.items()})

    def _match_years(self) -> list[Condition]:
        first, last = self.years or (None, None)
        parts: list[Condition] = []
        if first is not None:
            parts.append({"year": {"$gte": first}})
        if last is not None:
            parts.append({"year": {"$lte": last}})
        return parts


def make_filter_fields(paper: Paper) -> dict[str, Any]:
    """Return the row fields that `Filter` is compared with, without empty ones."""
    tags = paper.metadata.get("tags")
    named: dict[str, Iterable[str]] = {
        "paper_ids": [paper.id, *paper.aliases],
        "source_keys": [key for path in paper.sources for key in (path, PurePath(path).name)],
        "venue_keys": _list_venue_keys(paper.venue or ""),
        "author_keys": _list_author_keys(drop_et_al(paper.authors)),
        "tag_keys": map(_normalise, map(str, tags if isinstance(tags, list) else ())),
    }
    keys = {name: _take_keys(values, _MOST_KEYS[name]) for name, values in named.items()}
    fields: dict[str, Any] = {name: values for name, values in keys.items() if values}
    return fields if paper.year is None else {**fields, "year": paper.year}


def _list_author_keys(authors: Iterable[str]) -> Iterable[str]:
    """Yield all names by which authors can be found, the most common forms first."""
    names = [words for words in (_normalise_name(author).split() for author in authors) if words]
    for form in _AUTHOR_FORMS:  # form by form, because a paper can have thousands of authors
        for words in names:
            yield from form(words)


_AUTHOR_FORMS: tuple[Callable[[list[str]], Iterable[str]], ...] = (
    lambda words: words[-1:],
    lambda words: words[0][:1] if len(words) == 1 and is_han(words[0]) else "",  # family name
    lambda words: [f"{words[0][0]} {words[-1]}"],
    lambda words: [f"{words[0]} {words[-1]}"],
    lambda words: (" ".join(words[start:]) for start in range(len(words) - 1)),
    lambda words: words,
)


def _list_author_choices(author: str) -> Iterable[list[str]]:
    """Yield the keys of an author. For names joined by "and", all must be authors.

    The whole text is a choice too: an author may be a "Centre for Health and Society".
    """
    yield [_normalise_name(author)]
    names = [_normalise_name(name) for name in author.split(" and ")]
    if len(names) > 1 and all(names):
        yield names


def _list_required_keys(venue: str) -> list[str]:
    """Return the keys that a venue must have to match the filter's."""
    return [_make_whole_key(venue)] if venue.startswith(_WHOLE) else _split_words(venue)


def _list_venue_keys(venue: str) -> Iterable[str]:
    """Yield all keys of a venue: its names, then their words."""
    acronyms = [name for name in _ACRONYM.findall(venue) if len(name) > 2]
    bare = _ACRONYM.sub(" ", venue)
    yearless = _YEAR_OF_VENUE.sub(" ", bare)
    opening = venue.partition("(")[0]  # "BMJ (Clinical research ed.)"
    names = [venue, bare, yearless, opening, *(a for a in acronyms if a not in _COUNTRIES)]
    yield from islice(map(_make_whole_key, filter(str.strip, names)), 10)
    yield from _split_words(venue)


def _make_whole_key(venue: str) -> str:
    """Return the key of a whole name, which no word equals."""
    return _WHOLE + " ".join(_normalise(venue).split()[:_MOST_WORDS]).removeprefix("the ")


def _normalise_name(author: str) -> str:
    """Return a name for comparison, given name first."""
    family, _, given = author.partition(",")
    return _normalise(join_name(given, family))


def _split_words(text: str) -> list[str]:
    return list(dict.fromkeys(_normalise(text).split()))[:_MOST_WORDS]


def _normalise(text: str) -> str:
    """Keep letters and digits, in lower case without accents, as words with single spaces."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def _make_printable(text: str) -> str:
    """Return a path or id as it is stored, with undecodable bytes replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _take_keys(values: Iterable[str], most: int) -> list[str]:
    return list(islice(dict.fromkeys(value for value in values if value), most))


def _describe_years(first: int | None, last: int | None) -> str:
    if first == last:
        return "" if first is None else f"of {first}"
    if last is None:
        return f"from {first} on"
    return f"up to {last}" if first is None else f"of {first} to {last}"


def _match_any(field: str, choices: Iterable[list[str]]) -> list[Condition]:
    """Require all keys of one of the choices in a field. No choice gives no condition."""
    parts = [
        _match_all([{field: {"$contains": key}} for key in keys or [_NO_KEY]]) for keys in choices
    ]
    if len(parts) < 2:
        return parts
    return [{"$or": parts}]


def _match_all(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else {"$and": parts}
