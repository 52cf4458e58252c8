"""`Assistant`: a library one can ask. It wires index, retrieval, writer and verification.

This is the programmer's door; the command and the page go through it too.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rag.answer import Answer, AnswerEvent, Done, Statement, Status, Text, Verified
from rag.answerable import judge
from rag.citations import cite, joined, shown
from rag.errors import IndexDamaged, IndexMissing, IndexStale
from rag.index import Index
from rag.libraries import index_bundled, index_folder, update_library
from rag.retrieval import Retriever
from rag.settings import Settings, load_settings
from rag.writers.extractive import choose_sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rag.index import Filter, OnProgress
    from rag.models import Embedder
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.retrieval import Hit, Retrieval

CLOSEST_PAPERS = 3  # that an abstention shows


class Assistant:
    """Answers questions over one library; open it with `open`, `build` or `build_from`.

    May be shared by threads. When another process has updated the index, the next question is
    answered from the new generation.
    """

    def __init__(self, folder: Path, embedder: Embedder, settings: Settings) -> None:
        """Opens the index in a folder; `Assistant.open` is the usual way in."""
        self.folder = folder
        self.settings = settings
        self.embedder = embedder
        self._open()

    @classmethod
    def open(
        cls,
        index: str | Path | None = None,
        *,
        settings: Settings | None = None,
        embedder: Embedder | None = None,
        on_progress: OnProgress | None = None,
    ) -> Assistant:
        """Opens a library.

        Args:
            index: a library's name, or a path (with a slash, or a `Path`). None: the one in the
                settings, else the bundled library, which is indexed at the first use.
            settings: None reads them as `load_settings` does.
            embedder: None takes the bundled one.
            on_progress: told while the bundled library is indexed.

        Raises:
            IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be used.
        """
        settings = _settings(settings, index)
        embedder = embedder or _bundled_embedder(settings)
        folder = index_folder(settings, embedder.name)
        try:
            return cls(folder, embedder, settings)
        except (IndexMissing, IndexDamaged, IndexStale):
            if settings.index is not None:
                raise
        index_bundled(settings, embedder, on_progress)
        return cls(folder, embedder, settings)

    @classmethod
    def build(
        cls,
        papers: Iterable[Paper | Refused],
        index: str | Path,
        *,
        settings: Settings | None = None,
        embedder: Embedder | None = None,
        on_progress: OnProgress | None = None,
    ) -> Assistant:
        """Adds papers to a library, which is made if it is not there, and opens it.

        Args:
            papers: as `iter_papers` gives them; what was refused is passed over.
            index: a library's name, or a path.
            settings: None reads them as `load_settings` does.
            embedder: None takes the bundled one.
            on_progress: told after each block of papers.

        Raises:
            CorpusError: there is no paper.
            IndexLocked, IndexStale, IndexDamaged, DiskError: the index cannot be written.
        """
        settings = _settings(settings, index)
        embedder = embedder or _bundled_embedder(settings)
        update_library(papers, settings=settings, embedder=embedder, on_progress=on_progress)
        return cls(index_folder(settings, embedder.name), embedder, settings)

    @classmethod
    def build_from(
        cls, sources: str | Path | Sequence[str | Path], index: str | Path, **options: Any
    ) -> Assistant:
        """Like `build`, from files and folders; `options` are those of `build`."""
        from rag.readers import iter_papers

        return cls.build(iter_papers(sources), index, **options)

    def close(self) -> None:
        """Lets go of the index's files."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def papers(self) -> list[Paper]:
        """Every paper of the library."""
        self._refresh()
        return [stored.paper for stored in self._index.all_papers()]

    def search(
        self, question: str, *, k: int | None = None, where: Filter | None = None
    ) -> list[Hit]:
        """The papers that fit a question best, best first.

        Args:
            question: any text; an empty one finds nothing.
            k: papers wanted; None takes the settings'.
            where: restricts the papers.
        """
        return list(self.retrieve(question, k=k, where=where).hits)

    def retrieve(
        self, question: str, *, k: int | None = None, where: Filter | None = None
    ) -> Retrieval:
        """Like `search`, with what was seen on the way."""
        self._refresh()
        return self._retriever.retrieve(question, k=k or self.settings.k, where=where)

    def ask(self, question: str, *, where: Filter | None = None) -> Answer:
        """Answers a question from the library, or abstains.

        Args:
            question: any text.
            where: restricts the papers.
        """
        for event in self.stream(question, where=where):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(self, question: str, *, where: Filter | None = None) -> Iterator[AnswerEvent]:
        """Like `ask`, as events; the last is `Done` with the whole answer."""
        started = time.perf_counter()
        yield Status(f"Searching {self._index.manifest.paper_count} papers")
        retrieval = self.retrieve(question, where=where)
        judgement = judge(retrieval, least=self.settings.confidence)
        answer = Answer(
            question=question,
            asked=retrieval.question,
            text="",
            statements=(),
            hits=retrieval.hits,
            status="abstained",
            mode="extractive",
            reason=judgement.reason,
            confidence=judgement.confidence,
            warnings=retrieval.notes,
        )
        if judgement.answerable:
            statements: list[Statement] = []
            for statement in cite(choose_sentences(retrieval, self.settings.sentences)):
                space = " " if statements else ""
                statements.append(statement)
                yield Text(space + shown(statement.text, statement.citations))
            answer = replace(
                answer, text=joined(statements), statements=tuple(statements), status="answered"
            )
        else:
            text = f"The library does not seem to hold an answer: {judgement.reason}"
            yield Text(text)
            answer = replace(answer, text=text, closest=retrieval.hits[:CLOSEST_PAPERS])
        yield Verified(answer.statements)
        yield Done(replace(answer, seconds=time.perf_counter() - started))

    def as_retriever(self, *, k: int | None = None, where: Filter | None = None) -> Any:
        """This library as a LlamaIndex `BaseRetriever`, for engines of your own."""
        from rag.retrieval.llama_index import PapertrailRetriever

        return PapertrailRetriever(lambda question: self.search(question, k=k, where=where))

    def _open(self) -> None:
        self._index = Index.open(self.folder)
        self._retriever = Retriever(self._index, self.embedder, candidates=self.settings.candidates)

    def _refresh(self) -> None:
        """Opens the newest generation when another process has written one."""
        if not self._index.is_current():
            self._index.close()
            self._open()


def _settings(settings: Settings | None, index: str | Path | None) -> Settings:
    settings = settings if settings is not None else load_settings()
    if index is None:
        return settings
    named = str(index.absolute()) if isinstance(index, Path) else index
    return settings.model_copy(update={"index": named})


def _bundled_embedder(settings: Settings) -> Embedder:
    from rag.minilm import load_minilm

    return load_minilm(threads=settings.threads)
