"""Serving the page: where, for how long, and what the terminal says about it.

The library is opened once the server listens, so that the page comes up first. A signal stops work
on libraries at its next block.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rag.llm.proxy import hide_proxies
from rag.serving.address import format_url, listen
from rag.serving.server import make_lifespan, run_server
from rag.settings import load_settings
from rag.web.context import AppContext, ServerOptions
from rag.web.guard import Guard

if TYPE_CHECKING:
    from rag.settings import Settings

DEFAULT_PORT = 7860
_PORTS_TRIED = 20


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
    options.check()
    context = AppContext.create(settings if settings is not None else load_settings(), options)
    try:
        _serve(context, quiet=quiet)
    finally:
        context.close()


def _serve(context: AppContext, *, quiet: bool) -> None:
    with hide_proxies():  # Gradio would need the package of a SOCKS proxy that it does not use
        from rag.web.layout import create_application

    options = context.options
    application, auth = create_application(context)
    tries, port = (_PORTS_TRIED, DEFAULT_PORT) if options.port is None else (1, options.port)
    listener = listen(options.host, port, tries=tries)
    lifespan = application.router.lifespan_context
    application.router.lifespan_context = make_lifespan(lifespan, context.pool.open, context.close)
    guard = Guard(
        application, only_loopback=options.is_private, auth=auth, uploads=context.may_edit
    )
    if not quiet:
        _announce(options, listener.getsockname()[1])
    run_server(
        guard,
        listener,
        on_signal=context.stop,
        most_connections=None,
        patience_s=1,
        behind_proxy=True,
    )


def _announce(options: ServerOptions, port: int) -> None:
    url = format_url(options.host, port)
    sys.stderr.write(f"Papertrail is at {url} (press Ctrl-C to stop).\n")
    if not options.is_loopback:
        sys.stderr.write(
            "This is plain HTTP: others on the network can read passwords and questions. Put a "
            "proxy with TLS in front before others use it.\n"
        )
    sys.stderr.flush()
