"""Plans: what a question asks for, and of which papers.

A follow-up is rewritten by the language model where there is one, else combined with the question
before it. What it asks for is read by `rag.query.rules`. The assistant calls `Planner.plan` before
it searches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

from rag.citations.markers import remove_markers
from rag.errors import ModelError
from rag.index import Filter
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE
from rag.llm.tokens import count_tokens
from rag.prompts import load_prompt, neutral
from rag.query.filters import read_filters
from rag.query.rules import (
    asks_of_last_papers,
    find_pointed_numbers,
    is_follow_up,
    is_negation,
    may_follow_up,
    name_last_papers,
    read_list_subject,
    read_record_question,
)
from rag.text.terms import has_words, lexical_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.llm.reply import Usage
    from rag.papers import Paper
    from rag.query.filters import PaperCollection
    from rag.settings import Settings

Kind = Literal["answer", "list", "metadata"]
Field = Literal["authors", "year", "venue", "doi", "url"]
Order = Literal["", "oldest", "newest"]
_MOST_EXCHANGES = 4  # that the model reads
_LONGEST_REWRITTEN = 400  # characters, unless the question itself is long
_NEGATION = (
    "Without a language model a negation in a list is not applied. Ask which papers do it instead."
)
_FEWEST_TERMS = 2  # of a question that a follow-up may go on with
_LONGEST_READ = 1000  # characters; a longer text is searched for as it stands


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question and its answer, as far as planning needs them.

    Attributes:
        question: as the reader put it.
        standalone: as it was searched for.
        answer: text without markers.
        sources: shown number -> cited paper.
    """

    question: str
    standalone: str
    answer: str
    sources: Mapping[int, Paper]

    @property
    def paper_ids(self) -> tuple[str, ...]:
        """Ids of the cited papers, by shown number."""
        return tuple(self.sources[number].id for number in sorted(self.sources))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a question asks for.

    Attributes:
        question: as the reader put it.
        standalone: as it is searched for: a follow-up completed, filters taken out.
        kind: of the answer. "metadata" is answered from the records: the `fields` of some papers,
            the `order` of the papers that fit, or all papers that pass the filter.
        subject: what the papers of a list are about, else "". Of metadata, what the papers are
            called or about, "" for those of the conversation or the filter.
        where: the papers that it is asked of; None for all.
        queries: what to search for besides, in the library's language.
        fields: of the records that are asked for.
        order: which papers are asked for by their year.
        follows_up: whether the question was completed with the conversation.
        notes: sentences a reader should know.
        usage: spent on planning.
    """

    question: str
    standalone: str
    kind: Kind = "answer"
    subject: str = ""
    where: Filter | None = None
    queries: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    order: Order = ""
    follows_up: bool = False
    notes: tuple[str, ...] = ()
    usage: Usage = NO_USAGE


class Planner:
    """Plans questions, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model

    def needs_model(self, question: str, exchanges: Sequence[Exchange]) -> bool:
        """Return whether `plan` will call the model."""
        if self._model is None or not exchanges or asks_of_last_papers(question):
            return False
        return may_follow_up(question)

    def plan(
        self,
        question: str,
        exchanges: Sequence[Exchange],
        where: Filter | None,
        library: PaperCollection,
    ) -> Plan:
        """Return what a question asks for.

        Args:
            question: any text.
            exchanges: the conversation so far, oldest first.
            where: a restriction that holds anyway; it wins over what the question says.
            library: asked whether it has the years, authors and venues that are named.
        """
        if found := plan_records(question, exchanges, where, library):
            return found
        plan = self._complete(Plan(question, question.strip(), where=where), exchanges)
        plan = replace(plan, follows_up=plan.standalone != question.strip())
        if len(plan.standalone) > _LONGEST_READ:
            return plan
        this_year = datetime.now(UTC).year
        text, where, notes = read_filters(plan.standalone, library, plan.where, this_year=this_year)
        subject = read_list_subject(text, narrowed=where is not None)
        if subject and is_negation(subject) and self._model is None:
            notes = (*notes, _NEGATION)
        return replace(
            plan,
            standalone=text,
            kind="answer" if subject is None else "list" if subject else "metadata",
            subject=subject or "",
            where=where,
            notes=(*plan.notes, *notes),
        )

    def _complete(self, plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
        """Return the plan with a question that can be understood alone."""
        plan = _note_unknown(_restrict_to_cited(plan, exchanges), exchanges)
        if asks_of_last_papers(plan.standalone) or not exchanges or not has_words(plan.standalone):
            return plan
        if self._model and self.needs_model(plan.standalone, exchanges):
            return self._condense(plan, exchanges, self._model)
        return replace(plan, standalone=_combine(plan.standalone, exchanges))

    def _condense(self, plan: Plan, exchanges: Sequence[Exchange], model: ChatModel) -> Plan:
        """Return the plan with the question as the model rewrites it; by rules if it fails."""
        prompt = load_prompt("condense_question", self._settings.prompts)
        conversation = _render_conversation(exchanges[-_MOST_EXCHANGES:], model.window // 4)
        system, user = prompt.fill(conversation=conversation, question=neutral(plan.standalone))
        combined = replace(plan, standalone=_combine(plan.standalone, exchanges))
        try:
            reply = model.complete([Message("system", system), Message("user", user)])
        except ModelError as error:
            note = f"The follow-up was read without the model. {error}"
            return replace(combined, notes=(*plan.notes, note))
        lines = [line.strip().strip("\"'“”") for line in reply.text.splitlines() if line.strip()]
        text = remove_markers(lines[-1]) if lines else ""
        if text and len(text) <= max(_LONGEST_REWRITTEN, 2 * len(plan.standalone)):
            return replace(plan, standalone=text, usage=reply.usage)
        note = "The follow-up was read without the model, whose reply held no question."
        return replace(combined, notes=(*plan.notes, note), usage=reply.usage)


def plan_records(
    question: str,
    exchanges: Sequence[Exchange],
    given: Filter | None,
    library: PaperCollection,
) -> Plan | None:
    """Return the plan of a question to the records, or None if it is none; see `Planner.plan`."""
    plan = _note_unknown(Plan(question, question.strip(), where=given), exchanges)
    this_year = datetime.now(UTC).year
    text, where, notes = read_filters(question, library, given, this_year=this_year)
    asked = read_record_question(text) if len(question) <= _LONGEST_READ else None
    if asked is None:
        return None
    return replace(
        plan,
        kind="metadata",
        subject=asked.subject,
        where=where,
        fields=(cast("Field", asked.field),) if asked.field else (),
        order=cast("Order", asked.order),
        follows_up=asked.refers_back and where == given,
        notes=(*plan.notes, *notes),
    )


def _restrict_to_cited(plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
    """Restrict "which of these ...", and what follows it up, to the papers that were cited last."""
    cited = _find_scope(plan.standalone, exchanges)
    if cited:
        where = (plan.where or Filter()).and_also(Filter(ids=cited))
        return replace(plan, standalone=name_last_papers(plan.standalone), where=where)
    if cited is None:
        return plan
    note = "No earlier answer cites a paper, so all papers were asked."
    return replace(plan, notes=(*plan.notes, note))


def _find_scope(question: str, exchanges: Sequence[Exchange]) -> tuple[str, ...] | None:
    """Return the ids of the papers that a question is asked among, or None for all.

    A follow-up stays among the papers of the question before it.
    """
    if asks_of_last_papers(question):
        return next((each.paper_ids for each in reversed(exchanges) if each.sources), ())
    if exchanges and may_follow_up(question) and not find_pointed_numbers(question):
        return _find_scope(exchanges[-1].question, exchanges[:-1]) or None
    return None


def _note_unknown(plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
    """Add a note for each number in a follow-up that no earlier answer cites."""
    known = {number for each in exchanges for number in each.sources}
    numbers = find_pointed_numbers(plan.standalone) if exchanges else []
    notes = (f"The conversation has no citation [{n}]." for n in numbers if n not in known)
    return replace(plan, notes=(*plan.notes, *notes))


def _combine(question: str, exchanges: Sequence[Exchange]) -> str:
    """Return a follow-up with what it points to: papers by title, else the question before it."""
    sources = {number: paper for each in exchanges for number, paper in each.sources.items()}
    numbers = find_pointed_numbers(question)
    if titles := [sources[number].title for number in numbers if number in sources]:
        return f"{question} ({'; '.join(titles)})"
    if numbers or not is_follow_up(question):
        return question
    return f"{_find_topic(exchanges).standalone} {question}"


def _find_topic(exchanges: Sequence[Exchange]) -> Exchange:
    """Return the last exchange with a topic, unlike "Thanks!" or "who wrote it?"."""
    topics = (
        each
        for each in reversed(exchanges)
        if (each.sources or len(lexical_terms(each.question)) >= _FEWEST_TERMS)
        and read_record_question(each.question) is None
    )
    return next(topics, exchanges[-1])


def _render_conversation(exchanges: Sequence[Exchange], budget: int) -> str:
    """Return the newest exchanges that fit into a token budget, with the titles of their papers."""
    parts: list[str] = []
    for each in reversed(exchanges):
        titles = [f"source {n}: {neutral(paper.title)}" for n, paper in each.sources.items()]
        lines = [f"Reader: {neutral(each.question)}", f"Answer: {neutral(each.answer)}"]
        lines += [f"Sources of this answer: {'; '.join(titles)}"] if titles else []
        budget -= sum(count_tokens(line) + 2 for line in lines)
        if budget < 0:
            break
        parts[:0] = lines
    return "<conversation>\n" + "\n".join(parts) + "\n</conversation>" if parts else ""
