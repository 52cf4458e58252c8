"""Journals and conferences that a question names, where the library has papers of them.

"Which ACL papers parse?" and "what was published in The Lancet on sleep?" ask of some papers. Many
venues are called like a subject ("Nature", "Information Retrieval"), so a name counts only where it
is a whole one of the library and stands where a venue stands. Called by `rag.query.understanding`.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from rag.index import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAPERS = r"(?:papers?|works?|studies|study|articles?|publications?|research|preprints?|abstracts?)"
# what may stand behind a year or a venue: "after 2000 steps" and "in Science fiction" are none
END = (
    "by|about|on|that|which|who|with|in|using|are|is|do|does|did|what|how|and|or|for|from|of|where|"
    "show|say|use|study"
)
_YEAR = r"(?:1[89]|20)\d\d"
_BEHIND = re.compile(
    rf"\s*(?:$|[?.,;:!)]|(?:{_YEAR}|{END}|at|to|as|since|after|before|between|during|until|was|were|"
    "has|have|can|there|published|address|compare|describe|discuss|evaluate|examine|find|introduce|"
    r"investigate|look|measure|mention|present|propose|report|test|train)\b)"
)
_LONGEST = 14  # words of a name
_WORD = re.compile(r"\S+")
_SMALL = frozenset({"of", "the", "and", "in", "on", "for", "to", "&"})
_PUBLISHED_IN = re.compile(
    r",? (?P<that>(?:that|which) )?(?P<was>(?:were|was|are|is|have been|has been) )?"
    r"(?:published|presented|printed|appeared|appearing)"
    rf"(?P<dated> in {_YEAR})? (?:in|at) (?:the )?",
    re.IGNORECASE,
)
_IN_THE_JOURNAL = re.compile(r",? (?:in|from|at) the (?=(?:journal|conference)\b)", re.IGNORECASE)
_AT = re.compile(r",? at (?:the )?", re.IGNORECASE)
_IN = re.compile(r",? (?P<word>in|from|of) (?:the )?(?P<rest>.?)", re.IGNORECASE)
_BEFORE_PAPERS = re.compile(rf" (?=(?:{_YEAR} )?(?:papers?|articles?)\b)", re.IGNORECASE)
_KIND = re.compile(r"(?:journal|conference) ", re.IGNORECASE)
_FURTHER = re.compile(r"(?:,|,? (?:and|or)) (?:in |at )?(?:the )?(?=[A-Z])")
_SPEAKS_OF_PAPERS = re.compile(rf"\b{PAPERS}\b", re.IGNORECASE)
_ENDS_IN_PAPERS = re.compile(rf"\b{PAPERS}$", re.IGNORECASE)
_ENDS_IN_NOUN = re.compile(
    rf"\b(?:{PAPERS}|what|which|(?:any|every|some)thing|those|ones)$", re.IGNORECASE
)
_ENDS_IN_ARE = re.compile(rf"\b{PAPERS} (?:(?:that|which) )?(?:are|were|is|was)$", re.IGNORECASE)
_ENDS_IN_WHAT = re.compile(r"\bwhat$", re.IGNORECASE)
_ASKS = re.compile(
    r"(?:which|what|how many|list|show|find|name|give|me|all|any|the|are|there|is|do|does|some|"
    r"summari[sz]e|compare)$",
    re.IGNORECASE,
)
# what no subject is called: an acronym, or a name of several words with one of these
_ACRONYM = re.compile(r"(?=\w{3})\w*[A-Z]\w*[A-Z]\w*")
_OF_VENUES = re.compile(
    r"\b(?:Journal|Transactions|Proceedings|Annals|Archives|Letters|Reviews?|Bulletin|Magazine|"
    r"Quarterly|Conference|Symposium|Workshop|Meeting|Lancet|Nature|Advances in|Frontiers in)\b"
)


class Place(NamedTuple):
    """Venues that a question names.

    Attributes:
        text: the question without them.
        names: as they stand in it; empty where none was understood.
    """

    text: str
    names: tuple[str, ...]


def whole_venue(name: str) -> Filter:
    """What lets the papers through whose venue has this whole name, or this acronym."""
    return Filter(venues=(f"={name}",))


def place_in(text: str, holds: Callable[[Filter], bool]) -> Place:
    """The venues that a question names; of several such places only the first is taken.

    Args:
        text: a question, understandable alone.
        holds: whether the library has a paper that passes a filter.
    """
    for start, end, is_certain in _openings(text):
        spans = _names_at(text, end, holds)
        names = tuple(text[first:last] for first, last in spans)
        if names and (is_certain or any(map(_is_called_as_venue, names))):
            return Place(_without(text, start, spans[-1][1]), names)
    for opening in _BEFORE_PAPERS.finditer(text):
        end = opening.start()
        for start in _name_starts(text, end):
            if holds(whole_venue(text[start:end])):
                return Place(text[:start] + text[end + 1 :], (text[start:end],))
    return Place(text, ())


def _openings(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where words begin that a venue follows, where they end, and whether only a venue can."""
    for opening in _PUBLISHED_IN.finditer(text):
        if _is_said_of_papers(text[: opening.start()], opening):
            yield opening.start(), opening.end(), True
    for opening in _IN_THE_JOURNAL.finditer(text):
        yield opening.start(), opening.end(), True
    for opening in _AT.finditer(text):
        before = text[: opening.start()]
        if _SPEAKS_OF_PAPERS.search(before):
            yield opening.start(), opening.end(), bool(_ENDS_IN_PAPERS.search(before))
    for opening in _IN.finditer(text):
        before, word = text[: opening.start()], opening["word"].lower()
        if _ENDS_IN_NOUN.search(before) or (word == "from" and _ENDS_IN_ARE.search(before)):
            # "papers from Science" are of a venue, "papers in Science" perhaps of a subject
            is_certain = word == "from" and opening["rest"].isupper()
            yield opening.start(), opening.start("rest"), is_certain
        elif word == "in" and _SPEAKS_OF_PAPERS.search(before):
            yield opening.start(), opening.start("rest"), False


