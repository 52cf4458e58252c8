"""The guard before the page: it adds security headers and refuses requests.

Every request passes here before Gradio sees it. Refused are other sites, other host names, large
bodies, Gradio's other routes, and requests without a session where users must sign in.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse

from rag.serving.guard import split_host
from rag.settings import is_loopback
from rag.web.limits import LARGEST_FILE_BYTES

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from rag.web.auth import Auth

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
    """Adds the headers and refuses what is not for this page.

    With `only_loopback` requests must name a loopback host, so that no other site can reach the
    page under a name of its own. With `auth` they need a session. Files need `uploads`.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        only_loopback: bool,
        auth: Auth | None = None,
        uploads: bool = True,
    ) -> None:
        self._application = application
        self._only_loopback = only_loopback
        self._auth = auth
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = Request(scope, receive)
        user = self._auth.find_user(request) if self._auth else None
        is_post = request.method == "POST"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            elif user is not None and is_post:
                self._record_owner(user, message.get("body", b""))
            await send(message)

        refusal = self._check_request(request) or self._check_user(request, user)
        if is_post and not refusal and scope["path"].startswith("/gradio_api/"):
            try:
                body = await request.body()
            except ClientDisconnect:
                return
            if not _names_no_file(body):
                sentence = "This request is not valid JSON, or it names a file."
                refusal = PlainTextResponse(sentence, 400)
            receive = _replay_body(body, receive)
        await (refusal or self._application)(scope, receive, send_with_headers)

    def _record_owner(self, user: str, body: bytes) -> None:
        """Record which user owns an answer, read from the body that gives its id."""
        if self._auth and body.startswith(b'{"event_id"'):
            with suppress(ValueError):
                self._auth.claim_page(user, str(json.loads(body)["event_id"]))

    def _check_request(self, request: Request) -> Response | None:
        """Refuse a request that nobody may send."""
        headers, path = request.headers, request.scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._only_loopback and not is_loopback(split_host(host)[0]):
            return PlainTextResponse("This page answers on a loopback address only.", 403)
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("Other sites may not use this page.", 403)
        if _CLOSED.match(path) or (path == _UPLOAD and not self._uploads):
            return PlainTextResponse("Not found.", 404)
        if _is_too_large(headers, _LARGEST.get(path, _LARGEST_BODY)):
            return PlainTextResponse("This request is too large.", 413)
        return None

    def _check_user(self, request: Request, user: str | None) -> Response | None:
        """Refuse a request without a sign-in where one is needed, and one for another's page."""
        path = request.scope["path"]
        if self._auth is None or path.startswith(_OPEN_PATHS):
            return None
        if user is None:
            if path == "/":
                return RedirectResponse("/sign-in", 303)
            return PlainTextResponse("Sign in first.", 401)
        pages = request.query_params.getlist("session_hash")
        if path.startswith(_HEARTBEAT):
            pages.append(path.removeprefix(_HEARTBEAT))
        elif path.startswith(_CALL) and request.method == "GET":
            pages.append(path.rstrip("/").rpartition("/")[2])  # the id of an answer
        if not all(self._auth.claim_page(user, page) for page in pages):
            return PlainTextResponse("This page belongs to another user.", 403)
        return None


def _is_too_large(headers: Headers, most: int) -> bool:
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


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body once more, then what really comes."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return parts.pop() if parts else await receive()

    return receive_again
