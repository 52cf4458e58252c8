"""Our retrieval as a LlamaIndex retriever, so that people can put it under their own engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.retrieval.retriever import Hit


class PapertrailRetriever(BaseRetriever):
    """Gives one node a paper: the abstract as text, title and id as metadata, the fused score."""

    def __init__(self, search: Callable[[str], list[Hit]]) -> None:
        """Wraps a search."""
        super().__init__()
        self._search = search

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(hit) for hit in self._search(query_bundle.query_str)]


def _node(hit: Hit) -> NodeWithScore:
    paper = hit.paper
    node = TextNode(
        id_=paper.id,
        text=paper.abstract or paper.title,
        metadata={"paper_id": paper.id, "title": paper.title, "year": paper.year},
    )
    return NodeWithScore(node=node, score=hit.score)
