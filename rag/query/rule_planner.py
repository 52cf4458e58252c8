"""Plan a question without a language model, by the phrasings of `rag.query.rules`.

A follow-up is searched for together with the question before it, or with the titles of the papers
that it points to.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from rag.index import Filter
from rag.query.filters import read_filters
from rag.query.plan import NOTHING_CITED, find_last_cited, list_sources
from rag.query.rules import (
    asks_of_last_papers,
    exchange_name,
    find_pointed_numbers,
    has_content,
    is_follow_up,
    is_negation,
    may_follow_up,
    may_lean,
    name_last_papers,
    read_list_subject,
    read_record_question,
)
from rag.text.terms import has_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.query.filters import PaperCollection
    from rag.query.plan import Exchange, Field, Order, Plan
    from rag.query.rules import RecordQuestion

_NEGATION = (
    "Without a language model a negation in a list is not applied. Ask which papers do it instead."
)
_LONGEST_READ = 1000  # characters; a longer text is searched for as it stands


def plan_by_rules(
    plan: Plan,
    exchanges: Sequence[Exchange],
    library: PaperCollection,
    *,
    with_model: bool = False,
) -> Plan:
    """Return what a question asks for.

    Args:
        plan: holds the question and a filter that holds anyway.
        exchanges: the conversation so far, oldest first.
        library: asked whether it has the years, authors and venues that are named.
        with_model: whether a language model will read the papers of a list, negations too.
    """
    read = _read_filters(plan, library)
    is_long = len(plan.standalone) > _LONGEST_READ
    if not is_long and (asked := read_record_question(read.standalone)):
        return _plan_records(read, asked, exchanges, plan.where)
    completed = complete_by_rules(plan, exchanges)
    if completed != plan:
        read = _read_filters(completed, library)
    if len(read.standalone) > _LONGEST_READ:
        return read
    subject = read_list_subject(read.standalone, narrowed=read.where is not None)
    negated = bool(subject) and is_negation(subject or "") and not with_model
    return replace(
        read,
        kind="answer" if subject is None else "list" if subject else "metadata",
        subject=subject or "",
        notes=(*read.notes, *((_NEGATION,) if negated else ())),
    )


def complete_by_rules(plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
    """Return the plan with a question that can be understood alone, and nothing else read in it.

    A follow-up gets what it points to: papers by title, else the question before it.
    """
    plan = _note_unknown(_restrict_to_cited(plan, exchanges), exchanges)
    question, topic = plan.standalone, _find_topic(exchanges)
    if asks_of_last_papers(question) or not has_words(question):
        return plan
    sources = list_sources(exchanges)
    numbers = find_pointed_numbers(question)
    if titles := [sources[number].title for number in numbers if number in sources]:
        completed = f"{question} ({'; '.join(titles)})"
    elif numbers or not topic:
        return plan
    elif is_follow_up(question):
        completed = f"{topic} {question}"
    else:
        renamed = exchange_name(question, topic)
        return replace(plan, standalone=renamed or question, leans=may_lean(question))
    focus = question if has_content(question) else ""
    return replace(plan, standalone=completed, follows_up=True, focus=focus, leans=True)


def _read_filters(plan: Plan, library: PaperCollection) -> Plan:
    """Return the plan with the years, authors and venues of a question that is not too long."""
    if plan.as_written or len(plan.standalone) > _LONGEST_READ:
        return plan
    this_year = datetime.now(UTC).year
    text, where, notes = read_filters(plan.standalone, library, plan.where, this_year=this_year)
    return replace(
        plan,
        standalone=text,
        where=where,
        ignores_filter=bool(notes),
        notes=(*plan.notes, *notes),
    )


def _plan_records(
    plan: Plan, asked: RecordQuestion, exchanges: Sequence[Exchange], given: Filter | None
) -> Plan:
    """Return the plan of a question to the records, whose filters are read."""
    return replace(
        _note_unknown(plan, exchanges),
        standalone=plan.question.strip(),
        kind="metadata",
        subject=asked.subject,
        fields=(cast("Field", asked.field),) if asked.field else (),
        order=cast("Order", asked.order),
        follows_up=asked.refers_back and plan.where == given,
    )


def _restrict_to_cited(plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
    """Restrict "which of these ...", and what follows it up, to the papers that were cited last."""
    cited = None if plan.as_written else _find_scope(plan.standalone, exchanges)
    if cited:
        where = (plan.where or Filter()).and_also(Filter(ids=cited))
        return replace(plan, standalone=name_last_papers(plan.standalone), where=where)
    if cited is None:
        return plan
    return replace(plan, notes=(*plan.notes, NOTHING_CITED))


def _find_scope(question: str, exchanges: Sequence[Exchange]) -> tuple[str, ...] | None:
    """Return the ids of the papers that a question is asked among, or None for all.

    A follow-up stays among the papers of the question before it, whatever was said in between.
    """
    if asks_of_last_papers(question):
        return find_last_cited(exchanges)
    if not exchanges or not may_follow_up(question) or find_pointed_numbers(question):
        return None
    *earlier, last = exchanges
    continues = last.answered or asks_of_last_papers(last.question) or may_follow_up(last.question)
    return _find_scope(last.question if continues else question, earlier) or None


def _note_unknown(plan: Plan, exchanges: Sequence[Exchange]) -> Plan:
    """Add a note for each number in a follow-up that no earlier answer cites."""
    known = list_sources(exchanges)
    numbers = find_pointed_numbers(plan.standalone) if exchanges else []
    notes = (f"The conversation has no citation [{n}]." for n in numbers if n not in known)
    return replace(plan, notes=(*plan.notes, *notes))


def _find_topic(exchanges: Sequence[Exchange]) -> str:
    """Return the last question that was answered, rather not one like "who wrote it?".

    A short one that stayed with the papers before it is no topic without the question before it.
    """
    answered = [each for each in exchanges if each.answered]
    topics = [each for each in answered if read_record_question(each.question) is None] or answered
    if not topics:
        return ""
    *earlier, last = topics
    if before := last.standalone.removesuffix(last.question.strip()).strip():
        return before  # what it was completed with, so that follow-ups do not pile up
    is_complete = last.standalone != last.question.strip() or not may_lean(last.question)
    if is_complete or not earlier or set(last.paper_ids).isdisjoint(earlier[-1].paper_ids):
        return last.standalone
    return f"{_find_topic(earlier)} {last.standalone}"
