"""The page put together from Gradio's parts: what is where, and which handler answers what.

Every event but the two of the API is private: it has no name, and its handler works on the session
of the page that sent it and checks whose that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import __version__
from rag.errors import RagError
from rag.page import cards, render
from rag.page.actions import Actions
from rag.page.api import name_endpoints
from rag.page.escape import safe
from rag.page.session import Session
from rag.page.view import View

if TYPE_CHECKING:
    from rag.page.application import Rooms
    from rag.page.shelf import LibraryState

_FOLDER = Path(__file__).parent
_POLL_S = 0.3
PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
    "trigger_mode": "multiple",
}
Updates = dict[Any, Any]


def look() -> dict[str, Any]:
    """Theme, styles and head of the page; all of it local."""
    theme = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="stone",
        text_size="lg",
        radius_size="md",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    head = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return {"theme": theme, "css": (_FOLDER / "style.css").read_text("utf-8"), "head": head}


def layout(rooms: Rooms) -> gr.Blocks:
    """The page."""
    page: gr.Blocks
    with gr.Blocks(
        title="Papertrail", analytics_enabled=False, fill_width=True, fill_height=True
    ) as page:
        _Page(rooms, page)
    page.queue(api_open=True, default_concurrency_limit=None)
    return page


class _Page:
    """The parts of the page, and what they do."""

    def __init__(self, rooms: Rooms, page: gr.Blocks) -> None:
        self.rooms = rooms
        self.actions = Actions(rooms)
        self.session = gr.State(Session())
        self.top = drawn(header(rooms.shelf.state()), "top")
        with gr.Tabs(elem_id="tabs"):  # noqa: SIM117 - more tabs follow
            with gr.Tab("Ask", id="ask"):
                self._ask_tab()
        drawn(footer(), "foot")
        self.bridge = gr.HTML(
            "", elem_id="bridge", js_on_load=(_FOLDER / "page.js").read_text("utf-8")
        )
        self._wire(page)
        name_endpoints(rooms)

    def _ask_tab(self) -> None:
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="conversations", min_width=0):
                drawn(_CONVERSATIONS, "history")
            with gr.Column(elem_id="talk", min_width=0):
                with gr.Column(elem_id="pages", min_width=0):
                    self.past = drawn(render.welcome((), ""), "past")
                    self.live = drawn("", "live")
                self.note = drawn("", "note")
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
                self.sources = drawn(cards.EMPTY, "sources")

    def _wire(self, page: gr.Blocks) -> None:
        parts = [self.past, self.live, self.sources, self.question, self.go, self.halt]
        parts += [self.note, self.bridge]
        page.load(self._arrive, self.session, [self.top, *parts], **PRIVATE)
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
            updates: Updates = {self.top: header(state)}
            if not session.turns and not session.job:
                updates |= self._updates(await self._welcome(session))
            yield updates
            if state.kind != "opening":
                return
            await asyncio.sleep(_POLL_S)

    async def _welcome(self, session: Session) -> View:
        return View(past=(await asyncio.to_thread(self.rooms.desk.shown, session)).past)

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
                yield self._updates(view)
        except RagError as error:
            yield self._updates(View(note=str(error)))

    async def _suggest(self, session: Session, request: gr.Request) -> Updates:
        session.claim(user_of(request))
        return self._updates(await self.rooms.desk.suggest(session))

    async def _stop(self, session: Session, request: gr.Request) -> None:
        session.claim(user_of(request))
        self.rooms.desk.stop(session)

    def _updates(self, view: View) -> Updates:
        """A view as updates of the parts that it changes."""
        found: Updates = {}
        for part, value in (
            (self.past, view.past),
            (self.live, view.live),
            (self.sources, view.sources),
            (self.question, view.question),
        ):
            if value is not None:
                found[part] = value
        if view.note is not None:
            found[self.note] = f'<p role="status">{safe(view.note)}</p>' if view.note else ""
        if view.busy is not None:
            found[self.go] = gr.Button(visible=not view.busy)
            found[self.halt] = gr.Button(visible=view.busy)
        if view.message is not None:
            found[self.bridge] = message_value(view.message)
        return found or {self.live: gr.skip()}


def drawn(html: str, name: str) -> gr.HTML:
    """HTML of our own, in our own style."""
    return gr.HTML(html, elem_id=name, apply_default_css=False, js_on_load=None)


def user_of(request: gr.Request) -> str | None:
    """The name of the signed-in user; None where nobody signs in."""
    return request.username or None


def message_value(message: dict[str, Any]) -> str:
    """A message for the script of the page, as the text of an element that nobody sees."""
    import json
    from secrets import token_hex

    return safe(json.dumps({"nonce": token_hex(4), **message}, ensure_ascii=False))


def header(state: LibraryState) -> str:
    """Name of the page, state of the library, choice of light or dark."""
    return (
        '<header><h1>Papertrail</h1><p class="state '
        f'{state.kind}" role="status"><span class="dot" aria-hidden="true"></span>'
        f'{safe(state.text)}</p><button type="button" id="theme" '
        'aria-label="Switch between light and dark">◐</button></header>'
    )


def footer() -> str:
    """What this is."""
    return f"<footer>Papertrail {safe(__version__)}</footer>"


_CONVERSATIONS = (
    '<details id="kept" open><summary>Conversations</summary>'
    '<button type="button" data-act="new" class="new">New conversation</button>'
    '<label class="finder"><span class="unseen">Search conversations</span>'
    '<input type="search" id="find" placeholder="Search" autocomplete="off"></label>'
    '<ul id="list" aria-label="Conversations"></ul>'
    '<p class="exports"><span>Export this one</span>'
    '<button type="button" data-act="export" data-form="markdown">Markdown</button>'
    '<button type="button" data-act="export" data-form="json">JSON</button></p></details>'
)
