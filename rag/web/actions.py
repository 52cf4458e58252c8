"""What the buttons inside the page ask for: one action each, checked before it is done.

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
from rag.web.cards import plain_citation
from rag.web.feedback import Feedback
from rag.web.history import WENT_ON, is_identity, restore
from rag.web.library_tab import ACTIONS, LibraryTab
from rag.web.settings_tab import chosen, form, values_of
from rag.web.sifting import whole_number
from rag.web.view import View, joined

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from rag.papers import Paper
    from rag.web.context import AppContext
    from rag.web.session import Session


class Actions:
    """Does what a visitor asks for, in their own session."""

    def __init__(self, context: AppContext) -> None:
        """Wires the rooms."""
        self._context = context
        self._chat = context.chat
        self.catalogue = LibraryTab(context)
        self._steps: dict[str, Callable[[Session, dict[str, Any]], View]] = {
            **dict.fromkeys(ACTIONS, self._library),
            **dict.fromkeys(("new", "open", "rename", "delete"), self._conversation),
            "back": self._back,
            "fork": self._fork,
            "edit": self._edit,
            "cancel": lambda session, _: self._chat.cancel(session),
            "thumb": self._thumb,
            "choose": self._choose,
            "export": self._export,
            "feedback": self._feedback_file,
        }
        self._feedback = Feedback(context.pool.settings.data_dir / "page" / "feedback.jsonl")

    def arrived(self, session: Session) -> View:
        """What a page shows that was just opened, or whose library just was."""
        view = View(choices=form(session, self._context.pool))
        if not session.turns and not session.job:
            view = replace(view, past=self._chat.shown(session).past)
        if self._context.pool.state(session.library).kind == "ready":
            view = joined(view, self.catalogue.shown(session))
        return view

    async def take(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        """Does an action; one that is unknown does nothing."""
        name = action.get("act")
        if name == "ask":
            edited = session.editing if action.get("box") else None
            views = self._chat.ask(session, _text(action), replaces=edited)
        elif name == "retry":
            views = self._chat.retry(session)
        elif name == "remove":
            views = self.catalogue.remove(session)
        elif name == "add":
            views = self._added(session, action)
        else:
            yield await asyncio.to_thread(self._done, session, action)
            return
        async for view in views:
            yield view

    def _done(self, session: Session, action: dict[str, Any]) -> View:
        """Does an action that takes one step."""
        name = action.get("act")
        done = self._steps.get(name) if isinstance(name, str) else None
        return done(session, action) if done else View()

    def _library(self, session: Session, action: dict[str, Any]) -> View:
        view = self.catalogue.take(session, action)
        return view if view.library is None else self.moved(session, view)

    def _back(self, session: Session, action: dict[str, Any]) -> View:
        """What a page shows whose browser tells what was chosen and read here last."""
        identity = str(action.get("id", ""))
        view = self.catalogue.returned(session, str(action.get("library", "")))
        if session.turns or session.job:  # begun meanwhile
            return self._with_list(session, view)
        if not identity:
            went = view.library is not None
            return self.moved(session, view) if went else self._with_list(session, view)
        view = replace(view, choices=form(session, self._context.pool))
        try:
            return joined(view, self._open(session, identity, action))
        except RagError as error:
            return joined(self.moved(session, view), View(note=str(error)))

    def _edit(self, session: Session, action: dict[str, Any]) -> View:
        return self._chat.edit(session, whole_number(action.get("turn")))

    def _conversation(self, session: Session, action: dict[str, Any]) -> View:
        name = action["act"]
        if session.job and name in ("new", "open"):
            self._chat.stop(session)
        identity = str(action.get("id", ""))
        if name == "new":
            session.begin_conversation()
            return self._with_list(session, self._chat.shown(session))
        if name == "open":
            return self._open(session, identity, action)
        if session.user is not None:
            if name == "rename":
                self._chat.history.rename(session.user, identity, _text(action))
            else:
                self._chat.history.delete(session.user, identity)
        if name == "rename" and identity == session.identity:
            session.title = _text(action)
        if name == "delete" and identity == session.identity:
            session.begin_conversation()
            return self._with_list(session, self._chat.shown(session))
        return self._with_list(session, View())

    def _open(self, session: Session, identity: str, action: dict[str, Any]) -> View:
        if not is_identity(identity):
            raise CorpusError("There is no such conversation; reload the page.")
        if session.user is None:
            text = _text(action)
        else:
            text = self._chat.history.read(session.user, identity)
        warnings = restore(session, text, partial(self._papers_of, session))
        note = " ".join(part for part in (self._elsewhere(session), *warnings) if part)
        return self._with_list(session, self._chat.shown(session, note=note))

    def _papers_of(self, session: Session, title: str) -> Sequence[Paper] | None:
        """The papers of the library that readers call so; None for one that is not here.

        Of the one at hand for ""; of another only for those who may go there.
        """
        pool = self._context.pool
        others = [None, *pool.named()] if self.catalogue.may_choose else []
        for name in (session.library, *others):
            if title in ("", pool.title(name)):
                with contextlib.suppress(RagError):
                    return pool.papers(name)
        return None

    def _elsewhere(self, session: Session) -> str:
        """Says that a conversation was held with another library; "" where it was not."""
        others = self._chat.other_libraries(session)
        if not others:
            return ""
        away = [each for each in others if self._papers_of(session, each) is None]
        held = f"This conversation was held with the {' and the '.join(others)}"
        if away == others:
            held += ", which is not here" if len(away) == 1 else ", which are not here"
        elif away:
            held += f"; the {' and the '.join(away)} {'is' if len(away) == 1 else 'are'} not here"
        stay = " What it says is shown as it was checked then." if away else ""
        here = self._context.pool.title(session.library)
        return f"{held}.{stay} What you ask now is asked of the {here}."

    def _fork(self, session: Session, _action: dict[str, Any]) -> View:
        """Keeps a conversation as one of its own, since another tab went on with it."""
        if not session.turns or session.user is not None:
            return View()
        session.identity = token_hex(8)
        return joined(View(note=WENT_ON), self._chat.kept(session))

    def _with_list(self, session: Session, view: View) -> View:
        """The view, with the list of conversations that the server keeps for a user."""
        listing = self._chat.history.listing(session.user) if session.user else {}
        message = {"kind": "list", "active": session.identity, **listing}
        return replace(view, message=message)

    async def _added(self, session: Session, action: dict[str, Any]) -> AsyncIterator[View]:
        files = self._context.uploads.take(action.get("files"), session.user)
        pasted, name = str(action.get("pasted", "")), str(action.get("name", ""))
        async for view in self.catalogue.add(session, files, pasted, name):
            yield view if view.library is None else self.moved(session, view)

    def moved(self, session: Session, view: View) -> View:
        """The view of a page that went to another library: a new conversation begins."""
        self._chat.stop(session)
        session.begin_conversation()
        begun = self._with_list(session, self._chat.shown(session))
        return joined(replace(begun, choices=form(session, self._context.pool)), view)

    def _choose(self, session: Session, action: dict[str, Any]) -> View:
        values = action.get("values")
        if isinstance(values, dict):
            session.choices = chosen(session, self._context.pool.settings, values)
        message = {"kind": "choices", "values": values_of(session.choices)}
        return View(choices=form(session, self._context.pool), message=message)

    def _feedback_file(self, session: Session, _action: dict[str, Any]) -> View:
        text = self._feedback.text(session.user)
        if not text:
            return View(message={"kind": "say", "text": "There is no feedback yet."})
        return View(message=download("feedback.jsonl", "application/jsonl", text))

    def _export(self, session: Session, action: dict[str, Any]) -> View:
        if not session.turns:
            return View(note="There is nothing to export yet; ask a question first.")
        name = "conversation"
        if action.get("form") == "json":
            turns = [{"question": t.question, "answer": t.answer.to_dict()} for t in session.turns]
            text = json.dumps(
                {"title": session.title, "turns": turns}, ensure_ascii=False, indent=1
            )
            return View(message=download(f"{name}.json", "application/json", text))
        return View(message=download(f"{name}.md", "text/markdown", markdown(session)))

    def _thumb(self, session: Session, action: dict[str, Any]) -> View:
        number = whole_number(action.get("turn"))
        if not 1 <= number <= len(session.turns) or action.get("thumb") not in ("up", "down"):
            return View()
        self._feedback.add(
            session.turns[number - 1],
            place=f"{session.identity} {number}",
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
