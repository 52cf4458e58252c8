"""Fits the offline check and the offline judge on SciFact's evidence pairs.

    python scripts/fit_verify.py DIR       DIR holds SciFact's corpus.jsonl and evidence.jsonl

Writes rag/data/verify.json from one half of the abstracts and eval/judge.json from the other, so
that the evaluation does not grade the product with its own check; each file says how it does on
the half it never saw. Needs the `fit` extra. Ten folds, three shuffles, claims about one abstract
always in one fold; weights of overlap are kept non-negative. The thresholds are where "supported"
and "unsupported" are each right in at least nine of ten pairs, on cross-validated probabilities.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from rag import Assistant, load_minilm
from rag.text.terms import lexical_terms
from rag.verification.features import OVERLAPS, Measured, measure, read_source
from rag.verification.offline import COEFFICIENTS, contradicting_words, decide

JUDGE = Path(__file__).parents[1] / "eval" / "judge.json"
PENALTY = 30.0
LEAST_DOCUMENTS = 3
RIGHT = 0.9


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs and what was measured on them; all of one length."""

    rows: list[dict]
    measured: list[Measured]
    scaled: np.ndarray
    names: list[str]

    @property
    def labels(self) -> np.ndarray:
        """SUPPORT, CONTRADICT or NONE."""
        return np.array([row["label"] for row in self.rows])

    @property
    def supported(self) -> np.ndarray:
        """Whether the label is SUPPORT."""
        return self.labels == "SUPPORT"

    def only(self, chosen: np.ndarray) -> Pairs:
        """The chosen pairs."""
        numbers = np.flatnonzero(chosen)
        return Pairs(
            [self.rows[n] for n in numbers],
            [self.measured[n] for n in numbers],
            self.scaled[numbers],
            self.names,
        )


