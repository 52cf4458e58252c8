"""Years, authors and venues that a question names, understood as a restriction on papers.

"Papers after 2020 by Clark on distillation" asks about distillation, among certain papers. That is
understood only where the library knows years, authors and venues, and the reader is shown what was
understood. Called by the assistant before it searches.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rag.index import Filter
from rag.venues import END, PAPERS, place_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.retrieval import Retrieval

_YEAR = r"(?P<{}>(?:1[89]|20)\d\d)"
_FIRST, _LAST = _YEAR.format("first"), _YEAR.format("last")
_LONGEST = 1000  # characters; more is no question but a text
_PUBLISHED = r"(?:(?:that |which )?(?:(?:were|was|are) )?(?:published|written|appeared) )?"
_END = rf"(?=\s*(?:$|[?.,;:!)]|(?:{END})\b))"
_CAPITAL = r"(?![a-z])[^\W\d_]"  # of any alphabet
_OPENER = r"(?!(?:Is|Are|Was|Were|Did|Does|Do|Has|Have|In|By|And|But|The|What|How|Why|If)\b)"
_AUTHOR = (
    rf"{_OPENER}(?:(?:{_CAPITAL}[\w'’-]*\.?|van|von|de|der|den|la|le|di|da) ){{0,3}}"
    rf"{_CAPITAL}[\w'’-]*"
)
_YEARS: tuple[tuple[str, Callable[[int, int], tuple[int | None, int | None]]], ...] = (
    (rf"between {_FIRST} and {_LAST}", lambda a, b: (a, b)),
    (rf"(?:from|in|of) {_FIRST}(?: to | until | through | ?[-–] ?){_LAST}", lambda a, b: (a, b)),
    (rf"(?:since|from) {_FIRST}(?: on(?:wards?)?)\b", lambda a, _: (a, None)),
    (rf"since {_FIRST}", lambda a, _: (a, None)),
    (rf"(?:from )?(?:after|later than|newer than) {_FIRST}", lambda a, _: (a + 1, None)),
    (
        rf"(?:from )?(?:before|earlier than|older than|prior to) {_FIRST}",
        lambda a, _: (None, a - 1),
    ),
    (rf"(?:up to|until|through|no later than) {_FIRST}", lambda a, _: (None, a)),
    (rf"(?:in|of|from|during) {_FIRST}", lambda a, _: (a, a)),
)
_SPEAKS_OF_PAPERS = re.compile(rf"\b(?:{PAPERS}|published|written|appeared)\b", re.IGNORECASE)
_YEAR_OF_PAPERS = re.compile(rf"\b{_FIRST} (?={PAPERS}\b)", re.IGNORECASE)
_ET_AL = re.compile(rf"\b(?P<author>{_AUTHOR}),? et\.? al\.?(?:'s|’s)?(?:,? \(?{_FIRST}\)?)?")
_WRITTEN_BY = re.compile(
    rf"(?:,? (?:(?:that |which )?(?:were |was |are )?(?:written |authored |published )?by|"
    rf"(?<=papers )(?:of|from))) (?P<author>{_AUTHOR})(?:,? (?:and|or|&) (?P<other>{_AUTHOR}))?"
)
_THEIR_WORK = re.compile(rf"\b(?P<author>{_AUTHOR})(?:'s|’s|s['’]) (?={PAPERS}\b)")
_FINDS = (
    r"(?:find|found|show|say|said|state|report|propose|introduce|present|argue|claim|conclude|"
    r"suggest|describe|observe|discover|measure|think|write|wrote)(?:n|e?d)?\b"
)
_DATED = rf"(?:,? \(?{_FIRST}\)?)?"
_WHO_FINDS = re.compile(
    rf"\b(?P<before>(?:[Dd]id|[Dd]oes|[Dd]o|[Hh]as|[Hh]ave) )(?P<author>{_AUTHOR})"
    rf"(?: (?:and|&) (?P<other>{_AUTHOR}))?{_DATED}(?= {_FINDS})"
)
_ACCORDING_TO = re.compile(rf"(?P<before>[Aa]ccording to )(?P<author>{_AUTHOR}){_DATED}")
_CITED = re.compile(rf"\b(?P<author>{_AUTHOR})(?: (?:and|&) (?P<other>{_AUTHOR}))? \({_FIRST}\)")
_FEW_PAPERS = 3  # that an author's name may stand for, as a title does


class Understood(NamedTuple):
    """What a question says of papers.

    Attributes:
        text: the question to be searched for.
        where: the papers that it is asked of; None for all.
        notes: sentences that a reader should know.
    """

    text: str
    where: Filter | None
    notes: tuple[str, ...] = ()


class Library(Protocol):
    """What is asked of an opened index."""

    def holds(self, where: Filter) -> bool:
        """Whether any paper passes a filter."""
        ...


def understand(question: str, library: Library, where: Filter | None = None) -> Understood:
    """The question to be searched for, and the papers that it is asked of.

    Args:
        question: any text, understandable alone.
        library: asked whether it knows years, and each author and venue that may be named.
        where: a restriction that holds anyway; what it says of years, authors or venues stands.
    """
    if len(question) > _LONGEST:
        return Understood(question, where)
    authors: list[str] = []
    years: list[tuple[int | None, int | None]] = []
    takes = partial(_takes_authors, library=library, authors=authors, years=years)
    text, venues = place_in(question, library.holds)
    for pattern in (_ET_AL, _WHO_FINDS, _ACCORDING_TO, _CITED):
        text = pattern.sub(partial(_authors_of, takes=takes), text)
    for pattern in (_THEIR_WORK, _WRITTEN_BY):
        text = pattern.sub(lambda match: "" if takes(match) else match[0], text)
    of_papers = bool(venues) or _SPEAKS_OF_PAPERS.search(text) is not None
    without = _without_years(text, years, of_papers=of_papers)
    if years and not library.holds(Filter(years=(0, 9999))):
        years = []
    else:
        text = without
    notes = _unknown_authors(text, library)
    if not (authors or years or venues):
        return Understood(question, where, notes)
    text = re.sub(r"\s+([?.,;!])", r"\1", " ".join(text.split())).strip(" ,;")
    named = Filter(
        years=_narrowed(years),
        authors=tuple(dict.fromkeys(authors)),
        venues=tuple(f"={name}" for name in venues),
    )
    return Understood(text, (where or Filter()).and_also(named), notes)


def of_named_authors(retrieval: Retrieval, where: Filter | None) -> Retrieval:
    """What was found, where a question names its papers by their authors.

    Few papers of an author are named by that as by their titles; among many one is looked for.

    Args:
        retrieval: of the question.
        where: as it was understood.
    """
    if not (where and where.authors) or len(retrieval.hits) > _FEW_PAPERS:
        return retrieval
    return replace(retrieval, hits=tuple(replace(hit, named=True) for hit in retrieval.hits))


def _authors_of(match: re.Match[str], takes: Callable[[re.Match[str]], bool]) -> str:
    """What stands for the authors of a match in the question that is searched for."""
    before = match.groupdict().get("before") or ""
    return f"{before}the authors" if takes(match) else match[0]


def _unknown_authors(text: str, library: Library) -> tuple[str, ...]:
    """A note on who is asked for as an author and is none, in a library that has authors."""
    found = [m["author"] for p in (_ET_AL, _WRITTEN_BY) for m in p.finditer(text)]
    if not found or not library.holds(Filter(years=(0, 9999))):
        return ()
    return tuple(f"No paper of the library is by {name}." for name in dict.fromkeys(found))


def _takes_authors(
    match: re.Match[str],
    library: Library,
    authors: list[str],
    years: list[tuple[int | None, int | None]],
) -> bool:
    """Notes the authors of a match, and the year beside "et al."; whether the library has them."""
    named = [name for group in ("author", "other") if (name := match.groupdict().get(group))]
    known = [name for name in named if library.holds(Filter(authors=(name,)))]
    if len(known) < len(named):
        return False
    authors += known
    if year := match.groupdict().get("first"):
        years.append((int(year), int(year)))
    return True


def _without_years(
    text: str, years: list[tuple[int | None, int | None]], *, of_papers: bool
) -> str:
    """The text without the years that restrict papers, which are noted."""
    for form, meaning in _YEARS:
        pattern = re.compile(rf",? ?\b{_PUBLISHED}{form}{_END}", re.IGNORECASE)
        match = pattern.search(text)
        if match is None or not (of_papers or _is_aside(text, match)):
            continue
        last = match.groupdict().get("last") or match["first"]
        years.append(meaning(int(match["first"]), int(last)))
        text = f"{text[: match.start()]} {text[match.end() :]}"
    if match := _YEAR_OF_PAPERS.search(text):
        years.append((int(match["first"]), int(match["first"])))
        text = text[: match.start()] + text[match.end() :]
    return text


def _is_aside(text: str, match: re.Match[str]) -> bool:
    """Whether a year stands at an end of a question, as in "What is known of X since 2020?".

    "In 2014" may stand there and mean the data; only an open or wide span is a restriction.
    """
    at_an_end = not text[match.end() :].strip(" ?.!") or not text[: match.start()].strip()
    return at_an_end and not re.match(r"[, ]*(?:in|of|from|during) \S+$", match[0], re.IGNORECASE)


def _narrowed(
    spans: list[tuple[int | None, int | None]],
) -> tuple[int | None, int | None] | None:
    """What all spans have in common; None without any, or where nothing is."""
    if not spans:
        return None
    first = max((a for a, _ in spans if a is not None), default=None)
    last = min((b for _, b in spans if b is not None), default=None)
    return None if first is not None and last is not None and first > last else (first, last)
