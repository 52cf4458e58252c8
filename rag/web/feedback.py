"""Feedback: thumbs and comments of readers, as lines of JSON in a local file.

A thumb is a line at once. A comment that follows, or another thumb, is a line of the same id, and
the last line of an id counts.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rag.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path

    from rag.answer import Turn

LONGEST_COMMENT = 2000  # characters
_LARGEST_BYTES = 50_000_000


class Feedback:
    """File of thumbs and comments. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(
        self, turn: Turn, *, turn_id: str, user: str | None, thumb: str, comment: str = ""
    ) -> None:
        """Save what a reader thinks of an answer. Replaces what they said of it before.

        Args:
            turn: the question and its answer.
            turn_id: conversation and number of the turn.
            user: name of the signed-in reader, or None.
            thumb: "up" or "down".
            comment: cut if it is too long.

        Raises:
            DiskError: the file cannot be written.
        """
        answer = turn.answer
        key = "\0".join((turn_id, turn.question, answer.text))
        values = {
            "id": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16],
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
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self._path.open("ab") as file:
                if file.tell() > _LARGEST_BYTES:
                    raise DiskError("The feedback file is full. Download it and move it away.")
                file.write(line.encode("utf-8", "replace"))
        except OSError as error:
            raise DiskError(f"Cannot save the feedback ({error.strerror}).") from error

    def export(self, user: str | None) -> str:
        """Return the last line of each id of a user, or of everybody where nobody signs in."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError:
            return ""
        last: dict[object, str] = {}
        for number, line in enumerate(lines):
            with suppress(ValueError):  # a line that a full disk has cut off
                values = json.loads(line)
                if user is None or values.get("user") == user:
                    key = values.get("id", number)  # older lines have none
                    last.pop(key, None)
                    last[key] = line
        return "".join(last.values())
