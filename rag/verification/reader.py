"""The check by a reader: a language model, in one call for all statements that fit its window.

The model sees the titles, records and sentences of the cited papers with ids, and the statements.
For each statement it names its evidence first, then a verdict. Its verdict is never overruled.
Where it gives none that can be read, the result of the text comparison stays, and the reason says
why.

It also says which sentences claim nothing, such as "The abstracts do not state the cost". That
counts only for a statement that cites no paper. One that cites a paper stays "unchecked" then, so
no citation goes without a verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rag.errors import ModelError
from rag.llm.client import ChatModel, Message
from rag.llm.errors import describe_refusal, shorten
from rag.llm.reply import NO_USAGE, Reply, Usage
from rag.llm.tokens import count_tokens
from rag.papers import describe_record
from rag.prompts import Prompt, neutral
from rag.text.sentences import sentence_spans
from rag.verification.quotation import Claim, Quote, TextChecker, Verification
from rag.verification.verdict import NO_REASON, READER_VERDICTS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.papers import Paper

MOST_CALLS = 4  # to check the statements of one answer
_LINE_TOKENS = 40  # of the reply, for each statement
_MOST_QUOTES = 3
_LINE = re.compile(
    r"\W*(?P<number>\d{1,3})\W*\|\s*(?:(?P<ids>[^|]*)\|)?"
    rf"\s*\W*(?P<verdict>no claim|weak|{'|'.join(READER_VERDICTS)})\W*"
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
    """Titles and sentences of some papers, with ids s1, s2, ... that a model may name.

    Attributes:
        quotes: in order, the title of each paper first. The id of the first is 1.
        ids: paper id -> ids of its title and its sentences.
    """

    quotes: tuple[Quote, ...]
    ids: dict[str, frozenset[int]]

    def list_lines(self, paper: Paper, *, with_record: bool = False) -> list[str]:
        """Return the title and the sentences of a paper as lines of a prompt.

        Args:
            paper: one of those that are numbered.
            with_record: whether its year, authors and venue follow the title.
        """
        title, *lines = (
            f"s{number} {neutral(self.quotes[number - 1].text)}"
            for number in sorted(self.ids[paper.id])
        )
        record = describe_record(paper).values() if with_record else ()
        return [f"{title} ({neutral('; '.join(['title', *record]))})", *lines]

    def get_quotes(self, ids: frozenset[int]) -> tuple[Quote, ...]:
        """Return the sentences with these ids, at most three, those of abstracts first."""
        quotes = [self.quotes[number - 1] for number in sorted(ids)]
        return tuple(sorted(quotes, key=lambda q: q.field == "title")[:_MOST_QUOTES])


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One line of a reply: number | ids | verdict | reason. The verdict None is "no claim"."""

    ids: frozenset[int]
    verdict: Verdict | None
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
        """Return one verification for each claim, in order, after at most four calls.

        Equal claims are sent once. Claims without papers are sent along with others, for the model
        to say whether they claim anything.
        """
        unequal = {claim.key: claim for claim in claims}
        found = dict(zip(unequal, self._check_unequal([*unequal.values()]), strict=True))
        return [found[claim.key] for claim in claims]

    def _check_unequal(self, claims: Sequence[Claim]) -> list[Verification]:
        checked = TextChecker().check(claims)
        at, most = 0, len(claims)
        try:
            for _ in range(MOST_CALLS if any(claim.papers for claim in claims) else 0):
                fitting = min(most, self._count_fitting(claims[at:]))
                read = self._ask(claims[at : at + fitting], checked[at:])
                most = len(read) if len(read) < fitting else most
                checked[at : at + len(read)] = read
                at += len(read)
                if at == len(claims):
                    return checked
        except ModelError as error:
            self.notes.append(f"The model did not check the statements: {error}")
            reason = f"the model did not answer: {error}"
            return checked[:at] + [
                v if v.verdict == "quoted" else replace(v, reason=reason) for v in checked[at:]
            ]
        if at:
            self.notes.append(
                f"The model checked {at} of {len(claims)} statements in {MOST_CALLS} calls. Raise "
                "chat_window if it can read more at once."
            )
        return checked

    def _ask(self, claims: Sequence[Claim], compared: Sequence[Verification]) -> list[Verification]:
        """Return what the model says of each claim, or what text comparison found, and why.

        Only the first claims are read where the server refuses the length of all.
        """

        def send(count: int) -> tuple[NumberedSentences, Reply]:
            numbered = number_sentences(_list_papers(claims[:count]))
            messages = self._build_messages(claims[:count], numbered)
            return numbered, self._model.complete(messages, prompt=self._prompt.name)

        (sentences, reply), sent = shorten(send, len(claims))
        if sent < len(claims):
            self.notes.append(describe_refusal(len(claims), sent, "statements"))
        self.usage += reply.usage
        lines = read_verdicts(reply.text)
        return [
            self._apply_line(lines.get(number), claim, verification, sentences)
            for number, (claim, verification) in enumerate(
                zip(claims[:sent], compared, strict=False), start=1
            )
        ]

    def _count_fitting(self, claims: Sequence[Claim]) -> int:
        """Return how many of the claims, from the first, fit into one call, at least one."""
        count = len(claims)
        while count > 1:
            part = claims[:count]
            messages = self._build_messages(part, number_sentences(_list_papers(part)))
            tokens = sum(count_tokens(message.text) for message in messages)
            if tokens + _LINE_TOKENS * count <= self._model.window:
                break
            count = count * 2 // 3
        return count

    def _build_messages(
        self, claims: Sequence[Claim], sentences: NumberedSentences
    ) -> list[Message]:
        statements = []
        for number, claim in enumerate(claims, start=1):
            ids = [sorted(sentences.ids[paper.id]) for paper in claim.papers]
            cited = ", ".join(f"s{each[0]} to s{each[-1]}" for each in ids) or "nothing"
            statements.append(f"{number} (cites {cited}): {neutral(claim.text)}")
        lines = (sentences.list_lines(paper, with_record=True) for paper in _list_papers(claims))
        system, user = self._prompt.fill(
            question=neutral(self._question) or "(not told)",
            sentences="\n\n".join(map("\n".join, lines)),
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
        if not claim.papers:
            return replace(checked, claim=line is None or line.verdict is not None)
        problem = find_problem(
            line, frozenset().union(*(sentences.ids[p.id] for p in claim.papers))
        )
        if line is None or line.verdict is None or problem:
            is_quoted = checked.verdict == "quoted"
            return checked if is_quoted else replace(checked, reason=problem, by=self._model.name)
        quotes = tuple(dict.fromkeys((*checked.quotes, *sentences.get_quotes(line.ids))))
        reason = line.reason or NO_REASON
        return Verification(line.verdict, quotes, reason, checked.warnings, self._model.name)


def number_sentences(papers: Sequence[Paper]) -> NumberedSentences:
    """Number titles and sentences of some papers, from 1 on and through all of them."""
    quotes: list[Quote] = []
    ids = {}
    for paper in papers:
        first = len(quotes) + 1
        quotes.append(Quote(paper.id, 0, len(paper.title), paper.title, "title"))
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
    for match in _find_lines(text):
        word = match["verdict"].lower()
        verdict = None if word == "no claim" else cast("Verdict", _OLD_WORDS.get(word, word))
        reason = " ".join((match["reason"] or "").strip(" |").split())[:_LONGEST_REASON]
        number = int(match["number"])
        if (
            found.setdefault(
                number, VerdictLine(_read_ids(match["ids"] or ""), verdict, reason)
            ).verdict
            != verdict
        ):
            disputed.add(number)
    return {number: line for number, line in found.items() if number not in disputed}


def list_numbers(text: str) -> set[int]:
    """Return the numbers that have a verdict in a reply, also those with two."""
    return {int(match["number"]) for match in _find_lines(text)}


def _find_lines(text: str) -> Iterator[re.Match[str]]:
    """Yield the lines of a reply that have the form of a verdict."""
    return filter(None, map(_LINE.fullmatch, map(str.strip, text.splitlines())))


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
    if line.verdict is None:
        return "the model saw no claim in it"
    if not line.ids <= allowed:
        return "the model named sentences that are not cited"
    if line.verdict != "unsupported" and not line.ids:
        return "the model named no sentence"
    return ""


def _list_papers(claims: Sequence[Claim]) -> list[Paper]:
    """Return the papers that some claims cite, each once."""
    return list({paper.id: paper for claim in claims for paper in claim.papers}.values())
