"""Abstention: decide whether the library holds an answer, and word the answer that it does not.

Four signals of what retrieval found are weighed by a logistic regression, fitted on the development
questions by scripts/fit_answerable.py. A high score alone says little: a question about a detail
that its paper does not give finds that paper with a high score. So two signals look for what is
missing: names of the question, or the number that it asks for. A bare name says too little to score
high, so "What is X?" is answered wherever X is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.answer import Text
from rag.answer.headings import NO_CLEAR_ANSWER
from rag.generation.decision import abstention_model
from rag.generation.draft import Draft
from rag.query.rules import asks_for_number, read_form
from rag.text.numbers import read_quantities
from rag.text.terms import CODED_NAME, NAME

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from rag.answer import AnswerEvent
    from rag.retrieval import Hit, Retrieval

CLOSEST_PAPERS = 3
READ_SENTENCES = 4  # of the first paper, searched for a number
READ_PAPERS = 3  # first hits that are looked at
MOST_MISSING = 2  # more names that are missing count as this many


@dataclass(frozen=True, slots=True)
class Assessment:
    """Decision whether to answer.

    Attributes:
        answerable: whether the library seems to hold an answer.
        confidence: in [0, 1]. None without token vectors, where only "nothing found" is known.
        reason: why not, as a sentence, where that can be proved; else "".
    """

    answerable: bool
    confidence: float | None
    reason: str = ""


def assess(retrieval: Retrieval, *, threshold: float | None = None) -> Assessment:
    """Decide whether to answer from what was found.

    Args:
        retrieval: of the question.
        threshold: confidence to answer at. None takes the fitted one, or the share of it that a
            question which names its paper needs; see `share_of_threshold`.
    """
    if not retrieval.question:
        return Assessment(answerable=False, confidence=0.0, reason="The question is empty.")
    if not retrieval.hits:
        note = retrieval.notes[-1] if retrieval.notes else "The library has no papers."
        return Assessment(answerable=False, confidence=0.0, reason=note)
    found = measure_signals(retrieval)
    if found is None:
        return Assessment(answerable=True, confidence=None)
    model = abstention_model()
    confidence = float(model.probability(found))
    if threshold is None:
        threshold = model.threshold * share_of_threshold(retrieval, found)
    return Assessment(answerable=confidence >= threshold, confidence=confidence)


def abstain(
    hits: Sequence[Hit], reason: str, confidence: float | None = None
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the text of an abstention without sentences and return it with the closest papers.

    Args:
        hits: papers found, best first.
        reason: a sentence.
        confidence: that the library holds an answer, in [0, 1].
    """
    text = f"{NO_CLEAR_ANSWER} {reason}"
    yield Text(text)
    return Draft(
        text,
        hits=tuple(hits),
        status="abstained",
        reason=reason,
        closest=tuple(hits[:CLOSEST_PAPERS]),
        confidence=confidence,
    )


def measure_signals(retrieval: Retrieval) -> Mapping[str, float] | None:
    """Return the signals of the decision, or None for an embedder without token vectors.

    Returns:
        tokens: highest MaxSim of the first papers, in [-1, 1].
        window: highest window score of the first papers, in [-1, 1].
        missing_names: how many names of the question the paper lacks, at most `MOST_MISSING`.
        missing_number: 1 if it asks for a number and the best sentences have none, else 0.
    """
    hits = retrieval.hits[:READ_PAPERS]
    if "tokens" not in hits[0].stages:
        return None
    missing = _find_missing_names(retrieval)
    best = [sentence.text for sentence in retrieval.hits[0].sentences[:READ_SENTENCES]]
    lacks_number = asks_for_number(retrieval.question) and not any(map(read_quantities, best))
    return {
        "tokens": max(hit.stages["tokens"].score for hit in hits),
        "window": max(hit.stages["window"].score for hit in hits),
        "missing_names": float(min(len(missing), MOST_MISSING)),
        "missing_number": float(lacks_number),
    }


def share_of_threshold(retrieval: Retrieval, signals: Mapping[str, float]) -> float:
    """Return which share of the threshold a question needs, in [0, 1].

    Returns:
        0 for a question for nothing but a name of a first paper, or a coined name. 0.5 for one that
        names a first paper and asks for something of it: the paper is right, and may lack it. 1 for
        others, and where something is missing.
    """
    if signals["missing_names"] or signals["missing_number"]:
        return 1.0
    question = retrieval.question
    is_named = any(hit.named for hit in retrieval.hits[:READ_PAPERS])
    if read_form(question) == "name" and (is_named or CODED_NAME.search(question)):
        return 0.0
    return 0.5 if is_named else 1.0


def _find_missing_names(retrieval: Retrieval) -> list[str]:
    """Return the names of the question that neither the first paper nor one that it names has."""
    first, *others = retrieval.hits
    papers = [hit.paper for hit in (first, *others) if hit is first or hit.named]
    text = " ".join(f"{paper.title} {paper.abstract}" for paper in papers).casefold()
    names = dict.fromkeys(NAME.findall(retrieval.question))
    return [name for name in names if not _has_name(text, name.split("-"))]


def _has_name(text: str, parts: Sequence[str]) -> bool:
    """Return whether a text in lower case has a name. BERT-like is there if BERT is.

    A number counts together with what it stands behind: GPT-3 is no GPT-7.
    """
    named = [part.casefold() for part in parts if not part.islower()]
    if any(part.isdigit() for part in named):
        return "".join(named) in text.replace("-", "").replace(" ", "")
    return all(part in text for part in named)
