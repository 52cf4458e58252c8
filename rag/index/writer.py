"""Write the data folder of an index: records, vectors, words and Chroma, for one generation.

Rows are staged block by block: first their vectors in a segment, then their records, in one
transaction. What is staged survives a kill, and the next run goes on from it. `finish` makes the
generation complete. It becomes valid when the manifest names it. `purge` then deletes what only
older generations had.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import IndexDamaged
from rag.index.lexical import update_words
from rag.index.manifest import CHROMA, RECORDS, VECTORS, WORDS, get_pieces_path, map_disk_errors
from rag.index.passages import make_embedder_text
from rag.index.record_writer import RecordWriter
from rag.index.records import Place
from rag.index.token_vectors import (
    PieceCounts,
    SegmentReader,
    SegmentWriter,
    get_segment_path,
)
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.index.passages import Passage
    from rag.index.records import StoredPaper
    from rag.index.store import PassageStore
    from rag.index.token_vectors import RecordShape, RowVectors
    from rag.papers import Paper

_READ_PAPERS = 500  # papers read together
_TIER = 8  # so many segments of about one size are merged into one
_WASTE = 2.0  # a segment more than so many times as large as its used bytes is rewritten


class DataWriter:
    """Writes one generation into a data folder. The caller holds the writer lock.

    Attributes:
        staged: number of each paper that this generation adds, by id and content hash.
    """

    def __init__(
        self, data: Path, base: int, generation: int, shape: RecordShape, mark: str
    ) -> None:
        """Open a data folder, or create it.

        Args:
            data: the folder.
            base: the valid generation in it; 0 if there is none.
            generation: the one to write.
            shape: widths of the vectors.
            mark: describes how rows are made. A first build with another mark is discarded.

        Raises:
            IndexDamaged, DiskError: a file cannot be read or written.
        """
        self._data = data
        self._base = base
        self._generation = generation
        self._shape = shape
        with map_disk_errors(data):
            data.mkdir(parents=True, exist_ok=True)
        self._records = RecordWriter(data / RECORDS, base)
        if not base and self._records.read_mark() not in ("", mark):
            self._records.close()
            with map_disk_errors(data):
                shutil.rmtree(data)
                data.mkdir()
            self._records = RecordWriter(data / RECORDS, base)
        self._records.write_mark(mark)
        self.staged = self._records.list_staged(generation)
        self._segment = self._open_segment()
        ends = self._records.list_segment_ends()
        self._vectors = SegmentReader(data / VECTORS, shape)
        try:
            for end in ends:
                self._vectors.check_end(*end)
        except IndexDamaged:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self._segment.close()
        self._vectors.close()
        self._records.close()

    def stage(
        self, papers: Sequence[tuple[Paper, Sequence[Passage], Sequence[RowVectors]]]
    ) -> None:
        """Write papers with the vectors of their passages."""
        rows = [each for _, _, vectors in papers for each in vectors]
        offsets = iter(self._segment.append(row.to_bytes() for row in rows))
        self._segment.sync()  # before the records that name them
        self._records.stage(
            [
                (
                    paper,
                    passages,
                    [
                        Place(self._segment.number, next(offsets), len(each.pieces), each.starts)
                        for each in vectors
                    ],
                )
                for paper, passages, vectors in papers
            ],
            self._generation,
        )

    def stage_copies(self, papers: Sequence[tuple[Paper, int]]) -> None:
        """Write papers with the vectors of others that have their title and abstract.

        Args:
            papers: each with the number of the other in the index.
        """
        known = self._records.load_papers([number for _, number in papers])
        self.stage(
            [
                (
                    paper,
                    [replace(passage, paper_id=paper.id) for passage in stored.passages],
                    [self._vectors.read_row(place) for place in stored.places],
                )
                for (paper, _), stored in zip(papers, known, strict=True)
            ]
        )

    def drop_staged(self, kept: frozenset[tuple[str, str]]) -> None:
        """Delete staged papers, by id and content hash, that are not wanted any more."""
        stale = [number for key, number in self.staged.items() if key not in kept]
        if stale:
            self._delete(stale)
            self.staged = {key: self.staged[key] for key in self.staged if key in kept}

    def finish(
        self,
        removed: Sequence[int],
        positions: Mapping[str, int],
        *,
        with_store: bool = True,
    ) -> int:
        """Complete the generation, all but the manifest.

        Args:
            removed: numbers of the papers that it no longer has.
            positions: position of each added paper, by id, that takes another's place.
            with_store: fill Chroma too; without it, the next `finish` does.

        Returns:
            how many rows it has more than the base.
        """
        self.staged = self._records.list_staged(self._generation)
        added = sorted(self.staged.values())
        self._records.write_keys(self._generation)
        places = [
            (positions[identity], number)
            for (identity, _), number in self.staged.items()
            if identity in positions
        ]
        self._records.finish(self._generation, removed, places)
        gone = self._records.list_rows(removed)
        new = self._records.list_rows(added)
        if with_store:
            self._fill_store(added, new)
        terms = self._iter_terms(added)
        update_words(self._data / WORDS, terms, new, create=not self._base)
        self._count_pieces(added, removed)
        return len(new) - len(gone)

    def purge(self) -> None:
        """Delete what only older generations had, and merge small segments. Repeating is safe."""
        self._segment.close()
        removed = self._records.list_removed(self._generation)
        if removed:
            self._delete(removed)
        self._merge_segments()
        current = get_pieces_path(self._data, self._generation)
        with map_disk_errors(self._data):
            for path in self._data.glob("pieces-*.npy"):
                if path != current:
                    path.unlink()

    def _fill_store(self, added: Sequence[int], rows: Sequence[int]) -> None:
        """Write the rows that Chroma lacks. A converted index lacks all."""
        store = self._open_store()
        try:
            held = sum(count for count, _ in self._records.measure_segments().values())
            if store.count() < held - len(rows):
                added = self._records.list_all(self._generation)
                rows = self._records.list_rows(added)
            missing = frozenset(store.find_missing(rows))
            store.fill(self._iter_store_blocks(added, missing), len(missing))
        finally:
            store.close()

    def _iter_store_blocks(
        self, papers: Sequence[int], wanted: frozenset[int]
    ) -> Iterator[tuple[list[int], list[int | None], NDArray[np.float32]]]:
        """Yield wanted rows of papers, with the year and the pooled vector of each."""
        for block in self._iter_papers(papers):
            kept = [
                (row, stored.paper.year, place)
                for stored in block
                for row, place in zip(stored.rows, stored.places, strict=True)
                if row in wanted
            ]
            if kept:
                rows, years, places = zip(*kept, strict=True)
                vectors = [self._vectors.read_place(place).pooled for place in places]
                yield list(rows), list(years), np.stack(vectors)

    def _open_store(self) -> PassageStore:
        """Open Chroma, or an empty one where a kill or a full disk left it unreadable.

        `finish` then fills it from the records and vectors.
        """
        from rag.index.store import PassageStore

        folder = self._data / CHROMA
        store = None
        try:
            store = PassageStore(folder, create=True)
            if store.count():
                store.search(np.ones(self._shape.dim, np.float32), 1)
        except IndexDamaged:
            if store:
                store.close()
            with map_disk_errors(folder):
                shutil.rmtree(folder)
            store = PassageStore(folder, create=True)
        return store

    def _iter_terms(self, papers: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
        for block in self._iter_papers(papers):
            for stored in block:
                for row, passage in zip(stored.rows, stored.passages, strict=True):
                    text = make_embedder_text(stored.paper.title, passage.text)
                    yield row, lexical_terms(text)

    def _iter_papers(self, papers: Sequence[int]) -> Iterator[list[StoredPaper]]:
        for first in range(0, len(papers), _READ_PAPERS):
            yield self._records.load_papers(papers[first : first + _READ_PAPERS])

    def _count_pieces(self, added: Sequence[int], removed: Sequence[int]) -> None:
        counts = PieceCounts(np.zeros(0, np.int64))
        if self._base:
            counts = PieceCounts.load(get_pieces_path(self._data, self._base))
        for papers, sign in ((added, 1), (removed, -1)):
            for block in self._iter_papers(papers):
                places = (place for stored in block for place in stored.places)
                counts.add((self._vectors.read_place(place).pieces for place in places), sign)
        counts.save(get_pieces_path(self._data, self._generation))

    def _delete(self, papers: Sequence[int]) -> None:
        """Delete papers everywhere, the records last, so that it can be repeated after a kill."""
        rows = self._records.list_rows(papers)
        if (self._data / CHROMA).is_dir():
            store = self._open_store()
            try:
                store.delete(rows)
            finally:
                store.close()
        if (self._data / WORDS).is_dir():
            update_words(self._data / WORDS, (), rows, create=not self._base)
        self._records.delete(papers)

    def _open_segment(self) -> SegmentWriter:
        """Continue the segment of staged rows, else open a new one."""
        numbers = self._records.measure_segments()
        latest = max(numbers, default=0)
        end = 0
        if self.staged:
            places = self._records.list_places([latest])
            end = max(
                (offset + self._shape.measure(tokens) for _, _, offset, tokens in places), default=0
            )
        return SegmentWriter(self._data / VECTORS, latest if self.staged else latest + 1, end)

    def _merge_segments(self) -> None:
        """Merge segments of about one size, and rewrite those that are mostly unused."""
        segments = self._records.measure_segments()
        for group in self._choose_groups(segments):
            places = self._records.list_places(group)
            writer = SegmentWriter(self._data / VECTORS, max(segments) + 1, 0)
            offsets = writer.append(
                self._vectors.read_record(segment, offset, tokens)
                for _, segment, offset, tokens in places
            )
            writer.sync()
            writer.close()
            moved = [
                (writer.number, offset, place[0])
                for offset, place in zip(offsets, places, strict=True)
            ]
            self._records.move_rows(moved)
            segments = self._records.measure_segments()
        used = {
            get_segment_path(self._data / VECTORS, number).name
            for number, (rows, _) in segments.items()
            if rows
        }
        with map_disk_errors(self._data):
            for path in (self._data / VECTORS).iterdir():
                if path.name not in used:
                    path.unlink()

    def _choose_groups(self, segments: dict[int, tuple[int, int]]) -> list[list[int]]:
        """Return the groups of segments to merge."""
        used = {number: counts for number, counts in segments.items() if counts[0]}
        tiers: dict[int, list[int]] = {}
        groups = []
        for number, (rows, tokens) in used.items():
            size = get_segment_path(self._data / VECTORS, number).stat().st_size
            if size > _WASTE * self._shape.measure_rows(rows, tokens):
                groups.append([number])
            else:
                tiers.setdefault(int(np.log(rows) / np.log(_TIER)), []).append(number)
        return groups + [numbers for numbers in tiers.values() if len(numbers) >= _TIER]
