"""Files: write one atomically, and find the tables that llama-index-core ships."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from shutil import copymode

from rag.errors import DiskError


def write_atomically(path: str | Path, content: str | bytes, *, is_private: bool = False) -> None:
    """Write a file whole, or leave the older one as it is.

    Links are followed. Characters of a text that UTF-8 cannot encode become "?".

    Args:
        path: of the file.
        content: all of it.
        is_private: let only the user read it (mode 600), whatever its permissions were.

    Raises:
        DiskError: the file cannot be written.
    """
    try:
        target = _resolve_file(path)
        draft = target.with_name(f".papertrail-{token_hex(8)}")
        try:
            text = content.encode("utf-8", "replace") if isinstance(content, str) else content
            replace_file(target, text, draft, is_private=is_private)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a circle of links
        why = explain_os_error(error)
        raise DiskError(f"Cannot write {path} ({why}). Choose another file.") from error


def require_writable(path: Path) -> None:
    """Check that a file can be written, before its content is made.

    Raises:
        DiskError: it cannot.
    """
    try:
        folder, why = _resolve_file(path).parent, ""
    except (OSError, ValueError, RuntimeError) as error:
        folder, why = path.parent, explain_os_error(error)
    if not (why or folder.is_dir()):
        why = "there is no such folder"
    if not (why or os.access(folder, os.W_OK)):
        why = "you may not write to its folder"
    if why:
        raise DiskError(f"Cannot write {path} ({why}). Choose another file.")


def _resolve_file(path: str | Path) -> Path:
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise ValueError("it is a folder or a device")
    return target


def replace_file(path: Path, content: bytes, draft: Path, *, is_private: bool = False) -> None:
    """Replace a file in one step, so that readers see the old content or the new, never a part.

    Its permissions stay, unless it is private.

    Args:
        path: replaced.
        content: of the new file.
        draft: a file beside it that is written first.
        is_private: let only the user read it.

    Raises:
        OSError: the system refuses.
    """
    if is_private:
        draft.touch(0o600)  # before it holds anything
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with suppress(OSError):  # there was none, or the disk has no permissions
        if not is_private:
            copymode(path, draft)
    draft.replace(path)
    with suppress(OSError):  # makes the rename last through a power cut, where the system can
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def explain_os_error(error: Exception) -> str:
    """Return the reason without the file name, which may be that of a temporary file."""
    return getattr(error, "strerror", None) or str(error)


def find_bundled_table(*parts: str) -> Path:
    """Return a file or folder of llama-index-core's tables, without importing the package."""
    spec = find_spec("llama_index")
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place, "core", "_static", *parts)
        if path.exists():
            return path
    raise DiskError(
        f"llama-index-core's {'/'.join(parts)} is not installed. "
        'Run pip install --force-reinstall "llama-index-core>=0.14.25,<0.15".'
    )
