"""Answers: the value types, and the forms that they are handed on in."""

from rag.answer.answer import (
    Answer,
    AnswerEvent,
    AnswerStatus,
    CitesPapers,
    Done,
    Kind,
    Mode,
    Status,
    Text,
    Turn,
    Verified,
)
from rag.answer.markdown import STANDINGS, CiteStyle
from rag.citations.citation import Citation, Standing, Statement

__all__ = [
    "STANDINGS",
    "Answer",
    "AnswerEvent",
    "AnswerStatus",
    "Citation",
    "CiteStyle",
    "CitesPapers",
    "Done",
    "Kind",
    "Mode",
    "Standing",
    "Statement",
    "Status",
    "Text",
    "Turn",
    "Verified",
]
