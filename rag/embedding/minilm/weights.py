"""Opens the files of the bundled model, and says in one sentence what is wrong with them.

`files.json` beside them holds the size and digest of each, written by the scripts that made them.
Sizes are checked when a file is opened (a cut or placeholder file is the damage that happens);
digests are not, as that would cost every command a reading of 45 MB, but they make the embedder's
name, so that an index knows which files its vectors come from. The encoder calls this module, and
so do the scripts.
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
    """The onnxruntime session: input_ids, attention_mask -> last_hidden_state.

    One pass runs on one thread; the encoder runs several passes side by side instead, which is as
    fast on a quiet machine and much faster on a busy one, where the threads of one pass wait for
    each other.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    # Its type information does not say what it exports, hence no import statement.
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
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


def open_tokenizer(folder: Path = FOLDER) -> Tokenizer:
    """The tokenizer, neither cutting nor padding; a mark written in a text is read as text.

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
    """The matrix (384, token_dim) that shortens token vectors.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    return _load(folder / "projection.npy", lambda path: np.load(path).astype(np.float32))


def open_stop_words(folder: Path = FOLDER) -> frozenset[str]:
    """The stop words; lines of the file that begin with # are comments.

    Raises:
        ModelUnavailable: the file is missing or damaged.
    """
    text = _load(folder / "stop_words.txt", lambda path: path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).split())


def digest_files(folder: Path = FOLDER) -> str:
    """Eight hex digits that change when any file that makes the vectors changes.

    Raises:
        ModelUnavailable: the listing of the files is missing or damaged.
    """
    listing = sorted(_listing(folder).items())
    joined = "".join(f"{name} {sha256}\n" for name, (_, sha256) in listing)
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def _load(path: Path, read: Callable[[Path], Loaded]) -> Loaded:
    """What `read` makes of a file of the model, once its length is known to be right."""
    listing = _listing(path.parent)
    if path.name not in listing or not path.is_file():
        raise _unavailable(path, "is missing")
    size, expected = path.stat().st_size, listing[path.name][0]
    if size != expected:
        raise _unavailable(path, f"has {size:,} bytes instead of {expected:,}")
    try:
        return read(path)
    except Exception as error:  # onnxruntime and tokenizers raise bare Exceptions
        raise _unavailable(path, f"is damaged ({error})") from error


def _listing(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 of each file by name."""
    path = folder / "files.json"
    try:
        files = json.loads(path.read_text(encoding="utf-8"))
        return {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unavailable(path, "is missing or damaged") from error


def _unavailable(path: Path, what: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The bundled embedding model cannot be used: {path} {what}; install papertrail-rag again."
    )
