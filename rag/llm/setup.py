"""Find servers of language models, and list their models with size and context window.

Only `rag setup` calls it: until then nothing is looked for. On this machine it asks the ports that
the usual programs listen on, all at once, and sends no key. What a server says is not trusted:
replies are bounded in size and time, redirects are not followed, names must be printable.

Sources: the API pages of Ollama (/api/tags, /api/show, /api/ps), LM Studio (/api/v0/models),
llama.cpp (/props, `meta` in /v1/models) and vLLM (`max_model_len` in /v1/models).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.llm.cancel import run
from rag.llm.servers import OPENAI_URL, Server, make_http_client
from rag.settings import has_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from rag.settings import Settings

LOCAL_PORTS = (
    ("Ollama", 11434),
    ("LM Studio", 1234),
    ("LocalAI", 8080),  # and llama.cpp, which says so
    ("vLLM", 8000),
    ("Jan", 1337),
)
_LOCAL_TIMEOUT_S = 2.0
_TIMEOUT_S = 15.0
_MOST_BYTES = 4_000_000  # of a reply
_MOST_MODELS = 200
_LONGEST_NAME = 200
_OLLAMA_WINDOW = 4096  # tokens, of a model that is not loaded and sets none: Ollama's own default
_NO_CHAT = re.compile(r"embed|rerank", re.IGNORECASE)  # in a name, where the server says no more
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Provider:
    """Service with an OpenAI-compatible address, and the variable that holds its key."""

    name: str
    variable: str
    url: str


# Addresses from the providers' own pages on OpenAI compatibility.
PROVIDERS = (
    Provider("OpenAI", "OPENAI_API_KEY", OPENAI_URL),
    Provider("Anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com/v1"),
    Provider("DeepSeek", "DEEPSEEK_API_KEY", "https://api.deepseek.com"),
    Provider(
        "Google Gemini",
        "GEMINI_API_KEY",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    Provider("Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    Provider("Mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
    Provider("OpenRouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """Model of a server, as the server describes it.

    Attributes:
        name: to ask for it.
        window: tokens that the server lets it read now. None if it does not say.
        largest_window: tokens that it could read. None if the server does not say.
        parameters: number of its weights. None if the server does not say.
        file_bytes: size of its file. None if the server does not say.
    """

    name: str
    window: int | None = None
    largest_window: int | None = None
    parameters: int | None = None
    file_bytes: int | None = None

    @property
    def description(self) -> str:
        """Size and window in words, "" where nothing is known.

        >>> FoundModel("m", 4096, 131072, 8_030_000_000, 4_920_000_000).description
        '8.0B, 4.9 GB, window 4,096 of 131,072 tokens'
        """
        window = self.window or self.largest_window
        most = self.largest_window if self.window else None
        of = f" of {most:,}" if most and most != window else ""
        parts = (
            f"{self.parameters / 1e9:.1f}B" if self.parameters else "",
            f"{self.file_bytes / 1e9:.1f} GB" if self.file_bytes else "",
            f"window {window:,}{of} tokens" if window else "",
        )
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class FoundServer:
    """Server that answered.

    Attributes:
        name: of the program, such as "Ollama".
        url: OpenAI-compatible address.
        models: that write text, in the server's order. Those for embeddings are left out.
        needs_key: whether it asked for a key.
    """

    name: str
    url: str
    models: tuple[FoundModel, ...] = ()
    needs_key: bool = False


def find_local_servers(ports: Sequence[tuple[str, int]] = LOCAL_PORTS) -> list[FoundServer]:
    """Return the model servers that answer on this machine, in the order of their ports.

    It takes some seconds at most and sends no key.

    Args:
        ports: name of the program that usually listens, and its port.
    """

    async def find() -> list[FoundServer | None]:
        import httpx

        async with httpx.AsyncClient(trust_env=False) as client:
            probe = _Probe(client, {}, _LOCAL_TIMEOUT_S)
            return await asyncio.gather(
                *(probe.describe(name, f"http://127.0.0.1:{port}/v1") for name, port in ports)
            )

    return [server for server in run(find()) if server]


def describe_server(server: Server, settings: Settings, name: str = "") -> FoundServer | None:
    """Return what a server says of its models, or None if it does not list them.

    Args:
        server: gets its key.
        settings: name the time-outs.
        name: of the program or service, by default the server's host.

    Raises:
        SettingsError: the proxy for this server cannot be used.
    """

    async def describe() -> FoundServer | None:
        async with make_http_client(server, settings) as client:
            headers = {"Authorization": f"Bearer {server.key}"}
            return await _Probe(client, headers, _TIMEOUT_S).describe(
                name or server.host, server.url
            )

    return run(describe())


class _Reply(NamedTuple):
    status: int  # 0 if there is no server
    value: Any  # parsed JSON, or None


class _Probe:
    """Asks servers for lists. No reply of theirs raises."""

    def __init__(
        self, client: httpx.AsyncClient, headers: dict[str, str], timeout_s: float
    ) -> None:
        self._client = client
        self._headers = headers | {"Accept-Encoding": "identity", "Accept": "application/json"}
        self._timeout_s = timeout_s

    async def describe(self, name: str, url: str) -> FoundServer | None:
        """Return the server at an address with its models, or None if none answers there."""
        listed = await self._fetch(f"{url}/models")
        if listed.status in (401, 403):
            return FoundServer(name, url, needs_key=True)
        entries = _list_entries(listed.value, "data", "id")
        if listed.status != 200 or not isinstance(listed.value, dict):
            return None
        if url.startswith("https:"):
            return FoundServer(name, url, _keep_writers(map(_read_listed, entries)))
        return await self._describe_program(name, url, entries)

    async def _describe_program(
        self, name: str, url: str, entries: list[dict[str, Any]]
    ) -> FoundServer:
        """Return a server that may tell more in ways of its own."""
        root = url.removesuffix("/v1")
        studio, tags, props = await asyncio.gather(
            *(self._fetch(f"{root}/{path}") for path in ("api/v0/models", "api/tags", "props"))
        )
        kinds = [entry.get("owned_by") for entry in entries]
        listed = _keep_writers(map(_read_listed, entries))
        defaults = _get(props.value, "default_generation_settings")
        if "llamacpp" in kinds or isinstance(defaults, dict):  # which also imitates Ollama
            window = _read_count(_get(defaults, "n_ctx"))
            models = (replace(each, window=each.window or window) for each in listed)
            return FoundServer("llama.cpp", url, tuple(models))
        if of_studio := [e for e in _list_entries(studio.value, "data", "id") if "type" in e]:
            models = (_read_studio(e) for e in of_studio if e["type"] in ("llm", "vlm"))
            return FoundServer("LM Studio", url, tuple(models))
        if of_ollama := _list_entries(tags.value, "models", "name"):
            return FoundServer("Ollama", url, await self._read_ollama(root, of_ollama))
        return FoundServer("vLLM" if "vllm" in kinds else name, url, listed)

    async def _read_ollama(
        self, root: str, entries: list[dict[str, Any]]
    ) -> tuple[FoundModel, ...]:
        """Return Ollama's models, with the window that it gives them."""
        loaded, *shown = await asyncio.gather(
            self._fetch(f"{root}/api/ps"),
            *(self._fetch(f"{root}/api/show", {"model": each["name"]}) for each in entries),
        )
        windows = {
            each["name"]: _read_count(each.get("context_length"))
            for each in _list_entries(loaded.value, "models", "name")
        }
        found = []
        for entry, reply in zip(entries, shown, strict=True):
            model = _read_ollama(entry, reply.value)
            abilities = _get(reply.value, "capabilities")
            if isinstance(abilities, list):
                writes = "completion" in abilities
            else:
                writes = not _NO_CHAT.search(model.name)
            if writes:
                window = windows.get(model.name) or model.window
                found.append(replace(model, window=window))
        return tuple(found)

    async def _fetch(self, url: str, body: dict[str, str] | None = None) -> _Reply:
        import httpx

        data = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(
                    "POST" if body else "GET", url, json=body, headers=self._headers
                ) as reply,
            ):
                async for part in reply.aiter_raw():
                    data += part
                    if len(data) > _MOST_BYTES:
                        return _Reply(reply.status_code, None)
            return _Reply(reply.status_code, json.loads(data))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError):
            return _Reply(0, None)
        except (ValueError, RecursionError):  # no JSON
            return _Reply(reply.status_code, None)


