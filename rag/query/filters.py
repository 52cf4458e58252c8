"""Filters in a question: the years, authors and venues by which it chooses papers.

"Papers by Clark since 2020 on distillation" asks about distillation, among certain papers. A name
counts only where the library has it, and the reader sees what was understood. Called by
`rag.query.rule_planner`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from rag.index import Filter
from rag.query.rules import (
    AUTHOR_FORMS,
    ENDS_HERE,
    ENDS_IN_PAPERS,
    IS_NEGATED,
    SPEAKS_OF_PAPERS,
    VENUE_FORM,
    YEAR_FORMS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.papers import Paper

_LONGEST_VENUE = 10  # words


class PaperCollection(Protocol):
    """The papers that a question is asked of."""

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers pass a filter, all without one."""
        ...

    def papers(self, where: Filter | None = None, limit: int | None = None) -> Sequence[Paper]:
        """Return the first papers that pass a filter, or all."""
        ...

    def holds(self, where: Filter) -> bool:
        """Return whether any paper passes a filter."""
        ...

    def fields(self) -> frozenset[str]:
        """Return which of years, authors and venues any paper has."""
        ...


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words of a question that choose papers.

    Attributes:
        start: offset of the first word.
        end: offset behind the last.
        where: the papers that they choose.
        known: filters that the library must hold for the words to mean that.
        sure: whether they mean that whatever the library holds.
    """

    start: int
    end: int
    where: Filter
    known: tuple[Filter, ...]
    sure: bool


def read_filters(
    question: str, library: PaperCollection, given: Filter | None, *, this_year: int
) -> tuple[str, Filter | None, tuple[str, ...]]:
    """Return the question without the phrases that choose papers, and the filter they make.

    Args:
        question: any text, understandable alone.
        library: asked whether it has the years, authors and venues that are named.
        given: a filter that holds anyway. Its parts win.
        this_year: from which "the last 3 years" are counted.

    Returns:
        the question as it is and the given filter where nothing is understood; and a note for each
        phrase about a field that no paper has.
    """
    text, where, notes = question, given or Filter(), []
    for field, find in _FINDERS:
        phrases = list(find(text, this_year))
        if phrase := _find_known(phrases, library):
            where = where.and_also(phrase.where)
        elif (sure := [each for each in phrases if each.sure]) and field not in library.fields():
            phrase = sure[-1]
            said = text[phrase.start : phrase.end].strip(" ,")
            notes.append(f"The library has no {field}, so “{said}” was not applied.")
        else:
            continue
        text = " ".join(f"{text[: phrase.start]} {text[phrase.end :]}".split())
        text = re.sub(r"\s+([?.,;!])", r"\1", text).strip(" ,;")
    return text, where if where != Filter() else None, tuple(notes)


def _find_known(phrases: list[_Phrase], library: PaperCollection) -> _Phrase | None:
    return next((each for each in phrases if all(map(library.holds, each.known))), None)


def _find_years(text: str, this_year: int) -> Iterator[_Phrase]:
    """Yield phrases such as "since 2020", "in 2019" or "from the last 3 years"."""
    for match in filter(None, (form.search(text) for form in YEAR_FORMS)):
        before = text[: match.start()]
        ends = ENDS_HERE.match(text, match.end()) or ENDS_IN_PAPERS.search(before)
        if ends and SPEAKS_OF_PAPERS.search(text) and not IS_NEGATED.search(before):
            where = Filter(years=_read_years(match.groupdict(), this_year))
            yield _Phrase(*match.span(), where, (Filter(years=(0, 9999)),), sure=True)


def _read_years(groups: dict[str, str | None], this_year: int) -> tuple[int | None, int | None]:
    """Return the first and last year of a matched form."""
    numbers = [int(text) for text in groups.values() if text and text.isdigit()]
    if groups.get("count"):
        return this_year - numbers[0], None
    if len(numbers) == 2:
        return min(numbers), max(numbers)
    year = numbers[0]
    since, after, before = (year, None), (year + 1, None), (None, year - 1)
    ranges = {"since": since, "after": after, "before": before, "until": (None, year)}
    return ranges.get((groups["word"] or "").lower(), (year, year))


def _find_authors(text: str, _: int) -> Iterator[_Phrase]:
    """Yield phrases such as "by Clark and Luong" or "Clark's"."""
    for match in (match for form in AUTHOR_FORMS for match in form.finditer(text)):
        if IS_NEGATED.search(text[: match.start()]):
            continue
        names = re.split(r", and |, | and | & ", match["names"])
        where = Filter(authors=(" and ".join(names),))
        known = tuple(Filter(authors=(name,)) for name in names)
        yield _Phrase(*match.span(), where, known, SPEAKS_OF_PAPERS.search(text) is not None)


def _find_venues(text: str, _: int) -> Iterator[_Phrase]:
    """Yield phrases such as "published in Nature" or "at ACL", the longest names first."""
    for match in VENUE_FORM.finditer(text):
        before = text[: match.start()]
        if IS_NEGATED.search(before) or not SPEAKS_OF_PAPERS.search(before):
            continue
        words = islice(re.finditer(r"\S+", text[match.end() :]), _LONGEST_VENUE)
        names = [word.string[: word.end()].rstrip("?.,;:!)") for word in words]
        for name in reversed(names):
            end = match.end() + len(name)
            if ENDS_HERE.match(text, end):
                where, sure = Filter(venues=(f"={name}",)), match["published"] is not None
                yield _Phrase(match.start(), end, where, (where,), sure)


_FINDERS = (("venues", _find_venues), ("authors", _find_authors), ("years", _find_years))
