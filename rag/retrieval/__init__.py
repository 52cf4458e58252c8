"""Retrieve papers for a question, as one ranked list."""

from rag.index.filter import Filter
from rag.retrieval.retriever import Hit, Retrieval, Retriever, ScoredSentence, StageScore

__all__ = ["Filter", "Hit", "Retrieval", "Retriever", "ScoredSentence", "StageScore"]
