"""Retriever for LlamaIndex, for use in your own query engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.retrieval.retriever import Hit


class PapertrailRetriever(BaseRetriever):
    """Returns one node per paper: abstract as text, fused score, and metadata.

    The metadata has the id, title and year, and the retraction of a retracted paper.
    """

    def __init__(self, search: Callable[[str], list[Hit]]) -> None:
        """Wrap a search function."""
        super().__init__()
        self._search = search

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_make_node(hit) for hit in self._search(query_bundle.query_str)]


def _make_node(hit: Hit) -> NodeWithScore:
    paper = hit.paper
    node = TextNode(
        id_=paper.id,
        text=paper.abstract or paper.title,
        metadata={"paper_id": paper.id, "title": paper.title, "year": paper.year}
        | ({"retraction": paper.retraction} if paper.retraction else {}),
    )
    return NodeWithScore(node=node, score=hit.score)
