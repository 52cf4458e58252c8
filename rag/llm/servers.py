"""Resolve settings to servers, keys and models.

`OPENAI_API_KEY` goes to OpenAI or to `OPENAI_BASE_URL` and never to another host. A server named in
our own settings gets the key named there. Redirects are not followed. What OpenAI's client reads
from the environment (organisation, project, headers) reaches OpenAI only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from rag.errors import SettingsError
from rag.llm.client import DEFAULT_WINDOW, ChatModel, ServerClient
from rag.llm.gguf import GgufClient
from rag.llm.llama_index import make_llm
from rag.llm.proxy import find_proxy
from rag.settings import name_variable, resolve_key

if TYPE_CHECKING:
    from pathlib import Path
    from ssl import SSLContext

    import httpx
    from httpx import Request
    from openai import AsyncOpenAI
    from pydantic import SecretStr

    from rag.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_S = 10.0
_NO_KEY = "none"  # local servers need no key, but the client insists on one
# A name that can be looked up: labels of at most 63 characters (RFC 1035, and the underscore).
_HOST = re.compile(rb"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
_HEADERS = {"host", "connection", "content-type", "content-length", "accept", "accept-encoding"}
# OpenAI's models since gpt-4-turbo, which read at least 128,000 tokens.
_LARGE_WINDOW = re.compile(r"(chat)?gpt-4(o|\.|-turbo)|gpt-[5-9]|o[1-9]\b")


@dataclass(frozen=True, slots=True)
class Server:
    """Address of a model, with the key that belongs there."""

    url: str
    key: str

    @property
    def is_openai(self) -> bool:
        """Return whether this is OpenAI itself."""
        return self.url == OPENAI_URL

    @property
    def host(self) -> str:
        """Host and port for messages, without user, password and path."""
        parts = urlsplit(self.url)
        name = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
        return f"{name}:{parts.port}" if parts.port else name

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no error may show."""
        return () if self.key == _NO_KEY else (self.key,)


def resolve_server(settings: Settings, kind: Literal["chat", "embed", "judge", "check"]) -> Server:
    """Return the server of the chat model, the embedding model, the judge or the checker.

    A judge or a checker without a server of its own is asked where the chat model is.

    Raises:
        SettingsError: a key is missing or malformed, or an address is not valid.
    """
    place = "chat" if kind != "embed" and not getattr(settings, f"{kind}_url") else kind
    url_name, key_name = f"{place}_url", f"{place}_key"
    own = bool(getattr(settings, url_name))
    if not own:
        url_name, key_name = "openai_base_url", "openai_api_key"
    url = (getattr(settings, url_name) or OPENAI_URL).strip().rstrip("/")
    key: SecretStr | None = getattr(settings, key_name)
    if not own and url == OPENAI_URL and key is None:
        raise SettingsError(
            f"The model {getattr(settings, f'{kind}_model') or settings.chat_model} needs a key. "
            f"Set OPENAI_API_KEY, or name another server with {name_variable(f'{kind}_url')}."
        )
    source = settings.origin.get(url_name, "default")
    _check_address(url, f"{url_name} (from {source})", key_name)
    return make_server(url, key, key_name)


def make_server(url: str, key: SecretStr | None, key_name: str) -> Server:
    """Return a server with its key, which is read where it stands.

    Raises:
        SettingsError: the key is malformed, or missing where the setting says it stands.
    """
    return Server(url, _read_key(resolve_key(key, key_name), name_variable(key_name)))


def mask_url(url: str) -> str:
    """Replace the user and password in an address, if any.

    >>> mask_url("http://me:secret@example.org/v1")
    'http://***@example.org/v1'
    """
    return re.sub(r"^([a-z0-9+.-]*://)?.*@", r"\1***@", url, flags=re.IGNORECASE | re.DOTALL)


def make_chat_model(settings: Settings) -> ChatModel | None:
    """Return the chat model that the settings name, or None if they name none.

    Raises:
        SettingsError: a key is missing or malformed, an address is not valid, a server was given as
            an argument without a model, the settings name two models, or a GGUF file is unusable.
    """
    if settings.gguf:
        _require_alone(settings, "gguf")
        return _make_gguf_model(settings, settings.gguf)
    if settings.llm:
        _require_alone(settings, "llm")
        return make_llm(settings)
    if settings.llm_args and "llm" not in settings.model_fields_set:
        raise SettingsError("llm_args is set but no class. Name one with --llm (llm).")
    if not settings.chat_model:
        # A caller that sets chat_model to None has chosen to have none.
        unnamed = "chat_model" not in settings.model_fields_set
        if unnamed and settings.origin.get("chat_url") == "argument":
            raise SettingsError(
                "--url (chat_url) names a server but no model is set. Name one with --model "
                "(chat_model)."
            )
        return None
    return _make_model(settings, settings.chat_model, resolve_server(settings, "chat"))


def make_judge_model(settings: Settings) -> ChatModel | None:
    """Return the model that judges: `judge_model` at `judge_url`, by default the chat model's.

    The chat model's key is not sent to `judge_url`, which has `judge_key`. None if the settings
    name no model.

    Raises:
        SettingsError: a key is missing or malformed, or an address is not valid.
    """
    if (settings.llm or settings.gguf) and not settings.judge_model:
        return make_chat_model(settings)
    model = settings.judge_model or settings.chat_model
    return _make_model(settings, model, resolve_server(settings, "judge")) if model else None


