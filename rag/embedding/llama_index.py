"""Use LlamaIndex embedding models here, and ours in LlamaIndex.

LlamaIndex takes over a second to import, so only the functions that need it import it. Its global
Settings are never read or set.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from rag.embedding.protocol import encode_question
from rag.embedding.remote import RemoteEmbedder
from rag.llm.cancel import iterate
from rag.llm.component import list_secrets, make_component
from rag.settings import find_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding

    from rag.embedding.protocol import Embedder
    from rag.settings import Settings

# Arguments that change how vectors are made, and not what they are.
_NEUTRAL = {
    "embed_batch_size", "num_workers", "max_retries", "timeout", "reuse_client", "show_progress",
    "device", "threads", "cache_dir", "cache_folder",
}  # fmt: skip


def from_llama_index(model: BaseEmbedding, *, name: str | None = None) -> Embedder:
    """Return a LlamaIndex embedding model as an embedder.

    Its rows are scaled to length 1. Questions are embedded by the model's own function for them.

    Args:
        model: any LlamaIndex embedding model.
        name: name of the vectors. By default the kind of model and its own name.
    """
    return _adapt(model, name or f"{model.class_name()}/{model.model_name}")


def make_llama_index_embedder(settings: Settings) -> Embedder:
    """Return the embedder of the class that the settings name as `embedder`.

    Its name holds the class and the arguments that decide what the vectors are, so that the error
    about an index of another embedder says what to set.

    Raises:
        SettingsError: the class is none, its package is missing, or its arguments are wrong.
    """
    from llama_index.core.base.embeddings.base import BaseEmbedding

    model = make_component(settings, "embedder", BaseEmbedding)  # type: ignore[type-abstract]
    arguments = {
        name: value
        for name, value in sorted((settings.embedder_args or {}).items())
        if name not in _NEUTRAL and not isinstance(value, SecretStr) and "://" not in str(value)
    }
    if model.model_name not in ("unknown", *arguments.values()):
        arguments = {"model_name": model.model_name, **arguments}
    described = json.dumps(arguments, ensure_ascii=False, default=lambda _: "***")
    return _adapt(
        model,
        f"{settings.embedder} {described}",
        retries=0 if getattr(model, "max_retries", 0) else settings.chat_retries,
        secrets=find_secrets(settings.embedder_args),
    )


def _adapt(
    model: BaseEmbedding, name: str, *, retries: int = 0, secrets: Sequence[str] = ()
) -> Embedder:
    return RemoteEmbedder(
        name,
        partial(_call, model.get_text_embedding_batch),
        request_question=partial(_call, model.get_query_embedding),
        retries=retries,
        secrets=(*secrets, *list_secrets(model)),
    )


def _call(embed: Callable[[Any], Any], texts: Any) -> Any:
    """Call a function of the model in a thread of its own, so that a stop ends the wait for it."""
    return next(iterate(lambda: [embed(texts)]))


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
