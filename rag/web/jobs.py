"""Questions at work: each in a thread of a bounded pool, its events handed to the event loop.

A stop is seen at once by whoever reads the events. It ends the model's request, also one that waits
for its first byte; the thread sees it at its next event and closes the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rag.errors import RagError
from rag.llm import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from rag.answer import AnswerEvent

_WITH_MODEL = 24  # at once; they wait for the model most of the time
_BUG = "Something went wrong on the server; its log says what. Ask again, or reload the page."
_log = logging.getLogger("papertrail.page")


class Stopped(Exception):
    """The reader stopped the question."""


class Job:
    """One question at work."""

    def __init__(self, begin: Callable[[], Generator[AnswerEvent, None, None]]) -> None:
        """Takes what opens the stream of events; it is called in the thread that works."""
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[AnswerEvent | Exception | None] = asyncio.Queue()
        self._stop = Stop()
        self.started = threading.Event()

    def stop(self) -> None:
        """Ends the work; harmless when it has ended."""
        self._stop.set()
        self._put(Stopped())

    async def events(self) -> AsyncIterator[AnswerEvent]:
        """The events as they come.

        Raises:
            Stopped: `stop` was called.
            RagError: the question failed.
        """
        try:
            while (event := await self._events.get()) is not None:
                if self._stop.is_set:
                    raise Stopped
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._stop.set()

    def run(self) -> None:
        """Does the work, in the thread that calls."""
        self.started.set()
        if self._stop.is_set:
            return
        try:
            with self._stop, contextlib.closing(self._begin()) as events:
                for event in events:
                    if self._stop.is_set:
                        return
                    self._put(event)
        except RagError as error:
            self._put(error)
        except Exception:  # noqa: BLE001 - the page goes on; the log has it
            _log.exception("a question failed")
            self._put(RagError(_BUG))
        finally:
            self._put(None)

    def _put(self, event: AnswerEvent | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Workers:
    """A pool of threads; questions that find none free wait in the order in which they came."""

    def __init__(self, *, with_model: bool) -> None:
        """Takes whether answers wait for a language model, which leaves the processor free."""
        count = _WITH_MODEL if with_model else max(2, os.cpu_count() or 2)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="question")

    def start(self, job: Job) -> None:
        """Lets a question begin as soon as a thread is free."""
        self._pool.submit(job.run)

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Some other work, in the same order."""
        return self._pool.submit(work)

    def close(self) -> None:
        """Waits for nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)
