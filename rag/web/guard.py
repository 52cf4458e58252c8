"""What stands in front of the page: headers that keep it to itself, and who is turned away.

Every request passes here before Gradio sees it: other sites, other host names, bodies that are too
large, what Gradio offers beside the page, and whoever has not signed in where that is asked.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from rag.settings import is_loopback
from rag.web.intake import LARGEST_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from rag.web.login import Auth

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

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
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
# What Gradio offers beside and this page does not need.
_CLOSED = re.compile(
    "/proxy|/monitoring|/gradio_api/(proxy|vibe|undo-vibe|dev|file|runs|run-history|profiling|deep_link|"
    "process_recording|custom_component|stream|upload)"
)
_CALL = "/gradio_api/call/"
_HEARTBEAT = "/gradio_api/heartbeat/"
# What a stranger may see where one has to sign in: the form, and what Gradio draws with.
_OPEN_PATHS = ("/sign-in", "/login", "/assets/", "/static/", "/theme.css", "/favicon.ico")
_LARGEST_BODY = 12_000_000  # bytes; a conversation that a browser hands over is the largest
_UPLOAD = "/upload"
_LARGEST = {"/sign-in": 10_000, _UPLOAD: LARGEST_FILE_BYTES}


class Guard:
    """Adds the headers, and turns away what has no business here."""

    def __init__(
        self,
        application: Application,
        *,
        only_loopback: bool,
        auth: Auth | None = None,
        uploads: bool = True,
    ) -> None:
        """Wraps an application.

        Args:
            application: in ASGI's form.
            only_loopback: whether requests must name a loopback address as their host, so that no
                other site can reach the page under a name of its own.
            auth: knows who is signed in; None where nobody has to.
            uploads: whether files may be sent.
        """
        self._application = application
        self._only_loopback = only_loopback
        self._auth = auth
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        refusal = self._refusal(scope) or self._stranger(scope)
        if refusal:
            await _refuse(send, *refusal)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            elif user is not None and scope["method"] == "POST":
                self._note_owner(user, message.get("body", b""))
            await send(message)

        user = self._user(scope)
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/"):
            body = await _body(receive)
            if not _is_harmless(body):
                await _refuse(send, 400, "This request cannot be read.")
                return
            call = _completed(body) if scope["path"].startswith(_CALL) else body
            if call is None:
                await _refuse(send, 400, 'Give a question, as in {"data": ["How ...?", 8]}.')
                return
            receive = _once_more(call, receive)
        await self._application(scope, receive, send_with_headers)

    def _user(self, scope: Scope) -> str | None:
        from starlette.requests import HTTPConnection

        return self._auth.user(HTTPConnection(scope)) if self._auth else None

    def _note_owner(self, user: str, body: bytes) -> None:
        """Remembers whose answer an id stands for, by the body that tells the id."""
        if self._auth and body.startswith(b'{"event_id"'):
            with suppress(ValueError):
                self._auth.owns(user, str(json.loads(body)["event_id"]))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for what nobody may do."""
        named = {n.decode("latin-1"): value.decode("latin-1") for n, value in scope["headers"]}
        host, path = named.get("host", ""), scope["path"]
        if self._only_loopback and not is_loopback(_host_name(host)):
            return 403, "This page is served under a loopback address only."
        origin = named.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Another site may not use this page."
        if _CLOSED.match(path) or (path == _UPLOAD and not self._uploads):
            return 404, "There is nothing here."
        length = named.get("content-length", "0")
        most = _LARGEST.get(path, _LARGEST_BODY)
        if "transfer-encoding" in named or not length.isdecimal() or int(length) > most:
            return 413, "This is too large."
        return None

    def _stranger(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for who has not signed in, or asks for another user's page."""
        if self._auth is None or scope["path"].startswith(_OPEN_PATHS):
            return None
        user = self._user(scope)
        if user is None:
            return (303, "/sign-in") if scope["path"] == "/" else (401, "Sign in first.")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        pages = query.get("session_hash", [])
        if scope["path"].startswith(_HEARTBEAT):
            pages = [*pages, scope["path"].removeprefix(_HEARTBEAT)]
        elif scope["path"].startswith(_CALL) and scope["method"] == "GET":
            pages = [*pages, scope["path"].rstrip("/").rpartition("/")[2]]  # the id of an answer
        if not all(self._auth.owns(user, page) for page in pages):
            return 403, "This page belongs to somebody else."
        return None


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _is_harmless(body: bytes) -> bool:
    """Whether a body is JSON that names no file.

    Gradio takes any value of the shape of its files for a path or an address, and reads it.
    """
    try:
        waiting = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "path" in value or "url" in value:
                return False
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return True


def _completed(body: bytes) -> bytes | None:
    """A call of `ask` or `search`, with a null for a k left out; None where it lacks the question.

    Gradio fills in what its own client leaves out, and fails on what others do.
    """
    call = json.loads(body or b"null")
    values = call.get("data") if isinstance(call, dict) else None
    if values == []:
        return None
    if isinstance(values, list) and len(values) == 1:
        return json.dumps({**call, "data": [*values, None]}).encode()
    return body


def _once_more(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read to the next reader, then what really comes."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> MutableMapping[str, Any]:
        return parts.pop() if parts else await receive()

    return given


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, sentence: str) -> None:
    """Answers without the application; a redirection names its target as the sentence."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    if status == 303:
        headers.append((b"location", sentence.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
