"""A logistic decision: named signals in, a probability out.

Two decisions are fitted so: does the library hold an answer (`abstention`), and does a paper belong
in a list (`relevance`). Their coefficients are fitted on the development questions by the scripts
named in the files of rag/data.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

DATA = Path(__file__).parents[1] / "data"


class Logistic(BaseModel):
    """Coefficients of a logistic regression over raw signals.

    Attributes:
        intercept: log-odds where every signal is 0.
        weights: signal -> log-odds for each unit of it.
    """

    intercept: float
    weights: dict[str, float]

    def probability(self, signals: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the probability for signals of equal shape, in [0, 1].

        >>> Logistic(intercept=0.0, weights={"a": 1.0}).probability({"a": [0.0]}).tolist()
        [0.5]
        """
        odds = sum(
            (weight * np.asarray(signals[name]) for name, weight in self.weights.items()),
            start=np.asarray(self.intercept),
        )
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0))), dtype=np.float64)


class AbstentionModel(Logistic):
    """Decision whether the library holds an answer.

    Attributes:
        threshold: confidence to answer at.
    """

    threshold: float


class RelevanceModel(Logistic):
    """Decision which papers belong in a list.

    Attributes:
        fits: relevance from which a paper counts as one that was asked for.
        possible: relevance from which it may be one.
        read: relevance from which a language model reads it.
    """

    fits: float
    possible: float
    read: float


class RelevanceModels(BaseModel):
    """Decisions for an embedder with token vectors, and for words alone."""

    token_vectors: RelevanceModel
    words_only: RelevanceModel


@cache
def abstention_model() -> AbstentionModel:
    """Load the coefficients of `rag/data/answerable.json`."""
    return AbstentionModel.model_validate_json((DATA / "answerable.json").read_bytes())


@cache
def relevance_models() -> RelevanceModels:
    """Load the coefficients of `rag/data/relevance.json`."""
    return RelevanceModels.model_validate_json((DATA / "relevance.json").read_bytes())
