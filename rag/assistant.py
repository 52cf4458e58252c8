"""`Assistant`: a library that answers questions. The API for programmers, commands and page."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from rag.answer import Done, Turn
from rag.answer.conversation import Conversation
from rag.embedding import make_embedder
from rag.errors import CorpusError, IndexDamaged, IndexMissing, IndexStale, SettingsError
from rag.generation.job import Job
from rag.generation.pipeline import Pipeline
from rag.generation.suggestions import suggest_questions
from rag.generation.trace import Trace
from rag.index import Filter
from rag.index.keys import list_texts
from rag.library import (
    index_bundled_library,
    require_library,
    resolve_index_folder,
    resolve_settings,
    update_library,
)
from rag.llm import ChatModel, adapt_llm, make_chat_model, make_check_model
from rag.llm.cost import compute_cost
from rag.llm.reply import NO_USAGE
from rag.papers import require_papers
from rag.prompts import load_prompt
from rag.retrieval.live_index import LiveIndex
from rag.text.similar import list_similar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable
    from pathlib import Path

    from llama_index.core.llms import LLM

    from rag.answer import Answer, AnswerEvent
    from rag.embedding import Embedder
    from rag.index import OnProgress
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.retrieval import Hit, Retrieval
    from rag.settings import Settings

    # `Assistant.list` would stand for `list` in the annotations of its class.
    Hits = list[Hit]
    Papers = list[Paper]
    Questions = list[str]

_MOST_PAPERS = 1_000_000  # to retrieve
PROMPTS = (
    "answer",
    "answer_compact",
    "plan",
    "verify",
    "repair",
    "select_papers",
    "suggest_questions",
)


class Assistant:
    """Answers questions over one library. Open it with `open`, `build` or `build_from`.

    Threads may share it. When another process updates the index, the next question is answered from
    the new generation.
    """

    def __init__(
        self, folder: Path, embedder: Embedder, settings: Settings, model: ChatModel | None = None
    ) -> None:
        """Open the index in a folder. `Assistant.open` is the usual way in."""
        self.folder = folder
        self.settings = settings
        self.embedder = embedder
        self.model = model
        self.checker = make_check_model(settings) if model else None
        self._live = LiveIndex(folder, embedder, candidates=settings.candidates)
        self._pipeline = Pipeline(self._live, settings, model, self.checker)

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
        """Open a library.

        Args:
            index: a library's name, or a path (with a slash, or a `Path`). None opens the one in
                the settings, else the bundled library, which is indexed at the first use.
            settings: None loads them with `load_settings`.
            llm: any LlamaIndex language model, to write the answers. None takes the one that the
                settings name. Without one, answers are verbatim sentences.
            embedder: None takes the one that the settings name, else the bundled one.
            on_progress: called while the bundled library is indexed.

        Raises:
            SettingsError: a key or address for the model is missing, or an argument has another
                type.
            IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be read.
        """
        settings = resolve_settings(index, settings)
        model = _build_model(settings, llm)
        embedder = _choose_embedder(settings, embedder)
        folder = require_library(settings, embedder.name)
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
        """Add papers to a library, creating it if needed, and open it.

        Args:
            papers: as `iter_papers` yields them. Refused records are skipped.
            index: a library's name, or a path.
            settings: None loads them with `load_settings`.
            llm: as in `open`.
            embedder: as in `open`.
            on_progress: called after each block of papers.

        Raises:
            CorpusError: there is no paper.
            SettingsError: an argument has another type.
            IndexLocked, IndexStale, IndexDamaged, DiskError: the index cannot be written.
        """
        from rag.readers import Refused

        if not index:
            raise SettingsError("index is empty. Give the library a name, or a path.")
        records = require_papers(papers, or_also=Refused)
        settings = resolve_settings(index, settings)
        model = _build_model(settings, llm)
        embedder = _choose_embedder(settings, embedder)
        update_library(records, settings=settings, embedder=embedder, on_progress=on_progress)
        return cls(resolve_index_folder(settings, embedder.name), embedder, settings, model)

    @classmethod
    def build_from(
        cls, sources: str | Path | Sequence[str | Path], index: str | Path, **options: Any
    ) -> Assistant:
        """Build a library from files, folders and Zotero. `options` are those of `build`."""
        from rag.readers import iter_papers

        papers = iter_papers(sources, settings=options.get("settings"))
        return cls.build(papers, index, **options)

    def close(self) -> None:
        """Close the index's files and the models' connections."""
        self._live.close()
        for model in filter(None, (self.model, self.checker)):
            model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """Generation of the index. It grows with every change."""
        with self._live.reading() as live:
            return live.index.manifest.generation

    @property
    def paper_count(self) -> int:
        """Number of papers in the library."""
        return self._live.count()

    def papers(self, *, where: Filter | None = None) -> Papers:
        """Return every paper of the library, or those that a filter lets through."""
        _check_filter(where)
        return self._live.papers(where)

    def resolve_ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """Resolve ids, aliases, DOIs, citation keys, id prefixes or words of titles to paper ids.

        Raises:
            CorpusError: a name matches no paper, or several.
        """
        if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
            raise SettingsError(f"names takes a list of texts, not {names!r:.60}.")
        with self._live.reading() as live:
            return tuple(live.index.resolve_id(name) for name in names)

    def require_names(self, where: Filter) -> None:
        """Check that some paper is in each collection and has each tag of a filter.

        Raises:
            CorpusError: none is or has. The message names similar ones.
        """
        _check_filter(where)
        for name in where.collections:
            self._require(Filter(collections=(name,)), name, "collections")
        for name in where.tags:
            self._require(Filter(tags=(name,)), name, "tags")

    def _require(self, where: Filter, name: str, field: str) -> None:
        if not self._live.holds(where):
            known = chain(*(list_texts(paper, field) for paper in self._live.papers()))
            others = ", ".join(list_similar(name, known)) or "none"
            raise CorpusError(f"The library has no paper {where}. Its {field}: {others}.")

    def with_settings(self, settings: Settings, *, with_model: bool = True) -> Assistant:
        """Return a copy that shares the open index but uses other settings. Do not close it.

        Args:
            settings: those of a question count (`k`, `sentences`, `check_with_model`, ...).
            with_model: whether the language model writes, where there is one.
        """
        other = copy.copy(self)
        other.settings = resolve_settings(None, settings)
        other.model = self.model if with_model else None
        other._pipeline = Pipeline(  # noqa: SLF001 - same class
            self._live, settings, other.model, self.checker
        )
        return other

    def search(self, question: str, *, k: int | None = None, where: Filter | None = None) -> Hits:
        """Return the `k` papers (None: the setting) that fit a question best, best first."""
        return list(self.retrieve(question, k=k, where=where).hits)

    def retrieve(
        self,
        question: str,
        *,
        k: int | None = None,
        where: Filter | None = None,
        candidates: int | None = None,
    ) -> Retrieval:
        """Search like `search` and return the whole result, with terms and notes."""
        _check_text("question", question)
        _check_count("k", k)
        _check_count("candidates", candidates)
        _check_filter(where)
        return self._live.retrieve(
            question, k=k or self.settings.get_k(), where=where, candidates=candidates
        )

    def ask(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
        as_written: bool = False,
    ) -> Answer:
        """Answer a question from the library, or abstain.

        Args:
            question: any text that is not empty.
            history: earlier turns, oldest first. A follow-up is read with them.
            k: papers to answer from. None takes the setting.
            where: restricts the papers.
            as_written: search for the question as it stands: take no years, authors or venues out
                of it, complete no follow-up and correct no word.

        Raises:
            ModelRejected: the language model refused the call (key, name, request).
            SettingsError: an argument has another type, or the question is empty.
        """
        return _take_answer(
            self.stream(question, history=history, k=k, where=where, as_written=as_written)
        )

    def stream(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
        as_written: bool = False,
        trace: bool = False,
    ) -> Generator[AnswerEvent, None, None]:
        """Answer like `ask`, as events. The last one is `Done` with the whole answer.

        Closing the iterator stops a language model's work at once. With `trace`, a `Step` reports
        the result, the prompts, the replies and the seconds of each step when it has ended.
        """
        _check_question("question", question)
        _check_count("k", k)
        _check_filter(where)
        _check_history(history)
        pipeline = self._get_pipeline(trace=trace)
        return pipeline.run(question, history, k=k, where=where, as_written=as_written)

    async def asearch(
        self, question: str, *, k: int | None = None, where: Filter | None = None
    ) -> Hits:
        """Search like `search`, in a thread."""
        return await asyncio.to_thread(self.search, question, k=k, where=where)

    async def aask(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
        as_written: bool = False,
    ) -> Answer:
        """Answer like `ask`, in a thread of its own.

        Cancelling the task ends the request to the language model at once.
        """
        events = self.astream(question, history=history, k=k, where=where, as_written=as_written)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Done):
                    return event.answer
        raise AssertionError("a stream ends with Done")

    async def astream(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int | None = None,
        where: Filter | None = None,
        as_written: bool = False,
        trace: bool = False,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Answer like `stream`, in a thread of its own.

        Cancelling the task, or closing the iterator, ends the request to the language model at
        once. Leave the loop early only inside `contextlib.aclosing`, which closes it.
        """
        open_stream = partial(
            self.stream,
            question,
            history=history,
            k=k,
            where=where,
            as_written=as_written,
            trace=trace,
        )
        job = Job(open_stream)
        job.start()
        async with aclosing(job.iter_events()) as events:
            async for event in events:
                yield event

    def list(self, subject: str, *, where: Filter | None = None) -> Answer:
        """List every paper that fits a subject, with a score and a quoted sentence each.

        Args:
            subject: what the papers are about or do, in a few words.
            where: restricts the papers.

        Raises:
            ModelRejected: the language model refused the call.
            SettingsError: an argument has another type, or the subject is empty.
        """
        return _take_answer(self.stream_list(subject, where=where))

    def stream_list(
        self, subject: str, *, where: Filter | None = None, trace: bool = False
    ) -> Generator[AnswerEvent, None, None]:
        """List papers like `list`, as events like those of `stream`."""
        _check_question("subject", subject)
        _check_filter(where)
        return self._get_pipeline(trace=trace).run(subject, where=where, subject=subject)

    def _get_pipeline(self, *, trace: bool) -> Pipeline:
        self._live.require_open()
        if not trace:
            return self._pipeline
        return Pipeline(self._live, self.settings, self.model, self.checker, Trace())

    def chat(self, *, where: Filter | None = None) -> Conversation:
        """Start a conversation: `ask` and `stream` with memory, to save and load."""
        _check_filter(where)
        return Conversation(self, where=where)

    def suggestions(self, answer: Answer) -> Questions:
        """Return next questions that the papers at hand can answer. None without a model.

        Raises:
            ModelError: the model gave no reply.
        """
        if self.model is None or not answer.sources:
            return []
        papers = [hit for hit in answer.hits if hit.paper in answer.sources.values()]
        prompt = load_prompt("suggest_questions", self.settings.prompts)
        return suggest_questions(answer, papers, self.model, prompt)

    def as_retriever(self, *, k: int | None = None, where: Filter | None = None) -> Any:
        """Return this library as a LlamaIndex `BaseRetriever`, for engines of your own."""
        from rag.retrieval.llama_index import PapertrailRetriever

        _check_count("k", k)
        _check_filter(where)
        return PapertrailRetriever(
            partial(self.search, k=k, where=where), partial(self.asearch, k=k, where=where)
        )

    def as_query_engine(self, *, k: int | None = None, where: Filter | None = None) -> Any:
        """Return this library as a LlamaIndex `BaseQueryEngine` that gives checked answers.

        The source nodes of a response are the cited papers, with number, quotes and verdicts as
        metadata. The response's own metadata is `Answer.to_dict()`.
        """
        from rag.answer.llama_index import PapertrailQueryEngine

        _check_count("k", k)
        _check_filter(where)
        return PapertrailQueryEngine(
            partial(self.ask, k=k, where=where), partial(self.aask, k=k, where=where)
        )


