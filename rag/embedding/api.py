"""The embedder that the settings name: a server's, or the bundled one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rag.embedding.protocol import from_llama_index
from rag.llm.servers import openai_client, resolve_server, secrets_of

if TYPE_CHECKING:
    from rag.embedding.protocol import Embedder
    from rag.settings import Settings


def make_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name: a server's, or the bundled one.

    Raises:
        SettingsError: a key is missing or cannot be sent, or an address is none.
    """
    if not settings.embed_model:
        from rag.embedding.minilm import load_minilm

        return load_minilm(threads=settings.threads)
    server = resolve_server(settings, "embed")
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(
        model_name=settings.embed_model,
        api_base=server.url,
        api_key=server.key,
        max_retries=settings.chat_retries + 1,  # it counts tries; the client under it makes one
        timeout=settings.chat_timeout_s,
    )
    # It takes no client by argument.
    model._client = openai_client(server, settings, threading.local(), kept=8)  # noqa: SLF001
    return from_llama_index(
        model, name=f"{settings.embed_model} at {server.host}", secrets=secrets_of(server)
    )
