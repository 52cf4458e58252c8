"""The check by text comparison: it finds quoted sentences, and figures that are missing.

Every answer passes through `TextChecker`. A reader, such as a language model, may replace its
verdicts (see `rag.verification.reader`). Text comparison never calls a statement supported.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rag.text.numbers import find_missing_numbers
from rag.text.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper
    from rag.verification.verdict import Verdict

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]")
_IGNORED = frozenset('()[]{}*`"“”„«»')  # brackets, and signs of markup or quotation


@dataclass(frozen=True, slots=True)
class Quote:
    """Verbatim part of an abstract.

    Attributes:
        paper_id: of the paper with the abstract.
        start: offset in the abstract.
        end: offset behind the last character.
        text: `abstract[start:end]`, verbatim.
    """

    paper_id: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Statement without citation markers, and the papers it cites."""

    statement: str
    papers: tuple[Paper, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """One statement's verdict.

    Attributes:
        verdict: "unchecked" where nobody could decide.
        quotes: sentences of the cited abstracts that the verdict rests on.
        reason: one clause for the reader.
        warnings: such as "figure not found: 14.2".
        by: who gave the verdict: "text", "record" or the name of a model.
    """

    verdict: Verdict
    quotes: tuple[Quote, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()
    by: str = "text"


class Checker(Protocol):
    """Checks claims against the abstracts of their papers."""

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return one verification for each claim, in order."""
        ...


class TextChecker:
    """Compares statements with the sentences and the figures of the abstracts they cite."""

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return "quoted" or "unchecked" for each claim, in order."""
        return [_check_claim(claim) for claim in claims]


def _check_claim(claim: Claim) -> Verification:
    if not claim.papers:
        return Verification("unchecked", reason="no paper is cited")
    quotes = tuple(quote for paper in claim.papers for quote in _find_quote(claim, paper))
    if quotes:
        return Verification("quoted", quotes, "a sentence of the abstract")
    source = "\n".join(f"{paper.title}\n{paper.abstract}" for paper in claim.papers)
    missing = find_missing_numbers(claim.statement, source)
    warnings = tuple(f"figure not found: {number}" for number in missing)
    return Verification("unchecked", (), "no reader has checked it", warnings)


def _find_quote(claim: Claim, paper: Paper) -> list[Quote]:
    """Return the sentence of a paper that the statement repeats, or an empty list."""
    wanted = _normalize(claim.statement)
    for start, end in sentence_spans(paper.abstract) if wanted else ():
        sentence = paper.abstract[start:end]
        if _normalize(sentence) == wanted:
            return [Quote(paper.id, start, end, sentence)]
    return []


def _normalize(sentence: str) -> list[str]:
    """Return words and signs without case, markup, brackets and the full stop at the end.

    >>> _normalize("**BERT** (2018) works.")
    ['bert', '2018', 'works']
    """
    tokens = _TOKEN.findall(unicodedata.normalize("NFC", sentence).casefold())
    kept = [token for token in tokens if token not in _IGNORED]
    return kept[:-1] if kept[-1:] == ["."] else kept
