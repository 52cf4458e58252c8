"""Kept conversations: what is kept of one, and the folder of a signed-in user's on the server.

A conversation is kept in the form of `rag.answer.saved` (ids and quotes, no abstracts) with a
title and a time; where nobody signs in the browser keeps the same values. What comes back is read
with suspicion, wherever it was.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from rag.answer.saved import read_turns, write_turns
from rag.errors import CorpusError, DiskError
from rag.files import write_atomically
from rag.web.escape import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rag.answer import Turn
    from rag.papers import Paper
    from rag.web.session import Session

TITLE_CHARS = 120
LARGEST_BYTES = 4_000_000  # of one conversation that a browser hands over
WENT_ON = "This conversation went on in another tab; here it is one of its own from now on."
_MOST_KEPT = 500  # conversations of one user
_IDENTITY = re.compile(r"[0-9a-f]{16}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def saved_values(session: Session) -> dict[str, Any]:
    """A conversation as plain JSON values, with its id, title and time (ms since 1970)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversation.json"
        write_turns(path, session.turns)
        values: dict[str, Any] = json.loads(path.read_bytes())
    return {
        "id": session.identity,
        "title": shortened(session.title, TITLE_CHARS),
        "updated": int(time.time() * 1000),
        "libraries": session.asked_of,
        **values,
    }


def is_renamed(title: str, first: str) -> bool:
    """Whether a conversation has another title than its first question."""
    return shortened(title, TITLE_CHARS) != shortened(first, TITLE_CHARS)


def restore(
    session: Session, text: str, papers_of: Callable[[str], Sequence[Paper] | None]
) -> tuple[str, ...]:
    """Puts a kept conversation into a session; gives what its libraries no longer have of it.

    Args:
        session: of the page that opens it.
        text: as `saved_values` made it.
        papers_of: papers of the library that readers call so; of the one at hand for "", and
            None for one that is not here.

    Raises:
        CorpusError: it is no conversation, contradicts itself or is too large.
    """
    if len(text) > LARGEST_BYTES:
        raise CorpusError("This conversation is too large to be opened; delete it.")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not is_identity(values.get("id")):
        raise CorpusError("This conversation cannot be read; delete it.")
    given = _titles(values)
    turns, warnings = _turns(values, given, papers_of)
    session.begin_conversation()
    session.identity = values["id"]
    session.title = shortened(str(values.get("title", "")), TITLE_CHARS)
    session.turns, session.updated = turns, values.get("updated")
    session.asked_of = given
    return warnings


def _turns(
    values: dict[str, Any], titles: list[str], papers_of: Callable[[str], Sequence[Paper] | None]
) -> tuple[list[Turn], tuple[str, ...]]:
    """The turns of a kept conversation, each read against the library it was held with.

    What rests on a library that is not here stays as it was saved.
    """
    turns, _ = _read(values, ())
    missing: dict[str, None] = {}
    for title in dict.fromkeys(titles):
        papers = papers_of(title)
        numbers = [number for number, each in enumerate(titles) if each == title]
        if papers is None:
            found = [_as_saved(turns[number]) for number in numbers]
        else:
            own = [values["turns"][number] for number in numbers]
            found, lost = _read({**values, "turns": own}, papers)
            missing.update(dict.fromkeys(lost))
        for number, turn in zip(numbers, found, strict=True):
            turns[number] = turn
    return turns, tuple(missing)


def _as_saved(turn: Turn) -> Turn:
    """A turn whose citations are not looked up, though no library had them when it was read."""
    statements = tuple(
        replace(each, citations=tuple(replace(c, standing="current") for c in each.citations))
        for each in turn.answer.statements
    )
    return replace(turn, answer=replace(turn.answer, statements=statements))


