"""Vectors of rows in segments: append-only files that late interaction reads by position.

A record holds all vectors of one row: its tokens as int8 directions, one factor per token that
restores length 1, one factor per window, the pooled vector, and the word pieces. Each update
appends its records to a segment of its own. `Records` knows where each record is, so a record that
nothing names is left over and ignored.

Quantisation changes a cosine by about .002.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.manifest import damage_error, map_disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding import Encoding
    from rag.index.passages import Passage
    from rag.index.records import Place, RowTable

WINDOW_TOKENS = 25
WINDOW_STEP = 5
_FACTOR_BYTES = _PIECE_BYTES = 4


@dataclass(frozen=True, slots=True)
class RowVectors:
    """Vectors of one row, as they are stored.

    Attributes:
        pooled: shape (dim,), float32, unit length.
        tokens: shape (m, token_dim), int8; only the direction counts.
        pieces: shape (m,), uint32 word-piece ids.
        starts: index of the first token of each sentence. Tokens before it are the title's.
    """

    pooled: NDArray[np.float32]
    tokens: NDArray[np.int8]
    pieces: NDArray[np.uint32]
    starts: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the record: tokens, factors of tokens and windows, pooled vector, pieces."""
        unit = self.tokens.astype(np.float32)
        factors = 1 / np.maximum(np.linalg.norm(unit, axis=1), 1e-9).astype(np.float32)
        unit *= factors[:, None]
        parts = (
            self.tokens,
            factors.astype(np.float32),
            _compute_window_factors(unit),
            self.pooled.astype(np.float32),
            self.pieces,
        )
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


@dataclass(frozen=True, slots=True)
class RecordShape:
    """Widths that fix the layout of a record; `token_dim` is 0 without token vectors."""

    dim: int
    token_dim: int

    def measure(self, tokens: int) -> int:
        """Return the length in bytes of a record with so many tokens."""
        per_token = self.token_dim + _FACTOR_BYTES + _PIECE_BYTES
        return tokens * per_token + _FACTOR_BYTES * (count_windows(tokens) + self.dim)

    def measure_rows(self, rows: int, tokens: int) -> int:
        """Return about how many bytes so many rows and tokens take."""
        per_token = self.token_dim + _FACTOR_BYTES * (1 + 1 / WINDOW_STEP) + _PIECE_BYTES
        return int(tokens * per_token) + rows * _FACTOR_BYTES * self.dim


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Vectors of one row, as they were read.

    Attributes:
        tokens: shape (m, token_dim), int8.
        factors: shape (m,), float32; `tokens * factors[:, None]` has rows of length 1.
        windows: shape (`count_windows(m)`,), float32: 1 / length of the sum of each window.
        pooled: shape (dim,), float32.
        pieces: shape (m,), uint32.
    """

    tokens: NDArray[np.int8]
    factors: NDArray[np.float32]
    windows: NDArray[np.float32]
    pooled: NDArray[np.float32]
    pieces: NDArray[np.uint32]

    def unit_tokens(self) -> NDArray[np.float32]:
        """Return the token vectors with length 1, shape (m, token_dim)."""
        return self.tokens * self.factors[:, None]


def count_windows(tokens: int) -> int:
    """Return the number of windows of a row. The last starts where half a window is left."""
    if not tokens:
        return 0
    return len(range(0, max(1, tokens - WINDOW_TOKENS // 2), WINDOW_STEP))


def select_tokens(title: str, passage: Passage, encoding: Encoding) -> RowVectors:
    """Select and quantise the content tokens of a passage.

    Args:
        title: the paper's title, embedded before the passage with a line break between.
        passage: its sentence spans are used.
        encoding: of `make_embedder_text(title, passage.text)`.
    """
    kept = np.flatnonzero(encoding.content)
    starts = encoding.offsets[kept, 0]
    shift = len(title) + 1 - passage.start
    bounds = [start + shift for start, _ in passage.sentences]
    return RowVectors(
        pooled=encoding.vector,
        tokens=quantise(encoding.tokens[kept]),
        pieces=encoding.token_ids[kept].astype(np.uint32),
        starts=tuple(int(index) for index in np.searchsorted(starts, bounds)),
    )


def pool_only(vector: NDArray[np.float32]) -> RowVectors:
    """Return the vectors of a row whose embedder gives no token vectors."""
    return RowVectors(vector, np.zeros((0, 0), np.int8), np.zeros(0, np.uint32), ())


def quantise(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Scale each row to [-127, 127], shape (m, dim). Only the direction is kept."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    scaled: NDArray[np.float32] = np.rint(vectors * (127.0 / largest))
    return scaled.astype(np.int8)


def _compute_window_factors(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / length of the sum of the unit vectors in each window."""
    starts = np.arange(count_windows(len(unit))) * WINDOW_STEP
    sums = np.zeros((len(unit) + 1, unit.shape[1] if unit.ndim > 1 else 0))
    np.cumsum(unit, axis=0, dtype=np.float64, out=sums[1:])
    windows = sums[np.minimum(starts + WINDOW_TOKENS, len(unit))] - sums[starts]
    lengths = np.linalg.norm(windows, axis=1).astype(np.float32)
    factors: NDArray[np.float32] = np.float32(1) / np.maximum(lengths, np.float32(1e-9))
    return factors


