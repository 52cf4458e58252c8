"""A question at work in a thread, its events handed to the event loop that reads them.

The reader sees a stop at once. The stop also ends the model's request, even one that waits for its
first byte. The thread sees it at its next event and closes the stream. Called by the page, and by
`Assistant.astream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from rag.llm import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

Event = TypeVar("Event")


class Stopped(Exception):
    """Raised to the reader of the events of a job that was stopped."""


class Job(Generic[Event]):
    """One question at work. Create it where its events are read: in a running event loop."""

    def __init__(self, open_stream: Callable[[], Generator[Event, None, None]]) -> None:
        """Take a function that opens the stream of events. The thread that works calls it."""
        self._open_stream = open_stream
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._stop = Stop()

    def start(self) -> None:
        """Do the work in a thread of its own, which sees the caller's context variables."""
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self.run,), name="question", daemon=True).start()

    def run(self) -> None:
        """Do the work in the calling thread."""
        if self._stop.is_set():
            return
        try:
            with self._stop, contextlib.closing(self._open_stream()) as events:
                for event in events:
                    if self._stop.is_set():
                        return
                    self._put(event)
        except Exception as error:  # noqa: BLE001 - raised to the reader of the events
            self._put(error)
        finally:
            self._put(None)

    def stop(self) -> None:
        """End the work. Does nothing once it has ended."""
        self._put(Stopped())  # ahead of what the ended request leads to
        self._stop.set()

    async def iter_events(self) -> AsyncGenerator[Event, None]:
        """Yield the events as they come. Closing the iterator ends the work.

        Raises:
            Stopped: `stop` was called.
            Exception: whatever the stream raises.
        """
        try:
            while (event := await self._events.get()) is not None:
                if self._stop.is_set():
                    raise Stopped
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._stop.set()

    def _put(self, event: Event | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody reads
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
