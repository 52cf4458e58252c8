"""Role of a sentence in its abstract: background, aim, method, result, conclusion or notice.

A notice says nothing about the research: a copyright line, a placeholder, funding, interests,
registration, or where code and data are available. A logistic regression on the mean of the
sentence's stored token vectors and its place tells notices apart, a softmax regression the other
roles. scripts/fit_sentence_roles.py fits them on labelled notices and on the headings of structured
abstracts, which they do not see.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rag.index import Index
    from rag.retrieval.retriever import Hit

ROLES = ("aim", "background", "conclusion", "method", "result", "notice")
Roles: TypeAlias = "Mapping[tuple[str, int], Mapping[str, float]]"
_FILE = Path(__file__).parents[1] / "data" / "sentence_roles.json"
_EDGE = 0.15  # share of the abstract that counts as its beginning or end


class RoleModel(BaseModel):
    """Coefficients of the regressions.

    Attributes:
        embedder: name of the embedder whose token vectors they read.
        threshold: least probability of a notice from which a sentence counts as one.
        intercepts: one for each of `ROLES`.
        weights: for each role, one for each dimension of a token vector and for each of the four
            values of a place.
    """

    embedder: str
    threshold: float
    intercepts: list[float]
    weights: list[list[float]]

    def score(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each role, shape (sentences, roles).

        Args:
            vectors: mean token vector of each sentence of an abstract, in order, shape
                (sentences, token_dim).
        """
        scores = describe_sentences(vectors) @ np.array(self.weights).T + self.intercepts
        notice = 1 / (1 + np.exp(-scores[:, -1:]))
        odds = np.exp(scores[:, :-1] - scores[:, :-1].max(axis=1, keepdims=True))
        return np.hstack([(1 - notice) * odds / odds.sum(axis=1, keepdims=True), notice])


def judge_roles(index: Index, embedder: str, ids: Sequence[str]) -> Roles:
    """Return the probability of each role for the sentences of some papers.

    Args:
        index: that holds the papers.
        embedder: name of the embedder that built it.
        ids: of the papers.

    Returns:
        (paper id, offset of a sentence) -> role -> probability. Empty for another embedder than
        the bundled one, whose vectors mean nothing to the regression.
    """
    model = _load()
    if model.embedder != embedder:
        return {}
    return {
        (paper, start): dict(zip(ROLES, row, strict=True))
        for paper, (starts, vectors) in read_sentences(index, ids).items()
        for start, row in zip(starts, model.score(vectors).tolist(), strict=True)
    }


def remove_notices(hits: Sequence[Hit], roles: Roles) -> tuple[Hit, ...]:
    """Return the hits without the sentences that are notices by their roles."""
    least = _load().threshold
    return tuple(
        replace(
            hit,
            sentences=tuple(
                sentence
                for sentence in hit.sentences
                if roles.get((hit.paper.id, sentence.start), {}).get("notice", 0.0) < least
            ),
        )
        for hit in hits
    )


def read_sentences(
    index: Index, ids: Sequence[str]
) -> dict[str, tuple[list[int], NDArray[np.float32]]]:
    """Read the mean token vector of each sentence of some papers.

    Args:
        index: that holds the papers.
        ids: of the papers. Those without an abstract are left out.

    Returns:
        paper id -> the offsets of its sentences, in order, and their vectors, shape
        (sentences, token_dim), zeros for a sentence without a stored token.
    """
    found: dict[str, tuple[list[int], NDArray[np.float32]]] = {}
    for stored in index.records.load_papers(sorted(index.find_by_key("id", ids, None))):
        means: dict[int, NDArray[np.float32]] = {}
        vectors = index.read_vectors(index.records.load_rows(stored.rows))
        for passage, place, row in zip(stored.passages, stored.places, vectors, strict=True):
            averages = _average_tokens(row.unit_tokens(), place.starts)
            for (start, _), average in zip(passage.sentences, averages, strict=True):
                means.setdefault(start, average)
        if means:
            starts = sorted(means)
            found[stored.paper.id] = starts, np.array([means[start] for start in starts])
    return found


def describe_sentences(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what the regression reads of an abstract, shape (sentences, token_dim + 4)."""
    places = (np.arange(len(vectors)) + 0.5) / len(vectors)
    return np.column_stack([vectors, places, places**2, places < _EDGE, places > 1 - _EDGE])


def _average_tokens(
    tokens: NDArray[np.float32], starts: Sequence[int]
) -> list[NDArray[np.float32]]:
    nothing = np.zeros(tokens.shape[1], np.float32)
    return [
        tokens[first:end].mean(axis=0) if end > first else nothing
        for first, end in pairwise([*starts, len(tokens)])
    ]


@cache
def _load() -> RoleModel:
    return RoleModel.model_validate_json(_FILE.read_bytes())
