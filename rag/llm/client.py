"""Ask a language model. `ChatModel` is what callers see, `ServerClient` speaks OpenAI's protocol.

Every call streams, so that time-outs, cuts and the end of a reply are seen in one way. Failures are
retried here and nowhere else. A reply that has begun is never retried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rag.errors import ModelError, ModelReplyInvalid
from rag.llm.cancel import run, schedule
from rag.llm.errors import is_about_length, may_be_about_schema, retry, to_chat_error
from rag.llm.reply import Chunk, Reply, ReplyRejected, get_usage, read_chunk
from rag.llm.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from openai import AsyncOpenAI

DEFAULT_WINDOW = 8192  # tokens, for a model of which nothing is known
DEFAULT_RESERVE = 1500  # tokens of it, kept free for the reply
# A reply may be so many times longer than what is reserved for it, because servers count the
# thoughts of a reasoning model as part of it.
_ROOM_TO_THINK = 4
# Names of the same parameter. OpenAI's newer models refuse the first one.
_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Role
    text: str


class ChatClient(Protocol):
    """Anything that streams one model's replies.

    Attributes:
        name: name of the model.
        window: tokens that it can read.
        takes_schema: whether to send it schemas. `ChatModel` stops that where they do not work.
    """

    name: str
    window: int
    takes_schema: bool

    def stream(
        self, messages: Sequence[Message], most_tokens: int, schema: dict[str, Any] | None
    ) -> Generator[Chunk]:
        """Send a prompt and yield the reply. Closing the generator ends the request.

        Args:
            messages: of the prompt.
            most_tokens: of the reply, thoughts included. The server may ignore it.
            schema: JSON schema of the reply. The server may ignore it.
        """
        ...

    def close(self) -> None:
        """Close the connections. The client cannot be used again."""
        ...


class ChatModel:
    """One language model, with retries, our errors and token figures. Threads may share it.

    Attributes:
        name: name of the model.
        window: tokens that it can read.
        reserve: tokens of the window that prompts leave free for the reply.
        server: address of its server or its LlamaIndex class, "" if a caller passed it in.
        secrets: texts that nobody may see, such as its key.
    """

    def __init__(
        self,
        client: ChatClient,
        *,
        reserve: int = DEFAULT_RESERVE,
        retries: int = 0,
        secrets: Sequence[str] = (),
        server: str = "",
    ) -> None:
        """Wrap a client.

        Args:
            client: sends the prompts.
            reserve: tokens for the reply, at most half of the window.
            retries: further tries after a passing failure. 0 for a client that retries by itself.
            secrets: texts that no error and no trace may show.
            server: address that the client speaks to.
        """
        self.name = client.name
        self.window = client.window
        self.reserve = min(reserve, client.window // 2)
        self.server = server
        self._client = client
        self._retries = retries
        self.secrets = tuple(secrets)

    @property
    def takes_schema(self) -> bool:
        """Whether no reply has failed so far because of the schema that was sent with it."""
        return self._client.takes_schema

    def reply(
        self,
        messages: Sequence[Message],
        *,
        prompt: str = "",  # noqa: ARG002 - a `TracedModel` notes it
        schema: dict[str, Any] | None = None,
    ) -> Reply:
        """Send a prompt and return the reply as soon as it begins.

        It may have four times `reserve` tokens, or what the window has left if that is less.

        Args:
            messages: of the prompt.
            prompt: name of its file, for a trace.
            schema: JSON schema that the reply should follow. Servers without schemas ignore it.

        Raises:
            ModelUnavailable: the server cannot be reached, or still fails after the last try.
            PromptTooLong: the server says that the prompt is too long.
            ModelRejected: the server refuses the key, the model's name or the request.
            ModelReplyInvalid: the reply cannot be read.
        """
        prompt_tokens = sum(count_tokens(message.text) + 4 for message in messages)
        left = max(self.reserve, self.window - prompt_tokens)
        most_tokens = min(_ROOM_TO_THINK * self.reserve, left)
        first, rest = retry(lambda: self._begin(messages, most_tokens, schema), self._retries)
        return Reply(
            first,
            rest,
            prompt_tokens=prompt_tokens,
            most_tokens=most_tokens,
            model=self.name,
            secrets=self.secrets,
        )

    def complete(
        self,
        messages: Sequence[Message],
        *,
        prompt: str = "",
        schema: dict[str, Any] | None = None,
    ) -> Reply:
        """Send a prompt and read the whole reply. See `reply` for the arguments.

        A call that may have failed because of its schema is repeated without it. If that works, no
        schema is sent from then on.

        Raises:
            ModelError: as `reply`.
            ModelReplyInvalid: the reply is not whole.
        """
        if schema is None or not self._client.takes_schema:
            return self._read_whole(messages, prompt, None)
        try:
            return self._read_whole(messages, prompt, schema)
        except ModelError as error:
            if not may_be_about_schema(error, error.__cause__):
                raise
            earlier = get_usage(error)
        try:
            reply = self._read_whole(messages, prompt, None)
        except ReplyRejected as error:
            error.usage += earlier
            raise
        reply.earlier = earlier
        self._client.takes_schema = False
        return reply

    def _read_whole(
        self, messages: Sequence[Message], prompt: str, schema: dict[str, Any] | None
    ) -> Reply:
        reply = self.reply(messages, prompt=prompt, schema=schema)
        for _ in reply:
            pass
        if reply.broken:
            raise ReplyRejected(f"The model {self.name}: {reply.broken}. Ask again.", reply.usage)
        return reply

    def close(self) -> None:
        """Close the connections. The model cannot be asked again."""
        self._client.close()

    def _begin(
        self, messages: Sequence[Message], most_tokens: int, schema: dict[str, Any] | None
    ) -> tuple[Chunk, Generator[Chunk]]:
        """Return the first chunk of a reply and the rest."""
        chunks = self._client.stream(messages, most_tokens, schema)
        try:
            first = next(chunks, None)
        except Exception as error:
            failure = to_chat_error(error, self.name, self.secrets)
            if schema and may_be_about_schema(failure, error):
                failure.retryable = False
            raise failure from error
        if first is None:
            raise ModelReplyInvalid(
                f"The model {self.name} gave an empty reply. Check that its address ends in /v1 "
                "and that the server speaks OpenAI's protocol."
            )
        return first, chunks


class ServerClient:
    """One model of an OpenAI-compatible server."""

    def __init__(
        self,
        client: AsyncOpenAI,
        name: str,
        *,
        window: int,
        temperature: float | None,
        logprobs: bool = False,
    ) -> None:
        self.name = name
        self.window = window
        self.takes_schema = True
        self._client = client
        # Some models and servers refuse these. The dictionary is replaced and never changed,
        # because other threads may be sending it.
        self._optional: dict[str, Any] = {"stream_options": {"include_usage": True}, _LIMIT: None}
        if temperature is not None:
            self._optional["temperature"] = temperature
        if logprobs:
            self._optional["logprobs"] = True

    def stream(
        self, messages: Sequence[Message], most_tokens: int, schema: dict[str, Any] | None
    ) -> Generator[Chunk]:
        """Send a prompt and yield the reply. Closing the generator ends the request."""
        prompt = [{"role": m.role, "content": m.text} for m in messages]
        stream = self._send(prompt, most_tokens, schema)
        try:
            while (chunk := run(_read_next(stream))) is not None:
                yield read_chunk(chunk)
        finally:
            schedule(stream.close())

    def close(self) -> None:
        """Close the connections. The client cannot be used again."""
        schedule(self._client.close())

    def _send(self, messages: list[Any], most_tokens: int, schema: dict[str, Any] | None) -> Any:
        """Return the stream of a reply. Leave out optional parameters that the server refuses."""
        from openai import BadRequestError, UnprocessableEntityError

        optional = self._optional
        values = optional | {name: most_tokens for name in (_LIMIT, _NEW_LIMIT) if name in optional}
        if schema:
            described = {"name": "reply", "strict": True, "schema": schema}
            values["response_format"] = {"type": "json_schema", "json_schema": described}
        given = {name: value for name, value in values.items() if value is not None}
        create = self._client.chat.completions.create
        try:
            return run(create(model=self.name, messages=messages, stream=True, **given))
        except (BadRequestError, UnprocessableEntityError) as error:
            accepted = _leave_out_refused(optional, error)
            if accepted == optional:
                raise
            self._optional = accepted
        return self._send(messages, most_tokens, schema)


def _leave_out_refused(optional: dict[str, Any], error: Exception) -> dict[str, Any]:
    """Return the optional parameters without those that a server's refusal names.

    Many servers count the limit of the reply as part of the prompt, so it goes with a refusal of
    the length too. The reply is then bounded by `Reply` alone.
    """
    reason = str(error).casefold()
    too_long = is_about_length(error)
    left = {
        name: value
        for name, value in optional.items()
        if name not in reason and not (too_long and name in (_LIMIT, _NEW_LIMIT))
    }
    if _LIMIT in optional and _NEW_LIMIT in reason:
        left[_NEW_LIMIT] = None
    return left


async def _read_next(stream: Any) -> Any:
    return await anext(stream, None)
