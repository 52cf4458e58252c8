"""Papertrail: question answering over paper abstracts in which every sentence can be checked.

    from rag import Assistant

    with Assistant.open() as assistant:
        answer = assistant.ask("how can a byte-level model skip tokens it does not need?")
        print(answer.to_markdown())

Public names are loaded when they are first used, so that `import rag` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.answer import (
        Answer,
        AnswerEvent,
        Citation,
        Done,
        Statement,
        Status,
        Step,
        Text,
        Turn,
        Verified,
    )
    from rag.answer.conversation import Conversation
    from rag.assistant import Assistant
    from rag.embedding import Embedder, as_llama_index, from_llama_index
    from rag.embedding.minilm import load_minilm
    from rag.errors import RagError
    from rag.index import Filter, IndexReport
    from rag.index.passages import Passage, split_paper
    from rag.llm import ModelCall, Usage
    from rag.papers import Paper
    from rag.readers import Refused, iter_papers, read_papers
    from rag.retrieval import Hit, Retrieval
    from rag.settings import Settings, load_settings
    from rag.verification import Quote, Verification, verify

__version__ = "0.2.0"

_HOMES = {
    "rag.answer": (
        "Answer",
        "AnswerEvent",
        "Citation",
        "Done",
        "Statement",
        "Status",
        "Step",
        "Text",
        "Turn",
        "Verified",
    ),
    "rag.assistant": ("Assistant",),
    "rag.answer.conversation": ("Conversation",),
    "rag.errors": ("RagError",),
    "rag.index": ("Filter", "IndexReport"),
    "rag.embedding.minilm": ("load_minilm",),
    "rag.embedding": ("Embedder", "as_llama_index", "from_llama_index"),
    "rag.llm": ("ModelCall", "Usage"),
    "rag.papers": ("Paper",),
    "rag.index.passages": ("Passage", "split_paper"),
    "rag.readers": ("Refused", "iter_papers", "read_papers"),
    "rag.retrieval": ("Hit", "Retrieval"),
    "rag.settings": ("Settings", "load_settings"),
    "rag.verification": ("Quote", "Verification", "verify"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "AnswerEvent",
    "Assistant",
    "Citation",
    "Conversation",
    "Done",
    "Embedder",
    "Filter",
    "Hit",
    "IndexReport",
    "ModelCall",
    "Paper",
    "Passage",
    "Quote",
    "RagError",
    "Refused",
    "Retrieval",
    "Settings",
    "Statement",
    "Status",
    "Step",
    "Text",
    "Turn",
    "Usage",
    "Verification",
    "Verified",
    "__version__",
    "as_llama_index",
    "from_llama_index",
    "iter_papers",
    "load_minilm",
    "load_settings",
    "read_papers",
    "split_paper",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rag' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
