"""`LiveIndex`: always the newest generation of an index, read by several threads at once.

An open client of the store never sees what another process wrote, and a second one beside it would
not either: a new generation is opened only when nobody reads the old one any more. The assistant
reads through here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rag.index import Index
from rag.retrieval.retriever import Retriever

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rag.embedding import Embedder
    from rag.index import Filter
    from rag.papers import Paper
    from rag.retrieval.retriever import Retrieval


class LiveIndex:
    """An opened index and its retriever, replaced when a newer generation is on disk.

    Attributes:
        index: the generation that is open.
        retriever: over it.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, candidates: int) -> None:
        """Opens the newest generation.

        Raises:
            IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be used.
        """
        self._folder = folder
        self._embedder = embedder
        self._candidates = candidates
        self._readers = 0
        self._changed = threading.Condition()
        self._open()

    @contextmanager
    def reading(self) -> Iterator[LiveIndex]:
        """Keeps the newest generation open as long as the block lasts; blocks must not nest."""
        with self._changed:
            while not self.index.is_current():
                if self._readers == 0:
                    self.index.close()
                    self._open()
                    break
                self._changed.wait()
            self._readers += 1
        try:
            yield self
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def retrieve(
        self,
        question: str,
        *,
        k: int,
        where: Filter | None = None,
        candidates: int | None = None,
    ) -> Retrieval:
        """Return what the newest generation has for a question; see `Retriever.retrieve`."""
        with self.reading():
            return self.retriever.retrieve(question, k=k, where=where, candidates=candidates)

    def papers(self, where: Filter | None = None) -> list[Paper]:
        """Return the papers that a filter lets through, all without one."""
        with self.reading():
            return [stored.paper for stored in self.index.all_papers(where)]

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers a filter lets through, all without one."""
        with self.reading():
            if where is None:
                return self.index.manifest.paper_count
            return len(self.index.papers_matching(where))

    def holds(self, where: Filter) -> bool:
        """Return whether any paper passes a filter."""
        with self.reading():
            return self.index.holds(where)

    def close(self) -> None:
        """Close the files."""
        self.index.close()

    def _open(self) -> None:
        self.index = Index.open(self._folder)
        self.retriever = Retriever(self.index, self._embedder, candidates=self._candidates)
