"""How a server is reached: standard input and output, or HTTP.

HTTP is served on loopback, or behind a token. A page that somebody's browser shows must not reach a
server on that person's machine, by whatever name it calls it (DNS rebinding): the names that
requests may give as `Host`, and the pages they may come from, are listed. Called by `rag mcp`.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from mcp.server.transport_security import TransportSecuritySettings

from rag.errors import SettingsError
from rag.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from rag.mcp.tools import PaperServer

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LEAST_TOKEN_CHARS = 24  # nobody guesses that many random ones over a network
MOST_CONNECTIONS = 100
MOST_BYTES = 256 * 1024  # of one request; the longest question with full filters is under half
PATIENCE_S = 3  # for calls under way when the server is told to end


def serve_stdio(server: PaperServer) -> None:
    """Serves one client until it closes our input or stops reading our output."""
    try:
        server.run("stdio")
    except* BrokenPipeError:
        pass  # nobody is left to tell


def token_of(file: Path | None, given: str | None) -> str | None:
    """The token that clients must send, or None where there is none.

    Args:
        file: it holds the token and nothing else; wins over `given`.
        given: the token itself, from the settings.

    Raises:
        SettingsError: the file cannot be read, or the token is no good one.
    """
    token = given
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(f"The token file {file} cannot be read: {reason}.") from error
    if token is None:
        return None
    if len(token) < LEAST_TOKEN_CHARS or not all("!" <= letter <= "~" for letter in token):
        raise SettingsError(
            f"The token must be one word of {LEAST_TOKEN_CHARS} or more plain characters; "
            '`python -c "import secrets; print(secrets.token_urlsafe())"` makes one.'
        )
    return token


def listen(host: str, port: int, *, token: str | None, names: Sequence[str]) -> socket.socket:
    """A socket for `serve_http`, bound where it is safe.

    Args:
        host: address or name to listen on.
        port: 0 takes a free one.
        token: what clients must send, or None.
        names: further names that clients may call this server by.

    Raises:
        SettingsError: the address is not loopback and there is no token or no name, or it cannot
            be bound.
    """
    if not is_loopback(host):
        if token is None:
            raise SettingsError(
                f"Serving on {host} needs a token, for others can reach it; put one into a file "
                "and give --token-file, or set PAPERTRAIL_MCP_TOKEN."
            )
        if _is_any(host) and not names:
            raise SettingsError(
                f"{host} is every address of this machine; say with --name by which name "
                "clients call it."
            )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        bound = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two programs share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"Port {port} of {host} cannot be served: {reason}; choose another with --port."
        ) from error
    return bound


def serve_http(
    server: PaperServer, bound: socket.socket, host: str, *, token: str | None, names: Sequence[str]
) -> None:
    """Serves clients over HTTP until the process is interrupted.

    Args:
        server: what `make_server` gave.
        bound: what `listen` gave.
        host: as it was given to `listen`.
        token: what clients must send, or None.
        names: further names that clients may call this server by.

    Raises:
        KeyboardInterrupt: the process was interrupted.
    """
    import uvicorn

    pages = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MOST_BYTES,
        transport_security=_security(host, bound.getsockname()[1], names),
    )
    pages.router.redirect_slashes = False  # it would send people to whatever host they named
    app = pages if token is None else TokenGate(pages, token)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=PATIENCE_S,
    )
    uvicorn.Server(config).run(sockets=[bound])


class TokenGate:
    """Lets only requests with the token through; the others learn nothing."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 to a request without the token."""
        if scope["type"] == "http" and not self._admits(scope):
            from starlette.responses import PlainTextResponse

            refusal = PlainTextResponse(
                "This server needs its token, as: Authorization: Bearer TOKEN\n",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        # compare_digest takes the same time wherever the first difference lies
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._expected)


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host


def address_of(host: str, port: int, names: Sequence[str] = ()) -> str:
    """The address that clients use; by the first name where every address is served.

    >>> address_of("127.0.0.1", 8765), address_of("::1", 8765)
    ('http://127.0.0.1:8765/mcp', 'http://[::1]:8765/mcp')
    >>> address_of("0.0.0.0", 8765, ["papers.example.org"])
    'http://papers.example.org:8765/mcp'
    """
    name = names[0] if names and _is_any(host) else host
    return f"http://{_in_address(name)}:{port}{PATH}"


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _security(host: str, port: int, names: Sequence[str]) -> TransportSecuritySettings:
    """What requests may give as `Host` and `Origin`: this server, by its names."""
    own = dict.fromkeys([*LOOPBACK, *([] if _is_any(host) else [host.lower()])])
    hosts = [f"{_in_address(name)}:{port}" for name in own]
    for name in names:  # a proxy may stand before us, with a port of its own
        hosts += [_in_address(name.lower()), f"{_in_address(name.lower())}:*"]
    return TransportSecuritySettings(
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{each}" for scheme in ("http", "https") for each in hosts],
    )
