"""The libraries that the page asks: opened in the background, each once, shared by all visitors.

Called at start-up, by every question and by the Library tab.
"""

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

_ENDED = "The server was ended. What it was indexing goes on from there when it is begun again."
_WARMING = "which papers are these?"  # asked once, so that the first reader does not wait
BUNDLED = "bundled library"


@dataclass(frozen=True, slots=True)
class LibraryState:
    """How far a library is.

    Attributes:
        kind: "opening", "ready" or "failed".
        text: one line for the reader.
    """

    kind: str
    text: str


class Ended(RagError):
    """The server ends, so work on a library stops."""


class LibraryPool:
    """Opens libraries and keeps them open; may be shared by threads."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; `begin` does.

        Args:
            settings: of the page; `index` names the library that visitors meet first.
        """
        self.settings = settings
        self._lock = threading.Lock()
        self._futures: dict[str | None, Future[Assistant]] = {}
        self._progress: dict[str | None, str] = {}
        self._papers: dict[str | None, tuple[int, list[Paper]]] = {}
        self._openers = ThreadPoolExecutor(1, thread_name_prefix="opening")
        self._has_ended = False

    def begin(self, name: str | None = None) -> Future[Assistant]:
        """Begins to open a library if nobody has; None is the one in the settings."""
        with self._lock:
            future = self._futures.get(name)
            if future is None or (future.done() and future.exception()):
                self.go_on()
                future = self._openers.submit(self._open, name)
                self._futures[name] = future
            return future

    def assistant(self, name: str | None = None) -> Assistant:
        """The assistant over a library; waits until it is open.

        Raises:
            RagError: it cannot be opened.
        """
        return self.begin(name).result()

    def state(self, name: str | None = None) -> LibraryState:
        """How far a library is, without waiting."""
        future = self._futures.get(name)
        shown = self.title(name)
        if future is None or not future.done():
            return LibraryState("opening", self._progress.get(name) or f"Opening the {shown} …")
        error = future.exception()
        if error:
            return LibraryState("failed", _sentence(error))
        count = future.result().paper_count
        return LibraryState("ready", f"{shown}, {count:,} paper{'s' * (count != 1)}")

    def title(self, name: str | None) -> str:
        """What readers call a library."""
        named = name or self.settings.index
        return BUNDLED if named is None else f"library {named.rstrip('/').rpartition('/')[2]}"

    def is_bundled(self, name: str | None) -> bool:
        """Whether it is the library that came with the package, which is not to be changed."""
        return (name or self.settings.index) is None

    def papers(self, name: str | None = None) -> list[Paper]:
        """The papers of a library, read once for each of its generations.

        Raises:
            RagError: it cannot be opened.
        """
        assistant = self.assistant(name)
        generation = assistant.generation
        known = self._papers.get(name)
        if known is None or known[0] != generation:
            known = (generation, assistant.papers())
            self._papers[name] = known
        return known[1]

    def settings_of(self, name: str | None) -> Settings:
        """The page's settings with a library of the user's data folder in place of its own."""
        return self.settings.model_copy(update={"index": name}) if name else self.settings

    def named(self) -> list[str]:
        """The libraries in the user's data folder that were finished, in order of name."""
        folder = self.settings.data_dir / "libraries"
        try:
            return sorted(each.name for each in folder.iterdir() if _is_library(each))
        except OSError:
            return []

    def end(self) -> None:
        """Lets work on libraries stop where it next calls `go_on`; may be called by a signal."""
        self._has_ended = True

    def go_on(self) -> None:
        """Called by work on a library after each block of papers.

        Raises:
            Ended: it is to stop. An index survives that at any moment.
        """
        if self._has_ended:
            raise Ended(_ENDED)

    def close(self) -> None:
        """Lets go of all libraries."""
        self._openers.shutdown(wait=False, cancel_futures=True)
        for future in self._futures.values():
            if future.done() and not future.cancelled() and not future.exception():
                future.result().close()

    def _open(self, name: str | None) -> Assistant:
        from rag.assistant import Assistant

        def on_progress(done: int, total: int) -> None:
            self.go_on()
            self._progress[name] = f"Indexing the {self.title(name)}: {done} of {total} papers …"

        others = [f.result() for f in self._futures.values() if f.done() and not f.exception()]
        embedder = others[0].embedder if others else None
        assistant = Assistant.open(
            settings=self.settings_of(name), embedder=embedder, on_progress=on_progress
        )
        assistant.search(_WARMING, k=1)
        return assistant


def _is_library(folder: Path) -> bool:
    """Whether a folder is a library; one that was interrupted at its first papers is none yet."""
    from rag.index import read_manifest

    try:
        return read_manifest(folder).generation > 0
    except IndexMissing:
        return False
    except RagError:  # who opens it is told
        return True


def _sentence(error: BaseException) -> str:
    if isinstance(error, RagError):
        return str(error)
    return "The library cannot be opened; the log of the server says why."
