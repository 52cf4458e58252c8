"""Writer of lists: every paper that fits a subject, counted, each with its best sentence.

Every paper is a candidate, not the best few. Its relevance to the subject decides whether it fits
or may fit. A language model, where there is one, reads the likeliest papers and decides instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag.answer import Citation, Statement, Status, Text, Verified
from rag.citations.resolve import Numbering, render_statement
from rag.generation.abstention import abstain
from rag.generation.draft import Draft, shown_numbers
from rag.generation.relevance import rank_by_relevance, select_model
from rag.generation.selection import Selection
from rag.llm.reply import NO_USAGE
from rag.prompts import load_prompt

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.generation.decision import RelevanceModel
    from rag.generation.relevance import Entry, Listed
    from rag.llm import ChatModel
    from rag.llm.reply import Usage
    from rag.papers import Paper
    from rag.query.plan import Plan
    from rag.retrieval import Retrieval
    from rag.settings import Settings

CANDIDATES = 400  # papers that are looked at for one list, nearest first
MOST_SHOWN = 100  # papers of one group. The heading counts all
SUBJECT_CHARS = 80  # of the heading
RANKED_ONLY = (
    "Ranked by relevance; numbers and comparisons in the question were not applied as conditions."
)


@dataclass(frozen=True, slots=True)
class _Decided:
    """Papers of a list and who decided. `model` is None for relevance."""

    entries: Sequence[Entry]
    how: str
    model: str | None
    usage: Usage
    warnings: tuple[str, ...]


class ListWriter:
    """Writes lists, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model

    def write(
        self, plan: Plan, retrieval: Retrieval, among: int, history: Sequence[Turn]
    ) -> Generator[AnswerEvent, None, Draft]:
        """Yield the list as text and return the draft.

        Args:
            plan: of kind "list".
            retrieval: of its subject, with up to `CANDIDATES` papers.
            among: papers that the plan's filter lets through.
            history: earlier turns, whose papers keep their numbers.

        Raises:
            ModelRejected: the language model refused the call.
        """
        if not plan.subject:
            return (yield from abstain((), "the subject of the list is empty.", 0.0))
        ranked = rank_by_relevance(retrieval.hits)
        decided = yield from self._decide(plan, ranked, select_model(retrieval.hits))
        confidence = ranked[0].relevance if ranked else 0.0
        if not decided.entries:
            reason = "no paper of the library seems to fit."
            draft = yield from abstain([entry.hit for entry in ranked], reason, confidence)
            return replace(
                draft,
                mode="model" if decided.model else "quotes",
                model=decided.model,
                usage=decided.usage,
                warnings=decided.warnings if decided.model else (),
            )
        writer = ListText(shown_numbers(history))
        writer.add_paragraph(count_papers(decided.entries, len(ranked), among, plan.subject))
        writer.add_entries(decided.entries)
        writer.add_paragraph(decided.how)
        yield Text(writer.text)
        yield Verified(tuple(writer.statements))
        return Draft(
            writer.text,
            tuple(writer.statements),
            hits=tuple(entry.hit for entry in decided.entries),
            mode="model" if decided.model else "quotes",
            model=decided.model,
            confidence=confidence,
            usage=decided.usage,
            warnings=decided.warnings,
        )

    def _decide(
        self, plan: Plan, ranked: Sequence[Entry], decision: RelevanceModel
    ) -> Generator[AnswerEvent, None, _Decided]:
        """Decide by the model which papers fit, by relevance where there is none or it fails."""
        usage, notes = NO_USAGE, []
        if self._model:
            selection = yield from self._select(plan, ranked, decision, self._model)
            usage, notes = selection.usage, selection.notes
            if selection.calls:
                name = self._model.name
                return _Decided(selection.entries, selection.summary, name, usage, tuple(notes))
        entries = [entry for entry in ranked if entry.relevance >= decision.possible]
        how = (
            f"Relevance from 0 to 1: {decision.fits} or more fits, {decision.possible} or more may "
            "fit."
        )
        return _Decided(entries, how, None, usage, (*notes, RANKED_ONLY))

    def _select(
        self, plan: Plan, ranked: Sequence[Entry], decision: RelevanceModel, model: ChatModel
    ) -> Generator[AnswerEvent, None, Selection]:
        """Let the model read the likeliest papers."""
        prompt = load_prompt("select_papers", self._settings.prompts)
        selection = Selection(model, prompt, most_calls=self._settings.listing_calls)
        likely = [entry for entry in ranked if entry.relevance >= decision.read]
        yield Status(f"{model.name} reads the {len(likely)} papers that may fit")
        for count in selection.read(plan.standalone, likely, possible=decision.possible):
            yield Status(f"{count} of {len(likely)} papers read")
        return selection


