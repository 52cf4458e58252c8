"""The two protocols of embedders that the index and retrieval know. `MiniLM` satisfies both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding


class Embedder(Protocol):
    """Anything that turns texts into vectors whose cosine is their similarity."""

    @property
    def name(self) -> str:
        """Name of the vectors. Under another name an index must be rebuilt."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector, at least 1."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors in the order given, shape (len(texts), dim), rows of length 1."""
        ...


class TokenEmbedder(Embedder, Protocol):
    """Embedder that also gives one vector per token, for late interaction."""

    @property
    def token_dim(self) -> int:
        """Length of a token vector, at least 1."""
        ...

    def encode(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Encoding]:
        """Yield the pooled and token vectors of each text, in the order given."""
        ...


def has_token_vectors(embedder: Embedder) -> TypeGuard[TokenEmbedder]:
    """Return whether an embedder gives token vectors too."""
    return callable(getattr(embedder, "encode", None))
