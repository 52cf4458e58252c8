"""Signing in: a file of accounts, a form, and sessions in a cookie.

The file holds one account a line as JSON. `rag app-user add` writes it. It never holds a password,
only a scrypt hash with a salt of its own. Sessions live in the server's memory. They end with the
server, after a day, or when the user signs out.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from string import Template
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse

from rag.errors import CorpusError, DiskError, SettingsError
from rag.files import write_atomically
from rag.web.escape import escape
from rag.web.limits import LoginThrottle

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000
COOKIE = "papertrail_session"
SESSION_S = 24 * 3600
_MOST_PAGES = 10_000  # whose owner is remembered
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# RFC 7914's parameters at 16 MB and some 50 ms a try.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1


@dataclass(frozen=True, slots=True)
class Account:
    """One user's name, with the hash of the password."""

    name: str
    salt: bytes
    digest: bytes

    @classmethod
    def create(cls, name: str, password: str) -> Account:
        """Hash a password with a new salt."""
        salt = token_bytes(16)
        return cls(name, salt, _hash_password(password, salt))

    def matches(self, password: str) -> bool:
        """Return whether a password belongs to this account."""
        return hmac.compare_digest(_hash_password(password, self.salt), self.digest)


_NOBODY = Account("", bytes(16), bytes(32))  # an unknown name takes as long as a known one


class Accounts:
    """Accounts of a file, read once."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: it cannot be read or holds no account.
        """
        self._accounts = read_accounts(path)
        if not self._accounts:
            raise SettingsError(
                f"{path} holds no account. Add one with `rag app-user add NAME FILE`."
            )

    def verify(self, name: str, password: str) -> bool:
        """Return whether name and password match. Takes as long for an unknown name."""
        account = self._accounts.get(name.strip().casefold(), _NOBODY)
        return account.matches(password[:LONGEST_PASSWORD]) and account is not _NOBODY


def read_accounts(path: Path) -> dict[str, Account]:
    """Return the accounts of a file by name.

    Raises:
        SettingsError: the file cannot be read or does not hold accounts.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        return {
            row["name"]: Account(row["name"], b64decode(row["salt"]), b64decode(row["scrypt"]))
            for row in rows
        }
    except OSError as error:
        raise SettingsError(f"Cannot read the accounts in {path} ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is not a file of accounts. Create one with `rag app-user add NAME FILE`."
        ) from error


def add_account(path: Path, name: str, password: str) -> None:
    """Add an account to a file, or change its password. Creates the file where it is missing.

    Raises:
        CorpusError: the name or the password is not allowed.
        SettingsError: the file does not hold accounts.
        DiskError: it cannot be written.
    """
    name = name.strip().casefold()
    if not _NAME.fullmatch(name):
        raise CorpusError(
            f"{name!r} is not a valid user name. Use at most 32 letters, digits, '.', '-' and '_'."
        )
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise CorpusError(
            f"The password has {len(password)} characters. Use {SHORTEST_PASSWORD} to "
            f"{LONGEST_PASSWORD}."
        )
    accounts = read_accounts(path) if path.exists() else {}
    _write_accounts(path, {**accounts, name: Account.create(name, password)})


def remove_account(path: Path, name: str) -> None:
    """Remove an account from a file.

    Raises:
        CorpusError: the file has no account of this name.
        SettingsError, DiskError: the file cannot be read or written.
    """
    accounts = read_accounts(path)
    if accounts.pop(name.strip().casefold(), None) is None:
        raise CorpusError(f"{path} has no account {name!r}.", path=path)
    _write_accounts(path, accounts)


class Auth:
    """Lets users sign in, and knows whose a request or an open page is."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._form = Template(Path(__file__).with_name("login.html").read_text("utf-8"))
        self._throttle = LoginThrottle()
        self._sessions: dict[str, tuple[str, float]] = {}
        self._pages: dict[str, str] = {}
        self._hashing = asyncio.Semaphore(1)  # scrypt is meant to be slow: one at a time

    def find_user(self, request: HTTPConnection) -> str | None:
        """Return the name of the user who sent a request, or None."""
        token = request.cookies.get(COOKIE, "")
        name, until = self._sessions.get(token, ("", 0.0))
        if not name or until < time.monotonic():
            self._sessions.pop(token, None)
            return None
        return name

    def claim_page(self, user: str, page: str) -> bool:
        """Return whether a page, named by its browser, is this user's. The first to ask owns it."""
        if len(self._pages) > _MOST_PAGES:
            self._pages.pop(next(iter(self._pages)))
        return self._pages.setdefault(page, user) == user

    def add_routes(self, application: Starlette) -> None:
        """Add the form and the addresses that it posts to."""
        application.add_route("/sign-in", self._show_form, methods=["GET"])
        application.add_route("/sign-in", self._sign_in, methods=["POST"])
        application.add_route("/sign-out", self._sign_out, methods=["POST"])
        # Gradio's own ways in stay shut.
        for path in ("/login", "/login/", "/logout"):
            application.add_route(path, self._show_form, methods=["GET", "POST"])

    async def _show_form(self, _request: Request) -> Response:
        return self._render_form("")

    async def _sign_in(self, request: Request) -> Response:
        fields = await request.form(max_files=0, max_fields=4, max_part_size=4096)
        name = str(fields.get("name", "")).strip().casefold()[:64]
        keys = (f"name {name}", f"address {request.client.host if request.client else ''}")
        if wait := self._throttle.compute_wait_s(*keys):
            seconds = int(wait) + 1
            sentence = f"Too many wrong tries. Wait {seconds} second{'s' * (seconds != 1)}."
            return self._render_form(sentence, 429)
        self._throttle.add(*keys)  # before the check, so that tries side by side count too
        async with self._hashing:
            password = str(fields.get("password", ""))
            is_right = await asyncio.to_thread(self._accounts.verify, name, password)
        if not is_right:
            return self._render_form("Wrong name or password.", 401)
        self._throttle.reset(keys[0])
        self._throttle.remove(keys[1])
        token, now = token_urlsafe(32), time.monotonic()
        self._sessions = {t: known for t, known in self._sessions.items() if known[1] > now}
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

    def _render_form(self, sentence: str, status: int = 200) -> Response:
        error = f'<p class="error" role="alert">{escape(sentence)}</p>' if sentence else ""
        return HTMLResponse(self._form.substitute(error=error), status)


def _write_accounts(path: Path, accounts: dict[str, Account]) -> None:
    lines = [
        json.dumps({"name": each.name, "salt": _encode(each.salt), "scrypt": _encode(each.digest)})
        for each in accounts.values()
    ]
    before = os.umask(0o077)  # nobody else needs to read it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise DiskError(f"Cannot create {path.parent} ({error.strerror}).") from error
    finally:
        os.umask(before)


def _hash_password(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL
    )


def _encode(value: bytes) -> str:
    return b64encode(value).decode("ascii")
