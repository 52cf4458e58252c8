"""The check by a reader: a language model, in one call for all statements of an answer.

The model sees the sentences of the cited abstracts with ids, and the statements. For each statement
it names its evidence first, then a verdict. Its verdict is never overruled. Where it gives none
that can be read, the result of the text comparison stays, and the reason says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rag.errors import ModelError
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE, Usage
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, neutral
from rag.text.sentences import sentence_spans
from rag.verification.quotation import Claim, Quote, TextChecker, Verification
from rag.verification.verdict import READER_VERDICTS, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_LINE_TOKENS = 40  # of the reply, for each statement
_MOST_QUOTES = 3
_LINE = re.compile(
    r"\W*(?P<number>\d{1,3})\W*\|\s*(?P<ids>[^|]*)\|"
    rf"\s*\W*(?P<verdict>weak|{'|'.join(READER_VERDICTS)})\W*"
    r"\s*(?:\|\s*(?P<reason>.*))?",
    re.IGNORECASE,
)
_IDS = re.compile(r"\bs?(\d{1,9})(?:\s*(?:[-–—]|to)\s*s?(\d{1,9}))?", re.IGNORECASE)
_NO_IDS = re.compile(r"\W*none\b", re.IGNORECASE)
_LONGEST_RANGE = 100
_LONGEST_REASON = 160
_OLD_WORDS = {"weak": "partly"}  # of prompt files that were written for an earlier version


@dataclass(frozen=True, slots=True)
class NumberedSentences:
    """Sentences of some abstracts, with ids s1, s2, ... that a model may name.

    Attributes:
        quotes: in order. The id of the first is 1.
        ids: paper id -> ids of its sentences.
    """

    quotes: tuple[Quote, ...]
    ids: dict[str, frozenset[int]]

    def list_lines(self, paper: Paper) -> list[str]:
        """Return the sentences of a paper as lines of a prompt."""
        ids = sorted(self.ids[paper.id])
        return [f"s{number} {neutral(self.quotes[number - 1].text)}" for number in ids]

    def get_quotes(self, ids: frozenset[int]) -> tuple[Quote, ...]:
        """Return the sentences with these ids, in order, at most three."""
        return tuple(self.quotes[number - 1] for number in sorted(ids)[:_MOST_QUOTES])


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One line of a reply: number | ids | verdict | reason."""

    ids: frozenset[int]
    verdict: Verdict
    reason: str


class ReaderChecker:
    """Asks a language model whether the cited sentences say what a statement says.

    Attributes:
        usage: of all calls so far.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, question: str = "") -> None:
        """Connect the model to its prompt.

        Args:
            model: reads.
            prompt: named "verify".
            question: that the statements answer. It explains what "it" or "yes" stands for.
        """
        self._model = model
        self._prompt = prompt
        self._question = question
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return one verification for each claim, in order, after a single call.

        Equal claims are sent once.
        """
        keys = [(claim.statement, *(paper.id for paper in claim.papers)) for claim in claims]
        unequal = dict(zip(keys, claims, strict=True))
        found = dict(zip(unequal, self._check_unequal([*unequal.values()]), strict=True))
        return [found[key] for key in keys]

    def _check_unequal(self, claims: Sequence[Claim]) -> list[Verification]:
        checked = TextChecker().check(claims)
        readable = [
            n for n, claim in enumerate(claims) if any(p.abstract.strip() for p in claim.papers)
        ]
        asked = readable[: self._count_fitting([claims[n] for n in readable])]
        if asked:
            read = self._ask([claims[n] for n in asked], [checked[n] for n in asked])
            for number, verification in zip(asked, read, strict=True):
                checked[number] = verification
        return checked

    def _ask(self, claims: Sequence[Claim], compared: Sequence[Verification]) -> list[Verification]:
        """Return what the model says of each claim, or what text comparison found, and why."""
        sentences = number_sentences(_list_papers(claims))
        try:
            reply = self._model.complete(self._build_messages(claims, sentences))
        except ModelError as error:
            self.notes.append(f"The model did not check the statements: {error}")
            reason = f"the model did not answer: {error}"
            return [v if v.verdict == "quoted" else replace(v, reason=reason) for v in compared]
        self.usage += reply.usage
        lines = read_verdicts(reply.text)
        return [
            self._apply_line(lines.get(number), claim, verification, sentences)
            for number, (claim, verification) in enumerate(zip(claims, compared, strict=True), 1)
        ]

    def _count_fitting(self, claims: Sequence[Claim]) -> int:
        """Return how many of the claims, from the first, fit into one call."""
        count = len(claims)
        while count > 1:
            part = claims[:count]
            messages = self._build_messages(part, number_sentences(_list_papers(part)))
            tokens = sum(count_tokens(message.text) for message in messages)
            if tokens + _LINE_TOKENS * count <= self._model.window:
                break
            count = count * 2 // 3
        if count < len(claims):
            self.notes.append(
                f"{count} of {len(claims)} statements fitted into the model's window. It did not "
                "check the others."
            )
        return count

    def _build_messages(
        self, claims: Sequence[Claim], sentences: NumberedSentences
    ) -> list[Message]:
        listed = []
        for paper in _list_papers(claims):
            listed.append(f"Paper: {neutral(paper.title)}")
            listed += sentences.list_lines(paper)
        statements = []
        for number, claim in enumerate(claims, start=1):
            ids = sorted(_list_ids(claim, sentences))
            span = f"s{ids[0]} to s{ids[-1]}" if len(claim.papers) == 1 else ""
            cited = span or ", ".join(f"s{each}" for each in ids)
            statements.append(f"{number} (cites {cited}): {neutral(claim.statement)}")
        system, user = self._prompt.fill(
            question=neutral(self._question) or "(not told)",
            sentences="\n".join(listed),
            statements="\n".join(statements),
        )
        return [Message("system", system), Message("user", user)]

    def _apply_line(
        self,
        line: VerdictLine | None,
        claim: Claim,
        checked: Verification,
        sentences: NumberedSentences,
    ) -> Verification:
        """Return the model's verification, or what text comparison found and why."""
        problem = find_problem(line, _list_ids(claim, sentences))
        if line is None or problem:
            is_quoted = checked.verdict == "quoted"
            return checked if is_quoted else replace(checked, reason=problem, by=self._model.name)
        quotes = tuple(dict.fromkeys((*checked.quotes, *sentences.get_quotes(line.ids))))
        reason = line.reason or "the model gave no reason"
        return Verification(line.verdict, quotes, reason, checked.warnings, self._model.name)


