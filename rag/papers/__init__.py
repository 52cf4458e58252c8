"""Paper value, its ids, names of authors, and the merging of several records of one paper."""

from rag.papers.merge import FROM_STANDARD_INPUT, FROM_STREAM, Decision, Merge, PaperMerger
from rag.papers.names import ET_AL, drop_et_al, is_han, join_name
from rag.papers.paper import (
    JsonValue,
    Paper,
    choose_retraction,
    describe_record,
    make_normal_id,
    make_paper_id,
    normalise_arxiv_id,
    normalise_doi,
    normalise_title,
    require_papers,
)

__all__ = [
    "ET_AL",
    "FROM_STANDARD_INPUT",
    "FROM_STREAM",
    "Decision",
    "JsonValue",
    "Merge",
    "Paper",
    "PaperMerger",
    "choose_retraction",
    "describe_record",
    "drop_et_al",
    "is_han",
    "join_name",
    "make_normal_id",
    "make_paper_id",
    "normalise_arxiv_id",
    "normalise_doi",
    "normalise_title",
    "require_papers",
]
