"""`Stop`: ends a request to a model from another thread, also before its first byte has come.

A thread that waits for a server can be woken only by its socket. The page runs each question inside
a `Stop`, and the clients of models tell it the connection that they wait on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from httpx import Request

_current = threading.local()


class Stop:
    """What stops the requests that a thread sends inside its block.

    with stop:  # in the thread that works
        model.complete(messages)
    stop.set()  # in any other
    """

    def __init__(self) -> None:
        """Begins unset."""
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._socket: Any = None

    def __enter__(self) -> Self:
        """Makes it that of this thread; blocks do not nest."""
        _current.stop = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Later requests of the thread are their own again."""
        _current.stop = None
        with self._lock:
            self._socket = None

    def set(self) -> None:
        """Ends the request that is under way, and lets none begin; harmless when repeated."""
        self._set.set()
        with self._lock:
            if self._socket is not None:
                _end(self._socket)

    @property
    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set.is_set()

    def _waits_on(self, connection: Any) -> None:
        with self._lock:
            self._socket = connection
            if self._set.is_set():
                _end(connection)


def is_stopped() -> bool:
    """Whether the requests of this thread were stopped."""
    stop = getattr(_current, "stop", None)
    return stop is not None and stop.is_set


def heed(request: Request) -> None:
    """Lets the thread's `Stop` end a request; a hook of httpx, whose connections are not reused.

    Raises:
        ModelUnavailable: it is set already.
    """
    stop = getattr(_current, "stop", None)
    if stop is None:
        return
    if stop.is_set:
        raise ModelUnavailable("The request was stopped.")

    def notice(_event: str, about: dict[str, Any]) -> None:
        stream = about.get("return_value")  # of a connection made, then of TLS over it
        info = getattr(stream, "get_extra_info", None)
        if info and (connection := info("socket")) is not None:
            stop._waits_on(connection)  # noqa: SLF001 - its own module

    request.extensions["trace"] = notice


def _end(connection: Any) -> None:
    with contextlib.suppress(OSError):
        # Beneath TLS, whose own farewell may not be sent by another thread.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
