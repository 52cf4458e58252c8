"""Late interaction: compare a question with a text token by token, without another model call.

The forward pass that makes a passage's pooled vector also makes its token vectors. They give two
scores, each in [-1, 1], higher is better:

- **tokens** (MaxSim): the weighted mean, over the question's tokens, of the best cosine with any
  token of the text. It is 1 if every token of the question occurs in the text in the same sense.
- **window**: the best cosine between the weighted mean of the question's tokens and the mean of any
  run of `WINDOW_TOKENS` tokens of the text. It finds the passage about the question even if no
  single word matches.

A token's weight is its idf in the library. A stop word or a sign, which texts do not store, weighs
1, because in context it still carries meaning.

Source: Khattab and Zaharia 2020, "ColBERT: Efficient and Effective Passage Search via
Contextualized Late Interaction over BERT"; the weights and the windows are ours, measured by
`benchmarks/retrieval.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding
    from rag.index import Index
    from rag.index.token_vectors import TokenBlock

WINDOW_TOKENS = 25
WINDOW_STEP = 5
_NOTHING = -1.0  # score of a text without tokens, below all others


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
class RowScore:
    """Scores of one row: the whole passage, its best window, and each sentence."""

    tokens: float
    window: float
    sentences: tuple[float, ...]


def weight_tokens(encoding: Encoding, index: Index) -> QuestionTokens | None:
    """Weight the tokens of a question, or None if it has no token."""
    if not len(encoding.token_ids):
        return None
    idf = index.tokens.compute_idf(encoding.token_ids)
    weights = np.where(encoding.content, idf, np.float32(1.0))
    return QuestionTokens(encoding.tokens, weights / weights.sum())


def score_rows(question: QuestionTokens, index: Index, rows: Sequence[int]) -> tuple[RowScore, ...]:
    """Score rows and their sentences. A row or sentence without a stored token gets -1."""
    block = index.tokens.gather(rows)
    similarity = block.vectors @ question.vectors.T
    windows = _score_windows(question, block)
    scores = []
    for number, (first, last) in enumerate(pairwise(block.bounds.tolist())):
        part = similarity[first:last]
        cuts = [*block.sentences[number].tolist(), last - first]
        sentences = tuple(_score_tokens(part[start:end], question) for start, end in pairwise(cuts))
        scores.append(RowScore(_score_tokens(part, question), windows[number], sentences))
    return tuple(scores)


def _score_tokens(similarity: NDArray[np.float32], question: QuestionTokens) -> float:
    if not len(similarity):
        return _NOTHING
    return float(similarity.max(axis=0) @ question.weights)


def _score_windows(question: QuestionTokens, block: TokenBlock) -> list[float]:
    """Return the best cosine of any window with the question, for each row."""
    whole = question.weights @ question.vectors
    whole /= max(float(np.linalg.norm(whole)), 1e-9)
    sums = np.zeros((len(block.vectors) + 1, block.vectors.shape[1]), dtype=np.float64)
    np.cumsum(block.vectors, axis=0, out=sums[1:])
    scores = []
    for first, last in pairwise(block.bounds.tolist()):
        if first == last:
            scores.append(_NOTHING)
            continue
        # the last window starts where at least half a window is left
        starts = np.arange(first, max(first + 1, last - WINDOW_TOKENS // 2), WINDOW_STEP)
        means = sums[np.minimum(starts + WINDOW_TOKENS, last)] - sums[starts]
        norms = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
        scores.append(float((means @ whole / norms).max()))
    return scores
