"""Choose the embedder that the settings name: bundled, of a folder, class or server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rag.embedding.folder import load_encoder
from rag.embedding.llama_index import make_llama_index_embedder
from rag.embedding.minilm import load_minilm
from rag.embedding.remote import RemoteEmbedder
from rag.errors import SettingsError
from rag.llm.cancel import run
from rag.llm.errors import retry, to_model_error
from rag.llm.servers import make_openai_client, resolve_server

if TYPE_CHECKING:
    from rag.embedding.protocol import Embedder
    from rag.embedding.remote import Rows
    from rag.settings import Settings

_BATCH_TEXTS = 100  # per request


def make_embedder(settings: Settings) -> Embedder:
    """Return the embedder that the settings name, or the bundled one.

    Raises:
        SettingsError: a folder has no usable encoder, a class is no LlamaIndex embedding, a key is
            missing or malformed, an address is not valid, or the settings name two embedders.
    """
    if settings.embedder and settings.embed_model:
        first, second = (settings.origin[name] for name in ("embedder", "embed_model"))
        raise SettingsError(
            f"Both embedder (from {first}) and embed_model (from {second}) are set. Unset one."
        )
    is_class = settings.embedder is not None and not settings.embedder.is_dir()
    if settings.embedder_args and not is_class:
        raise SettingsError(
            "embedder_args is set but no class. Name one of LlamaIndex with --embedder (embedder)."
        )
    if is_class:
        return make_llama_index_embedder(settings)
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
