"""Token vectors of an index: files that hold them, and a table that says where each row's are.

Late interaction needs every token of a paper, about 200 of them. So each update appends them to
flat files (a segment), which are mapped into memory and read only for the candidates of a question.
A journal beside a segment lets the next run continue an interrupted update. A vector is stored as
its direction only, scaled to the int8 range by its largest component. Cosines do not need its
length. Each generation has a table that locates the tokens of every row.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.manifest import damage_error, map_disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding
    from rag.index.passages import Passage

_PIECE_BYTES = 4  # of a stored word-piece id
_WASTE = 2.0  # tokens on disk per token in use, above which segments are rewritten


@dataclass(frozen=True, slots=True)
class RowTokens:
    """Place of the tokens of one row.

    Attributes:
        segment: number of the segment.
        start: index of the row's first token in the segment.
        count: tokens of the row; 0 if the embedder gives none.
        sentences: index (within the row) of the first token of each sentence. Tokens before the
            first sentence belong to the title.
    """

    segment: int
    start: int
    count: int
    sentences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PassageTokens:
    """Content tokens of one passage, as they are stored.

    Attributes:
        vectors: shape (m, token_dim), int8.
        pieces: shape (m,), uint32 word-piece ids.
        sentences: see `RowTokens.sentences`.
    """

    vectors: NDArray[np.int8]
    pieces: NDArray[np.uint32]
    sentences: tuple[int, ...]


NO_TOKENS = PassageTokens(np.zeros((0, 0), np.int8), np.zeros(0, np.uint32), ())
"""Tokens of a passage whose embedder gives none."""


def select_tokens(title: str, passage: Passage, encoding: Encoding) -> PassageTokens:
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
    return PassageTokens(
        vectors=quantise(encoding.tokens[kept]),
        pieces=encoding.token_ids[kept].astype(np.uint32),
        sentences=tuple(int(index) for index in np.searchsorted(starts, bounds)),
    )


def quantise(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Scale each row to [-127, 127], shape (m, dim). Only the direction is kept."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    scaled: NDArray[np.float32] = np.rint(vectors * (127.0 / largest))
    return scaled.astype(np.int8)


class SegmentWriter:
    """Appends the tokens of one update to its segment. A journal makes them survive a kill.

    Attributes:
        written: place of each confirmed row.
    """

    def __init__(self, folder: Path, number: int, mark: str) -> None:
        """Open a segment, or continue an interrupted one.

        Args:
            folder: the `tokens/` folder.
            number: of the segment, which is the generation being written.
            mark: describes how the rows are made; a journal with another mark is discarded.
        """
        self._number = number
        self._folder = folder
        self._paths = (*_get_segment_paths(folder, number), _get_journal_path(folder, number))
        with map_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.written, dim = self._recover(mark)
            self._tokens = sum(row.count for row in self.written.values())
            self._truncate(mark, dim)
            self._files = tuple(path.open("ab") for path in self._paths)

    def append(self, rows: Mapping[str, PassageTokens]) -> None:
        """Write the tokens of rows. They count once `confirm` has been called."""
        vectors, pieces, _ = self._files
        with map_disk_errors(self._folder):
            for tokens in rows.values():
                vectors.write(tokens.vectors.tobytes())
                pieces.write(tokens.pieces.tobytes())
            vectors.flush()
            pieces.flush()

    def confirm(self, rows: Mapping[str, PassageTokens]) -> None:
        """Note in the journal that these rows are complete, here and in the store."""
        lines = []
        for row, tokens in rows.items():
            place = RowTokens(self._number, self._tokens, len(tokens.pieces), tokens.sentences)
            self.written[row] = place
            self._tokens += place.count
            dim = int(tokens.vectors.shape[1])
            lines.append(json.dumps([row, place.count, list(place.sentences), dim]) + "\n")
        with map_disk_errors(self._folder):
            self._files[2].write("".join(lines).encode())
            self._files[2].flush()

    def close(self) -> None:
        """Close the files. Everything was flushed before, so errors are ignored."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()

    def _recover(self, mark: str) -> tuple[dict[str, RowTokens], int]:
        """Return the rows of an interrupted run with the same mark, and their vectors' width."""
        vectors, pieces, journal = self._paths
        if not all(path.exists() for path in self._paths):
            return {}, 0
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or lines[0] != mark + "\n":
            return {}, 0
        rows, start, dim = {}, 0, 0
        for line in lines[1:]:
            if not line.endswith("\n"):
                break  # the run was killed while writing this line
            row, count, sentences, dim = json.loads(line)
            end = start + count
            if vectors.stat().st_size < end * dim or pieces.stat().st_size < end * _PIECE_BYTES:
                break
            rows[row] = RowTokens(self._number, start, count, tuple(sentences))
            start = end
        return rows, dim

    def _truncate(self, mark: str, dim: int) -> None:
        """Truncate the files to the recovered rows."""
        vectors, pieces, journal = self._paths
        for path, size in ((vectors, self._tokens * dim), (pieces, self._tokens * _PIECE_BYTES)):
            path.touch()
            with path.open("r+b") as file:
                file.truncate(size)
        lines = [
            json.dumps([row, t.count, list(t.sentences), dim]) for row, t in self.written.items()
        ]
        journal.write_text("\n".join([mark, *lines]) + "\n", encoding="utf-8")


