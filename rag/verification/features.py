"""What the offline check looks at: how a statement meets the sentences of the cited abstracts.

The forward pass of the bundled embedder over an abstract gives a vector for each of its tokens as
read in context; every token of the statement is compared with those of every sentence (MaxSim), and
its stemmed words with the sentence's, weighted by how rare they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.text.numbers import missing_numbers
from rag.text.terms import lexical_terms
from rag.verification.words import (
    FALLING,
    RISING,
    missing_names,
    names,
    negations,
    overclaims,
    turned,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rag.embedding.minilm import Encoding, MiniLM

QUOTED_SENTENCES = 3
# what speaks for support; the fit keeps their weights non-negative
OVERLAPS = ("words_best", "words_all", "tokens_best", "tokens_all", "tokens_low", "pooled")


@dataclass(frozen=True, slots=True)
class Source:
    """One abstract, read once.

    Attributes:
        paper_id: whose.
        title: of the paper; a name may stand there only.
        text: the abstract.
        spans: of its sentences.
        stems: the stemmed words of each sentence.
        tokens: unit vectors of its content tokens, shape (t, dim).
        bounds: the tokens of sentence i are tokens[bounds[i]:bounds[i + 1]].
    """

    paper_id: str
    title: str
    text: str
    spans: tuple[tuple[int, int], ...]
    stems: tuple[frozenset[str], ...]
    tokens: NDArray[np.float32]
    bounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a statement meets some abstracts.

    Attributes:
        values: feature name -> value.
        sentences: (source, sentence) of the best ones, in reading order; at most three.
        best: the very best sentence.
        window: text of `sentences`.
        words: share of the statement's rare words in `window` or the titles, in [0, 1].
        whole: titles and texts of all the abstracts.
    """

    values: Mapping[str, float]
    sentences: tuple[tuple[int, int], ...]
    best: str
    window: str
    words: float
    whole: str


def read_source(
    paper_id: str, title: str, text: str, spans: Sequence[tuple[int, int]], encoding: Encoding
) -> Source:
    """An abstract ready for comparison; `encoding` is of its text."""
    kept = np.flatnonzero(encoding.content)
    starts = encoding.offsets[kept, 0]
    bounds = [int(np.searchsorted(starts, start)) for start, _ in spans]
    return Source(
        paper_id,
        title,
        text,
        tuple(spans),
        tuple(frozenset(lexical_terms(text[start:end])) for start, end in spans),
        encoding.tokens[kept],
        (*bounds, len(kept)),
    )


def measure(
    statement: str, sources: Sequence[Source], embedder: MiniLM, idf: Mapping[str, float]
) -> Measured | None:
    """Compares a statement with abstracts; None where there is nothing to compare.

    Args:
        statement: one sentence.
        sources: the abstracts, none without a sentence.
        embedder: the one that read the sources.
        idf: stem -> rarity; "" for a stem that is not in it.
    """
    places = [(s, i) for s, source in enumerate(sources) for i in range(len(source.spans))]
    terms = list(dict.fromkeys(lexical_terms(statement)))
    if not places or not terms:
        return None
    encoding = next(iter(embedder.encode([statement])))
    kept = np.flatnonzero(encoding.content)
    tokens = _token_scores(encoding.tokens[kept], sources)
    weights = np.array([idf.get(term, idf[""]) for term in terms])
    held = np.array([[t in sources[s].stems[i] for t in terms] for s, i in places], dtype=float)
    words = held @ weights / weights.sum()
    combined = tokens.mean(axis=0) + 0.5 * words
    order = np.argsort(-combined, kind="stable")[:QUOTED_SENTENCES]
    chosen = sorted(int(n) for n in order)
    texts = [sources[s].text[slice(*sources[s].spans[i])] for s, i in places]
    best = texts[order[0]]
    window = " ".join(texts[n] for n in chosen)
    whole = "\n".join(f"{source.title}\n{source.text}" for source in sources)
    near = tokens[:, chosen].max(axis=1)
    pooled = next(iter(embedder.encode([best]))).vector
    values = {
        "words_best": float(words.max()),
        "words_all": float(held.max(axis=0) @ weights / weights.sum()),
        "tokens_best": float(tokens.mean(axis=0).max()),
        "tokens_all": float(tokens.max(axis=1).mean()),
        "tokens_low": float(np.quantile(near, 0.1)),
        "pooled": float(encoding.vector @ pooled),
        "late": places[order[0]][1] / max(1, len(sources[places[order[0]][0]].spans) - 1),
        "falling_unmet": _unmet(statement, encoding.offsets[kept], near),
        **_word_checks(statement, best, window, whole),
    }
    titles = frozenset(lexical_terms(" ".join(source.title for source in sources)))
    titled = np.array([term in titles for term in terms], dtype=float)
    shared = float(np.maximum(held[chosen].max(axis=0), titled) @ weights / weights.sum())
    return Measured(values, tuple(places[n] for n in chosen), best, window, shared, whole)


def _token_scores(tokens: NDArray[np.float32], sources: Sequence[Source]) -> NDArray[np.float32]:
    """Best cosine of each statement token in each sentence, shape (tokens, sentences)."""
    columns = []
    for source in sources:
        similar = tokens @ source.tokens.T
        for first, last in zip(source.bounds, source.bounds[1:], strict=False):
            empty = last <= first or not len(tokens)
            columns.append(np.zeros(len(tokens)) if empty else similar[:, first:last].max(axis=1))
    scores = np.stack(columns, axis=1).astype(np.float32)
    return scores if len(scores) else np.zeros((1, scores.shape[1]), np.float32)


def _unmet(statement: str, offsets: NDArray[np.integer], near: NDArray[np.float32]) -> float:
    """How badly the worst word of falling or negation is met, in [0, 1]; 0 without such a word."""
    spans = [match.span() for match in FALLING.finditer(statement)]
    scores = [
        float(near[n])
        for n, (start, end) in enumerate(offsets.tolist())
        if any(start < last and end > first for first, last in spans)
    ]
    return 1.0 - min(scores, default=1.0)


def _word_checks(statement: str, best: str, window: str, whole: str) -> dict[str, float]:
    falls, best_falls = len(FALLING.findall(statement)), len(FALLING.findall(best))
    rises, best_rises = bool(RISING.search(statement)), bool(RISING.search(best))
    opposite = (rises and not falls and best_falls and not best_rises) or (
        falls and not rises and best_rises and not best_falls
    )
    return {
        "number_missing": float(bool(missing_numbers(statement, window))),
        "names_missing": len(missing_names(statement, whole)) / max(1, len(names(statement))),
        "negation_differs": float((negations(statement) > 0) != (negations(best) > 0)),
        "turned": float(turned(statement, window) is not None),
        "opposite": float(bool(opposite)),
        "falling_alone": float(falls > 0 and not best_falls),
        "parity_differs": float(falls % 2 != best_falls % 2),
        "overclaims": float(overclaims(statement, window) is not None),
    }
