"""Language models: clients, streamed replies, errors, tokens and cost."""

from rag.llm.cancel import Stop
from rag.llm.client import ChatModel, Message
from rag.llm.errors import to_model_error
from rag.llm.llama_index import adapt_llm
from rag.llm.reply import Reply, Usage
from rag.llm.servers import is_minicheck, make_chat_model, make_check_model, make_judge_model
from rag.llm.traced import ModelCall

__all__ = [
    "ChatModel",
    "Message",
    "ModelCall",
    "Reply",
    "Stop",
    "Usage",
    "adapt_llm",
    "is_minicheck",
    "make_chat_model",
    "make_check_model",
    "make_judge_model",
    "to_model_error",
]
