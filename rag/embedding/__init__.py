"""Embedders: the protocol, the bundled MiniLM, folders, servers, and adapters for LlamaIndex."""

from rag.embedding.api import make_embedder
from rag.embedding.llama_index import as_llama_index, from_llama_index
from rag.embedding.protocol import (
    Embedder,
    Encoding,
    TokenEmbedder,
    encode_question,
    has_token_vectors,
)

__all__ = [
    "Embedder",
    "Encoding",
    "TokenEmbedder",
    "as_llama_index",
    "encode_question",
    "from_llama_index",
    "has_token_vectors",
    "make_embedder",
]
