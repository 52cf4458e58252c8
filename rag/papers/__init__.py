"""Papers: the value, its identity, and how several records of one paper become one."""

from rag.papers.merging import Merge, PaperMerger
from rag.papers.paper import (
    JsonValue,
    Paper,
    normal_arxiv_id,
    normal_doi,
    normal_title,
    paper_id,
)

__all__ = [
    "JsonValue",
    "Merge",
    "Paper",
    "PaperMerger",
    "normal_arxiv_id",
    "normal_doi",
    "normal_title",
    "paper_id",
]
