"""Papers that a reader uploads or pastes: received, read and reported.

Gradio's own upload is closed. A file arrives by a request of its own and lies under a random token
that only its sender can use. No name that a client gives becomes a path.
"""

from __future__ import annotations

import re
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from rag.errors import CorpusError
from rag.papers import Paper
from rag.readers import Refused, iter_sources
from rag.web.escape import escape
from rag.web.limits import LARGEST_FILE_BYTES, LARGEST_PASTE, LARGEST_TOTAL_BYTES, MOST_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request

    from rag.index import IndexReport
    from rag.readers import Record

PATH = "/upload"
_KEEP_S = 3600.0
_MOST_BYTES = 10 * LARGEST_TOTAL_BYTES  # of all users together
_NAME_CHARS = 120
_MOST_PROBLEMS = 20  # in a report
_LIBRARY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,47}")


@dataclass(slots=True)
class Upload:
    """File on the server, with the name that its owner gave it."""

    path: Path
    name: str
    user: str | None = None
    since: float = field(default_factory=time.monotonic)
    size: int = LARGEST_FILE_BYTES  # its room is taken while it comes


class UploadStore:
    """Files that wait to be read. They go after an hour. The event loop alone uses it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="papertrail-")
        self._waiting: dict[str, Upload] = {}

    def close(self) -> None:
        """Delete everything."""
        self._folder.cleanup()

    def take(self, tokens: object, user: str | None) -> list[Upload]:
        """Return the files that a user sent, by their tokens. Ignores unknown tokens."""
        known = {token for token, each in self._waiting.items() if each.user == user}
        wanted = tokens[: MOST_FILES + 1] if isinstance(tokens, list) else []
        own = dict.fromkeys(each for each in wanted if isinstance(each, str) and each in known)
        return [self._waiting.pop(token) for token in own]

    def add_route(self, application: Starlette, find_user: Callable[[Request], str | None]) -> None:
        """Add the address that files are sent to. The guard refuses those that are too large."""

        async def receive(request: Request) -> JSONResponse:
            user = find_user(request)
            if not self._has_room(user):
                problem = "Too many files wait to be read. Add them, or try again in an hour."
                return JSONResponse({"error": problem}, 429)
            name = " ".join(request.query_params.get("name", "").split())[:_NAME_CHARS]
            token = token_urlsafe(16)
            upload = Upload(Path(self._folder.name) / token, name or "file", user)
            self._waiting[token] = upload
            with suppress(ClientDisconnect), ExitStack() as incomplete:
                incomplete.callback(self._delete, token)
                with upload.path.open("wb") as file:
                    async for chunk in request.stream():
                        file.write(chunk)
                upload.size = upload.path.stat().st_size
                incomplete.pop_all()
                return JSONResponse({"token": token})
            return JSONResponse({"error": "The upload was cut off. Send the file again."}, 400)

        application.add_route(PATH, receive, methods=["POST"])

    def _has_room(self, user: str | None) -> bool:
        oldest = time.monotonic() - _KEEP_S
        for token in [t for t, each in self._waiting.items() if each.since < oldest]:
            self._delete(token)
        own = sum(each.user == user for each in self._waiting.values())
        return own < 2 * MOST_FILES and sum(e.size for e in self._waiting.values()) <= _MOST_BYTES

    def _delete(self, token: str) -> None:
        upload = self._waiting.pop(token, None)
        if upload:
            upload.path.unlink(missing_ok=True)


def check_library_name(name: str) -> str:
    """Return the name of a new library without surrounding blanks.

    Raises:
        CorpusError: it is not a valid name.
    """
    name = name.strip()
    if not _LIBRARY_NAME.fullmatch(name):
        raise CorpusError(
            "Give the new library a name of at most 48 letters, digits, blanks, '-' and '_'."
        )
    return name


def check_sizes(files: Sequence[Upload], pasted: str) -> None:
    """Raise if there is too much to read, or nothing.

    Raises:
        CorpusError: no file and no text, or too many or too large files.
    """
    if not files and not pasted.strip():
        raise CorpusError("Choose files or paste text first.")
    if len(files) > MOST_FILES:
        raise CorpusError(f"Add at most {MOST_FILES} files at once. You chose {len(files)}.")
    sizes = [file.path.stat().st_size for file in files]
    if any(size > LARGEST_FILE_BYTES for size in sizes) or sum(sizes) > LARGEST_TOTAL_BYTES:
        raise CorpusError(
            f"Files can have {LARGEST_FILE_BYTES // 1_000_000} MB each and "
            f"{LARGEST_TOTAL_BYTES // 1_000_000} MB together. Use `rag index` for larger ones."
        )
    if len(pasted) > LARGEST_PASTE:
        raise CorpusError(f"Paste at most {LARGEST_PASTE:,} characters, or upload a file.")


def read_uploads(files: Sequence[Upload], pasted: str) -> Iterator[Record]:
    """Yield the papers of files and pasted text. An unreadable file is one refusal."""
    for file in files:
        yield from _read_upload(file)
    if pasted.strip():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pasted"
            path.write_text(pasted, encoding="utf-8", errors="replace")
            yield from _read_upload(Upload(path, "pasted text"))


def _read_upload(file: Upload) -> Iterator[Record]:
    path, has_refused = str(file.path), False
    try:
        for record in iter_sources([(file.path, {})]):
            has_refused = has_refused or isinstance(record, Refused)
            if isinstance(record, Paper):
                sources = tuple(file.name if each == path else each for each in record.sources)
                yield replace(record, sources=sources)
            else:
                yield replace(record, path=file.name)
    except CorpusError as error:
        if not has_refused:  # the reason must not show where the file lies on the server
            reason = str(error).removeprefix(f"{path}: ").replace(path, "the file")
            yield Refused(file.name, None, reason)


def render_report(report: IndexReport) -> str:
    """Render how many papers were added, merged or refused."""
    intake = report.intake
    counts = [
        (len(intake.added), "added"),
        (len(set(intake.changed)), "changed"),
        (len(set(intake.merged)), "merged with known papers"),
        (intake.unchanged, "already there"),
        (len(intake.removed), "removed"),
        (len(intake.refused), "refused"),
    ]
    changes = ", ".join(f"{count:,} {words}" for count, words in counts if count)
    problems = [*map(str, intake.refused), *intake.warnings]
    if intake.without_abstract:
        problems.append(
            f"{len(intake.without_abstract)} without abstract are found by their titles only."
        )
    more = len(problems) - _MOST_PROBLEMS
    items = "".join(f'<li dir="auto">{escape(each)}</li>' for each in problems[:_MOST_PROBLEMS])
    items += f"<li>… and {more} more.</li>" if more > 0 else ""
    return (
        '<div class="report" role="status"><p><strong>Done:</strong> '
        f"{changes or 'nothing changed'}. The library has {report.papers:,} papers.</p>"
        f"{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def render_problem(sentence: str) -> str:
    """Render why nothing was done."""
    return f'<p class="note error" role="alert">{escape(sentence)}</p>'
