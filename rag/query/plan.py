"""Plan: what a question asks for, and of which papers. `rag.query.planner` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rag.llm.reply import NO_USAGE
from rag.query.rules import find_pointed_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.index import Filter
    from rag.llm.reply import Usage
    from rag.papers import Paper

Kind = Literal["answer", "list", "metadata"]
Field = Literal["authors", "year", "venue", "doi", "url"]
Order = Literal["", "oldest", "newest"]
NOT_PLANNED = "The search was not planned"  # begins the note of a plan that a model failed to make
NOTHING_CITED = "No earlier answer cites a paper, so all papers were asked."


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question and its answer, as far as planning needs them.

    Attributes:
        question: as the reader put it.
        standalone: as it was searched for.
        answer: text without markers.
        sources: shown number -> cited paper.
        answered: False for an abstention. Later questions go on with answers only.
    """

    question: str
    standalone: str
    answer: str
    sources: Mapping[int, Paper] = field(default_factory=dict)
    answered: bool = True

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
        as_written: whether nothing in the question is completed, corrected or read as a filter.
        queries: what to search for besides, in the library's language.
        fields: of the records that are asked for.
        order: which papers are asked for by their year.
        follows_up: whether the question was completed with the conversation.
        focus: the words of a follow-up that its sentences are compared with, "" for `standalone`.
        leans: whether the papers that were cited last come first.
        cited: ids of the papers that it points to by number, else of those that the last answer
            cites.
        ignores_filter: whether it names years, authors or venues that the library cannot filter by.
        notes: sentences a reader should know.
        usage: spent on planning.
        unreachable: why the model could not be reached, else "". It is then not asked again.
    """

    question: str
    standalone: str
    kind: Kind = "answer"
    subject: str = ""
    where: Filter | None = None
    as_written: bool = False
    queries: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    order: Order = ""
    follows_up: bool = False
    focus: str = ""
    leans: bool = False
    cited: tuple[str, ...] = ()
    ignores_filter: bool = False
    notes: tuple[str, ...] = ()
    usage: Usage = NO_USAGE
    unreachable: str = ""


def find_last_cited(exchanges: Sequence[Exchange]) -> tuple[str, ...]:
    """Return the ids of the papers that the last answer with a source cites."""
    answers = (each for each in reversed(exchanges) if each.answered and each.sources)
    return next((each.paper_ids for each in answers), ())


def find_cited(question: str, exchanges: Sequence[Exchange]) -> tuple[str, ...]:
    """Return the ids of the papers that a question points to by number, else of those cited last.

    A number is found whatever its turn, also below an abstention.
    """
    if numbers := find_pointed_numbers(question):
        known = list_sources(exchanges)
        return tuple(known[number].id for number in numbers if number in known)
    return find_last_cited(exchanges)


def list_sources(exchanges: Sequence[Exchange]) -> dict[int, Paper]:
    """Return shown number -> paper, of all exchanges."""
    return {number: paper for each in exchanges for number, paper in each.sources.items()}
