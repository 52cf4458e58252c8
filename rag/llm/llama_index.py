"""Use any LlamaIndex language model as a `ChatModel`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from rag.errors import ModelRejected, SettingsError
from rag.llm.cancel import check_cancelled, iterate, run, schedule
from rag.llm.client import DEFAULT_RESERVE, DEFAULT_WINDOW, ChatModel
from rag.llm.component import list_secrets, make_component
from rag.llm.errors import is_about_system
from rag.llm.reply import Chunk, read_chunk
from rag.settings import find_secrets

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from llama_index.core.llms import LLM

    from rag.llm.client import Message
    from rag.settings import Settings

# Methods of a model, the best one first. One that is not implemented is not asked again.
_METHODS = ("stream_chat", "chat", "astream_chat", "achat", "stream_complete", "complete")
_TOKEN_NAMES = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
    ("prompt_token_count", "candidates_token_count"),
    ("prompt_eval_count", "eval_count"),
)
_FINISH_NAMES = ("finish_reason", "stop_reason", "done_reason")
_LENGTH = ("length", "max_tokens", "max_output_tokens")  # reasons to end too early


def make_llm(settings: Settings) -> ChatModel:
    """Return the model of the class that the settings name as `llm`.

    Raises:
        SettingsError: the class is none, its package is missing, or its arguments are wrong.
    """
    from llama_index.core.llms import LLM

    return adapt_llm(
        make_component(settings, "llm", LLM),  # type: ignore[type-abstract]
        window=settings.chat_window,
        reserve=settings.chat_reserve,
        retries=settings.chat_retries,
        secrets=find_secrets(settings.llm_args),
        server=str(settings.llm),
    )


def adapt_llm(
    llm: LLM,
    *,
    window: int | None = None,
    reserve: int = DEFAULT_RESERVE,
    retries: int = 0,
    secrets: Sequence[str] = (),
    server: str = "",
) -> ChatModel:
    """Return a LlamaIndex model as a `ChatModel`.

    Args:
        llm: any LlamaIndex language model. One that cannot chat gets the messages as one text.
        window: tokens that it can read. None asks the model.
        reserve: tokens of the window for the reply.
        retries: further tries after a passing failure, of a model that does not retry by itself.
        secrets: texts that no error and no trace may show, beside the keys in the model.
        server: name of its class, if the settings name it.

    Raises:
        SettingsError: `llm` is not a language model.
    """
    if not {"stream_chat", "metadata"} <= set(dir(llm)):
        raise SettingsError(
            f"{type(llm).__name__} is not a LlamaIndex LLM. Pass a LlamaIndex LLM, or name a model "
            "with --model (PAPERTRAIL_CHAT_MODEL)."
        )
    return ChatModel(
        _LlamaIndexClient(llm, window),
        reserve=reserve,
        retries=0 if getattr(llm, "max_retries", 0) else retries,
        secrets=(*secrets, *list_secrets(llm)),
        server=server,
    )


class _LlamaIndexClient:
    takes_schema = False

    def __init__(self, llm: LLM, window: int | None) -> None:
        metadata = _read_metadata(llm)
        stated = getattr(metadata, "context_window", None) or DEFAULT_WINDOW
        self.name = str(getattr(llm, "model", None) or getattr(metadata, "model_name", "unknown"))
        self.window = int(window or stated)
        self._llm = llm
        self._system_role = getattr(metadata, "system_role", "system")
        self._methods: tuple[str, ...] = _METHODS
        self._takes_system = True

    def stream(
        self,
        messages: Sequence[Message],
        most_tokens: int,  # noqa: ARG002 - the model has a limit of its own
        schema: dict[str, Any] | None,  # noqa: ARG002 - not every model takes one
    ) -> Generator[Chunk]:
        check_cancelled()
        first, rest = self._send(messages)
        text_length, tokens, finish = 0, (0, 0), "stop"
        try:
            for response in chain(first, rest):
                chunk = read_chunk(response.raw)
                text = _read_text(response, text_length)
                text_length += len(text)
                tokens = tuple(map(max, tokens, _read_tokens(response)))  # type: ignore[assignment]
                if isinstance(getattr(response.raw, "choices", None), list):
                    finish = chunk.finish  # such a model sends a finish_reason of its own
                elif _ends_too_early(response):
                    finish = "length"
                yield Chunk(text, logprob=chunk.logprob)
        finally:
            rest.close()
        yield Chunk(finish=finish, tokens=tokens if all(tokens) else None)

    def close(self) -> None:
        """Leave the connections to the model, which has no common way to close them."""

    def _send(self, messages: Sequence[Message]) -> tuple[list[Any], Generator[Any]]:
        """Return the first response of a model and the rest.

        A model that refuses a system message gets its text before the user's.
        """
        for number, method in enumerate(self._methods):
            rest = self._ask(method, messages)
            try:
                first = [response for response in [next(rest, None)] if response is not None]
            except NotImplementedError:
                continue
            except Exception as error:
                if not self._takes_system or not is_about_system(error):
                    raise
                self._takes_system = False
                return self._send(messages)
            self._methods = self._methods[number:]
            return first, rest
        raise ModelRejected(f"The model {self.name} can neither chat nor complete a text.")

    def _ask(self, method: str, messages: Sequence[Message]) -> Generator[Any]:
        """Yield the responses of one of the model's methods."""
        llm: Any = self._llm
        prompt: Any = self._render(messages)
        if method.endswith("complete"):
            prompt = llm.messages_to_prompt(prompt)
        call = getattr(llm, method)
        if method.startswith("a"):
            return _iterate_async(call, prompt)
        streams = method.startswith("stream")
        return iterate(lambda: call(prompt) if streams else [call(prompt)])

    def _render(self, messages: Sequence[Message]) -> list[Any]:
        from llama_index.core.base.llms.types import ChatMessage, MessageRole

        texts = [(m.role, m.text) for m in messages]
        if not self._takes_system and [role for role, _ in texts[:2]] == ["system", "user"]:
            texts[:2] = [("user", f"{texts[0][1]}\n\n{texts[1][1]}")]
        return [
            ChatMessage(
                role=self._system_role if role == "system" else MessageRole(role), content=text
            )
            for role, text in texts
        ]


