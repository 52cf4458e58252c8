"""Signing in: a form, sessions in a cookie, and a wait that grows with every wrong try.

Used only where the page has accounts. Sessions live in the memory of the server: they end with it,
after a day, or when their user signs out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from secrets import token_urlsafe
from string import Template
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import HTTPConnection

from rag.web.escape import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastapi import FastAPI

    from rag.web.accounts import Accounts

COOKIE = "papertrail_session"
SESSION_S = 24 * 3600
_FREE_TRIES = 3  # wrong ones before waits begin
_LONGEST_WAIT_S = 60.0
_FORGET_S = 900.0
_MOST_REMEMBERED = 10_000


class LoginThrottle:
    """Counts wrong tries for each name and each address, and says how long to wait."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Takes seconds on a clock that never goes back."""
        self._now = now
        self._wrong: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, *keys: str) -> float:
        """Seconds until somebody may try again; 0 for at once."""
        with self._lock:
            return max((self._left(key) for key in keys), default=0.0)

    def count(self, *keys: str) -> None:
        """Remembers a try, which counts as wrong until it is taken back."""
        with self._lock:
            if len(self._wrong) > _MOST_REMEMBERED:
                self._wrong.clear()
            for key in keys:
                count, last = self._wrong.get(key, (0, 0.0))
                fresh = self._now() - last < _FORGET_S
                self._wrong[key] = ((count if fresh else 0) + 1, self._now())

    def take_back(self, *keys: str) -> None:
        """One try of each was right."""
        with self._lock:
            for key in keys:
                count, last = self._wrong.get(key, (0, 0.0))
                self._wrong[key] = (max(0, count - 1), last)

    def forget(self, *keys: str) -> None:
        """Forgets the wrong tries of somebody who got in."""
        with self._lock:
            for key in keys:
                self._wrong.pop(key, None)

    def _left(self, key: str) -> float:
        count, last = self._wrong.get(key, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        wait = min(2.0 ** (count - _FREE_TRIES), _LONGEST_WAIT_S)
        return max(0.0, last + wait - self._now())


class Auth:
    """Lets users in and knows who they are."""

    def __init__(self, accounts: Accounts, form: Path) -> None:
        """Takes the accounts and the file of the form."""
        self._accounts = accounts
        self._form = Template(form.read_text("utf-8"))
        self._tries = LoginThrottle()
        self._sessions: dict[str, tuple[str, float]] = {}
        self._pages: dict[str, str] = {}
        self._hashing = asyncio.Semaphore(1)  # scrypt is meant to be slow; one at a time

    def user(self, request: HTTPConnection) -> str | None:
        """The name of the user whose request this is, or None."""
        token = request.cookies.get(COOKIE, "")
        name, until = self._sessions.get(token, ("", 0.0))
        if not name or until < time.monotonic():
            self._sessions.pop(token, None)
            return None
        return name

    def owns(self, user: str, page: str) -> bool:
        """Whether a page, by the name that its browser gave it, is this user's; the first is."""
        if len(self._pages) > _MOST_REMEMBERED:
            self._pages.pop(next(iter(self._pages)))
        return self._pages.setdefault(page, user) == user

    def add_to(self, application: FastAPI) -> None:
        """Adds the form and what it sends to."""
        application.add_api_route("/sign-in", self._show, methods=["GET"])
        application.add_api_route("/sign-in", self._sign_in, methods=["POST"])
        application.add_api_route("/sign-out", self._sign_out, methods=["POST"])
        # Gradio's own ways in stay shut.
        for path in ("/login", "/login/", "/logout"):
            application.add_api_route(path, self._show, methods=["GET", "POST"])

    async def _show(self) -> Response:
        return self._drawn("")

    async def _sign_in(self, request: Request) -> Response:
        fields = await request.form(max_files=0, max_fields=4, max_part_size=4096)
        name = str(fields.get("name", "")).strip().casefold()[:64]
        keys = (f"name {name}", f"address {request.client.host if request.client else ''}")
        if wait := self._tries.wait_s(*keys):
            seconds = int(wait) + 1
            return self._drawn(
                f"Too many wrong tries; wait {seconds} second{'s' * (seconds != 1)}.", 429
            )
        self._tries.count(*keys)  # before the check, so that tries side by side count too
        async with self._hashing:
            password = str(fields.get("password", ""))
            admitted = await asyncio.to_thread(self._accounts.admits, name, password)
        if not admitted:
            return self._drawn("Name and password do not fit together.", 401)
        self._tries.forget(keys[0])
        self._tries.take_back(keys[1])
        token, now = token_urlsafe(32), time.monotonic()
        self._sessions = {t: found for t, found in self._sessions.items() if found[1] > now}
        self._sessions[token] = (name, now + SESSION_S)
        response = RedirectResponse("/", status_code=303)
        secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        response.set_cookie(
            COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(COOKIE)
        return response

    def _drawn(self, sentence: str, status: int = 200) -> Response:
        said = f'<p class="error" role="alert">{safe(sentence)}</p>' if sentence else ""
        return HTMLResponse(self._form.substitute(said=said), status)
