"""Encode texts with the bundled model: one forward pass gives pooled and token vectors.

The pooled vector of a text is the mean of its states, as in the model's training. The vectors of
its word pieces serve late interaction. The index stores what `encode` yields. Retrieval encodes the
question.

A text longer than the model's 512 positions is read in windows and never cut. Texts are read in
blocks, so that memory does not grow with their number. Within a block they are sorted by length
and padded only to their own batch. Short texts run together. A long text runs alone, which is as
fast as a batch of them and needs less memory.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.embedding.minilm.weights import (
    FOLDER,
    digest_files,
    open_projection,
    open_session,
    open_stop_words,
    open_tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

DIM = 384
BLOCK_TEXTS = 32
# The model has 512 positions. [CLS] and [SEP] surround the pieces of a window.
WINDOW_PIECES = 510
CLS_ID, SEP_ID = 101, 102
# Largest batch in positions, padding included, and in texts. Measured: larger ones are not faster.
BATCH_POSITIONS = 512
BATCH_TEXTS = 8
MAX_THREADS = 4
SURROGATE = re.compile("[\ud800-\udfff]")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Vectors of one text.

    The m word pieces are in the order of the text, without [CLS] and [SEP]. An empty text has
    m = 0.

    Attributes:
        vector: the pooled vector, shape (dim,), float32, length 1.
        token_ids: vocabulary id of each piece, shape (m,), int32.
        tokens: one projected vector per piece, shape (m, token_dim), float32, rows of length 1.
        offsets: start and end of each piece in characters, shape (m, 2), int32.
        content: True for pieces that are neither a stop word nor punctuation, shape (m,).
    """

    vector: NDArray[np.float32]
    token_ids: NDArray[np.int32]
    tokens: NDArray[np.float32]
    offsets: NDArray[np.int32]
    content: NDArray[np.bool_]


