"""Read an index of layout 3, which kept records and filter keys in Chroma.

Its rows are copied into a data folder of the present layout, without embedding anything again. The
old files stay as they are. The next update takes the copy over and deletes them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile

import numpy as np
from chromadb.errors import ChromaError

from rag.errors import DiskError
from rag.index.manifest import damage_error, explain_failure, map_disk_errors
from rag.index.passages import Passage
from rag.index.token_vectors import RecordShape, RowVectors
from rag.index.writer import DataWriter
from rag.papers import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chromadb.api.client import Client

    from rag.index.manifest import Manifest

    Row = tuple[str, dict[str, Any], np.ndarray[Any, np.dtype[np.float32]]]

_BLOCK_PAPERS = 500


def open_old_layout(folder: Path, manifest: Manifest) -> Path:
    """Return a data folder with the content of an index of layout 3, to read it.

    It is made once, inside the index folder; on a read-only or full disk for this process only.

    Raises:
        IndexDamaged: a file is missing or unreadable.
        DiskError: there is no space for temporary files either.
    """
    with contextlib.suppress(DiskError):
        return convert_old_layout(folder, manifest)
    with map_disk_errors(Path(tempfile.gettempdir())):
        target = Path(tempfile.mkdtemp(prefix="papertrail-"))
        atexit.register(shutil.rmtree, target, ignore_errors=True)
        chroma = Path(shutil.copytree(folder / "chroma", target / "chroma"))  # reading it writes
    return _convert(folder, chroma, manifest, target / _name_target(manifest))


def convert_old_layout(folder: Path, manifest: Manifest) -> Path:
    """Return a data folder inside the index folder with the content of an index of layout 3.

    Raises:
        IndexDamaged: a file is missing or unreadable.
        DiskError: the disk is full or read-only.
    """
    return _convert(folder, folder / "chroma", manifest, folder / _name_target(manifest))


def _name_target(manifest: Manifest) -> str:
    return f"converted-{manifest.generation}"


def _convert(folder: Path, chroma: Path, manifest: Manifest, target: Path) -> Path:
    if target.is_dir():
        return target
    draft = target.with_name(f"{target.name}.{token_hex(4)}")
    try:
        with map_disk_errors(draft):
            draft.mkdir()
        _copy(folder, chroma, manifest, draft)
        draft.rename(target)
    except FileNotFoundError as error:
        raise damage_error(folder, f"{error}") from error
    except (LookupError, ValueError, TypeError, BadZipFile, ChromaError) as error:
        raise explain_failure(folder / "chroma" / "chroma.sqlite3", error) from error
    except OSError as error:
        if not target.is_dir():  # another process was faster otherwise
            raise explain_failure(folder / "chroma" / "chroma.sqlite3", error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _copy(folder: Path, chroma: Path, manifest: Manifest, target: Path) -> None:
    listed = json.loads((folder / "lexical" / str(manifest.generation) / "rows.json").read_bytes())
    papers: dict[str, list[str]] = {}
    for row in listed["rows"]:
        papers.setdefault(row.rsplit("#", 2)[0], []).append(row)
    shape = RecordShape(manifest.embedder.dim, manifest.embedder.token_dim)
    tokens = _OldTokens(folder / "tokens", manifest)
    number = {row: i for i, row in enumerate(listed["rows"])}
    mark = manifest.model_dump_json(include={"embedder", "passages"})
    writer = DataWriter(target, 0, manifest.generation, shape, mark)
    try:
        for block in _read_blocks(chroma, manifest.collection, list(papers.values())):
            writer.stage(
                [
                    (
                        *_restore(rows),
                        [tokens.read(number[row], vector) for row, (_, _, vector) in rows.items()],
                    )
                    for rows in block
                ]
            )
        writer.finish((), {}, with_store=False)
    finally:
        writer.close()


def _read_blocks(
    chroma: Path, collection: str, papers: Sequence[list[str]]
) -> Iterator[list[dict[str, Row]]]:
    """Yield blocks of papers: text, fields and vector of each row, by row id."""
    import chromadb

    client = chromadb.PersistentClient(
        str(chroma), settings=chromadb.config.Settings(anonymized_telemetry=False)
    )
    try:
        old = client.get_collection(collection, embedding_function=None)
        for first in range(0, len(papers), _BLOCK_PAPERS):
            block = papers[first : first + _BLOCK_PAPERS]
            page: Any = old.get(
                ids=[row for rows in block for row in rows],
                include=["documents", "metadatas", "embeddings"],
            )
            parts = zip(page["documents"], page["metadatas"], page["embeddings"], strict=True)
            found = dict(zip(page["ids"], parts, strict=True))
            yield [{row: found[row] for row in rows} for rows in block]
    finally:
        cast("Client", client).close()  # missing in the declared type


def _restore(rows: dict[str, Row]) -> tuple[Paper, list[Passage]]:
    """Return the paper of some rows with its passages."""
    parts = list(rows.values())
    record = json.loads(parts[0][1]["record"])
    passages = [
        Passage(record["id"], number, f["start"], f["start"] + len(text), text, _parse_spans(f))
        for number, (text, f, _) in enumerate(parts)
    ]
    return Paper.from_dict({"abstract": _join(passages), **record}), passages


def _join(passages: Iterable[Passage]) -> str:
    """Restore the abstract from its passages. A gap between two was white space."""
    abstract = ""
    for passage in passages:
        abstract = abstract[: passage.start].ljust(passage.start) + passage.text
    return abstract


def _parse_spans(fields: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    pairs = (pair.split(":") for pair in fields["sentences"].split())
    return tuple((int(start), int(end)) for start, end in pairs)


class _OldTokens:
    """Token vectors of layout 3, by row number."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._dim = manifest.embedder.token_dim
        with np.load(folder / f"table-{manifest.generation}.npz", allow_pickle=False) as arrays:
            self._table = dict(arrays)

    def read(self, row: int, pooled: np.ndarray[Any, np.dtype[np.float32]]) -> RowVectors:
        """Return the vectors of a row."""
        table = self._table
        segment, start, count = (int(table[name][row]) for name in ("segment", "start", "count"))
        first, last = table["sentence_pointer"][row : row + 2]
        vectors = np.zeros((0, self._dim), np.int8)
        pieces = np.zeros(0, np.uint32)
        if count:
            path = self._folder / f"vectors-{segment}.i8"
            vectors = np.fromfile(path, np.int8, count * self._dim, offset=start * self._dim)
            pieces = np.fromfile(
                self._folder / f"pieces-{segment}.u32", np.uint32, count, offset=start * 4
            )
        starts = tuple(int(each) for each in table["sentence_start"][first:last])
        return RowVectors(
            np.asarray(pooled, np.float32), vectors.reshape(count, self._dim), pieces, starts
        )
