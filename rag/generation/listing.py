"""Answers that list: every paper of the library that fits, counted and with its sentence.

Every paper is a candidate, not the few best: the assistant hands over as many as can be looked
through, a fitted decision says which fit and which may, and a language model, where there is one,
reads those that may. What comes back is a stream of events, as for any other question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nextafter
from typing import TYPE_CHECKING, Literal

from rag.answer import Answer, AnswerEvent, Status, Text, Verified
from rag.citations.resolve import Numbering
from rag.generation.list_text import Entry, heading, written_list
from rag.generation.pipeline import CLOSEST_PAPERS, Asked, shown_numbers
from rag.generation.relevance import MOST_LOOKED_AT, lines, relevances
from rag.generation.selection import Selection
from rag.prompts import load_prompt
from rag.query.conditions import condition_in
from rag.query.listings import denies
from rag.query.subjects import exclusion_in
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from rag.generation.relevance import Lines
    from rag.llm.client import ChatModel
    from rag.papers import Paper
    from rag.query.conditions import Condition
    from rag.retrieval import Hit
    from rag.retrieval.live_index import LiveIndex
    from rag.retrieval.retriever import ScoredSentence
    from rag.settings import Settings


_DENIED = (
    "abstracts do not tell what a paper does not do, so such a list cannot be made; ask which do."
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A paper that was looked at.

    Attributes:
        hit: as it was found.
        likely: how likely it belongs in the list, in [0, 1].
        quotes: the sentences that say so, best first; () where only its title is known.
        reason: why it may belong.
    """

    hit: Hit
    likely: float
    quotes: tuple[Quote, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    """The papers of a list, how that was decided, and the answer so far."""

    base: Answer
    entries: list[Entry]
    how: str


class Lister:
    """Lists papers, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        """Wires the model that reads candidates."""
        self._settings = settings
        self._model = model

    def answer(
        self, asked: Asked, subject: str, live: LiveIndex
    ) -> Generator[AnswerEvent, None, Answer]:
        """Events as the list is made; returns the answer.

        Args:
            asked: the question.
            subject: what the papers shall be about or do; empty for all papers there are.
            live: the library.
        """
        if denies(asked.text):
            return (yield from _nothing(_base(asked, ()), (), _DENIED))
        if not subject:
            with live.reading():
                papers = [stored.paper for stored in live.index.all_papers(asked.where)]
            return (yield from self._everything(asked, papers))
        condition = condition_in(subject)
        searched = condition.rest or subject if condition else subject
        with live.reading():
            among = len(live.index.papers_matching(asked.where))
            retrieval = live.retriever.retrieve(
                searched, k=MOST_LOOKED_AT, where=asked.where, candidates=MOST_LOOKED_AT
            )
        likely = relevances(retrieval.hits)
        met = [_that_meet(condition, hit) for hit in retrieval.hits] if condition else None
        cut = lines(retrieval.hits, _best(likely.tolist(), met))
        candidates = _candidates(retrieval.hits, likely.tolist(), cut)
        if condition and met:
            candidates = _with_condition(candidates, met, cut, condition)
        candidates.sort(key=lambda each: (-each.likely, each.hit.paper.id))
        base = replace(
            _base(asked, (*retrieval.notes, *_not_left_out(asked.text))),
            confidence=max((each.likely for each in candidates), default=0.0),
        )
        by = "numbers" if condition else "relevance"
        possible = [_entry(each, cut, by) for each in candidates if each.likely >= cut.possible]
        found = _Found(base, possible, _how(searched, cut, condition, _digits(likely, cut)))
        if self._model is not None:
            worth = [_entry(each, cut, by) for each in candidates if each.likely >= cut.read]
            found = yield from self._read(asked, found, worth, self._model)
        hits = {each.hit.paper.id: each.hit for each in candidates}
        if not found.entries:
            closest = tuple(hits.values())[:CLOSEST_PAPERS]
            return (yield from _nothing(found.base, closest, _why_none(condition)))
        base = replace(found.base, hits=tuple(hits[entry.paper.id] for entry in found.entries))
        first = heading(found.entries, len(candidates), among, subject)
        return (yield from self._told(asked, base, found.entries, first, found.how))

    def _read(
        self, asked: Asked, found: _Found, worth: list[Entry], model: ChatModel
    ) -> Generator[AnswerEvent, None, _Found]:
        """What is found once the model has read the candidates; by relevance if it does not."""
        prompt = load_prompt("select_papers", self._settings.prompts)
        selection = Selection(model, prompt, calls=self._settings.listing_calls)
        entries: list[Entry] = []
        possible = {entry.paper.id for entry in found.entries}
        yield Status(f"{model.name} reads the {len(worth)} papers that may fit")
        for batch in selection.checked(asked.text, worth):
            entries += [e for e in batch if e.by == model.name or e.paper.id in possible]
            yield Status(f"{selection.read} of {len(worth)} papers read")
        base = replace(found.base, warnings=(*found.base.warnings, *selection.notes))
        if not selection.calls:
            return replace(found, base=base)
        base = replace(base, mode="model", model=model.name, usage=base.usage + selection.usage)
        calls = f"{selection.calls} call{'s' * (selection.calls != 1)}"
        how = (
            f"Decided by {model.name}, which read the {selection.read} likeliest papers in {calls}."
        )
        return _Found(base, sorted(entries, key=lambda entry: entry.verdict == "partly"), how)

    def _everything(
        self, asked: Asked, papers: Sequence[Paper]
    ) -> Generator[AnswerEvent, None, Answer]:
        """The list of all papers there are, for a question that names no subject."""
        entries = [Entry(paper, (), None, "it is in the library", "listing") for paper in papers]
        count = f"{len(papers) or 'no'} paper{'s' * (len(papers) != 1)}"
        first = f"The library has {count}" + (f" {asked.where}." if asked.where else ".")
        how = "Every paper there is counts; nothing had to be decided." if papers else ""
        return (yield from self._told(asked, _base(asked, ()), entries, first, how))

    def _told(
        self, asked: Asked, base: Answer, entries: Sequence[Entry], first: str, how: str
    ) -> Generator[AnswerEvent, None, Answer]:
        text, statements = written_list(
            entries, first, how, Numbering(shown_numbers(asked.history))
        )
        yield Text(text)
        yield Verified(statements)
        return replace(base, text=text, statements=statements)


def _base(asked: Asked, notes: Sequence[str]) -> Answer:
    return Answer(
        question=asked.question,
        asked=asked.text,
        text="",
        statements=(),
        hits=(),
        status="answered",
        mode="extractive",
        scope=str(asked.where or ""),
        usage=asked.usage,
        warnings=(*asked.warnings, *notes),
    )


def _why_none(condition: Condition | None) -> str:
    if condition and condition.measure and not condition.measure.stems:
        return "what the number in the question measures cannot be told, so no paper can meet it."
    return "no paper of the library seems to fit."


def _not_left_out(question: str) -> Iterator[str]:
    if exclusion := exclusion_in(question):
        yield f"Papers are not left out by what they are about: “{exclusion}” was set aside."


def _candidates(hits: Sequence[Hit], likely: Sequence[float], cut: Lines) -> list[_Candidate]:
    """The papers that were found, in the order of the hits."""
    digits = _digits(likely, cut)
    return [_candidate(hit, each, digits) for hit, each in zip(hits, likely, strict=True)]


def _that_meet(condition: Condition, hit: Hit) -> tuple[Quote, ...]:
    """The sentences of a paper with a number that meets the condition."""
    return tuple(_quote(hit, each) for each in hit.sentences if condition.met_by(each.text))


def _best(likely: Sequence[float], met: Sequence[tuple[Quote, ...]] | None) -> float:
    """The highest relevance, of the papers whose numbers meet the condition if there is one."""
    if met is not None:
        likely = [each for each, said in zip(likely, met, strict=True) if said]
    return max(likely, default=0.0)


def decimals(line: float, values: Iterable[float]) -> int:
    """How many decimals of a line, two at least, tell it from the values below it.

    >>> decimals(0.0936, [0.0918, 0.4]), decimals(0.0936, [0.08, 0.0936])
    (3, 2)
    """
    below = max((value for value in values if value < line), default=-1.0)
    return next((n for n in range(2, 17) if f"{below:.{n}f}" != f"{line:.{n}f}"), 17)


def _digits(likely: Iterable[float], cut: Lines) -> int:
    """How many decimals keep the relevances that are listed on their sides of the line."""
    return decimals(cut.counted, (each for each in likely if each >= cut.possible))


def _candidate(hit: Hit, likely: float, digits: int) -> _Candidate:
    """A paper with its best sentence."""
    best = tuple(_quote(hit, each) for each in hit.sentences[:1])
    reason = f"relevance {likely:.{digits}f}" + ("" if best else ", only its title is known")
    return _Candidate(hit, likely, best, reason)


def _with_condition(
    candidates: Sequence[_Candidate],
    met: Sequence[tuple[Quote, ...]],
    cut: Lines,
    condition: Condition,
) -> list[_Candidate]:
    """The papers beside a condition on numbers: only one with a number that meets it may fit."""
    return [
        _meeting(each, said, cut, condition) for each, said in zip(candidates, met, strict=True)
    ]


def _meeting(
    plain: _Candidate, said: tuple[Quote, ...], cut: Lines, condition: Condition
) -> _Candidate:
    hit, likely = plain.hit, plain.likely
    if not said:
        return replace(plain, likely=min(likely, nextafter(cut.possible, 0.0)))
    if not condition.rest:
        return _Candidate(hit, max(likely, cut.counted), said[:1], "its numbers fit")
    quotes = tuple(dict.fromkeys((*plain.quotes, said[0])))
    return _Candidate(hit, likely, quotes, f"{plain.reason}, and its numbers fit")


def _quote(hit: Hit, sentence: ScoredSentence) -> Quote:
    return Quote(hit.paper.id, sentence.start, sentence.end, sentence.text)


def _nothing(
    base: Answer, closest: tuple[Hit, ...], reason: str
) -> Generator[AnswerEvent, None, Answer]:
    text = f"The library does not seem to hold an answer: {reason}"
    yield Text(text)
    return replace(base, text=text, status="abstained", reason=reason, closest=closest)


def _entry(candidate: _Candidate, cut: Lines, by: str) -> Entry:
    """A paper of the list; one whose title alone is known may fit, no more."""
    sure = candidate.likely >= cut.counted and bool(candidate.quotes)
    verdict: Literal["supported", "partly"] = "supported" if sure else "partly"
    return Entry(candidate.hit.paper, candidate.quotes, verdict, candidate.reason, by)


def _how(searched: str, cut: Lines, condition: Condition | None, digits: int) -> str:
    if condition and not condition.rest:
        return "Decided by the numbers in the abstracts; whose they are is only guessed."
    numbers = "the numbers in the abstracts and by " if condition else ""
    return (
        f"Decided by {numbers}how relevant each paper is to “{searched}”, from 0 to 1: "
        f"from {cut.counted:.{digits}f} on it counts, from {cut.possible:.{digits}f} on it may."
    )
