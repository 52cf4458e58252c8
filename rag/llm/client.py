"""Ask a language model. `ChatModel` is what callers see, `ServerClient` speaks OpenAI's protocol.

Every call streams, so that time-outs, cuts and the end of a reply are seen in one way. Failures are
retried here and nowhere else. A reply that has begun is never retried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rag.errors import ModelReplyInvalid
from rag.llm.cancel import run, schedule
from rag.llm.errors import retry, to_model_error
from rag.llm.reply import Chunk, Reply, read_chunk
from rag.llm.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from openai import AsyncOpenAI

DEFAULT_WINDOW = 8192  # tokens, for a model of which nothing is known

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
    """

    name: str
    window: int

    def stream(self, messages: Sequence[Message]) -> Generator[Chunk]:
        """Send a prompt and yield the reply. Closing the generator ends the request."""
        ...

    def close(self) -> None:
        """Close the connections. The client cannot be used again."""
        ...


class ChatModel:
    """One language model, with retries, our errors and token figures. Threads may share it.

    Attributes:
        name: name of the model.
        window: tokens that it can read.
    """

    def __init__(
        self, client: ChatClient, *, retries: int = 0, secrets: Sequence[str] = ()
    ) -> None:
        """Wrap a client.

        Args:
            client: sends the prompts.
            retries: further tries after a passing failure. 0 for a client that retries by itself.
            secrets: texts that no error may show.
        """
        self.name = client.name
        self.window = client.window
        self._client = client
        self._retries = retries
        self._secrets = tuple(secrets)

    def reply(self, messages: Sequence[Message]) -> Reply:
        """Send a prompt and return the reply as soon as it begins.

        Raises:
            ModelUnavailable: the server cannot be reached, or still fails after the last try.
            ModelRejected: the server refuses the key, the model's name or the request.
            ModelReplyInvalid: the reply cannot be read.
        """
        first, rest = retry(lambda: self._begin(messages), self._retries)
        return Reply(
            first,
            rest,
            prompt_tokens=sum(count_tokens(message.text) + 4 for message in messages),
            model=self.name,
            secrets=self._secrets,
        )

    def complete(self, messages: Sequence[Message]) -> Reply:
        """Send a prompt and read the whole reply.

        Raises:
            ModelError: as `reply`.
            ModelReplyInvalid: the reply is not whole.
        """
        reply = self.reply(messages)
        for _ in reply:
            pass
        if reply.broken:
            raise ModelReplyInvalid(f"The model {self.name}: {reply.broken}. Ask again.")
        return reply

    def close(self) -> None:
        """Close the connections. The model cannot be asked again."""
        self._client.close()

    def _begin(self, messages: Sequence[Message]) -> tuple[Chunk, Generator[Chunk]]:
        """Return the first chunk of a reply and the rest."""
        chunks = self._client.stream(messages)
        try:
            first = next(chunks, None)
        except Exception as error:
            raise to_model_error(error, self.name, self._secrets) from error
        if first is None:
            raise ModelReplyInvalid(
                f"The model {self.name} gave an empty reply. Check that its address ends in /v1 "
                "and that the server speaks OpenAI's protocol."
            )
        return first, chunks


class ServerClient:
    """One model of an OpenAI-compatible server."""

    def __init__(
        self, client: AsyncOpenAI, name: str, *, window: int, temperature: float | None
    ) -> None:
        self.name = name
        self.window = window
        self._client = client
        # Some models and servers refuse these. The dictionary is replaced and never changed,
        # because other threads may be sending it.
        self._optional: dict[str, Any] = {"stream_options": {"include_usage": True}}
        if temperature is not None:
            self._optional["temperature"] = temperature

    def stream(self, messages: Sequence[Message]) -> Generator[Chunk]:
        """Send a prompt and yield the reply. Closing the generator ends the request."""
        stream = self._send([{"role": m.role, "content": m.text} for m in messages])
        try:
            while (chunk := run(_read_next(stream))) is not None:
                yield read_chunk(chunk)
        finally:
            schedule(stream.close())

    def close(self) -> None:
        """Close the connections. The client cannot be used again."""
        schedule(self._client.close())

    def _send(self, messages: list[Any]) -> Any:
        """Return the stream of a reply. Leave out optional parameters that the server refuses."""
        from openai import BadRequestError, UnprocessableEntityError

        optional = self._optional
        create = self._client.chat.completions.create
        try:
            return run(create(model=self.name, messages=messages, stream=True, **optional))
        except (BadRequestError, UnprocessableEntityError) as error:
            reason = str(error).casefold()
            accepted = {name: value for name, value in optional.items() if name not in reason}
            if accepted == optional:
                raise
            self._optional = accepted
        return self._send(messages)


async def _read_next(stream: Any) -> Any:
    return await anext(stream, None)