def count_papers(entries: Sequence[Entry], looked_at: int, among: int, subject: str) -> str:
    """Return the sentence that counts the papers of a list.

    Args:
        entries: of the list.
        looked_at: papers that were looked at, the nearest ones.
        among: papers that there are.
        subject: that they fit.
    """
    if len(subject) > SUBJECT_CHARS:
        subject = subject[:SUBJECT_CHARS].rsplit(maxsplit=1)[0] + "…"
    sure = sum(entry.listed == "fits" for entry in entries)
    possible = len(entries) - sure
    papers = f"the {looked_at} nearest of {among}" if looked_at < among else f"the {among}"
    fit = f"{sure or 'None'} of {papers} papers fit{'s' * (sure <= 1)} “{subject}”"
    more = f", {possible} more may" if sure else f" for sure, {possible} may"
    return f"{fit}{more if possible else ''}."


class ListText:
    """Text of a list and its statements, built entry by entry.

    Attributes:
        text: so far.
        statements: so far; titles of papers, and paragraphs that claim nothing.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.text = ""
        self.statements: list[Statement] = []
        self._numbering = Numbering(numbers)

    def add_paragraph(self, text: str) -> None:
        """Add a paragraph that claims nothing about a paper."""
        self.text += "\n\n" if self.text else ""
        start = len(self.text)
        self.text += text
        self.statements.append(Statement(text, start, len(self.text), (), None, claim=False))

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Add the papers that fit, then those that may."""
        fitting = [entry for entry in entries if entry.listed == "fits"]
        possible = [entry for entry in entries if entry.listed == "possible"]
        self._add_group([self._cite(entry) for entry in fitting], "fits")
        if possible:
            self.add_paragraph(f"Possibly also ({len(possible)}):")
            self._add_group([self._cite(entry) for entry in possible], "possible")

    def add_records(self, papers: Sequence[Paper]) -> None:
        """Add papers whose own records say that they belong here."""
        citations = [
            Citation(self._numbering.assign(paper), paper, (), "record", "its record", "record")
            for paper in papers
        ]
        self._add_group(citations, None)

    def _cite(self, entry: Entry) -> Citation:
        return Citation(
            self._numbering.assign(entry.hit.paper),
            entry.hit.paper,
            entry.quotes,
            entry.verdict,
            entry.reason,
            entry.by,
            score=round(entry.relevance, 4),
        )

    def _add_group(self, citations: Sequence[Citation], listed: Listed | None) -> None:
        for place, citation in enumerate(citations[:MOST_SHOWN]):
            self.text += "\n- " if place else "\n\n- "
            start = len(self.text)
            self.text += render_statement(citation.paper.title, (citation,))
            self.statements.append(
                Statement(
                    citation.paper.title,
                    start,
                    len(self.text),
                    (citation,),
                    citation.verdict,
                    listed=listed,
                )
            )
        if len(citations) > MOST_SHOWN:
            self.add_paragraph(f"These are the first {MOST_SHOWN} of {len(citations)}.")
