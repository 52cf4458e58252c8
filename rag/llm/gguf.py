"""Run a GGUF file's model in this process with llama-cpp-python, the extra `local`.

One thread owns the model: it loads it at the first request, answers one request after the other and
frees it. All clients of the same file share it. llama.cpp cannot be interrupted, so prompts are
read in small steps, and a request that was stopped ends after the step or token under way. The one
that waits for it returns at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import io
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from rag.errors import ModelRejected, ModelUnavailable, PromptTooLong, SettingsError
from rag.files import explain_os_error
from rag.llm.cancel import run, schedule
from rag.llm.client import DEFAULT_WINDOW
from rag.llm.errors import to_model_error
from rag.llm.reply import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from rag.llm.client import Message

_MAGIC = b"GGUF"
_STEP_TOKENS = 64  # of a prompt, read between two looks at whether to stop
_ERROR_LEVEL = 4  # of ggml_log_level
_MOST_METADATA_BYTES = 200
_errors: deque[str] = deque(maxlen=20)  # what llama.cpp logged last
_engines: dict[tuple[Path, int, int], _Engine] = {}
_engines_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of its model.

    Attributes:
        window: tokens that it was trained to read.
        parameters: number of its weights.
    """

    window: int
    parameters: int


class GgufClient:
    """The model of one GGUF file. Its name is the file's, without folder and suffix."""

    def __init__(
        self,
        path: Path,
        *,
        window: int | None = None,
        temperature: float | None = None,
        threads: int | None = None,
    ) -> None:
        """Check the file. It is loaded at the first request.

        Args:
            path: of the file.
            window: tokens that the model can read. None takes what the file says, at most 8192,
                because memory is set aside for all of them.
            temperature: for sampling. None leaves it to the library.
            threads: CPU threads. None takes one per core that this process may use.

        Raises:
            SettingsError: the file is damaged or holds no chat model, or the package is missing.
        """
        self.name = path.stem
        header = read_header(path)
        self.window = window or min(header.window, DEFAULT_WINDOW)
        self.takes_schema = True
        self._temperature = temperature
        self._engine = _borrow_engine(path.absolute(), self.window, threads or _count_cores())
        self._is_closed = False

    def stream(
        self, messages: Sequence[Message], most_tokens: int, schema: dict[str, Any] | None
    ) -> Generator[Chunk]:
        """Send a prompt and yield the reply. Closing the generator ends the request."""
        options: dict[str, Any] = {"max_tokens": most_tokens}
        if self._temperature is not None:
            options["temperature"] = self._temperature
        if schema:
            options["response_format"] = {"type": "json_object", "schema": schema}
        request = _Request([{"role": m.role, "content": m.text} for m in messages], options)
        self._engine.submit(request)
        try:
            while (chunk := run(request.chunks.get())) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            request.stopped.set()

    def close(self) -> None:
        """Free the model unless another client uses it. The client cannot be used again."""
        if not self._is_closed:
            self._is_closed = True
            _return_engine(self._engine)


@dataclass(slots=True)
class _Request:
    """One prompt, and the queue that its reply comes in. None or an error ends the reply."""

    messages: list[dict[str, str]]
    options: dict[str, Any]
    chunks: asyncio.Queue[Chunk | Exception | None] = field(default_factory=asyncio.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)


