"""`Assistant`: a library one can ask. It wires index, retrieval, writer and verification.

This is the programmer's door; the command and the page go through it too.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from rag.answer import Answer, AnswerEvent, Done, Status
from rag.answer.conversation import Conversation
from rag.embedding import make_embedder
from rag.errors import IndexDamaged, IndexMissing, IndexStale
from rag.generation.listing import Lister
from rag.generation.pipeline import Answerer, checked_chat_model
from rag.generation.suggestions import suggest_questions
from rag.library import (
    index_bundled_library,
    resolve_index_folder,
    resolve_settings,
    update_library,
)
from rag.llm.cost import compute_cost
from rag.prompts import load_prompt
from rag.query.followups import (
    needs_history,
    understood,
    understood_papers,
    with_previous,
)
from rag.query.listings import subject_of_list
from rag.query.understanding import of_named_authors
from rag.retrieval.live_index import LiveIndex
from rag.verification.offline import OfflineVerifier, token_embedder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from llama_index.core.llms import LLM

    from rag.answer import Turn
    from rag.embedding import Embedder
    from rag.index import Filter, OnProgress
    from rag.llm import ChatModel
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.retrieval import Hit, Retrieval
    from rag.settings import Settings


class Assistant:
    """Answers questions over one library; open it with `open`, `build` or `build_from`.

    May be shared by threads. When another process has updated the index, the next question is
    answered from the new generation.
    """

    def __init__(
        self, folder: Path, embedder: Embedder, settings: Settings, model: ChatModel | None = None
    ) -> None:
        """Opens the index in a folder; `Assistant.open` is the usual way in."""
        self.folder = folder
        self.settings = settings
        self.embedder = embedder
        self.model = model
        self._answerer = Answerer(settings, model, self._offline_verifier(settings))
        self._lister = Lister(settings, model)
        self._live = LiveIndex(folder, embedder, candidates=settings.candidates)

    @classmethod
    def open(
        cls,
        index: str | Path | None = None,
        *,
        settings: Settings | None = None,
        llm: LLM | None = None,
        embedder: Embedder | None = None,
        on_progress: OnProgress | None = None,
    ) -> Assistant:
        """Opens a library.

        Args:
            index: a library's name, or a path (with a slash, or a `Path`). None: the one in the
                settings, else the bundled library, which is indexed at the first use.
            settings: None reads them as `load_settings` does.
            llm: any LlamaIndex language model, to write the answers. None takes the one that the
                settings name; if they name none, answers are verbatim sentences.
            embedder: None takes the one that the settings name, else the bundled one.
            on_progress: told while the bundled library is indexed.

        Raises:
            SettingsError: a key or address for the model is missing.
            IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be used.
        """
        settings = resolve_settings(index, settings)
        model = checked_chat_model(settings, llm)
        embedder = embedder or make_embedder(settings)
        folder = resolve_index_folder(settings, embedder.name)
        try:
            return cls(folder, embedder, settings, model)
        except (IndexMissing, IndexDamaged, IndexStale):
            if settings.index is not None:
                raise
        index_bundled_library(settings, embedder, on_progress)
        return cls(folder, embedder, settings, model)

    @classmethod
    def build(
        cls,
        papers: Iterable[Paper | Refused],
        index: str | Path,
        *,
        settings: Settings | None = None,
        llm: LLM | None = None,
        embedder: Embedder | None = None,
        on_progress: OnProgress | None = None,
    ) -> Assistant:
        """Adds papers to a library, which is made if it is not there, and opens it.

        Args:
            papers: as `iter_papers` gives them; what was refused is passed over.
            index: a library's name, or a path.
            settings: None reads them as `load_settings` does.
            llm: as in `open`.
            embedder: as in `open`.
            on_progress: told after each block of papers.

        Raises:
            CorpusError: there is no paper.
            IndexLocked, IndexStale, IndexDamaged, DiskError: the index cannot be written.
        """
        settings = resolve_settings(index, settings)
        model = checked_chat_model(settings, llm)
        embedder = embedder or make_embedder(settings)
        update_library(papers, settings=settings, embedder=embedder, on_progress=on_progress)
        return cls(resolve_index_folder(settings, embedder.name), embedder, settings, model)

    @classmethod
    def build_from(
        cls, sources: str | Path | Sequence[str | Path], index: str | Path, **options: Any
    ) -> Assistant:
        """Like `build`, from files and folders; `options` are those of `build`."""
        from rag.readers import iter_papers

        return cls.build(iter_papers(sources), index, **options)

    def close(self) -> None:
        """Lets go of the index's files and the model's connections."""
        self._live.close()
        if self.model:
            self.model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """Of the index; it grows with every change."""
        with self._live.reading() as live:
            return live.index.manifest.generation

    @property
    def paper_count(self) -> int:
        """How many papers the library has."""
        with self._live.reading() as live:
            return live.index.manifest.paper_count

    def papers(self, *, where: Filter | None = None) -> list[Paper]:
        """Every paper of the library, or those that a filter lets through."""
        with self._live.reading() as live:
            return [stored.paper for stored in live.index.all_papers(where)]

    def resolve_ids(self, beginnings: Sequence[str]) -> tuple[str, ...]:
        """The ids that some papers are meant by: an id, an alias, or a beginning of one id.

        Raises:
            CorpusError: no paper, or several, are meant by a beginning.
        """
        with self._live.reading() as live:
            return tuple(live.index.resolve_id(each) for each in beginnings)

    def with_settings(self, settings: Settings, *, with_model: bool = True) -> Assistant:
        """The same open library, asked under other settings; cheap, and not to be closed.

        Args:
            settings: what concerns a question counts (`k`, `sentences`, `check_with_model`, ...).
            with_model: whether the language model writes, where there is one.
        """
        other = copy.copy(self)
        other.settings = settings
        other.model = self.model if with_model else None
        checker = self._offline_verifier(settings)
        other._answerer = Answerer(settings, other.model, checker)  # noqa: SLF001 - its own kind
        other._lister = Lister(settings, other.model)  # noqa: SLF001
        return other

    def search(
        self, question: str, *, k: int | None = None, where: Filter | None = None
    ) -> list[Hit]:
        """The `k` papers (None: the settings' count) that fit a question best, best first."""
        return list(self.retrieve(question, k=k, where=where).hits)

    def retrieve(
        self,
        question: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        candidates: int | None = None,
    ) -> Retrieval:
        """Like `search`, with what was seen on the way."""
        with self._live.reading() as live:
            return live.retriever.retrieve(
                question, k=k or self.settings.k, where=where, candidates=candidates
            )

    def ask(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
    ) -> Answer:
        """Answers a question from the library, or abstains.

        Args:
            question: any text.
            history: earlier turns, oldest first; a follow-up is understood with them.
            k: papers to answer from; None takes the settings'.
            where: restricts the papers.

        Raises:
            ModelRejected: the language model refused the call (key, name, request).
        """
        for event in self.stream(question, history=history, k=k, where=where):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """Like `ask`, as events; the last is `Done` with the whole answer.

        Closing the iterator ends a language model's work at once.
        """
        started = time.perf_counter()
        if history and self.model and needs_history(question):
            yield Status("Reading the question with the conversation")
        asked = understood(question, tuple(history), self.model, self.settings)
        if asked.text != question.strip():
            yield Status(f"Understood as: {asked.text}")
        with self._live.reading() as live:
            asked = understood_papers(asked, live.index, where)
            count = live.index.manifest.paper_count
        if asked.where:
            yield Status(f"Only papers {asked.where}")
        yield Status(f"Searching {count} papers")
        subject = subject_of_list(asked.text, narrowed=asked.where is not None)
        if asked.refused:
            answer = yield from self._answerer.refuse(asked)
        elif subject is not None:
            answer = yield from self._lister.answer(asked, subject, self._live)
        else:
            retrieval = self.retrieve(asked.text, k=k, where=asked.where)
            if asked.where != where:
                retrieval = of_named_authors(retrieval, asked.where)
            if asked.history:
                retrieval = with_previous(retrieval, asked, self.retrieve)
            answer = yield from self._answerer.answer(asked, retrieval)
        prices = self.settings.prices
        cost = compute_cost(answer.usage, answer.model, prices) if answer.model and prices else None
        yield Done(replace(answer, cost=cost, seconds=time.perf_counter() - started))

    def chat(self, *, where: Filter | None = None) -> Conversation:
        """A conversation: `ask` and `stream` with memory, to be saved and loaded."""
        return Conversation(self, where=where)

    def suggestions(self, answer: Answer) -> list[str]:
        """Next questions that the papers at hand can answer; none without a language model.

        Raises:
            ModelError: the model gave no reply.
        """
        if self.model is None or not answer.sources:
            return []
        papers = [hit for hit in answer.hits if hit.paper in answer.sources.values()]
        prompt = load_prompt("suggest_questions", self.settings.prompts)
        return suggest_questions(answer, papers, self.model, prompt)

    def as_retriever(self, *, k: int | None = None, where: Filter | None = None) -> Any:
        """This library as a LlamaIndex `BaseRetriever`, for engines of your own."""
        from rag.retrieval.llama_index import PapertrailRetriever

        return PapertrailRetriever(lambda question: self.search(question, k=k, where=where))

    def _offline_verifier(self, settings: Settings) -> OfflineVerifier:
        return OfflineVerifier(partial(token_embedder, self.embedder, settings.threads))