def make_check_model(settings: Settings) -> ChatModel | None:
    """Return `check_model`, which checks what the chat model writes, or None if none is set.

    Raises:
        SettingsError: a key is missing or malformed, an address is not valid, or `check_url` is set
            without a model.
    """
    if settings.check_model:
        return _make_model(settings, settings.check_model, resolve_server(settings, "check"))
    if settings.check_url:
        raise SettingsError(
            "check_url names a server but no model is set. Name one with --check-model "
            "(check_model)."
        )
    return None


def is_minicheck(model: str) -> bool:
    """Return whether a model is asked in the MiniCheck form: its name contains "minicheck"."""
    return "minicheck" in model.casefold()


def make_openai_client(server: Server, settings: Settings) -> AsyncOpenAI:
    """Return OpenAI's client for a server. It neither retries nor follows redirects.

    Raises:
        SettingsError: the proxy for this server cannot be used.
    """
    from openai import AsyncOpenAI

    http_client = make_http_client(server, settings)
    return AsyncOpenAI(
        api_key=server.key,
        base_url=server.url,
        max_retries=0,
        timeout=http_client.timeout,
        http_client=http_client,
    )


def make_http_client(server: Server, settings: Settings) -> httpx.AsyncClient:
    """Return the HTTP client for a server, which follows no redirects.

    Raises:
        SettingsError: the proxy for this server cannot be used.
    """
    import httpx
    from openai import DefaultAsyncHttpxClient

    async def keep_own_headers(request: Request) -> None:
        """Remove what the client read from the environment, and its report on this machine."""
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        request.headers.update(
            {"Authorization": f"Bearer {server.key}", "User-Agent": "papertrail"}
        )

    timeout = httpx.Timeout(settings.chat_timeout_s, connect=_CONNECT_S)
    proxy = find_proxy(server.url)
    try:
        return DefaultAsyncHttpxClient(
            follow_redirects=False,
            timeout=timeout,
            event_hooks={"request": [] if server.is_openai else [keep_own_headers]},
            proxy=proxy,
            trust_env=False,  # the proxy is chosen above
            verify=_load_certificates(),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        needs_package = isinstance(error, ImportError)
        problem = "needs the package socksio" if needs_package else "is not a proxy's address"
        remedy = "Install it (pip install socksio)" if needs_package else "Correct it"
        raise SettingsError(
            f"The proxy {mask_url(proxy or '')} for {server.host} (HTTPS_PROXY, HTTP_PROXY or "
            f"ALL_PROXY) {problem}. {remedy}, or set NO_PROXY={server.host}."
        ) from error


def _require_alone(settings: Settings, name: Literal["gguf", "llm"]) -> None:
    """Refuse settings that name another model beside a GGUF file or a LlamaIndex class."""
    hint = " llm_args takes the name of the model." if name == "llm" else ""
    for other in ("llm", "chat_model"):
        if other != name and getattr(settings, other):
            first, second = (settings.origin.get(each, "") for each in (name, other))
            raise SettingsError(
                f"Both {name} (from {first}) and {other} (from {second}) are set. Unset one.{hint}"
            )
    if settings.origin.get("chat_url") == "argument":
        remedy = "Give the address in --llm-args (llm_args)" if name == "llm" else "Leave one out"
        raise SettingsError(f"--url (chat_url) does not go with --{name} ({name}). {remedy}.")


def _make_gguf_model(settings: Settings, path: Path) -> ChatModel:
    client = GgufClient(
        path,
        window=settings.chat_window,
        temperature=settings.chat_temperature,
        threads=settings.threads,
    )
    # Files of one name differ in size if they hold other models or are quantized otherwise.
    server = f"a GGUF file of {path.stat().st_size} bytes"
    return ChatModel(client, reserve=settings.chat_reserve, server=server)


@cache
def _load_certificates() -> SSLContext:
    """Load the certificates of SSL_CERT_FILE, or the bundled ones, once: it takes a while."""
    import httpx

    return httpx.create_ssl_context()


def _make_model(settings: Settings, model: str, server: Server) -> ChatModel:
    client = ServerClient(
        make_openai_client(server, settings),
        model,
        window=settings.chat_window or _guess_window(model),
        temperature=settings.chat_temperature,
        logprobs=is_minicheck(model),
    )
    return ChatModel(
        client,
        reserve=settings.chat_reserve,
        retries=settings.chat_retries,
        secrets=server.secrets,
        server=server.url,
    )


def _guess_window(model: str) -> int:
    """Return the tokens that a model can read, by its name. An unknown one gets a safe size."""
    return 128_000 if _LARGE_WINDOW.match(model) else DEFAULT_WINDOW


def _check_address(url: str, setting: str, key_name: str) -> None:
    import httpx

    if "@" in re.split(r"[/?#]", url.partition("//")[2])[0]:
        raise SettingsError(
            f"{setting} contains a user name or password, which would replace the key. Remove it "
            f"and give the key as {name_variable(key_name)}."
        )
    try:
        parts, host = urlsplit(url), httpx.URL(url).raw_host
        valid = parts.scheme in ("http", "https") and parts.port != 0
        valid = valid and bool(parts.netloc.startswith("[") or _HOST.fullmatch(host))
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise SettingsError(
            f"{setting} is {mask_url(url)!r}, which is not a server's address. Use one like "
            "http://127.0.0.1:11434/v1."
        )


def _read_key(text: str, variable: str) -> str:
    """Return the key to send. Without one, return the stand-in for servers that need none."""
    if not (text.isascii() and text.isprintable()):
        raise SettingsError(
            f"The key in {variable} contains a line break or a character outside ASCII. Copy the "
            "key again."
        )
    return text or _NO_KEY
