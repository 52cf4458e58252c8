"""The guard before the page: it adds security headers and refuses requests.

Every request passes here before Gradio sees it. Refused are other sites, other host names, large
bodies, Gradio's other routes, and requests without a session where users must sign in.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from rag.settings import is_loopback
from rag.web.limits import LARGEST_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from rag.web.auth import Auth

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Nothing on the page may come from, or go to, another host, whatever a paper contains. Gradio
# itself needs inline scripts and functions made from text.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; media-src 'self' blob:; frame-src 'none'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
# Gradio's routes that this page does not need.
_CLOSED = re.compile(
    "/proxy|/monitoring|/gradio_api/(proxy|vibe|undo-vibe|dev|file|runs|run-history|profiling|deep_link|"
    "process_recording|custom_component|stream|upload)"
)
_CALL = "/gradio_api/call/"
_HEARTBEAT = "/gradio_api/heartbeat/"
# Open to everybody where users must sign in: the form, and what Gradio draws with.
_OPEN_PATHS = ("/sign-in", "/login", "/assets/", "/static/", "/theme.css", "/favicon.ico")
_LARGEST_BODY = 12_000_000  # bytes; a conversation that a browser hands over is the largest
_UPLOAD = "/upload"
_LARGEST = {"/sign-in": 10_000, _UPLOAD: LARGEST_FILE_BYTES}


class Guard:
    """Adds the headers and refuses what is not for this page."""

    def __init__(
        self,
        application: Application,
        *,
        only_loopback: bool,
        auth: Auth | None = None,
        uploads: bool = True,
    ) -> None:
        """Wrap an application.

        Args:
            application: an ASGI application.
            only_loopback: whether requests must name a loopback host, so that no other site can
                reach the page under a name of its own.
            auth: knows who is signed in; None where nobody has to.
            uploads: whether files may be sent.
        """
        self._application = application
        self._only_loopback = only_loopback
        self._auth = auth
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        refusal = self._check_request(scope) or self._check_user(scope)
        if refusal:
            await _refuse(send, *refusal)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            elif user is not None and scope["method"] == "POST":
                self._record_owner(user, message.get("body", b""))
            await send(message)

        user = self._find_user(scope)
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/"):
            body = await _read_body(receive)
            if not _names_no_file(body):
                await _refuse(send, 400, "This request is not valid JSON, or it names a file.")
                return
            call = _add_missing_k(body) if scope["path"].startswith(_CALL) else body
            if call is None:
                await _refuse(send, 400, 'Give a question, as in {"data": ["How ...?", 8]}.')
                return
            receive = _replay_body(call, receive)
        await self._application(scope, receive, send_with_headers)

    def _find_user(self, scope: Scope) -> str | None:
        from starlette.requests import HTTPConnection

        return self._auth.find_user(HTTPConnection(scope)) if self._auth else None

    def _record_owner(self, user: str, body: bytes) -> None:
        """Record which user owns an answer, read from the body that gives its id."""
        if self._auth and body.startswith(b'{"event_id"'):
            with suppress(ValueError):
                self._auth.claim_page(user, str(json.loads(body)["event_id"]))

    def _check_request(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a request that nobody may send, else None."""
        headers = {n.decode("latin-1"): value.decode("latin-1") for n, value in scope["headers"]}
        host, path = headers.get("host", ""), scope["path"]
        if self._only_loopback and not is_loopback(_parse_host(host)):
            return 403, "This page answers on a loopback address only."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Other sites may not use this page."
        if _CLOSED.match(path) or (path == _UPLOAD and not self._uploads):
            return 404, "Not found."
        if _is_too_large(headers, _LARGEST.get(path, _LARGEST_BODY)):
            return 413, "This request is too large."
        return None

    def _check_user(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a missing sign-in or another user's page, else None."""
        if self._auth is None or scope["path"].startswith(_OPEN_PATHS):
            return None
        user = self._find_user(scope)
        if user is None:
            return (303, "/sign-in") if scope["path"] == "/" else (401, "Sign in first.")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        pages = query.get("session_hash", [])
        if scope["path"].startswith(_HEARTBEAT):
            pages = [*pages, scope["path"].removeprefix(_HEARTBEAT)]
        elif scope["path"].startswith(_CALL) and scope["method"] == "GET":
            pages = [*pages, scope["path"].rstrip("/").rpartition("/")[2]]  # the id of an answer
        if not all(self._auth.claim_page(user, page) for page in pages):
            return 403, "This page belongs to another user."
        return None


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _is_too_large(headers: dict[str, str], most: int) -> bool:
    """Return whether a request has more than `most` bytes, or does not say how many."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length) > most


def _names_no_file(body: bytes) -> bool:
    """Return whether a body is JSON that names no file.

    Gradio reads any value shaped like one of its files as a path or an address.
    """
    try:
        pending = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        return False
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "path" in value or "url" in value:
                return False
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return True


def _add_missing_k(body: bytes) -> bytes | None:
    """Return a call of `ask` or `search` with a null for a missing k, or None without a question.

    Gradio's own client fills in what is left out. Gradio fails on calls of other clients.
    """
    call = json.loads(body or b"null")
    values = call.get("data") if isinstance(call, dict) else None
    if values == []:
        return None
    if isinstance(values, list) and len(values) == 1:
        return json.dumps({**call, "data": [*values, None]}).encode()
    return body


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body once more, then what really comes."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> MutableMapping[str, Any]:
        return parts.pop() if parts else await receive()

    return receive_again


def _parse_host(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, sentence: str) -> None:
    """Answer without the application. For a redirect the sentence is its target."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    if status == 303:
        headers.append((b"location", sentence.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