def _iterate_async(call: Any, prompt: Any) -> Generator[Any]:
    responses = run(call(prompt))
    if not hasattr(responses, "__anext__"):
        yield responses
        return
    try:
        while (response := run(_read_next(responses))) is not None:
            yield response
    finally:
        schedule(_close(responses))


async def _read_next(responses: Any) -> Any:
    return await anext(responses, None)


async def _close(responses: Any) -> None:
    if hasattr(responses, "aclose"):
        await responses.aclose()


def _read_text(response: Any, shown: int) -> str:
    """Return the new text of a response, of which so many characters were read before."""
    if isinstance(response.delta, str):
        return response.delta
    whole = response.text if hasattr(response, "text") else response.message.content
    return str(whole or "")[shown:]


def _read_tokens(response: Any) -> tuple[int, int]:
    """Return the tokens of the prompt and of the reply, 0 where a response has no figure."""
    raw = response.raw
    holders = (_get(raw, "usage"), _get(raw, "usage_metadata"), raw, response.additional_kwargs)
    for holder in holders:
        for names in _TOKEN_NAMES:
            counts = [_get(holder, name) for name in names]
            first, second = (n if isinstance(n, int) and n > 0 else 0 for n in counts)
            if first or second:
                return first, second
    return 0, 0


def _ends_too_early(response: Any) -> bool:
    """Return whether the model says that its reply reached a limit."""
    raw = response.raw
    candidates = _get(raw, "candidates")  # of Gemini; "delta" is Anthropic's
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    reasons = (
        _get(holder, name)
        for holder in (raw, _get(raw, "delta"), first, response.additional_kwargs)
        for name in _FINISH_NAMES
    )
    return any(str(getattr(each, "value", each)).lower() in _LENGTH for each in reasons)


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _read_metadata(llm: LLM) -> Any:
    """Return what a model says of itself, None if it fails: some ask their server first."""
    try:
        return llm.metadata
    except Exception:  # noqa: BLE001 - the first call to the model says what is wrong
        return None
