"""Saved conversations: their values, and the folder of each signed-in user on the server.

A conversation is saved in the form of `rag.answer.saved` (ids and quotes, no abstracts) with a
title and a time. Where nobody signs in the browser keeps the same values. Whatever comes back is
checked, wherever it was.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from rag.answer.saved import dump_turns, load_turns
from rag.errors import CorpusError, DiskError
from rag.files import write_atomically
from rag.web.escape import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rag.answer import Turn
    from rag.papers import Paper
    from rag.web.session import Session

    FindPapers = Callable[[str], Sequence[Paper] | None]

TITLE_CHARS = 120
LARGEST_CHARS = 4_000_000  # of one conversation that a browser sends
FORKED = "This conversation continued in another tab. Here it is a separate one from now on."
_UNREADABLE = "This conversation cannot be read. Delete it."
_UNKNOWN = "There is no such conversation. Reload the page."
_MOST_SAVED = 500  # conversations of one user
_ID = re.compile(r"[0-9a-f]{16}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def dump_session(session: Session) -> dict[str, Any]:
    """Return a conversation as JSON values, with its id, title and time (ms since 1970)."""
    return {
        "id": session.conversation_id,
        "title": shorten(session.title, TITLE_CHARS),
        "updated": int(time.time() * 1000),
        "libraries": session.libraries,
        **dump_turns(session.turns),
    }


def is_renamed(title: str, question: str) -> bool:
    """Return whether a conversation's title differs from its first question."""
    return shorten(title, TITLE_CHARS) != shorten(question, TITLE_CHARS)


