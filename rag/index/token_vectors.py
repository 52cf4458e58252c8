"""Token vectors of an index: where the tokens of every passage lie, read as they are needed.

Late interaction needs every token of a paper, about 200 of them, so they lie in flat files
(`rag.index.segments`) that are mapped into memory and read only for the candidates of a question. A
table, one for each generation, says where the tokens of every row are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.manifest import damage_error, map_disk_errors
from rag.index.segments import PIECE_BYTES, PassageTokens, RowTokens, segment_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_WASTE = 2.0  # token vectors on disk per token vector in use, above which segments are rewritten


def remove_stale_tokens(folder: Path, generation: int, segments: set[int]) -> None:
    """Deletes what the generation does not use: other tables, journals and segments."""
    keep = {path.name for number in segments for path in segment_paths(folder, number)}
    keep.add(_table_path(folder, generation).name)
    with map_disk_errors(folder):
        for path in folder.iterdir():
            if path.name not in keep:
                path.unlink()


def _table_path(folder: Path, generation: int) -> Path:
    return folder / f"table-{generation}.npz"


class TokenTable:
    """Where the tokens of every row of a generation are, and how rare each word piece is."""

    def __init__(self, folder: Path, arrays: Mapping[str, NDArray[np.generic]], dim: int) -> None:
        self._folder = folder
        self._dim = dim
        self._segment = np.asarray(arrays["segment"], dtype=np.int64)
        self._start = np.asarray(arrays["start"], dtype=np.int64)
        self._count = np.asarray(arrays["count"], dtype=np.int64)
        self._sentence_pointer = np.asarray(arrays["sentence_pointer"], dtype=np.int64)
        self._sentence_start = np.asarray(arrays["sentence_start"], dtype=np.int64)
        self._rows_with = np.asarray(arrays["rows_with_piece"], dtype=np.int64)
        self._maps: dict[int, NDArray[np.int8]] = {}

    @classmethod
    def build(cls, folder: Path, rows: Sequence[RowTokens], dim: int) -> TokenTable:
        """Table of some rows, whose segments must be on disk."""
        sentences = [row.sentences for row in rows]
        return cls(
            folder,
            {
                "segment": np.array([row.segment for row in rows], dtype=np.int64),
                "start": np.array([row.start for row in rows], dtype=np.int64),
                "count": np.array([row.count for row in rows], dtype=np.int64),
                "sentence_pointer": np.cumsum([0, *(len(starts) for starts in sentences)]),
                "sentence_start": np.array(
                    [start for starts in sentences for start in starts], dtype=np.int64
                ),
                "rows_with_piece": _rows_with_piece(folder, rows),
            },
            dim,
        )

    @classmethod
    def load(cls, folder: Path, generation: int, dim: int) -> TokenTable:
        """Reads the table of a generation.

        Raises:
            IndexDamaged: the table or a segment is missing or too short.
        """
        path = _table_path(folder, generation)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                table = cls(folder, dict(arrays), dim)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise damage_error(folder.parent, f"{path.name} is missing or unreadable") from error
        table._check_segments()
        return table

    def save(self, generation: int) -> None:
        """Writes the table of a generation."""
        path = _table_path(self._folder, generation)
        with map_disk_errors(self._folder), path.open("wb") as file:
            np.savez(
                file,
                segment=self._segment,
                start=self._start,
                count=self._count,
                sentence_pointer=self._sentence_pointer,
                sentence_start=self._sentence_start,
                rows_with_piece=self._rows_with,
            )

    @property
    def segments(self) -> set[int]:
        """Numbers of the segments in use."""
        return set(self._segment[self._count > 0].tolist())

    def row(self, number: int) -> RowTokens:
        """Where the tokens of one row are."""
        return RowTokens(
            int(self._segment[number]),
            int(self._start[number]),
            int(self._count[number]),
            tuple(self._sentences(number).tolist()),
        )

    def raw(self, number: int) -> PassageTokens:
        """The tokens of one row as they are stored."""
        place = self.row(number)
        _, path = segment_paths(self._folder, place.segment)
        pieces = np.fromfile(
            path, dtype=np.uint32, count=place.count, offset=place.start * PIECE_BYTES
        )
        return PassageTokens(np.array(self._vectors(number)), pieces, place.sentences)

    def is_wasteful(self, kept: Iterable[RowTokens]) -> bool:
        """Whether the segments hold far more tokens than those that are kept."""
        held = sum(
            segment_paths(self._folder, segment)[1].stat().st_size // PIECE_BYTES
            for segment in self.segments
        )
        return held > _WASTE * sum(place.count for place in kept)

    def piece_idf(self, pieces: NDArray[np.integer]) -> NDArray[np.float32]:
        """Rarity of word pieces among the rows.

        Returns:
            shape (len(pieces),), positive: log(1 + (N - n + .5) / (n + .5)) for a piece that n of
            N rows hold (Source: Robertson and Zaragoza 2009, with Lucene's + 1).
        """
        held = np.zeros(len(pieces), dtype=np.float64)
        known = pieces < len(self._rows_with)
        held[known] = self._rows_with[pieces[known]]
        return np.log1p((len(self._count) - held + 0.5) / (held + 0.5)).astype(np.float32)

    def gather(self, rows: Sequence[int]) -> TokenBlock:
        """Token vectors of some rows.

        Returns:
            the rows' unit vectors one after another, with the bounds of rows and sentences.
        """
        parts = [self._vectors(row) for row in rows]
        counts = [len(part) for part in parts]
        stored = np.concatenate(parts) if parts else np.zeros((0, self._dim), dtype=np.int8)
        vectors = stored.astype(np.float32)
        vectors /= np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), 1e-9)[:, None]
        return TokenBlock(
            vectors=vectors,
            bounds=np.cumsum([0, *counts]),
            sentences=tuple(self._sentences(row) for row in rows),
        )

    def _sentences(self, row: int) -> NDArray[np.int64]:
        first, last = self._sentence_pointer[row], self._sentence_pointer[row + 1]
        return self._sentence_start[first:last]

    def _vectors(self, row: int) -> NDArray[np.int8]:
        start, count = int(self._start[row]), int(self._count[row])
        if not count:
            return np.zeros((0, self._dim), dtype=np.int8)
        return self._map(int(self._segment[row]))[start : start + count]

    def _map(self, segment: int) -> NDArray[np.int8]:
        if segment not in self._maps:
            path, _ = segment_paths(self._folder, segment)
            self._maps[segment] = np.memmap(path, dtype=np.int8, mode="r").reshape(-1, self._dim)
        return self._maps[segment]

    def _check_segments(self) -> None:
        ends = self._start + self._count
        for segment in self.segments:
            path, _ = segment_paths(self._folder, segment)
            needed = int(ends[self._segment == segment].max()) * self._dim
            if not path.is_file() or path.stat().st_size < needed:
                raise damage_error(self._folder.parent, f"{path.name} is missing or too short")


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """Token vectors of some rows.

    Attributes:
        vectors: shape (t, token_dim), float32, unit rows.
        bounds: shape (rows + 1,); the tokens of row i are vectors[bounds[i]:bounds[i + 1]].
        sentences: for each row, the index within the row of each sentence's first token.
    """

    vectors: NDArray[np.float32]
    bounds: NDArray[np.int64]
    sentences: tuple[NDArray[np.int64], ...]


def _rows_with_piece(folder: Path, rows: Sequence[RowTokens]) -> NDArray[np.int64]:
    """For each word-piece id, how many rows hold it; as long as the largest id needs."""
    totals = np.zeros(0, dtype=np.int64)
    pieces: dict[int, NDArray[np.uint32]] = {}
    for row in rows:
        if not row.count:
            continue
        if row.segment not in pieces:
            pieces[row.segment] = np.fromfile(
                segment_paths(folder, row.segment)[1], dtype=np.uint32
            )
        held = np.unique(pieces[row.segment][row.start : row.start + row.count])
        if held[-1] >= len(totals):
            totals = np.pad(totals, (0, int(held[-1]) + 1 - len(totals)))
        totals[held] += 1
    return totals
