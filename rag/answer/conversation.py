"""Conversation: questions and answers with memory, which can be saved and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag.answer import Answer, Bibliography, Done, Turn
from rag.answer.saved import read_turns, write_turns
from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent
    from rag.index import Filter
    from rag.papers import Paper


class Asker(Protocol):
    """Answers the questions of a conversation, as `Assistant` does."""

    def stream(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        where: Filter | None = None,
        as_written: bool = False,
        trace: bool = False,
    ) -> Generator[AnswerEvent, None, None]:
        """Yield events. The last one holds the answer."""
        ...

    def papers(self) -> list[Paper]:
        """Return every paper of the library."""
        ...


class Conversation(Bibliography):
    """Sequence of turns over one library. Papers keep their numbers in all of them.

    Attributes:
        turns: oldest first.
        warnings: of the last `load`, about papers that changed or left the library.
    """

    def __init__(self, assistant: Asker, *, where: Filter | None = None) -> None:
        """Begin without turns. `Assistant.chat` makes one too."""
        self.turns: list[Turn] = []
        self.warnings: tuple[str, ...] = ()
        self._assistant = assistant
        self._where = where

    def ask(self, question: str, *, as_written: bool = False) -> Answer:
        """Answer a question with the earlier turns in mind, and add the turn.

        `as_written` is as in `Assistant.ask`.
        """
        for event in self.stream(question, as_written=as_written):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(
        self, question: str, *, as_written: bool = False, trace: bool = False
    ) -> Generator[AnswerEvent, None, None]:
        """Yield the events of an answer, like `Assistant`. The turn is added when it is done."""
        events = self._assistant.stream(
            question, history=self.turns, where=self._where, as_written=as_written, trace=trace
        )
        for event in events:
            if isinstance(event, Done):
                self.turns.append(Turn(question, event.answer))
            yield event

    @property
    def sources(self) -> dict[int, Paper]:
        """Shown number -> paper, of all turns."""
        found = {n: p for turn in self.turns for n, p in turn.answer.sources.items()}
        return dict(sorted(found.items()))

    def clear(self) -> None:
        """Remove all turns."""
        self.turns.clear()

    @property
    def answers(self) -> list[Answer]:
        """Answers of all turns."""
        return [turn.answer for turn in self.turns]

    def save(self, path: str | Path) -> None:
        """Write the conversation to a file, whole or not at all.

        Raises:
            DiskError: the file cannot be written.
        """
        _check_path(path)
        write_turns(path, self.turns)

    def load(self, path: str | Path) -> None:
        """Replace the turns with those of a saved conversation.

        Raises:
            CorpusError: the file cannot be read, is not a conversation or contradicts itself.
        """
        _check_path(path)
        self.turns, self.warnings = read_turns(path, self._assistant.papers())


def _check_path(path: object) -> None:
    if not isinstance(path, str | Path):
        raise SettingsError(f"path takes the path of a file, not {path!r:.60}.")
