"""Does the library hold an answer? The decision to answer or to abstain.

A few signals of what retrieval found are weighed by a logistic regression that was fitted on the
development questions (eval/qa/dev.jsonl) by scripts/fit_answerable.py; its coefficients, threshold
and cross-validated error lie in rag/data/answerable.json. Raw scores alone say little: a question
about a detail that its paper does not give finds that paper with a high score. So two signals look
for what is missing: names and numbers that the question asks about and the papers do not have.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.retrieval import Hit, Retrieval

COEFFICIENTS = Path(__file__).parents[1] / "data" / "answerable.json"
READ_PAPERS = 3  # hits that are looked through for what the question asks
READ_SENTENCES = 4
_QUANTITY = re.compile(
    r"\b(how (many|much|long|large|big|small|often|far|fast)|what (\w+ )?(percentage|share|number|"
    r"factor|fraction|proportion|size|score|rate|accuracy)|which rank|by what factor)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million|billion|"
    r"half|third|quarter|twice|double|triple)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z][\w@+-]*")
# words that hardly an English question of some length does without, and other languages have not
_ENGLISH = re.compile(
    r"\b(?:the|of|and|to|is|are|were|for|with|by|that|it|its|than|from|has|have|which|this|these|"
    r"into|their|but|when|does|did|what|how|why|who|where|my|we|our|should|would|about|between|"
    r"there|you|your|without)\b",
    re.IGNORECASE,
)
_LONG_ENOUGH = 5
# "what is X?", "explain X", or X alone: the question is one term
_TERM = re.compile(
    r"\s*(?:(?:what|who)(?:'s| is| are| was| were)|explain|define|describe|tell me about|"
    r"what does|meaning of)?\s*(?:an?|the)?\s*(?P<term>\w[\w\s+@./-]*?)(?:\s+means?)?"
    r"\s*[?.!]*\s*",
    re.IGNORECASE,
)
_LONGEST_TERM = 5  # words


class _Fitted(BaseModel):
    """What scripts/fit_answerable.py found; weights are for standardised signals."""

    intercept: float
    threshold: float
    threshold_with_model: float
    weights: dict[str, float]
    means: dict[str, float]
    deviations: dict[str, float]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether to answer.

    Attributes:
        answerable: whether the library seems to hold an answer.
        confidence: in [0, 1]; None without token vectors, where only "nothing found" is told.
        reason: for the reader, why not; empty when answerable.
    """

    answerable: bool
    confidence: float | None
    reason: str


def judge(
    retrieval: Retrieval, *, least: float | None = None, with_model: bool = False
) -> Judgement:
    """Decides whether to answer from what was found.

    Args:
        retrieval: of the question.
        least: confidence to answer at; None takes the fitted threshold.
        with_model: whether a language model will read the papers and may decline; the fitted
            threshold is lower then.
    """
    if not retrieval.question:
        return Judgement(answerable=False, confidence=0.0, reason="the question is empty.")
    if not retrieval.hits:
        return Judgement(answerable=False, confidence=0.0, reason=_nothing(retrieval))
    found = signals(retrieval)
    if found is None:
        return Judgement(answerable=True, confidence=None, reason="")
    fitted = _fitted()
    confidence = _confidence(found, fitted)
    fitted_least = fitted.threshold_with_model if with_model else fitted.threshold
    sure = confidence >= (fitted_least if least is None else least)
    if sure or (least is None and asks_of_named(retrieval, found)):
        return Judgement(answerable=True, confidence=confidence, reason="")
    return Judgement(answerable=False, confidence=confidence, reason=_reason(retrieval, found))


def _nothing(retrieval: Retrieval) -> str:
    said = retrieval.notes[-1] if retrieval.notes else "The library has no papers."
    return said[0].lower() + said[1:]


def signals(retrieval: Retrieval) -> Mapping[str, float] | None:
    """What the decision looks at; None where the embedder gives no token vectors.

    Returns:
        tokens: MaxSim of the best paper, in [-1, 1].
        window: best window of any hit, in [-1, 1].
        missing_names: share of the names in the question that no first hit has, in [0, 1].
        missing_number: 1 if a quantity is asked and the best sentences hold none, else 0.
    """
    hits = retrieval.hits[:READ_PAPERS]
    if "tokens" not in hits[0].stages:
        return None
    texts = [f"{hit.paper.title}\n{hit.paper.abstract}" for hit in hits]
    return {
        "tokens": max(hit.stages["tokens"].score for hit in hits),
        "window": max(hit.stages["window"].score for hit in hits),
        "missing_names": _missing(_names(retrieval.question), " ".join(texts)),
        "missing_number": float(_number_is_missing(retrieval.question, hits[0])),
    }


def _names(question: str) -> list[str]:
    """Words that look like names: capitals or digits inside, or a capital after the first word."""
    # in other languages a capital says little: German writes every noun with one
    english = len(question.split()) < _LONG_ENOUGH or bool(_ENGLISH.search(question))
    found = []
    for match in _NAME.finditer(question):
        word, before = match.group(), question[: match.start()].rstrip(" \"'“‘(")
        inside = before and before[-1] not in ".!?:;\n"
        if any(c.isupper() or c.isdigit() for c in word[1:]) or (
            english and inside and word[0].isupper() and len(word) > 1
        ):
            found.append(word)
    return found


def asks_of_named(retrieval: Retrieval, found: Mapping[str, float]) -> bool:
    """Whether the question names a paper or a term of it, and nothing it asks is visibly missing.

    Such a question may be short, and short questions look unsure to the regression.
    """
    missing = found["missing_names"] or found["missing_number"]
    first = retrieval.hits[:READ_PAPERS]
    return not missing and (
        any(hit.named for hit in first) or _is_term_of(retrieval.question, first)
    )


def _is_term_of(question: str, hits: Sequence[Hit]) -> bool:
    """Whether a question is one term of several words that a first paper has, word for word."""
    match = _TERM.fullmatch(question)
    words = re.findall(r"\w+", match["term"].casefold()) if match else []
    if not 2 <= len(words) <= _LONGEST_TERM:
        return False
    term = re.compile(r"\b" + r"[\W_]+".join(map(re.escape, words)) + r"(?:s|es)?\b")
    return any(term.search(f"{hit.paper.title}\n{hit.paper.abstract}".casefold()) for hit in hits)


def _missing(names: list[str], text: str) -> float:
    folded = text.casefold()
    return sum(name.casefold() not in folded for name in names) / len(names) if names else 0.0


def _number_is_missing(question: str, hit: Hit) -> bool:
    if not _QUANTITY.search(question):
        return False
    return not any(_NUMBER.search(s.text) for s in hit.sentences[:READ_SENTENCES])


def _reason(retrieval: Retrieval, found: Mapping[str, float]) -> str:
    hits = retrieval.hits[:READ_PAPERS]
    text = " ".join(f"{hit.paper.title} {hit.paper.abstract}" for hit in hits).casefold()
    absent = [name for name in _names(retrieval.question) if name.casefold() not in text]
    if absent:
        return f"the closest papers do not mention {', '.join(dict.fromkeys(absent))}."
    if found["missing_number"]:
        return "the closest papers give no such number."
    return "no paper is close enough to the question."


def _confidence(found: Mapping[str, float], fitted: _Fitted) -> float:
    weighed = fitted.intercept + sum(
        fitted.weights[name] * (value - fitted.means[name]) / fitted.deviations[name]
        for name, value in found.items()
    )
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, weighed))))


@cache
def _fitted() -> _Fitted:
    return _Fitted.model_validate_json(COEFFICIENTS.read_bytes())
