"""Encode texts with a model on this machine: one forward pass gives pooled and token vectors.

The pooled vector of a text is made of its states the way the model was trained. The vectors of its
word pieces serve late interaction. The index stores what `encode` yields. Retrieval encodes the
question with `encode_question`. `minilm` opens the bundled model, `folder` any other one.

A text longer than the model's positions is read in windows and never cut. Texts are read in
blocks, so that memory does not grow with their number. Within a block they are sorted by length
and padded only to their own batch. Short texts run together. A long text runs alone, which is as
fast as a batch of them and needs less memory.
"""

from __future__ import annotations

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from rag.embedding.pieces import is_content, pad_windows
from rag.embedding.protocol import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding.pieces import PieceReader, Pieces

    # Token ids and attention mask, both (windows, longest) -> states (windows, longest, width).
    Network = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]

BLOCK_TEXTS = 32
# Largest batch in positions, padding included, and in texts. Measured: larger ones are not faster.
BATCH_POSITIONS = 512
BATCH_TEXTS = 8
MAX_THREADS = 4

Pooling = Literal["mean", "cls", "lasttoken"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Usage:
    """How a model is meant to be used.

    Attributes:
        max_length: positions of a window, with special tokens and prompt.
        pooling: mean of all states, or the state of the first or last position. Windows are added.
        question_prompt: text put before a question.
        document_prompt: text put before every other text.
        pools_prompt: whether the mean includes the states of the prompt.
    """

    max_length: int = 512
    pooling: Pooling = "mean"
    question_prompt: str = ""
    document_prompt: str = ""
    pools_prompt: bool = True


class Encoder:
    """Model with pooled and token vectors. `load_minilm` and `load_encoder` make one.

    The vectors of a text do not depend on the number of threads, and on the other texts by less
    than 1e-5. Threads may share a model.

    Attributes:
        name: name of the vectors: model, positions, and a digest of the files that make them.
        dim: length of a pooled vector.
        token_dim: length of a token vector.
    """

    def __init__(
        self,
        network: Network,
        reader: PieceReader,
        *,
        name: str,
        dim: int,
        stop_words: frozenset[str],
        projection: NDArray[np.float32] | None = None,
        usage: Usage | None = None,
        threads: int | None = None,
    ) -> None:
        """Put the parts of a model together.

        Args:
            network: computes the states of windows. Threads call it at once.
            reader: reads texts as word pieces.
            name: name of the vectors.
            dim: width of a state.
            stop_words: word pieces that are no content.
            projection: matrix (dim, token_dim) that shortens token vectors. By default they keep
                the width of the states.
            usage: by default that of the bundled model.
            threads: forward passes that may run side by side, at least 1. By default one per core,
                at most 4.

        Raises:
            ValueError: `threads` is below 1.
        """
        if threads is None:
            threads = min(MAX_THREADS, _count_cores())
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.name = name
        self.dim = dim
        self.token_dim = dim if projection is None else projection.shape[1]
        self._network = network
        self._reader = reader
        self._projection = projection
        self._stop_words = stop_words
        self._usage = usage or Usage()
        self._threads = threads

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return pooled vectors, shape (len(texts), dim), float32, rows of length 1, in order.

        An empty text, or one of white space, gives the vector of the special tokens alone, which is
        close to nothing in particular. No texts give shape (0, dim).
        """
        vectors = [np.zeros((0, self.dim), np.float32)]
        for block in _split_blocks(texts):
            pieces = self._read(block, self._usage.document_prompt)
            pooled = self._map_states(pieces, self._pool)
            vectors.append(normalize_rows(np.stack([np.sum(of_text, 0) for of_text in pooled])))
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
            encodings = self._encode_block(block, self._usage.document_prompt)
            done += len(block)
            if on_progress:
                on_progress(done)
            yield from encodings

    def encode_question(self, question: str) -> Encoding:
        """Return the pooled and token vectors of a question, read after the prompt of questions."""
        return self._encode_block([question], self._usage.question_prompt)[0]

    def _encode_block(self, texts: Sequence[str], prompt: str) -> list[Encoding]:
        pieces = self._read(texts, prompt)
        results = self._map_states(
            pieces,
            lambda of_text, states: (
                self._pool(of_text, states),
                self._project(states[of_text.first : len(states) - of_text.last]),
            ),
        )
        return [self._make_encoding(*pair) for pair in zip(pieces, results, strict=True)]

    def _make_encoding(
        self,
        pieces: Pieces,
        results: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    ) -> Encoding:
        stop_words = self._stop_words
        pooled = np.sum([vector for vector, _ in results], axis=0, keepdims=True)
        return Encoding(
            vector=normalize_rows(pooled)[0],
            token_ids=np.array(pieces.ids, np.int32),
            tokens=np.concatenate([tokens for _, tokens in results]),
            offsets=np.array(pieces.offsets, np.int32).reshape(-1, 2),
            content=np.array([is_content(name, stop_words) for name in pieces.names], np.bool_),
        )

    def _pool(self, pieces: Pieces, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the share of one window in the pooled vector, not scaled."""
        if self._usage.pooling != "mean":
            end: NDArray[np.float32] = states[0 if self._usage.pooling == "cls" else -1].copy()
            return end
        total: NDArray[np.float32] = states.sum(axis=0)
        if not self._usage.pools_prompt:
            total -= states[pieces.first - pieces.prompt : pieces.first].sum(axis=0)
        return total

    def _project(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalize_rows(states if self._projection is None else states @ self._projection)

    def _read(self, texts: Sequence[str], prompt: str) -> list[Pieces]:
        length = self._usage.max_length
        return [self._reader.read(text, prompt=prompt, max_length=length) for text in texts]

    def _map_states(
        self,
        texts: Sequence[Pieces],
        function: Callable[[Pieces, NDArray[np.float32]], Result],
    ) -> list[list[Result]]:
        """Apply a function to each text and the states (length, dim) of each of its windows.

        The states are dropped at once, because they are most of the memory.
        """
        windows = [(of_text, window) for of_text in texts for window in of_text.windows]
        # The longest go first, so that no thread is left alone with one at the end.
        batches = list(_make_batches([len(window) for _, window in windows]))[::-1]
        results: dict[int, Result] = {}

        def run(batch: list[int]) -> None:
            states = self._network(*pad_windows([windows[index][1] for index in batch]))
            for row, index in zip(states, batch, strict=True):
                of_text, window = windows[index]
                results[index] = function(of_text, row[: len(window)])

        _run_all(run, batches, self._threads)
        in_order = iter(range(len(windows)))
        return [[results[next(in_order)] for _ in of_text.windows] for of_text in texts]


def open_session(path: Path, *, optimize: bool) -> Any:
    """Open the onnxruntime session of a model.

    One pass runs on one thread. The encoder runs several passes side by side instead, which is as
    fast on a quiet machine and much faster on a busy one, where the threads of one pass wait for
    each other.

    Args:
        path: the ONNX file.
        optimize: whether operators are fused, which a graph needs that was not written with them.
    """
    # Its type information lacks what it exports, hence no import statement.
    onnxruntime: Any = importlib.import_module("onnxruntime")
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised too
    level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_ENABLE_BASIC
    options.graph_optimization_level = level
    # The arena would keep the largest batch's memory for good.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def normalize_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length 1. A row of zeros stays as it is.

    >>> normalize_rows(np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def _split_blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while block := list(islice(rest, BLOCK_TEXTS)):
        yield block


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
    with ThreadPoolExecutor(threads, thread_name_prefix="encoder") as pool:
        # Reading the results raises the errors of the threads.
        list(pool.map(run, batches))


def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
