"""Files: write one whole or not at all, and find the tables that llama-index-core ships."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

from rag.errors import DiskError


def write_atomically(path: str | Path, text: str) -> None:
    """Writes a text file whole or not at all; until then an older one stays as it is.

    What UTF-8 cannot hold, such as half a character that a terminal passed on, becomes "?".

    Raises:
        DiskError: the file cannot be written.
    """
    try:
        place = Path(path).resolve()  # a link stays one
        beside = _beside(place)
        try:
            beside.write_bytes(text.encode("utf-8", "replace"))
            beside.replace(place)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that go in a circle
        raise DiskError(f"{path} cannot be written: {explain_os_error(error)}.") from error


def _beside(place: Path) -> Path:
    if place.exists() and not place.is_file():
        raise ValueError("it is a folder or a device; name a file")
    return place.with_name(f".papertrail-{token_hex(8)}")


def explain_os_error(error: Exception) -> str:
    """Why, without the name of the file that the system met, which may be a temporary one."""
    return getattr(error, "strerror", None) or str(error)


def find_bundled_table(*parts: str) -> Path:
    """A file or folder among llama-index-core's tables, found without importing it."""
    spec = find_spec("llama_index")
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place, "core", "_static", *parts)
        if path.exists():
            return path
    raise DiskError(
        f"llama-index-core's {'/'.join(parts)} is not installed; "
        'run pip install --force-reinstall "llama-index-core>=0.14.25,<0.15".'
    )
