"""Selection: a language model reads the papers that may belong in a list, in batches.

The likeliest papers are read first, within a budget of calls. What the model says of a paper counts
only if it names sentences of that paper. A paper that it did not read, or of which it said nothing
readable, may fit at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag.errors import ModelError, ModelRejected
from rag.llm import Message
from rag.llm.errors import describe_refusal, shorten
from rag.llm.reply import NO_USAGE, Reply, Usage
from rag.llm.tokens import count_tokens
from rag.prompts import neutral
from rag.verification.reader import (
    NumberedSentences,
    find_problem,
    number_sentences,
    read_verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.generation.relevance import Entry
    from rag.llm import ChatModel
    from rag.prompts import Prompt

BATCH_PAPERS = 25  # models begin to skip papers in longer batches
_LINE_TOKENS = 40  # of the reply, for each paper
_MARGIN_TOKENS = 64


@dataclass(frozen=True, slots=True)
class _Batch:
    """Papers of one call, their numbered sentences and the prompt."""

    entries: Sequence[Entry]
    sentences: NumberedSentences
    messages: tuple[Message, ...]

    def count_tokens(self) -> int:
        """Return what the call needs of the model's window, its reply included."""
        prompt = sum(count_tokens(message.text) for message in self.messages)
        return prompt + _LINE_TOKENS * len(self.entries) + _MARGIN_TOKENS


class Selection:
    """Entries of a list as a model sees them.

    Attributes:
        entries: papers that fit or may fit, those that fit first. Complete after `read`.
        papers_read: number of papers that the model read.
        papers_unread: number of those that it was to read and did not. Complete after `read`.
        calls: calls that were answered.
        usage: of all calls.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, *, most_calls: int) -> None:
        self._model = model
        self._prompt = prompt
        self._most_calls = most_calls
        self.entries: list[Entry] = []
        self.papers_read = self.papers_unread = 0
        self.calls = 0
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []
        self._unusable = 0  # papers without a verdict that counts
        self._most_papers = BATCH_PAPERS

    @property
    def summary(self) -> str:
        """Sentence that says who decided."""
        calls = f"{self.calls} call{'s' * (self.calls != 1)}"
        return f"{self._model.name} read the {self.papers_read} likeliest papers in {calls}."

    def read(self, question: str, candidates: Sequence[Entry], *, possible: float) -> Iterator[int]:
        """Ask the model about the candidates and yield the count of papers read after each call.

        Args:
            question: of the reader.
            candidates: likeliest first.
            possible: relevance from which a paper that was not read stays in the list.

        Raises:
            ModelRejected: the model refused the call.
        """
        left = list(candidates)
        while left and self.calls < self._most_calls:
            batch = self._fill_batch(question, left)
            if batch is None:
                break
            try:
                batch, reply = self._ask(question, batch)
            except ModelRejected:
                raise
            except ModelError as error:
                self.notes.append(f"The model did not read {len(left)} papers: {error}")
                break
            self.entries += self._read_reply(batch, reply, possible)
            left = left[len(batch.entries) :]
            yield self.papers_read
        self.papers_unread = len(left)
        self._note_gaps(left)
        unread = (_mark_unread(entry, "not read by the model") for entry in left)
        self.entries += [entry for entry in unread if entry.relevance >= possible]
        self.entries.sort(key=lambda entry: entry.listed == "possible")

    def _note_gaps(self, left: Sequence[Entry]) -> None:
        if self._unusable:
            self.notes.append(
                f"The model gave no usable verdict on {self._unusable} of the {self.papers_read} "
                "papers that it read. They are listed as possible where they may fit."
            )
        if left and self.calls == self._most_calls:
            self.notes.append(
                f"The model read {self.papers_read} of the papers that may fit and left "
                f"{len(left)} unread. Raise listing_calls to let it read more."
            )

    def _fill_batch(self, question: str, entries: Sequence[Entry]) -> _Batch | None:
        """Return as many of the first entries as one call holds, None if it holds none."""
        count = min(len(entries), self._most_papers)
        while count:
            batch = self._write_batch(question, entries[:count])
            if batch.count_tokens() <= self._model.window:
                return batch
            count = count * 3 // 4
        return None

    def _write_batch(self, question: str, entries: Sequence[Entry]) -> _Batch:
        papers = [entry.hit.paper for entry in entries]
        sentences = number_sentences(papers)
        lines = []
        for number, paper in enumerate(papers, start=1):
            lines += [f"Paper {number}:", *sentences.list_lines(paper)]
        system, user = self._prompt.fill(question=neutral(question), papers="\n".join(lines))
        return _Batch(entries, sentences, (Message("system", system), Message("user", user)))

    def _ask(self, question: str, batch: _Batch) -> tuple[_Batch, Reply]:
        """Send a batch, smaller if the server refuses its length. Return what was sent."""

        def send(count: int) -> tuple[_Batch, Reply]:
            part = self._write_batch(question, batch.entries[:count])
            return part, self._model.complete(part.messages)

        papers = len(batch.entries)
        answered, sent = shorten(send, papers)
        if sent < papers:
            self._most_papers = sent
            self.notes.append(describe_refusal(papers, sent, "papers"))
        return answered

    def _read_reply(self, batch: _Batch, reply: Reply, possible: float) -> list[Entry]:
        """Return the entries that the model keeps, and those that it said nothing usable about."""
        self.calls += 1
        self.papers_read += len(batch.entries)
        self.usage += reply.usage
        verdicts = read_verdicts(reply.text)
        kept = []
        for number, entry in enumerate(batch.entries, start=1):
            line = verdicts.get(number)
            wrong = find_problem(line, batch.sentences.ids[entry.hit.paper.id])
            if line is None or line.verdict is None or wrong:
                self._unusable += 1
                if entry.relevance >= possible:
                    kept.append(_mark_unread(entry, wrong))
            elif line.verdict in ("supported", "partly"):
                kept.append(
                    replace(
                        entry,
                        listed="fits" if line.verdict == "supported" else "possible",
                        quotes=batch.sentences.get_quotes(line.ids),
                        verdict=line.verdict,
                        reason=line.reason or "the model gave no reason",
                        by=self._model.name,
                    )
                )
        return kept


def _mark_unread(entry: Entry, why: str) -> Entry:
    """Return an entry that the model said nothing about: it may fit at most."""
    return replace(entry, listed="possible", verdict="unchecked", reason=f"{entry.reason}, {why}")
