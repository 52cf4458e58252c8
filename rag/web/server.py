"""Serving the page: where, for how long, and what is said about it.

The library is opened once the server listens, so that the page comes up first. A signal lets work
on libraries stop at its next block, then ends what browsers still listen to. No thread is waited
for: one may merge papers or write the word index of a large library for a minute, and an index
survives a kill at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.settings import is_loopback
from rag.web.guard import Guard
from rag.web.limits import RateLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import FrameType

    from rag.web.login import Auth

DEFAULT_PORT = 7860
_PORTS_TRIED = 20
_BOUNDS = (120, 500_000)  # questions an hour and tokens a day of a user who signs in


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the page is served.

    Attributes:
        host: address to listen on.
        port: None takes the first free one from 7860 on.
        users: file with the accounts; needed where others can reach the page.
        allow_edit: whether signed-in users may change libraries.
        questions_per_hour: most questions of one user; None bounds only users who sign in.
        tokens_per_day: most tokens of one user's answers; None bounds only users who sign in.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    users: Path | None = None
    allow_edit: bool = False
    questions_per_hour: int | None = None
    tokens_per_day: int | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)

    @property
    def is_own(self) -> bool:
        """Whether the page is for the one who started it: on this machine, without accounts."""
        return self.is_loopback and self.users is None

    @property
    def bounds(self) -> RateLimit:
        """What one user may ask; who is alone with their page has only the bounds they set."""
        questions, tokens = (None, None) if self.users is None else _BOUNDS
        return RateLimit(
            questions=self.questions_per_hour or questions, tokens=self.tokens_per_day or tokens
        )

    def check(self) -> None:
        """Refuses to open the page to others without accounts.

        Raises:
            SettingsError: others could reach it and nobody would have to sign in.
        """
        if not self.is_loopback and self.users is None:
            raise SettingsError(
                f"On {self.host} others can reach the page: name a file of accounts with --users "
                "FILE, which `rag app-user add NAME FILE` makes."
            )


class _Unwaited(ThreadPoolExecutor):
    """Threads of an event loop that ends without them."""

    def shutdown(self, *_given: object, **_named: object) -> None:
        """Takes no more work; what runs is left behind, whatever is asked for."""
        super().shutdown(wait=False, cancel_futures=True)


def serve(
    application: Any,
    options: ServerOptions,
    *,
    auth: Auth | None,
    uploads: bool,
    on_start: Callable[[], None],
    on_signal: Callable[[], None],
    on_end: Callable[[], None],
    quiet: bool,
) -> None:
    """Serves until a signal ends it.

    Args:
        application: the page.
        options: where.
        auth: of a page that asks users to sign in.
        uploads: whether files may be sent.
        on_start: called once it listens.
        on_signal: called in the handler of the signal that ends it.
        on_end: called when nobody is served any more, also where SIGTERM then ends the process.
        quiet: whether the address is not told on standard error.

    Raises:
        SettingsError: the address or port cannot be listened on.
        KeyboardInterrupt: it was ended by Ctrl-C.
    """
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            on_signal()
            # An open page listens without end: that it is cut off now is no failure.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            super().handle_exit(sig, frame)

    listening = _listening(options)
    port = listening.getsockname()[1]
    shown = f"[{options.host}]" if ":" in options.host else options.host
    application.router.lifespan_context = lifespan_of(
        application.router.lifespan_context, on_start, on_end
    )
    config = uvicorn.Config(
        Guard(application, only_loopback=options.is_own, auth=auth, uploads=uploads),
        log_level="error",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    if not quiet:
        _announce(f"http://{shown}:{port}", options)
    Server(config).run(sockets=[listening])


def _announce(address: str, options: ServerOptions) -> None:
    sys.stderr.write(f"Papertrail is at {address} (Ctrl-C ends it).\n")
    if not options.is_loopback:
        sys.stderr.write(
            "This is HTTP in clear text: passwords and questions can be read on the way. Put a "
            "proxy with TLS in front before others use it.\n"
        )
    sys.stderr.flush()


def _listening(options: ServerOptions) -> socket.socket:
    """The socket to serve on."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    first = DEFAULT_PORT if options.port is None else options.port
    ports = range(first, first + _PORTS_TRIED) if options.port is None else (first,)
    error: OSError | None = None
    for port in ports:
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((options.host.strip("[]"), port))
            found.listen(128)
        except OSError as problem:
            error = problem
            found.close()
            continue
        return found
    raise SettingsError(
        f"Cannot listen on {options.host}:{ports[0]} ({error}). Choose another port with --port."
    )


def lifespan_of(lifespan: Any, on_start: Callable[[], None], on_end: Callable[[], None]) -> Any:
    """What holds around all that an application serves; its event loop waits for no thread.

    Args:
        lifespan: the application's own.
        on_start: called once it has begun.
        on_end: called before it ends.
    """

    @contextlib.asynccontextmanager
    async def lived(application: Any) -> AsyncIterator[Any]:
        asyncio.get_running_loop().set_default_executor(_Unwaited(thread_name_prefix="page"))
        async with lifespan(application) as state:
            on_start()
            yield state
        on_end()

    return lived
