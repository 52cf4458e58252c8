"""Open a folder with any sentence encoder exported to ONNX.

It holds `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`. The files of
sentence-transformers say how the model is used: pooling, prompts, longest text. `projection.npy`, a
matrix that shortens token vectors, is ours and optional. Nothing is downloaded. Faults are found
when the folder is opened, by running the model on two short texts.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rag.embedding.encoder import Encoder, Usage, open_session
from rag.embedding.minilm import open_stop_words
from rag.embedding.pieces import PieceReader, open_tokenizer, pad_windows
from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding.encoder import Pooling

Value = TypeVar("Value")

_DEFAULT_LENGTH = 512
_UNLIMITED = 10**6  # tokenizers without a limit name a huge one
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_POOLINGS: dict[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean",  # the same at length 1
    "cls": "cls",
    "cls_token": "cls",
    "lasttoken": "lasttoken",
}
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_STATES = ("last_hidden_state", "token_embeddings")
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


def load_encoder(folder: Path, *, threads: int | None = None) -> Encoder:
    """Load the encoder in a folder.

    Args:
        folder: folder of the model's files.
        threads: forward passes that may run side by side, at least 1. By default one per core, at
            most 4.

    Raises:
        SettingsError: a file is missing, unreadable or does not fit the others.
    """
    folder = folder.resolve()
    model = _find_model(folder)
    reader = PieceReader(_open(folder / "tokenizer.json", open_tokenizer))
    try:
        usage = _read_usage(folder, reader)
    except (AttributeError, TypeError) as error:
        raise _fault(folder, f"its settings are not those of an encoder ({error}).") from error
    network = _Network(model)
    dim = _measure_states(network, reader, folder)
    return Encoder(
        network,
        reader,
        name=f"{folder.name}/{usage.max_length}/{_digest(folder, model, usage)}",
        dim=dim,
        stop_words=open_stop_words(),
        projection=_read_projection(folder, dim),
        usage=usage,
        threads=threads,
    )


class _Network:
    """Network of a folder: token ids and mask -> states."""

    def __init__(self, path: Path) -> None:
        self._session = _open(path, lambda path: open_session(path, optimize=True))
        self._folder = path.parent
        self._inputs = {each.name: each.type for each in self._session.get_inputs()}
        self._output = _choose_output(self._session, path)
        for name, kind in self._inputs.items():
            if name not in _INPUTS or kind not in _TYPES:
                raise _fault(
                    self._folder,
                    f"{path.name} asks for {name} as {kind}. Papertrail gives "
                    f"{', '.join(_INPUTS)} as whole numbers.",
                )

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the states.

        Raises:
            SettingsError: the model cannot read so many positions.
        """
        try:
            return self.run(ids, mask)
        except Exception as error:
            raise _fault(
                self._folder,
                f"it cannot read {ids.shape[1]} positions ({_shorten(error)}). "
                "Lower max_seq_length in sentence_bert_config.json.",
            ) from error

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the states, or raise what the runtime raises."""
        places = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        given = dict(zip(_INPUTS, (ids, mask, np.zeros_like(ids), places), strict=True))
        feed = {name: given[name].astype(_TYPES[kind]) for name, kind in self._inputs.items()}
        states: NDArray[np.generic] = self._session.run([self._output], feed)[0]
        return states.astype(np.float32, copy=False)


def _find_model(folder: Path) -> Path:
    paths = (folder / "model.onnx", folder / "onnx" / "model.onnx")
    try:
        found = [path for path in paths if path.is_file()]
    except OSError as error:
        raise _fault(folder, f"cannot read the folder ({error.strerror}).") from error
    if found:
        return found[0]
    raise _fault(
        folder, "model.onnx is missing. Export the model to ONNX: docs/embedders.md says how."
    )


def _choose_output(session: Any, path: Path) -> str:
    """Return the output with one state per position."""
    shapes: dict[str, list[Any]] = {each.name: each.shape for each in session.get_outputs()}
    wide = [name for name, shape in shapes.items() if len(shape) == 3]
    for name in (*_STATES, *wide):
        if name in wide:
            return name
    raise _fault(
        path.parent,
        f"{path.name} has no output of shape (texts, positions, width), only {shapes}. "
        "Export it for the task feature-extraction.",
    )


def _measure_states(network: _Network, reader: PieceReader, folder: Path) -> int:
    """Return the width of the states, found by running the model on two texts.

    Raises:
        SettingsError: the model does not run, or knows fewer pieces than the tokenizer.
    """
    for piece in (0, reader.highest):
        texts = [[*reader.before, *[piece] * length, *reader.after] for length in (1, 2)]
        ids, mask = pad_windows(texts)
        try:
            states = network.run(ids, mask)
        except Exception as error:
            problem = f"it cannot read piece {piece} of tokenizer.json ({_shorten(error)})"
            raise _fault(folder, f"{problem}. Take all files from one export.") from error
    if states.shape[:2] != ids.shape or not np.isfinite(states).all():
        raise _fault(
            folder,
            f"its states have the shape {states.shape} for texts of shape {ids.shape}, or are not "
            "finite. Export it again.",
        )
    return int(states.shape[2])


def _read_usage(folder: Path, reader: PieceReader) -> Usage:
    """Read how the model is meant to be used from the files of sentence-transformers."""
    pooling = _read_json(_find_pooling(folder) / "config.json")
    asked = _read_json(folder / "config_sentence_transformers.json")
    prompts = asked.get("prompts") or {}
    usual = prompts.get(asked.get("default_prompt_name"), "")
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), usual)
    usage = Usage(
        max_length=_read_length(folder),
        pooling=_read_pooling(folder, pooling),
        question_prompt=str(prompts.get("query", usual)),
        document_prompt=str(document),
        pools_prompt=bool(pooling.get("include_prompt", True)),
    )
    for prompt in (usage.question_prompt, usage.document_prompt):
        (window,) = reader.read("", prompt=prompt, max_length=usage.max_length).windows
        used = len(window)
        if used >= usage.max_length:
            raise _fault(
                folder,
                f"the longest text has {usage.max_length} positions, and special tokens and prompt "
                f"take {used}. Raise max_seq_length in sentence_bert_config.json.",
            )
    return usage


def _find_pooling(folder: Path) -> Path:
    """Return the folder of the pooling module.

    Raises:
        SettingsError: a module would change the vectors after pooling.
    """
    modules = _read_json(folder / "modules.json", kind=list) or []
    names = {str(each.get("type")).rpartition(".")[2]: str(each.get("path")) for each in modules}
    for name, path in names.items():
        if name not in _KNOWN_MODULES:
            raise _fault(
                folder,
                f"modules.json names {path or name} of the kind {name}, which Papertrail cannot "
                f"run. It knows {', '.join(_KNOWN_MODULES)}.",
            )
    return folder / names.get("Pooling", "1_Pooling")


def _read_pooling(folder: Path, config: dict[str, Any]) -> Pooling:
    """Return the pooling. Newer configurations name it, older ones have a flag for each."""
    start = "pooling_mode_"
    on = [name for name, value in config.items() if name.startswith(start) and value]
    flags = [name.removeprefix(start) for name in on]
    modes = [str(config["pooling_mode"])] if "pooling_mode" in config else flags or ["mean"]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise _fault(
            folder,
            f"its pooling is {' with '.join(modes)}. Papertrail knows mean, cls and lasttoken.",
        )
    return _POOLINGS[modes[0]]


def _read_length(folder: Path) -> int:
    """Return the positions of a window from the first file that limits them."""
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        length = _read_json(folder / name).get(key)
        if isinstance(length, int | float) and 0 < length < _UNLIMITED:
            return int(length)
    return _DEFAULT_LENGTH


def _read_projection(folder: Path, dim: int) -> NDArray[np.float32] | None:
    path = folder / "projection.npy"
    if not path.exists():
        return None
    matrix: NDArray[np.float32] = _open(
        path, lambda path: np.load(path, allow_pickle=False).astype(np.float32)
    )
    if matrix.ndim != 2 or len(matrix) != dim or not matrix.shape[1]:
        raise _fault(
            folder,
            f"projection.npy has shape {matrix.shape}, but the model's states have width {dim}. "
            f"Use a matrix ({dim}, any width), or delete it.",
        )
    return matrix


def _digest(folder: Path, model: Path, usage: Usage) -> str:
    """Return eight hex digits that change with all that makes the vectors."""
    digest = hashlib.sha256(repr(usage).encode())
    # Weights of large models are in files beside the graph.
    graph = sorted(model.parent.glob("model.onnx*"))
    for path in (*graph, folder / "tokenizer.json", folder / "projection.npy"):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:8]


def _read_json(path: Path, kind: type = dict) -> Any:
    """Return what a file holds, or an empty value without the file."""
    if not path.exists():
        return kind()
    value = _open(path, lambda path: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(value, kind):
        raise _fault(path.parent, f"{path.name} does not hold what sentence-transformers writes.")
    return value


def _open(path: Path, read: Callable[[Path], Value]) -> Value:
    if not path.is_file():
        raise _fault(path.parent, f"{path.name} is missing.")
    try:
        return read(path)
    except Exception as error:  # onnxruntime and tokenizers raise bare Exceptions
        raise _fault(path.parent, f"cannot read {path.name} ({_shorten(error)}).") from error


def _shorten(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _fault(folder: Path, problem: str) -> SettingsError:
    return SettingsError(f"Cannot use the encoder in {folder}: {problem}")
