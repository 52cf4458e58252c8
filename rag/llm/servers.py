"""From settings to models: which server, which key, and nothing that was not chosen.

`OPENAI_API_KEY` goes to OpenAI or to `OPENAI_BASE_URL` and never to another host; a server named in
our own settings gets the key named there. Redirects are not followed, and what else the vendor's
client would read from the environment (organisation, project, headers) is kept from it.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from rag.errors import SettingsError
from rag.llm.cancel import heed
from rag.llm.client import DEFAULT_WINDOW, ChatModel
from rag.settings import name_variable

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rag.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_S = 10.0
# A name that can be looked up: labels of at most 63 characters (RFC 1035, and the underscore).
_HOST = re.compile(rb"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_NO_KEY = "none"  # local servers need no key, but the client insists on one


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is asked, with the key that belongs there."""

    url: str
    key: str

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself."""
        return self.url == OPENAI_URL

    @property
    def host(self) -> str:
        """For messages: without user, password and path."""
        parts = urlsplit(self.url)
        name = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
        return f"{name}:{parts.port}" if parts.port else name


def resolve_server(settings: Settings, kind: Literal["chat", "embed", "judge"]) -> Server:
    """The server of the chat model, of the embedding model or of the judge.

    A judge without a server of its own is asked where the chat model is.

    Raises:
        SettingsError: a key is missing or cannot be sent, or an address is none.
    """
    place = "chat" if kind == "judge" and not settings.judge_url else kind
    url_name, key_name = f"{place}_url", f"{place}_key"
    own = bool(getattr(settings, url_name))
    if not own:
        url_name, key_name = "openai_base_url", "openai_api_key"
    url = (getattr(settings, url_name) or OPENAI_URL).strip().rstrip("/")
    key: SecretStr | None = getattr(settings, key_name)
    if not own and url == OPENAI_URL and key is None:
        raise SettingsError(
            f"The model {getattr(settings, f'{kind}_model') or settings.chat_model} needs a key: "
            f"set OPENAI_API_KEY, or name another server with {name_variable(f'{kind}_url')}."
        )
    source = settings.origin.get(url_name, "default")
    _check_address(url, f"{url_name} (from {source})", key_name)
    return Server(url, _checked_key(key, name_variable(key_name)))


def mask_url(url: str) -> str:
    """An address without the user and password that it may hold.

    >>> mask_url("http://me:secret@example.org/v1")
    'http://***@example.org/v1'
    """
    return re.sub(r"^([a-z0-9+.-]*://)?.*@", r"\1***@", url, flags=re.IGNORECASE | re.DOTALL)


def _check_address(url: str, setting: str, key_name: str) -> None:
    import httpx

    if "@" in re.split(r"[/?#]", url.partition("//")[2])[0]:
        raise SettingsError(
            f"{setting} holds a user name or password, which would be sent in place of the key; "
            f"take it out and give the key as {name_variable(key_name)}."
        )
    try:
        parts, host = urlsplit(url), httpx.URL(url).raw_host
        usable = parts.scheme in ("http", "https") and parts.port != 0
        usable = usable and bool(parts.netloc.startswith("[") or _HOST.fullmatch(host))
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise SettingsError(
            f"{setting} is {mask_url(url)!r}, which is no server's address; give one such as "
            "http://127.0.0.1:11434/v1."
        )


def _checked_key(key: SecretStr | None, variable: str) -> str:
    """The key as it is sent."""
    sent = key.get_secret_value() if key else ""
    if not (sent.isascii() and sent.isprintable()):
        raise SettingsError(
            f"The key in {variable} holds a line break or a character outside ASCII, which no "
            "server takes; copy the key again."
        )
    return sent or _NO_KEY


def make_chat_model(settings: Settings) -> ChatModel | None:
    """The chat model that the settings name; None where they name none.

    Raises:
        SettingsError: a key is missing or cannot be sent, an address is none, or a server was given
            as an argument and no model.
    """
    if not settings.chat_model:
        # A caller that sets chat_model to None has chosen to have none.
        unnamed = "chat_model" not in settings.model_fields_set
        if unnamed and settings.origin.get("chat_url") == "argument":
            raise SettingsError(
                "A server was given with --url (chat_url) and no model; name a model with --model "
                "(chat_model)."
            )
        return None
    return _chat_model(settings, settings.chat_model, resolve_server(settings, "chat"))


def make_judge_model(settings: Settings) -> ChatModel | None:
    """The model that judges: `judge_model` at `judge_url`, each the chat model's where not named.

    The chat model's key is not sent to `judge_url`, which has `judge_key`. None where the settings
    name no model.

    Raises:
        SettingsError: a key is missing or cannot be sent, or an address is none.
    """
    model = settings.judge_model or settings.chat_model
    return _chat_model(settings, model, resolve_server(settings, "judge")) if model else None


def _chat_model(settings: Settings, model: str, server: Server) -> ChatModel:
    window = settings.chat_window or _known_window(model)
    from llama_index.llms.openai_like import OpenAILike

    responses = threading.local()
    client = openai_client(server, settings, responses)
    llm = OpenAILike(
        model=model,
        is_chat_model=True,
        context_window=window,
        api_base=server.url,
        api_key=server.key,
        max_retries=0,
        timeout=settings.chat_timeout_s,
        openai_client=client,  # type: ignore[call-arg]
    )
    return ChatModel(
        llm,
        window=window,
        retries=settings.chat_retries,
        parameters={
            "temperature": settings.chat_temperature,
            "stream_options": {"include_usage": True},
        },
        secrets=secrets_of(server),
        responses=responses,
        close=client.close,
    )


def openai_client(
    server: Server, settings: Settings, responses: threading.local, *, kept: int = 0
) -> Any:
    """OpenAI's client for a server; the responses it gets are remembered for their thread.

    Connections that are `kept` serve later requests too, and cannot be ended by a `Stop`.
    """
    import httpx
    from openai import DefaultHttpxClient

    timeout = httpx.Timeout(settings.chat_timeout_s, connect=_CONNECT_S)
    client = _client_class()(
        api_key=server.key,
        base_url=server.url,
        max_retries=0,
        timeout=timeout,
        http_client=DefaultHttpxClient(
            follow_redirects=False,
            timeout=timeout,
            event_hooks={
                "request": [heed],
                "response": [lambda response: setattr(responses, "last", response)],
            },
            limits=httpx.Limits(max_keepalive_connections=kept),
        ),
    )
    if not server.is_openai:
        client.organization = client.project = client.admin_api_key = None
        client._custom_headers = {}  # noqa: SLF001 - it has read OPENAI_CUSTOM_HEADERS
    return client


@cache
def _client_class() -> Any:
    """OpenAI's client that reads a chunk without choices as an empty one; slow to import."""
    from openai import OpenAI
    from openai.types.chat import ChatCompletionChunk

    class Client(OpenAI):
        def _process_response_data(self, *, data: Any, cast_to: Any, response: Any) -> Any:
            if cast_to is ChatCompletionChunk and isinstance(data, dict):
                choices = data.get("choices")
                found = choices if isinstance(choices, list) else []
                data = {**data, "choices": [one for one in found if isinstance(one, dict)]}
            return super()._process_response_data(data=data, cast_to=cast_to, response=response)

    return Client


def secrets_of(server: Server) -> tuple[str, ...]:
    """Return the server's key, which no error may show; nothing for a server without one."""
    return () if server.key == _NO_KEY else (server.key,)


def _known_window(model: str) -> int:
    """Tokens that a model of OpenAI can read; a safe size for any other."""
    from llama_index.llms.openai.utils import openai_modelname_to_contextsize

    try:
        return int(openai_modelname_to_contextsize(model))
    except ValueError:
        return DEFAULT_WINDOW
