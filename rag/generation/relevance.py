"""Which of the papers found belong to a subject? The decision behind every list of papers.

A logistic regression weighs how well a paper meets the subject, in itself and beside the best
paper: a subject of common words is met well by many papers, a rare name by few. It was fitted on
listing questions with complete gold sets by scripts/fit_relevance.py; its coefficients, lines and
cross-validated error lie in rag/data/relevance.json. Called by the assistant for listing questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rag.retrieval import Hit

COEFFICIENTS = Path(__file__).parents[1] / "data" / "relevance.json"
MOST_LOOKED_AT = 400  # papers of a library that are looked through for one list, nearest first
_STAGES = ("tokens", "dense", "lexical", "coverage")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where one list is cut: relevances in [0, 1].

    Attributes:
        counted: from here on a paper counts as one that was asked for; higher where the best
            paper is surer, for then those that only resemble it are sure to be other.
        possible: from here on it may be one.
        read: from here on it is worth a language model's look.
    """

    counted: float
    possible: float
    read: float


class _Fitted(BaseModel):
    """What scripts/fit_relevance.py found for one set of signals; weights are for raw values.

    A list is cut at `floor` and a `share` of its best paper's relevance above it, if that paper has
    the `least` relevance.
    """

    least: float
    floor: float
    share: float
    possible: float
    read: float
    intercept: float
    weights: dict[str, float]
    gaps: dict[str, float]


class _File(BaseModel):
    token_vectors: _Fitted
    words_only: _Fitted


def relevances(hits: Sequence[Hit]) -> NDArray[np.float64]:
    """How likely each paper belongs to the subject that was searched for, shape (hits,).

    Args:
        hits: of the subject, among them the best that the library has. Without hits the result is
            empty.
    """
    if not hits:
        return np.zeros(0)
    fitted = _fitted(hits)
    values = signals(hits)
    weighed: NDArray[np.float64] = np.full(len(hits), fitted.intercept)
    for name, weight in fitted.weights.items():
        column = values[name]
        weighed += weight * column + fitted.gaps[name] * (column - column.max())
    chances: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(weighed, -50, 50)))
    return chances


def lines(hits: Sequence[Hit], best: float) -> Lines:
    """Where a list of these hits is cut.

    Args:
        hits: of the subject.
        best: the highest relevance of a paper that may be listed, in [0, 1]; 0 for none.
    """
    fitted = _fitted(hits)
    cut = fitted.floor + fitted.share * best
    return Lines(
        cut if best >= fitted.least else fitted.least, min(fitted.possible, cut), fitted.read
    )


def signals(hits: Sequence[Hit]) -> dict[str, NDArray[np.float64]]:
    """What the decision looks at, each of shape (hits,).

    Returns:
        sentence: the best sentence's score, in [-1, 1]; words: the largest share of the subject's
        idf that one sentence's words carry, in [0, 1]; and every stage's score, by its name.
    """
    columns = {
        "sentence": [max((s.score for s in hit.sentences), default=_title(hit)) for hit in hits],
        "words": [max((s.words for s in hit.sentences), default=_coverage(hit)) for hit in hits],
    }
    for name in _STAGES:
        if name in hits[0].stages:
            columns[name] = [hit.stages[name].score for hit in hits]
    return {name: np.array(column) for name, column in columns.items()}


def _title(hit: Hit) -> float:
    """Of a paper without a sentence: how well its title meets the subject."""
    return hit.stages["tokens"].score if "tokens" in hit.stages else _coverage(hit)


def _coverage(hit: Hit) -> float:
    return hit.stages["coverage"].score


def _fitted(hits: Sequence[Hit]) -> _Fitted:
    """The coefficients; another embedder's cosines mean nothing here, so only words decide then."""
    has_tokens = bool(hits) and "tokens" in hits[0].stages
    return _file().token_vectors if has_tokens else _file().words_only


@cache
def _file() -> _File:
    return _File.model_validate_json(COEFFICIENTS.read_bytes())
