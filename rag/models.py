"""What an embedder is, and the doors to and from LlamaIndex.

The index and retrieval know an embedder only by the two protocols here. The bundled one
(`rag.minilm`) satisfies both; any LlamaIndex `BaseEmbedding` becomes one by `from_llama_index`,
and ours serves LlamaIndex by `as_llama_index`. Errors of vendors become errors of `rag.errors` in
this module and nowhere else. LlamaIndex costs over a second to import, so it is imported inside
the functions that need it, and its global Settings are never read or set.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, ModelUnavailable
from rag.minilm import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from numpy.typing import NDArray

    from rag.minilm import Encoding

# Statuses after which the same call may succeed: timeout, conflict, too many requests, and every
# failure of the server itself (500 and above).
PASSING_STATUSES = frozenset({408, 409, 425, 429})
LONGEST_QUOTE = 200


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


def gives_tokens(embedder: Embedder) -> TypeGuard[TokenEmbedder]:
    """Whether an embedder gives token vectors too."""
    return callable(getattr(embedder, "encode", None))


def as_llama_index(embedder: Embedder) -> BaseEmbedding:
    """The embedder as a LlamaIndex embedding model, for use in LlamaIndex's own parts."""
    adapter: BaseEmbedding = _adapter_class()(embedder)
    return adapter


def from_llama_index(model: BaseEmbedding, *, name: str | None = None) -> Embedder:
    """A LlamaIndex embedding model as an embedder.

    Its rows are scaled to length 1. `dim` is learnt from the first vectors it gives; asking for it
    earlier costs one call. Texts and questions alike are embedded as texts.

    Args:
        model: any LlamaIndex embedding model.
        name: identifies the vectors; by default the kind of model and its own name.
    """
    return _LlamaIndexEmbedder(model, name or f"{model.class_name()}/{model.model_name}")


class _LlamaIndexEmbedder:
    def __init__(self, model: BaseEmbedding, name: str) -> None:
        self.name = name
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
            raise as_model_error(error, self.name) from error
        vectors = self._checked(rows, len(texts))
        self._dim = vectors.shape[1]
        return unit_rows(vectors)

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


def as_model_error(error: Exception, model: str) -> ModelError:
    """The error of ours that says what a vendor's error means.

    An HTTP status decides if there is one: 408, 409, 425, 429 and 500 or more mean unavailable and
    worth another try, other statuses from 400 mean rejected. Without a status, a failed connection
    or timeout (also as the cause of the vendor's error) means unavailable, a reply that does not
    parse means invalid, a missing package or anything else unavailable for good.

    Args:
        error: what the vendor's client raised; the caller raises the result `from` it.
        model: the model's name, for the message.
    """
    if isinstance(error, ModelError):
        return error
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:LONGEST_QUOTE]}"
    status = _status(error)
    if status is not None and status >= 400:
        return _of_status(status, model, said)
    if _is_connection_failure(error):
        return ModelUnavailable(
            f"The model {model} was not reached ({said}); check the network and the server's "
            "address, or try again.",
            retryable=True,
        )
    if isinstance(error, (ValueError, KeyError, IndexError, TypeError)):
        return ModelReplyInvalid(
            f"The reply of the model {model} cannot be read ({said}); check that the server speaks "
            "this protocol."
        )
    return ModelUnavailable(f"The model {model} failed ({said}); check its settings.")


def _of_status(status: int, model: str, said: str) -> ModelError:
    if status in PASSING_STATUSES or status >= 500:
        return ModelUnavailable(
            f"The model {model} is not available now (HTTP {status}; {said}); try again later.",
            retryable=True,
        )
    return ModelRejected(
        f"The model {model} refused the call (HTTP {status}; {said}); check its name and the key."
    )


def _status(error: Exception) -> int | None:
    """The HTTP status in an error of openai, httpx or requests, or None."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _is_connection_failure(error: BaseException | None) -> bool:
    """Whether the error, or a cause of it, is of the network."""
    import httpx

    while error is not None:
        if isinstance(error, (httpx.TransportError, OSError)):
            return True
        error = error.__cause__
    return False


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
