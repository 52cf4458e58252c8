"""Answers that list: every paper of the library that fits, counted and with its sentence.

Every paper is a candidate, not the few best: the assistant hands over as many as can be looked
through, a fitted decision says which fit and which may, and a language model, where there is one,
reads those that may. What comes back is a stream of events, as for any other question.
"""

from __future__ import annotations

from dataclasses import replace
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

    from rag.listings import Listing
    from rag.models.chat import ChatModel
    from rag.papers import Paper
    from rag.relevance import Lines
    from rag.retrieval import Hit, Retrieval
    from rag.retrieval.live import LiveIndex
    from rag.settings import Settings


class Lister:
    """Lists papers, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        """Wires the model that reads candidates."""
        self._settings = settings
        self._model = model

    def _everything(
        self, asked: Asked, papers: Sequence[Paper]
    ) -> Generator[AnswerEvent, None, Answer]:
        """The list of all papers there are, for a question that names no subject."""
        entries = [Entry(paper, (), None, "it is in the library", "listing") for paper in papers]
        count = f"{len(papers)} paper{'s' * (len(papers) != 1)}"
        return (
            yield from self._told(
                asked,
                _base(asked, ()),
                entries,
                f"The library has {count}" + (f" {asked.where}." if asked.where else "."),
                "Nothing had to be decided: these are all.",
            )
        )

    def answer(
        self, asked: Asked, listing: Listing, live: LiveIndex
    ) -> Generator[AnswerEvent, None, Answer]:
        """Events as the list is made; returns the answer.

        Args:
            asked: the question.
            listing: what it asks for.
            live: the library.
        """
        with live.reading():
            if listing.subject:
                looked_at = len(live.index.papers_matching(asked.where))
                retrieval = live.retriever.retrieve(
                    listing.subject,
                    k=MOST_LOOKED_AT,
                    where=asked.where,
                    candidates=MOST_LOOKED_AT,
                )
            else:
                papers = [stored.paper for stored in live.index.all_papers(asked.where)]
        if not listing.subject:
            return (yield from self._everything(asked, papers))
        return (yield from self._fitting(asked, listing, retrieval, looked_at))

    def _fitting(
        self, asked: Asked, listing: Listing, retrieval: Retrieval, looked_at: int
    ) -> Generator[AnswerEvent, None, Answer]:
        """The list of the papers that fit a subject, of as many as could be found."""
        hits = retrieval.hits
        likely = relevances(hits).tolist()
        cut = lines(hits)
        order = sorted(range(len(hits)), key=lambda i: (-likely[i], hits[i].paper.id))
        base = _base(asked, retrieval.notes)
        base = replace(base, confidence=max(likely, default=0.0))
        closest = tuple(hits[i] for i in order[:CLOSEST_PAPERS])
        if self._model is None:
            entries = [_entry(hits[i], likely[i], cut) for i in order if likely[i] >= cut.possible]
            how = _how(listing.subject, cut)
        else:
            worth = [_entry(hits[i], likely[i], cut) for i in order if likely[i] >= cut.read]
            base, entries, how = yield from self._read(asked, base, worth, self._model)
        if not entries:
            reason = "no paper of the library seems to fit."
            text = f"The library does not seem to hold an answer: {reason}"
            yield Text(text)
            return replace(base, text=text, status="abstained", reason=reason, closest=closest)
        by_id = {hit.paper.id: hit for hit in hits}
        base = replace(base, hits=tuple(by_id[entry.paper.id] for entry in entries))
        first = heading(entries, looked_at)
        return (yield from self._told(asked, base, entries, first, how))

    def _read(
        self, asked: Asked, base: Answer, worth: list[Entry], model: ChatModel
    ) -> Generator[AnswerEvent, None, tuple[Answer, list[Entry], str]]:
        prompt = load_prompt("select_papers", self._settings.prompts)
        selection = Selection(model, prompt, calls=self._settings.listing_calls)
        entries: list[Entry] = []
        yield Status(f"{model.name} reads the {len(worth)} papers that may fit")
        for batch in selection.checked(asked.text, worth):
            entries += batch
            yield Status(f"{selection.read} of {len(worth)} papers read")
        entries.sort(key=lambda entry: entry.verdict == "weak")
        calls = f"{selection.calls} call{'s' * (selection.calls != 1)}"
        how = (
            f"Decided by {model.name}, which read the {selection.read} likeliest papers in {calls}."
        )
        base = replace(
            base,
            mode="model",
            model=model.name,
            usage=base.usage + selection.usage,
            warnings=(*base.warnings, *selection.notes),
        )
        return base, entries, how

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


def _entry(hit: Hit, likely: float, cut: Lines) -> Entry:
    """A paper with its best sentence; one whose title alone is known may fit, no more."""
    best = [Quote(hit.paper.id, s.start, s.end, s.text) for s in hit.sentences[:1]]
    sure = likely >= cut.counted and bool(best)
    reason = f"relevance {likely:.2f}" + ("" if best else ", only its title is known")
    return Entry(hit.paper, tuple(best), "supported" if sure else "weak", reason, "relevance")


def _how(subject: str, cut: Lines) -> str:
    return (
        f"Decided by how relevant each paper is to “{subject}”, from 0 to 1: "
        f"from {cut.counted:.2f} on it counts, from {cut.possible:.2f} on it may."
    )
