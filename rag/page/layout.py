"""The page put together from Gradio's parts: what is where, and which handler answers what.

Every event but the two of the API is private: it has no name, and its handler works on the session
of the page that sent it and checks whose that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.page import cards, frame, render
from rag.page.actions import Actions
from rag.page.api import name_endpoints
from rag.page.escape import safe
from rag.page.session import Session
from rag.page.view import View

if TYPE_CHECKING:
    from rag.page.application import Rooms

_POLL_S = 0.3
_MOST_PAGES = 500  # open at once; the oldest goes, since each takes a few megabytes
PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
    "trigger_mode": "multiple",
}
Updates = dict[Any, Any]


def layout(rooms: Rooms) -> gr.Blocks:
    """The page."""
    page: gr.Blocks
    with gr.Blocks(
        title="Papertrail", analytics_enabled=False, fill_width=True, fill_height=True
    ) as page:
        _Page(rooms, page)
    page.state_session_capacity = _MOST_PAGES
    page.queue(api_open=True, default_concurrency_limit=None)
    return page


class _Page:
    """The parts of the page, and what they do."""

    def __init__(self, rooms: Rooms, page: gr.Blocks) -> None:
        self.rooms = rooms
        self.actions = Actions(rooms)
        self.session = gr.State(Session())
        self.top = frame.drawn(frame.header(rooms.shelf.state()), "top")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Ask", id="ask"):
                self._ask_tab()
            with gr.Tab("Library", id="library"):
                self._library_tab()
            with gr.Tab("Settings", id="settings"):
                self.choices = frame.drawn("", "choices")
        frame.drawn(frame.footer(), "foot")
        self.bridge = gr.HTML("", elem_id="bridge", js_on_load=frame.script())
        self._wire(page)
        name_endpoints(rooms)

    def _ask_tab(self) -> None:
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="conversations", min_width=0):
                frame.drawn(frame.CONVERSATIONS, "history")
            with gr.Column(elem_id="talk", min_width=0):
                with gr.Column(elem_id="pages", min_width=0):
                    self.past = frame.drawn(render.welcome((), ""), "past")
                    self.live = frame.drawn("", "live")
                self.scope = frame.drawn("", "scope")
                self.note = frame.drawn("", "note")
                with gr.Row(elem_id="composer"):
                    self.question = gr.Textbox(
                        label="Question",
                        show_label=False,
                        placeholder="Ask the papers",
                        lines=1,
                        max_lines=6,
                        max_length=4000,
                        autofocus=True,
                        elem_id="question",
                        container=False,
                    )
                    self.go = gr.Button("Ask", variant="primary", elem_id="go", min_width=0)
                    self.halt = gr.Button("Stop", visible=False, elem_id="halt", min_width=0)
            with gr.Column(elem_id="panel", min_width=0):
                self.sources = frame.drawn(cards.EMPTY, "sources")

    def _library_tab(self) -> None:
        with gr.Column(elem_id="library-tab", min_width=0):
            self.shelf = frame.drawn("", "shelf")
            if self.rooms.may_edit:
                frame.drawn(frame.ADDING, "adding")
            self.report = frame.drawn("", "report")
            frame.drawn(frame.FINDER, "finder")
            self.chosen = frame.drawn("", "chosen")
            self.table = frame.drawn("", "table")

    def _wire(self, page: gr.Blocks) -> None:
        self.drawn = {
            "past": self.past, "live": self.live, "sources": self.sources,
            "question": self.question, "table": self.table, "chosen": self.chosen,
            "shelf": self.shelf, "report": self.report, "scope": self.scope,
            "choices": self.choices,
        }  # fmt: skip
        parts = [*self.drawn.values(), self.go, self.halt, self.note, self.bridge]
        parts.append(self.top)
        page.load(self._arrive, self.session, parts, **PRIVATE)
        asked = gr.on(
            [self.question.submit, self.go.click],
            self._ask,
            [self.session, self.question],
            parts,
            **PRIVATE,
        )
        acted = self.bridge.click(self._act, self.session, parts, **PRIVATE)
        self.halt.click(self._stop, self.session, None, queue=False, **PRIVATE)
        for event in (asked, acted):
            event.then(self._suggest, self.session, parts, **PRIVATE)

    async def _arrive(self, session: Session, request: gr.Request) -> AsyncIterator[Updates]:
        """Claims the page, and shows how far the library is until it is open."""
        session.claim(user_of(request))
        while True:
            state = self.rooms.shelf.state(session.library)
            view = await asyncio.to_thread(self.actions.arrived, session)
            yield {self.top: frame.header(state, session.user)} | self._updates(view, session)
            if state.kind != "opening":
                return
            await asyncio.sleep(_POLL_S)

    async def _ask(
        self, session: Session, question: str, request: gr.Request
    ) -> AsyncIterator[Updates]:
        async for updates in self._shown(session, {"act": "ask", "text": question}, request):
            yield updates

    async def _act(
        self, session: Session, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[Updates]:
        async for updates in self._shown(session, dict(event._data or {}), request):  # noqa: SLF001
            yield updates

    async def _shown(
        self, session: Session, action: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[Updates]:
        try:
            session.claim(user_of(request))
            async for view in self.actions.take(session, action):
                yield self._updates(view, session)
        except RagError as error:
            yield self._updates(View(note=str(error)), session)

    async def _suggest(self, session: Session, request: gr.Request) -> Updates:
        session.claim(user_of(request))
        return self._updates(await self.rooms.desk.suggest(session), session)

    async def _stop(self, session: Session, request: gr.Request) -> None:
        session.claim(user_of(request))
        self.rooms.desk.stop(session)

    def _updates(self, view: View, session: Session) -> Updates:
        """A view as updates of the parts that it changes."""
        found: Updates = {
            part: getattr(view, name)
            for name, part in self.drawn.items()
            if getattr(view, name) is not None
        }
        if view.note is not None:
            found[self.note] = f'<p role="status">{safe(view.note)}</p>' if view.note else ""
        if view.busy is not None:
            found[self.go] = gr.Button(visible=not view.busy)
            found[self.halt] = gr.Button(visible=view.busy)
        if view.shelf is not None:
            found[self.top] = frame.header(self.rooms.shelf.state(session.library), session.user)
        if view.message is not None:
            found[self.bridge] = frame.message_value(view.message)
        return found or {self.live: gr.skip()}


def user_of(request: gr.Request) -> str | None:
    """The name of the signed-in user; None where nobody signs in."""
    return request.username or None
