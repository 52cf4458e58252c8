"""Use LlamaIndex embedding models here, and ours in LlamaIndex.

LlamaIndex takes over a second to import, so only the functions that need it import it. Its global
Settings are never read or set.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from rag.embedding.api import RemoteEmbedder
from rag.embedding.protocol import encode_question

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from rag.embedding.protocol import Embedder


def from_llama_index(model: BaseEmbedding, *, name: str | None = None) -> Embedder:
    """Return a LlamaIndex embedding model as an embedder.

    Its rows are scaled to length 1. Texts and questions alike are embedded as texts.

    Args:
        model: any LlamaIndex embedding model.
        name: name of the vectors. By default the kind of model and its own name.
    """
    name = name or f"{model.class_name()}/{model.model_name}"
    return RemoteEmbedder(name, model.get_text_embedding_batch)


def as_llama_index(embedder: Embedder) -> BaseEmbedding:
    """Return an embedder as a LlamaIndex embedding model, for use in LlamaIndex's own parts."""
    adapter: BaseEmbedding = _make_adapter_class()(embedder)
    return adapter


@cache
def _make_adapter_class() -> Any:
    """Define the adapter's class on first use, because its base costs a second to import."""
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr

    class PapertrailEmbedding(BaseEmbedding):
        """Embedder of Papertrail behind LlamaIndex's interface."""

        _embedder: Any = PrivateAttr()

        def __init__(self, embedder: Embedder) -> None:
            super().__init__(model_name=embedder.name)
            self._embedder = embedder

        @classmethod
        def class_name(cls) -> str:
            return "PapertrailEmbedding"

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            rows: list[list[float]] = self._embedder.embed(texts).tolist()
            return rows

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_text_embeddings([text])[0]

        def _get_query_embedding(self, query: str) -> list[float]:
            row: list[float] = encode_question(self._embedder, query).vector.tolist()
            return row

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return await asyncio.to_thread(self._get_query_embedding, query)

    return PapertrailEmbedding
