"""Role of a sentence in its abstract: background, aim, method, result or conclusion.

A softmax regression on the mean of the sentence's stored token vectors and its place. It was fitted
by scripts/fit_sentence_roles.py on the headings of structured abstracts, which it does not see.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

ROLES = ("aim", "background", "conclusion", "method", "result")
_FILE = Path(__file__).parents[1] / "data" / "sentence_roles.json"
_EDGE = 0.15  # share of the abstract that counts as its beginning or end


class RoleModel(BaseModel):
    """Coefficients of the regression.

    Attributes:
        embedder: name of the embedder whose token vectors it reads.
        intercepts: one for each of `ROLES`.
        weights: for each role, one for each dimension of a token vector and each part of `place`.
    """

    embedder: str
    intercepts: list[float]
    weights: list[list[float]]

    def judge(
        self, means: Mapping[tuple[int, int], NDArray[np.floating]]
    ) -> dict[tuple[int, int], dict[str, float]]:
        """Return the probability of each role for all sentences of an abstract.

        Args:
            means: span -> mean token vector.
        """
        spans = sorted(means)
        places = (np.arange(len(spans)) + 0.5) / len(spans)
        found = self.score(np.array([means[span] for span in spans]), places).tolist()
        return {
            span: dict(zip(ROLES, row, strict=True)) for span, row in zip(spans, found, strict=True)
        }

    def score(
        self, vectors: NDArray[np.floating], places: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the probability of each role, shape (sentences, roles).

        Args:
            vectors: mean token vector of each sentence, shape (sentences, token_dim).
            places: of the sentences in their abstract, in (0, 1).
        """
        values = np.hstack([vectors, describe_places(places)])
        scores = values @ np.array(self.weights).T + self.intercepts
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
        return found


def load_role_model(embedder: str) -> RoleModel | None:
    """Return the model for an embedder, or None: vectors of another one mean nothing to it."""
    model = _load()
    return model if model.embedder == embedder else None


def average_tokens(tokens: NDArray[np.floating], starts: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean token vector of each sentence, zeros for one without a stored token.

    Args:
        tokens: of a passage, shape (tokens, token_dim).
        starts: index of the first token of each sentence.
    """
    bounds = [*starts, len(tokens)]
    return np.array(
        [
            tokens[first:end].mean(axis=0) if end > first else np.zeros(tokens.shape[1])
            for first, end in pairwise(bounds)
        ],
        np.float32,
    )


def describe_places(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the regression reads of places in (0, 1), shape (sentences, 4)."""
    return np.column_stack([places, places**2, places < _EDGE, places > 1 - _EDGE])


@cache
def _load() -> RoleModel:
    return RoleModel.model_validate_json(_FILE.read_bytes())
