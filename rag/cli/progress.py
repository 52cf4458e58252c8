"""How far an update is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.index import OnProgress


@contextlib.contextmanager
def progress(
    *, quiet: bool, title: str = "Indexing", unit: str = "papers"
) -> Iterator[OnProgress | None]:
    """Gives a callback that shows how far an update is, on standard error.

    A bar on a terminal, elsewhere a line now and then; nothing where `quiet`.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(title) as on_progress:
            yield on_progress
    else:
        yield _lines(title, unit)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    from rich.progress import Progress, TaskID

    # rich's own columns: title, bar, share, and an estimate of the time left
    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: list[TaskID] = []

        def on_progress(done: int, total: int) -> None:
            if not tasks:
                tasks.append(bar.add_task(title, total=total))
            bar.update(tasks[0], completed=done)

        yield on_progress


def _lines(title: str, unit: str) -> OnProgress:
    shown = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal shown
        if done == total or done / total >= shown + 0.25:
            shown = done / total
            sys.stderr.write(f"{title}: {done} of {total} {unit}\n")
            sys.stderr.flush()

    return on_progress
