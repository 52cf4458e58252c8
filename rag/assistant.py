"""`Assistant`: a library one can ask. It wires index, retrieval, writer and verification.

This is the programmer's door; the command and the page go through it too.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rag.answer import Answer, AnswerEvent, Done, Status
from rag.answering import Answerer, Asked
from rag.conversation import Conversation
from rag.errors import IndexDamaged, IndexMissing, IndexStale, ModelError
from rag.followups import condensed_question, joined_question, needs_history, suggested
from rag.index import Filter
from rag.libraries import index_bundled, index_folder, update_library
from rag.models import ChatModel, make_chat_model, make_embedder
from rag.models.reply import NO_USAGE
from rag.prices import cost_of
from rag.prompts import load_prompt
from rag.retrieval.live import LiveIndex
from rag.settings import Settings, load_settings
from rag.verification.offline import OfflineVerifier

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from llama_index.core.llms import LLM

    from rag.answer import Turn
    from rag.index import OnProgress
    from rag.minilm import MiniLM
    from rag.models import Embedder
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.retrieval import Hit, Retrieval


PROMPTS = ("answer", "condense_question", "verify", "suggest_questions")


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
        self._answerer = Answerer(settings, model, OfflineVerifier(self._token_embedder))
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
        settings = _settings(settings, index)
        model = _chat_model(settings, llm)
        embedder = embedder or make_embedder(settings)
        folder = index_folder(settings, embedder.name)
        try:
            return cls(folder, embedder, settings, model)
        except (IndexMissing, IndexDamaged, IndexStale):
            if settings.index is not None:
                raise
        index_bundled(settings, embedder, on_progress)
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
        settings = _settings(settings, index)
        model = _chat_model(settings, llm)
        embedder = embedder or make_embedder(settings)
        update_library(papers, settings=settings, embedder=embedder, on_progress=on_progress)
        return cls(index_folder(settings, embedder.name), embedder, settings, model)

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

    def papers(self) -> list[Paper]:
        """Every paper of the library."""
        with self._live.reading() as live:
            return [stored.paper for stored in live.index.all_papers()]

    def varied(self, settings: Settings, *, with_model: bool = True) -> Assistant:
        """The same open library, asked under other settings; cheap, and not to be closed.

        Args:
            settings: what concerns a question counts (`k`, `sentences`, `check_with_model`, ...).
            with_model: whether the language model writes, where there is one.
        """
        other = copy.copy(self)
        other.settings = settings
        other.model = self.model if with_model else None
        verifier = OfflineVerifier(other._token_embedder)  # noqa: SLF001 - its own kind
        other._answerer = Answerer(settings, other.model, verifier)  # noqa: SLF001
        return other

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
        with self._live.reading() as live:
            return live.retriever.retrieve(question, k=k or self.settings.k, where=where)

    def ask(
        self, question: str, *, history: Sequence[Turn] = (), where: Filter | None = None
    ) -> Answer:
        """Answers a question from the library, or abstains.

        Args:
            question: any text.
            history: earlier turns, oldest first; a follow-up is understood with them.
            where: restricts the papers.

        Raises:
            ModelRejected: the language model refused the call (key, name, request).
        """
        for event in self.stream(question, history=history, where=where):
            if isinstance(event, Done):
                return event.answer
        raise AssertionError("a stream ends with Done")

    def stream(
        self, question: str, *, history: Sequence[Turn] = (), where: Filter | None = None
    ) -> Generator[AnswerEvent, None, None]:
        """Like `ask`, as events; the last is `Done` with the whole answer.

        Closing the iterator ends a language model's work at once.
        """
        started = time.perf_counter()
        if history and self.model and needs_history(question):
            yield Status("Reading the question with the conversation")
        asked = self._understood(question, tuple(history))
        if asked.text != question.strip():
            yield Status(f"Understood as: {asked.text}")
        yield Status(f"Searching {self.paper_count} papers")
        retrieval = self.retrieve(asked.text, where=where)
        if asked.history:
            retrieval = self._with_previous(retrieval, asked.history[-1], where)
        answer = yield from self._answerer.answer(asked, retrieval)
        cost = None
        if answer.model and self.settings.prices:
            cost = cost_of(answer.usage, answer.model, self.settings.prices)
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
        return suggested(
            answer, papers, self.model, load_prompt("suggest_questions", self.settings.prompts)
        )

    def as_retriever(self, *, k: int | None = None, where: Filter | None = None) -> Any:
        """This library as a LlamaIndex `BaseRetriever`, for engines of your own."""
        from rag.retrieval.llama_index import PapertrailRetriever

        return PapertrailRetriever(lambda question: self.search(question, k=k, where=where))

    def _understood(self, question: str, history: tuple[Turn, ...]) -> Asked:
        """The question as it is searched for: rewritten when, and only when, it needs the past."""
        text = question.strip()
        if not history:
            return Asked(question, text)
        if not needs_history(text):
            return Asked(question, text, history)
        if self.model is None:
            return Asked(question, joined_question(text, history), history)
        prompt = load_prompt("condense_question", self.settings.prompts)
        try:
            text, usage = condensed_question(text, history, model=self.model, prompt=prompt)
        except ModelError as error:
            warning = f"The follow-up was joined to the last question, for want of a model: {error}"
            return Asked(question, joined_question(text, history), history, warnings=(warning,))
        return Asked(question, text, history, usage)

    def _with_previous(self, retrieval: Retrieval, turn: Turn, where: Filter | None) -> Retrieval:
        """What was found, with the papers that the last answer cited behind it."""
        found = {hit.paper.id for hit in retrieval.hits}
        cited = tuple(p.id for p in turn.answer.sources.values() if p.id not in found)
        if not cited or not retrieval.hits:
            return retrieval
        allowed = replace(where or Filter(), ids=cited)
        more = self.retrieve(retrieval.question, k=len(cited), where=allowed)
        last = len(retrieval.hits)
        least = retrieval.hits[-1].score
        added = tuple(
            replace(hit, rank=last + hit.rank, score=min(hit.score, least)) for hit in more.hits
        )
        return replace(retrieval, hits=(*retrieval.hits, *added))

    def _token_embedder(self) -> MiniLM:
        """The bundled embedder, which the offline check reads with whatever the index uses."""
        from rag.minilm import MiniLM, load_minilm

        if isinstance(self.embedder, MiniLM):
            return self.embedder
        return load_minilm(threads=self.settings.threads)


def _settings(settings: Settings | None, index: str | Path | None) -> Settings:
    settings = settings if settings is not None else load_settings()
    if index is None:
        return settings
    named = str(index.absolute()) if isinstance(index, Path) else index
    return settings.model_copy(update={"index": named})


def _chat_model(settings: Settings, llm: LLM | None) -> ChatModel | None:
    """The model, after the files that its answers need were read once: a bad one costs no call."""
    model = (
        make_chat_model(settings) if llm is None else ChatModel(llm, window=settings.chat_window)
    )
    if model:
        for name in PROMPTS:
            load_prompt(name, settings.prompts)
    if settings.prices:
        cost_of(NO_USAGE, "", settings.prices)
    return model