class TokenTable:
    """Locates the tokens of every row of a generation, and counts word pieces."""

    def __init__(self, folder: Path, arrays: Mapping[str, NDArray[np.generic]], dim: int) -> None:
        self._folder = folder
        self._dim = dim
        self._segment = np.asarray(arrays["segment"], dtype=np.int64)
        self._start = np.asarray(arrays["start"], dtype=np.int64)
        self._count = np.asarray(arrays["count"], dtype=np.int64)
        self._sentence_pointer = np.asarray(arrays["sentence_pointer"], dtype=np.int64)
        self._sentence_start = np.asarray(arrays["sentence_start"], dtype=np.int64)
        self._row_counts = np.asarray(arrays["rows_with_piece"], dtype=np.int64)
        self._maps: dict[int, NDArray[np.int8]] = {}

    @classmethod
    def build(cls, folder: Path, rows: Sequence[RowTokens], dim: int) -> TokenTable:
        """Build the table of rows whose segments are on disk."""
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
                "rows_with_piece": _count_pieces(folder, rows),
            },
            dim,
        )

    @classmethod
    def load(cls, folder: Path, generation: int, dim: int) -> TokenTable:
        """Load the table of a generation.

        Raises:
            IndexDamaged: the table or a segment is missing or too short.
        """
        path = _get_table_path(folder, generation)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                table = cls(folder, dict(arrays), dim)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise damage_error(folder.parent, f"{path.name} is missing or unreadable") from error
        table._check_segments()
        return table

    def save(self, generation: int) -> None:
        """Write the table of a generation."""
        path = _get_table_path(self._folder, generation)
        with map_disk_errors(self._folder), path.open("wb") as file:
            np.savez(
                file,
                segment=self._segment,
                start=self._start,
                count=self._count,
                sentence_pointer=self._sentence_pointer,
                sentence_start=self._sentence_start,
                rows_with_piece=self._row_counts,
            )

    @property
    def segments(self) -> set[int]:
        """Numbers of the segments in use."""
        return set(self._segment[self._count > 0].tolist())

    def locate(self, number: int) -> RowTokens:
        """Return where the tokens of one row are."""
        return RowTokens(
            int(self._segment[number]),
            int(self._start[number]),
            int(self._count[number]),
            tuple(self._get_sentences(number).tolist()),
        )

    def read(self, number: int) -> PassageTokens:
        """Read the tokens of one row as they are stored."""
        place = self.locate(number)
        _, path = _get_segment_paths(self._folder, place.segment)
        pieces = np.fromfile(
            path, dtype=np.uint32, count=place.count, offset=place.start * _PIECE_BYTES
        )
        return PassageTokens(np.array(self._read_vectors(number)), pieces, place.sentences)

    def is_wasteful(self, kept: Iterable[RowTokens]) -> bool:
        """Return whether the segments hold far more tokens than the rows to keep."""
        held = sum(
            _get_segment_paths(self._folder, segment)[1].stat().st_size // _PIECE_BYTES
            for segment in self.segments
        )
        return held > _WASTE * sum(place.count for place in kept)

    def compute_idf(self, pieces: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the idf of word pieces, shape (len(pieces),), positive.

        It is log(1 + (N - n + .5) / (n + .5)) for a piece that n of N rows contain.

        Source: Robertson and Zaragoza 2009, with Lucene's + 1.
        """
        held = np.zeros(len(pieces), dtype=np.float64)
        known = pieces < len(self._row_counts)
        held[known] = self._row_counts[pieces[known]]
        return np.log1p((len(self._count) - held + 0.5) / (held + 0.5)).astype(np.float32)

    def gather(self, rows: Sequence[int]) -> TokenBlock:
        """Read the token vectors of rows as unit vectors, with bounds of rows and sentences."""
        parts = [self._read_vectors(row) for row in rows]
        counts = [len(part) for part in parts]
        stored = np.concatenate(parts) if parts else np.zeros((0, self._dim), dtype=np.int8)
        vectors = stored.astype(np.float32)
        vectors /= np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), 1e-9)[:, None]
        return TokenBlock(
            vectors=vectors,
            bounds=np.cumsum([0, *counts]),
            sentences=tuple(self._get_sentences(row) for row in rows),
        )

    def _get_sentences(self, row: int) -> NDArray[np.int64]:
        first, last = self._sentence_pointer[row], self._sentence_pointer[row + 1]
        return self._sentence_start[first:last]

    def _read_vectors(self, row: int) -> NDArray[np.int8]:
        start, count = int(self._start[row]), int(self._count[row])
        if not count:
            return np.zeros((0, self._dim), dtype=np.int8)
        return self._map_segment(int(self._segment[row]))[start : start + count]

    def _map_segment(self, segment: int) -> NDArray[np.int8]:
        if segment not in self._maps:
            path, _ = _get_segment_paths(self._folder, segment)
            self._maps[segment] = np.memmap(path, dtype=np.int8, mode="r").reshape(-1, self._dim)
        return self._maps[segment]

    def _check_segments(self) -> None:
        ends = self._start + self._count
        for segment in self.segments:
            path, _ = _get_segment_paths(self._folder, segment)
            needed = int(ends[self._segment == segment].max()) * self._dim
            if not path.is_file() or path.stat().st_size < needed:
                raise damage_error(self._folder.parent, f"{path.name} is missing or too short")


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """Token vectors of some rows.

    Attributes:
        vectors: shape (t, token_dim), float32, unit rows.
        bounds: shape (rows + 1,); the tokens of row i are vectors[bounds[i]:bounds[i + 1]].
        sentences: index of each sentence's first token within its row, by row.
    """

    vectors: NDArray[np.float32]
    bounds: NDArray[np.int64]
    sentences: tuple[NDArray[np.int64], ...]


def _count_pieces(folder: Path, rows: Sequence[RowTokens]) -> NDArray[np.int64]:
    """Return how many rows contain each word-piece id, up to the largest id."""
    totals = np.zeros(0, dtype=np.int64)
    pieces: dict[int, NDArray[np.uint32]] = {}
    for row in rows:
        if not row.count:
            continue
        if row.segment not in pieces:
            pieces[row.segment] = np.fromfile(
                _get_segment_paths(folder, row.segment)[1], dtype=np.uint32
            )
        held = np.unique(pieces[row.segment][row.start : row.start + row.count])
        if held[-1] >= len(totals):
            totals = np.pad(totals, (0, int(held[-1]) + 1 - len(totals)))
        totals[held] += 1
    return totals


def remove_stale_tokens(folder: Path, generation: int, segments: set[int]) -> None:
    """Delete the tables, journals and segments that the generation does not use."""
    keep = {path.name for number in segments for path in _get_segment_paths(folder, number)}
    keep.add(_get_table_path(folder, generation).name)
    with map_disk_errors(folder):
        for path in folder.iterdir():
            if path.name not in keep:
                path.unlink()


def _get_table_path(folder: Path, generation: int) -> Path:
    return folder / f"table-{generation}.npz"


def _get_segment_paths(folder: Path, number: int) -> tuple[Path, Path]:
    """Return the files of a segment: vectors and word pieces."""
    return folder / f"vectors-{number}.i8", folder / f"pieces-{number}.u32"


def _get_journal_path(folder: Path, number: int) -> Path:
    return folder / f"journal-{number}.txt"
