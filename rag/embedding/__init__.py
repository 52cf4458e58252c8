"""Embedders: the protocol, the bundled MiniLM, servers, and adapters for LlamaIndex."""

from rag.embedding.api import make_embedder
from rag.embedding.llama_index import as_llama_index, from_llama_index
from rag.embedding.protocol import Embedder, TokenEmbedder, has_token_vectors

__all__ = [
    "Embedder",
    "TokenEmbedder",
    "as_llama_index",
    "from_llama_index",
    "has_token_vectors",
    "make_embedder",
]
