"""`Conversation`: questions and answers with memory, saved as a file and opened again.

A saved conversation holds ids and quotes, not abstracts. When it is opened, every citation is
looked up again: a paper that has left the library since, or whose abstract no longer has the quoted
sentence, is told.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rag.answer import Answer, Citation, Done, Statement, Turn
from rag.errors import CorpusError, DiskError
from rag.models.reply import Usage
from rag.papers import Paper
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from rag.answer import AnswerEvent
    from rag.index import Filter

_FORMAT = "papertrail conversation 1"


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


class Conversation:
    """A sequence of turns over one library; papers keep their numbers over all of them.

    Attributes:
        turns: finished ones, oldest first.
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

    def to_markdown(self) -> str:
        """All turns, each with its references."""
        return "\n---\n\n".join(turn.answer.to_markdown() for turn in self.turns)

    def save(self, path: str | Path) -> None:
        """Writes the conversation to a file, whole or not at all.

        Raises:
            DiskError: the file cannot be written.
        """
        path = Path(path)
        turns = [{"question": t.question, "answer": t.answer.to_dict()} for t in self.turns]
        text = json.dumps({"format": _FORMAT, "turns": turns}, ensure_ascii=False, indent=1)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text + "\n", encoding="utf-8")
            beside.replace(path)
        except (OSError, UnicodeEncodeError) as error:
            beside.unlink(missing_ok=True)
            raise DiskError(f"The conversation cannot be saved to {path}: {error}.") from error

    def load(self, path: str | Path) -> None:
        """Replaces the turns by those of a saved conversation.

        Raises:
            CorpusError: the file cannot be read or is no conversation.
        """
        try:
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            _check_format(saved)
            papers = {i: p for p in self._assistant.papers() for i in (p.id, *p.aliases)}
            missing: dict[str, None] = {}
            turns = [
                Turn(str(turn["question"]), _answer(turn["answer"], papers, missing))
                for turn in saved["turns"]
            ]
        except OSError as error:
            raise CorpusError(f"{path} cannot be read: {error.strerror}.", path=path) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorpusError(
                f"{path} is no conversation saved by Papertrail ({type(error).__name__}: {error}).",
                path=path,
            ) from error
        self.turns = turns
        self.warnings = tuple(missing)


def _check_format(saved: Any) -> None:
    if saved["format"] != _FORMAT:
        raise ValueError("another format")


def _answer(
    saved: Mapping[str, Any], papers: Mapping[str, Paper], missing: dict[str, None]
) -> Answer:
    return Answer(
        question=str(saved["question"]),
        asked=str(saved["asked"]),
        text=str(saved["text"]),
        statements=tuple(_statement(each, papers, missing) for each in saved["statements"]),
        hits=(),
        status=saved["status"],
        mode=saved["mode"],
        reason=str(saved["reason"]),
        model=saved["model"],
        confidence=saved["confidence"],
        usage=Usage(**saved["usage"]),
        cost=saved["cost"],
        seconds=float(saved["seconds"]),
        warnings=tuple(saved["warnings"]),
    )


def _statement(
    saved: Mapping[str, Any], papers: Mapping[str, Paper], missing: dict[str, None]
) -> Statement:
    return Statement(
        str(saved["text"]),
        int(saved["start"]),
        int(saved["end"]),
        tuple(_citation(each, papers, missing) for each in saved["citations"]),
        saved["verdict"],
        bool(saved["claim"]),
    )


def _citation(
    saved: Mapping[str, Any], papers: Mapping[str, Paper], missing: dict[str, None]
) -> Citation:
    identity, title = str(saved["paper"]), str(saved["title"])
    paper = papers.get(identity)
    quotes = tuple(
        Quote(identity, int(q["start"]), int(q["end"]), str(q["text"])) for q in saved["quotes"]
    )
    if paper is None:
        missing[f"The library no longer has “{title}” ({identity}), which this cites."] = None
        paper = Paper(identity, title, "")
    elif any(paper.abstract[q.start : q.end] != q.text for q in quotes):
        missing[f"The abstract of “{title}” has changed since it was quoted here."] = None
    return Citation(
        int(saved["number"]),
        paper,
        quotes,
        saved["verdict"],
        str(saved["reason"]),
        str(saved["by"]),
    )
