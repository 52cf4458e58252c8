"""The bundled embedder, all-MiniLM-L6-v2: no key, no download, no PyTorch.

Its files are in `rag/data/minilm`. `files.json` holds the size and digest of each. Sizes are
checked when a file is opened, because cut files and placeholders are the damage that happens.
Digests are not checked, because every command would have to read 45 MB. They are part of the
embedder's name, so that an index knows which files its vectors come from.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.embedding.encoder import Encoder, open_session
from rag.embedding.pieces import PieceReader, open_tokenizer
from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from rag.embedding.encoder import Network

DIM = 384
FOLDER = Path(__file__).parents[1] / "data" / "minilm"

Loaded = TypeVar("Loaded")


def load_minilm(*, threads: int | None = None, folder: Path = FOLDER) -> Encoder:
    """Load the bundled model.

    Args:
        threads: forward passes that may run side by side, at least 1. By default one per core, at
            most 4.
        folder: folder of the model's files.

    Raises:
        ModelUnavailable: a file of the model is missing or damaged.
        ValueError: `threads` is below 1.
    """
    network, reader = _load_parts(folder)
    return Encoder(
        network,
        reader,
        name=f"all-MiniLM-L6-v2/512/{digest_files(folder)}",
        dim=DIM,
        stop_words=open_stop_words(folder),
        projection=open_projection(folder),
        threads=threads,
    )


@lru_cache(maxsize=1)
def _load_parts(folder: Path) -> tuple[Network, PieceReader]:
    """Load what takes time and memory, once for all libraries of a process."""
    return open_network(folder), PieceReader(open_bundled_tokenizer(folder))


def open_network(folder: Path = FOLDER) -> Network:
    """Open the network of the model: token ids and mask -> states.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    # The graph has fused operators already: optimising costs load time and gains nothing.
    return make_network(
        _load(folder / "model.onnx", lambda path: open_session(path, optimize=False))
    )


def make_network(session: Any) -> Network:
    """Return the network of a session of this model."""

    def compute(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        states: NDArray[np.float32]
        (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        return states

    return compute


def open_bundled_tokenizer(folder: Path = FOLDER) -> Tokenizer:
    """Open the tokenizer of the model.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    return _load(folder / "tokenizer.json", open_tokenizer)


def open_projection(folder: Path = FOLDER) -> NDArray[np.float32]:
    """Open the matrix (384, token_dim) that shortens token vectors.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    return _load(folder / "projection.npy", lambda path: np.load(path).astype(np.float32))


def open_stop_words(folder: Path = FOLDER) -> frozenset[str]:
    """Open the stop words. Lines of the file that begin with # are comments.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    text = _load(folder / "stop_words.txt", lambda path: path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).split())


def digest_files(folder: Path = FOLDER) -> str:
    """Return eight hex digits that change with any file that makes the vectors.

    Raises:
        ModelUnavailable: `files.json` is missing or damaged.
    """
    listing = sorted(_read_listing(folder).items())
    joined = "".join(f"{name} {sha256}\n" for name, (_, sha256) in listing)
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def _load(path: Path, read: Callable[[Path], Loaded]) -> Loaded:
    """Check the length of a file of the model, then return what `read` makes of it."""
    listing = _read_listing(path.parent)
    if path.name not in listing or not path.is_file():
        raise _make_error(path, "is missing")
    size, expected = path.stat().st_size, listing[path.name][0]
    if size != expected:
        raise _make_error(path, f"has {size:,} bytes instead of {expected:,}")
    try:
        return read(path)
    except Exception as error:  # onnxruntime and tokenizers raise bare Exceptions
        raise _make_error(path, f"is damaged ({error})") from error


def _read_listing(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size and sha256 of each file by name."""
    path = folder / "files.json"
    try:
        files = json.loads(path.read_text(encoding="utf-8"))
        return {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _make_error(path, "is missing or damaged") from error


def _make_error(path: Path, problem: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The bundled embedding model is incomplete: {path} {problem}. Reinstall papertrail-rag."
    )