def _read(values: dict[str, Any], papers: Sequence[Paper]) -> tuple[list[Turn], tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversation.json"
        try:
            path.write_text(json.dumps(values), encoding="utf-8")
            return read_turns(path, papers)
        except (CorpusError, RecursionError) as error:
            raise CorpusError("This conversation cannot be read; delete it.") from error


def _titles(values: dict[str, Any]) -> list[str]:
    """What readers call the library of each turn; "" where that is not known."""
    turns, given = values.get("turns"), values.get("libraries")
    count = len(turns) if isinstance(turns, list) else 0
    if not isinstance(given, list) or len(given) != count:
        given = [""] * count
    return [shortened(str(each), TITLE_CHARS) for each in given]


def is_identity(value: object) -> bool:
    """Whether a value can be the id of a conversation; nothing else becomes a file's name."""
    return isinstance(value, str) and bool(_IDENTITY.fullmatch(value))


class History:
    """The conversations of signed-in users on the server's disk, a folder for each user."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder, which is made when the first conversation is written."""
        self._folder = folder

    def write(self, user: str, values: dict[str, Any]) -> None:
        """Keeps a conversation.

        Raises:
            DiskError: it cannot be written.
        """
        path = self._path(user, values["id"])
        if not path.exists() and len(self._files(user)) >= _MOST_KEPT:
            raise DiskError(f"You keep {_MOST_KEPT} conversations; delete some first.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"Conversations cannot be kept: {error.strerror}.") from error
        write_atomically(path, json.dumps(values, ensure_ascii=False))

    def listing(self, user: str) -> dict[str, Any]:
        """Id, title and time of each conversation, newest first."""
        found = []
        for path in self._files(user):
            values = _values(path)
            if values:
                found.append({name: values.get(name) for name in ("id", "title", "updated")})
        found.sort(key=lambda each: -int(each["updated"] or 0))
        return {"conversations": found}

    def read(self, user: str, identity: str) -> str:
        """The text of a kept conversation.

        Raises:
            CorpusError: the user has none of this id.
        """
        try:
            return self._path(user, identity).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise CorpusError("You have no such conversation; reload the page.") from error

    def keep(self, session: Session, user: str) -> str:
        """Keeps a user's conversation; one that another page went on with gets an id of its own.

        Returns:
            A sentence that tells so, or "".

        Raises:
            DiskError: it cannot be written.
        """
        there = _values(self._path(user, session.identity))
        forked = bool(there) and there.get("updated") != session.updated
        if forked:
            session.identity = token_hex(8)
        session.title = _name_given(there) or session.title  # in another page, perhaps
        values = saved_values(session)
        self.write(user, values)
        session.updated = values["updated"]
        return WENT_ON if forked else ""

    def rename(self, user: str, identity: str, title: str) -> None:
        """Gives a conversation another title.

        Raises:
            CorpusError: the user has none of this id.
            DiskError: it cannot be written.
        """
        values = json.loads(self.read(user, identity))
        values["title"] = shortened(title, TITLE_CHARS)
        self.write(user, values)

    def delete(self, user: str, identity: str) -> None:
        """Deletes a conversation; harmless where there is none.

        Raises:
            DiskError: it cannot be deleted.
        """
        try:
            self._path(user, identity).unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(f"The conversation cannot be deleted: {error.strerror}.") from error

    def _files(self, user: str) -> list[Path]:
        return sorted(self._of(user).glob("*.json"))

    def _path(self, user: str, identity: str) -> Path:
        if not is_identity(identity):
            raise CorpusError("There is no such conversation; reload the page.")
        return self._of(user) / f"{identity}.json"

    def _of(self, user: str) -> Path:
        if not _USER.fullmatch(user):
            raise CorpusError("This user name cannot have conversations.")
        return self._folder / user


def _name_given(values: dict[str, Any]) -> str:
    """The title of a kept conversation that its user has named; else ""."""
    try:
        title, first = values["title"], values["turns"][0]["question"]
    except (LookupError, TypeError):
        return ""
    return str(title) if is_renamed(str(title), str(first)) else ""


def _values(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) and is_identity(values.get("id")) else {}
