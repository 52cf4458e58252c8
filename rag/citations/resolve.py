"""From sentences with the papers they rest on to statements with checked, numbered citations. Pure.

Two kinds of number: papers in a prompt have prompt numbers; readers see shown numbers, by order of
first use, stable over a conversation. The first never reach a reader, nor does a number that no
paper has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import TYPE_CHECKING

from rag.citations.citation import Citation, Statement
from rag.citations.markers import Marker, MarkerReader
from rag.citations.statements import shown_markers, split_statements
from rag.verification import Claim, Verification, verbatim
from rag.verification.denials import denies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.citations.statements import Spoken
    from rag.papers import Paper
    from rag.verification import Checker, Verdict


MOST_CHECKED = 200  # claims of one answer; no answer worth reading has more
_TOO_MANY = Verification("unchecked", reason="the answer is too long to be checked whole")
_UNCHECKED = Verification("unchecked", reason="not a sentence of the abstract")


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence as a writer made it, and the papers it says it rests on."""

    text: str
    papers: tuple[Paper, ...]


class Numbering:
    """Shown numbers: given in order of first use, kept for the papers that have one.

    Attributes:
        numbers: paper id -> shown number, from 1.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        """Goes on from paper ids that have numbers already."""
        self.numbers = dict(known or {})

    def of(self, paper: Paper) -> int:
        """The paper's shown number, from 1."""
        return self.numbers.setdefault(paper.id, max(self.numbers.values(), default=0) + 1)


def cite(drafts: Iterable[Draft], numbering: Numbering | None = None) -> Iterator[Statement]:
    """Numbers and checks verbatim drafts one by one; offsets are those of `joined` text.

    Yields:
        statements in order; each text is followed by its markers, statements by a space.
    """
    numbering = numbering or Numbering()
    position = 0
    for draft in drafts:
        claims = [Claim(draft.text, (paper,)) for paper in draft.papers]
        citations = tuple(
            _citation(numbering.of(claim.papers[0]), claim, verbatim(claim) or _UNCHECKED)
            for claim in claims
        )
        together = verbatim(Claim(draft.text, draft.papers))
        end = position + len(shown(draft.text, citations))
        verdict: Verdict = together.verdict if together else "unchecked"
        if not citations:
            verdict = "uncited"
        yield Statement(draft.text, position, end, citations, verdict)
        position = end + 1


def joined(statements: Iterable[Statement]) -> str:
    """The text of an answer: statements with their markers, separated by spaces."""
    return " ".join(shown(statement.text, statement.citations) for statement in statements)


def shown(text: str, citations: Iterable[Citation]) -> str:
    """A statement as readers see it.

    >>> shown("It works.", [])
    'It works.'
    """
    markers = shown_markers(tuple(citation.number for citation in citations))
    return f"{text} {markers}" if markers else text


class MarkerResolver:
    """Turns the markers of a reply into shown ones while it streams.

    Attributes:
        pieces: what was resolved so far: text, and shown numbers of one marker each.
        unknown: markers, as written, that name no paper of the prompt; they are not shown.
    """

    def __init__(self, papers: Sequence[Paper], numbering: Numbering) -> None:
        """Takes the papers in the order of their prompt numbers, from 1."""
        self.pieces: list[str | tuple[int, ...]] = []
        self.unknown: list[str] = []
        self._papers = papers
        self._numbering = numbering
        self._reader = MarkerReader()
        self._space = ""

    def feed(self, chunk: str) -> str:
        """Text that can be shown; a marker in it is never cut in two."""
        return self._resolved(self._reader.feed(chunk))

    def finish(self) -> str:
        """What was held back."""
        return self._resolved(self._reader.finish())

    def _resolved(self, found: list[str | Marker]) -> str:
        text = ""
        for piece in found:
            if isinstance(piece, str):
                text += self._text(piece)
            else:
                text += self._marker(piece)
        return text

    def _text(self, piece: str) -> str:
        # blanks wait: behind them may come a marker that is left out, and they with it
        whole = self._space + piece
        body = whole.rstrip(" ")
        self._space = whole[len(body) :]
        if body:
            self.pieces.append(body)
        return body

    def _marker(self, marker: Marker) -> str:
        known = [n for n in marker.numbers if n <= len(self._papers)]
        if len(known) < len(marker.numbers) or marker.invalid:
            self.unknown.append(marker.raw)
        if not known:
            self._space = ""
            return ""
        numbers = tuple(self._numbering.of(self._papers[n - 1]) for n in known)
        space, self._space = self._space, ""
        self.pieces += [space, numbers] if space else [numbers]
        return space + shown_markers(numbers)


def checked_statements(
    pieces: Sequence[str | tuple[int, ...]],
    papers: Mapping[int, Paper],
    checker: Checker,
) -> tuple[str, tuple[Statement, ...]]:
    """The shown text of a reply and its statements, each citation checked.

    Args:
        pieces: of a `MarkerResolver`.
        papers: shown number -> paper.
        checker: checks each statement against all its papers and, with several, against each.
    """
    text, spoken = split_statements(list(pieces))
    claims = [claim for each in spoken for claim in _claims(each, papers)]
    checked = checker.check(claims[:MOST_CHECKED])
    found = chain(checked, repeat(_TOO_MANY))
    return text, tuple(_statement(each, papers, found) for each in spoken)


def without_unsupported(
    text: str, statements: Sequence[Statement]
) -> tuple[str, tuple[Statement, ...], int]:
    """An answer without its unsupported statements, and how many were taken out."""
    kept: list[Statement] = []
    shorter, at = "", 0
    for statement in statements:
        gap = text[at : statement.start]
        at = statement.end
        if statement.verdict == "unsupported":
            shorter += gap if "\n" in gap else ""
            continue
        shorter += gap
        start = len(shorter)
        shorter += text[statement.start : statement.end]
        kept.append(replace(statement, start=start, end=len(shorter)))
    return shorter + text[at:], tuple(kept), len(statements) - len(kept)


def _claims(spoken: Spoken, papers: Mapping[int, Paper]) -> list[Claim]:
    cited = tuple(papers[number] for number in spoken.numbers)
    single = [Claim(spoken.text, (paper,)) for paper in cited] if len(cited) > 1 else []
    return [Claim(spoken.text, cited), *single] if cited else []


def _statement(
    spoken: Spoken, papers: Mapping[int, Paper], found: Iterator[Verification]
) -> Statement:
    claims = _claims(spoken, papers)
    checks = [next(found) for _ in claims]
    alone = checks[1:] or checks
    citations = tuple(
        _citation(number, Claim(spoken.text, (papers[number],)), check)
        for number, check in zip(spoken.numbers, alone, strict=True)
    )
    claim = spoken.claim and (bool(citations) or not denies(spoken.text))
    verdict = checks[0].verdict if checks else ("uncited" if claim else None)
    warnings = checks[0].warnings if checks else ()
    return Statement(spoken.text, spoken.start, spoken.end, citations, verdict, claim, warnings)


def _citation(number: int, claim: Claim, found: Verification) -> Citation:
    paper = claim.papers[0]
    quotes = tuple(quote for quote in found.quotes if quote.paper_id == paper.id)
    return Citation(
        number, paper, quotes, found.verdict, found.reason, found.by, warnings=found.warnings
    )
