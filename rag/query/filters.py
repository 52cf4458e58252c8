"""Filters in a question: the years, authors and venues by which it chooses papers.

"Papers by Clark since 2020 on distillation" asks about distillation, among certain papers. A name
counts only where the library has it, and the reader sees what was understood. Called by
`rag.query.plan`.
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
    VENUE_FORMS,
    YEAR_FORMS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_VENUE = 10  # words
_ANY_YEAR = Filter(years=(0, 9999))


class PaperCollection(Protocol):
    """The papers that a question is asked of."""

    def holds(self, where: Filter) -> bool:
        """Return whether any paper passes a filter."""
        ...


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words of a question that choose papers.

    Attributes:
        start: of the words.
        end: of the words.
        instead: read in their place.
        where: the papers that they choose.
        known: filters that the library must hold for the words to mean that.
    """

    start: int
    end: int
    instead: str
    where: Filter
    known: tuple[Filter, ...]


def read_filters(
    question: str, library: PaperCollection, *, this_year: int
) -> tuple[str, Filter | None]:
    """Return the question without the phrases that choose papers, and the filter they make.

    Args:
        question: any text, understandable alone.
        library: asked whether it has the years, authors and venues that are named.
        this_year: from which "the last 3 years" are counted.

    Returns:
        the question as it is and None where nothing is understood.
    """
    text, where = question, Filter()
    for phrases in (_find_venues, _find_authors, lambda text: _find_years(text, this_year)):
        known = (each for each in phrases(text) if all(map(library.holds, each.known)))
        if phrase := next(known, None):
            text = f"{text[: phrase.start]} {phrase.instead} {text[phrase.end :]}"
            where = where.and_also(phrase.where)
    if where == Filter():
        return question, None
    return re.sub(r"\s+([?.,;!])", r"\1", " ".join(text.split())).strip(" ,;"), where


def _find_years(text: str, this_year: int) -> Iterator[_Phrase]:
    """Yield phrases such as "since 2020", "in 2019" or "from the last 3 years"."""
    for form in YEAR_FORMS:
        match = form.search(text)
        before = text[: match.start()] if match else ""
        if match is None or IS_NEGATED.search(before):
            continue
        first, last = _read_span(match.groupdict(), this_year)
        at_end = last is None and not text[match.end() :].strip(" ?.!")
        has_end = ENDS_HERE.match(text, match.end()) or ENDS_IN_PAPERS.search(before)
        if at_end or (has_end and SPEAKS_OF_PAPERS.search(text)):
            instead = "papers" if match["what"] else ""
            where = Filter(years=(first, last))
            yield _Phrase(match.start(), match.end(), instead, where, (_ANY_YEAR,))


def _read_span(groups: dict[str, str | None], this_year: int) -> tuple[int | None, int | None]:
    """Return the first and last year of a matched form."""
    said = {name: int(text) for name, text in groups.items() if text and name != "what"}
    first, last = said.get("first"), said.get("last")
    if first and last:
        return min(first, last), max(first, last)
    if "count" in said:
        first = this_year - said["count"]
    elif "after" in said:
        first = said["after"] + 1
    elif "before" in said:
        last = said["before"] - 1
    return first, last


def _find_authors(text: str) -> Iterator[_Phrase]:
    """Yield phrases such as "by Clark and Luong" or "what did Clark write"."""
    for form in AUTHOR_FORMS:
        for match in form.finditer(text):
            if IS_NEGATED.search(text[: match.start()]):
                continue
            names = re.split(r", and |, | and | & ", match["names"])
            noun = match.groupdict().get("noun") or ""
            yield _Phrase(
                match.start(),
                match.end(),
                "papers" if noun.lower() == "what" else noun,
                Filter(authors=(" and ".join(names),)),
                tuple(Filter(authors=(name,)) for name in names),
            )


def _find_venues(text: str) -> Iterator[_Phrase]:
    """Yield phrases such as "published in Nature" or "at ACL", the longest names first."""
    for form in VENUE_FORMS:
        for match in form.finditer(text):
            before, what = text[: match.start()], match.groupdict().get("what")
            if IS_NEGATED.search(before) or not (what or SPEAKS_OF_PAPERS.search(before)):
                continue
            words = islice(re.finditer(r"\S+", text[match.end() :]), _LONGEST_VENUE)
            ends = [
                match.end() + len(word.string[: word.end()].rstrip("?.,;:!)")) for word in words
            ]
            for end in reversed(ends):
                if ENDS_HERE.match(text, end):
                    where = Filter(venues=(f"={text[match.end() : end]}",))
                    instead = "papers" if what else ""
                    yield _Phrase(match.start(), end, instead, where, (where,))
