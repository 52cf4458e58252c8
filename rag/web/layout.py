"""The page put together from Gradio's parts: what is where, and which handler answers what.

Every event but the two of the API is private: it has no name, and its handler works on the session
of the page that sent it and checks whose that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.web import cards, frame, render
from rag.web.actions import Actions
from rag.web.endpoints import name_endpoints
from rag.web.session import Session
from rag.web.view import View

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction

    from rag.web.context import AppContext

_POLL_S = 0.3
_MOST_PAGES = 500  # open at once; the oldest goes, since each takes a few megabytes
PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
    "trigger_mode": "multiple",
}


def layout(context: AppContext) -> gr.Blocks:
    """The page."""
    page: gr.Blocks
    with _Blocks(
        title="Papertrail", analytics_enabled=False, fill_width=True, fill_height=True
    ) as page:
        _Page(context, page)
    page.state_session_capacity = _MOST_PAGES
    page.queue(api_open=True, default_concurrency_limit=None)
    return page


class _Blocks(gr.Blocks):
    """Gradio's page, for which a call with too few values is the caller's error, not the log's."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Passes what has enough values.

        Raises:
            Error: it has too few.
        """
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            sentence = f"This function takes {wanted} values and was given {len(inputs)}."
            raise gr.Error(sentence, print_exception=False)


class _Page:
    """The parts of the page, and what they do."""

    def __init__(self, context: AppContext, page: gr.Blocks) -> None:
        self.context = context
        self.actions = Actions(context)
        self.session = gr.State(Session())
        frame.drawn(frame.header(context.pool.state()), "top")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Ask", id="ask"):
                self._ask_tab()
            with gr.Tab("Library", id="library", render_children=True):
                self._library_tab()
            with gr.Tab("Settings", id="settings", render_children=True):
                frame.drawn("", "choices")
        frame.drawn(frame.footer(), "foot")
        self.bridge = gr.HTML("", elem_id="bridge", js_on_load=frame.script())
        self._wire(page)
        name_endpoints(context)

    def _ask_tab(self) -> None:
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="conversations", min_width=0):
                frame.drawn(frame.CONVERSATIONS, "history")
            with gr.Column(elem_id="talk", min_width=0):
                with gr.Column(elem_id="pages", min_width=0):
                    frame.drawn(render.welcome((), ""), "past")
                    frame.drawn("", "live")
                with gr.Column(elem_id="bottom", min_width=0):
                    frame.drawn("", "scope")
                    frame.drawn("", "note")
                    self._composer()
            with gr.Column(elem_id="panel", min_width=0):
                frame.drawn(cards.EMPTY, "sources")

    def _composer(self) -> None:
        with gr.Row(elem_id="composer"):
            self.question = gr.Textbox(
                label="Question",
                show_label=False,
                placeholder="Ask the papers",
                lines=1,
                max_lines=6,
                autofocus=True,
                elem_id="question",
                container=False,
            )
            self.go = gr.Button("Ask", variant="primary", elem_id="go", min_width=0)
            self.halt = gr.Button("Stop", elem_id="halt", min_width=0)

    def _library_tab(self) -> None:
        with gr.Column(elem_id="library-tab", min_width=0):
            frame.drawn("", "heading")
            if self.context.may_edit:
                frame.drawn(frame.ADDING, "adding")
            frame.drawn("", "report")
            frame.drawn(frame.FINDER, "finder")
            frame.drawn("", "filters")
            frame.drawn("", "chosen")
            frame.drawn("", "table")

    def _wire(self, page: gr.Blocks) -> None:
        page.load(self._arrive, self.session, self.bridge, **PRIVATE)
        asked = gr.on(
            [self.question.submit, self.go.click],
            self._ask,
            [self.session, self.question],
            self.bridge,
            **PRIVATE,
        )
        acted = self.bridge.click(self._act, self.session, self.bridge, **PRIVATE)
        self.halt.click(self._stop, self.session, None, queue=False, **PRIVATE)
        for event in (asked, acted):
            event.then(self._suggest, self.session, self.bridge, **PRIVATE)

    async def _arrive(self, session: Session, request: gr.Request) -> AsyncIterator[str]:
        """Claims the page, and shows how far the library is until it is open."""
        session.claim(user_of(request))
        stream = token_hex(4)
        while True:
            library = session.library
            state = self.context.pool.state(library)
            view = await asyncio.to_thread(self.actions.arrived, session)
            if session.library != library:  # the reader's own choice came meanwhile
                continue
            if session.turns or session.job:  # begun or opened meanwhile: no welcome over it
                view = replace(view, past=None)
            view = replace(view, top=frame.header(state, session.user))
            yield self._message(view, session, stream)
            if state.kind != "opening":
                return
            await asyncio.sleep(_POLL_S)

    async def _ask(
        self, session: Session, question: str, request: gr.Request
    ) -> AsyncIterator[str]:
        action = {"act": "ask", "text": question, "box": True}
        async for message in self._shown(session, action, request):
            yield message

    async def _act(
        self, session: Session, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[str]:
        async for message in self._shown(session, dict(event._data or {}), request):  # noqa: SLF001
            yield message

    async def _shown(
        self, session: Session, action: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[str]:
        stream = token_hex(4)
        try:
            session.claim(user_of(request))
            async for view in self.actions.take(session, action):
                yield self._message(view, session, stream)
        except RagError as error:
            yield self._message(View(note=str(error)), session, stream)

    async def _suggest(self, session: Session, request: gr.Request) -> str:
        session.claim(user_of(request))
        return self._message(await self.context.chat.suggest(session), session, token_hex(4))

    async def _stop(self, session: Session, request: gr.Request) -> None:
        session.claim(user_of(request))
        self.context.chat.stop(session)

    def _message(self, view: View, session: Session, stream: str) -> str:
        """A view as the one value that the page is sent.

        One value, since Gradio builds every output that a handler passes over anew, and keeps it.
        """
        if view.note:
            view = replace(view, note=frame.note(view.note, cancel=session.editing is not None))
        if view.heading is not None:
            state = self.context.pool.state(session.library)
            view = replace(view, top=frame.header(state, session.user))
        return frame.message_value(session.outbox.put(stream, view))


def user_of(request: gr.Request) -> str | None:
    """The name of the signed-in user; None where nobody signs in."""
    return request.username or None
