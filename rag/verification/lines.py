"""Numbered sentences that a language model may name, and the lines in which it does.

A model is shown the sentences of some abstracts with ids, s1, s2, ..., and replies with one line
for each thing it was asked about: number | ids | verdict | reason. Called by the check of
statements and by the choice of papers for a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rag.prompts import neutral
from rag.text.sentences import sentence_spans
from rag.verification.quotation import Quote, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_LINE = re.compile(
    r"\W*(?P<number>\d{1,3})\W*\|\s*(?P<ids>[^|]*)\|\s*\W*(?P<verdict>supported|partly|weak|unsupported|contradicted)\W*"
    r"\s*(?:\|\s*(?P<reason>.*))?",
    re.IGNORECASE,
)
_ID = re.compile(r"\bs?(\d{1,4})\b", re.IGNORECASE)
_LONGEST_REASON = 160
_OLD_WORDS = {"weak": "partly"}  # of a prompt that was written for an earlier version


@dataclass(frozen=True, slots=True)
class NumberedSentences:
    """The sentences a model may name.

    Attributes:
        quotes: in order; the id of the first is 1.
        of_paper: paper id -> ids of its sentences.
    """

    quotes: tuple[Quote, ...]
    of_paper: dict[str, frozenset[int]]

    def listed(self, paper: Paper) -> list[str]:
        """The sentences of a paper as lines of a prompt."""
        return [
            f"s{number} {neutral(self.quotes[number - 1].text)}"
            for number in sorted(self.of_paper[paper.id])
        ]

    def named(self, ids: frozenset[int]) -> tuple[Quote, ...]:
        """The sentences with some ids, in order, at most three."""
        return tuple(self.quotes[number - 1] for number in sorted(ids)[:3])


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """What one line of a reply says."""

    ids: frozenset[int]
    verdict: Verdict
    reason: str


def number_sentences(papers: Sequence[Paper]) -> NumberedSentences:
    """The sentences of some abstracts, numbered through."""
    quotes: list[Quote] = []
    of_paper = {}
    for paper in papers:
        first = len(quotes) + 1
        quotes += [
            Quote(paper.id, start, end, paper.abstract[start:end])
            for start, end in sentence_spans(paper.abstract)
        ]
        of_paper[paper.id] = frozenset(range(first, len(quotes) + 1))
    return NumberedSentences(tuple(quotes), of_paper)


def read_verdicts(text: str) -> dict[int, VerdictLine]:
    """Number -> what is said of it; the first line about each counts, what is no line does not."""
    found: dict[int, VerdictLine] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        ids = frozenset(int(number) for number in _ID.findall(match["ids"]))
        word = match["verdict"].lower()
        verdict = cast("Verdict", _OLD_WORDS.get(word, word))
        reason = " ".join((match["reason"] or "").strip(" |").split())[:_LONGEST_REASON]
        found.setdefault(int(match["number"]), VerdictLine(ids, verdict, reason))
    return found


def problem(said: VerdictLine | None, allowed: frozenset[int]) -> str:
    """Why a line cannot be believed; empty where it can.

    Args:
        said: the line; None where there is none.
        allowed: ids that it may name.
    """
    if said is None:
        return "the model gave no readable verdict"
    if not said.ids <= allowed:
        return "the model named sentences that are not cited"
    if said.verdict in ("supported", "partly") and not said.ids:
        return "the model named no sentence"
    return ""
