"""The check by a language model: one call for all statements of an answer.

The model sees the sentences of the cited abstracts with ids and the statements, and names for each
statement first its evidence, then a verdict. A line that cannot be read, an id that does not exist,
or support without evidence leaves the offline verdict in place, and the reason says so. Where the
model sees support for a number that no cited abstract has, the verdict is partly: models overlook
figures. The same holds for names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rag.errors import ModelError
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE, Usage
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, neutral
from rag.text.numbers import missing_numbers
from rag.verification.denials import denies
from rag.verification.lines import (
    NumberedSentences,
    VerdictLine,
    number_sentences,
    problem,
    read_verdicts,
)
from rag.verification.quotation import Checker, Claim, Verification
from rag.verification.words import in_english, missing_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper


class ReaderChecker:
    """Asks the chat model, with the offline check to fall back on.

    Attributes:
        usage: of all calls so far.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(
        self, model: ChatModel, prompt: Prompt, offline: Checker, question: str = ""
    ) -> None:
        """Wires the model to its prompt (`verify`) and the fallback.

        Args:
            model: asked.
            prompt: named "verify".
            offline: gives the verdicts that the model does not.
            question: that the statements answer; it tells what "it" or "yes" stand for.
        """
        self._model = model
        self._prompt = prompt
        self._offline = offline
        self._question = question
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order; a single call, none where all is word for word."""
        found = self._offline.check(claims)
        open_ones = [
            number
            for number, (claim, first) in enumerate(zip(claims, found, strict=True))
            if first.verdict != "quoted" and claim.papers and not denies(claim.statement)
        ]
        if not open_ones:
            return found
        open_ones = open_ones[: self._fitting([claims[number] for number in open_ones])]
        asked = [claims[number] for number in open_ones]
        sentences = number_sentences(_papers(asked))
        try:
            reply = self._model.complete(self._messages(asked, sentences))
        except ModelError as error:
            self.notes.append(f"The model did not check the statements: {error}")
            return found
        self.usage += reply.usage
        said = read_verdicts(reply.text)
        for place, (number, claim) in enumerate(zip(open_ones, asked, strict=True), start=1):
            found[number] = self._merged(claim, found[number], said.get(place), sentences)
        return found

    def _fitting(self, claims: Sequence[Claim]) -> int:
        """How many of the claims, from the first, go into one call; the others are told of."""
        count = len(claims)
        while count > 1:
            messages = self._messages(claims[:count], number_sentences(_papers(claims[:count])))
            if sum(count_tokens(m.text) for m in messages) + 40 * count <= self._model.window:
                break
            count = count * 2 // 3
        if count < len(claims):
            self.notes.append(
                f"The model's window held {count} of {len(claims)} statements to check; the others "
                "have the offline verdict."
            )
        return count

    def _messages(self, claims: Sequence[Claim], sentences: NumberedSentences) -> list[Message]:
        listed = []
        for paper in _papers(claims):
            listed.append(f"Paper: {neutral(paper.title)}")
            listed += sentences.listed(paper)
        statements = []
        for number, claim in enumerate(claims, start=1):
            ids = sorted(set().union(*(sentences.of_paper[p.id] for p in claim.papers)))
            span = f"s{ids[0]} to s{ids[-1]}" if len(claim.papers) == 1 and ids else ""
            cited = span or ", ".join(f"s{i}" for i in ids)
            statements.append(f"{number} (cites {cited}): {neutral(claim.statement)}")
        system, user = self._prompt.fill(
            question=neutral(self._question) or "(not told)",
            sentences="\n".join(listed),
            statements="\n".join(statements),
        )
        return [Message("system", system), Message("user", user)]

    def _merged(
        self,
        claim: Claim,
        offline: Verification,
        said: VerdictLine | None,
        sentences: NumberedSentences,
    ) -> Verification:
        allowed = frozenset().union(*(sentences.of_paper[p.id] for p in claim.papers))
        wrong = problem(said, allowed)
        if said is None or wrong:
            return _unread(offline, wrong)
        verdict, reason = said.verdict, said.reason or "the model gave no reason"
        if verdict == "supported" and (lacking := _lacking(claim)):
            verdict, reason = "partly", f"{reason}; but the abstract does not have {lacking}"
        quotes = sentences.named(said.ids) or offline.quotes
        return Verification(verdict, quotes, reason, by=self._model.name)


def _lacking(claim: Claim) -> str | None:
    """A number or a name of a claim that stands nowhere in the papers it cites."""
    whole = "\n".join(f"{paper.title}\n{paper.abstract}" for paper in claim.papers)
    for number in missing_numbers(claim.statement, whole):
        if not number.could_be_derived:
            return f"the number {number.shown}"
    names = missing_names(claim.statement, whole) if in_english(claim.statement) else []
    return f"the name {names[0]}" if names else None


def _papers(claims: Sequence[Claim]) -> list[Paper]:
    """The papers that some claims cite, each once."""
    return list({paper.id: paper for claim in claims for paper in claim.papers}.values())


def _unread(offline: Verification, why: str) -> Verification:
    return replace(offline, reason=f"{offline.reason} ({why})")