def is_conversation_id(value: object) -> bool:
    """Return whether a value can be the id of a conversation, and so the name of a file."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def restore_session(session: Session, text: str, find_papers: FindPapers) -> tuple[str, ...]:
    """Load a saved conversation into a session.

    Args:
        session: of the page that opens it.
        text: JSON of `dump_session`.
        find_papers: returns the papers of the library with a title, of the current one for "", and
            None for a library that is not available.

    Returns:
        A sentence for each paper or quote that its library no longer has.

    Raises:
        CorpusError: it is not a conversation, contradicts itself or is too large.
    """
    if len(text) > LARGEST_CHARS:
        raise CorpusError("This conversation is too large to open. Delete it.")
    values = _parse(text)
    if not values:
        raise CorpusError(_UNREADABLE)
    libraries = _read_libraries(values)
    try:
        turns, warnings = _restore_turns(values, libraries, find_papers)
    except CorpusError as error:
        raise CorpusError(_UNREADABLE) from error
    session.start_conversation()
    session.conversation_id = values["id"]
    session.title = shorten(str(values.get("title", "")), TITLE_CHARS)
    session.turns, session.updated = turns, values.get("updated")
    session.libraries = libraries
    return warnings


def _restore_turns(
    values: dict[str, Any], libraries: list[str], find_papers: FindPapers
) -> tuple[list[Turn], tuple[str, ...]]:
    """Read each turn against the library that answered it.

    Turns of a library that is not available stay as they were saved.
    """
    turns, _ = load_turns(values, ())
    missing: dict[str, None] = {}
    for title in dict.fromkeys(libraries):
        papers = find_papers(title)
        numbers = [number for number, each in enumerate(libraries) if each == title]
        if papers is None:
            restored = [_mark_current(turns[number]) for number in numbers]
        else:
            own = [values["turns"][number] for number in numbers]
            restored, warnings = load_turns({**values, "turns": own}, papers)
            missing.update(dict.fromkeys(warnings))
        for number, turn in zip(numbers, restored, strict=True):
            turns[number] = turn
    return turns, tuple(missing)


def _mark_current(turn: Turn) -> Turn:
    """Return a turn whose citations count as current, since nothing could look them up."""
    statements = tuple(
        replace(each, citations=tuple(replace(c, standing="current") for c in each.citations))
        for each in turn.answer.statements
    )
    return replace(turn, answer=replace(turn.answer, statements=statements))


def _read_libraries(values: dict[str, Any]) -> list[str]:
    """Return the title of the library of each turn, "" where it is unknown."""
    turns, libraries = values.get("turns"), values.get("libraries")
    count = len(turns) if isinstance(turns, list) else 0
    if not isinstance(libraries, list) or len(libraries) != count:
        libraries = [""] * count
    return [shorten(str(each), TITLE_CHARS) for each in libraries]


class History:
    """Conversations of signed-in users on the server's disk, a folder for each user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, user: str) -> list[dict[str, Any]]:
        """Return id, title and time of each conversation, newest first."""
        read = map(_read_file, self._get_folder(user).glob("*.json"))
        names = ("id", "title", "updated")
        found = [{name: values.get(name) for name in names} for values in read if values]
        return sorted(found, key=lambda each: -int(each["updated"] or 0))

    def read(self, user: str, conversation_id: str) -> str:
        """Return the text of a saved conversation.

        Raises:
            CorpusError: the user has none of this id.
        """
        try:
            return self._get_path(user, conversation_id).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise CorpusError(_UNKNOWN) from error

    def write(self, user: str, values: dict[str, Any]) -> None:
        """Write the values of a conversation.

        Raises:
            DiskError: they cannot be written.
        """
        path = self._get_path(user, values["id"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"Cannot save conversations ({error.strerror}).") from error
        if not path.exists() and len([*path.parent.glob("*.json")]) >= _MOST_SAVED:
            raise DiskError(f"You have {_MOST_SAVED} conversations. Delete some first.")
        write_atomically(path, json.dumps(values, ensure_ascii=False))

    def save(self, session: Session, user: str) -> str:
        """Save a user's conversation. Gives it a new id if another page continued it.

        Returns:
            A sentence that says so, or "".

        Raises:
            DiskError: it cannot be written.
        """
        known = _read_file(self._get_path(user, session.conversation_id))
        is_forked = bool(known) and known.get("updated") != session.updated
        if is_forked:
            session.conversation_id = token_hex(8)
        session.title = _read_custom_title(known) or session.title  # in another page, perhaps
        values = dump_session(session)
        self.write(user, values)
        session.updated = values["updated"]
        return FORKED if is_forked else ""

    def rename(self, user: str, conversation_id: str, title: str) -> None:
        """Change the title of a conversation.

        Raises:
            CorpusError: the user has none of this id.
            DiskError: it cannot be written.
        """
        values = json.loads(self.read(user, conversation_id))
        self.write(user, {**values, "title": shorten(title, TITLE_CHARS)})

    def delete(self, user: str, conversation_id: str) -> None:
        """Delete a conversation. Does nothing if there is none.

        Raises:
            DiskError: it cannot be deleted.
        """
        try:
            self._get_path(user, conversation_id).unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(f"Cannot delete the conversation ({error.strerror}).") from error

    def _get_path(self, user: str, conversation_id: str) -> Path:
        if not is_conversation_id(conversation_id):
            raise CorpusError(_UNKNOWN)
        return self._get_folder(user) / f"{conversation_id}.json"

    def _get_folder(self, user: str) -> Path:
        if not _USER.fullmatch(user):
            raise CorpusError(f"The user name {user!r} cannot have conversations.")
        return self._folder / user


def _read_custom_title(values: dict[str, Any]) -> str:
    """Return the title that a user gave a saved conversation, or ""."""
    try:
        title, question = str(values["title"]), str(values["turns"][0]["question"])
    except (LookupError, TypeError):
        return ""
    return title if is_renamed(title, question) else ""


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def _parse(text: str | bytes) -> dict[str, Any]:
    """Return the values of a conversation, or {} if a text is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    is_conversation = isinstance(values, dict) and is_conversation_id(values.get("id"))
    return values if is_conversation else {}
