"""Stop requests to a model from another thread, even before the server has sent a byte.

Closing the client of a blocked request from another thread does not end it: the read returns when
the server next sends something, and the server goes on working. Cancelling an asyncio task closes
its connection at once. So all requests run on one event loop in a daemon thread, `run` waits for
them in the thread that asked, and a `Stop` cancels what that thread waits for. `run_all` makes
several requests at once. `iterate` serves models that cannot be asked on the event loop.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Generator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

Result = TypeVar("Result")

_current = threading.local()
_loop_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


class Stop(threading.Event):
    """Event that ends the requests of the threads inside its `with` blocks. Blocks do not nest.

    with stop:  # in each thread that works
        model.complete(messages)
    stop.set()  # in any other thread
    """

    def __init__(self) -> None:
        super().__init__()
        self._cancels: set[Callable[[], object]] = set()

    def __enter__(self) -> Self:
        _current.stop = self
        return self

    def __exit__(self, *error: object) -> None:
        del _current.stop

    def set(self) -> None:
        """End the requests under way and refuse later ones. Repeated calls do nothing."""
        super().set()
        for cancel in tuple(self._cancels):
            cancel()

    @contextmanager
    def watch(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Call `cancel` if `set` is called inside the block, or was before."""
        self._cancels.add(cancel)  # before the test: `set` in another thread tests in reverse
        if self.is_set():
            cancel()
        try:
            yield
        finally:
            self._cancels.discard(cancel)


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
    try:
        with _get_stop().watch(request.cancel):
            return request.result()
    except CancelledError:
        raise ModelUnavailable("The request was stopped.") from None
    finally:
        request.cancel()  # still running if Ctrl-C interrupted the wait, otherwise no effect


def run_all(calls: Sequence[Callable[[], Result]]) -> Generator[Result]:
    """Make calls at the same time, each in a thread of its own, and yield their results in order.

    Whatever ends the iteration early stops the requests of all calls: an error, Ctrl-C, closing it.

    Raises:
        Exception: whatever the first call in order that fails raises.
    """
    stop = Stop()

    def start(call: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()

        def work() -> None:
            try:
                with stop:
                    future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised where the result is read
                future.set_exception(error)

        threading.Thread(target=work, name="model-call", daemon=True).start()
        return future

    with _get_stop().watch(stop.set):
        try:
            for future in [start(call) for call in calls]:
                yield future.result()
        finally:
            stop.set()


def iterate(make: Callable[[], Iterable[Result]]) -> Generator[Result]:
    """Iterate in a thread of its own, for models that can only be asked synchronously.

    A stop ends the wait at once. The thread itself ends when its iterator yields the next item.

    Raises:
        ModelUnavailable: the thread's `Stop` is set.
        Exception: whatever the iteration raises.
    """
    stop, abandoned = _get_stop(), threading.Event()
    items: SimpleQueue[tuple[Result] | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            _read(make, items, abandoned)
            items.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the items are read
            items.put(error)
        if abandoned.is_set():
            gc.collect()  # closes the connection, which LlamaIndex's generators hold in cycles

    threading.Thread(target=work, name="model-call", daemon=True).start()
    try:
        with stop.watch(lambda: items.put(None)):
            while isinstance(item := items.get(), tuple) and not stop.is_set():
                yield item[0]
    finally:
        abandoned.set()
    if stop.is_set():
        raise ModelUnavailable("The request was stopped.")
    if isinstance(item, BaseException):
        raise item


def _read(
    make: Callable[[], Iterable[Result]], items: SimpleQueue[Any], abandoned: threading.Event
) -> None:
    """Put the items of an iterator into a queue until it ends or is abandoned."""
    for item in (iterator := iter(make())):
        items.put((item,))
        if abandoned.is_set():
            break
    if isinstance(iterator, Generator):
        iterator.close()


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
