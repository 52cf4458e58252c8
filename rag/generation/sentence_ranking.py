"""Rank the sentences of the papers found by how well they answer a question.

A linear ranking over signals of a sentence, of its paper and of its neighbours. What a role in the
abstract is worth depends on the form of the question: a yes/no question wants the finding and not
the aim, "What is X?" the sentence that introduces X. scripts/fit_sentence_ranking.py fits it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from rag.generation.decision import DATA
from rag.query.rules import FORMS, asks_for_number, read_form
from rag.text.numbers import read_quantities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rag.retrieval import Hit, ScoredSentence

# A name has a capital or a digit behind its first letter: BERT, GPT-3, DeBERTa.
NAME = re.compile(r"\b[A-Za-z][\w@+-]*[A-Z0-9][\w@+-]*")
_FLOOR = -0.2  # score of a neighbour that is not there


class SentenceRanking(BaseModel):
    """Coefficients of the ranking.

    Attributes:
        weights: signal -> score for each unit of it.
    """

    weights: dict[str, float]


def rank_sentences(question: str, hits: Sequence[Hit]) -> list[tuple[float, Hit, ScoredSentence]]:
    """Return every sentence of the hits with its score, best first, ties in the order of hits."""
    pairs = list_sentences(hits)
    if not pairs:
        return []
    signals = measure_signals(question, hits)
    weights = load_ranking().weights
    scores = sum((weights[name] * values for name, values in signals.items()), np.zeros(len(pairs)))
    scored = [(score, *pair) for score, pair in zip(scores.tolist(), pairs, strict=True)]
    return sorted(scored, key=lambda item: (-item[0], item[1].rank, item[2].start))


def list_sentences(hits: Sequence[Hit]) -> list[tuple[Hit, ScoredSentence]]:
    """Return every sentence with its paper, in reading order."""
    return [
        (hit, sentence)
        for hit in hits
        for sentence in sorted(hit.sentences, key=lambda sentence: sentence.start)
    ]


def measure_signals(question: str, hits: Sequence[Hit]) -> dict[str, NDArray[np.float64]]:
    """Return the signals of all sentences, in the order of `list_sentences`.

    Returns:
        score, words: as in `ScoredSentence`. paper: how far the fused score of the paper lies below
        the best one's, at most 0. before, after: score of the neighbours. number: 1 if the question
        asks for a number and the sentence has one. For each form of a question, 0 for the others:
        finding, background, aim: probability of the role; place: in the abstract, in (0, 1); opens:
        1 for the first sentence. mention: 1 for the first sentence of a paper with the name that
        the question is about, if it is about a name.
    """
    pairs = list_sentences(hits)
    form = read_form(question)
    wants_number = asks_for_number(question)
    signals: dict[str, list[float]] = {
        "score": [sentence.score for _, sentence in pairs],
        "words": [sentence.words for _, sentence in pairs],
        "paper": [min(0.0, hit.score - hits[0].score) for hit, _ in pairs],
        "number": [float(wants_number and bool(read_quantities(s.text))) for _, s in pairs],
        "before": [],
        "after": [],
        "mention": [],
    }
    names = _find_names(question) if form == "name" else []
    place: list[float] = []
    opens: list[float] = []
    for hit in hits:
        sentences = sorted(hit.sentences, key=lambda sentence: sentence.start)
        scores = [_FLOOR, *(max(_FLOOR, s.score) for s in sentences), _FLOOR]
        signals["before"] += scores[: len(sentences)]
        signals["after"] += scores[2:]
        signals["mention"] += _find_first_mention(sentences, names)
        place += [(i + 0.5) / len(sentences) for i in range(len(sentences))]
        opens += [float(i == 0) for i in range(len(sentences))]
    roles = [sentence.roles for _, sentence in pairs]
    by_form = {
        "finding": [each.get("result", 0.0) + each.get("conclusion", 0.0) for each in roles],
        "background": [each.get("background", 0.0) for each in roles],
        "aim": [each.get("aim", 0.0) for each in roles],
        "place": place,
        "opens": opens,
    }
    for each in FORMS:
        for name, values in by_form.items():
            signals[f"{each}: {name}"] = [value * (each == form) for value in values]
    return {name: np.array(values) for name, values in signals.items()}


def _find_names(question: str) -> list[str]:
    """Return the names in a question about a name, its last word if none looks like one."""
    words = re.findall(r"[\w@+#-]+", question)
    return [name.casefold() for name in NAME.findall(question) or words[-1:]]


def _find_first_mention(sentences: Sequence[ScoredSentence], names: Sequence[str]) -> list[float]:
    flags = [any(name in sentence.text.casefold() for name in names) for sentence in sentences]
    first = flags.index(True) if True in flags else -1
    return [float(i == first) for i in range(len(sentences))]


@cache
def load_ranking() -> SentenceRanking:
    """Load the coefficients of `rag/data/sentence_ranking.json`."""
    return SentenceRanking.model_validate_json((DATA / "sentence_ranking.json").read_bytes())