def _is_said_of_papers(before: str, opening: re.Match[str]) -> bool:
    """Whether it is papers that were published: in "was ELECTRA published in ...?" it is not."""
    if _ENDS_IN_NOUN.search(before):
        return True
    is_attribute = bool(opening["that"]) or not opening["was"]
    return is_attribute and _SPEAKS_OF_PAPERS.search(before) is not None


def _names_at(text: str, start: int, holds: Callable[[Filter], bool]) -> list[tuple[int, int]]:
    """Spans of one venue or several; empty where one of them is not the library's."""
    spans: list[tuple[int, int]] = []
    while True:
        kind = _KIND.match(text, start)
        starts = [start, kind.end()] if kind else [start]
        span = next(((s, end) for s in starts if (end := _end(text, s, holds))), None)
        if span is None:
            return []
        spans.append(span)
        further = _FURTHER.match(text, span[1])
        if not further:
            return spans
        start = further.end()


def _end(text: str, start: int, holds: Callable[[Filter], bool]) -> int:
    """Where the longest name ends that is one of the library's venues; 0 if none begins here."""
    words = islice(_WORD.finditer(text, start), _LONGEST)
    ends = [start + len(text[start : word.end()].rstrip("?.,;:!)\"'”’")) for word in words]
    for end in reversed(ends):
        if _BEHIND.match(text, end) and end > start and holds(whole_venue(text[start:end])):
            return end
    return 0


def _name_starts(text: str, end: int) -> Iterator[int]:
    """Where a name in capitals may begin that ends here, the longest first."""
    first = max(map(text.rfind, "?.,;:!()", [0] * 8, [end] * 8)) + 1
    words = list(_WORD.finditer(text, first, end))[-_LONGEST:]
    for number, word in enumerate(words):
        written = [each[0] for each in words[number:]]
        before = words[number - 1][0] if number else ""
        is_name = written[0][0].isupper() and all(
            each in _SMALL or not each[0].islower() for each in written
        )
        stands_alone = not before[:1].isupper() or _ASKS.match(before) is not None
        opens = not text[: word.start()].strip() and len(written) == 1
        if is_name and stands_alone and not (opens and not _ACRONYM.fullmatch(word[0])):
            yield word.start()


def _is_called_as_venue(name: str) -> bool:
    several = " " in name and name[0].isupper()
    return bool(_ACRONYM.search(name) or (several and _OF_VENUES.search(name)))


def _without(text: str, start: int, end: int) -> str:
    """The text without where something was published; the year beside it stays."""
    before = text[:start]
    dated = re.search(rf" in {_YEAR}\b", text[start:end])
    year = dated[0] if dated else ""
    year_behind = re.match(rf" (?={_YEAR}\b)", text[end:])
    there = " is there" if _ENDS_IN_WHAT.search(before) else ""
    return f"{before}{there}{year}{' in' if year_behind else ''}{text[end:]}"
