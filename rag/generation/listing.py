"""Writer of lists: every paper that fits a subject, counted, each with its best sentence.

The nearest papers (all of a small library) are ranked by relevance to the subject, which decides
whether they fit or may fit. A language model, where there is one, reads the likeliest papers and
decides instead, and answers what else the question asks of each paper that fits. Counts say "at
least" where papers were left out.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rag.answer import Status, Text, Verified
from rag.citations.markers import remove_markers
from rag.errors import (
    ModelError,
    ModelRejected,
    ModelUnavailable,
    SettingsError,
)
from rag.generation.abstention import abstain
from rag.generation.draft import Draft, shown_numbers
from rag.generation.llm import write_with_model
from rag.generation.relevance import rank_by_relevance, select_model
from rag.generation.selection import Selection
from rag.generation.text_builder import TextBuilder
from rag.llm.reply import NO_USAGE, ReplyRejected, get_usage
from rag.prompts import load_prompt
from rag.verification.reader_test import read_score

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.generation.decision import RelevanceModel
    from rag.generation.relevance import Entry
    from rag.llm import ChatModel
    from rag.llm.reply import Usage
    from rag.query.plan import Plan
    from rag.retrieval import Retrieval
    from rag.settings import Settings
    from rag.verification import ReaderScore

CANDIDATES = 400  # papers that are looked at for one list, nearest first
SUBJECT_CHARS = 80  # of the heading
RANKED_ONLY = (
    "Ranked by relevance; numbers and comparisons in the question were not applied as conditions."
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Papers that a list is chosen from.

    Attributes:
        papers: number that the plan's filter lets through.
        ranked: number that were looked at, the nearest ones.
        with_words: number that have all words of the subject in one passage.
        open: number that the model was to read and gave no usable verdict on.
    """

    papers: int
    ranked: int
    with_words: int
    open: int = 0

    @property
    def is_capped(self) -> bool:
        """True if only the nearest papers were looked at."""
        return self.ranked < self.papers

    @property
    def least(self) -> str:
        """Words before a count that may be too low, else empty."""
        return "at least " if self.is_capped or self.open else ""

    @property
    def reason(self) -> str:
        """Reason for an empty list."""
        nearest = f"None of the {self.ranked} nearest papers"
        return f"{nearest if self.is_capped else 'No paper'} seems to fit."


@dataclass(frozen=True, slots=True)
class _Decided:
    """Papers of a list and who decided. `model` is None for relevance, `open` as in `Scope`."""

    entries: Sequence[Entry]
    how: str
    model: str | None
    usage: Usage
    warnings: tuple[str, ...]
    open: int = 0
    checker: ReaderScore | None = None
    asks_more: bool = False
    error: str = ""  # as `Answer.model_error`


