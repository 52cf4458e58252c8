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
from rag.web.view import View, make_download, make_say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from rag.papers import Paper
    from rag.web.context import AppContext
    from rag.web.session import Session


_SHOW_ANSWERS = ("ask", "retry", "open", "back")  # a model may propose what to ask next


class Actions:
    """Runs the actions of visitors, each in their own session."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._pool = context.pool
        self._chat = context.chat
        self._feedback = Feedback(self._pool.settings.data_dir / "page" / "feedback.jsonl")
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
            "stop": lambda session, _: self._chat.stop(session),
            "thumb": self._save_thumb,
            "choose": self._change_choices,
            "export": self._export_conversation,
            "feedback": self._download_feedback,
        }
        self._streams: dict[str, Callable[[Session, dict[str, Any]], AsyncIterator[View]]] = {
            "ask": self._ask,
            "retry": lambda session, action: self._chat.retry(
                session, as_written=action.get("written") == "yes"
            ),
            "remove": lambda session, _: self.library_tab.remove(session),
            "add": self._add_papers,
        }

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
        name = str(action.get("act"))
        if name in self._streams:
            async for view in self._streams[name](session, action):
                yield view
        elif name in self._steps:
            yield await asyncio.to_thread(self._steps[name], session, action)
        if name in _SHOW_ANSWERS:
            async for view in self._chat.suggest(session):
                yield view

    def _ask(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        return self._chat.ask(
            session,
            _read(action, "text"),
            as_list=action.get("list") in (True, "true"),
            replaces=session.editing if action.get("box") else None,
        )

    def _change_library_tab(self, session: Session, action: dict[str, Any]) -> View:
        view = self.library_tab.run(session, action)
        return view if view.library is None else self._switch_library(session, view)

    def _return_to_page(self, session: Session, action: dict[str, Any]) -> View:
        """Return the view for a browser that says what it chose and read here last."""
        view = self.library_tab.return_to_library(session, _read(action, "library"))
        if session.turns or session.job:  # a conversation began meanwhile
            return view.merge(self._chat.list_saved(session))
        if not action.get("id"):
            if view.library is not None:
                return self._switch_library(session, view)
            return view.merge(self._chat.list_saved(session))
        view = replace(view, choices=render_settings(session, self._pool))
        try:
            return view.merge(self._open_conversation(session, action))
        except RagError as error:
            return self._switch_library(session, view).merge(View(note=str(error)))

    def _start_conversation(self, session: Session, _action: dict[str, Any]) -> View:
        self._chat.stop(session)
        session.start_conversation()
        return self._chat.show(session).merge(self._chat.list_saved(session))

    def _rename_conversation(self, session: Session, action: dict[str, Any]) -> View:
        conversation_id, title = _read(action, "id"), _read(action, "text")
        if session.user is not None:
            self._chat.history.rename(session.user, conversation_id, title)
        if conversation_id == session.conversation_id:
            session.title = title
        return self._chat.list_saved(session)

    def _delete_conversation(self, session: Session, action: dict[str, Any]) -> View:
        conversation_id = _read(action, "id")
        if session.user is not None:
            self._chat.history.delete(session.user, conversation_id)
        if conversation_id != session.conversation_id:
            return self._chat.list_saved(session)
        return self._start_conversation(session, action)

    def _open_conversation(self, session: Session, action: dict[str, Any]) -> View:
        self._chat.stop(session)
        conversation_id = _read(action, "id")
        if not is_conversation_id(conversation_id):
            raise CorpusError("There is no such conversation. Reload the page.")
        if session.user is None:
            text = _read(action, "text")
        else:
            text = self._chat.history.read(session.user, conversation_id)
        warnings = restore_session(session, text, partial(self._find_papers, session))
        parts = (self._describe_libraries(session), *warnings)
        note = " ".join(part for part in parts if part)
        return self._chat.show(session, note=note).merge(self._chat.list_saved(session))

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

    async def _add_papers(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        files = self._context.uploads.take(action.get("files"), session.user)
        pasted, name = _read(action, "pasted"), _read(action, "name")
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
        message = {"kind": "choices", "values": session.choices}
        return View(choices=render_settings(session, self._pool), message=message)

    def _download_feedback(self, session: Session, _action: dict[str, Any]) -> View:
        text = self._feedback.export(session.user)
        if not text:
            return make_say("There is no feedback yet.")
        return make_download("feedback.jsonl", "application/jsonl", text)

    def _export_conversation(self, session: Session, action: dict[str, Any]) -> View:
        if not session.turns:
            return View(note="There is nothing to export yet. Ask a question first.")
        if action.get("form") != "json":
            return make_download("conversation.md", "text/markdown", format_markdown(session))
        turns = [{"question": t.question, "answer": t.answer.to_dict()} for t in session.turns]
        text = json.dumps({"title": session.title, "turns": turns}, ensure_ascii=False, indent=1)
        return make_download("conversation.json", "application/json", text)

    def _save_thumb(self, session: Session, action: dict[str, Any]) -> View:
        number = parse_number(action.get("turn"))
        if not 1 <= number <= len(session.turns) or action.get("thumb") not in ("up", "down"):
            return View()
        self._feedback.add(
            session.turns[number - 1],
            turn_id=f"{session.conversation_id} {number}",
            user=session.user,
            thumb=str(action["thumb"]),
            comment=_read(action, "comment"),
        )
        return make_say("Thank you. Your feedback is kept on this server.")


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


def _read(action: dict[str, Any], name: str) -> str:
    return str(action.get(name, ""))
