"""What the buttons inside the page ask for: one action each, checked before it is done.

An action comes from the browser as plain values, which are input like any other.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from rag.errors import CorpusError
from rag.page.cards import plain_citation
from rag.page.feedback import Feedback
from rag.page.history import is_identity, restore
from rag.page.view import View

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rag.page.application import Rooms
    from rag.page.session import Session


class Actions:
    """Does what a visitor asks for, in their own session."""

    def __init__(self, rooms: Rooms) -> None:
        """Wires the rooms."""
        self._rooms = rooms
        self._desk = rooms.desk
        self._feedback = Feedback(rooms.shelf.settings.data_dir / "page" / "feedback.jsonl")

    async def take(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        """Does an action; one that is unknown does nothing."""
        name = action.get("act")
        if name == "ask":
            async for view in self._desk.ask(session, _text(action)):
                yield view
        elif name == "retry":
            async for view in self._desk.retry(session):
                yield view
        elif name in ("new", "open", "rename", "delete", "list"):
            yield await asyncio.to_thread(self._conversation, session, name, action)
        elif name == "edit":
            yield self._desk.edit(session, _number(action))
        elif name == "export":
            yield self._export(session, str(action.get("form")))
        elif name == "thumb":
            yield await asyncio.to_thread(self._thumb, session, action)

    def _conversation(self, session: Session, name: str, action: dict[str, Any]) -> View:
        if session.job and name in ("new", "open"):
            self._desk.stop(session)
        identity = str(action.get("id", ""))
        if name == "new":
            session.begin_conversation()
            return self._with_list(session, self._desk.shown(session))
        if name == "open":
            return self._open(session, identity, action)
        if session.user is not None and name != "list":
            if name == "rename":
                self._desk.history.rename(session.user, identity, _text(action))
            else:
                self._desk.history.delete(session.user, identity)
        if name == "rename" and identity == session.identity:
            session.title = _text(action)
        if name == "delete" and identity == session.identity:
            session.begin_conversation()
            return self._with_list(session, self._desk.shown(session))
        return self._with_list(session, View())

    def _open(self, session: Session, identity: str, action: dict[str, Any]) -> View:
        if not is_identity(identity):
            raise CorpusError("There is no such conversation; reload the page.")
        if session.user is None:
            text = _text(action)
        else:
            text = self._desk.history.read(session.user, identity)
        warnings = restore(session, text, self._rooms.shelf.papers(session.library))
        return self._with_list(session, self._desk.shown(session, note=" ".join(warnings)))

    def _with_list(self, session: Session, view: View) -> View:
        """The view, with the list of conversations that the server keeps for a user."""
        from dataclasses import replace

        listing = self._desk.history.listing(session.user) if session.user else {}
        message = {"kind": "list", "active": session.identity, **listing}
        return replace(view, message=message)

    def _export(self, session: Session, form: str) -> View:
        if not session.turns:
            return View(note="There is nothing to export yet; ask a question first.")
        name = "conversation"
        if form == "json":
            turns = [{"question": t.question, "answer": t.answer.to_dict()} for t in session.turns]
            text = json.dumps(
                {"title": session.title, "turns": turns}, ensure_ascii=False, indent=1
            )
            return View(message=download(f"{name}.json", "application/json", text))
        return View(message=download(f"{name}.md", "text/markdown", markdown(session)))

    def _thumb(self, session: Session, action: dict[str, Any]) -> View:
        number = _number(action)
        if not 1 <= number <= len(session.turns) or action.get("thumb") not in ("up", "down"):
            return View()
        self._feedback.add(
            session.turns[number - 1],
            user=session.user,
            thumb=str(action["thumb"]),
            comment=str(action.get("comment", "")),
        )
        return View(message={"kind": "say", "text": "Thank you; it is kept on this server."})


def markdown(session: Session) -> str:
    """A conversation with its answers and one list of references."""
    parts = [
        f"# {session.title}\n",
        "\n---\n\n".join(t.answer.to_markdown() for t in session.turns),
    ]
    sources = {n: p for turn in session.turns for n, p in turn.answer.sources.items()}
    if sources:
        lines = [f"{n}. {plain_citation(paper)}" for n, paper in sorted(sources.items())]
        parts.append("\n".join(["## References\n", *lines]) + "\n")
    return "\n".join(parts)


def download(name: str, kind: str, text: str) -> dict[str, Any]:
    """A message that makes the browser save a file."""
    return {"kind": "download", "name": name, "type": kind, "text": text}


def _text(action: dict[str, Any]) -> str:
    return str(action.get("text", ""))


def _number(action: dict[str, Any]) -> int:
    try:
        return int(action.get("turn", 0))
    except (TypeError, ValueError):
        return 0
