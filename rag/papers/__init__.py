"""Papers: the value, its identity, and how several records of one paper become one."""

from rag.papers.merge import FROM_STANDARD_INPUT, FROM_STREAM, Merge, PaperMerger
from rag.papers.names import ET_AL, full_name, is_han, named_authors
from rag.papers.paper import (
    JsonValue,
    Paper,
    known_id,
    normal_arxiv_id,
    normal_doi,
    normal_title,
    paper_id,
)

__all__ = [
    "ET_AL",
    "FROM_STANDARD_INPUT",
    "FROM_STREAM",
    "JsonValue",
    "Merge",
    "Paper",
    "PaperMerger",
    "full_name",
    "is_han",
    "known_id",
    "named_authors",
    "normal_arxiv_id",
    "normal_doi",
    "normal_title",
    "paper_id",
]