class ListWriter:
    """Writes lists, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model

    def write(
        self, plan: Plan, retrieval: Retrieval, scope: Scope, history: Sequence[Turn]
    ) -> Generator[AnswerEvent, None, Draft]:
        """Yield the list as text and return the draft.

        Args:
            plan: of kind "list".
            retrieval: of its subject, with up to `CANDIDATES` papers.
            scope: how many papers there are and were looked at.
            history: earlier turns, whose papers keep their numbers.

        Raises:
            ModelRejected: the language model refused the call.
        """
        if not plan.subject:
            return (yield from abstain((), "The subject of the list is empty.", 0.0))
        ranked = rank_by_relevance(retrieval.hits)
        decided = yield from self._decide(plan, ranked, select_model(retrieval.hits))
        confidence = ranked[0].relevance if ranked else 0.0
        if not decided.entries:
            return (yield from _abstain(decided, ranked, scope, confidence))
        scope = replace(scope, open=decided.open)
        is_explicit = plan.question.strip() == plan.subject  # asked for as a list
        if self._model and decided.asks_more and not is_explicit:
            try:
                return (yield from self._answer(plan, decided, scope, history, self._model))
            except ModelRejected:
                raise
            except (ModelError, SettingsError) as error:
                note = f"What else the question asks was not answered. {error}"
                failed = str(error) if isinstance(error, ModelUnavailable) else decided.error
                used = decided.usage + get_usage(error)
                warnings = (*decided.warnings, note)
                decided = replace(decided, usage=used, warnings=warnings, error=failed)
        writer = TextBuilder(shown_numbers(history))
        writer.add_paragraph(count_papers(decided.entries, scope, plan.subject))
        writer.add_entries(decided.entries, scope.least)
        writer.add_paragraph(decided.how)
        yield Text(writer.text)
        yield Verified(tuple(writer.statements), decided.checker)
        return Draft(
            writer.text,
            tuple(writer.statements),
            hits=tuple(entry.hit for entry in decided.entries),
            mode="model" if decided.model else "quotes",
            model=decided.model,
            checker=decided.checker,
            confidence=confidence,
            usage=decided.usage,
            warnings=decided.warnings,
            model_error=decided.error,
        )

    def _answer(
        self,
        plan: Plan,
        decided: _Decided,
        scope: Scope,
        history: Sequence[Turn],
        model: ChatModel,
    ) -> Generator[AnswerEvent, None, Draft]:
        """Let the model answer what else the question asks of each paper that fits.

        Their count stands before the answer, and behind it those that it does not cite.

        Raises:
            ModelError: the model gave no answer that cites one of them.
        """
        fitting = [entry for entry in decided.entries if entry.listed == "fits"]
        events = write_with_model(
            plan,
            [entry.hit for entry in fitting],
            history,
            model=model,
            settings=self._settings,
            count=scope.papers,
            confidence=None,
        )
        draft = yield from _hold_text(events)
        cited = {c.paper.id: c.number for each in draft.statements for c in each.citations}
        if not cited:
            raise ReplyRejected(
                "The model's answer cites none of the papers that fit.", draft.usage
            )
        writer = TextBuilder(shown_numbers(history) | cited)
        writer.add_paragraph(count_papers(decided.entries, scope, remove_markers(plan.subject)))
        writer.add_reply(draft)
        if missing := [entry for entry in fitting if entry.hit.paper.id not in cited]:
            writer.add_paragraph("These papers fit too:")
            writer.add_entries(missing, scope.least)
        yield Text(writer.text)
        return replace(
            draft,
            text=writer.text,
            statements=tuple(replace(each, listed=None) for each in writer.statements),
            kind="answer",
            usage=decided.usage + draft.usage,
            warnings=(decided.how, *decided.warnings, *draft.warnings),
            model_error=decided.error,
        )

    def _decide(
        self, plan: Plan, ranked: Sequence[Entry], decision: RelevanceModel
    ) -> Generator[AnswerEvent, None, _Decided]:
        """Decide by the model which papers fit, by relevance where there is none or it fails."""
        usage, notes, error = NO_USAGE, [], ""
        if self._model:
            selection = yield from self._select(plan, ranked, decision, self._model)
            usage, notes = selection.usage, selection.notes
            error = str(selection.error or "")
            if selection.calls:
                score = read_score(self._model, self._settings)
                return _Decided(
                    _distrust(selection.entries, score),
                    selection.summary,
                    self._model.name,
                    usage,
                    tuple(notes),
                    selection.papers_open,
                    score,
                    selection.asks_more and any(e.listed == "fits" for e in selection.entries),
                    error,
                )
        entries = [entry for entry in ranked if entry.relevance >= decision.possible]
        how = (
            f"Relevance from 0 to 1: {decision.fits} or more fits, {decision.possible} or more may "
            "fit."
        )
        return _Decided(entries, how, None, usage, (*notes, RANKED_ONLY), error=error)

    def _select(
        self, plan: Plan, ranked: Sequence[Entry], decision: RelevanceModel, model: ChatModel
    ) -> Generator[AnswerEvent, None, Selection]:
        """Let the model read the likeliest papers."""
        prompt = load_prompt("select_papers", self._settings.prompts)
        settings = self._settings
        selection = Selection(
            model, prompt, most_calls=settings.listing_calls, workers=settings.listing_workers
        )
        # by rank, as a plan's queries find papers that fit without words of the subject
        nearest = sorted(ranked, key=lambda entry: entry.hit.rank)
        yield Status(f"{model.name} reads the papers that may fit")
        asked = plan.standalone
        if plan.subject != asked:  # the list is headed by the subject, so it is what is asked
            asked = f"{asked}\nPapers wanted: {plan.subject}"
        for count in selection.read(
            asked, nearest, likely=decision.read, possible=decision.possible
        ):
            yield Status(f"{count} papers read")
        return selection


def _abstain(
    decided: _Decided, ranked: Sequence[Entry], scope: Scope, confidence: float
) -> Generator[AnswerEvent, None, Draft]:
    """Yield that no paper fits and return the draft with the closest ones."""
    draft = yield from abstain([entry.hit for entry in ranked], scope.reason, confidence)
    if decided.model is None and not decided.error:
        return draft
    return replace(
        draft,
        mode="model" if decided.model else "quotes",
        model=decided.model,
        usage=decided.usage,
        warnings=decided.warnings,
        model_error=decided.error,
    )


def _hold_text(
    events: Generator[AnswerEvent, None, Draft],
) -> Generator[AnswerEvent, None, Draft]:
    """Yield all events but text. Return the draft."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                return cast("Draft", end.value)
            if not isinstance(event, Text):
                yield event


def _distrust(entries: Sequence[Entry], score: ReaderScore) -> Sequence[Entry]:
    """Return the entries of a model, without its verdicts if it failed the reader's test."""
    if score.tested != "failed":
        return entries
    return [replace(entry, verdict="unchecked", reason=score.result) for entry in entries]


def count_papers(entries: Sequence[Entry], scope: Scope, subject: str) -> str:
    """Return the sentences that count the papers of a list.

    Args:
        entries: of the list.
        scope: that they were chosen from.
        subject: that they fit.
    """
    if len(subject) > SUBJECT_CHARS:
        subject = subject[:SUBJECT_CHARS].rsplit(maxsplit=1)[0] + "…"
    sure = sum(entry.listed == "fits" for entry in entries)
    possible = len(entries) - sure
    least, papers = scope.least, f"of the {scope.papers} papers"
    if sure:
        more = f", {least}{possible} more may" if possible else ""
        counts = f"{least}{sure} {papers} fit{'s' * (sure == 1)} “{subject}”{more}"
    else:
        counts = f"{least}{possible} {papers} may fit “{subject}”, none of them for sure"
    if scope.is_capped:
        have = f"{scope.with_words} papers have" if scope.with_words != 1 else "1 paper has"
        counts += (
            f". Only the {scope.ranked} nearest were looked at. "
            f"{have} all words of the subject in one passage"
        )
    return f"{counts[0].upper()}{counts[1:]}."
