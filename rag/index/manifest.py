"""Manifest of an index: the file that says what the index holds and which generation is valid.

Readers use only rows that are valid in the generation it names. It is replaced atomically, after
everything it names has been written. So a kill at any moment leaves the old index or the new one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import DiskError, IndexDamaged, IndexMissing, IndexStale
from rag.files import replace_file
from rag.papers import Decision, Paper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rag.errors import RagError

SCHEMA = 4  # 1 had no tags and compared names by letter; 2 had no whole venue names
OLD_SCHEMA = 3  # kept records in Chroma; it can be read and is converted by the next update
FILE_NAME = "manifest.json"
OLD_FOLDERS = ("chroma", "lexical", "tokens")  # of layout 3
_READ_ONLY_SIGNS = ("read-only", "readonly", "permission denied", "os error 30")
_DISK_SIGNS = ("is full", "no space", "os error 28", "i/o error", "unable to open", "is locked")
_SPARE_BYTES = 64_000_000  # a failed write may have given so much space back
DATA_PREFIXES = ("data-", "converted-")  # of the folders with everything else
RECORDS, WORDS, CHROMA, VECTORS = (
    "records.sqlite3",
    "words",
    "chroma",
    "vectors",
)  # in such a folder


class EmbedderInfo(BaseModel):
    """Embedder of the vectors; `token_dim` is 0 if it gives no token vectors."""

    model_config = ConfigDict(frozen=True)

    name: str
    dim: int
    token_dim: int = 0


class PassageSettings(BaseModel):
    """Limits for the splitting of abstracts into passages."""

    model_config = ConfigDict(frozen=True)

    budget_tokens: int
    overlap_sentences: int


class StoredDecision(BaseModel):
    """What the user said about papers, as they were then; see `rag.papers.Decision`."""

    model_config = ConfigDict(frozen=True)

    is_same: bool
    papers: tuple[dict[str, Any], ...]

    @classmethod
    def store(cls, decision: Decision) -> StoredDecision:
        """Return the form of a decision that the manifest keeps."""
        return cls(
            is_same=decision.is_same, papers=tuple(paper.to_dict() for paper in decision.papers)
        )

    def load(self) -> Decision:
        """Return the decision."""
        return Decision(self.is_same, tuple(map(Paper.from_dict, self.papers)))


class Manifest(BaseModel):
    """Contents of one generation of an index.

    Attributes:
        schema_version: layout of the folder; this code writes `SCHEMA`.
        generation: 0 while the first build is unfinished, then 1, 2, ...
        data: name of the folder with everything else.
        build: random id of the first generation in that folder. A library that was deleted and made
            again has another.
        collection: of layout 3: the Chroma collection of the rows.
        sources: files and folders that papers were read from, in order of first use.
        columns: column of each mapped field, by source, for sources read with a mapping.
        removed: removal keys of papers that were taken out and are not back.
        decisions: which papers the user merged or keeps apart.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    generation: int = 0
    data: str = ""
    build: str = ""
    collection: str = ""
    embedder: EmbedderInfo
    passages: PassageSettings
    paper_count: int = 0
    row_count: int = 0
    sources: tuple[str, ...] = ()
    columns: dict[str, dict[str, str]] = {}
    removed: tuple[str, ...] = ()
    decisions: tuple[StoredDecision, ...] = ()


def is_data_folder(path: Path) -> bool:
    """Return whether a path is the data folder of an index."""
    return path.name.startswith(DATA_PREFIXES) and (path / RECORDS).is_file()


def read_manifest(folder: Path, *, any_layout: bool = False) -> Manifest:
    """Read the manifest of an index.

    Args:
        folder: the index folder.
        any_layout: accept the layout of another version, to learn the sources.

    Raises:
        IndexMissing: the folder holds no index.
        IndexStale: the layout is another version's.
        IndexDamaged: the manifest cannot be parsed.
        DiskError: the file cannot be read.
    """
    path = folder / FILE_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir() and any(map(is_data_folder, folder.iterdir())):
            raise IndexDamaged(
                f"The index at {folder} is damaged ({FILE_NAME} is missing). "
                f"Rebuild it with `rag index SOURCES --rebuild --index {folder}`."
            ) from error
        raise IndexMissing(
            f"There is no index at {folder}. Build one with `rag index SOURCES --index {folder}`."
        ) from error
    except OSError as error:
        raise DiskError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise IndexDamaged(
            f"{path} is not a readable manifest. "
            f"Rebuild the index with `rag index SOURCES --index {path.parent} --rebuild`."
        ) from error
    return _validate(raw, path, any_layout=any_layout)


def _validate(raw: Any, path: Path, *, any_layout: bool) -> Manifest:
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(found, int) and found not in (SCHEMA, OLD_SCHEMA) and not any_layout:
        sources = "" if raw.get("sources") else "SOURCES "
        raise IndexStale(
            f"The index at {path.parent} has layout {found}, but this version reads layout "
            f"{SCHEMA}. Rebuild it with `rag index {sources}--index {path.parent} --rebuild`."
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise damage_error(path.parent, "its manifest is incomplete") from error


def damage_error(folder: Path, what: str) -> IndexDamaged:
    """Return the error for a damaged index folder, with the command that rebuilds it."""
    return IndexDamaged(
        f"The index at {folder} is damaged ({what}). "
        f"Rebuild it with `rag index --rebuild --index {folder}`."
    )


def get_pieces_path(data: Path, generation: int) -> Path:
    """Return the file with the counts of word pieces of a generation."""
    return data / f"pieces-{generation}.npy"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step. The one writer overwrites a draft that a kill left."""
    path = folder / FILE_NAME
    with map_disk_errors(folder):
        replace_file(path, manifest.model_dump_json(indent=1).encode(), folder / f"{FILE_NAME}.new")


@contextlib.contextmanager
def map_disk_errors(folder: Path) -> Iterator[None]:
    """Raise DiskError for any error of the operating system.

    Raises:
        DiskError: for any OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise _make_disk_error(folder, error.strerror or str(error)) from error


def explain_failure(path: Path, error: Exception, *, writing: bool = False) -> RagError:
    """Return the error for a part of an index that its library cannot use: DiskError or damage.

    The library's message decides. Some hide why a write failed, so a disk with little space left is
    taken to be the cause then.

    Args:
        path: of the part, in a data folder.
        error: of the library.
        writing: whether it was to write.
    """
    reason = str(error)
    if any(sign in reason.lower() for sign in (*_READ_ONLY_SIGNS, *_DISK_SIGNS)):
        return _make_disk_error(path, reason)
    if writing and path.exists() and shutil.disk_usage(path).free < _SPARE_BYTES:
        return _make_disk_error(path, f"the disk is full ({reason})")
    return damage_error(path.parent.parent, f"{path.name}: {reason}")


def _make_disk_error(path: Path, reason: str) -> DiskError:
    read_only = any(sign in reason.lower() for sign in _READ_ONLY_SIGNS)
    advice = "Make it writable" if read_only else "Free some space"
    return DiskError(
        f"Cannot use {path}: {reason}. {advice}, or choose another folder with --index."
    )
