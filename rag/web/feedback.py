"""What readers thought of answers: lines of JSON in a local file that can be exported.

A thumb is a line at once, and a comment that follows, or another thumb, is a line of the same id;
the last one of an id holds.
"""

from __future__ import annotations

import hashlib
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

    def add(
        self, turn: Turn, *, place: str, user: str | None, thumb: str, comment: str = ""
    ) -> None:
        """Keeps what a reader thought of an answer, in place of what they said of it before.

        Args:
            turn: the question and its answer.
            place: which turn of which conversation it is.
            user: the name of the signed-in reader, or None.
            thumb: "up" or "down".
            comment: in their words; the first 2,000 characters are kept.

        Raises:
            DiskError: it cannot be written.
        """
        answer = turn.answer
        said = "\0".join((place, turn.question, answer.text))
        values = {
            "id": hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16],
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
        """What a user thinks of answers, the last line of each; "" where there is none.

        Where nobody signs in, of all.
        """
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError:
            return ""
        last: dict[object, str] = {}
        for number, line in enumerate(lines):
            values = _values(line)
            if user is None or values.get("user") == user:
                identity = values.get("id")
                key = identity if isinstance(identity, str) else number
                last.pop(key, None)
                last[key] = line
        return "".join(last.values())


def _values(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
