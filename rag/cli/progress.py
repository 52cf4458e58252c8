"""Show the progress of long work on standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.index import OnProgress


@contextlib.contextmanager
def show_progress(
    *, quiet: bool, title: str = "Indexing", unit: str = "papers"
) -> Iterator[OnProgress | None]:
    """Yield a callback that shows progress, or None if `quiet`.

    On a terminal it draws a bar. Elsewhere it prints a line for every quarter.
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
    shown = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal shown
        if done == total or done / total >= shown + 0.25:
            shown = done / total
            sys.stderr.write(f"{title}: {done} of {total} {unit}\n")
            sys.stderr.flush()

    return on_progress
