"""Answers: value types, documents, conversations and their files."""

from rag.answer.answer import (
    Answer,
    AnswerEvent,
    AnswerStatus,
    Bibliography,
    Done,
    Kind,
    Mode,
    Status,
    Step,
    StepName,
    Text,
    Turn,
    Verified,
)
from rag.answer.document import STANDINGS
from rag.citations.citation import Citation, Standing, Statement

__all__ = [
    "STANDINGS",
    "Answer",
    "AnswerEvent",
    "AnswerStatus",
    "Bibliography",
    "Citation",
    "Done",
    "Kind",
    "Mode",
    "Standing",
    "Statement",
    "Status",
    "Step",
    "StepName",
    "Text",
    "Turn",
    "Verified",
]
