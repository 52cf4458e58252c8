"""File lock for writers of an index.

Two processes that write to one Chroma folder corrupt it without an error, so every update holds the
lock. Readers need none, nor does the conversion of an older layout: it writes a draft of its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import filelock

from rag.errors import IndexLocked, IndexMissing
from rag.index.manifest import FILE_NAME, is_data_folder, map_disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_NAME = "lock"


@contextlib.contextmanager
def writer_lock(folder: Path, timeout_s: float) -> Iterator[None]:
    """Hold the writer lock of an index folder, which is created if missing.

    Raises:
        IndexLocked: another process holds the lock.
        IndexMissing: the folder holds something else.
        DiskError: the folder cannot be written.
    """
    _refuse_foreign(folder)
    with map_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK_NAME, timeout=timeout_s)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise IndexLocked(
                f"Another process is writing the index at {folder}. Try again when it has finished."
            ) from error
    try:
        yield
    finally:
        lock.release()


def _refuse_foreign(folder: Path) -> None:
    """Raise IndexMissing for a folder that holds something else than an index."""
    if folder.exists() and not folder.is_dir():
        raise IndexMissing(f"{folder} is a file. Name an empty or new folder with --index.")
    if (folder / FILE_NAME).exists() or not folder.is_dir():
        return
    own = (LOCK_NAME, FILE_NAME + ".new")
    if any(path.name not in own and not is_data_folder(path) for path in folder.iterdir()):
        raise IndexMissing(
            f"{folder} holds other files, not an index. Name an empty or new folder with --index."
        )
