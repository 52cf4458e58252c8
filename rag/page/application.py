"""The page as a web application: its rooms, and what puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.page.ask import Desk
from rag.page.bounds import Bounds
from rag.page.history import History
from rag.page.shelf import Shelf

if TYPE_CHECKING:
    from rag.page.server import Place
    from rag.settings import Settings

LARGEST_UPLOAD_BYTES = 50_000_000  # of one file


@dataclass(frozen=True, slots=True)
class Rooms:
    """What all visitors share.

    Attributes:
        place: where the page is served.
        shelf: the open libraries.
        desk: answers questions.
    """

    place: Place
    shelf: Shelf
    desk: Desk

    @classmethod
    def furnished(cls, settings: Settings, place: Place) -> Rooms:
        """The rooms for some settings; nothing is opened yet."""
        shelf = Shelf(settings)
        history = History(settings.data_dir / "page" / "conversations")
        bounds = Bounds(questions=place.questions_per_hour, tokens=place.tokens_per_day)
        return cls(place, shelf, Desk(shelf, history, bounds))

    @property
    def may_edit(self) -> bool:
        """Whether visitors may change libraries."""
        return self.place.is_loopback or self.place.allow_edit

    def begin(self) -> None:
        """Begins to open the library that visitors meet first."""
        self.shelf.begin()

    def close(self) -> None:
        """Lets go of everything."""
        self.desk.close()
        self.shelf.close()


def application_of(rooms: Rooms) -> Any:
    """The web application; importing Gradio takes a second or two."""
    import gradio as gr
    from fastapi import FastAPI

    from rag.page.frame import look
    from rag.page.layout import layout

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        application,
        layout(rooms),
        "/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        max_file_size=LARGEST_UPLOAD_BYTES,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        **look(),
    )
    return application
