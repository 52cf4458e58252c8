"""Questions at work: each in a thread of a bounded pool, its events handed to the event loop.

Whoever reads the events sees a stop at once. The stop also ends the model's request, even one that
waits for its first byte. The thread sees it at its next event and closes the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from rag.errors import RagError
from rag.llm import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from rag.answer import AnswerEvent

_BUG = "Something went wrong on the server. Its log has the details. Ask again, or reload the page."
_log = logging.getLogger("papertrail.page")


class Stopped(Exception):
    """Raised to whoever reads the events of a question that was stopped."""


class Job:
    """One question at work. The thread that runs it opens the stream of events."""

    def __init__(self, open_stream: Callable[[], Generator[AnswerEvent, None, None]]) -> None:
        self._open_stream = open_stream
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[AnswerEvent | Exception | None] = asyncio.Queue()
        self._stop = Stop()

    def stop(self) -> None:
        """End the work. Does nothing once it has ended."""
        self._put(Stopped())  # ahead of what the ended request leads to
        self._stop.set()

    async def iter_events(self) -> AsyncIterator[AnswerEvent]:
        """Yield the events as they come.

        Raises:
            Stopped: `stop` was called.
            RagError: the question failed.
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
