"""What the buttons of the page do: one action each, checked before it is done.

An action comes from the browser as plain values, which are input like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from rag.errors import CorpusError, RagError
from rag.web.cards import format_citation
from rag.web.feedback import Feedback
from rag.web.history import FORKED, is_conversation_id, restore_session
from rag.web.library_tab import ACTIONS, LibraryTab
from rag.web.settings_tab import change_choices, render_settings
from rag.web.table import parse_number
from rag.web.view import View, make_download

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from rag.papers import Paper
    from rag.web.context import AppContext
    from rag.web.session import Session


class Actions:
    """Runs the actions of visitors, each in their own session."""

    def __init__(self, context: AppContext) -> None:
        """Take what visitors share."""
        self._context = context
        self._pool = context.pool
        self._chat = context.chat
        self.library_tab = LibraryTab(context)
        self._steps: dict[str, Callable[[Session, dict[str, Any]], View]] = {
            **dict.fromkeys(ACTIONS, self._change_library_tab),
            "new": self._start_conversation,
            "open": self._open_conversation,
            "rename": self._rename_conversation,
            "delete": self._delete_conversation,
            "back": self._return_to_page,
            "fork": self._fork_conversation,
            "edit": lambda session, action: self._chat.edit(
                session, parse_number(action.get("turn"))
            ),
            "cancel": lambda session, _: self._chat.cancel(session),
            "thumb": self._save_thumb,
            "choose": self._change_choices,
            "export": self._export_conversation,
            "feedback": self._download_feedback,
        }
        self._feedback = Feedback(self._pool.settings.data_dir / "page" / "feedback.jsonl")

    def show_page(self, session: Session) -> View:
        """Return the view of a page that was just opened, or whose library just was."""
        view = View(choices=render_settings(session, self._pool))
        if not session.turns and not session.job:
            view = replace(view, past=self._chat.show(session).past)
        if self._pool.get_state(session.library).kind == "ready":
            view = view.merge(self.library_tab.show(session))
        return view

    async def run(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        """Run an action. An unknown one does nothing."""
        name = action.get("act")
        if name == "ask":
            views = self._chat.ask(
                session,
                _read_text(action),
                as_list=action.get("list") in (True, "true"),
                replaces=session.editing if action.get("box") else None,
            )
        elif name == "retry":
            views = self._chat.retry(session)
        elif name == "remove":
            views = self.library_tab.remove(session)
        elif name == "add":
            views = self._add_papers(session, action)
        else:
            step = self._steps.get(name) if isinstance(name, str) else None
            if step:
                yield await asyncio.to_thread(step, session, action)
            return
        async for view in views:
            yield view

    def _change_library_tab(self, session: Session, action: dict[str, Any]) -> View:
        view = self.library_tab.run(session, action)
        return view if view.library is None else self._switch_library(session, view)

    def _return_to_page(self, session: Session, action: dict[str, Any]) -> View:
        """Return the view for a browser that says what it chose and read here last."""
        conversation_id = str(action.get("id", ""))
        view = self.library_tab.return_to_library(session, str(action.get("library", "")))
        if session.turns or session.job:  # a conversation began meanwhile
            return self._add_list(session, view)
        if not conversation_id:
            has_moved = view.library is not None
            return (self._switch_library if has_moved else self._add_list)(session, view)
        view = replace(view, choices=render_settings(session, self._pool))
        try:
            return view.merge(self._open_conversation(session, action))
        except RagError as error:
            return self._switch_library(session, view).merge(View(note=str(error)))

    def _start_conversation(self, session: Session, _action: dict[str, Any]) -> View:
        self._chat.stop(session)
        session.start_conversation()
        return self._add_list(session, self._chat.show(session))

    def _rename_conversation(self, session: Session, action: dict[str, Any]) -> View:
        conversation_id, title = str(action.get("id", "")), _read_text(action)
        if session.user is not None:
            self._chat.history.rename(session.user, conversation_id, title)
        if conversation_id == session.conversation_id:
            session.title = title
        return self._add_list(session, View())

    def _delete_conversation(self, session: Session, action: dict[str, Any]) -> View:
        conversation_id = str(action.get("id", ""))
        if session.user is not None:
            self._chat.history.delete(session.user, conversation_id)
        if conversation_id != session.conversation_id:
            return self._add_list(session, View())
        return self._start_conversation(session, action)

    def _open_conversation(self, session: Session, action: dict[str, Any]) -> View:
        self._chat.stop(session)
        conversation_id = str(action.get("id", ""))
        if not is_conversation_id(conversation_id):
            raise CorpusError("There is no such conversation. Reload the page.")
        if session.user is None:
            text = _read_text(action)
        else:
            text = self._chat.history.read(session.user, conversation_id)
        warnings = restore_session(session, text, partial(self._find_papers, session))
        parts = (self._describe_libraries(session), *warnings)
        note = " ".join(part for part in parts if part)
        return self._add_list(session, self._chat.show(session, note=note))

    def _find_papers(self, session: Session, title: str) -> Sequence[Paper] | None:
        """Return the papers of the library with a title, or None if it is not available.

        "" stands for the current one. Only those who may choose a library get another one.
        """
        others = [None, *self._pool.list_names()] if self.library_tab.may_choose else []
        for name in (session.library, *others):
            if title in ("", self._pool.get_title(name)):
                with contextlib.suppress(RagError):
                    return self._pool.get_papers(name)
        return None

    def _describe_libraries(self, session: Session) -> str:
        """Say that other libraries answered a conversation. "" if none did."""
        others = self._chat.find_other_libraries(session)
        if not others:
            return ""
        missing = [each for each in others if self._find_papers(session, each) is None]
        parts = [f"This conversation used the {' and the '.join(others)}."]
        if missing:
            is_one = len(missing) == 1
            parts.append(
                f"The {' and the '.join(missing)} {'is' if is_one else 'are'} not available here, "
                f"so {'its' if is_one else 'their'} answers are shown as they were saved."
            )
        parts.append(f"New questions go to the {self._pool.get_title(session.library)}.")
        return " ".join(parts)

    def _fork_conversation(self, session: Session, _action: dict[str, Any]) -> View:
        """Save a conversation under a new id, since another tab continued it."""
        if not session.turns or session.user is not None:
            return View()
        session.conversation_id = token_hex(8)
        return View(note=FORKED).merge(self._chat.save(session))

    def _add_list(self, session: Session, view: View) -> View:
        """Return a view with the list of conversations that the server keeps for a user."""
        saved = self._chat.history.list(session.user) if session.user else {}
        message = {"kind": "list", "active": session.conversation_id, **saved}
        return replace(view, message=message)

    async def _add_papers(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        files = self._context.uploads.take(action.get("files"), session.user)
        pasted, name = str(action.get("pasted", "")), str(action.get("name", ""))
        async for view in self.library_tab.add(session, files, pasted, name):
            yield view if view.library is None else self._switch_library(session, view)

    def _switch_library(self, session: Session, view: View) -> View:
        """Start a new conversation, since the page went to another library."""
        started = self._start_conversation(session, {})
        return replace(started, choices=render_settings(session, self._pool)).merge(view)

    def _change_choices(self, session: Session, action: dict[str, Any]) -> View:
        values = action.get("values")
        if isinstance(values, dict):
            session.choices = change_choices(session, self._pool.settings, values)
        message = {"kind": "choices", "values": session.choices.to_dict()}
        return View(choices=render_settings(session, self._pool), message=message)

    def _download_feedback(self, session: Session, _action: dict[str, Any]) -> View:
        text = self._feedback.export(session.user)
        if not text:
            return View(message={"kind": "say", "text": "There is no feedback yet."})
        return View(message=make_download("feedback.jsonl", "application/jsonl", text))

    def _export_conversation(self, session: Session, action: dict[str, Any]) -> View:
        if not session.turns:
            return View(note="There is nothing to export yet. Ask a question first.")
        if action.get("form") != "json":
            text = format_markdown(session)
            return View(message=make_download("conversation.md", "text/markdown", text))
        turns = [{"question": t.question, "answer": t.answer.to_dict()} for t in session.turns]
        text = json.dumps({"title": session.title, "turns": turns}, ensure_ascii=False, indent=1)
        return View(message=make_download("conversation.json", "application/json", text))

    def _save_thumb(self, session: Session, action: dict[str, Any]) -> View:
        number = parse_number(action.get("turn"))
        if not 1 <= number <= len(session.turns) or action.get("thumb") not in ("up", "down"):
            return View()
        self._feedback.add(
            session.turns[number - 1],
            turn_id=f"{session.conversation_id} {number}",
            user=session.user,
            thumb=str(action["thumb"]),
            comment=str(action.get("comment", "")),
        )
        return View(
            message={"kind": "say", "text": "Thank you. Your feedback is kept on this server."}
        )


def format_markdown(session: Session) -> str:
    """Return a conversation as Markdown: its answers and one list of references."""
    parts = [
        f"# {session.title}\n",
        "\n---\n\n".join(turn.answer.to_markdown() for turn in session.turns),
    ]
    sources = {n: p for turn in session.turns for n, p in turn.answer.sources.items()}
    if sources:
        lines = [f"{n}. {format_citation(paper)}" for n, paper in sorted(sources.items())]
        parts.append("\n".join(["## References\n", *lines]) + "\n")
    return "\n".join(parts)


def _read_text(action: dict[str, Any]) -> str:
    return str(action.get("text", ""))
