"""The page as a web application: its rooms, and what puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.web.ask import Desk
from rag.web.history import History
from rag.web.shelf import Shelf
from rag.web.uploads import Uploads

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from rag.settings import Settings
    from rag.web.login import Door
    from rag.web.server import Place


@dataclass(frozen=True, slots=True)
class Rooms:
    """What all visitors share.

    Attributes:
        place: where the page is served.
        shelf: the open libraries.
        desk: answers questions.
        uploads: files that wait to be read.
    """

    place: Place
    shelf: Shelf
    desk: Desk
    uploads: Uploads

    @classmethod
    def furnished(cls, settings: Settings, place: Place) -> Rooms:
        """The rooms for some settings; nothing is opened yet."""
        shelf = Shelf(settings)
        history = History(settings.data_dir / "page" / "conversations")
        return cls(place, shelf, Desk(shelf, history, place.bounds), Uploads())

    @property
    def may_edit(self) -> bool:
        """Whether visitors may change libraries."""
        return self.place.is_own or self.place.allow_edit

    def begin(self) -> None:
        """Begins to open the library that visitors meet first."""
        self.shelf.begin()

    def end(self) -> None:
        """Lets the work on libraries stop at its next block; may be called by a signal."""
        self.shelf.end()

    def close(self) -> None:
        """Lets go of everything; harmless when repeated."""
        self.end()
        self.desk.close()
        self.uploads.close()
        self.shelf.close()


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


def application_of(rooms: Rooms) -> tuple[Any, Door | None]:
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
    door = _door(rooms.place)
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if door:
        door.add_to(application)
    rooms.uploads.add_to(application, door.user if door else lambda _: None)
    gr.mount_gradio_app(
        application,
        layout(rooms),
        "/",
        auth_dependency=door.user if door else None,
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
    return application, door


def _door(place: Place) -> Door | None:
    if place.users is None:
        return None
    from rag.web.accounts import Accounts
    from rag.web.login import Door

    return Door(Accounts(place.users), Path(__file__).parent / "login.html")
