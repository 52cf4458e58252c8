"""The page built from Gradio's parts, as a web application.

Every event but the two of the API is private: it has no name, and its handler works on the session
of the page that sent it and checks whose that is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI
from gradio.route_utils import FnIndexInferError
from gradio.routes import templates as gradio_templates
from jinja2.ext import Extension
from starlette.responses import PlainTextResponse

from rag.errors import RagError
from rag.web import cards, frame, render
from rag.web.actions import Actions
from rag.web.auth import Accounts, Auth
from rag.web.endpoints import Endpoints
from rag.web.session import Session
from rag.web.view import View

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from starlette.requests import Request
    from starlette.responses import Response

    from rag.web.context import AppContext

_POLL_S = 0.3
_PREVIEW = re.compile(r'<meta\s+(?:property="og|name="twitter):[^>]*>\s*')
_MOST_PAGES = 500  # open at once; the oldest goes, since each takes a few megabytes
_PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
    "trigger_mode": "multiple",
}


def create_application(context: AppContext) -> tuple[Any, Auth | None]:
    """Create the web application, and its `Auth` where users must sign in.

    Raises:
        SettingsError: the file of accounts cannot be read or holds none.
    """
    users = context.options.users
    auth = Auth(Accounts(users)) if users else None
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if auth:
        auth.add_routes(application)
    context.uploads.add_route(application, auth.find_user if auth else lambda _: None)
    unknown = (KeyError, FnIndexInferError)  # raised by Gradio for a function it does not have
    gradio_templates.env.add_extension(_NoPreview)
    gr.mount_gradio_app(
        application,
        build_page(context),
        "/",
        auth_dependency=auth.find_user if auth else None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        app_kwargs={"exception_handlers": dict.fromkeys(unknown, _refuse_unknown_function)},
        **frame.load_look(),
    )
    return application, auth


def _refuse_unknown_function(_request: Request, error: Exception) -> Response:
    """Answer 404 to a call of an unknown function, and raise any other missing key as a bug.

    Gradio looks functions up by number, and by name such as "/ask".
    """
    key = error.args[0] if isinstance(error, KeyError) else 0
    if not (isinstance(key, int) or str(key).startswith("/")):
        raise error
    return PlainTextResponse("There is no such function.", status_code=404)


def build_page(context: AppContext) -> gr.Blocks:
    """Build the page."""
    page: gr.Blocks
    with _Blocks(
        title="Papertrail", analytics_enabled=False, fill_width=True, fill_height=True
    ) as page:
        _Page(context, page)
    page.state_session_capacity = _MOST_PAGES
    page.queue(api_open=True, default_concurrency_limit=None)
    return page


class _Blocks(gr.Blocks):
    """Gradio's page. A call by name may leave out what has a default, which Gradio fails on."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Add a None to the inputs for each value that is missing."""
        inputs += [None] * (len(block_fn.inputs) - len(inputs))


class _NoPreview(Extension):
    """Removes Gradio's own title and picture from the previews of a page elsewhere."""

    def preprocess(self, source: str, *_where: str | None) -> str:
        """Return a template without them."""
        return _PREVIEW.sub("", source)


class _Page:
    """Parts of the page and their handlers."""

    def __init__(self, context: AppContext, page: gr.Blocks) -> None:
        self.context = context
        self.actions = Actions(context)
        self.session = gr.State(Session())
        frame.add_html(frame.render_header(context.pool.get_state()), "top")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Ask", id="ask"):
                self._add_ask_tab()
            with gr.Tab("Library", id="library", render_children=True):
                self._add_library_tab()
            with gr.Tab("Settings", id="settings", render_children=True):
                frame.add_html("", "choices")
        frame.add_html(frame.FOOTER, "foot")
        self.bridge = gr.HTML("", elem_id="bridge", js_on_load=frame.load_script())
        page.load(self._load, self.session, self.bridge, **_PRIVATE)
        self.bridge.click(self._act, self.session, self.bridge, **_PRIVATE)
        Endpoints(context)

    def _add_ask_tab(self) -> None:
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="conversations", min_width=0):
                frame.add_html(frame.CONVERSATIONS, "history")
            with gr.Column(elem_id="talk", min_width=0):
                with gr.Column(elem_id="pages", min_width=0):
                    frame.add_html(render.render_welcome((), ""), "past")
                    frame.add_html("", "live")
                with gr.Column(elem_id="bottom", min_width=0):
                    frame.add_html("", "scope")
                    frame.add_html("", "note")
                    self._add_composer()
            with gr.Column(elem_id="panel", min_width=0):
                frame.add_html(cards.EMPTY, "sources")

    def _add_composer(self) -> None:
        with gr.Row(elem_id="composer"):
            gr.Textbox(
                label="Question",
                show_label=False,
                placeholder="Ask the papers",
                lines=1,
                max_lines=6,
                autofocus=True,
                elem_id="question",
                container=False,
            )
            gr.Checkbox(label="List", elem_id="as-list", container=False, min_width=0)
            gr.Button("Ask", variant="primary", elem_id="go", min_width=0)
            gr.Button("Stop", elem_id="halt", min_width=0)

    def _add_library_tab(self) -> None:
        with gr.Column(elem_id="library-tab", min_width=0):
            frame.add_html("", "heading")
            if self.context.may_edit:
                frame.add_html(frame.ADD_FORM, "adding")
            frame.add_html("", "report")
            frame.add_html(frame.SEARCH_BOX, "finder")
            frame.add_html("", "filters")
            frame.add_html("", "chosen")
            frame.add_html("", "table")

    async def _load(self, session: Session, request: gr.Request) -> AsyncIterator[str]:
        """Claim the page, and show the library's state until it is open."""
        session.claim(get_user(request))
        stream = token_hex(4)
        while True:
            library = session.library
            state = self.context.pool.get_state(library)
            view = await asyncio.to_thread(self.actions.show_page, session)
            if session.library != library:  # the reader chose another one meanwhile
                continue
            if session.turns or session.job:  # a conversation began meanwhile: no welcome over it
                view = replace(view, past=None)
            view = replace(view, top=frame.render_header(state, session.user))
            yield self._format_message(view, session, stream)
            if state.kind != "opening":
                return
            await asyncio.sleep(_POLL_S)

    async def _act(
        self, session: Session, event: gr.EventData, request: gr.Request
    ) -> AsyncIterator[str]:
        """Run an action of the page's script."""
        stream = token_hex(4)
        try:
            session.claim(get_user(request))
            async for view in self.actions.run(session, dict(event._data or {})):  # noqa: SLF001
                yield self._format_message(view, session, stream)
        except RagError as error:
            yield self._format_message(View(note=str(error)), session, stream)

    def _format_message(self, view: View, session: Session, stream: str) -> str:
        """Return a view as the one value that the page is sent.

        One value, since Gradio would rebuild every output that a handler leaves alone, and keep it.
        """
        if view.note:
            note = frame.render_note(view.note, cancel=session.editing is not None)
            view = replace(view, note=note)
        if view.heading is not None:
            state = self.context.pool.get_state(session.library)
            view = replace(view, top=frame.render_header(state, session.user))
        return frame.encode_message(session.outbox.put(stream, view))


def get_user(request: gr.Request) -> str | None:
    """Return the name of the signed-in user, or None where nobody signs in."""
    return request.username or None
