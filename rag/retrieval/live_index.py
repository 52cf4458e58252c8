"""Keep the newest generation of an index open for several threads.

An open client of the store never sees what another process writes, nor does a second client beside
it. So a new generation is opened only when no thread reads the old one any more.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rag.embedding import encode_question
from rag.errors import IndexStale, SettingsError
from rag.index import Filter, Index
from rag.retrieval.retriever import Retriever, clean_question
from rag.retrieval.roles import judge_roles
from rag.retrieval.spelling import find_corrections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rag.embedding import Embedder
    from rag.papers import Paper
    from rag.retrieval.retriever import Retrieval
    from rag.retrieval.roles import Roles


class LiveIndex:
    """Opened index and its retriever, replaced when a newer generation is on disk.

    Attributes:
        index: the open generation.
        retriever: searches it.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, candidates: int) -> None:
        """Open the newest generation.

        Raises:
            IndexMissing, IndexDamaged, IndexStale, DiskError: as `Index.open`.
        """
        self._folder = folder
        self._embedder = embedder
        self._candidates = candidates
        self._readers = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._open()

    def require_open(self) -> None:
        """Check that it was not closed.

        Raises:
            SettingsError: it was.
        """
        if self._is_closed:
            raise SettingsError("This library is closed. Open it again with Assistant.open().")

    @contextmanager
    def reading(self) -> Iterator[LiveIndex]:
        """Keep the newest generation open and whole inside the block. Blocks must not nest.

        A writer waits until the block ends before it deletes records of older generations.

        Raises:
            SettingsError: it was closed.
        """
        with ExitStack() as stack:
            while True:
                stack.enter_context(self._enter())
                stack.enter_context(self.index.snapshot())
                if self.index.is_current():  # still, now that a writer would wait
                    break
                stack.close()
            yield self

    @contextmanager
    def _enter(self) -> Iterator[None]:
        """Keep the newest generation open inside the block."""
        with self._changed:
            self.require_open()
            while not self.index.is_current():
                if self._readers == 0:
                    self.index.close()
                    self._open()
                    break
                self._changed.wait()
            self._readers += 1
        try:
            yield
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
        queries: Sequence[str] = (),
        candidates: int | None = None,
    ) -> Retrieval:
        """Return what the newest generation has for a question; see `Retriever.retrieve`."""
        text = clean_question(question)
        # A server may take long to embed it. Nobody waits for that inside `reading`.
        texts = (text, *queries) if text else ()
        encodings = [encode_question(self._embedder, each) for each in texts]
        with self.reading():
            return self.retriever.retrieve(
                question,
                k=k,
                where=where,
                queries=queries,
                candidates=candidates,
                encodings=encodings,
            )

    def compare_sentences(self, question: str, found: Retrieval) -> Retrieval:
        """Return papers found for a longer text, their sentences scored for a question alone."""
        ids = tuple(hit.paper.id for hit in found.hits)
        if not ids:
            return found
        again = self.retrieve(question, k=len(ids), where=Filter(ids=ids))
        sentences = {hit.paper.id: hit.sentences for hit in again.hits}
        hits = tuple(
            replace(hit, sentences=sentences.get(hit.paper.id, hit.sentences)) for hit in found.hits
        )
        return replace(found, question=again.question, hits=hits)

    def judge_roles(self, ids: Sequence[str]) -> Roles:
        """Return the roles of the sentences of some papers; see `roles.judge_roles`."""
        with self.reading():
            return judge_roles(self.index, self._embedder.name, ids)

    def find_corrections(self, question: str) -> dict[str, str]:
        """Return misspelled word -> word of the newest generation; see `find_corrections`."""
        with self.reading():
            return find_corrections(question, self.index)

    def papers(self, where: Filter | None = None, limit: int | None = None) -> list[Paper]:
        """Return the first papers that match a filter, or all."""
        with self.reading():
            return list(self.index.papers(where, limit))

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers match a filter, all without one."""
        with self.reading():
            return self.index.count(where)

    def holds(self, where: Filter) -> bool:
        """Return whether any paper matches a filter."""
        with self.reading():
            return self.index.holds(where)

    def fields(self) -> frozenset[str]:
        """Return which of years, authors and venues any paper has."""
        with self.reading():
            return self.index.fields

    def close(self) -> None:
        """Close the files, once no thread reads them any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._readers == 0)
            self._is_closed = True
            self.index.close()

    def _open(self) -> None:
        index = Index.open(self._folder)
        try:
            retriever = Retriever(index, self._embedder, candidates=self._candidates)
        except IndexStale:
            index.close()
            raise
        self.index, self.retriever = index, retriever
