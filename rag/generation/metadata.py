"""Writer of answers from the records of papers: who wrote one, when, where, which is the oldest.

Nothing is read in an abstract, so each statement rests on the paper's own record. A paper that the
question names is shown with its title, so that a wrong guess is visible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer import Text, Verified
from rag.generation.abstention import abstain
from rag.generation.draft import Draft, shown_numbers
from rag.generation.relevance import rank_by_relevance
from rag.generation.text_builder import MOST_SHOWN, TextBuilder
from rag.index import Filter
from rag.papers.names import join_names
from rag.papers.paper import normalise_title

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.index import Index
    from rag.papers import Paper
    from rag.query.plan import Plan
    from rag.retrieval import Hit, Retrieval
    from rag.retrieval.live_index import LiveIndex

_MOST_NAMED = 3  # papers that one name may stand for
_MOST_ORDERED = 5  # papers shown of all by year
_DATED = Filter(years=(0, 9999))
_LIBRARY_FIELDS = {"authors": "authors", "year": "years", "venue": "venues"}


def write_metadata(
    plan: Plan, retrieval: Retrieval, library: LiveIndex, history: Sequence[Turn]
) -> Generator[AnswerEvent, None, Draft]:
    """Yield an answer from the records as text and return the draft.

    Args:
        plan: of kind "metadata".
        retrieval: of its subject, empty without one.
        library: whose records are read.
        history: earlier turns, whose papers keep their numbers.
    """
    writer = TextBuilder(shown_numbers(history))
    with library.reading() as live:
        reason = _write_papers(writer, plan, retrieval.hits, live.index)
    if reason:
        return (yield from abstain(retrieval.hits, reason))
    yield Text(writer.text)
    statements = tuple(writer.statements)
    yield Verified(statements)
    return Draft(writer.text, statements)


def _write_papers(writer: TextBuilder, plan: Plan, hits: Sequence[Hit], index: Index) -> str:
    """Write what the records say. Return why there is nothing to write, or ""."""
    fields = tuple(dict.fromkeys(("year", *plan.fields) if plan.order else plan.fields))
    names = [_LIBRARY_FIELDS[field] for field in fields if field in _LIBRARY_FIELDS]
    if lacking := [name for name in names if name not in index.fields]:
        return f"Its records have no {' and no '.join(lacking)}."
    if plan.ignores_filter and not plan.subject:
        return "Its papers cannot be filtered as the question asks."
    where = _choose_papers(plan, hits)
    count = index.count(where)
    if not fields:
        counted = f"{count or 'no'} paper{'s' * (count != 1)}"
        writer.add_paragraph(f"The library has {counted}" + (f" {where}." if where else "."))
        writer.add_records(list(index.papers(where, MOST_SHOWN)), count)
        return ""
    if not count:
        named = f"No paper is clearly meant by “{plan.subject}”."
        return named if plan.subject else "No paper is meant that an earlier answer cites."
    papers = list(index.papers(where, MOST_SHOWN))
    if plan.order:
        dated = (where or Filter()).and_also(_DATED)
        papers = list(index.papers(dated, _MOST_ORDERED, plan.order))
        writer.add_paragraph(_describe_order(plan, count, index.count(dated)))
        count = len(papers)
    sentences: list[dict[str, str]] = [
        {field: describe_field(paper, field) for field in fields} for paper in papers
    ]
    writer.add_records(papers, count, sentences)
    return ""


def _choose_papers(plan: Plan, hits: Sequence[Hit]) -> Filter | None:
    """Return a filter for the papers that a question is about, None for all of them."""
    if plan.subject:
        meant = _choose_fitting(hits) if plan.order else find_named(plan.subject, hits)
        if meant or not plan.follows_up:
            return Filter(ids=tuple(hit.paper.id for hit in meant))
    if not (plan.fields or plan.order):
        return plan.where
    if not plan.follows_up and (plan.order or plan.where):
        return plan.where
    if plan.order and len(plan.cited) < 2:  # one paper has no order
        return plan.where
    where = plan.where or Filter()
    return replace(where, ids=tuple(n for n in plan.cited if where.ids is None or n in where.ids))


def find_named(name: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the papers that a name or a title clearly means; [] if none is.

    Args:
        name: title, a part of it, or what the paper is about.
        hits: of the name, best first.
    """
    named = [hit for hit in hits if hit.named]
    if 0 < len(named) <= _MOST_NAMED:
        return named
    key = f" {normalise_title(name)} "
    titled = [hit for hit in hits if key in f" {normalise_title(hit.paper.title)} "]
    found = titled or _choose_fitting(hits)
    return found if len(found) == 1 else []


def _choose_fitting(hits: Sequence[Hit]) -> list[Hit]:
    return [entry.hit for entry in rank_by_relevance(hits) if entry.listed == "fits"]


def _describe_order(plan: Plan, count: int, dated: int) -> str:
    """Return the sentence above papers in order of their years."""
    papers = f"{count} paper{'s' * (count != 1)}"
    about = f" that seem to fit “{plan.subject}”" if plan.subject else ""
    scope = f" {plan.where}" if plan.where else ""
    undated = f" {count - dated} without a year left out." if dated < count else ""
    return f"Of {papers}{about}{scope}, the {plan.order} first:{undated}"


def describe_field(paper: Paper, field: str) -> str:
    """Return a sentence with one field of a paper's record.

    >>> from rag.papers import Paper
    >>> describe_field(Paper("a", "On Rates", "", year=2021), "year")
    '“On Rates” was published in 2021.'
    """
    value = getattr(paper, field)
    title = f"“{paper.title}”"
    if not value:
        name = field.upper() if field in ("doi", "url") else field
        return f"The record of {title} has no {name}."
    forms = {
        "authors": f"{title} was written by {join_names(paper.authors)}.",
        "doi": f"The DOI of {title} is {value}.",
        "url": f"The address of {title} is {value}.",
    }
    return forms.get(field, f"{title} was published in {value}.")
