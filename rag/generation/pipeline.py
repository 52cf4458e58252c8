"""The pipeline: from a question to a checked answer. Each step is one package, entered once.

    plan (query) -> retrieve (retrieval) -> write (generation) -> check (verification)
    -> repair once (generation) -> Answer

Called by `Assistant` for every question.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rag.answer import Answer, Done, Status, Verified
from rag.citations.markers import remove_markers
from rag.errors import ModelError, ModelRejected, SettingsError
from rag.generation.abstention import abstain, assess
from rag.generation.check import DraftChecker, note_unread, remove_unsupported
from rag.generation.compact import DOUBT, NOT_ASKED, may_answer
from rag.generation.draft import shown_numbers
from rag.generation.listing import CANDIDATES, ListWriter, Scope
from rag.generation.llm import settle_status, write_with_model
from rag.generation.metadata import write_metadata
from rag.generation.quotes import add_quotations, write_quotes
from rag.generation.reasons import explain_abstention
from rag.generation.relevance import drop_notices
from rag.generation.repair import Repairer
from rag.index import Filter
from rag.llm.cost import compute_cost
from rag.llm.reply import NO_USAGE, get_usage
from rag.query.plan import Exchange, Plan
from rag.query.planner import Planner
from rag.query.rules import mentions_papers
from rag.retrieval import Retrieval
from rag.retrieval.fusion import NAME_BONUS
from rag.retrieval.roles import remove_notices
from rag.retrieval.spelling import correct_words

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, StepName, Turn
    from rag.generation.draft import Draft
    from rag.generation.trace import Result, Trace
    from rag.llm import ChatModel
    from rag.retrieval.live_index import LiveIndex
    from rag.retrieval.roles import Roles
    from rag.settings import Settings

FEW_PAPERS = 3  # of an author, or of the last answer: naming these names them, as a title would
OFFER_LIST = "For every paper that fits, use `rag list SUBJECT` or the List switch of the page."


class Pipeline:
    """Answers questions over one library, with a language model where there is one."""

    def __init__(
        self,
        library: LiveIndex,
        settings: Settings,
        model: ChatModel | None,
        checker: ChatModel | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Connect the steps. The model checks its answers where there is no other checker.

        A trace reports the steps of one answer.
        """
        settings = settings.fit_to_model(model.name if model else None)
        if trace:
            model, checker = trace.record(model), trace.record(checker)
        self._library = library
        self._settings = settings
        self._model = model
        self._trace = trace
        self._planner = Planner(settings, model)
        self._lister = ListWriter(settings, model)
        self._checker = DraftChecker(settings, checker or model)
        self._repairer = Repairer(library, self._checker, settings, model)

    def run(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        k: int | None = None,
        where: Filter | None = None,
        subject: str | None = None,
        as_written: bool = False,
    ) -> Generator[AnswerEvent, None, None]:
        """Yield events as the answer is made. The last one is `Done` with the answer.

        Args:
            question: any text.
            history: earlier turns, oldest first.
            k: papers to answer from. None takes the setting.
            where: restricts the papers.
            subject: lists every paper that fits it, and plans nothing. None plans the question.
            as_written: search for the question as it stands.

        Raises:
            ModelRejected: the language model refused a call.
        """
        started = time.perf_counter()
        plan = yield from self._follow(
            "plan", self._plan(question, history, where, subject, as_written=as_written)
        )
        retrieval = yield from self._follow("retrieve", self._retrieve(plan, k))
        draft = yield from self._follow("write", self._write(plan, retrieval, history))
        plan = replace(plan, kind=draft.kind or plan.kind)
        if plan.kind == "answer" and draft.status != "abstained":
            draft = yield from self._follow("check", self._checker.check(plan.standalone, draft))
            draft = yield from self._follow("repair", self._repairer.repair(plan, draft, history))
            if self._settings.unsupported == "remove":
                draft = remove_unsupported(draft)
                yield Verified(draft.statements, draft.checker, draft.text)
        if draft.mode == "model" and plan.kind == "answer":
            draft = settle_status(note_unread(draft), shown_numbers(history))
            if draft.status == "abstained":
                draft = yield from self._quote_below(retrieval, draft, history)
        yield Done(self._finish(plan, where, retrieval, draft, time.perf_counter() - started))

    def _follow(
        self, name: StepName, step: Generator[AnswerEvent, None, Result]
    ) -> Generator[AnswerEvent, None, Result]:
        """Return a step, which also reports itself where there is a trace."""
        return self._trace.follow(name, step) if self._trace else step

    def _plan(
        self,
        question: str,
        history: Sequence[Turn],
        where: Filter | None,
        subject: str | None,
        *,
        as_written: bool,
    ) -> Generator[AnswerEvent, None, Plan]:
        if subject is not None:
            plan = Plan(question, question.strip(), "list", subject.strip(), where)
            return self._correct_words(plan)
        exchanges = [
            Exchange(
                turn.question,
                turn.answer.asked,
                remove_markers(turn.answer.text),
                turn.answer.sources,
                answered=turn.answer.status != "abstained",
            )
            for turn in history
        ]
        asks_model = self._planner.asks_model(question)
        if asks_model:
            yield Status("Planning the search")
        plan = self._planner.plan(question, exchanges, where, self._library, as_written=as_written)
        if not (as_written or asks_model):
            plan = self._correct_words(plan)
        if plan.standalone != question.strip():
            yield Status(f"Understood as: {plan.standalone}")
        if plan.where:
            yield Status(f"Only papers {self._describe_filter(plan.where)}")
        return plan

    def _correct_words(self, plan: Plan) -> Plan:
        """Return the plan with words that the library does not know corrected, and a note."""
        found = self._library.find_corrections(plan.standalone)
        if not found:
            return plan
        correct = partial(correct_words, corrections=found)
        words = ", ".join(f"“{word}”" for word in dict.fromkeys(found.values()))
        return replace(
            plan,
            standalone=correct(plan.standalone),
            subject=correct(plan.subject),
            focus=correct(plan.focus),
            notes=(*plan.notes, f"Showing results for {words}."),
        )

    def _describe_filter(self, where: Filter) -> str:
        """Return a restriction in words, with the title of a single paper in place of its id."""
        papers = self._library.papers(Filter(ids=where.ids), 2) if where.ids else ()
        if len(papers) != 1:
            return str(where)
        others = str(replace(where, ids=None))
        return ", ".join(filter(None, [others, f"called “{papers[0].title}”"]))

    def _retrieve(self, plan: Plan, k: int | None) -> Generator[AnswerEvent, None, Retrieval]:
        """Return the papers found. A follow-up also gets those that the last answer cited."""
        yield Status(f"Searching {self._library.count()} papers")
        if plan.kind == "metadata" and not plan.subject:
            return Retrieval("", ())
        if plan.kind != "answer":
            return self._library.retrieve(
                plan.subject,
                k=CANDIDATES,
                where=plan.where,
                queries=plan.queries,
                candidates=CANDIDATES,
            )
        with_model, with_plan = self._model is not None, bool(plan.queries)
        k = k or self._settings.get_k(with_model=with_model, with_plan=with_plan)
        found = self._library.retrieve(plan.standalone, k=k, where=plan.where, queries=plan.queries)
        if plan.where and plan.where.authors and len(found.hits) <= FEW_PAPERS:
            found = replace(found, hits=tuple(replace(hit, named=True) for hit in found.hits))
        if plan.follows_up or plan.leans:
            found = self._add_cited(plan, found)
        return self._library.compare_sentences(plan.focus, found) if plan.focus else found

    def _add_cited(self, plan: Plan, found: Retrieval) -> Retrieval:
        """Add the papers that the last answer cites, as the first ones if the question leans."""
        is_chosen = plan.where is not None and plan.where.ids is not None
        if not plan.cited or not found.hits or is_chosen:  # nothing beyond the papers chosen
            return found
        best, least = found.hits[0].score, found.hits[-1].score
        hits = list(found.hits)
        if missing := tuple({*plan.cited} - {hit.paper.id for hit in hits}):
            where = replace(plan.where or Filter(), ids=missing)
            more = self._library.retrieve(plan.standalone, k=len(missing), where=where).hits
            hits += [replace(hit, score=min(hit.score, least)) for hit in more]
        if plan.leans and len(plan.cited) <= FEW_PAPERS:
            raised = best + NAME_BONUS
            hits = [replace(h, score=raised) if h.paper.id in plan.cited else h for h in hits]
            hits.sort(key=lambda hit: -hit.score)
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1)]
        return replace(found, hits=tuple(hits))

    def _write(
        self, plan: Plan, retrieval: Retrieval, history: Sequence[Turn]
    ) -> Generator[AnswerEvent, None, Draft]:
        """Write with the writer that the plan asks for. Quotes stand in for a model that fails."""
        if plan.kind == "metadata":
            return (yield from write_metadata(plan, retrieval, self._library, history))
        if plan.kind == "list":
            with self._library.reading() as live:
                with_words = live.index.count_with_words(retrieval.terms, plan.where)
                scope = Scope(live.index.count(plan.where), len(retrieval.hits), with_words)
            hits = drop_notices(retrieval.hits, self._library.judge_roles)
            retrieval = replace(retrieval, hits=hits)
            return (yield from self._lister.write(plan, retrieval, scope, history))
        settings = self._settings
        failed, used = plan.unreachable, NO_USAGE
        found = assess(retrieval, threshold=settings.confidence)
        is_asked = not settings.compact or may_answer(found)  # a large one refuses by itself
        if self._model and retrieval.hits and is_asked and not failed:
            try:
                draft = yield from write_with_model(
                    plan,
                    retrieval.hits,
                    history,
                    model=self._model,
                    settings=settings,
                    count=self._library.count(plan.where),
                    confidence=found.confidence,
                    roles=self._judge_roles(retrieval) if settings.compact else None,
                )
                in_doubt = [DOUBT] if settings.compact and not found.answerable else []
                return replace(draft, warnings=(*draft.warnings, *in_doubt))
            except ModelRejected:
                raise
            except (ModelError, SettingsError) as error:
                yield Status("The model did not answer; choosing verbatim sentences instead")
                failed, used = str(error), get_usage(error)
        if retrieval.hits:
            roles = self._judge_roles(retrieval)
            draft = yield from write_quotes(
                replace(retrieval, hits=remove_notices(retrieval.hits, roles)),
                roles,
                history,
                most=settings.sentences,
                found=found,
                explain=partial(self._explain, retrieval.question),
            )
        else:
            draft = yield from abstain((), found.reason, found.confidence)
        if not failed:
            notes = (NOT_ASKED,) if self._model and not is_asked else ()
            return replace(draft, warnings=(*draft.warnings, *notes))
        instead = " These are verbatim sentences instead." if draft.statements else ""
        return replace(draft, warnings=(f"{failed}{instead}",), model_error=failed, usage=used)

    def _quote_below(
        self, retrieval: Retrieval, draft: Draft, history: Sequence[Turn]
    ) -> Generator[AnswerEvent, None, Draft]:
        """Add the sentences that quotes would show to what a model wrote without an answer."""
        roles = self._judge_roles(retrieval)
        shown = replace(retrieval, hits=remove_notices(retrieval.hits, roles))
        most = self._settings.sentences
        return (yield from add_quotations(shown, roles, draft, history, most=most))

    def _judge_roles(self, retrieval: Retrieval) -> Roles:
        return self._library.judge_roles([hit.paper.id for hit in retrieval.hits])

    def _explain(self, question: str, sentences: Sequence[str]) -> str:
        with self._library.reading() as live:
            return explain_abstention(question, sentences, live.index)

    def _finish(
        self,
        plan: Plan,
        where: Filter | None,
        retrieval: Retrieval,
        draft: Draft,
        seconds: float,
    ) -> Answer:
        usage = plan.usage + draft.usage
        prices = self._settings.prices
        has_one_price = draft.checker is None or draft.checker.name == draft.model
        is_planned = plan.usage.calls > 0  # then the model has decided that it is no list
        offers_list = (
            not (is_planned or plan.subject)
            and plan.kind == "answer"
            and mentions_papers(plan.question)
        )
        return Answer(
            question=plan.question,
            asked=plan.standalone,
            text=draft.text,
            statements=draft.statements,
            hits=draft.hits,
            status=draft.status,
            kind=plan.kind,
            mode=draft.mode,
            reason=draft.reason,
            closest=draft.closest,
            model=draft.model,
            checker=draft.checker,
            scope=self._describe_filter(plan.where) if plan.where else "",
            narrowed=(plan.where or Filter()) != (where or Filter()),
            confidence=draft.confidence,
            usage=usage,
            cost=(
                compute_cost(usage, draft.model, prices)
                if draft.model and prices and has_one_price
                else None
            ),
            seconds=seconds,
            warnings=(
                *plan.notes,
                *retrieval.notes,
                *draft.warnings,
                *((OFFER_LIST,) if offers_list else ()),
            ),
            model_error=draft.model_error,
        )
