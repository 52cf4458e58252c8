"""Open one generation of an index for reading.

An opened index never changes. `Index.is_current` tells a long-running program that a newer
generation is on disk.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import DiskError, IndexDamaged, IndexMissing, IndexStale
from rag.index.lexical import LexicalIndex
from rag.index.manifest import (
    CHROMA,
    RECORDS,
    SCHEMA,
    VECTORS,
    WORDS,
    EmbedderInfo,
    Manifest,
    PassageSettings,
    damage_error,
    get_pieces_path,
    read_manifest,
)
from rag.index.records import Records, RowTable
from rag.index.token_vectors import PieceCounts, RecordShape, SegmentReader, StoredVectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding import Embedder
    from rag.index.filter import Filter
    from rag.index.store import PassageStore
    from rag.papers import Paper

_EXACT_ROWS = 10_000  # up to which all vectors are compared; more are searched by Chroma
_EXACT_SHARE = 0.05  # of the rows: a filter that keeps fewer is searched exactly
_MARGIN = 1.5  # more rows are asked for than a filter is expected to need


def describe_embedder(embedder: Embedder) -> EmbedderInfo:
    """Return what the manifest stores about an embedder."""
    return EmbedderInfo(
        name=embedder.name, dim=embedder.dim, token_dim=getattr(embedder, "token_dim", 0)
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """How papers that match a filter are searched for.

    Attributes:
        where: the filter; None restricts nothing.
        rows: the rows of the papers that match, if they are few, else None.
        expand: how many candidates are taken for one that is expected to match, at least 1.
    """

    where: Filter | None = None
    rows: NDArray[np.int64] | None = None
    expand: float = 1.0


class Index:
    """Reads one generation of an index.

    Attributes:
        folder: the index folder.
        manifest: of the opened generation.
        records: papers, passages and filter keys.
        lexical: BM25 over the rows.
    """

    def __init__(self, folder: Path, manifest: Manifest, data: Path) -> None:
        """Open the files in a data folder; see `open`."""
        self.folder = folder
        self.manifest = manifest
        self._data = data
        self.records = Records(data / RECORDS, manifest.generation)
        self.lexical = LexicalIndex(data / WORDS)
        shape = RecordShape(manifest.embedder.dim, manifest.embedder.token_dim)
        self._vectors = SegmentReader(data / VECTORS, shape)
        self._pieces = PieceCounts.load(get_pieces_path(data, manifest.generation))
        self._store: PassageStore | None = None
        self._stored_rows = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Index:
        """Open the generation that the manifest names.

        Raises:
            IndexMissing: there is no index, or its first build is unfinished.
            IndexStale: the layout is another version's.
            IndexDamaged: files are missing or inconsistent.
            DiskError: a file cannot be read.
        """
        manifest = read_manifest(folder)
        try:
            return cls._open_generation(folder, manifest)
        except IndexDamaged:
            newest = read_manifest(folder)
            if newest == manifest:
                raise
            return cls._open_generation(folder, newest)  # an update has replaced it meanwhile

    @classmethod
    def _open_generation(cls, folder: Path, manifest: Manifest) -> Index:
        if manifest.generation == 0:
            raise IndexMissing(
                f"The first build of the index at {folder} is unfinished. "
                f"Run the same `rag index` command again to complete it."
            )
        index = cls(folder, manifest, _find_data(folder, manifest))
        if (found := index.count()) != manifest.paper_count:
            index.close()
            raise damage_error(
                folder, f"{found} papers are stored, but the manifest lists {manifest.paper_count}"
            )
        try:
            index._check_segments()
        except IndexDamaged:
            index.close()
            raise
        return index

    def _check_segments(self) -> None:
        """Raise IndexDamaged if a segment is missing or too short."""
        for segment, offset, tokens in self.records.list_segment_ends():
            self._vectors.check_end(segment, offset, tokens)

    def close(self) -> None:
        """Close the files."""
        self.records.close()
        self.lexical.close()
        self._vectors.close()
        if self._store:
            self._store.close()

    def is_current(self) -> bool:
        """Return whether this is the newest generation on disk."""
        newest = read_manifest(self.folder)
        return (newest.build, newest.generation) == (self.manifest.build, self.manifest.generation)

    def check_fits(self, embedder: Embedder, passages: PassageSettings | None = None) -> None:
        """Check that questions are embedded the way the papers were.

        Raises:
            IndexStale: the embedder or the passage settings differ.
        """
        check_fits(self.folder, self.manifest, embedder, passages)

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        """Keep the generation readable inside the block: a writer waits before it deletes."""
        return self.records.snapshot()

    # --- Papers -------------------------------------------------------------------------------

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers match a filter, all without one."""
        return self.records.count(where)

    def count_with_words(self, terms: Sequence[str], where: Filter | None = None) -> int:
        """Return how many papers that match a filter have all the terms in one passage."""
        rows = self.lexical.find_all(terms).tolist()
        return self.records.count_papers(rows, where)

    def holds(self, where: Filter) -> bool:
        """Return whether any paper matches a filter."""
        return self.records.holds(where)

    def papers(
        self, where: Filter | None = None, limit: int | None = None, order: str = ""
    ) -> Iterator[Paper]:
        """Yield the first papers that match a filter, or all.

        Args:
            where: the filter.
            limit: number of papers, None for all.
            order: "oldest" or "newest" first; "" for the order of the library.
        """
        return self.records.iter_papers(where, limit, order)

    def resolve_id(self, name: str) -> str:
        """Resolve what a user calls a paper; see `Records.resolve_id`."""
        return self.records.resolve_id(name)

    @cached_property
    def fields(self) -> frozenset[str]:
        """Which of years, authors and venues any paper has."""
        return self.records.list_fields()

    def find_by_key(self, field: str, keys: Sequence[str], where: Filter | None) -> set[int]:
        """Return the numbers of papers with one of the keys in a field; see `make_keys`."""
        if not keys:
            return set()
        found = self.records.find_papers(field, keys)
        return set(found) if where is None else self.records.filter_papers(found, where)

    # --- Rows ---------------------------------------------------------------------------------

    def read_vectors(self, table: RowTable) -> list[StoredVectors]:
        """Return the vectors of rows, in the order of the table."""
        return self._vectors.read(table)

    def compute_piece_idf(self, pieces: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the idf of word pieces; see `PieceCounts.compute_idf`."""
        return self._pieces.compute_idf(pieces, self.manifest.row_count)

    def select(self, where: Filter | None) -> Selection:
        """Return how to search for papers that match a filter, for `find_nearest` and `find_words`.

        If few match, their rows are searched exactly. Else so many more candidates are taken that
        enough are expected to match.
        """
        if where is None:
            return Selection()
        count = self.count(where)
        share = count / max(1, self.manifest.paper_count)
        limit = max(_EXACT_ROWS, int(_EXACT_SHARE * self.manifest.row_count))
        if share * self.manifest.row_count <= limit:
            return Selection(where, self.records.select_rows(where))
        return Selection(where, expand=_MARGIN / share)

    def find_nearest(
        self, vector: NDArray[np.float32], count: int, selection: Selection
    ) -> list[int]:
        """Return the rows nearest to a unit vector, best first.

        A small library, or a filter that few papers match, is searched exactly.
        """
        if self.manifest.row_count <= _EXACT_ROWS:
            rows, vectors = self._all_pooled
            if selection.rows is not None:
                kept = np.isin(rows, selection.rows)
                rows, vectors = rows[kept], vectors[kept]
            return _take_best(rows, vectors @ vector, count)
        if selection.rows is not None:
            table = self.records.load_rows(selection.rows.tolist())
            return _take_best(table.row, self._vectors.read_pooled(table) @ vector, count)
        # Chroma writes even to search, and a kill or a full disk may leave it unreadable
        with contextlib.suppress(DiskError, IndexDamaged):
            return self._keep_valid(self._search_store(vector, count, selection), count, selection)
        rows, vectors = self._all_pooled
        most = count if selection.where is None else len(rows)
        return self._keep_valid(_take_best(rows, vectors @ vector, most), count, selection)

    def find_words(self, terms: Sequence[str], count: int, selection: Selection) -> list[int]:
        """Return the rows with the highest BM25 for the terms, best first."""
        if selection.rows is not None:
            return [int(row) for row in self.lexical.search(terms, count, selection.rows)[0]]
        spare = max(0, self.lexical.row_count - self.manifest.row_count)
        wanted = int(count * selection.expand) + spare
        return self._keep_valid(self.lexical.search(terms, wanted)[0].tolist(), count, selection)

    def score_words(self, terms: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the BM25 of rows, shape (rows,); 0 for a row without any of the terms."""
        found, scores = self.lexical.search(terms, len(rows), rows)
        known = dict(zip(found.tolist(), scores.tolist(), strict=True))
        return np.array([known.get(row, 0.0) for row in rows.tolist()])

    def _keep_valid(self, rows: Sequence[int], count: int, selection: Selection) -> list[int]:
        valid = self.records.filter_rows(rows, selection.where)
        return [row for row in rows if row in valid][:count]

    @cached_property
    def _all_pooled(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All rows and their pooled vectors, shape (rows, dim)."""
        table = self.records.load_all_rows()
        return table.row, self._vectors.read_pooled(table)

    def _search_store(
        self, vector: NDArray[np.float32], count: int, selection: Selection
    ) -> list[int]:
        """Return more than `count` of the nearest rows in Chroma, as not all of them count.

        Raises:
            DiskError: the disk is full or read-only.
            IndexDamaged: Chroma is unreadable. The next update fills it again.
        """
        from rag.index.store import PassageStore

        with self._lock:
            if self._store is None:
                self._store = PassageStore(self._data / CHROMA)
            if not self._stored_rows:
                self._stored_rows = self._store.count()  # it takes as long as a search
        spare = max(0, self._stored_rows - self.manifest.row_count)
        wanted = min(int(count * selection.expand) + spare, self._stored_rows)
        return self._store.search(vector, wanted)


def _find_data(folder: Path, manifest: Manifest) -> Path:
    """Return the data folder. Convert an older layout."""
    if manifest.schema_version == SCHEMA:
        return folder / manifest.data
    from rag.index.convert import open_old_layout

    return open_old_layout(folder, manifest)


def _take_best(rows: NDArray[np.int64], scores: NDArray[np.floating], count: int) -> list[int]:
    best = np.argsort(-scores, kind="stable")[:count]
    return [int(row) for row in rows[best]]


def check_fits(
    folder: Path, manifest: Manifest, embedder: Embedder, passages: PassageSettings | None
) -> None:
    """Check an embedder and passage settings; see `Index.check_fits`."""
    pairs = (
        ("embedder", manifest.embedder, describe_embedder(embedder)),
        ("passages", manifest.passages, passages or manifest.passages),
    )
    differences = [
        f"{name} {_list_fields(was)}, now {_list_fields(now)}"
        for name, was, now in pairs
        if was != now
    ]
    if differences:
        raise IndexStale(
            f"The index at {folder} was built with different settings "
            f"({'; '.join(differences)}). Use those settings, or rebuild it with "
            f"`rag index --rebuild --index {folder}`."
        )


def _list_fields(settings: EmbedderInfo | PassageSettings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.model_dump().items())
