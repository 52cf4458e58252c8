"""The page as a web application: its rooms, and what puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.web.chat_handler import ChatHandler
from rag.web.history import History
from rag.web.library_pool import LibraryPool
from rag.web.uploads import Uploads

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from rag.settings import Settings
    from rag.web.login import Auth
    from rag.web.server import ServerOptions


@dataclass(frozen=True, slots=True)
class AppContext:
    """What all visitors share.

    Attributes:
        options: where the page is served.
        pool: the open libraries.
        chat: answers questions.
        uploads: files that wait to be read.
    """

    options: ServerOptions
    pool: LibraryPool
    chat: ChatHandler
    uploads: Uploads

    @classmethod
    def furnished(cls, settings: Settings, options: ServerOptions) -> AppContext:
        """The rooms for some settings; nothing is opened yet."""
        pool = LibraryPool(settings)
        history = History(settings.data_dir / "page" / "conversations")
        return cls(options, pool, ChatHandler(pool, history, options.bounds), Uploads())

    @property
    def may_edit(self) -> bool:
        """Whether visitors may change libraries."""
        return self.options.is_own or self.options.allow_edit

    def begin(self) -> None:
        """Begins to open the library that visitors meet first."""
        self.pool.begin()

    def end(self) -> None:
        """Lets the work on libraries stop at its next block; may be called by a signal."""
        self.pool.end()

    def close(self) -> None:
        """Lets go of everything; harmless when repeated."""
        self.end()
        self.chat.close()
        self.uploads.close()
        self.pool.close()


def _no_such_function(_request: Request, error: Exception) -> Response:
    """What a caller is told who names a function that the page does not have.

    Gradio looks them up by number and by name, as "/ask"; any other key that is missing is a
    defect, and shows as one.
    """
    from starlette.responses import PlainTextResponse

    key = error.args[0] if isinstance(error, KeyError) else 0
    if not (isinstance(key, int) or str(key).startswith("/")):
        raise error
    return PlainTextResponse("There is no such function.", status_code=404)


def application_of(context: AppContext) -> tuple[Any, Auth | None]:
    """The web application, and the door of one that asks users to sign in.

    Importing Gradio takes a second or two.

    Raises:
        SettingsError: the file of accounts cannot be used.
    """
    import gradio as gr
    from fastapi import FastAPI
    from gradio.route_utils import FnIndexInferError

    from rag.web.frame import look
    from rag.web.layout import layout

    unknown = (KeyError, FnIndexInferError)  # so Gradio says that it has no such function
    auth = _auth(context.options)
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if auth:
        auth.add_to(application)
    context.uploads.add_to(application, auth.user if auth else lambda _: None)
    gr.mount_gradio_app(
        application,
        layout(context),
        "/",
        auth_dependency=auth.user if auth else None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        app_kwargs={"exception_handlers": dict.fromkeys(unknown, _no_such_function)},
        **look(),
    )
    return application, auth


def _auth(options: ServerOptions) -> Auth | None:
    if options.users is None:
        return None
    from rag.web.accounts import Accounts
    from rag.web.login import Auth

    return Auth(Accounts(options.users), Path(__file__).parent / "login.html")
