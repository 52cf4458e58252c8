"""The two protocols of embedders that the index and retrieval know. `Encoder` satisfies both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Vectors of one text.

    The m word pieces are in the order of the text, without special tokens and without a prompt. An
    empty text has m = 0.

    Attributes:
        vector: the pooled vector, shape (dim,), float32, length 1.
        token_ids: vocabulary id of each piece, shape (m,), int32.
        tokens: one vector per piece, shape (m, token_dim), float32, rows of length 1.
        offsets: start and end of each piece in characters, shape (m, 2), int32.
        content: True for pieces that are neither a stop word nor punctuation, shape (m,).
    """

    vector: NDArray[np.float32]
    token_ids: NDArray[np.int32]
    tokens: NDArray[np.float32]
    offsets: NDArray[np.int32]
    content: NDArray[np.bool_]


class Embedder(Protocol):
    """Anything that turns texts into vectors whose cosine is their similarity.

    If it reads questions differently, it has a method `embed_question(question)` too, which returns
    one vector.
    """

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
    """Embedder that also gives one vector per token, for late interaction.

    If it reads questions differently, it has a method `encode_question(question) -> Encoding` too.
    """

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


def encode_question(embedder: Embedder, question: str) -> Encoding:
    """Return the vectors of a question. Without token vectors they have no tokens."""
    if hasattr(embedder, "encode_question"):
        encoding: Encoding = embedder.encode_question(question)
        return encoding
    if has_token_vectors(embedder):
        return next(iter(embedder.encode([question])))
    by_itself = getattr(embedder, "embed_question", None)
    return Encoding(
        vector=by_itself(question) if by_itself else embedder.embed([question])[0],
        token_ids=np.zeros(0, np.int32),
        tokens=np.zeros((0, 0), np.float32),
        offsets=np.zeros((0, 2), np.int32),
        content=np.zeros(0, np.bool_),
    )
