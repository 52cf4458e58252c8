"""A draft: what a writer makes of the papers found, before its statements are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.llm.reply import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.answer import AnswerStatus, Kind, Mode, Statement, Turn
    from rag.llm.reply import Usage
    from rag.retrieval import Hit
    from rag.verification import ReaderScore


@dataclass(frozen=True, slots=True)
class Draft:
    """The part of an answer that a writer gives; fields are those of `Answer`.

    A `kind` of None is that of the plan. `removed` counts the statements that were taken out.
    """

    text: str
    statements: tuple[Statement, ...] = ()
    hits: tuple[Hit, ...] = ()
    status: AnswerStatus = "answered"
    mode: Mode = "quotes"
    kind: Kind | None = None
    reason: str = ""
    closest: tuple[Hit, ...] = ()
    model: str | None = None
    checker: ReaderScore | None = None
    confidence: float | None = None
    usage: Usage = NO_USAGE
    removed: int = 0
    model_error: str = ""
    warnings: tuple[str, ...] = ()


def shown_numbers(history: Sequence[Turn]) -> dict[str, int]:
    """Return the number that readers of a conversation know each cited paper by, by paper id."""
    return {paper.id: number for turn in history for number, paper in turn.answer.sources.items()}