def main() -> None:
    """Runs both fits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--verifier", type=Path, default=COEFFICIENTS)
    parser.add_argument("--judge", type=Path, default=JUDGE)
    arguments = parser.parse_args()
    content = (arguments.data / "evidence.jsonl").read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    with (arguments.data / "corpus.jsonl").open(encoding="utf-8") as lines:
        titles = {paper["_id"]: paper["title"] for paper in map(json.loads, lines)}
    idf, measured = measurements(rows, titles)
    names = list(measured[0].values)
    values = np.array([[found.values[name] for name in names] for found in measured])
    means, deviations = values.mean(axis=0), values.std(axis=0) + 1e-9
    pairs = Pairs(rows, measured, (values - means) / deviations, names)
    whole = {"cross_validated": examined(pairs, cross_validated(pairs))}
    first = np.array([half(row["doc_id"]) == 0 for row in rows])
    for path, mine in ((arguments.verifier, first), (arguments.judge, ~first)):
        data = {
            "data": "SciFact evidence pairs (claims CC BY 4.0, abstracts ODC-By 1.0)",
            "sha256": hashlib.sha256(content).hexdigest(),
            "pairs": dict(Counter(pairs.only(mine).labels.tolist())),
            "half": 0 if mine is first else 1,
        }
        scale = {"means": rounded(names, means), "deviations": rounded(names, deviations)}
        rare = {term: round(value, 2) for term, value in sorted(idf.items())}
        found = fitted(pairs.only(mine), pairs.only(~mine))
        found = {**found, **scale, "fitted_on": data, **whole, "idf": rare}
        path.write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n", "utf-8")
        print(path)
        print(json.dumps({k: v for k, v in found.items() if k not in ("idf", *scale)}, indent=1))


def half(doc_id: str) -> int:
    """Which half an abstract belongs to."""
    return hashlib.sha256(doc_id.encode()).digest()[0] % 2


def measurements(
    rows: list[dict], titles: dict[str, str]
) -> tuple[dict[str, float], list[Measured]]:
    """How rare words are, and what is measured on every pair."""
    texts = {row["doc_id"]: joined(row["sentences"]) for row in rows}
    with Assistant.open() as assistant:
        library = [paper.abstract for paper in assistant.papers()]
    idf = rarity([*(text for text, _ in texts.values()), *library])
    embedder = load_minilm()
    encoded = zip(texts.items(), embedder.encode([t for t, _ in texts.values()]), strict=True)
    sources = {
        key: read_source(key, titles.get(key, ""), text, spans, found)
        for (key, (text, spans)), found in encoded
    }
    return idf, [measure(r["claim"], [sources[r["doc_id"]]], embedder, idf) for r in rows]


def fitted(mine: Pairs, others: Pairs) -> dict:
    """Weights and thresholds from `mine`; figures on both halves."""
    predicted = cross_validated(mine)
    weights = fit(mine)
    limits = thresholds(mine, predicted)
    unseen = 1 / (1 + np.exp(-(others.scaled @ weights[:-1] + weights[-1])))
    return {
        "intercept": round(float(weights[-1]), 4),
        **limits,
        "weights": rounded(mine.names, weights),
        "on_the_other_half": figures(others, unseen, limits),
    }


def examined(pairs: Pairs, predicted: np.ndarray) -> dict[str, float]:
    """Figures over all pairs, with thresholds chosen on them."""
    return figures(pairs, predicted, thresholds(pairs, predicted))


def joined(sentences: list[str]) -> tuple[str, list[tuple[int, int]]]:
    """An abstract and the spans of its sentences."""
    text, spans = "", []
    for sentence in map(str.strip, sentences):
        start = len(text) + bool(text)
        text = f"{text} {sentence}" if text else sentence
        spans.append((start, len(text)))
    return text, spans


def rarity(texts: list[str]) -> dict[str, float]:
    """Stem -> log(1 + (N - n + .5) / (n + .5)); "" for a stem in fewer than three texts."""
    held = Counter(term for text in texts for term in set(lexical_terms(text)))
    rare = {"": LEAST_DOCUMENTS - 1, **{t: n for t, n in held.items() if n >= LEAST_DOCUMENTS}}
    return {t: math.log1p((len(texts) - n + 0.5) / (n + 0.5)) for t, n in rare.items()}


def fit(pairs: Pairs) -> np.ndarray:
    """Weights and, last, the intercept of a logistic regression."""
    supported = pairs.supported
    inputs = np.hstack([pairs.scaled, np.ones((len(supported), 1))])
    # the same penalty for each pair, however many there are
    penalty = PENALTY * len(supported) / 919

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = inputs @ weights
        gradient = inputs.T @ (1 / (1 + np.exp(-z)) - supported)
        gradient[:-1] += penalty * weights[:-1]
        return (
            float(
                (np.logaddexp(0, z) - supported * z).sum() + penalty / 2 * (weights[:-1] ** 2).sum()
            ),
            gradient,
        )

    bounds = [(0, None) if n in OVERLAPS else (None, None) for n in pairs.names] + [(None, None)]
    start = np.zeros(inputs.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def cross_validated(pairs: Pairs) -> np.ndarray:
    """Probability of support by models that did not see the abstract."""
    groups = [row["doc_id"] for row in pairs.rows]
    predicted = np.zeros(len(groups))
    for shuffle in range(3):
        folds = StratifiedGroupKFold(10, shuffle=True, random_state=shuffle)
        for seen, left in folds.split(pairs.scaled, pairs.supported, groups):
            chosen = np.isin(np.arange(len(groups)), seen)
            weights = fit(pairs.only(chosen))
            z = pairs.scaled[left] @ weights[:-1] + weights[-1]
            predicted[left] += 1 / (1 + np.exp(-z)) / 3
    return predicted


def thresholds(pairs: Pairs, predicted: np.ndarray) -> dict[str, float]:
    """Where "supported" and "weak" begin, each right nine times in ten, and the even middle."""
    true = pairs.supported

    def right(supported: float, weak: float, verdict: str) -> float:
        said = verdicts(pairs, predicted, supported, weak) == verdict
        return float((true if verdict == "supported" else ~true)[said].mean()) if said.any() else 1

    steps = np.arange(0.02, 1.0, 0.02)
    supported = next((t for t in steps if right(t, 0.0, "supported") >= RIGHT), 1.0)
    weak = next((t for t in steps[::-1] if right(1.0, t, "unsupported") >= RIGHT), 0.0)
    even = max(steps, key=lambda t: balanced_accuracy_score(true, predicted >= t))
    found = {"supported": supported, "weak": weak, "even": even}
    return {name: round(float(value), 2) for name, value in found.items()}


def verdicts(pairs: Pairs, predicted: np.ndarray, supported: float, weak: float) -> np.ndarray:
    """The verdict on every pair."""
    return np.array(
        [
            decide(row["claim"], found, likely, supported, weak)[0]
            for row, found, likely in zip(pairs.rows, pairs.measured, predicted, strict=True)
        ]
    )


def figures(pairs: Pairs, predicted: np.ndarray, limits: dict[str, float]) -> dict[str, float]:
    """AUC and balanced accuracy, over all and by kind, and how right the verdicts are."""
    supported = pairs.supported
    said = verdicts(pairs, predicted, limits["supported"], limits["weak"])
    result = {
        "auc": roc_auc_score(supported, predicted),
        "balanced_accuracy": balanced_accuracy_score(supported, predicted >= limits["even"]),
    }
    for kind in ("NONE", "CONTRADICT"):
        among = supported | (pairs.labels == kind)
        result[f"auc_against_{kind.lower()}"] = roc_auc_score(supported[among], predicted[among])
    # as the evaluation's judge decides
    judged = (predicted >= limits["even"]) & np.array(
        [
            contradicting_words(row["claim"], found) is None
            for row, found in zip(pairs.rows, pairs.measured, strict=True)
        ]
    )
    result["pairs"] = len(supported)
    result["judge_sensitivity"] = judged[supported].mean()
    result["judge_specificity"] = (~judged)[~supported].mean()
    result["supported_right"] = supported[said == "supported"].mean()
    result["supported_share_of_pairs"] = (said == "supported").mean()
    result["supported_share_of_true"] = (said == "supported")[supported].mean()
    result["unsupported_right"] = (~supported)[said == "unsupported"].mean()
    return {name: round(float(value), 3) for name, value in result.items()}


def rounded(names: list[str], values: np.ndarray) -> dict[str, float]:
    """Name -> value to four places."""
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=False)}


if __name__ == "__main__":
    main()
