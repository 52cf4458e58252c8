"""The manifest: the one file that says what an index holds and which generation is valid.

Readers believe only rows that the manifest vouches for, and the manifest is replaced in one atomic
step after everything it names has been written. So a kill at any moment leaves the old index or the
new one.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import DiskError, IndexDamaged, IndexMissing, IndexStale
from rag.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 3  # 1 had no tags, and compared names letter by letter; 2 no whole names of venues
FILE_NAME = "manifest.json"


class EmbedderInfo(BaseModel):
    """Which embedder made the vectors; `token_dim` is 0 where it gives no token vectors."""

    model_config = ConfigDict(frozen=True)

    name: str
    dim: int
    token_dim: int = 0


class PassageSettings(BaseModel):
    """How abstracts were cut into passages."""

    model_config = ConfigDict(frozen=True)

    budget_tokens: int
    overlap_sentences: int


class Manifest(BaseModel):
    """What one generation of an index holds.

    Attributes:
        schema_version: layout of the folder; `SCHEMA` is the one this code reads.
        generation: 0 for an index that was begun and never finished, then 1, 2, ...
        collection: the Chroma collection that holds the rows.
        rows_sha256: digest of the list of row ids that this generation vouches for.
        sources: the files and folders its papers were read from, in order of first use.
        columns: of the sources that were read so, the fields that were mapped and their columns.
        removed: marks of the papers that were taken out and have not come back.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    generation: int = 0
    collection: str = ""
    embedder: EmbedderInfo
    passages: PassageSettings
    paper_count: int = 0
    row_count: int = 0
    rows_sha256: str = ""
    sources: tuple[str, ...] = ()
    columns: dict[str, dict[str, str]] = {}
    removed: tuple[str, ...] = ()


def read_manifest(folder: Path, *, any_layout: bool = False) -> Manifest:
    """Reads the manifest of an index.

    Args:
        folder: of the index.
        any_layout: whether one that another version laid out will do, for what it was read from.

    Raises:
        IndexMissing: there is no index in the folder.
        IndexStale: another version of this program laid it out.
        IndexDamaged: the file cannot be read as a manifest.
        DiskError: the disk refuses.
    """
    path = folder / FILE_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexMissing(
            f"There is no index at {folder}; make one with `rag index SOURCES --index {folder}`."
        ) from error
    except OSError as error:
        raise DiskError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise IndexDamaged(
            f"{path} is not a readable manifest; "
            f"rebuild with `rag index SOURCES --index {path.parent} --rebuild`."
        ) from error
    return _validated(raw, path, any_layout=any_layout)


def _validated(raw: Any, path: Path, *, any_layout: bool) -> Manifest:
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(found, int) and found != SCHEMA and not any_layout:
        sources = "" if raw.get("sources") else "SOURCES "
        raise IndexStale(
            f"The index at {path.parent} has layout {found}, this version reads layout {SCHEMA}; "
            f"rebuild it with `rag index {sources}--index {path.parent} --rebuild`."
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise damage_error(path.parent, "its manifest lacks fields") from error


def damage_error(folder: Path, what: str) -> IndexDamaged:
    """The error for an index folder that contradicts itself, with the command that mends it."""
    return IndexDamaged(
        f"The index at {folder} is damaged ({what}); "
        f"rebuild it with `rag index --rebuild --index {folder}`."
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step. The one writer overwrites a draft that a kill left."""
    path = folder / FILE_NAME
    with map_disk_errors(folder):
        replace_file(path, manifest.model_dump_json(indent=1).encode(), folder / f"{FILE_NAME}.new")


@contextlib.contextmanager
def map_disk_errors(folder: Path) -> Iterator[None]:
    """Turns the system's refusal to write into one sentence.

    Raises:
        DiskError: for any OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{folder} cannot be written: {error.strerror or error}; "
            "make room there or choose another place with --index."
        ) from error
