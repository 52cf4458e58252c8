"""The guard before a server for programs: it refuses what comes from elsewhere or has no token.

Without a check of `Host` and `Origin`, a page in somebody's browser could reach a server on their
machine under a name that the page points there (DNS rebinding).
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from rag.serving.address import is_unspecified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger("papertrail.serving")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer.

    Attributes:
        status: of HTTP.
        sentence: for whoever sent it.
        headers: of the response.
    """

    status: int
    sentence: str
    headers: dict[str, str]


class Guard:
    """Lets requests pass that name this server, come from no foreign page, and have the token."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        host: str,
        port: int,
        names: Sequence[str] = (),
        token: str | None = None,
        respond: Callable[[Refusal], Response] | None = None,
    ) -> None:
        """Guard an application.

        Args:
            application: behind the guard.
            host: that the server listens on.
            port: that requests must name with this host or a loopback one.
            names: other names of the server, with any port: a proxy may have one of its own.
            token: that requests must send, if any.
            respond: writes a refusal. None writes its sentence.
        """
        self._application = application
        self._own = {*_LOOPBACK, *([] if is_unspecified(host) else [host.strip("[]").lower()])}
        self._port = port
        self._names = {name.lower() for name in names}
        self._token = token.encode() if token else None
        self._respond = respond or _write_sentence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        refusal = self._check(Headers(scope=scope)) if scope["type"] == "http" else None
        application = self._respond(refusal) if refusal else self._application
        await application(scope, receive, send)

    def _check(self, headers: Headers) -> Refusal | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            _log.warning("Invalid Host header: %s", ", ".join(hosts))
            sentence = "This server has another name. Call it by the one that it prints, or --name."
            return Refusal(421, sentence, {})
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not self._is_own(host):
                _log.warning("Invalid Origin header: %s", origin)
                return Refusal(403, "Pages of other sites may not use this server.", {})
        if self._token and not self._has_token(headers.getlist("authorization")):
            sentence = "This server needs a token. Send it as `Authorization: Bearer TOKEN`."
            return Refusal(401, sentence, {"WWW-Authenticate": 'Bearer realm="papertrail"'})
        return None

    def _is_own(self, host: str) -> bool:
        """Return whether a host, with its port if it is not that of HTTP, is this server."""
        name, port = split_host(host)
        return name in self._names or (name in self._own and port == self._port)

    def _has_token(self, given: list[str]) -> bool:
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        # compare_digest takes the same time wherever the first difference is
        is_right = hmac.compare_digest(token.strip().encode("latin-1"), self._token or b"")
        return is_right and scheme.lower() == "bearer"


def split_host(host: str) -> tuple[str, int]:
    """Return the name and the port of a host, ("", 0) for what is none.

    >>> split_host("[::1]:8765"), split_host("Papers.example.org"), split_host("a@b")
    (('::1', 8765), ('papers.example.org', 80), ('', 0))
    """
    try:
        parts = urlsplit(f"//{host}")
        port = 80 if parts.port is None else parts.port
    except ValueError:
        return "", 0
    return ("", 0) if parts.netloc != host or "@" in host else (parts.hostname or "", port)


def _write_sentence(refusal: Refusal) -> Response:
    return PlainTextResponse(refusal.sentence, refusal.status, refusal.headers)
