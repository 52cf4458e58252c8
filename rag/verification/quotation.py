"""The check by text comparison: it finds quoted sentences, and figures that are missing.

Every answer passes through `TextChecker`. A reader, such as a language model, may replace its
verdicts (see `rag.verification.reader`). Text comparison never calls a statement supported.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from rag.papers import describe_record
from rag.text.folding import fold_text
from rag.text.numbers import find_missing_numbers
from rag.text.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper
    from rag.verification.verdict import Verdict

_PART = re.compile(r"[^\W_]+|[^\w\s]")
_BRACKETS = frozenset("()[]{}")
_MARKUP = frozenset('*`"“”„«»')  # and signs of quotation


@dataclass(frozen=True, slots=True)
class Quote:
    """Verbatim part of a paper's abstract or title.

    Attributes:
        paper_id: of the paper.
        start: offset in the field.
        end: offset behind the last character.
        text: `abstract[start:end]` or `title[start:end]`, verbatim.
        field: of the paper that is quoted.
    """

    paper_id: str
    start: int
    end: int
    text: str
    field: Literal["abstract", "title"] = "abstract"

    def stands_in(self, paper: Paper) -> bool:
        """Return whether the paper still has the text at this place."""
        whole = paper.title if self.field == "title" else paper.abstract
        return whole[self.start : self.end] == self.text


@dataclass(frozen=True, slots=True)
class Claim:
    """Statement with the papers it cites.

    Attributes:
        statement: without citation markers.
        papers: cited, if any.
        context: names of the row and the column of a table cell, "" outside of tables.
    """

    statement: str
    papers: tuple[Paper, ...]
    context: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Same for claims of one statement about the same papers."""
        return (self.text, *(paper.id for paper in self.papers))

    @property
    def text(self) -> str:
        """Statement as a reader gets it, behind its context."""
        return f"{self.context}: {self.statement}" if self.context else self.statement


@dataclass(frozen=True, slots=True)
class Verification:
    """One statement's verdict.

    Attributes:
        verdict: "unchecked" where nobody could decide.
        quotes: sentences of the cited papers that the verdict rests on.
        reason: one clause for the reader.
        warnings: such as "figure not found: 14.2".
        by: who gave the verdict: "text", "record" or the name of a model.
        claim: False where a reader found that a statement without papers claims nothing.
    """

    verdict: Verdict
    quotes: tuple[Quote, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()
    by: str = "text"
    claim: bool = True


class Checker(Protocol):
    """Checks claims against the abstracts of their papers."""

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return one verification for each claim, in order."""
        ...


class TextChecker:
    """Compares statements with the sentences and the figures of the abstracts they cite."""

    def __init__(self, reason: str = "no model has checked it") -> None:
        """Take the reason why no model gave a verdict."""
        self._reason = reason

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return "quoted" or "unchecked" for each claim, in order."""
        return [_check_claim(claim, self._reason) for claim in claims]


def _check_claim(claim: Claim, reason: str) -> Verification:
    if not claim.papers:
        return Verification("unchecked", reason="no paper is cited")
    quotes = tuple(quote for paper in claim.papers for quote in _find_quote(claim, paper))
    if quotes:
        return Verification("quoted", quotes, "a sentence of the abstract")
    source = "\n".join(
        part
        for paper in claim.papers
        for part in (paper.title, *describe_record(paper).values(), paper.abstract)
    )
    missing = find_missing_numbers(claim.statement, source)
    warnings = tuple(f"figure not found: {number}" for number in missing)
    return Verification("unchecked", (), reason, warnings)


def _find_quote(claim: Claim, paper: Paper) -> list[Quote]:
    """Return the sentence of a paper that the statement repeats, or an empty list."""
    for start, end in sentence_spans(paper.abstract):
        sentence = paper.abstract[start:end]
        if is_same_sentence(claim.statement, sentence):
            return [Quote(paper.id, start, end, sentence)]
    return []


def is_same_sentence(one: str, other: str) -> bool:
    """Return whether two sentences differ in nothing that changes their meaning.

    Whitespace, markup, quotation marks and the full stop at the end may differ. Brackets may be
    missing on one side. The case of a first letter may differ, and that of a whole word of four
    letters or more, but not that of a unit, a symbol or an acronym: 5 mW is not 5 MW.

    >>> is_same_sentence("**BERT** (2018) works.", "BERT 2018 works")
    True
    >>> is_same_sentence("It draws 5 mW.", "It draws 5 MW.")
    False
    """
    words, brackets = _read_sentence(one)
    other_words, other_brackets = _read_sentence(other)
    changed = any(brackets[at] != other_brackets[at] for at in brackets.keys() & other_brackets)
    return bool(words) and words == other_words and not changed


def _read_sentence(sentence: str) -> tuple[list[str], dict[int, str]]:
    """Return the words and signs of a sentence, and the brackets before each of them by index."""
    words: list[str] = []
    brackets: dict[int, str] = {}
    for part in _PART.findall(unicodedata.normalize("NFC", fold_text(sentence))):
        if part in _BRACKETS:
            brackets[len(words)] = brackets.get(len(words), "") + part
        elif part not in _MARKUP:
            words.append(_fold_case(part, is_first=not words))
    return (words[:-1] if words[-1:] == ["."] else words), brackets


def _fold_case(part: str, *, is_first: bool) -> str:
    """Return an ordinary word in lower case, and a unit, a symbol or an acronym as it is."""
    is_capitalised = part[1:].islower() or (is_first and len(part) == 1)
    is_word = part.isalpha() and (is_capitalised or (len(part) > 3 and part.isupper()))
    return part.casefold() if is_word else part
