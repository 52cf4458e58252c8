"""Late interaction: comparing a question with a text token by token, without a further model call.

The forward pass that gives a passage's pooled vector gives its token vectors too. Two scores come
from them, each in [-1, 1], higher is better:

- **tokens** (MaxSim): the sum, over the question's tokens, of weight x the best cosine with any
  token of the text, divided by the sum of weights. It reaches 1 where every token of the question
  stands in the text in the same sense.
- **window**: the best cosine between the question as a whole (the weighted mean of its tokens) and
  the mean of any run of `WINDOW_TOKENS` neighbouring tokens of the text. It finds the place that is
  about the question even where no single word is.

A token's weight is its idf in the library; a stop word or a sign, which the text side does not
store, weighs 1: read in context it still carries what the sentence is about.

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
_NOTHING = -1.0  # the score of a text without tokens, below every other


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """The tokens of a question.

    Attributes:
        vectors: shape (q, token_dim), float32, unit rows.
        weights: shape (q,), positive, summing to 1.
    """

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RowScore:
    """How well one row meets a question: the whole passage, its best window, each sentence."""

    tokens: float
    window: float
    sentences: tuple[float, ...]


def question_tokens(encoding: Encoding, index: Index) -> QuestionTokens | None:
    """The weighted tokens of a question; None for a question without a token."""
    if not len(encoding.token_ids):
        return None
    idf = index.tokens.piece_idf(encoding.token_ids)
    weights = np.where(encoding.content, idf, np.float32(1.0))
    return QuestionTokens(encoding.tokens, weights / weights.sum())


def score_rows(question: QuestionTokens, index: Index, rows: Sequence[int]) -> tuple[RowScore, ...]:
    """Scores rows and their sentences; a row or sentence without a stored token gets -1."""
    block = index.tokens.gather(rows)
    similarity = block.vectors @ question.vectors.T
    windows = _window_scores(question, block)
    scores = []
    for number, (first, last) in enumerate(pairwise(block.bounds.tolist())):
        part = similarity[first:last]
        cuts = [*block.sentences[number].tolist(), last - first]
        sentences = tuple(_best(part[start:end], question) for start, end in pairwise(cuts))
        scores.append(RowScore(_best(part, question), windows[number], sentences))
    return tuple(scores)


def _best(similarity: NDArray[np.float32], question: QuestionTokens) -> float:
    if not len(similarity):
        return _NOTHING
    return float(similarity.max(axis=0) @ question.weights)


def _window_scores(question: QuestionTokens, block: TokenBlock) -> list[float]:
    """For each row, the best cosine of any of its windows with the question as a whole."""
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
