"""Serving an application on a socket until a signal.

A signal cuts off what clients still listen to. The server waits for no thread: one may merge papers
or write the word index of a large library for a minute, and an index survives a kill at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable
    from types import FrameType

    from starlette.types import ASGIApp

MAX_CONNECTIONS = 100


class _DetachedThreads(ThreadPoolExecutor):
    """Threads that an event loop does not wait for when it ends."""

    def shutdown(self, *_args: object, **_options: object) -> None:
        """Take no more work and wait for none, whatever the arguments say."""
        super().shutdown(wait=False, cancel_futures=True)


def run_server(
    application: ASGIApp,
    listener: socket.socket,
    *,
    on_signal: Callable[[], object],
    most_connections: int | None = MAX_CONNECTIONS,
    patience_s: int = 3,
    behind_proxy: bool = False,
) -> None:
    """Serve an application until the process is told to end.

    Args:
        application: to serve.
        listener: socket of the server.
        on_signal: called first when the process is told to end. It may not wait.
        most_connections: further requests get status 503. None sets no limit.
        patience_s: for requests under way when the process is told to end.
        behind_proxy: whether to believe a proxy on this machine where a request comes from.

    Raises:
        KeyboardInterrupt: the process was interrupted.
    """
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            on_signal()
            # Somebody may listen without end. Cutting it off now is no failure to log.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        application,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        ws="none",
        limit_concurrency=most_connections,
        timeout_graceful_shutdown=patience_s,
    )
    Server(config).run(sockets=[listener])


def make_lifespan(
    lifespan: Any, on_start: Callable[[], object], on_end: Callable[[], object]
) -> Any:
    """Wrap an application's lifespan in one whose event loop waits for no thread."""

    @contextlib.asynccontextmanager
    async def run_lifespan(application: Any) -> AsyncIterator[Any]:
        asyncio.get_running_loop().set_default_executor(_DetachedThreads(thread_name_prefix="work"))
        async with lifespan(application) as state:
            on_start()
            yield state
        on_end()

    return run_lifespan
