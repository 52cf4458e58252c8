"""The chat page: ask, read, check and save in the browser.

    from rag.web import ServerOptions, launch

    launch(ServerOptions())

`layout` builds the page, `chat_handler` answers, `render` and `cards` draw answers and sources,
`library_tab`, `settings_tab` and `history` hold the rest, and `server` serves it. Called by
`rag app` and `app.py`.
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
    """Serve the page until it is interrupted.

    Args:
        options: address, accounts and limits.
        settings: None reads them as `load_settings` does.
        quiet: whether to keep the address off standard error.

    Raises:
        SettingsError: others could reach the page without signing in, or the address is taken.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    from rag.settings import load_settings
    from rag.web.context import AppContext
    from rag.web.layout import create_application
    from rag.web.server import serve

    options.check()
    context = AppContext.create(settings if settings is not None else load_settings(), options)
    try:
        application, auth = create_application(context)
        serve(
            application,
            options,
            auth=auth,
            uploads=context.may_edit,
            on_start=context.start,
            on_signal=context.stop,
            on_end=context.close,
            quiet=quiet,
        )
    finally:
        context.close()
