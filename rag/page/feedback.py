"""What readers thought of answers: one line of JSON each, in a local file that can be exported."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rag.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

    from rag.answer import Turn

LONGEST_COMMENT = 2000  # characters
_LARGEST_BYTES = 50_000_000


class Feedback:
    """A file of thumbs and comments; may be shared by threads."""

    def __init__(self, path: Path) -> None:
        """Takes the file's path; it is made with the first line."""
        self._path = path
        self._lock = threading.Lock()

    def add(self, turn: Turn, *, user: str | None, thumb: str, comment: str) -> None:
        """Keeps what a reader thought of an answer.

        Raises:
            DiskError: it cannot be written.
        """
        answer = turn.answer
        values = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "user": user,
            "thumb": thumb,
            "comment": comment.strip()[:LONGEST_COMMENT],
            "question": turn.question,
            "asked": answer.asked,
            "text": answer.text,
            "status": answer.status,
            "sources": {number: paper.id for number, paper in answer.sources.items()},
            "verification": answer.verification,
            "mode": answer.model or answer.mode,
        }
        line = json.dumps(values, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                if self._path.exists() and self._path.stat().st_size > _LARGEST_BYTES:
                    raise DiskError("The file of feedback is full; export and move it first.")
                with self._path.open("ab") as file:
                    file.write(line.encode("utf-8", "replace"))
        except OSError as error:
            raise DiskError(f"The feedback cannot be kept: {error.strerror}.") from error

    def text(self, user: str | None) -> str:
        """The lines of a user; all of them where nobody signs in. Empty where there is none."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError:
            return ""
        return "".join(line for line in lines if user is None or _of(line) == user)


def _of(line: str) -> Any:
    try:
        return json.loads(line).get("user")
    except (ValueError, AttributeError):
        return None
