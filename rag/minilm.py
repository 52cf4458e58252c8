"""The bundled embedder: all-MiniLM-L6-v2, run by onnxruntime.

One forward pass gives both things that retrieval needs: the pooled vector of a text (the mean of
its states, as the model was trained) and one vector per word piece (for late interaction). The
model lies in `rag/data/minilm`, so there is no key, no download and no PyTorch. It stands below
the index, which stores what `encode` gives, and below retrieval, which encodes questions.

A text longer than the model's 512 positions is read in windows and never cut. Texts are read in
blocks, so that memory does not grow with their number. Within a block they are sorted by length
and padded only to their own batch: a long text runs alone, which is as fast as a batch of them
and needs less memory, short ones run together.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FOLDER = Path(__file__).parent / "data" / "minilm"
DIM = 384
BLOCK_TEXTS = 32
# The model has 512 positions; two marks, [CLS] and [SEP], stand around the pieces of a window.
WINDOW_PIECES = 510
FIRST_MARK, LAST_MARK = 101, 102
# A batch holds at most this many positions, padding included, and this many texts: measured, more
# of either is no faster on two cores.
BATCH_POSITIONS = 512
BATCH_TEXTS = 8
MOST_THREADS = 4
SURROGATE = re.compile("[\ud800-\udfff]")

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """What one forward pass says about one text.

    The m word pieces stand in the order of the text; the marks around them ([CLS], [SEP]) are left
    out. An empty text has m = 0.

    Attributes:
        vector: the pooled vector, shape (dim,), float32, length 1.
        token_ids: the vocabulary id of each piece, shape (m,), int32.
        tokens: one projected vector a piece, shape (m, token_dim), float32, rows of length 1.
        offsets: the piece is `text[start:end]`, shape (m, 2), int32, counted in characters.
        content: whether the piece is neither a stop word nor punctuation, shape (m,).
    """

    vector: NDArray[np.float32]
    token_ids: NDArray[np.int32]
    tokens: NDArray[np.float32]
    offsets: NDArray[np.int32]
    content: NDArray[np.bool_]


class MiniLM:
    """all-MiniLM-L6-v2 with pooled and token vectors; made by `load_minilm`.

    The vectors of a text do not depend on the texts beside it (differences stay below 1e-5), and a
    model may be shared by threads.

    Attributes:
        name: identifies the vectors: model, positions, and a digest of the files that make them.
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
    ) -> None:
        self.name = name
        self.dim = DIM
        self.token_dim = projection.shape[1]
        self._session = session
        self._tokenizer = tokenizer
        self._projection = projection
        self._stop_words = stop_words

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Pooled vectors, shape (len(texts), 384), float32, rows of length 1, in the order given.

        An empty text, or one of white space, gives the vector of the two marks alone: it is of
        length 1 and near nothing in particular. No texts give shape (0, 384).
        """
        vectors = [np.zeros((0, DIM), np.float32)]
        for block in _blocks(texts):
            windows, owners = _windows([self._tokenize(text).ids for text in block])
            sums = np.zeros((len(block), DIM), np.float32)
            for index, states in self._run(windows):
                sums[owners[index]] += states.sum(axis=0)
            vectors.append(unit_rows(sums))
        return np.concatenate(vectors)

    def encode(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[Encoding]:
        """Pooled and token vectors of each text, in the order given.

        This is a generator: `texts` is read, and work done, as encodings are asked for, at most
        `BLOCK_TEXTS` texts ahead. So any number of texts can pass through in constant memory, as
        long as the caller does not keep the encodings.

        Args:
            texts: the texts; an empty one gives no tokens and the vector that `embed` gives.
            on_progress: called after each block with the number of texts encoded so far.
        """
        done = 0
        for block in _blocks(texts):
            encodings = self._encode_block(block)
            done += len(block)
            if on_progress:
                on_progress(done)
            yield from encodings

    def _encode_block(self, texts: Sequence[str]) -> list[Encoding]:
        pieces = [self._tokenize(text) for text in texts]
        windows, owners = _windows([piece.ids for piece in pieces])
        sums = np.zeros((len(texts), DIM), np.float32)
        tokens = [np.zeros((0, 0), np.float32)] * len(windows)
        for index, states in self._run(windows):
            sums[owners[index]] += states.sum(axis=0)
            tokens[index] = unit_rows(states[1:-1] @ self._projection)
        return [
            self._encoding(piece, vector, [tokens[at] for at in np.flatnonzero(owners == owner)])
            for owner, (piece, vector) in enumerate(zip(pieces, unit_rows(sums), strict=True))
        ]

    def _encoding(
        self, pieces: Any, vector: NDArray[np.float32], tokens: Sequence[NDArray[np.float32]]
    ) -> Encoding:
        return Encoding(
            vector=vector,
            token_ids=np.array(pieces.ids, np.int32),
            tokens=np.concatenate(tokens),
            offsets=np.array(pieces.offsets, np.int32).reshape(-1, 2),
            content=np.array([is_content(p, self._stop_words) for p in pieces.tokens], np.bool_),
        )

    def _tokenize(self, text: str) -> Any:
        # Half of a surrogate pair is no character; its stand-in keeps the offsets true.
        return self._tokenizer.encode(SURROGATE.sub("\ufffd", text), add_special_tokens=False)

    def _run(self, windows: Sequence[NDArray[np.int64]]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Each window's index and states (length, 384), shortest window first."""
        for batch in _batches([len(window) for window in windows]):
            ids = np.zeros((len(batch), len(windows[batch[-1]])), np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(batch):
                ids[row, : len(windows[index])] = windows[index]
                mask[row, : len(windows[index])] = 1
            states = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            for row, index in enumerate(batch):
                yield index, states[row, : len(windows[index])]


def load_minilm(*, threads: int | None = None, folder: Path = FOLDER) -> MiniLM:
    """The bundled model, ready to run.

    Args:
        threads: how many threads one forward pass may use, at least 1; by default one a core, at
            most 4.
        folder: where the model's files lie.

    Raises:
        ModelUnavailable: a file of the model is missing or damaged.
        ValueError: `threads` is below 1.
    """
    if threads is None:
        threads = min(MOST_THREADS, _cores())
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return MiniLM(
        open_session(folder, threads=threads),
        open_tokenizer(folder),
        projection=_load(folder / "projection.npy", lambda path: np.load(path).astype(np.float32)),
        stop_words=open_stop_words(folder),
        name=f"all-MiniLM-L6-v2/512/{_digest(folder)}",
    )


def open_session(folder: Path, *, threads: int) -> Any:
    """The onnxruntime session: input_ids, attention_mask -> last_hidden_state."""
    # Its type information does not say what it exports, hence no import statement.
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # The graph is written with fused operators: beyond folding the casts, optimising costs load
    # time and gains nothing. The arena would keep the largest batch's memory for good.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    cpu = ["CPUExecutionProvider"]
    return _load(
        folder / "model.onnx",
        lambda path: onnxruntime.InferenceSession(str(path), options, providers=cpu),
    )


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer, neither cutting nor padding; a mark written in a text is read as text."""
    from tokenizers import Tokenizer

    tokenizer = _load(folder / "tokenizer.json", lambda path: Tokenizer.from_file(str(path)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def open_stop_words(folder: Path) -> frozenset[str]:
    """The stop words; lines of the file that begin with # are comments."""
    text = _load(folder / "stop_words.txt", lambda path: path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).split())


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows scaled to length 1; a row of zeros stays as it is.

    >>> unit_rows(np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def is_content(piece: str, stop_words: frozenset[str]) -> bool:
    """Whether a word piece is neither a stop word nor punctuation; "##ing" and the like are.

    >>> [is_content(piece, frozenset({"the"})) for piece in ("graph", "##s", "the", "-")]
    [True, True, False, False]
    """
    if piece.startswith("##"):
        return True
    return piece not in stop_words and any(character.isalnum() for character in piece)


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while block := list(islice(rest, BLOCK_TEXTS)):
        yield block


def _windows(texts: Sequence[Sequence[int]]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """The pieces of each text as windows between marks, and the index of each window's text.

    The windows of a long text are of even length, so that none is a stub without context.
    """
    windows, owners = [], []
    for owner, ids in enumerate(texts):
        count = max(1, -(-len(ids) // WINDOW_PIECES))
        for part in np.array_split(np.array(ids, np.int64), count):
            windows.append(np.concatenate([[FIRST_MARK], part, [LAST_MARK]]))
            owners.append(owner)
    return windows, np.array(owners, np.int64)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches within the two limits, by length: the last of a batch is its longest."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        full = len(batch) == BATCH_TEXTS or lengths[index] * (len(batch) + 1) > BATCH_POSITIONS
        if batch and full:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _load(path: Path, read: Callable[[Path], Loaded]) -> Loaded:
    """What `read` makes of a file of the model, once its length is known to be right."""
    size = path.stat().st_size if path.is_file() else 0
    expected = _listing(path.parent).get(path.name, {}).get("bytes")
    if size != expected:
        raise _unavailable(path, f"is missing or cut short ({size} of {expected} bytes)")
    try:
        return read(path)
    except Exception as error:  # onnxruntime and tokenizers raise bare Exceptions
        raise _unavailable(path, f"is damaged ({error})") from error


def _listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of each file, as the scripts that made them wrote down."""
    path = folder / "files.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _unavailable(path, "is missing or damaged") from error


def _digest(folder: Path) -> str:
    """Eight hex digits that change when any file that makes the vectors changes."""
    files = sorted(_listing(folder).items())
    joined = "".join(f"{name} {entry['sha256']}\n" for name, entry in files)
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def _unavailable(path: Path, what: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The bundled embedding model cannot be used: {path} {what}; install papertrail-rag again."
    )


def _cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
