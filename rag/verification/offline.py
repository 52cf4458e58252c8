"""The check without a language model: fitted on labelled pairs, overruled by plain contradictions.

`scripts/fit_verify.py` fits it on SciFact's evidence pairs and writes rag/data/verify.json with its
cross-validated figures; `benchmarks/verification.py` prints what it catches and what it does not.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel

from rag.text.numbers import missing_numbers
from rag.text.sentences import sentence_spans
from rag.verification.denials import denies
from rag.verification.features import Measured, Source, measure, read_source
from rag.verification.order import kept_order, misplaced_number
from rag.verification.quotation import Claim, Quote, Verdict, Verification, verbatim
from rag.verification.words import in_english, missing_names, negations, overclaims, turned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rag.embedding.minilm import MiniLM
    from rag.papers import Paper

COEFFICIENTS = Path(__file__).parents[1] / "data" / "verify.json"
# A statement nearly in the abstract's own words: shares of its rare words in the nearest sentences
# and in the best one, share of common words in the same order, probability of support.
NEAR_WORDS = 0.88
NEAR_BEST = 0.5
NEAR_ORDER = 0.8
NEAR_LIKELY = 0.5
_CACHED_ABSTRACTS = 256
BY = "offline"


class Fitted(BaseModel):
    """What scripts/fit_verify.py found; weights are for standardised features.

    Attributes:
        intercept: of the regression.
        supported: likelihood from which a statement is supported, right nine times in ten.
        weak: likelihood below which it is unsupported, right nine times in ten.
        even: likelihood at which both kinds of error weigh the same.
        weights: feature -> weight.
        means: feature -> mean.
        deviations: feature -> standard deviation.
        idf: stem -> rarity.
        on_the_other_half: how these coefficients do on abstracts they never saw.
    """

    intercept: float
    supported: float
    weak: float
    even: float
    weights: dict[str, float]
    means: dict[str, float]
    deviations: dict[str, float]
    idf: dict[str, float]
    on_the_other_half: dict[str, float] = {}


Decide: TypeAlias = "Callable[[str, Measured, float, Fitted], tuple[Verdict, str]]"


class OfflineVerifier:
    """Checks claims with the bundled embedder; may be shared by threads."""

    def __init__(
        self,
        load: Callable[[], MiniLM],
        fitted: Fitted | None = None,
        decide: Decide | None = None,
    ) -> None:
        """Takes a maker of the embedder, which is called when a claim first needs it.

        Args:
            load: makes the embedder.
            fitted: coefficients; None takes those that the package ships.
            decide: from what was measured to a verdict; None is as strict as readers need it.
        """
        self._load = cache(load)
        self._fitted = fitted
        self._decide = decide or _decide
        self._sources: OrderedDict[tuple[str, int], Source] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order."""
        return [verbatim(claim) or self._checked(claim) for claim in claims]

    def _checked(self, claim: Claim) -> Verification:
        sources = [source for p in claim.papers if (source := self._source(p)).spans]
        fitted = self._fitted or load_fitted()
        found = measure(claim.statement, sources, self._load(), fitted.idf) if sources else None
        if found is None:
            return Verification("unchecked", (), "there is nothing to check it against", by=BY)
        likely = probability(found.values, fitted)
        verdict, reason = self._decide(claim.statement, found, likely, fitted)
        quotes = tuple(
            Quote(sources[s].paper_id, start, end, sources[s].text[start:end])
            for s, i in (found.sentences if verdict == "supported" else _nearest(found, sources))
            for start, end in [sources[s].spans[i]]
        )
        return Verification(verdict, quotes, reason, by=BY, likelihood=round(likely, 4))

    def _source(self, paper: Paper) -> Source:
        key = (paper.id, hash(paper.abstract))
        with self._lock:
            if key in self._sources:
                self._sources.move_to_end(key)
                return self._sources[key]
        spans = sentence_spans(paper.abstract)
        encoding = next(iter(self._load().encode([paper.abstract])))
        source = read_source(paper.id, paper.title, paper.abstract, spans, encoding)
        with self._lock:
            self._sources[key] = source
            if len(self._sources) > _CACHED_ABSTRACTS:
                self._sources.popitem(last=False)
        return source


