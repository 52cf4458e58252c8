"""A language model reads the papers that may belong in a list, in batches, within a budget.

The likeliest papers are read first. What the model says of a paper counts only if it names
sentences of that paper; a paper that it did not read, or of which it said nothing readable, keeps
what its relevance says of it, but at most as one that may fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rag.errors import ModelError, ModelRejected
from rag.generation.list_text import Entry
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE, Usage
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, neutral
from rag.verification.lines import NumberedSentences, number_sentences, problem, read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_IN_CALL = 25  # papers; with more of them models begin to skip
_LINE_TOKENS = 40  # of the reply, for each paper
_MARGIN_TOKENS = 64


@dataclass(frozen=True, slots=True)
class _Batch:
    """The papers of one call, their sentences and what the model is asked."""

    entries: list[Entry]
    sentences: NumberedSentences
    messages: list[Message]

    def tokens(self) -> int:
        """What the call needs of the model's window, its reply included."""
        asked = sum(count_tokens(message.text) for message in self.messages)
        return asked + _LINE_TOKENS * len(self.entries) + _MARGIN_TOKENS


class Selection:
    """What a model made of some candidates.

    Attributes:
        read: papers that the model read.
        calls: made.
        usage: of all calls so far.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, *, calls: int) -> None:
        """Wires the model to its prompt.

        Args:
            model: asked.
            prompt: named "select_papers".
            calls: most calls for one list.
        """
        self._model = model
        self._prompt = prompt
        self._most_calls = calls
        self.read = 0
        self.calls = 0
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []

    def checked(self, question: str, entries: Sequence[Entry]) -> Iterator[list[Entry]]:
        """The entries as the model sees them, call by call; the last batch was not read.

        Args:
            question: of the reader.
            entries: likeliest first.
        """
        left = list(entries)
        while left and self.calls < self._most_calls:
            batch = self._batch(question, left)
            if batch is None:
                break
            try:
                yield self._asked(batch)
            except ModelRejected:
                raise
            except ModelError as error:
                self.notes.append(f"The model did not read {len(left)} papers: {error}")
                break
            left = left[len(batch.entries) :]
        if left and self.calls == self._most_calls:
            self.notes.append(
                f"The model read {self.read} of the papers that may fit, and {len(left)} not; the "
                "setting listing_calls lets it read more."
            )
        yield [_unread(entry, "not read by the model") for entry in left]

    def _batch(self, question: str, entries: list[Entry]) -> _Batch | None:
        """As many of the first entries as one call holds; None where it does not hold the first."""
        count = min(len(entries), MOST_IN_CALL)
        while count:
            batch = self._written(question, entries[:count])
            if batch.tokens() <= self._model.window:
                return batch
            count = count * 3 // 4
        return None

    def _asked(self, batch: _Batch) -> list[Entry]:
        reply = self._model.complete(batch.messages)
        self.calls += 1
        self.read += len(batch.entries)
        self.usage += reply.usage
        said = read_verdicts(reply.text)
        kept = []
        for number, entry in enumerate(batch.entries, start=1):
            line = said.get(number)
            wrong = problem(line, batch.sentences.of_paper[entry.paper.id])
            if line is None or wrong:
                kept.append(_unread(entry, wrong))
            elif line.verdict in {"supported", "partly"}:
                fits: Literal["supported", "partly"] = (
                    "supported" if line.verdict == "supported" else "partly"
                )
                quotes = batch.sentences.named(line.ids)
                reason = line.reason or "the model gave no reason"
                kept.append(Entry(entry.paper, quotes, fits, reason, self._model.name))
        return kept

    def _written(self, question: str, entries: list[Entry]) -> _Batch:
        papers = [entry.paper for entry in entries]
        sentences = number_sentences(papers)
        listed = []
        for number, paper in enumerate(papers, start=1):
            listed.append(f"Paper {number}: {neutral(paper.title)}")
            listed += sentences.listed(paper)
        system, user = self._prompt.fill(question=neutral(question), papers="\n".join(listed))
        return _Batch(entries, sentences, [Message("system", system), Message("user", user)])


def _unread(entry: Entry, why: str) -> Entry:
    """An entry of which the model said nothing: it may fit, no more."""
    return replace(entry, verdict="partly", reason=f"{entry.reason}, {why}")
