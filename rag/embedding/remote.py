"""Check and scale what embedding models send, those of servers and of LlamaIndex alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rag.embedding.encoder import normalize_rows
from rag.errors import ModelReplyInvalid
from rag.llm.errors import retry, to_model_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Rows = Sequence[Sequence[float]]


class RemoteEmbedder:
    """Embedder over a function that asks a model for vectors.

    `dim` is learnt from the first vectors. Reading it earlier costs one request.
    """

    def __init__(
        self,
        name: str,
        request: Callable[[list[str]], Rows],
        *,
        request_question: Callable[[str], Sequence[float]] | None = None,
        retries: int = 0,
        secrets: Sequence[str] = (),
    ) -> None:
        """Wrap the requests to a model.

        Args:
            name: of the vectors.
            request: returns one row for each text. Its errors become `ModelError`.
            request_question: returns the row of a question, for models that read them differently.
            retries: further tries after a passing failure. 0 for requests that retry by themselves.
            secrets: texts that no error may show.
        """
        self.name = name
        self._request = request
        self._request_question = request_question
        self._retries = retries
        self._secrets = secrets
        self._dim = 0

    @property
    def dim(self) -> int:
        """Length of a vector."""
        if not self._dim:
            self.embed(["dimension"])
        return self._dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors in the order given, shape (len(texts), dim), rows of length 1.

        Raises:
            ModelError: the model failed, or sent something other than such vectors.
        """
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return self._embed(partial(self._request, list(texts)), len(texts))

    def embed_question(self, question: str) -> NDArray[np.float32]:
        """Return the vector of a question, shape (dim,), length 1.

        Raises:
            ModelError: as `embed`.
        """
        ask = self._request_question
        vectors = self.embed([question]) if ask is None else self._embed(lambda: [ask(question)], 1)
        vector: NDArray[np.float32] = vectors[0]
        return vector

    def _embed(self, request: Callable[[], Rows], count: int) -> NDArray[np.float32]:
        def send() -> Rows:
            try:
                return request()
            except Exception as error:
                raise to_model_error(error, self.name, self._secrets) from error

        vectors = self._check(retry(send, self._retries), count)
        self._dim = vectors.shape[1]
        return normalize_rows(vectors)

    def _check(self, rows: Rows, count: int) -> NDArray[np.float32]:
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

    def _invalid(self, found: str) -> ModelReplyInvalid:
        return ModelReplyInvalid(
            f"The embedding model {self.name} sent {found}. Check the model's name and server."
        )
