"""Rank the sentences of the papers found by how well they answer a question.

A linear ranking over signals of a sentence and of its paper. What its role in the abstract is worth
depends on the form of the question: a yes/no question wants the finding and not the aim, "What is
X?" the sentence that introduces X. scripts/fit_sentence_ranking.py fits the weights.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from rag.generation.decision import DATA
from rag.query.rules import Form, asks_for_number, read_form
from rag.text.numbers import read_quantities
from rag.text.terms import FEW_OTHER_WORDS, NAME, lexical_terms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from rag.retrieval import Hit, ScoredSentence
    from rag.retrieval.roles import Roles

# Signal of a role -> the roles whose probabilities it adds up.
_ROLE_SIGNALS = {
    "finding": ("result", "conclusion"),
    "background": ("background",),
    "aim": ("aim",),
}
_FORMS: tuple[Form, ...] = ("yes/no", "other")  # in which the role counts


class SentenceRanking(BaseModel):
    """Coefficients of the ranking.

    Attributes:
        weights: signal -> score for each unit of it.
    """

    weights: dict[str, float]


def rank_sentences(
    question: str, hits: Sequence[Hit], roles: Roles
) -> list[tuple[float, Hit, ScoredSentence]]:
    """Return every sentence of the hits with its score, best first, ties in the order of hits.

    Args:
        question: that was searched for.
        hits: papers found, best first.
        roles: of their sentences; empty for an embedder without them.
    """
    pairs = list_sentences(hits)
    weights = load_ranking().weights
    scores = np.zeros(len(pairs))
    for name, values in measure_signals(question, hits, roles).items():
        scores += weights[name] * values
    scored = [(score, *pair) for score, pair in zip(scores.tolist(), pairs, strict=True)]
    return sorted(scored, key=lambda item: (-item[0], item[1].rank, item[2].start))


def list_sentences(hits: Sequence[Hit]) -> list[tuple[Hit, ScoredSentence]]:
    """Return every sentence with its paper, in reading order."""
    return [
        (hit, sentence)
        for hit in hits
        for sentence in sorted(hit.sentences, key=lambda sentence: sentence.start)
    ]


def measure_signals(
    question: str, hits: Sequence[Hit], roles: Roles
) -> dict[str, NDArray[np.float64]]:
    """Return the signals of all sentences, in the order of `list_sentences`.

    Returns:
        score: as in `ScoredSentence`. paper: how far the fused score of the paper lies below the
        best one's, at most 0. number: 1 if the question asks for a number and the sentence has one.
        mention: 1 for the first sentence of a paper with the name that the question is about. For
        each of `_FORMS`, 0 for the other forms: finding, background, aim: probability of the role,
        in [0, 1].
    """
    pairs = list_sentences(hits)
    form = read_form(question)
    asked = set(lexical_terms(question))
    names = list(filter(None, (set(lexical_terms(name)) for name in NAME.findall(question))))
    if _is_about_name(asked.difference(*names), names, hits):
        form = "name"
    wants_number = asks_for_number(question)
    found = [roles.get((hit.paper.id, sentence.start), {}) for hit, sentence in pairs]
    signals = {
        "score": [sentence.score for _, sentence in pairs],
        "paper": [min(0.0, hit.score - hits[0].score) for hit, _ in pairs],
        "number": [float(wants_number and bool(read_quantities(s.text))) for _, s in pairs],
        "mention": _find_mentions(pairs, names or [asked] if form == "name" else []),
    }
    for each in _FORMS:
        for name, several in _ROLE_SIGNALS.items():
            values = [sum(role.get(part, 0.0) for part in several) for role in found]
            signals[f"{each}: {name}"] = [value * (each == form) for value in values]
    return {name: np.array(values) for name, values in signals.items()}


def _is_about_name(
    others: AbstractSet[str], names: Sequence[AbstractSet[str]], hits: Sequence[Hit]
) -> bool:
    """Return whether the first paper with a name of the question has none of its few other words.

    So "I have never heard of X, what is it?" is about X, and "How does X use labels?" is not.
    """
    for hit in hits if names and len(others) <= FEW_OTHER_WORDS else ():
        terms = set(lexical_terms(f"{hit.paper.title} {hit.paper.abstract}"))
        if any(name <= terms for name in names):
            return others.isdisjoint(terms)
    return False


def _find_mentions(
    pairs: Sequence[tuple[Hit, ScoredSentence]], names: Sequence[AbstractSet[str]]
) -> list[float]:
    """Return 1 for the first sentence of each paper with one of the names, 0 for the others."""
    if not names:
        return [0.0] * len(pairs)
    seen: set[str] = set()
    flags = []
    for hit, sentence in pairs:
        terms = set(lexical_terms(sentence.text))
        is_first = hit.paper.id not in seen and any(name <= terms for name in names)
        seen |= {hit.paper.id} if is_first else set()
        flags.append(float(is_first))
    return flags


@cache
def load_ranking() -> SentenceRanking:
    """Load the coefficients of `rag/data/sentence_ranking.json`."""
    return SentenceRanking.model_validate_json((DATA / "sentence_ranking.json").read_bytes())
