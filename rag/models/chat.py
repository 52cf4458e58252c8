"""`ChatModel`: one language model, asked over and over, with every failure told in our words.

A model is any LlamaIndex `LLM`. Every call streams, so that time-outs, cuts and the end of a reply
are seen in one way. Retries happen here and nowhere else; a reply that has begun is never retried.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid
from rag.models.errors import as_model_error
from rag.models.thinking import ThoughtFilter, behind_lone_close
from rag.text import count_tokens

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from httpx import Response
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse
    from llama_index.core.llms import LLM
    from tenacity import RetryCallState

LONGEST_WAIT_S = 30.0  # that a server's Retry-After is obeyed for
DEFAULT_WINDOW = 8192  # tokens, for a model of which nothing is known
_DROPPABLE = ("temperature", "stream_options")  # what some models and servers refuse

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What language models were asked for; all 0 in extractive mode.

    Attributes:
        calls: requests that were answered.
        prompt_tokens: read by the model.
        completion_tokens: written by it.
        estimated: whether some tokens were counted here, for want of the server's figures.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
        )


NO_USAGE = Usage()


class Reply:
    """A reply as it comes: iterate it for the text; the rest is known when it has ended.

    Attributes:
        text: what came so far, without thoughts.
        usage: of the call.
        broken: why the reply is not whole (cut, length limit, filter), else empty.
        restarted: whether text that was handed out turned out to be thought.
    """

    def __init__(
        self,
        chunks: Iterator[ChatResponse],
        prompt_tokens: int,
        model: ChatModel,
        response: Response | None,
    ) -> None:
        self.text = ""
        self.broken = ""
        self.restarted = False
        self._chunks = chunks
        self._model = model
        self._prompt_tokens = prompt_tokens
        self._raw_length = 0
        self._counted: tuple[int, int] | None = None
        self._finish: str | None = None
        self._tells_finish = False
        self._ended = False
        self._response = response

    def __iter__(self) -> Iterator[str]:
        thoughts = ThoughtFilter()
        try:
            for chunk in self._chunks:
                delta = chunk.delta or ""
                self._raw_length += len(delta)
                self._notice(chunk)
                if shown := thoughts.feed(delta):
                    self.text += shown
                    yield shown
            self._ended = True
        except Exception as error:  # noqa: BLE001 - every vendor has errors of its own
            self._break(as_model_error(error, self._model.name, self._model.secrets), error)
        finally:
            self.close()
        if rest := thoughts.finish():
            self.text += rest
            yield rest
        self._end()

    def close(self) -> None:
        """Ends the request at once; harmless when the reply has ended."""
        if self._ended:
            return
        self._ended = True
        close = getattr(self._chunks, "close", None)
        if close:
            close()
        if self._response is not None:
            self._response.close()
        else:  # a client may hold its connection in a cycle, which only the collector lets go of
            gc.collect()

    @property
    def usage(self) -> Usage:
        """The server's figures, or ours where it gives none."""
        if self._counted:
            return Usage(1, *self._counted)
        written = self._raw_length - len(self.text)  # thoughts: about four characters a token
        return Usage(1, self._prompt_tokens, count_tokens(self.text) + written // 4, estimated=True)

    def _notice(self, chunk: ChatResponse) -> None:
        raw = chunk.raw
        choices = getattr(raw, "choices", None)
        if isinstance(choices, list):
            self._tells_finish = True
            if choices and choices[0].finish_reason:
                self._finish = choices[0].finish_reason
        counted = getattr(raw, "usage", None)
        if counted is not None and getattr(counted, "prompt_tokens", None) is not None:
            self._counted = (int(counted.prompt_tokens), int(counted.completion_tokens or 0))

    def _break(self, failure: ModelError, error: Exception) -> None:
        if not self.text.strip():
            raise failure from error
        self.broken = f"the reply was cut off: {failure}"

    def _end(self) -> None:
        behind = behind_lone_close(self.text)
        if behind is not None:
            self.text, self.restarted = behind, True
        if not self.broken:
            self.broken = self._why_not_whole()
        if not self.text.strip():
            why = self.broken or "check that the server speaks this protocol, or ask again"
            raise ModelReplyInvalid(f"The model {self._model.name} gave an empty reply; {why}.")

    def _why_not_whole(self) -> str:
        if self._finish == "length":
            return "the reply reached the model's length limit"
        if self._finish == "content_filter":
            return "the server's content filter cut the reply"
        if self._tells_finish and self._finish is None:
            return "the connection ended before the reply did"
        return ""


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
        """
        self._close = close
        self._responses = responses
        self._llm = llm
        self._parameters = dict(parameters or {})
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
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        retrying = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, ModelError) and e.retryable),
            stop=stop_after_attempt(self._retries + 1),
            wait=_wait,
            reraise=True,
        )
        tokens = sum(count_tokens(message.text) + 4 for message in messages)
        chunks = retrying(self._begin, messages)
        return Reply(chunks, tokens, self, getattr(self._responses, "last", None))

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

    def _begin(self, messages: Sequence[Message]) -> Iterator[ChatResponse]:
        """The reply's chunks, the first of which has come."""
        try:
            chunks = iter(self._llm.stream_chat(_native(messages), **self._given()))
            first = next(chunks, None)
        except Exception as error:
            if self._drop_refused(error):
                return self._begin(messages)
            raise as_model_error(error, self.name, self.secrets) from error
        if first is None:
            raise ModelReplyInvalid(
                f"The model {self.name} gave an empty reply; check that its address ends in /v1 "
                "and that the server speaks OpenAI's protocol."
            )
        return _with_first(first, chunks)

    def _given(self) -> dict[str, Any]:
        """Parameters of a call; what was dropped is sent as "not given"."""
        if not self._parameters:
            return {}
        from openai import omit

        return {n: omit if value is None else value for n, value in self._parameters.items()}

    def _drop_refused(self, error: Exception) -> bool:
        """Leaves out a parameter that the server's refusal names; whether there was one."""
        if not isinstance(as_model_error(error, self.name), ModelRejected):
            return False
        said = str(error).casefold()
        for name in _DROPPABLE:
            if self._parameters.get(name) is not None and name in said:
                self._parameters[name] = None
                return True
        return False


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


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: as the server asks, else doubling with jitter."""
    from tenacity import wait_random_exponential

    failure = state.outcome.exception() if state.outcome else None
    asked = getattr(failure, "retry_after_s", None)
    if asked is not None:
        return min(float(asked), LONGEST_WAIT_S)
    return float(wait_random_exponential(multiplier=0.5, max=8)(state))
