"""Stop a request to a model from another thread, even before the server has sent a byte.

Closing the client of a blocked request from another thread does not end it: the read returns when
the server next sends something, and the server goes on working. Cancelling an asyncio task closes
its connection at once. So all requests run on one event loop in a daemon thread, `run` waits for
them in the thread that asked, and a `Stop` cancels what that thread waits for.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

Result = TypeVar("Result")

_current = threading.local()
_loop_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


class Stop(threading.Event):
    """Event that ends the requests a thread makes inside a `with` block. Blocks do not nest.

    with stop:  # in the thread that works
        model.complete(messages)
    stop.set()  # in any other thread
    """

    _request: Future[Any] | None = None

    def __enter__(self) -> Self:
        _current.stop = self
        return self

    def __exit__(self, *error: object) -> None:
        del _current.stop

    def set(self) -> None:
        """End the request under way and refuse later ones. Repeated calls do nothing."""
        super().set()
        if self._request:
            self._request.cancel()

    def watch(self, request: Future[Any]) -> None:
        """Cancel this request when `set` is called, or now if it was."""
        self._request = request  # before the test: `set` in another thread tests in reverse order
        if self.is_set():
            request.cancel()


def check_cancelled(*, wait_s: float = 0.0) -> None:
    """Raise if the requests of this thread are stopped, now or within some seconds.

    Raises:
        ModelUnavailable: the thread's `Stop` is set.
    """
    if _get_stop().wait(wait_s):
        raise ModelUnavailable("The request was stopped.")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on the event loop and return its result.

    Raises:
        ModelUnavailable: the thread's `Stop` is set.
        Exception: whatever the coroutine raises.
    """
    request = schedule(coroutine)
    _get_stop().watch(request)
    try:
        return request.result()
    except CancelledError:
        raise ModelUnavailable("The request was stopped.") from None
    finally:
        request.cancel()  # still running if Ctrl-C interrupted the wait, otherwise no effect


def schedule(coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
    """Start a coroutine on the event loop, in a thread that starts on first use."""
    global _loop  # noqa: PLW0603 - one thread for the whole process
    with _loop_lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="model-requests", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(coroutine, _loop)


def _get_stop() -> Stop:
    """Return the thread's `Stop`, or outside of a `with` block one that nobody sets."""
    return getattr(_current, "stop", None) or Stop()
