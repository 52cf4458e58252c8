"""Choose the embedder that the settings name: the bundled one, a folder's, or a server's.

`RemoteEmbedder` checks and scales what a model sends, for servers and for LlamaIndex models alike.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rag.embedding.encoder import normalize_rows
from rag.embedding.folder import load_encoder
from rag.embedding.minilm import load_minilm
from rag.errors import ModelReplyInvalid, SettingsError
from rag.llm.cancel import run
from rag.llm.errors import retry, to_model_error
from rag.llm.servers import make_openai_client, resolve_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from rag.embedding.protocol import Embedder
    from rag.settings import Settings

    Rows = Sequence[Sequence[float]]

_BATCH_TEXTS = 100  # per request


class RemoteEmbedder:
    """Embedder over a function that asks a model for vectors.

    `dim` is learnt from the first vectors. Reading it earlier costs one request.
    """

    def __init__(self, name: str, request: Callable[[list[str]], Rows]) -> None:
        """Take a function that returns one row for each text. Its errors become `ModelError`."""
        self.name = name
        self._request = request
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
        try:
            rows = self._request(list(texts))
        except Exception as error:
            raise to_model_error(error, self.name) from error
        vectors = self._check(rows, len(texts))
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


def make_embedder(settings: Settings) -> Embedder:
    """Return the embedder that the settings name: a folder's, a server's, or the bundled one.

    Raises:
        SettingsError: a folder has no usable encoder, a key is missing or malformed, an address is
            not valid, or the settings name two embedders.
    """
    if settings.embedder and settings.embed_model:
        first, second = (settings.origin[name] for name in ("embedder", "embed_model"))
        raise SettingsError(
            f"Both embedder (from {first}) and embed_model (from {second}) are set. Unset one."
        )
    if settings.embedder:
        return load_encoder(settings.embedder, threads=settings.threads)
    if not settings.embed_model:
        return load_minilm(threads=settings.threads)
    model = settings.embed_model
    server = resolve_server(settings, "embed")
    client = make_openai_client(server, settings)
    name = f"{model} at {server.host}"

    def request_batch(texts: list[str]) -> Rows:
        try:
            response = run(client.embeddings.create(model=model, input=texts))
            return [entry.embedding for entry in response.data]
        except Exception as error:
            raise to_model_error(error, name, server.secrets) from error

    def request(texts: list[str]) -> Rows:
        # Existing indexes hold vectors of texts without line breaks.
        lines = [text.replace("\n", " ") for text in texts]
        batches = [lines[i : i + _BATCH_TEXTS] for i in range(0, len(lines), _BATCH_TEXTS)]
        answers = [retry(partial(request_batch, each), settings.chat_retries) for each in batches]
        return [row for rows in answers for row in rows]

    return RemoteEmbedder(name, request)
