"""Relevance: the probability that a paper belongs to the subject of a list.

A logistic regression weighs how well a paper meets the subject, by itself and beside the best
paper: a subject of common words is met well by many papers, a rare name by few. It is fitted on
list questions with complete gold sets by scripts/fit_relevance.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rag.generation.decision import relevance_models
from rag.retrieval.roles import remove_notices
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from rag.generation.decision import RelevanceModel
    from rag.retrieval import Hit
    from rag.retrieval.roles import Roles
    from rag.verification import Verdict

_STAGES = ("tokens", "dense", "lexical")

Listed = Literal["fits", "possible"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper of a list.

    Attributes:
        hit: as it was found.
        relevance: to the subject, in [0, 1].
        listed: whether the paper fits or may fit.
        quotes: sentences that say so, best first. () for a paper without an abstract.
        verdict: of the language model, None where none decided.
        reason: why, in one clause.
        by: model that decided, or "text".
    """

    hit: Hit
    relevance: float
    listed: Listed
    quotes: tuple[Quote, ...]
    verdict: Verdict | None
    reason: str
    by: str = "text"


def select_model(hits: Sequence[Hit]) -> RelevanceModel:
    """Return the decision that fits the embedder: cosines of another embedder mean nothing here."""
    has_tokens = bool(hits) and "tokens" in hits[0].stages
    models = relevance_models()
    return models.token_vectors if has_tokens else models.words_only


def rank_by_relevance(hits: Sequence[Hit]) -> list[Entry]:
    """Return the papers as entries of a list, most relevant first.

    Args:
        hits: of the subject, the best paper of the library among them.
    """
    decision = select_model(hits)
    scores = score_relevance(hits).tolist()
    entries = [_make_entry(hit, score, decision) for hit, score in zip(hits, scores, strict=True)]
    return sorted(entries, key=lambda entry: (-entry.relevance, entry.hit.paper.id))


def drop_notices(hits: Sequence[Hit], judge: Callable[[Sequence[str]], Roles]) -> tuple[Hit, ...]:
    """Return the hits, those that may fit without their notices, which no subject is about.

    Args:
        hits: of the subject.
        judge: returns the roles of the sentences of papers.
    """
    least = select_model(hits).possible
    scores = score_relevance(hits)
    possible = [hit.paper.id for hit, score in zip(hits, scores, strict=True) if score >= least]
    return remove_notices(hits, judge(possible))


def score_relevance(hits: Sequence[Hit]) -> NDArray[np.float64]:
    """Return the relevance of each paper to the subject, shape (hits,), in [0, 1].

    A paper that the subject names is as relevant as the best one.

    Args:
        hits: of the subject, the best paper of the library among them. Empty gives shape (0,).
    """
    if not hits:
        return np.zeros(0)
    found = select_model(hits).probability(measure_signals(hits))
    return np.where([hit.named for hit in hits], found.max(), found)


def measure_signals(hits: Sequence[Hit]) -> dict[str, NDArray[np.float64]]:
    """Return the signals of the decision, each of shape (hits,).

    Returns:
        sentence: score of the best sentence, in [-1, 1]. words: largest share of the subject's idf
        that the words of one sentence carry, in [0, 1]. Every stage's score under its name. And
        each of them as `<name>_gap`: the difference to the best paper, at most 0.
    """
    signals = {
        "sentence": [max((s.score for s in hit.sentences), default=_title(hit)) for hit in hits],
        "words": [max((s.words for s in hit.sentences), default=hit.coverage) for hit in hits],
        "coverage": [hit.coverage for hit in hits],
        **{
            name: [hit.stages[name].score for hit in hits]
            for name in _STAGES
            if name in hits[0].stages
        },
    }
    columns = {name: np.array(values) for name, values in signals.items()}
    gaps = {f"{name}_gap": column - column.max() for name, column in columns.items()}
    return {**columns, **gaps}


def _title(hit: Hit) -> float:
    """Return how well the title of a paper without an abstract meets the subject."""
    return hit.stages["tokens"].score if "tokens" in hit.stages else hit.coverage


def _make_entry(hit: Hit, relevance: float, decision: RelevanceModel) -> Entry:
    """Return a paper as an entry. One without an abstract may fit at most."""
    quotes = tuple(
        Quote(hit.paper.id, sentence.start, sentence.end, sentence.text)
        for sentence in hit.sentences[:1]
    )
    fits = relevance >= decision.fits and bool(quotes)
    # rounded down, so that no paper below a threshold shows the threshold's own value
    reason = f"relevance {math.floor(100 * relevance) / 100:.2f}"
    if not quotes:
        reason += ", only its title is known"
    return Entry(hit, relevance, "fits" if fits else "possible", quotes, None, reason)
