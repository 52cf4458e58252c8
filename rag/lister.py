"""Answers that list: every paper of the library that fits, counted and with its sentence.

Every paper is a candidate, not the few best: the assistant hands over as many as can be looked
through, a fitted decision says which fit and which may, and a language model, where there is one,
reads those that may. What comes back is a stream of events, as for any other question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag.answer import Answer, AnswerEvent, Status, Text, Verified
from rag.answering import CLOSEST_PAPERS, Asked, shown_numbers
from rag.citations import Numbering
from rag.prompts import load_prompt
from rag.relevance import MOST_LOOKED_AT, lines, relevances
from rag.verification import Quote
from rag.writers.listing import Entry, heading, written_list
from rag.writers.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.models.chat import ChatModel
    from rag.papers import Paper
    from rag.relevance import Lines
    from rag.retrieval import Hit, Retrieval
    from rag.retrieval.live import LiveIndex
    from rag.settings import Settings


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A paper that was looked at, and how likely it belongs in the list, in [0, 1]."""

    hit: Hit
    likely: float


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
        if not subject:
            with live.reading():
                papers = [stored.paper for stored in live.index.all_papers(asked.where)]
            return (yield from self._everything(asked, papers))
        with live.reading():
            among = len(live.index.papers_matching(asked.where))
            retrieval = live.retriever.retrieve(
                subject, k=MOST_LOOKED_AT, where=asked.where, candidates=MOST_LOOKED_AT
            )
        candidates = _candidates(retrieval)
        base = replace(
            _base(asked, retrieval.notes),
            confidence=max((each.likely for each in candidates), default=0.0),
        )
        cut = lines(retrieval.hits)
        possible = [_entry(each, cut) for each in candidates if each.likely >= cut.possible]
        found = _Found(base, possible, _how(subject, cut))
        if self._model is not None:
            worth = [_entry(each, cut) for each in candidates if each.likely >= cut.read]
            found = yield from self._read(asked, found, worth, self._model)
        hits = {each.hit.paper.id: each.hit for each in candidates}
        if not found.entries:
            return (yield from _nothing(found.base, tuple(hits.values())[:CLOSEST_PAPERS]))
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
        return _Found(base, sorted(entries, key=lambda entry: entry.verdict == "weak"), how)

    def _everything(
        self, asked: Asked, papers: Sequence[Paper]
    ) -> Generator[AnswerEvent, None, Answer]:
        """The list of all papers there are, for a question that names no subject."""
        entries = [Entry(paper, (), None, "it is in the library", "listing") for paper in papers]
        count = f"{len(papers) or 'no'} paper{'s' * (len(papers) != 1)}"
        first = f"The library has {count}" + (f" {asked.where}." if asked.where else ".")
        how = "These are all that there are." if papers else ""
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


def _candidates(retrieval: Retrieval) -> list[_Candidate]:
    """The papers that were found, likeliest first."""
    hits = retrieval.hits
    found = map(_Candidate, hits, relevances(hits).tolist())
    return sorted(found, key=lambda each: (-each.likely, each.hit.paper.id))


def _nothing(base: Answer, closest: tuple[Hit, ...]) -> Generator[AnswerEvent, None, Answer]:
    reason = "no paper of the library seems to fit."
    text = f"The library does not seem to hold an answer: {reason}"
    yield Text(text)
    return replace(base, text=text, status="abstained", reason=reason, closest=closest)


def _entry(candidate: _Candidate, cut: Lines) -> Entry:
    """A paper with its best sentence; one whose title alone is known may fit, no more."""
    hit, likely = candidate.hit, candidate.likely
    best = [Quote(hit.paper.id, s.start, s.end, s.text) for s in hit.sentences[:1]]
    sure = likely >= cut.counted and bool(best)
    reason = f"relevance {likely:.2f}" + ("" if best else ", only its title is known")
    return Entry(hit.paper, tuple(best), "supported" if sure else "weak", reason, "relevance")


def _how(subject: str, cut: Lines) -> str:
    return (
        f"Decided by how relevant each paper is to “{subject}”, from 0 to 1: "
        f"from {cut.counted:.2f} on it counts, from {cut.possible:.2f} on it may."
    )
