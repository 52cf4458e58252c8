"""Embedders: the two protocols that the index and retrieval know, and adapters for LlamaIndex.

The bundled embedder (`rag.embedding.minilm`) satisfies both. `from_llama_index` wraps any
LlamaIndex `BaseEmbedding`, `as_llama_index` serves ours to LlamaIndex. LlamaIndex takes over a
second to import, so the functions that need it import it. Its global Settings are never read or
set.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from rag.embedding.minilm import normalize_rows
from rag.errors import ModelReplyInvalid
from rag.llm.errors import to_model_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding


class Embedder(Protocol):
    """Anything that turns texts into vectors whose cosine says how near they are."""

    @property
    def name(self) -> str:
        """Identifies the vectors: under another name an index must be rebuilt."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector, at least 1."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors in the order given, shape (len(texts), dim), rows of length 1."""
        ...


class TokenEmbedder(Embedder, Protocol):
    """An embedder that also gives one vector per token, for late interaction."""

    @property
    def token_dim(self) -> int:
        """Length of a token vector, at least 1."""
        ...

    def encode(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Encoding]:
        """Pooled and token vectors of each text, in the order given, made as they are asked for."""
        ...


def has_token_vectors(embedder: Embedder) -> TypeGuard[TokenEmbedder]:
    """Whether an embedder gives token vectors too."""
    return callable(getattr(embedder, "encode", None))


def as_llama_index(embedder: Embedder) -> BaseEmbedding:
    """The embedder as a LlamaIndex embedding model, for use in LlamaIndex's own parts."""
    adapter: BaseEmbedding = _adapter_class()(embedder)
    return adapter


def from_llama_index(
    model: BaseEmbedding, *, name: str | None = None, secrets: Sequence[str] = ()
) -> Embedder:
    """A LlamaIndex embedding model as an embedder.

    Its rows are scaled to length 1. `dim` is learnt from the first vectors it gives; asking for it
    earlier costs one call. Texts and questions alike are embedded as texts.

    Args:
        model: any LlamaIndex embedding model.
        name: identifies the vectors; by default the kind of model and its own name.
        secrets: texts that no error may show.
    """
    return _LlamaIndexEmbedder(model, name or f"{model.class_name()}/{model.model_name}", secrets)


class _LlamaIndexEmbedder:
    def __init__(self, model: BaseEmbedding, name: str, secrets: Sequence[str] = ()) -> None:
        self.name = name
        self._secrets = secrets
        self._model = model
        self._dim = 0

    @property
    def dim(self) -> int:
        if not self._dim:
            self.embed(["dimension"])
        return self._dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        try:
            rows = self._model.get_text_embedding_batch(list(texts))
        except Exception as error:
            raise to_model_error(error, self.name, self._secrets) from error
        vectors = self._checked(rows, len(texts))
        self._dim = vectors.shape[1]
        return normalize_rows(vectors)

    def _checked(self, rows: Sequence[Sequence[float]], count: int) -> NDArray[np.float32]:
        try:
            vectors = np.array(rows, np.float32)
        except (ValueError, TypeError) as error:
            raise self._invalid("vectors of different lengths, or no numbers") from error
        if vectors.ndim != 2 or not vectors.size or len(vectors) != count:
            raise self._invalid(f"an array of shape {vectors.shape} for {count} texts")
        if self._dim not in (0, vectors.shape[1]):
            raise self._invalid(f"{vectors.shape[1]} dimensions after {self._dim}")
        if not (np.isfinite(vectors).all() and vectors.any(axis=1).all()):
            raise self._invalid("a vector that is zero or not finite")
        return vectors

    def _invalid(self, what: str) -> ModelReplyInvalid:
        return ModelReplyInvalid(
            f"The embedding model {self.name} gave {what}; check the model's name and server."
        )


@cache
def _adapter_class() -> Any:
    """The adapter's class, made on first use because its base costs a second to import."""
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr

    class PapertrailEmbedding(BaseEmbedding):
        """An embedder of Papertrail behind LlamaIndex's interface."""

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
            return self._get_text_embedding(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return await asyncio.to_thread(self._get_text_embedding, query)

    return PapertrailEmbedding
