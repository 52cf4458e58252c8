"""Years, authors and venues that a question names, understood as a restriction on papers.

"Papers after 2020 by Clark on distillation" asks about distillation, among certain papers. That is
understood only where the library knows years, authors and venues, and the reader is shown what was
understood. What no filter can do, such as leaving an author out, is said, and where the question
asks for nothing else it is refused. Called by the assistant before it searches.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rag.index import Filter
from rag.query.authors import AUTHOR, authors_in, who_did_not_write, without_written_by
from rag.query.listings import subject_of_list
from rag.query.venues import END, PAPERS, place_in, whole_venue
from rag.query.years import years_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.query.years import Span
    from rag.retrieval import Retrieval

_LONGEST = 1000  # characters; more is no question but a text
_LONGEST_NAME = 14  # words that may be left out
_MOST_LEFT_OUT = 5  # places that are looked at
_SPEAKS_OF_PAPERS = re.compile(
    rf"\b(?:{PAPERS}|published|written|appeared|came out|what (?:was|were|is) (?:released|new)|"
    r"(?:any|every)thing (?:(?:new|published|released) )?"
    r"(?:from|of|in|by|since|after|before|between)|what (?:do|have) (?:we|you))\b",
    re.IGNORECASE,
)
_FEW_PAPERS = 3  # that an author's name may stand for, as a title does
_ANY_YEAR = Filter(years=(0, 9999))
# "papers that are not ...", "papers by anyone other than ...", with words that name nothing
_LEAVES_OUT = re.compile(
    r"(?: (?:by|from|of|in|at) (?:any |other |all )?(?:authors?|people|anyone|anybody|someone|"
    r"years?|journals?|venues?|conferences?)(?: else)?)?"
    r"(?:,? (?:that|which|who)\b)?(?:,? (?:is|are|was|were|has|have|had|been|do|does|did)\b)*"
    r"(?:[,;]? ?\(?\b(?:(?:but|and) )?"
    r"(?:not(?! (?:before|after|older|newer|later|earlier)\b)|never|except(?:ing)?(?: for)?|"
    r"exclud(?:e|es|ing)|other than|apart from|aside from|besides|without|rather than|instead of|"
    r"minus|outside(?: of)?|leav(?:e|ing) (?:out|aside)|ignor(?:e|ing)|omit(?:ting)?|"
    r"(?:(?<=all )|(?<=thing )|(?<=papers ))but|(?:by|from|in) neither)\b|"
    r" (?:is|are|was|were|do|does|did|has|have)n['’]?t\b)"
    rf"(?: (?:been|any|only|just|even|the|those|these|ones?|{PAPERS}|anything|that|which|are|were|"
    r"was|is))*\s+",
    re.IGNORECASE,
)
_MAY_RESTRICT = re.compile(
    r"(?:by|of|from|in|at|published|written|authored|appeared|presented|released|since|after|"
    r"before|between|during|up|until|newer|older)\b|[^a-z]"
)
_AS_PAPERS = (
    "papers {}", "{}", "{} papers", "papers by {}", "papers in {}", "papers published in {}",
    "papers published {}",
)  # fmt: skip
_BY_SOMEBODY = re.compile(rf"(?:written |authored |published )?by {AUTHOR}|{AUTHOR}['’]s")
_BEHIND = re.compile(rf"\s*(?:$|[?.,;:!)]|(?:{END})\b)")
# what is left of "which papers came out in 2020?", "what do we have by Clark?"
_ALL_THERE_ARE = re.compile(
    r"(?:(?:please|so|and|ok|okay),? )*(?:(?:can|could) you )?"
    r"(?:(?:list|show|give|find|name|count|enumerate)(?: me| us)?\b ?)?(?:i (?:want|need) )?"
    r"(?:(?:all|any|every|some|the|other|which|what|how many|there are|(?:are|is) there|"
    r"do (?:we|you) have|of)\b ?)*"
    rf"(?P<noun>(?:{PAPERS}|ones|those|(?:any|every|some)thing)\b ?)?"
    r"(?:(?:that|which|is|are|was|were|there|have|has|been|do|did|"
    r"(?:do|have) (?:we|you)(?: have| got)?|"
    r"published|written|released|printed|presented|new|exist|(?:came|come) out|appear(?:ed)?|"
    r"(?:did|have|has) the authors (?:written|write|published?)|by the authors|"
    r"(?:in )?here|(?:in|of) (?:the|this|our|your|my) (?:library|collection)|please)\b ?)*"
    r"[\s?.!,]*",
    re.IGNORECASE,
)
_ASKS = re.compile(r"\b(?:what|which|how many|list|show|all|everything|anything)\b", re.IGNORECASE)
_WHAT_WAS_WRITTEN = re.compile(
    r"what (?:(?:was|were|is|has been|came|appeared) )?(?:(?:published|written|released|out) )?"
    r"(?=(?:on|about)\b)",
    re.IGNORECASE,
)
_IN_NAME = re.compile(r" in [A-Z][^?.!]*$")
_LIKE_A_VENUE = re.compile(
    rf"\b{PAPERS}(?: are)? in (?P<name>[A-Z][^?.!]*?)[\s?.!]*$|"
    rf"(?P<before>[A-Z]\S*) {PAPERS}[\s?.!]*$"
)
_WROTE_THAT = re.compile(rf"\b{PAPERS} (?:that|which) (?!(?:are|were|was|is) )")
_DANGLING = re.compile(
    rf"\b({PAPERS}) (?:or|and)(?=[\s?.!]*$| (?:on|about|by|that|in|for)\b)", re.IGNORECASE
)


class Understood(NamedTuple):
    """What a question says of papers.

    Attributes:
        text: the question to be searched for.
        where: the papers that it is asked of; None for all.
        notes: sentences that a reader should know.
        refused: why it cannot be answered, where it asks for nothing but what cannot be done.
    """

    text: str
    where: Filter | None
    notes: tuple[str, ...] = ()
    refused: str = ""


class Library(Protocol):
    """What is asked of an opened index."""

    def holds(self, where: Filter) -> bool:
        """Whether any paper passes a filter."""
        ...


class _Said(NamedTuple):
    """What a text says of papers.

    Attributes:
        text: without what was understood.
        where: what restricts papers; None for nothing.
        unmet: sentences on what was understood and cannot be done.
        notes: other sentences.
        unknown: authors whom it asks for, and of whom the library has no paper; in the text.
    """

    text: str
    where: Filter | None
    unmet: tuple[str, ...]
    notes: tuple[str, ...]
    unknown: tuple[str, ...]


def understand(question: str, library: Library, where: Filter | None = None) -> Understood:
    """The question to be searched for, and the papers that it is asked of.

    Args:
        question: any text, understandable alone.
        library: asked whether it knows years, and each author and venue that may be named.
        where: a restriction that holds anyway; what it says of years, authors or venues stands.
    """
    if len(question) > _LONGEST:
        return Understood(question, where)
    text, left_out = _without_left_out(question, library)
    said = _restrictions(text, library)
    unmet = (*left_out, *said.unmet)
    refused = _refused(said, unmet)
    if not (said.where or unmet):
        return Understood(question, where, said.notes, refused)
    if said.where:
        where = (where or Filter()).and_also(said.where)
    return Understood(_cleaned(said.text), where, (*unmet, *said.notes), refused)


def _refused(said: _Said, unmet: tuple[str, ...]) -> str:
    """Why a question is refused that asks for nothing but what cannot be done; "" if it is not."""
    like_a_venue = _LIKE_A_VENUE.search(said.text)
    is_unclear = bool(said.unknown or (like_a_venue and like_a_venue["name"]))
    reasons = (*unmet, *(said.notes if is_unclear else ()))
    text = without_written_by(said.text) if said.unknown else said.text
    text = _cleaned(_IN_NAME.sub("", text) if is_unclear else text)
    if not reasons or subject_of_list(text, narrowed=True) != "":
        return ""
    return f"{reasons[0][0].lower()}{reasons[0][1:]}"


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


def _restrictions(question: str, library: Library) -> _Said:
    """The years, authors and venues of a text."""
    text, venues = place_in(question, library.holds)
    of_papers = bool(venues) or _SPEAKS_OF_PAPERS.search(text) is not None
    authors = authors_in(text, library.holds, of_papers=of_papers)
    beside: list[Span] = [(year, year) for year in authors.years]
    of_papers = of_papers or _SPEAKS_OF_PAPERS.search(authors.text) is not None
    years = years_in(authors.text, beside, of_papers=of_papers)
    text, unknown = years.text, authors.unknown
    said = " and ".join(years.said or map(str, authors.years))
    has_years = not (said or unknown) or library.holds(_ANY_YEAR)
    unmet: list[str] = []
    if said and not has_years:
        unmet.append(f"The papers of the library have no years, so “{said}” chooses none.")
    elif years.said and years.span is None:
        unmet.append(
            f"Papers are chosen by one range of years only, so “{said}” is left aside; ask for one "
            "range."
        )
    if not has_years:  # then authors are hardly known, and a name is no part of the subject
        if of_papers and not _WROTE_THAT.search(text):
            unmet += [f"No paper of the library is known to be by {name}." for name in unknown]
            text = without_written_by(text) if unknown else text
        unknown = ()
    where = Filter(
        years=years.span if has_years else None,
        authors=authors.names,
        venues=tuple(f"={name}" for name in venues),
    )
    notes = (*_unknown_authors(unknown), *_named_like(text, library))
    return _Said(text, where if where != Filter() else None, tuple(unmet), notes, unknown)


def _unknown_authors(names: tuple[str, ...]) -> Iterator[str]:
    """Who is asked for as an author and is none."""
    yield from (f"No paper of the library is by {name}." for name in names)


def _named_like(text: str, library: Library) -> Iterator[str]:
    """That what papers are asked for "in" is a subject here, and a venue of the library too."""
    match = _LIKE_A_VENUE.search(text)
    name = match["name"] or match["before"] if match else ""
    if name and library.holds(whole_venue(name)):
        yield (
            f"“{name}” may be a subject and is a venue of the library; “papers published in "
            f"{name}” asks for those of the venue, “papers on {name}” for those on the subject."
        )


def _without_left_out(text: str, library: Library) -> tuple[str, list[str]]:
    """The text without the years, authors and venues that it leaves out, and a note on them."""
    left_out: list[str] = []
    while len(left_out) < _MOST_LEFT_OUT and (span := _left_out(text, library)):
        start, end = span
        left_out.append(text[start:end].strip(" ,;()"))
        text = f"{text[:start]} {text[end:].removeprefix(')').lstrip()}".strip()
    if not left_out:
        return text, []
    said = "” and “".join(left_out)
    note = (
        "Papers cannot be left out by year, author or venue, so "
        f"“{said}” is left aside; ask for those that you want."
    )
    return text, [note]


def _left_out(text: str, library: Library) -> tuple[int, int] | None:
    """Where a text leaves out a year, an author or a venue."""
    for cue in islice(_LEAVES_OUT.finditer(text), _MOST_LEFT_OUT):
        start = cue.end()
        words = text[start:].split(" ")[:_LONGEST_NAME]
        if not _MAY_RESTRICT.match(text, start):
            continue
        for count in range(len(words), 0, -1):
            named = " ".join(words[:count]).rstrip("?.,;:!) ")
            end = start + len(named)
            alone = named.replace(" nor ", " or ")
            if _BEHIND.match(text, end) and named and _is_restriction(alone, library):
                return cue.start(), end
    return who_did_not_write(text, library.holds)


def _is_restriction(named: str, library: Library) -> bool:
    """Whether some words alone would choose papers."""
    if _BY_SOMEBODY.fullmatch(named):
        return True
    for form in _AS_PAPERS:
        said = _restrictions(form.format(named), library)
        if (said.where or said.unmet) and re.fullmatch(r"\W*(?:papers)?\W*", said.text):
            return True
    return False


def _cleaned(text: str) -> str:
    """A question that reads well without what was taken out of it."""
    text = re.sub(r"\s+([?.,;!])", r"\1", " ".join(text.split())).strip(" ,;")
    text = _DANGLING.sub(r"\1", text)
    match = _ALL_THERE_ARE.fullmatch(text)
    if not text or (match and (match["noun"] or _ASKS.search(text))):
        return "papers"
    return _WHAT_WAS_WRITTEN.sub("what is there ", text)
