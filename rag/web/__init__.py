"""The page: a place to ask, read, check and keep, in the browser.

    from rag.web import Place, launch

    launch(Place())

`layout` puts it together, `ask` answers, `render` and `cards` draw, `library`, `settings` and
`history` are its other rooms, `server` serves it. Called by `rag app` and `app.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.web.server import Place

if TYPE_CHECKING:
    from rag.settings import Settings

__all__ = ["Place", "launch"]


def launch(place: Place, *, settings: Settings | None = None, quiet: bool = False) -> None:
    """Serves the page until it is interrupted.

    Args:
        place: address, accounts, bounds.
        settings: None reads them as `load_settings` does.
        quiet: whether the address is not told on standard error.

    Raises:
        SettingsError: others could reach the page and nobody would have to sign in, or the address
            cannot be used.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    from rag.settings import load_settings
    from rag.web.application import Rooms, application_of
    from rag.web.server import serve

    place.check()
    rooms = Rooms.furnished(settings if settings is not None else load_settings(), place)
    try:
        application, door = application_of(rooms)
        serve(
            application,
            place,
            door=door,
            uploads=rooms.may_edit,
            on_start=rooms.begin,
            on_signal=rooms.end,
            on_end=rooms.close,
            quiet=quiet,
        )
    finally:
        rooms.close()
