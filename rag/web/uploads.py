"""Files that readers send: kept under names of our own until they are read, and not for long.

Gradio's own upload is closed; a file gets here by a request of its own and is known to the page by
a random word, which only the user who sent it can use.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from rag.web.intake import LARGEST_FILE_BYTES, LARGEST_TOTAL_BYTES, MOST_FILES, Brought

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

PATH = "/upload"
_KEPT_S = 3600.0
_MOST_BYTES = 10 * LARGEST_TOTAL_BYTES  # of all users together
_NAME_CHARS = 120


class Uploads:
    """The files that wait to be read."""

    def __init__(self) -> None:
        """Makes a folder, which goes with `close`."""
        self._folder = tempfile.TemporaryDirectory(prefix="papertrail-")
        self._waiting: dict[str, tuple[Brought, str | None, float, int]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Deletes everything."""
        self._folder.cleanup()

    def take(self, words: object, user: str | None) -> list[Brought]:
        """The files that a user sent, by their words; others are passed over."""
        if not isinstance(words, list):
            return []
        found = []
        with self._lock:
            for word in words[: MOST_FILES + 1]:
                kept = self._waiting.get(word) if isinstance(word, str) else None
                if kept and kept[1] == user:
                    found.append(kept[0])
                    del self._waiting[word]
        return found

    def add_to(self, application: FastAPI, user_of: Callable[[Request], str | None]) -> None:
        """Adds the address that files are sent to."""

        async def receive(request: Request) -> Response:
            user = user_of(request)
            name = " ".join(request.query_params.get("name", "").split())[:_NAME_CHARS]
            if refusal := self._refusal(user):
                return _said(refusal, 429)
            word = token_urlsafe(16)
            brought = Brought(Path(self._folder.name) / word, name or "file")
            with self._lock:  # its place is taken while it comes
                self._waiting[word] = (brought, user, time.monotonic(), LARGEST_FILE_BYTES)
            size: int | None = None
            try:
                size = await _written(request, brought.path)
            except ClientDisconnect:
                return _said("The file did not come whole.", 400)
            finally:
                self._settle(word, size)
            if size is None:
                return _said(f"A file may have {LARGEST_FILE_BYTES // 1_000_000} MB.", 413)
            return _said(word, 200)

        application.add_api_route(PATH, receive, methods=["POST"])

    def _settle(self, word: str, size: int | None) -> None:
        """Notes how large a file became; one that did not come whole goes."""
        with self._lock:
            brought, user, since, _ = self._waiting.pop(word)
            if size is not None:
                self._waiting[word] = (brought, user, since, size)
                return
        with suppress(OSError):
            brought.path.unlink()

    def _refusal(self, user: str | None) -> str:
        """Why a user cannot send another file now; empty where they can."""
        with self._lock:
            self._expire()
            own = [size for _, who, _, size in self._waiting.values() if who == user]
            whole = sum(size for *_, size in self._waiting.values())
        if len(own) >= 2 * MOST_FILES or whole > _MOST_BYTES:
            return "Too many files wait to be read; add them, or try again in an hour."
        return ""

    def _expire(self) -> None:
        old = time.monotonic() - _KEPT_S
        for word in [w for w, (_, _, since, _) in self._waiting.items() if since < old]:
            with suppress(OSError):
                self._waiting.pop(word)[0].path.unlink()


async def _written(request: Request, path: Path) -> int | None:
    """Writes what a request brings; its bytes, or None where they are too many."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST_FILE_BYTES:
                return None
            file.write(chunk)
    return size


def _said(text: str, status: int) -> Response:
    body = json.dumps({"word" if status == 200 else "error": text})
    return Response(body, status, media_type="application/json")
