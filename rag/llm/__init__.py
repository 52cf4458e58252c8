"""Language models: client, replies as they stream, errors, tokens and cost."""

from rag.llm.cancel import Stop
from rag.llm.client import ChatModel, Message
from rag.llm.errors import to_model_error
from rag.llm.reply import Reply, Usage
from rag.llm.servers import make_chat_model, make_judge_model

__all__ = [
    "ChatModel",
    "Message",
    "Reply",
    "Stop",
    "Usage",
    "make_chat_model",
    "make_judge_model",
    "to_model_error",
]
