"""From settings to models: which server, which key, and nothing that was not chosen.

`OPENAI_API_KEY` goes to OpenAI or to `OPENAI_BASE_URL` and never to another host; a server named in
our own settings gets the key named there. Redirects are not followed, and what else the vendor's
client would read from the environment (organisation, project, headers) is kept from it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from rag.errors import SettingsError
from rag.models.chat import DEFAULT_WINDOW, ChatModel
from rag.models.embedders import from_llama_index

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rag.models.embedders import Embedder
    from rag.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_S = 10.0
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
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def server_of(settings: Settings, kind: Literal["chat", "embed"]) -> Server:
    """The server of the chat model or of the embedding model.

    Raises:
        SettingsError: a key is missing or an address is none.
    """
    url: str | None = getattr(settings, f"{kind}_url")
    key: SecretStr | None = getattr(settings, f"{kind}_key")
    variable = f"PAPERTRAIL_{kind.upper()}"
    if not url:
        url, key = settings.openai_base_url or OPENAI_URL, settings.openai_api_key
        if url == OPENAI_URL and key is None:
            raise SettingsError(
                f"The model {getattr(settings, f'{kind}_model')} needs a key: set OPENAI_API_KEY, "
                f"or name another server with {variable}_URL."
            )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{url} is no server's address; give one such as http://127.0.0.1:11434/v1."
        )
    return Server(url.rstrip("/"), key.get_secret_value() if key else _NO_KEY)


def make_chat_model(settings: Settings) -> ChatModel | None:
    """The chat model that the settings name; None where they name none.

    Raises:
        SettingsError: a key is missing or an address is none.
    """
    if not settings.chat_model:
        return None
    server = server_of(settings, "chat")
    window = settings.chat_window or _known_window(settings.chat_model)
    from llama_index.llms.openai_like import OpenAILike

    responses = threading.local()
    client = _client(server, settings, responses)
    llm = OpenAILike(
        model=settings.chat_model,
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
        secrets=_secrets(server),
        responses=responses,
        close=client.close,
    )


def make_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name: a server's, or the bundled one.

    Raises:
        SettingsError: a key is missing or an address is none.
    """
    if not settings.embed_model:
        from rag.minilm import load_minilm

        return load_minilm(threads=settings.threads)
    server = server_of(settings, "embed")
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(
        model_name=settings.embed_model,
        api_base=server.url,
        api_key=server.key,
        max_retries=settings.chat_retries + 1,  # it counts tries; the client under it makes one
        timeout=settings.chat_timeout_s,
    )
    model._client = _client(server, settings, threading.local())  # noqa: SLF001 - it takes none by argument
    return from_llama_index(
        model, name=f"{settings.embed_model} at {server.host}", secrets=_secrets(server)
    )


def _client(server: Server, settings: Settings, responses: threading.local) -> Any:
    """OpenAI's client for a server; the responses it gets are remembered for their thread."""
    import httpx
    from openai import DefaultHttpxClient, OpenAI

    timeout = httpx.Timeout(settings.chat_timeout_s, connect=_CONNECT_S)
    client = OpenAI(
        api_key=server.key,
        base_url=server.url,
        max_retries=0,
        timeout=timeout,
        http_client=DefaultHttpxClient(
            follow_redirects=False,
            timeout=timeout,
            event_hooks={"response": [lambda response: setattr(responses, "last", response)]},
        ),
    )
    if not server.is_openai:
        client.organization = client.project = client.admin_api_key = None
        client._custom_headers = {}  # noqa: SLF001 - it has read OPENAI_CUSTOM_HEADERS
    return client


def _secrets(server: Server) -> tuple[str, ...]:
    return () if server.key == _NO_KEY else (server.key,)


def _known_window(model: str) -> int:
    """Tokens that a model of OpenAI can read; a safe size for any other."""
    from llama_index.llms.openai.utils import openai_modelname_to_contextsize

    try:
        return int(openai_modelname_to_contextsize(model))
    except ValueError:
        return DEFAULT_WINDOW
