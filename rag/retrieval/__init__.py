"""Retrieval: a question in, one ranked list of papers out."""

from rag.index.filters import Filter
from rag.retrieval.retriever import (
    LONGEST_QUESTION_CHARS,
    Hit,
    Retrieval,
    Retriever,
    ScoredSentence,
    StageScore,
)

__all__ = [
    "LONGEST_QUESTION_CHARS",
    "Filter",
    "Hit",
    "Retrieval",
    "Retriever",
    "ScoredSentence",
    "StageScore",
]
