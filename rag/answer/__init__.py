"""Answers: value types, documents, conversations and their files."""

from rag.answer.answer import (
    Answer,
    AnswerEvent,
    Answers,
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
    "Answers",
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