class _Engine:
    """A loaded model and the thread that owns it."""

    def __init__(self, path: Path, window: int, threads: int) -> None:
        self.key = (path, window, threads)
        self.users = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gguf")
        self._model: Any = None
        self._request: _Request | None = None
        self._is_closed = threading.Event()

    def submit(self, request: _Request) -> None:
        """Answer a request after those before it."""
        try:
            self._thread.submit(self._answer, request)
        except RuntimeError as error:
            raise ModelUnavailable("The model was closed. Open the library again.") from error

    def close(self) -> None:
        """End the request under way and free the memory."""
        self._is_closed.set()
        self._thread.submit(self._free)
        self._thread.shutdown()

    def _answer(self, request: _Request) -> None:
        last: Exception | None = None
        try:
            for chunk in self._generate(request):
                schedule(request.chunks.put(chunk))
        except Exception as error:  # noqa: BLE001 - raised where the reply is read
            last = self._explain(error)
        self._request = None
        schedule(request.chunks.put(last))

    def _generate(self, request: _Request) -> Iterator[Chunk]:
        self._request = request
        self._check_stopped()
        if self._model is None:
            self._model = _load_model(*self.key, self._check_stopped)
        prompt_tokens = 0
        for raw in self._model.create_chat_completion(
            request.messages, stream=True, **request.options
        ):
            # The first chunk comes when the prompt was read and no token of the reply.
            prompt_tokens = prompt_tokens or self._model.n_tokens
            choice = raw["choices"][0]
            yield Chunk(
                text=choice["delta"].get("content") or "",
                finish=choice["finish_reason"] or "",
                tokens=(prompt_tokens, self._model.n_tokens - prompt_tokens + 1),
            )

    def _check_stopped(self) -> None:
        if self._is_closed.is_set() or (self._request and self._request.stopped.is_set()):
            raise ModelUnavailable("The request was stopped.")

    def _explain(self, error: Exception) -> Exception:
        path, window, _ = self.key
        if not isinstance(error, ValueError):
            return to_model_error(error, path.stem)
        if "context window" in str(error):
            return PromptTooLong(
                f"The prompt is too long for the model {path.stem}, which reads {window} tokens. "
                "Raise chat_window (PAPERTRAIL_CHAT_WINDOW) if it can read more.",
                shortenable=True,
            )
        return ModelRejected(f"The model {path.stem} refused the prompt ({error}). Try another.")

    def _free(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


def read_header(path: Path) -> GgufHeader:
    """Read the header of a file and compare it with the file's size. No weights are loaded.

    Raises:
        SettingsError: the file is damaged or holds no chat model, or the package is missing.
    """
    _require_magic(path)
    library = _import_library()
    options = library.llama_model_default_params()
    options.vocab_only = True
    _errors.clear()
    model = library.llama_model_load_from_file(os.fsencode(path), options)
    if not model:
        raise SettingsError(
            f"Cannot read the model in {path} ({_get_reason()}). Download the file again, or "
            "update llama-cpp-python if the model is newer."
        )
    try:
        architecture = _read_metadata(library, model, "general.architecture")
        window = _read_metadata(library, model, f"{architecture}.context_length")
        is_chat = bool(_read_metadata(library, model, "tokenizer.chat_template"))
        parameters = int(library.llama_model_n_params(model))
    finally:
        library.llama_model_free(model)
    if not is_chat:
        raise SettingsError(
            f"The model in {path} has no chat template, so it cannot chat. Take the instruct "
            "variant of a model."
        )
    return GgufHeader(int(window) if window.isdecimal() else DEFAULT_WINDOW, parameters)


def _require_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise SettingsError(
            f"Cannot read the GGUF file {path} ({explain_os_error(error)}). Check the path."
        ) from error
    if magic != _MAGIC:
        raise SettingsError(f"{path} is not a GGUF file. Name the file of a model with --gguf.")


@cache
def _import_library() -> Any:
    """Import llama-cpp-python, and let it log to `_errors` instead of standard error."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:  # the package, or its shared library
        raise SettingsError(
            "A GGUF file needs the package llama-cpp-python. Install it with `pip install "
            "'papertrail-rag[local]'`, which builds it from source in about ten minutes."
        ) from error

    def keep(level: int, text: bytes, _: object) -> None:
        if level == _ERROR_LEVEL:
            _errors.append(text.decode(errors="replace").strip())

    callback = llama_cpp.llama_log_callback(keep)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    llama_cpp.papertrail_log_callback = callback  # llama.cpp holds no reference to it
    return llama_cpp


def _get_reason() -> str:
    """Return the first error that llama.cpp logged, without its function names."""
    return _errors[0].rpartition(": ")[2] if _errors else "no reason given"


def _read_metadata(library: Any, model: Any, key: str) -> str:
    """Return a value of the header, cut to a few bytes, or "" if it is missing."""
    value = ctypes.create_string_buffer(_MOST_METADATA_BYTES)
    library.llama_model_meta_val_str(model, key.encode(), value, len(value))
    return value.value.decode(errors="replace")


def _load_model(path: Path, window: int, threads: int, check: Callable[[], None]) -> Any:
    """Load a model whose prompts are read in steps, each after a call of `check`."""
    library = _import_library()

    class SteppingLlama(library.Llama):  # type: ignore[misc, name-defined]
        def eval(self, tokens: Sequence[int]) -> None:
            for start in range(0, len(tokens), _STEP_TOKENS):
                check()
                super().eval(tokens[start : start + _STEP_TOKENS])

    _errors.clear()
    try:
        # Not verbose, it would point standard output elsewhere while another thread may use it.
        with contextlib.redirect_stderr(io.StringIO()):
            model = SteppingLlama(
                str(path),
                n_ctx=window,
                n_batch=_STEP_TOKENS,
                n_threads=threads,
                n_threads_batch=threads,
                n_gpu_layers=-1,  # all, where the package was built for a GPU
                verbose=True,
            )
    except (ValueError, MemoryError) as error:
        raise ModelRejected(
            f"The model {path.stem} cannot be loaded ({_get_reason()}). Set a smaller chat_window "
            "(PAPERTRAIL_CHAT_WINDOW), or choose a smaller model."
        ) from error
    model.verbose = False
    return model


def _borrow_engine(path: Path, window: int, threads: int) -> _Engine:
    with _engines_lock:
        engine = _engines.setdefault((path, window, threads), _Engine(path, window, threads))
        engine.users += 1
        return engine


def _return_engine(engine: _Engine) -> None:
    with _engines_lock:
        engine.users -= 1
        if engine.users:
            return
        del _engines[engine.key]
    engine.close()


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
