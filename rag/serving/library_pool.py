"""The libraries that a server asks: opened in the background, each once, shared by all users."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import IndexMissing, RagError

if TYPE_CHECKING:
    from pathlib import Path

    from rag.assistant import Assistant
    from rag.papers import Paper
    from rag.settings import Settings

BUNDLED = "bundled library"
_STOPPED = "The server has stopped. What was indexed is kept. Start again to index the rest."
_WARM_UP = "which papers are these?"  # asked once, so that the first reader does not wait


@dataclass(frozen=True, slots=True)
class LibraryState:
    """State of a library."""

    kind: str  # "opening", "ready" or "failed"
    text: str  # one line for the reader


class ServerStopped(RagError):
    """Raised to stop work on a library when the server ends."""


class LibraryPool:
    """Opens libraries and keeps them open. Users first ask the `index` of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._futures: dict[str | None, Future[Assistant]] = {}
        self._progress: dict[str | None, str] = {}
        self._papers: dict[str | None, tuple[int, list[Paper]]] = {}
        self._openers = ThreadPoolExecutor(1, thread_name_prefix="opening")
        self._is_stopped = False

    def open(self, name: str | None = None) -> Future[Assistant]:
        """Start to open a library unless that has been done. None is the one in the settings."""
        with self._lock:
            future = self._futures.get(name)
            if future is None or (future.done() and future.exception()):
                self.check_running()
                future = self._openers.submit(self._open, name)
                self._futures[name] = future
            return future

    def get_assistant(self, name: str | None = None) -> Assistant:
        """Return the assistant of a library. Waits until the library is open.

        Raises:
            RagError: it cannot be opened.
        """
        return self.open(name).result()

    def get_state(self, name: str | None = None) -> LibraryState:
        """Return the state of a library without waiting."""
        future = self._futures.get(name)
        title = self.get_title(name)
        if future is None or not future.done():
            return LibraryState("opening", self._progress.get(name) or f"Opening the {title} …")
        error = future.exception()
        if isinstance(error, RagError):
            return LibraryState("failed", str(error))
        if error:
            sentence = "The library cannot be opened. The server's log has the details."
            return LibraryState("failed", sentence)
        count = future.result().paper_count
        return LibraryState("ready", f"{title}, {count:,} paper{'s' * (count != 1)}")

    def get_title(self, name: str | None) -> str:
        """Return the name that readers see, such as "library mine" or "bundled library"."""
        index = name or self.settings.index
        return BUNDLED if index is None else f"library {index.rstrip('/').rpartition('/')[2]}"

    def is_bundled(self, name: str | None) -> bool:
        """Return whether it is the bundled library, which never changes."""
        return (name or self.settings.index) is None

    def get_papers(self, name: str | None = None) -> list[Paper]:
        """Return the papers of a library, read once for each generation of its index."""
        assistant = self.get_assistant(name)
        generation = assistant.generation
        if self._papers.get(name, (None,))[0] != generation:
            self._papers[name] = (generation, assistant.papers())
        return self._papers[name][1]

    def get_settings(self, name: str | None) -> Settings:
        """Return the settings with another library as its index."""
        return self.settings.model_copy(update={"index": name}) if name else self.settings

    def list_names(self) -> list[str]:
        """Return the names of the finished libraries in the data folder, sorted."""
        folder = self.settings.data_dir / "libraries"
        try:
            return sorted(each.name for each in folder.iterdir() if _is_library(each))
        except OSError:
            return []

    def stop(self) -> None:
        """Let work on libraries stop at its next `check_running`. A signal handler may call it."""
        self._is_stopped = True

    def check_running(self) -> None:
        """Raise if the server ends. Work on a library calls this after each block of papers.

        Raises:
            ServerStopped: `stop` was called. An index survives that at any moment.
        """
        if self._is_stopped:
            raise ServerStopped(_STOPPED)

    def close(self) -> None:
        """Close all libraries."""
        self._openers.shutdown(wait=False, cancel_futures=True)
        for future in self._futures.values():
            if future.done() and not future.cancelled() and not future.exception():
                future.result().close()

    def _open(self, name: str | None) -> Assistant:
        from rag.assistant import Assistant

        def on_progress(done: int, total: int) -> None:
            self.check_running()
            title = self.get_title(name)
            self._progress[name] = f"Indexing the {title}: {done} of {total} papers …"

        others = [f.result() for f in self._futures.values() if f.done() and not f.exception()]
        embedder = others[0].embedder if others else None
        assistant = Assistant.open(
            settings=self.get_settings(name), embedder=embedder, on_progress=on_progress
        )
        assistant.search(_WARM_UP, k=1)
        return assistant


def _is_library(folder: Path) -> bool:
    """Return whether a folder holds a library. One interrupted at its first papers does not."""
    from rag.index import read_manifest

    try:
        return read_manifest(folder).generation > 0
    except IndexMissing:
        return False
    except RagError:  # whoever opens it sees why
        return True
