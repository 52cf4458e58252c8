"""Retrieval: a question in, one ranked list of papers out."""

from rag.index.filter import Filter
from rag.retrieval.retriever import Hit, Retrieval, Retriever, ScoredSentence, StageScore

__all__ = ["Filter", "Hit", "Retrieval", "Retriever", "ScoredSentence", "StageScore"]