def probability(values: Mapping[str, float], fitted: Fitted) -> float:
    """Fitted probability of support, in [0, 1]."""
    weighed = fitted.intercept + sum(
        weight * (values[name] - fitted.means[name]) / fitted.deviations[name]
        for name, weight in fitted.weights.items()
    )
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, weighed))))


def decide(
    statement: str, found: Measured, likely: float, supported: float, weak: float
) -> tuple[Verdict, str]:
    """The verdict and its reason, from the probability of support and its two thresholds.

    A number or a name that the abstracts lack, a turned direction or negation, or an added "all"
    keeps a statement from "supported" however near its words are.
    """
    if denies(statement):
        return "partly", "it says what is not told, which no sentence can show"
    lacking = _lacking(statement, found)
    contrary = lacking or _contrary(statement, found)
    near = _is_near(statement, found, likely)
    if (near or likely >= supported) and contrary is None:
        return "supported", "close to the abstract's words" if near else "the abstract says so"
    if not in_english(statement):
        return "partly", "this check reads English only"
    if likely < weak or (lacking and likely < 2 * weak):
        return "unsupported", contrary or "no sentence of the abstract says this"
    return "partly", contrary or "the abstract says something close; read it"


def _decide(statement: str, found: Measured, likely: float, fitted: Fitted) -> tuple[Verdict, str]:
    return decide(statement, found, likely, fitted.supported, fitted.weak)


def _is_near(statement: str, found: Measured, likely: float) -> bool:
    return (
        found.words >= NEAR_WORDS
        and found.values["words_best"] >= NEAR_BEST
        and likely >= NEAR_LIKELY
        and kept_order(statement, found.best) >= NEAR_ORDER
    )


def _lacking(statement: str, found: Measured) -> str | None:
    """A number or a name that stands nowhere in the abstracts."""
    for number in missing_numbers(statement, found.whole):
        if not number.could_be_derived:
            return f"the abstract does not have the number {number.shown}"
    if absent := missing_names(statement, found.whole):
        return f"the abstract does not have the name {absent[0]}"
    return None


def _contrary(statement: str, found: Measured) -> str | None:
    """What speaks against a statement whose words are near."""
    if (negations(statement) > 0) != (negations(found.best) > 0):
        return "one of the two is negated"
    return contradicting_words(statement, found)


def contradicting_words(statement: str, found: Measured) -> str | None:
    """A number of something else, a turned direction or an added "all"; None where none is."""
    if missing := missing_numbers(statement, found.window):
        return f"the sentences nearest to it do not have the number {missing[0].shown}"
    if number := misplaced_number(statement, found.window):
        return f"the abstract has the number {number} for something else"
    if pair := turned(statement, found.best):
        return f"it says “{pair[0]}”, the abstract “{pair[1]}”"
    if word := overclaims(statement, found.window):
        return f"the abstract does not say “{word}”"
    return None


def _nearest(found: Measured, sources: Sequence[Source]) -> list[tuple[int, int]]:
    """The one sentence that a statement without full support was checked against."""
    for s, i in found.sentences:
        if sources[s].text[slice(*sources[s].spans[i])] == found.best:
            return [(s, i)]
    return []


@cache
def load_fitted(path: Path = COEFFICIENTS) -> Fitted:
    """Fitted coefficients; without a path those of the check that answers go through."""
    return Fitted.model_validate_json(path.read_bytes())


def token_embedder(embedder: object, threads: int | None) -> MiniLM:
    """The bundled embedder, which this check reads with whatever the index uses.

    Args:
        embedder: of the index; taken if it is the bundled one.
        threads: of one that has to be loaded.
    """
    from rag.embedding.minilm import MiniLM, load_minilm

    return embedder if isinstance(embedder, MiniLM) else load_minilm(threads=threads)