def _read_listed(entry: dict[str, Any]) -> FoundModel:
    """Return a model of /v1/models: OpenAI's fields, and what servers add to them."""
    meta = entry.get("meta")
    windows = (
        _get(meta, "n_ctx"),
        entry.get("max_model_len"),
        entry.get("context_window"),
        entry.get("context_length"),
    )
    return FoundModel(
        entry["id"],
        window=next(filter(None, map(_read_count, windows)), None),
        largest_window=_read_count(_get(meta, "n_ctx_train")),
        parameters=_read_count(_get(meta, "n_params")),
        file_bytes=_read_count(_get(meta, "size")),
    )


def _read_studio(entry: dict[str, Any]) -> FoundModel:
    """Return a model of LM Studio. One that is not loaded has no window yet."""
    return FoundModel(
        entry["id"],
        window=_read_count(entry.get("loaded_context_length")),
        largest_window=_read_count(entry.get("max_context_length")),
    )


def _read_ollama(entry: dict[str, Any], shown: Any) -> FoundModel:
    information = _get(shown, "model_info")
    windows = [
        _read_count(value)
        for name, value in (information if isinstance(information, dict) else {}).items()
        if name.endswith(".context_length")
    ]
    own = _NUM_CTX.search(str(_get(shown, "parameters")))
    return FoundModel(
        entry["name"],
        window=(_read_count(int(own[1])) if own else None) or _OLLAMA_WINDOW,
        largest_window=next(filter(None, windows), None),
        parameters=_read_count(_get(information, "general.parameter_count")),
        file_bytes=_read_count(entry.get("size")),
    )


def _keep_writers(models: Any) -> tuple[FoundModel, ...]:
    return tuple(model for model in models if not _NO_CHAT.search(model.name))


def _list_entries(value: Any, field: str, key: str) -> list[dict[str, Any]]:
    """Return the entries of a list that have a printable name, each name once."""
    listed = _get(value, field)
    entries: dict[str, dict[str, Any]] = {}
    for each in listed if isinstance(listed, list) else ():
        name = _get(each, key)
        if isinstance(name, str) and name.isprintable() and 0 < len(name.strip()) <= _LONGEST_NAME:
            entries.setdefault(name, each)
    return list(entries.values())[:_MOST_MODELS]


def _get(value: Any, name: str) -> Any:
    """Return a member of a JSON object, None if it is none or has no such member."""
    return value.get(name) if isinstance(value, dict) else None


def _read_count(value: Any) -> int | None:
    """Return a positive whole number of sensible size, or None."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 < value < 10**15 else None


def list_offered_providers() -> Iterator[Provider]:
    """Yield the providers whose key is in the environment."""
    yield from (each for each in PROVIDERS if has_variable(each.variable))
