"""One writer at a time, and never into a folder that holds something else.

Two processes that write to one Chroma folder corrupt it without an error, so every writer holds a
file lock. Readers need none.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import filelock

from rag.errors import IndexLocked, IndexMissing
from rag.index.manifest import FILE_NAME, map_disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "lock"


@contextlib.contextmanager
def writer_lock(folder: Path, timeout_s: float) -> Iterator[None]:
    """Holds the index's lock; only one process writes at a time."""
    _refuse_foreign(folder)
    with map_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK_NAME, timeout=timeout_s)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise IndexLocked(
                f"Another process is writing the index at {folder}; try again when it is done."
            ) from error
    try:
        yield
    finally:
        lock.release()


def _refuse_foreign(folder: Path) -> None:
    """Never writes into a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise IndexMissing(f"{folder} is a file; name an empty or new folder with --index.")
    if (folder / FILE_NAME).exists() or not folder.is_dir():
        return
    if any(path.name not in (LOCK_NAME, FILE_NAME + ".new") for path in folder.iterdir()):
        raise IndexMissing(
            f"{folder} holds files and is no index; name an empty or new folder with --index."
        )
