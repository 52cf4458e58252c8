"""Models from outside behind small interfaces: embedders, chat models, and their errors."""

from rag.models.chat import ChatModel, Message
from rag.models.embedders import (
    Embedder,
    TokenEmbedder,
    as_llama_index,
    from_llama_index,
    gives_tokens,
)
from rag.models.errors import as_model_error
from rag.models.reply import Reply, Usage
from rag.models.servers import make_chat_model, make_embedder, make_judge_model
from rag.models.stopping import Stop

__all__ = [
    "ChatModel",
    "Embedder",
    "Message",
    "Reply",
    "Stop",
    "TokenEmbedder",
    "Usage",
    "as_llama_index",
    "as_model_error",
    "from_llama_index",
    "gives_tokens",
    "make_chat_model",
    "make_embedder",
    "make_judge_model",
]
