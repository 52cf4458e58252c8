"""Open the files of the bundled model, and report a missing or damaged one.

`files.json` beside them holds the size and digest of each. Sizes are checked when a file is opened,
because cut files and placeholders are the damage that happens. Digests are not checked, because
every command would have to read 45 MB. They are part of the embedder's name, so that an index knows
which files its vectors come from. The encoder and the scripts call this module.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FOLDER = Path(__file__).parents[2] / "data" / "minilm"

Loaded = TypeVar("Loaded")


def open_session(folder: Path = FOLDER) -> Any:
    """Open the onnxruntime session: input_ids, attention_mask -> last_hidden_state.

    One pass runs on one thread. The encoder runs several passes side by side instead, which is as
    fast on a quiet machine and much faster on a busy one, where the threads of one pass wait for
    each other.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    # Its type information lacks what it exports, hence no import statement.
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The graph has fused operators already. Beyond folding the casts, optimising costs load time
    # and gains nothing. The arena would keep the largest batch's memory for good.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    cpu = ["CPUExecutionProvider"]
    return _load(
        folder / "model.onnx",
        lambda path: onnxruntime.InferenceSession(str(path), options, providers=cpu),
    )


def open_tokenizer(folder: Path = FOLDER) -> Tokenizer:
    """Open the tokenizer. It neither cuts nor pads, and reads "[SEP]" in a text as text.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    from tokenizers import Tokenizer

    tokenizer = _load(folder / "tokenizer.json", lambda path: Tokenizer.from_file(str(path)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


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
