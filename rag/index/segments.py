"""Segments: the flat files that hold token vectors, one for each update, and their journal.

A segment is written with a journal beside it, so that an interrupted update goes on where it was.
A vector is stored as its direction only (scaled to the int8 range by its largest part); cosines do
not need its length. `rag.index.token_vectors` reads what is written here.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.manifest import map_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding
    from rag.index.passages import Passage

PIECE_BYTES = 4  # of a stored word-piece id


@dataclass(frozen=True, slots=True)
class RowTokens:
    """Where the tokens of one row lie.

    Attributes:
        segment: number of the segment file.
        start: index of the row's first token in the segment.
        count: tokens of the row; 0 where the embedder gives none.
        sentences: for each sentence of the passage, the index (within the row) of its first token;
            tokens before the first belong to the title.
    """

    segment: int
    start: int
    count: int
    sentences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PassageTokens:
    """Content tokens of one passage, ready to be stored.

    Attributes:
        vectors: shape (m, token_dim), int8.
        pieces: shape (m,), uint32 word-piece ids.
        sentences: see `RowTokens.sentences`.
    """

    vectors: NDArray[np.int8]
    pieces: NDArray[np.uint32]
    sentences: tuple[int, ...]


NO_TOKENS = PassageTokens(np.zeros((0, 0), np.int8), np.zeros(0, np.uint32), ())
"""What an embedder without token vectors gives for every passage."""


def passage_tokens(title: str, passage: Passage, encoding: Encoding) -> PassageTokens:
    """Picks and packs the content tokens of a passage.

    Args:
        title: the paper's title, which was embedded in front of the passage with a line break.
        passage: gives the sentence spans.
        encoding: of `make_embedder_text(title, passage.text)`.
    """
    kept = np.flatnonzero(encoding.content)
    starts = encoding.offsets[kept, 0]
    shift = len(title) + 1 - passage.start
    bounds = [start + shift for start, _ in passage.sentences]
    return PassageTokens(
        vectors=quantised(encoding.tokens[kept]),
        pieces=encoding.token_ids[kept].astype(np.uint32),
        sentences=tuple(int(index) for index in np.searchsorted(starts, bounds)),
    )


def quantised(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Directions of some vectors, shape (m, dim), each row scaled to [-127, 127]."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    scaled: NDArray[np.float32] = np.rint(vectors * (127.0 / largest))
    return scaled.astype(np.int8)


class SegmentWriter:
    """Appends the tokens of one update to its segment; a journal makes them survive a kill."""

    def __init__(self, folder: Path, number: int, mark: str) -> None:
        """Opens or goes on with a segment.

        Args:
            folder: the `tokens/` folder.
            number: the segment's number: the generation being written.
            mark: says how the rows were made; a journal under another mark is thrown away.
        """
        self._number = number
        self._folder = folder
        self._paths = (*segment_paths(folder, number), _journal_path(folder, number))
        with map_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.written, dim = self._recover(mark)
            self._tokens = sum(row.count for row in self.written.values())
            self._cut_back(mark, dim)
            self._files = tuple(path.open("ab") for path in self._paths)
        self._dim = dim

    def append(self, rows: Mapping[str, PassageTokens]) -> None:
        """Writes the tokens of some rows; they count once `confirm` has been called."""
        vectors, pieces, _ = self._files
        with map_disk_errors(self._folder):
            for tokens in rows.values():
                vectors.write(tokens.vectors.tobytes())
                pieces.write(tokens.pieces.tobytes())
            vectors.flush()
            pieces.flush()

    def confirm(self, rows: Mapping[str, PassageTokens]) -> None:
        """Notes in the journal that these rows are whole, here and in the store."""
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
        """Closes the files; what counts was flushed before, so a full disk is no news here."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()

    def _recover(self, mark: str) -> tuple[dict[str, RowTokens], int]:
        """Rows of an earlier, interrupted run under the same mark, and their vectors' width."""
        vectors, pieces, journal = self._paths
        if not all(path.exists() for path in self._paths):
            return {}, 0
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or lines[0] != mark + "\n":
            return {}, 0
        rows, start, dim = {}, 0, 0
        for line in lines[1:]:
            if not line.endswith("\n"):
                break  # the kill came in the middle of this line
            row, count, sentences, dim = json.loads(line)
            end = start + count
            if vectors.stat().st_size < end * dim or pieces.stat().st_size < end * PIECE_BYTES:
                break
            rows[row] = RowTokens(self._number, start, count, tuple(sentences))
            start = end
        return rows, dim

    def _cut_back(self, mark: str, dim: int) -> None:
        """Cuts the files to what the recovered rows need."""
        vectors, pieces, journal = self._paths
        for path, size in ((vectors, self._tokens * dim), (pieces, self._tokens * PIECE_BYTES)):
            path.touch()
            with path.open("r+b") as file:
                file.truncate(size)
        lines = [
            json.dumps([row, t.count, list(t.sentences), dim]) for row, t in self.written.items()
        ]
        journal.write_text("\n".join([mark, *lines]) + "\n", encoding="utf-8")


def segment_paths(folder: Path, number: int) -> tuple[Path, Path]:
    """The files of a segment: vectors and word pieces."""
    return folder / f"vectors-{number}.i8", folder / f"pieces-{number}.u32"


def _journal_path(folder: Path, number: int) -> Path:
    return folder / f"journal-{number}.txt"
