"""The writer without a language model: verbatim sentences that answer the question best.

Sentences compete across papers: how well the sentence meets the question, how well its paper does,
and how much of the question's rarer words it holds. The few best are shown paper by paper, best
paper first, each paper's sentences in the order of its abstract. A question that compares, or that
names several papers, gets sentences from several papers.

The weights were chosen on the development questions: `python benchmarks/sentences.py` prints how
often a sentence with the evidence is among those shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.citations.resolve import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.retrieval import Hit, Retrieval, ScoredSentence

PAPER_WEIGHT = 0.06  # for each unit that the paper's fused score lies below the best paper's
WORD_WEIGHT = 0.1  # for the share of the question's idf that the sentence's words carry
MARGIN = 0.25  # below the best sentence; weaker ones are not shown
FEWEST = 2
MOST_PER_PAPER = 2  # in an answer that compares papers
_COMPARES = re.compile(
    r"\b(compar\w+|versus|vs|differ\w*|difference|contrast|both|either|each|better than|"
    r"which (papers|works|systems|methods|approaches))\b",
    re.IGNORECASE,
)


def choose_sentences(
    retrieval: Retrieval, most: int, *, seen: frozenset[str] = frozenset()
) -> list[Draft]:
    """The sentences of an extractive answer, in reading order.

    Args:
        retrieval: of the question; its first papers are drawn from.
        most: sentences at most, at least 1; fewer are shown where the rest is much weaker.
        seen: sentences that the reader has had already; passed over while there are others.

    Returns:
        one draft a sentence, each citing the paper it stands in; empty when nothing was found.
    """
    if not retrieval.hits:
        return []
    ranked = _ranked(retrieval.hits)
    ranked = [item for item in ranked if item[2].text not in seen] or ranked
    per_paper = MOST_PER_PAPER if _compares(retrieval) else most
    chosen: list[tuple[float, Hit, ScoredSentence]] = []
    for score, hit, sentence in ranked:
        if len(chosen) == most or (
            len(chosen) >= FEWEST and score < chosen[0][0] - MARGIN and not hit.named
        ):
            break
        if sum(other is hit for _, other, _ in chosen) < per_paper:
            chosen.append((score, hit, sentence))
    chosen.sort(key=lambda item: (item[1].rank, item[2].start))
    return [Draft(sentence.text, (hit.paper,)) for _, hit, sentence in chosen]


def _ranked(hits: Sequence[Hit]) -> list[tuple[float, Hit, ScoredSentence]]:
    """All sentences of the hits with their scores, best first; ties in the order of the hits."""
    best = hits[0].score
    named = any(hit.named for hit in hits)
    scored = [
        (
            sentence.score
            + PAPER_WEIGHT * min(0.0, hit.score - best) * (not hit.named)
            + WORD_WEIGHT * sentence.words,
            hit,
            sentence,
        )
        for hit in hits
        if hit.named or not named
        for sentence in hit.sentences
    ]
    return sorted(scored, key=lambda item: (-item[0], item[1].rank, item[2].start))


def _compares(retrieval: Retrieval) -> bool:
    several = sum(hit.named for hit in retrieval.hits) > 1
    return several or _COMPARES.search(retrieval.question) is not None
