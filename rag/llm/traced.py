"""Keep the calls to a language model, so that a trace can show what was sent and what came back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag.errors import ModelError
from rag.llm.client import ChatModel
from rag.llm.errors import hide_secrets
from rag.llm.reply import NO_USAGE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rag.llm.client import Message
    from rag.llm.reply import Reply, Usage


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call to a language model: what was sent and what came back. Keys read "***".

    Attributes:
        prompt: name of the prompt file, such as "answer", or "minicheck".
        model: name of the model.
        messages: as they were sent.
        reply: as it came, thoughts included.
        usage: calls (0 if nothing came back) and tokens.
        seconds: from the request to the end of the reply, with all tries.
        error: why there is no whole reply, else "".
    """

    prompt: str
    model: str
    messages: tuple[Message, ...]
    reply: str
    usage: Usage
    seconds: float
    error: str


@dataclass(slots=True)
class CallRecord:
    """One call, perhaps still under way."""

    prompt: str
    model: str
    messages: Sequence[Message]
    started: float
    ended: float | None = None
    reply: Reply | None = None
    error: str = ""

    def to_call(self, secrets: Collection[str]) -> ModelCall:
        """Return the call as it is now, without secrets."""
        reply = self.reply
        ended = self.ended or (reply and reply.ended) or time.perf_counter()
        return ModelCall(
            prompt=self.prompt,
            model=self.model,
            messages=tuple(replace(m, text=hide_secrets(m.text, secrets)) for m in self.messages),
            reply=hide_secrets(reply.raw, secrets) if reply else "",
            usage=reply.usage if reply else NO_USAGE,
            seconds=ended - self.started,
            error=hide_secrets(reply.broken if reply else self.error, secrets),
        )


class TracedModel(ChatModel):
    """A chat model that keeps its calls. It shares the connections of the model it is made from."""

    def __init__(self, model: ChatModel, records: list[CallRecord]) -> None:
        """Copy a model. Each call is added to `records` when it is sent."""
        vars(self).update(vars(model))
        self._records = records

    def reply(
        self,
        messages: Sequence[Message],
        *,
        prompt: str = "",
        schema: dict[str, Any] | None = None,
    ) -> Reply:
        """Send a prompt and return the reply as soon as it begins, like `ChatModel.reply`."""
        record = CallRecord(prompt, self.name, messages, time.perf_counter())
        self._records.append(record)
        try:
            record.reply = super().reply(messages, schema=schema)
        except ModelError as error:
            record.error, record.ended = str(error), time.perf_counter()
            raise
        return record.reply
