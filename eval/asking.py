"""One question, asked of the assistant and judged: what becomes a record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from eval.records import Judged, JudgedFact, JudgedStatement, Record, Variant
from rag.answer import Answer, Done, Text, Turn
from rag.errors import ModelError, ModelRejected
from rag.index import Filter
from rag.llm.cost import compute_cost
from rag.llm.reply import Usage
from rag.papers import Paper
from rag.verification import VERDICTS, Claim, Quote, Verification
from rag.verification.verdict import READER_VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eval.judges import Judge
    from eval.questions import Fact, Question
    from rag.answer import Statement
    from rag.assistant import Assistant
    from rag.settings import Settings

RANKED = 20  # papers kept of every retrieval


@dataclass(frozen=True, slots=True)
class Task:
    """A question in one variant, and the cluster that its intervals are drawn over."""

    question: Question
    variant: Variant
    cluster: str

    @property
    def key(self) -> tuple[str, Variant]:
        """Id of the question and variant, as in a record."""
        return self.question.id, self.variant


def plan_tasks(questions: Sequence[Question], clusters: dict[str, str]) -> list[Task]:
    """Return the tasks of a run: each question, and two more variants where it has a paraphrase."""
    tasks = []
    for question in questions:
        variants: list[Variant] = ["asked"]
        if question.paraphrase:
            variants += ["paraphrase", "without gold"]
        tasks += [Task(question, variant, clusters[question.id]) for variant in variants]
    return tasks


def cluster_questions(questions: Sequence[Question]) -> dict[str, str]:
    """Map each question id to the first of the papers that it is tied to, or to itself."""
    parent: dict[str, str] = {}

    def root(paper: str) -> str:
        while parent.setdefault(paper, paper) != paper:
            paper = parent[paper]
        return paper

    for question in questions:
        for paper in question.anchors[1:]:
            parent[root(paper)] = root(question.anchors[0])
    return {q.id: root(q.anchors[0]) if q.anchors else q.id for q in questions}


def make_record(assistant: Assistant, judge: Judge, task: Task, every: Sequence[str]) -> Record:
    """Ask a question and judge the answer. A model that fails leaves a record that says so.

    Raises:
        ModelRejected: the language model refused the call.
    """
    question = task.question
    base = _begin_record(task)
    where = None
    if task.variant == "without gold":
        where = Filter(ids=tuple(p for p in every if p not in question.papers))
    try:
        answer, first_text_s = _ask(assistant, base.question, _history(question), where)
    except ModelRejected:
        raise
    except ModelError as error:
        return base.model_copy(update={"failed": str(error)})
    if answer.model_error:
        return base.model_copy(update={"failed": answer.model_error, "usage": answer.usage})
    before = judge.usage
    statements, facts = _judge(judge, question.facts if base.is_factual else (), answer)
    used = _since(before, judge.usage)
    return base.model_copy(
        update={
            "ranked": _rank(assistant, answer, where),
            "first_text_s": first_text_s,
            "answer": _mark_verbatim_quotes(answer),
            "statements": statements,
            "facts": facts,
            "judge_usage": used,
            "judge_cost": _cost(used, judge, assistant.settings),
        }
    )


def _ask(
    assistant: Assistant, question: str, history: tuple[Turn, ...], where: Filter | None
) -> tuple[Answer, float | None]:
    """Return the answer, and the seconds until its first text; None for one without text."""
    started, first = time.perf_counter(), None
    for event in assistant.stream(question, history=history, where=where):
        if isinstance(event, Text) and first is None:
            first = time.perf_counter() - started
        if isinstance(event, Done):
            return event.answer, first
    raise AssertionError("a stream ends with Done")


def _rank(assistant: Assistant, answer: Answer, where: Filter | None) -> tuple[str, ...]:
    """Return the ids of the nearest papers: those a model read, as its plan ranked them, first."""
    is_planned = answer.mode == "model" and answer.kind == "answer"
    read = [hit.paper.id for hit in answer.hits] if is_planned else []
    more = [hit.paper.id for hit in assistant.search(answer.asked, k=RANKED, where=where)]
    return tuple(dict.fromkeys((*read, *more)))[:RANKED]


def _begin_record(task: Task) -> Record:
    """Return the record of a question before it is asked."""
    question = task.question
    gold = () if task.variant == "without gold" else question.papers
    return Record(
        id=question.id,
        variant=task.variant,
        kind=question.kind,
        split=question.split,
        cluster=task.cluster,
        question=question.paraphrase if task.variant == "paraphrase" else question.question,
        near_miss=question.near_miss_of is not None,
        gold=gold,
        borderline=question.borderline,
        evidence=tuple(e.quote for e in question.evidence) if gold else (),
        opposing=tuple(e.quote for e in question.opposing) if gold else (),
        reference=question.answer,
    )


def _history(question: Question) -> tuple[Turn, ...]:
    """Return earlier turns as the question gives them. Their answers cite nothing."""
    return tuple(
        Turn(
            turn.question,
            Answer(turn.question, turn.question, turn.answer, (), (), "answered", "quotes"),
        )
        for turn in question.history
    )


def _mark_verbatim_quotes(answer: Answer) -> dict[str, Any]:
    """Return the answer as values. Every quote says whether it stands in its field."""
    values = answer.to_dict()
    papers = {paper.id: paper for paper in answer.sources.values()}
    for statement in values["statements"]:
        for citation in statement["citations"]:
            for quote in citation["quotes"]:
                quote["verbatim"] = Quote(**quote).stands_in(papers[citation["paper"]])
    return values


def _judge(
    judge: Judge, facts: Sequence[Fact], answer: Answer
) -> tuple[tuple[JudgedStatement, ...], tuple[JudgedFact, ...]]:
    """Return verdicts on the statements and on the facts that the answer should hold."""
    if answer.status == "abstained":
        return (), ()
    statements = [s for s in answer.statements if s.claim and not s.names_paper]
    shown = tuple(hit.paper for hit in answer.hits)
    said = _render_paper(answer)
    claims = list(chain.from_iterable(_list_claims(s, shown) for s in statements))
    claims += [Claim(fact.text, (said,)) for fact in facts]
    found = map(_verdict, judge.check(claims))
    judged = tuple(_read_statement(statement, found) for statement in statements)
    return judged, tuple(JudgedFact(fact=fact, found=next(found)) for fact in facts)


def _render_paper(answer: Answer) -> Paper:
    """Return an answer as a paper, by which its facts are judged."""
    titles = "; ".join(paper.title for paper in answer.sources.values())
    return Paper("answer", titles, " ".join(statement.text for statement in answer.statements))


def _list_claims(statement: Statement, shown: tuple[Paper, ...]) -> list[Claim]:
    """Return a statement against all papers shown, those it cites, and each of several cited."""
    cited = tuple(citation.paper for citation in statement.citations)
    against = [shown, *([cited] if cited else [])]
    against += [(paper,) for paper in cited] if len(cited) > 1 else []
    return [Claim(statement.text, papers, statement.context) for papers in against]


def _read_statement(statement: Statement, found: Iterator[Judged]) -> JudgedStatement:
    """Return the verdicts on a statement, in the order of `_list_claims`."""
    ids = [citation.paper.id for citation in statement.citations]
    shown = next(found)
    cited = next(found) if ids else None
    each = {paper: next(found) for paper in ids} if len(ids) > 1 else {}
    if len(ids) == 1 and cited:
        each = {ids[0]: cited}
    return JudgedStatement(text=statement.text, shown=shown, cited=cited, each=each)


def _since(before: Usage, now: Usage) -> Usage:
    return Usage(
        now.calls - before.calls,
        now.prompt_tokens - before.prompt_tokens,
        now.completion_tokens - before.completion_tokens,
        now.estimated,
    )


def _cost(used: Usage, judge: Judge, settings: Settings) -> str | None:
    if not (used.calls and judge.model and settings.prices):
        return None
    return compute_cost(used, judge.model, settings.prices)


def _verdict(found: Verification) -> Judged:
    """Return a judge's verdict. "quoted" counts as "supported", and "unchecked" is unscored."""
    opinion = "supported" if VERDICTS[found.verdict].holds else None
    verdict = found.verdict if found.verdict in READER_VERDICTS else opinion
    return Judged.model_validate({"verdict": verdict, "reason": found.reason})
