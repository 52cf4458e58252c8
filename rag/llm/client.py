"""`ChatModel`: one language model, asked over and over, with every failure told in our words.

A model is any LlamaIndex `LLM`. Every call streams, so that time-outs, cuts and the end of a reply
are seen in one way. Retries happen here and nowhere else; a reply that has begun is never retried.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, SettingsError
from rag.llm.cancel import is_stopped
from rag.llm.errors import to_model_error
from rag.llm.reply import Reply
from rag.llm.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llama_index.core.base.llms.types import ChatMessage, ChatResponse
    from llama_index.core.llms import LLM
    from tenacity import RetryCallState

LONGEST_WAIT_S = 30.0  # a server that asks for more (Retry-After) is not tried again
DEFAULT_WINDOW = 8192  # tokens, for a model of which nothing is known
_DROPPABLE = ("temperature", "stream_options")  # what some models and servers refuse

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Role
    text: str


class ChatModel:
    """A LlamaIndex language model with our retries, errors and token figures."""

    def __init__(
        self,
        llm: LLM,
        *,
        window: int | None = None,
        retries: int = 0,
        parameters: dict[str, Any] | None = None,
        secrets: Sequence[str] = (),
        responses: threading.local | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        """Wraps a model.

        Args:
            llm: any LlamaIndex language model that can chat.
            window: tokens it can read; None asks the model, which may not know.
            retries: more tries after a passing failure; 0 for a model that retries by itself.
            parameters: passed with every call; left out when the server refuses one by name.
            secrets: texts that no error may show.
            responses: its `last` is the thread's newest HTTP response, which ends with the reply.
            close: lets go of the model's connections.

        Raises:
            SettingsError: `llm` is no language model.
        """
        if not {"stream_chat", "metadata"} <= set(dir(llm)):
            raise SettingsError(
                f"A language model was given as {type(llm).__name__}; give a LlamaIndex LLM, or "
                "name a model with --model (PAPERTRAIL_CHAT_MODEL)."
            )
        self._close = close
        self._responses = responses
        self._llm = llm
        self._parameters: Mapping[str, Any] = dict(parameters or {})  # replaced, never changed
        self._lock = threading.Lock()
        self._retries = retries
        self.secrets = tuple(secrets)
        self.name = str(getattr(llm, "model", None) or llm.metadata.model_name)
        self.window = window or _window_of(llm)

    def reply(self, messages: Sequence[Message]) -> Reply:
        """Sends a prompt; returns when the reply has begun.

        Raises:
            ModelUnavailable: not reached, or failing after the last try.
            ModelRejected: refused (key, name, request).
            ModelReplyInvalid: what came cannot be read.
        """
        return Reply(
            self._begin_with_retries(messages),
            sum(count_tokens(message.text) + 4 for message in messages),
            model=self.name,
            secrets=self.secrets,
            response=getattr(self._responses, "last", None),
        )

    def close(self) -> None:
        """Lets go of the connections that were opened for this model; it cannot be asked again."""
        if self._close:
            self._close()

    def complete(self, messages: Sequence[Message]) -> Reply:
        """Sends a prompt and reads the whole reply.

        Raises:
            ModelError: as `reply`; and `ModelReplyInvalid` for a reply that is not whole.
        """
        reply = self.reply(messages)
        for _ in reply:
            pass
        if reply.broken:
            raise ModelReplyInvalid(f"The model {self.name}: {reply.broken}; ask again.")
        return reply

    def _begin_with_retries(self, messages: Sequence[Message]) -> Iterator[ChatResponse]:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        retrying = Retrying(
            retry=retry_if_exception(_is_worth_another_try),
            stop=stop_after_attempt(self._retries + 1),
            wait=_wait,
            reraise=True,
        )
        try:
            return retrying(self._begin, messages)
        except ModelError as error:
            tries = retrying.statistics["attempt_number"]
            if tries == 1:
                raise
            raise type(error)(
                f"{error} It was tried {tries} times.",
                retryable=error.retryable,
                retry_after_s=error.retry_after_s,
            ) from error.__cause__

    def _begin(self, messages: Sequence[Message]) -> Iterator[ChatResponse]:
        """The reply's chunks, the first of which has come."""
        sent = self._parameters
        try:
            chunks = iter(self._llm.stream_chat(_native(messages), **_given(sent)))
            first = next(chunks, None)
        except Exception as error:
            if self._drop_refused(error, sent):
                return self._begin(messages)
            raise to_model_error(error, self.name, self.secrets) from error
        if first is None:
            raise ModelReplyInvalid(
                f"The model {self.name} gave an empty reply; check that its address ends in /v1 "
                "and that the server speaks OpenAI's protocol."
            )
        return _with_first(first, chunks)

    def _drop_refused(self, error: Exception, sent: Mapping[str, Any]) -> bool:
        """Leaves out a parameter that the server's refusal names; whether the call sent it."""
        if not isinstance(to_model_error(error, self.name), ModelRejected):
            return False
        said = str(error).casefold()
        for name in _DROPPABLE:
            if sent.get(name) is not None and name in said:
                with self._lock:  # another thread may be dropping another one
                    self._parameters = {**self._parameters, name: None}
                return True
        return False


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a call takes them; what was dropped is sent as "not given"."""
    if not parameters:
        return {}
    from openai import omit

    return {name: omit if value is None else value for name, value in parameters.items()}


def _with_first(first: ChatResponse, rest: Iterator[ChatResponse]) -> Iterator[ChatResponse]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close:
            close()


def _native(messages: Sequence[Message]) -> list[ChatMessage]:
    from llama_index.core.base.llms.types import ChatMessage, MessageRole

    return [ChatMessage(role=MessageRole(m.role), content=m.text) for m in messages]


def _window_of(llm: LLM) -> int:
    """What the model says it can read, or a size that every model in use can."""
    try:
        return int(llm.metadata.context_window)
    except (ValueError, AttributeError):
        return DEFAULT_WINDOW


def _is_worth_another_try(error: BaseException) -> bool:
    """Whether the failure passes, and so soon that a reader waits for it."""
    if not isinstance(error, ModelError) or not error.retryable or is_stopped():
        return False
    return error.retry_after_s is None or error.retry_after_s <= LONGEST_WAIT_S


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: as the server asks, else doubling with jitter."""
    from tenacity import wait_random_exponential

    failure = state.outcome.exception() if state.outcome else None
    asked = getattr(failure, "retry_after_s", None)
    if asked is not None:
        return float(asked)
    return float(wait_random_exponential(multiplier=0.5, max=8)(state))
