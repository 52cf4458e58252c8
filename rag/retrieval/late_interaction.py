"""Late interaction: compare a question with a text token by token, without another model call.

The forward pass that makes a passage's pooled vector also makes its token vectors. They give two
scores, each in [-1, 1], higher is better:

- **tokens** (MaxSim): the weighted mean, over the question's tokens, of the best cosine with any
  token of the text. It is 1 if every token of the question occurs in the text in the same sense.
- **window**: the best cosine between the weighted mean of the question's tokens and the mean of any
  run of `WINDOW_TOKENS` tokens of the text. It finds the passage about the question even if no
  single word matches.

A token's weight is its idf in the library. A stop word or a sign, which texts do not store, weighs
1, because in context it still carries meaning. A window's cosine is the sum of its tokens' products
with the question, times a factor that the index stores: no vector is added up at query time.

Source: Khattab and Zaharia 2020, "ColBERT: Efficient and Effective Passage Search via
Contextualized Late Interaction over BERT"; the weights and the windows are ours, measured by
`benchmarks/retrieval.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.token_vectors import WINDOW_STEP, WINDOW_TOKENS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rag.embedding import Encoding
    from rag.index import Index
    from rag.index.token_vectors import StoredVectors

NOTHING = -1.0  # score of a text without tokens, below all others


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """Weighted tokens of a question.

    Attributes:
        vectors: shape (q, token_dim), float32, unit rows.
        weights: shape (q,), positive, summing to 1.
    """

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Scores of some rows.

    Attributes:
        tokens: MaxSim of each row, shape (rows,).
        window: best window of each row, shape (rows,).
        products: cosine of every token with every token of the question, shape (t, q).
        bounds: shape (rows + 1,); the tokens of row i are bounds[i] to bounds[i + 1].
        weights: of the question's tokens, shape (q,).
    """

    tokens: NDArray[np.float64]
    window: NDArray[np.float64]
    products: NDArray[np.float32]
    bounds: NDArray[np.int64]
    weights: NDArray[np.float32]

    def score_sentences(self, row: int, starts: Sequence[int]) -> list[float]:
        """Return MaxSim of each sentence of a row; -1 without a stored token.

        Args:
            row: position of the row among the scored ones.
            starts: index of the first token of each sentence within the row.
        """
        part = self.products[self.bounds[row] : self.bounds[row + 1]]
        scores = _score_runs(part, np.array([*starts, len(part)]), self.weights)
        return [float(score) for score in scores]


def weight_tokens(encoding: Encoding, index: Index) -> QuestionTokens | None:
    """Weight the tokens of a question, or None if it has no token."""
    if not len(encoding.token_ids):
        return None
    idf = index.compute_piece_idf(encoding.token_ids)
    weights = np.where(encoding.content, idf, np.float32(1.0))
    return QuestionTokens(encoding.tokens, weights / weights.sum())


def score_rows(question: QuestionTokens, rows: Sequence[StoredVectors]) -> TokenScores:
    """Score rows. A row without a stored token gets -1."""
    whole = question.weights @ question.vectors
    whole /= max(float(np.linalg.norm(whole)), 1e-9)
    asked = np.ascontiguousarray(np.vstack([question.vectors, whole]).T)
    counts = [len(row.tokens) for row in rows]
    bounds = np.cumsum([0, *counts])
    products = np.empty((bounds[-1], asked.shape[1]), np.float32)
    buffer = np.empty((max(counts, default=0), asked.shape[0]), np.float32)
    first = 0
    for row, count in zip(rows, counts, strict=True):
        # one row at a time stays in the processor's cache: a third of the time of one product
        tokens = buffer[:count]
        tokens[...] = row.tokens
        np.matmul(tokens, asked, out=products[first : first + count])
        first += count
    products *= _join([row.factors for row in rows])[:, None]
    return TokenScores(
        _score_runs(products[:, :-1], bounds, question.weights),
        _score_windows(products[:, -1], bounds, rows),
        products[:, :-1],
        bounds,
        question.weights,
    )


def _score_runs(
    products: NDArray[np.float32], bounds: NDArray[np.int64], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return MaxSim of runs of tokens, shape (len(bounds) - 1,); -1 for an empty run."""
    scores = np.full(len(bounds) - 1, NOTHING)
    filled = np.flatnonzero(bounds[1:] > bounds[:-1])
    if len(filled):
        end = bounds[filled[-1] + 1]
        best = np.maximum.reduceat(products[:end], bounds[filled], axis=0)
        scores[filled] = best @ weights
    return scores


def _score_windows(
    products: NDArray[np.float32], bounds: NDArray[np.int64], rows: Sequence[StoredVectors]
) -> NDArray[np.float64]:
    """Return the best window of each row, shape (rows,); -1 for a row without tokens."""
    counts = np.array([len(row.windows) for row in rows], dtype=np.int64)
    sums = np.concatenate([[0.0], np.cumsum(products, dtype=np.float64)])
    firsts = np.cumsum([0, *counts])
    number = np.repeat(np.arange(len(rows)), counts)  # row of each window
    starts = bounds[number] + WINDOW_STEP * (np.arange(firsts[-1]) - firsts[number])
    ends = np.minimum(starts + WINDOW_TOKENS, bounds[number + 1])
    cosines = (sums[ends] - sums[starts]) * _join([row.windows for row in rows])
    return _score_runs(cosines[:, None], firsts, np.ones(1, np.float32))


def _join(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
