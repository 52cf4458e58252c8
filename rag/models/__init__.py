"""Models from outside behind small interfaces: embedders, chat models, and their errors."""

from rag.models.embedders import (
    Embedder,
    TokenEmbedder,
    as_llama_index,
    from_llama_index,
    gives_tokens,
)
from rag.models.errors import as_model_error

__all__ = [
    "Embedder",
    "TokenEmbedder",
    "as_llama_index",
    "as_model_error",
    "from_llama_index",
    "gives_tokens",
]