def number_sentences(papers: Sequence[Paper]) -> NumberedSentences:
    """Number the sentences of some abstracts, from 1 on and through all of them."""
    quotes: list[Quote] = []
    ids = {}
    for paper in papers:
        first = len(quotes) + 1
        quotes += [
            Quote(paper.id, start, end, paper.abstract[start:end])
            for start, end in sentence_spans(paper.abstract)
        ]
        ids[paper.id] = frozenset(range(first, len(quotes) + 1))
    return NumberedSentences(tuple(quotes), ids)


def read_verdicts(text: str) -> dict[int, VerdictLine]:
    """Return number -> line, without numbers that get two verdicts. Other text is ignored."""
    found: dict[int, VerdictLine] = {}
    disputed: set[int] = set()
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        word = match["verdict"].lower()
        verdict = cast("Verdict", _OLD_WORDS.get(word, word))
        reason = " ".join((match["reason"] or "").strip(" |").split())[:_LONGEST_REASON]
        number = int(match["number"])
        if (
            found.setdefault(number, VerdictLine(_read_ids(match["ids"]), verdict, reason)).verdict
            != verdict
        ):
            disputed.add(number)
    return {number: line for number, line in found.items() if number not in disputed}


def _read_ids(text: str) -> frozenset[int]:
    """Return the ids of a line.

    >>> sorted(_read_ids("s1, s3-s5")), sorted(_read_ids("none of s1"))
    ([1, 3, 4, 5], [])
    """
    ids: set[int] = set()
    for first, last in () if _NO_IDS.match(text) else _IDS.findall(text):
        end = int(last or first)
        ids |= {end, *range(int(first), min(end, int(first) + _LONGEST_RANGE))}
    return frozenset(ids)


def find_problem(line: VerdictLine | None, allowed: frozenset[int]) -> str:
    """Return why a line does not count, or an empty string.

    Args:
        line: None where the reply has none.
        allowed: ids of the sentences that it may name.
    """
    if line is None:
        return "the model gave no readable verdict"
    if not line.ids <= allowed:
        return "the model named sentences that are not cited"
    if line.verdict != "unsupported" and not line.ids:
        return "the model named no sentence"
    return ""


def _list_papers(claims: Sequence[Claim]) -> list[Paper]:
    """Return the papers that some claims cite, each once."""
    return list({paper.id: paper for claim in claims for paper in claim.papers}.values())


def _list_ids(claim: Claim, sentences: NumberedSentences) -> frozenset[int]:
    return frozenset().union(*(sentences.ids[paper.id] for paper in claim.papers))