def _build_model(settings: Settings, llm: LLM | None) -> ChatModel | None:
    """Build the chat model and load its prompts and prices, so a bad file costs no call."""
    model = (
        make_chat_model(settings)
        if llm is None
        else adapt_llm(
            llm,
            window=settings.chat_window,
            reserve=settings.chat_reserve,
            retries=settings.chat_retries,
        )
    )
    if model:
        for name in PROMPTS:
            load_prompt(name, settings.prompts)
    if settings.prices:
        compute_cost(NO_USAGE, "", settings.prices)
    return model


def _choose_embedder(settings: Settings, embedder: Embedder | None) -> Embedder:
    """Return the embedder, by default that of the settings.

    Raises:
        SettingsError: it is none.
    """
    if embedder is None:
        return make_embedder(settings)
    if not {"name", "dim", "embed"} <= set(dir(embedder)):
        raise SettingsError(
            f"embedder takes an Embedder, not {type(embedder).__name__}. Pass one such as "
            "load_minilm() returns, or name a folder with load_settings(embedder=...)."
        )
    return embedder


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str):
        raise SettingsError(f"{name} takes a text, not {type(text).__name__}.")


def _check_question(name: str, text: str) -> None:
    _check_text(name, text)
    if not text.strip():
        raise SettingsError(f"The {name} is empty. Write what you want to know.")


def _check_count(name: str, count: Any) -> None:
    is_number = isinstance(count, Integral) and not isinstance(count, bool)
    if count is not None and not (is_number and 1 <= count <= _MOST_PAPERS):
        raise SettingsError(
            f"{name} = {count!r:.60} is no number of papers. Give a whole number, 1 or more."
        )


def _check_filter(where: object) -> None:
    if where is not None and not isinstance(where, Filter):
        raise SettingsError(
            f"where takes a Filter, not {type(where).__name__}. Write, for example, "
            'Filter(authors=("Clark",), years=(2020, None)).'
        )


def _check_history(history: Any) -> None:
    is_list = isinstance(history, Sequence)
    if not (is_list and all(isinstance(turn, Turn) for turn in history)):
        raise SettingsError(
            "history takes turns, such as those of a Conversation: conversation.turns."
        )


def _take_answer(events: Generator[AnswerEvent, None, None]) -> Answer:
    for event in events:
        if isinstance(event, Done):
            return event.answer
    raise AssertionError("a stream ends with Done")
