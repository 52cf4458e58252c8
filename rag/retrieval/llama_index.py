"""Retriever for LlamaIndex, for use in your own query engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rag.papers import Paper
    from rag.retrieval.retriever import Hit


class PapertrailRetriever(BaseRetriever):
    """Returns one node per paper: abstract as text, fused score, and metadata.

    The metadata has the id, title and year, and the retraction of a retracted paper.
    """

    def __init__(
        self, search: Callable[[str], list[Hit]], asearch: Callable[[str], Awaitable[list[Hit]]]
    ) -> None:
        """Wrap a search function, and one for async code."""
        super().__init__()
        self._search = search
        self._asearch = asearch

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [make_node(hit.paper, hit.score) for hit in self._search(query_bundle.query_str)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = await self._asearch(query_bundle.query_str)
        return [make_node(hit.paper, hit.score) for hit in hits]


def make_node(paper: Paper, score: float | None, **details: Any) -> NodeWithScore:
    """Return a paper as a node. `details` are metadata that no prompt and no vector shows."""
    node = TextNode(
        id_=paper.id,
        text=paper.abstract or paper.title,
        metadata={"paper_id": paper.id, "title": paper.title, "year": paper.year}
        | ({"retraction": paper.retraction} if paper.retraction else {})
        | details,
        excluded_llm_metadata_keys=list(details),
        excluded_embed_metadata_keys=list(details),
    )
    return NodeWithScore(node=node, score=score)