class SegmentWriter:
    """Appends records to one segment."""

    def __init__(self, folder: Path, number: int, end: int) -> None:
        """Open a segment.

        Args:
            folder: of the segments.
            number: of the segment.
            end: where its last record in use ends; what follows was left by a kill.
        """
        self.number = number
        self._folder = folder
        with map_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = get_segment_path(folder, number).open("ab")
            self._file.truncate(end)
            self._file.seek(end)
        self._end = end

    def append(self, records: Iterable[bytes]) -> list[int]:
        """Write records. Return the offset of each. They are in the system's hands on return."""
        offsets = []
        with map_disk_errors(self._folder):
            for record in records:
                offsets.append(self._end)
                self._file.write(record)
                self._end += len(record)
            self._file.flush()
        return offsets

    def sync(self) -> None:
        """Wait until the records are on the disk."""
        with map_disk_errors(self._folder):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. Everything was flushed before, or `append` said that it could not be."""
        with contextlib.suppress(OSError):
            self._file.close()


class SegmentReader:
    """Reads records by position. Threads may share it."""

    def __init__(self, folder: Path, shape: RecordShape) -> None:
        self._folder = folder
        self._shape = shape
        self._files: dict[int, int] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                os.close(file)
            self._files.clear()

    def read(self, table: RowTable) -> list[StoredVectors]:
        """Read the vectors of rows.

        Raises:
            IndexDamaged: a segment is missing or too short.
        """
        places = zip(
            table.segment.tolist(), table.offset.tolist(), table.tokens.tolist(), strict=True
        )
        return [self.parse(self.read_record(*place), place[2]) for place in places]

    def read_pooled(self, table: RowTable) -> NDArray[np.float32]:
        """Read only the pooled vectors of rows, shape (rows, dim)."""
        dim, width = self._shape.dim, self._shape.token_dim
        vectors = np.empty((len(table.row), dim), np.float32)
        places = zip(
            table.segment.tolist(), table.offset.tolist(), table.tokens.tolist(), strict=True
        )
        for number, (segment, offset, tokens) in enumerate(places):
            start = (
                offset + tokens * (width + _FACTOR_BYTES) + _FACTOR_BYTES * count_windows(tokens)
            )
            part = os.pread(self._open(segment), dim * _FACTOR_BYTES, start)
            if len(part) != dim * _FACTOR_BYTES:
                raise self._damage(segment)
            vectors[number] = np.frombuffer(part, np.float32)
        return vectors

    def read_place(self, place: Place) -> StoredVectors:
        """Read the vectors of one row."""
        record = self.read_record(place.segment, place.offset, place.tokens)
        return self.parse(record, place.tokens)

    def read_row(self, place: Place) -> RowVectors:
        """Read the vectors of one row as they were written."""
        found = self.read_place(place)
        return RowVectors(found.pooled, found.tokens, found.pieces, place.starts)

    def check_end(self, segment: int, offset: int, tokens: int) -> None:
        """Raise IndexDamaged unless the segment holds a record."""
        if os.fstat(self._open(segment)).st_size < offset + self._shape.measure(tokens):
            raise self._damage(segment)

    def read_record(self, segment: int, offset: int, tokens: int) -> bytes:
        """Read one record."""
        length = self._shape.measure(tokens)
        record = os.pread(self._open(segment), length, offset)
        if len(record) != length:
            raise self._damage(segment)
        return record

    def parse(self, record: bytes, tokens: int) -> StoredVectors:
        """Return the parts of a record without copying them."""
        dim, width, windows = self._shape.dim, self._shape.token_dim, count_windows(tokens)
        end = tokens * width
        floats = tokens + windows + dim
        numbers = np.frombuffer(record, np.float32, floats, end)
        return StoredVectors(
            np.frombuffer(record, np.int8, end).reshape(tokens, width),
            numbers[:tokens],
            numbers[tokens : tokens + windows],
            numbers[tokens + windows :],
            np.frombuffer(record, np.uint32, tokens, end + floats * _FACTOR_BYTES),
        )

    def _open(self, segment: int) -> int:
        if segment in self._files:
            return self._files[segment]
        with self._lock:
            if segment not in self._files:
                path = get_segment_path(self._folder, segment)
                if not path.exists():
                    raise self._damage(segment)
                with map_disk_errors(path):
                    self._files[segment] = os.open(path, os.O_RDONLY)
            return self._files[segment]

    def _damage(self, segment: int) -> Exception:
        name = get_segment_path(self._folder, segment).name
        return damage_error(self._folder.parent.parent, f"{name} is missing or too short")


class PieceCounts:
    """Number of rows that hold each word piece, for the weights of a question's tokens."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts

    @classmethod
    def load(cls, path: Path) -> PieceCounts:
        """Load the counts of a generation.

        Raises:
            IndexDamaged: the file is missing or unreadable.
        """
        try:
            return cls(np.load(path, allow_pickle=False))
        except Exception as error:  # numpy raises many kinds for a damaged header
            raise damage_error(
                path.parent.parent, f"{path.name} is missing or unreadable"
            ) from error

    def save(self, path: Path) -> None:
        """Write the counts of a generation."""
        with map_disk_errors(path.parent), path.open("wb") as file:
            np.save(file, self.counts)
            file.flush()
            os.fsync(file.fileno())

    def add(self, rows: Iterable[NDArray[np.uint32]], sign: int = 1) -> None:
        """Count the pieces of rows, or with sign -1 take them out."""
        for pieces in rows:
            held = np.unique(pieces)
            if len(held) and held[-1] >= len(self.counts):
                self.counts = np.pad(self.counts, (0, int(held[-1]) + 1 - len(self.counts)))
            self.counts[held] += sign

    def compute_idf(self, pieces: NDArray[np.integer], rows: int) -> NDArray[np.float32]:
        """Return the idf of word pieces among so many rows, shape (len(pieces),), positive.

        It is log(1 + (N - n + .5) / (n + .5)) for a piece that n of N rows contain.

        Source: Robertson and Zaragoza 2009, with Lucene's + 1.
        """
        held = np.zeros(len(pieces))
        known = pieces < len(self.counts)
        held[known] = self.counts[pieces[known]]
        return np.log1p((rows - held + 0.5) / (held + 0.5)).astype(np.float32)


def get_segment_path(folder: Path, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"{number}.vectors"
