"""Show the progress of long work on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.index import OnProgress

T = TypeVar("T")

_FIRST_LINE_S = 3.0
_LINE_EVERY_S = 60.0
_READING_EVERY_S = 5.0
_MINUTE_S = 60


@contextlib.contextmanager
def show_progress(
    *, quiet: bool, title: str = "Indexing", unit: str = "papers"
) -> Iterator[OnProgress | None]:
    """Yield a callback that shows progress, or None if `quiet`.

    On a terminal it draws a bar. Elsewhere it prints lines with an estimate of the time left.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _draw_bar(title) as on_progress:
            yield on_progress
    else:
        yield _make_line_printer(title, unit)


@contextlib.contextmanager
def _draw_bar(title: str) -> Iterator[OnProgress]:
    from rich.progress import Progress, TaskID

    # rich's own columns: title, bar, share, and an estimate of the time left
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: list[TaskID] = []

        def on_progress(done: int, total: int) -> None:
            if not tasks:
                tasks.append(bar.add_task(title, total=total))
            bar.update(tasks[0], completed=done)

        yield on_progress


def _make_line_printer(title: str, unit: str) -> OnProgress:
    """Return a callback that prints a line at first, for every quarter, and every minute."""
    started = printed = time.monotonic()
    before: int | None = None
    shown = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal printed, before, shown
        now = time.monotonic()
        before = done if before is None else before
        is_first = shown == 0.0 and now - started >= _FIRST_LINE_S and done > before
        due = is_first or now - printed >= _LINE_EVERY_S
        if done == total or done / total >= shown + 0.25 or due:
            shown, printed = done / total, now
            left = (now - started) * (total - done) / max(1, done - before)
            estimate = f", about {_describe_seconds(left)} left" if done < total else ""
            sys.stderr.write(f"{title}: {done} of {total} {unit}{estimate}\n")
            sys.stderr.flush()

    return on_progress


def _describe_seconds(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * _MINUTE_S:
        return f"{round(seconds / _MINUTE_S)} min"
    return f"{seconds / _MINUTE_S**2:.1f} h"


def track_reading(records: Iterable[T], *, quiet: bool) -> Iterator[T]:
    """Yield records. Say every few seconds how many were read, where that takes long."""
    printed = time.monotonic()
    for number, record in enumerate(records, start=1):
        yield record
        if not quiet and time.monotonic() - printed >= _READING_EVERY_S:
            printed = time.monotonic()
            sys.stderr.write(f"Reading: {number} records\n")
            sys.stderr.flush()
