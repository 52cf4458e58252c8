"""Serving the page: addresses, headers that keep it to itself, start and end.

The library is opened once the server listens, so that the page comes up first.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
    from pathlib import Path

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_PORT = 7860
_PORTS_TRIED = 20
# Nothing of the page may come from, or go to, another host, whatever stands in a paper. Gradio
# itself needs scripts inside the page and functions made from text.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; media-src 'self' blob:; frame-src 'none'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
# What Gradio offers beside and this page does not need.
_CLOSED = [
    "proxy",
    "vibe-code",
    "undo-vibe-edit",
    "dev",
    "file",
    "run-history",
    "runs",
    "profiling",
    "process_recording",
    "deep_link",
    "custom_component",
    "stream",
]
_CLOSED_PATHS = ("/proxy", "/monitoring", *(f"/gradio_api/{name}" for name in _CLOSED))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page is served.

    Attributes:
        host: address to listen on.
        port: None takes the first free one from 7860 on.
        users: file with the accounts; needed where others can reach the page.
        allow_edit: whether signed-in users may change libraries.
        questions_per_hour: most questions of one user; None for no bound.
        tokens_per_day: most tokens of one user's answers; None for no bound.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    users: Path | None = None
    allow_edit: bool = False
    questions_per_hour: int | None = None
    tokens_per_day: int | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Refuses to open the page to others without accounts.

        Raises:
            SettingsError: others could reach it and nobody would have to sign in.
        """
        if not self.is_loopback and self.users is None:
            raise SettingsError(
                f"On {self.host} others can reach the page: name a file of accounts with --users "
                "FILE, which `rag app-user add NAME FILE` makes."
            )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Adds the headers, and turns away what comes from other sites or under other names."""

    def __init__(self, application: Application, *, only_loopback: bool) -> None:
        """Wraps an application.

        Args:
            application: in ASGI's form.
            only_loopback: whether requests must name a loopback address as their host, so that no
                other site can reach the page under a name of its own.
        """
        self._application = application
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if refusal := self._refusal(scope["path"], headers):
            await _refuse(send, refusal)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._application(scope, receive, send_with_headers)

    def _refusal(self, path: str, headers: dict[str, str]) -> str:
        host = headers.get("host", "")
        if self._only_loopback and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return "This page is served under a loopback address only."
        origin = headers.get("origin")
        if origin and origin != "null" and urlsplit(origin).netloc != host:
            return "Another site may not use this page."
        if path.startswith(_CLOSED_PATHS):
            return "There is nothing here."
        return ""


def serve(application: Any, place: Place, *, on_start: Callable[[], None], quiet: bool) -> None:
    """Serves until it is interrupted.

    Raises:
        SettingsError: the address or port cannot be listened on.
    """
    import uvicorn

    listening = _listening(place)
    port = listening.getsockname()[1]
    shown = f"[{place.host}]" if ":" in place.host else place.host
    application.router.lifespan_context = _with_start(application.router.lifespan_context, on_start)
    config = uvicorn.Config(
        Guard(application, only_loopback=place.is_loopback),
        log_level="error",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    server = uvicorn.Server(config)
    if not quiet:
        _announce(f"http://{shown}:{port}", place)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def _announce(address: str, place: Place) -> None:
    sys.stderr.write(f"Papertrail is at {address} (Ctrl-C ends it).\n")
    if not place.is_loopback:
        sys.stderr.write(
            "This is HTTP in clear text: passwords and questions can be read on the way. Put a "
            "proxy with TLS in front before others use it.\n"
        )
    sys.stderr.flush()


def _listening(place: Place) -> socket.socket:
    """The socket to serve on."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    first = DEFAULT_PORT if place.port is None else place.port
    ports = range(first, first + _PORTS_TRIED) if place.port is None else (first,)
    error: OSError | None = None
    for port in ports:
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((place.host.strip("[]"), port))
            found.listen(128)
        except OSError as problem:
            error = problem
            found.close()
            continue
        return found
    raise SettingsError(
        f"{place.host} port {ports[0]} cannot be listened on: {error}; choose another with --port."
    )


def _with_start(lifespan: Any, on_start: Callable[[], None]) -> Any:
    @contextlib.asynccontextmanager
    async def started(application: Any) -> AsyncIterator[Any]:
        async with lifespan(application) as state:
            on_start()
            yield state

    return started


async def _refuse(send: Send, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
