"""The page: a place to ask, read, check and keep, in the browser.

    from rag.web import ServerOptions, launch

    launch(ServerOptions())

`layout` puts it together, `ask` answers, `render` and `cards` draw, `library`, `settings` and
`history` are its other rooms, `server` serves it. Called by `rag app` and `app.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.web.server import ServerOptions

if TYPE_CHECKING:
    from rag.settings import Settings

__all__ = ["ServerOptions", "launch"]


def launch(
    options: ServerOptions, *, settings: Settings | None = None, quiet: bool = False
) -> None:
    """Serves the page until it is interrupted.

    Args:
        options: address, accounts, bounds.
        settings: None reads them as `load_settings` does.
        quiet: whether the address is not told on standard error.

    Raises:
        SettingsError: others could reach the page and nobody would have to sign in, or the address
            cannot be used.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    from rag.settings import load_settings
    from rag.web.context import AppContext, application_of
    from rag.web.server import serve

    options.check()
    context = AppContext.furnished(settings if settings is not None else load_settings(), options)
    try:
        application, auth = application_of(context)
        serve(
            application,
            options,
            auth=auth,
            uploads=context.may_edit,
            on_start=context.begin,
            on_signal=context.end,
            on_end=context.close,
            quiet=quiet,
        )
    finally:
        context.close()
