"""Serving the page: where, for how long, and what the terminal says about it.

The library is opened once the server listens, so that the page comes up first. A signal stops work
on libraries at its next block, then cuts off what browsers still listen to. The server waits for no
thread: one may merge papers or write the word index of a large library for a minute, and an index
survives a kill at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.llm.proxy import hide_proxies
from rag.settings import load_settings
from rag.web.context import AppContext, ServerOptions
from rag.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import FrameType

    from rag.settings import Settings

DEFAULT_PORT = 7860
_PORTS_TRIED = 20


class _DetachedThreads(ThreadPoolExecutor):
    """Threads that an event loop does not wait for when it ends."""

    def shutdown(self, *_args: object, **_options: object) -> None:
        """Take no more work and wait for none, whatever the arguments say."""
        super().shutdown(wait=False, cancel_futures=True)


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
    import uvicorn

    with hide_proxies():  # Gradio would need the package of a SOCKS proxy that it does not use
        from rag.web.layout import create_application

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            context.stop()
            # An open page listens without end. Cutting it off now is no failure to log.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            super().handle_exit(sig, frame)

    options = context.options
    application, auth = create_application(context)
    listening = _open_socket(options)
    lifespan = application.router.lifespan_context
    application.router.lifespan_context = make_lifespan(lifespan, context.pool.open, context.close)
    guard = Guard(
        application, only_loopback=options.is_private, auth=auth, uploads=context.may_edit
    )
    config = uvicorn.Config(
        guard, log_level="error", timeout_graceful_shutdown=1, server_header=False
    )
    if not quiet:
        _announce(options, listening.getsockname()[1])
    Server(config).run(sockets=[listening])


def make_lifespan(
    lifespan: Any, on_start: Callable[[], object], on_end: Callable[[], object]
) -> Any:
    """Wrap an application's lifespan in one whose event loop waits for no thread."""

    @contextlib.asynccontextmanager
    async def run_lifespan(application: Any) -> AsyncIterator[Any]:
        asyncio.get_running_loop().set_default_executor(_DetachedThreads(thread_name_prefix="page"))
        async with lifespan(application) as state:
            on_start()
            yield state
        on_end()

    return run_lifespan


def _announce(options: ServerOptions, port: int) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    sys.stderr.write(f"Papertrail is at http://{host}:{port} (press Ctrl-C to stop).\n")
    if not options.is_loopback:
        sys.stderr.write(
            "This is plain HTTP: others on the network can read passwords and questions. Put a "
            "proxy with TLS in front before others use it.\n"
        )
    sys.stderr.flush()


def _open_socket(options: ServerOptions) -> socket.socket:
    """Return a listening socket on the first port that is free."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    first = DEFAULT_PORT if options.port is None else options.port
    problem: OSError | None = None
    for port in range(first, first + (_PORTS_TRIED if options.port is None else 1)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((options.host.strip("[]"), port))
            listening.listen(128)
        except OSError as error:
            problem = error
            listening.close()
        else:
            return listening
    raise SettingsError(
        f"Cannot listen on {options.host}:{first} ({problem}). Choose another port with --port."
    )
