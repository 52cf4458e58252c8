"""Selection: a language model reads the papers that may belong in a list, in batches.

The likeliest papers are read first, several batches at a time, within a budget of calls and until a
batch has none that fit. The model names only the papers that fit. What it says of one counts only
if it names sentences of that paper. A paper whose line or reply cannot be read, or that was left
when the calls were used up or one failed, may fit at most, and counts of the list are "at least".
"""

from __future__ import annotations

import math
import re
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rag.errors import ModelError, ModelRejected
from rag.llm import Message
from rag.llm.cancel import run_all
from rag.llm.errors import describe_refusal, shorten
from rag.llm.reply import NO_USAGE, Reply, Usage, get_usage
from rag.llm.tokens import count_tokens
from rag.prompts import neutral
from rag.verification.reader import (
    NumberedSentences,
    VerdictLine,
    find_problem,
    list_numbers,
    number_sentences,
    read_verdicts,
)
from rag.verification.verdict import NO_REASON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.generation.relevance import Entry
    from rag.llm import ChatModel
    from rag.prompts import Prompt

BATCH_PAPERS = 25  # models begin to skip papers in longer batches
_ALSO_ASKED = re.compile(r"(?im)^\W*also asked[^\w\n]+(.+)$")
_NOTHING = re.compile(r"(?i)(?:nothing|none|no)\b")
_NONE = re.compile(r"(?im)^\W*none\W*$")
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
        asks_more: whether the question asks more of each paper than whether it fits.
        papers_read: number of papers that the model read.
        papers_open: number of those that it was to read and gave no usable verdict on. Complete
            after `read`.
        calls: calls that were answered.
        usage: of all calls.
        notes: sentences a reader should know, such as a call that failed.
        error: of a call that failed, or None.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, *, most_calls: int, workers: int) -> None:
        self._model = model
        self._prompt = prompt
        self._most_calls = most_calls
        self._workers = workers
        self.entries: list[Entry] = []
        self.asks_more = False
        self.papers_read = self.papers_open = 0
        self.calls = 0
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []
        self._unusable = 0  # papers without a verdict that counts
        self._most_papers = BATCH_PAPERS
        self._found_end = False  # a batch had no paper that fits
        self.error: ModelError | None = None

    @property
    def summary(self) -> str:
        """Sentence that says who decided."""
        calls = f"{self.calls} call{'s' * (self.calls != 1)}"
        return f"{self._model.name} read the {self.papers_read} likeliest papers in {calls}."

    def read(
        self, question: str, candidates: Sequence[Entry], *, likely: float, possible: float
    ) -> Iterator[int]:
        """Ask the model about the candidates and yield the count of papers read after each call.

        As many papers as are likely are read at the same time. The next ones are read batch by
        batch, until one has no paper that fits.

        Args:
            question: of the reader.
            candidates: nearest first.
            likely: relevance from which a paper is worth a call.
            possible: relevance from which a paper that the model did not name may fit.

        Raises:
            ModelRejected: the model refused every call.
        """
        left = list(candidates)
        first = sum(entry.relevance >= likely for entry in candidates)
        while left and self.calls < self._most_calls and not self._ended:
            most = max(1, math.ceil((first - self.papers_read) / self._most_papers))
            batches = self._fill_batches(question, left, most)
            if not batches:
                break
            left = left[sum(len(batch.entries) for batch in batches) :]
            unread: list[Entry] = []
            with closing(run_all([partial(self._ask, question, each) for each in batches])) as run:
                for batch, (sent, reply) in zip(batches, run, strict=True):
                    unread += batch.entries[len(sent.entries) :]
                    self._note_refusal(batch, sent)
                    self._read_reply(sent, reply, possible)
                    yield self.papers_read
            left = unread if self._found_end else unread + left
        if isinstance(self.error, ModelRejected) and not self.calls:
            raise self.error
        self.papers_open = len(left) + self._unusable
        self._note_gaps(len(left))
        may_fit = [_mark_unread(each, "not read by the model") for each in left]
        self.entries += [entry for entry in may_fit if entry.relevance >= possible]
        self.entries.sort(key=lambda entry: entry.listed == "possible")

    @property
    def _ended(self) -> bool:
        return self._found_end or self.error is not None

    def _note_gaps(self, left: int) -> None:
        if self.error:
            self.notes.append(f"The model did not read {left} papers: {self.error}")
        if self._unusable:
            self.notes.append(
                f"The model gave no usable verdict on {self._unusable} of the {self.papers_read} "
                "papers that it read. Those that it named or that may fit are listed as possible."
            )
        if left and self.calls == self._most_calls:
            self.notes.append(
                f"The model read {self.papers_read} papers and left {left} unread, as "
                f"listing_calls is {self._most_calls}. Raise it to let the model read more."
            )

    def _fill_batches(self, question: str, entries: Sequence[Entry], most: int) -> list[_Batch]:
        """Return the first entries in as many batches as are sent at the same time."""
        batches: list[_Batch] = []
        most = min(most, self._workers, self._most_calls - self.calls)
        while entries and len(batches) < most:
            batch = self._fill_batch(question, entries)
            if batch is None:
                break
            batches.append(batch)
            entries = entries[len(batch.entries) :]
        return batches

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

    def _ask(self, question: str, batch: _Batch) -> tuple[_Batch, Reply | ModelError]:
        """Send a batch, smaller if the server refuses its length. Return what was read of it."""

        def send(count: int) -> tuple[_Batch, Reply]:
            part = self._write_batch(question, batch.entries[:count])
            return part, self._model.complete(part.messages, prompt=self._prompt.name)

        try:
            return shorten(send, len(batch.entries))[0]
        except ModelError as error:
            return self._write_batch(question, ()), error

    def _note_refusal(self, batch: _Batch, sent: _Batch) -> None:
        if 0 < len(sent.entries) < len(batch.entries):
            self._most_papers = min(self._most_papers, len(sent.entries))
            note = describe_refusal(len(batch.entries), len(sent.entries), "papers")
            self.notes += [note] if note not in self.notes else []

    def _read_reply(self, batch: _Batch, reply: Reply | ModelError, possible: float) -> None:
        """Keep the entries that the model names, and all of a reply that cannot be read."""
        if isinstance(reply, ModelError):
            self.error = reply
            self.usage += get_usage(reply)
            return
        self.calls += 1
        self.papers_read += len(batch.entries)
        self.usage += reply.usage
        asked = _ALSO_ASKED.search(reply.text)
        self.asks_more |= asked is not None and not _NOTHING.match(asked[1])
        lines, said = read_verdicts(reply.text), list_numbers(reply.text)
        spoken = said & set(range(1, len(batch.entries) + 1))
        is_readable = bool(spoken) or (not said and _NONE.search(reply.text) is not None)
        named = [
            self._apply_line(entry, lines.get(number), batch.sentences)
            for number, entry in enumerate(batch.entries, start=1)
            if number in spoken or not is_readable
        ]
        fitting = [entry for entry in named if entry and entry.verdict != "unchecked"]
        unusable = [entry for entry in named if entry and entry.verdict == "unchecked"]
        self._unusable += len(unusable)
        kept = fitting + [each for each in unusable if is_readable or each.relevance >= possible]
        self.entries += kept
        self._found_end |= is_readable and not kept

    def _apply_line(
        self, entry: Entry, line: VerdictLine | None, sentences: NumberedSentences
    ) -> Entry | None:
        """Return an entry as a line of a reply says, None if it does not fit."""
        wrong = find_problem(line, sentences.ids[entry.hit.paper.id])
        if line is None or wrong:
            return _mark_unread(entry, wrong)
        if line.verdict not in ("supported", "partly"):
            return None
        return replace(
            entry,
            listed="fits" if line.verdict == "supported" else "possible",
            quotes=sentences.get_quotes(line.ids),
            verdict=line.verdict,
            reason=line.reason or NO_REASON,
            by=self._model.name,
        )


def _mark_unread(entry: Entry, why: str) -> Entry:
    """Return an entry that the model said nothing about: it may fit at most."""
    return replace(entry, listed="possible", verdict="unchecked", reason=f"{entry.reason}, {why}")
