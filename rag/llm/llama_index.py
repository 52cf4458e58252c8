"""Use any LlamaIndex language model that a caller passes in as a `ChatModel`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.llm.cancel import check_cancelled
from rag.llm.client import DEFAULT_RESERVE, DEFAULT_WINDOW, ChatModel
from rag.llm.reply import Chunk, read_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.llms import LLM

    from rag.llm.client import Message


def adapt_llm(llm: LLM, *, window: int | None = None, reserve: int = DEFAULT_RESERVE) -> ChatModel:
    """Return a LlamaIndex model as a `ChatModel`. It retries by itself or not at all.

    Args:
        llm: any LlamaIndex language model that can chat.
        window: tokens that it can read. None asks the model.
        reserve: tokens of the window for the reply.

    Raises:
        SettingsError: `llm` is not a language model.
    """
    if not {"stream_chat", "metadata"} <= set(dir(llm)):
        raise SettingsError(
            f"{type(llm).__name__} is not a LlamaIndex LLM. Pass a LlamaIndex LLM, or name a model "
            "with --model (PAPERTRAIL_CHAT_MODEL)."
        )
    return ChatModel(_LlamaIndexClient(llm, window), reserve=reserve)


class _LlamaIndexClient:
    takes_schema = False

    def __init__(self, llm: LLM, window: int | None) -> None:
        self.name = str(getattr(llm, "model", None) or llm.metadata.model_name)
        self.window = window or _read_window(llm)
        self._llm = llm

    def stream(
        self,
        messages: Sequence[Message],
        most_tokens: int,  # noqa: ARG002 - the model has a limit of its own
        schema: dict[str, Any] | None,  # noqa: ARG002 - not every model takes one
    ) -> Generator[Chunk]:
        from llama_index.core.base.llms.types import ChatMessage, MessageRole

        check_cancelled()
        responses = self._llm.stream_chat(
            [ChatMessage(role=MessageRole(m.role), content=m.text) for m in messages]
        )
        finish = "stop"
        try:
            for response in responses:
                check_cancelled()
                if isinstance(getattr(response.raw, "choices", None), list):
                    finish = ""  # such a model sends a finish_reason of its own
                yield replace(read_chunk(response.raw), text=response.delta or "")
        finally:
            if isinstance(responses, Generator):
                responses.close()
        yield Chunk(finish=finish)

    def close(self) -> None:
        """Leave the connections to the caller, who made the model."""


def _read_window(llm: LLM) -> int:
    """Return the model's own figure, or a size that every model in use can read."""
    try:
        return int(llm.metadata.context_window)
    except (ValueError, AttributeError):
        return DEFAULT_WINDOW
