"""Write settings to the user's config file, and take them out again.

A line that `rag setup` wrote ends in a comment that says so. Only such lines are taken out. All
other settings and comments stay. The file is replaced in one step, and only the user may read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag.errors import DiskError, SettingsError
from rag.files import explain_os_error, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tomlkit import TOMLDocument

_MARK = "rag setup"  # the comment behind each line that was written here


def write_settings(path: Path, changes: Mapping[str, Any]) -> None:
    """Write settings to a config file in place of those that were written here before.

    Args:
        path: of the file. Its folder is created.
        changes: setting -> value. None takes it out, whoever wrote it.

    Raises:
        SettingsError: the file is not valid TOML.
        DiskError: it cannot be read or written.
    """
    document = _read(path)
    for name in _list_written(document):
        del document[name]
    for name, value in changes.items():
        if value is None:
            document.pop(name, None)
        else:
            document[name] = value
            document.item(name).comment(_MARK)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = explain_os_error(error)
        raise DiskError(f"Cannot create the folder {path.parent} ({why}). Free it.") from error
    write_atomically(path, document.as_string(), is_private=True)


def remove_settings(path: Path) -> list[str]:
    """Take out what `write_settings` wrote and return its names. An empty file is deleted.

    Raises:
        SettingsError: the file is not valid TOML.
        DiskError: it cannot be read or written.
    """
    written = list_written(path)
    if not written:
        return []
    write_settings(path, {})
    if not _read(path).as_string().strip():
        path.unlink(missing_ok=True)
    return written


def list_written(path: Path) -> list[str]:
    """Return the settings that `write_settings` wrote, in the order of the file.

    Raises:
        SettingsError: the file is not valid TOML.
        DiskError: it cannot be read.
    """
    return _list_written(_read(path))


def _list_written(document: TOMLDocument) -> list[str]:
    return [
        name
        for name in document
        if document.item(name).trivia.comment.removeprefix("#").strip() == _MARK
    ]


def _read(path: Path) -> TOMLDocument:
    """Return the content of a file, nothing if there is no such file."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_bytes().decode() if path.exists() else "")
    except OSError as error:
        why = explain_os_error(error)
        raise DiskError(f"Cannot read the config file {path} ({why}).") from error
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"The config file {path} is not valid TOML: {error}. Correct it, or move it away."
        ) from error
