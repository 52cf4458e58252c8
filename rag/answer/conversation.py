"""`Conversation`: questions and answers with memory, saved as a file and opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rag.answer import Answer, CitesPapers, Done, Turn
from rag.answer.saved import read_turns, write_turns

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from rag.answer import AnswerEvent, CiteStyle
    from rag.index import Filter
    from rag.papers import Paper


class Asker(Protocol):
    """What a conversation asks; the assistant is one."""

    def stream(
        self, question: str, *, history: Sequence[Turn] = (), where: Filter | None = None
    ) -> Generator[AnswerEvent, None, None]:
        """Events, the last of which holds the answer."""
        ...

    def papers(self) -> list[Paper]:
        """Every paper of the library."""
        ...


class Conversation(CitesPapers):
    """A sequence of turns over one library; papers keep their numbers over all of them.

    Attributes:
        turns: oldest first.
        warnings: what was amiss when it was loaded.
    """

    def __init__(self, assistant: Asker, *, where: Filter | None = None) -> None:
        """Begins empty; `Assistant.chat` is the usual way in."""
        self.turns: list[Turn] = []
        self.warnings: tuple[str, ...] = ()
        self._assistant = assistant
        self._where = where

    def ask(self, question: str) -> Answer:
        """Answers a question with the turns before it in mind, and remembers it."""
        for event in self.stream(question):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(self, question: str) -> Generator[AnswerEvent, None, None]:
        """Like `ask`, as events; a turn is remembered when it is done."""
        for event in self._assistant.stream(question, history=self.turns, where=self._where):
            if isinstance(event, Done):
                self.turns.append(Turn(question, event.answer))
            yield event

    @property
    def sources(self) -> dict[int, Paper]:
        """Shown number -> paper, over all turns."""
        found = {n: p for turn in self.turns for n, p in turn.answer.sources.items()}
        return dict(sorted(found.items()))

    def clear(self) -> None:
        """Forgets all turns."""
        self.turns.clear()

    def to_markdown(self, *, cite_style: CiteStyle = "numeric") -> str:
        """All turns, each with its references; `cite_style` as for `Answer.to_markdown`."""
        texts = (turn.answer.to_markdown(cite_style=cite_style) for turn in self.turns)
        return "\n---\n\n".join(texts)

    def save(self, path: str | Path) -> None:
        """Writes the conversation to a file, whole or not at all.

        Raises:
            DiskError: the file cannot be written.
        """
        write_turns(path, self.turns)

    def load(self, path: str | Path) -> None:
        """Replaces the turns by those of a saved conversation.

        Raises:
            CorpusError: the file cannot be read, is no conversation or contradicts itself.
        """
        self.turns, self.warnings = read_turns(path, self._assistant.papers())