class MiniLM:
    """all-MiniLM-L6-v2 with pooled and token vectors. `load_minilm` makes one.

    The vectors of a text do not depend on the number of threads, and on the other texts by less
    than 1e-5. Threads may share a model.

    Attributes:
        name: name of the vectors: model, positions, and a digest of the files that make them.
        dim: length of a pooled vector, 384.
        token_dim: length of a token vector.
    """

    def __init__(
        self,
        session: Any,
        tokenizer: Tokenizer,
        *,
        projection: NDArray[np.float32],
        stop_words: frozenset[str],
        name: str,
        threads: int = 1,
    ) -> None:
        self.name = name
        self.dim = DIM
        self.token_dim = projection.shape[1]
        self._session = session
        self._tokenizer = tokenizer
        self._projection = projection
        self._stop_words = stop_words
        self._threads = threads

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled vectors, shape (len(texts), 384), float32, rows of length 1, in order.

        An empty text, or one of white space, gives the vector of [CLS] and [SEP] alone, which is
        close to nothing in particular. No texts give shape (0, 384).
        """
        vectors = [np.zeros((0, DIM), np.float32)]
        for block in _split_blocks(texts):
            windows = [_split_windows(self._tokenize(text).ids) for text in block]
            sums = self._map_states(windows, lambda states: states.sum(axis=0))
            vectors.append(normalize_rows(np.stack([np.sum(of_text, axis=0) for of_text in sums])))
        return np.concatenate(vectors)

    def encode(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Encoding]:
        """Yield the pooled and token vectors of each text, in the order given.

        Reads at most `BLOCK_TEXTS` texts ahead, so any number of texts passes through in constant
        memory as long as you do not keep the encodings.

        Args:
            texts: an empty one gives no tokens and the vector that `embed` gives.
            on_progress: called after each block with the number of texts encoded so far.
        """
        done = 0
        for block in _split_blocks(texts):
            encodings = self._encode_block(block)
            done += len(block)
            if on_progress:
                on_progress(done)
            yield from encodings

    def _encode_block(self, texts: Sequence[str]) -> list[Encoding]:
        pieces = [self._tokenize(text) for text in texts]
        windows = [_split_windows(of_text.ids) for of_text in pieces]
        results = self._map_states(
            windows, lambda states: (states.sum(axis=0), self._project(states[1:-1]))
        )
        return [self._make_encoding(*pair) for pair in zip(pieces, results, strict=True)]

    def _make_encoding(
        self, pieces: Any, results: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
    ) -> Encoding:
        stop_words = self._stop_words
        return Encoding(
            vector=normalize_rows(np.sum([total for total, _ in results], axis=0, keepdims=True))[
                0
            ],
            token_ids=np.array(pieces.ids, np.int32),
            tokens=np.concatenate([tokens for _, tokens in results]),
            offsets=np.array(pieces.offsets, np.int32).reshape(-1, 2),
            content=np.array([is_content(piece, stop_words) for piece in pieces.tokens], np.bool_),
        )

    def _project(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalize_rows(states @ self._projection)

    def _tokenize(self, text: str) -> Any:
        # The tokenizer refuses halves of surrogate pairs. The stand-in keeps the offsets valid.
        return self._tokenizer.encode(SURROGATE.sub("\ufffd", text), add_special_tokens=False)

    def _map_states(
        self,
        texts: Sequence[Sequence[NDArray[np.int64]]],
        function: Callable[[NDArray[np.float32]], Result],
    ) -> list[list[Result]]:
        """Apply a function to the states (length, 384) of each window of each text.

        The states are dropped at once, because they are most of the memory.
        """
        windows = [window for of_text in texts for window in of_text]
        # The longest go first, so that no thread is left alone with one at the end.
        batches = list(_make_batches([len(window) for window in windows]))[::-1]
        results: dict[int, Result] = {}

        def run(batch: list[int]) -> None:
            states = self._compute_states([windows[index] for index in batch])
            for row, index in zip(states, batch, strict=True):
                results[index] = function(row[: len(windows[index])])

        _run_all(run, batches, self._threads)
        in_order = iter(range(len(windows)))
        return [[results[next(in_order)] for _ in of_text] for of_text in texts]

    def _compute_states(self, windows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return states, shape (windows, longest, 384), padded to the last window, the longest."""
        ids = np.zeros((len(windows), len(windows[-1])), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        states: NDArray[np.float32]
        (states,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return states


def load_minilm(*, threads: int | None = None, folder: Path = FOLDER) -> MiniLM:
    """Load the bundled model.

    Args:
        threads: forward passes that may run side by side, at least 1. By default one per core, at
            most 4.
        folder: folder of the model's files.

    Raises:
        ModelUnavailable: a file of the model is missing or damaged.
        ValueError: `threads` is below 1.
    """
    if threads is None:
        threads = min(MAX_THREADS, _count_cores())
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return MiniLM(
        open_session(folder),
        open_tokenizer(folder),
        projection=open_projection(folder),
        stop_words=open_stop_words(folder),
        name=f"all-MiniLM-L6-v2/512/{digest_files(folder)}",
        threads=threads,
    )


def normalize_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length 1. A row of zeros stays as it is.

    >>> normalize_rows(np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def is_content(piece: str, stop_words: frozenset[str]) -> bool:
    """Return whether a word piece is neither a stop word nor punctuation. "##ing" is content.

    >>> [is_content(piece, frozenset({"the"})) for piece in ("graph", "##s", "the", "-")]
    [True, True, False, False]
    """
    if piece.startswith("##"):
        return True
    return piece not in stop_words and any(character.isalnum() for character in piece)


def _split_blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while block := list(islice(rest, BLOCK_TEXTS)):
        yield block


def _split_windows(ids: Sequence[int]) -> list[NDArray[np.int64]]:
    """Split the pieces of a text into windows between [CLS] and [SEP].

    The windows of a long text have equal length, so that none is a stub without context. No pieces
    give one empty window.
    """
    count = max(1, -(-len(ids) // WINDOW_PIECES))
    parts = np.array_split(np.array(ids, np.int64), count)
    return [np.concatenate([[CLS_ID], part, [SEP_ID]]) for part in parts]


def _make_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield indices in batches within both limits, shortest first within a batch."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        full = len(batch) == BATCH_TEXTS or lengths[index] * (len(batch) + 1) > BATCH_POSITIONS
        if batch and full:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _run_all(run: Callable[[list[int]], None], batches: Sequence[list[int]], threads: int) -> None:
    if threads == 1 or len(batches) == 1:
        for batch in batches:
            run(batch)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="minilm") as pool:
        # Reading the results raises the errors of the threads.
        list(pool.map(run, batches))


def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
