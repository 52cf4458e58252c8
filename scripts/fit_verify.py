"""Fits the offline check of statements on SciFact's evidence pairs; writes rag/data/verify.json.

    python scripts/fit_verify.py DIR       DIR holds evidence.jsonl (SciFact's rationale labels)

Needs the `fit` extra. Ten folds, three shuffles, claims about one abstract always in one fold;
weights of overlap are kept non-negative. The thresholds are where "supported" and "unsupported" are
each right in at least nine of ten pairs, on the cross-validated probabilities.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from rag import Assistant, load_minilm
from rag.index.lexical import lexical_terms
from rag.verification.features import OVERLAPS, Measured, measure, read_source
from rag.verification.offline import COEFFICIENTS, decide

PENALTY = 30.0
LEAST_DOCUMENTS = 3
RIGHT = 0.9


def main() -> None:
    """Runs the fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=COEFFICIENTS)
    arguments = parser.parse_args()
    content = (arguments.data / "evidence.jsonl").read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    texts = {row["doc_id"]: joined(row["sentences"]) for row in rows}
    with Assistant.open() as assistant:
        library = [paper.abstract for paper in assistant.papers()]
    idf = rarity([*(text for text, _ in texts.values()), *library])
    embedder = load_minilm()
    encoded = zip(texts.items(), embedder.encode([t for t, _ in texts.values()]), strict=True)
    sources = {k: read_source(k, text, spans, found) for (k, (text, spans)), found in encoded}
    measured = [measure(r["claim"], [sources[r["doc_id"]]], embedder, idf) for r in rows]
    names = list(measured[0].values)
    values = np.array([[found.values[name] for name in names] for found in measured])
    means, deviations = values.mean(axis=0), values.std(axis=0) + 1e-9
    scaled = (values - means) / deviations
    labels = np.array([row["label"] for row in rows])
    groups = [row["doc_id"] for row in rows]
    predicted = cross_validated(scaled, labels == "SUPPORT", groups, names)
    weights = fit(scaled, labels == "SUPPORT", names)
    limits = thresholds(predicted, rows, measured)
    said = verdicts(predicted, rows, measured, limits["supported"], limits["weak"])
    found = {
        "intercept": round(float(weights[-1]), 4),
        **limits,
        "weights": rounded(names, weights),
        "means": rounded(names, means),
        "deviations": rounded(names, deviations),
        "fitted_on": {
            "data": "SciFact evidence pairs (claims CC BY 4.0, abstracts ODC-By 1.0)",
            "sha256": hashlib.sha256(content).hexdigest(),
            "pairs": dict(Counter(labels.tolist())),
        },
        "cross_validated": figures(predicted, labels, said),
        "idf": {term: round(value, 2) for term, value in sorted(idf.items())},
    }
    arguments.out.write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in found.items() if k != "idf"}, indent=1))


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


def fit(scaled: np.ndarray, supported: np.ndarray, names: list[str]) -> np.ndarray:
    """Weights and, last, the intercept of a logistic regression."""
    inputs = np.hstack([scaled, np.ones((len(scaled), 1))])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = inputs @ weights
        gradient = inputs.T @ (1 / (1 + np.exp(-z)) - supported)
        gradient[:-1] += PENALTY * weights[:-1]
        return (
            float(
                (np.logaddexp(0, z) - supported * z).sum() + PENALTY / 2 * (weights[:-1] ** 2).sum()
            ),
            gradient,
        )

    bounds = [(0, None) if name in OVERLAPS else (None, None) for name in names] + [(None, None)]
    start = np.zeros(inputs.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def cross_validated(
    scaled: np.ndarray, supported: np.ndarray, groups: list[str], names: list[str]
) -> np.ndarray:
    """Probability of support by models that did not see the abstract."""
    predicted = np.zeros(len(supported))
    for shuffle in range(3):
        folds = StratifiedGroupKFold(10, shuffle=True, random_state=shuffle)
        for seen, left in folds.split(scaled, supported, groups):
            weights = fit(scaled[seen], supported[seen], names)
            predicted[left] += 1 / (1 + np.exp(-(scaled[left] @ weights[:-1] + weights[-1]))) / 3
    return predicted


def thresholds(
    predicted: np.ndarray, rows: list[dict], measured: list[Measured]
) -> dict[str, float]:
    """Where "supported" and "weak" begin, so that each verdict is right nine times in ten."""
    true = np.array([row["label"] == "SUPPORT" for row in rows])

    def right(supported: float, weak: float, verdict: str) -> float:
        said = verdicts(predicted, rows, measured, supported, weak) == verdict
        return float((true if verdict == "supported" else ~true)[said].mean()) if said.any() else 1

    steps = np.arange(0.02, 1.0, 0.02)
    supported = next((t for t in steps if right(t, 0.0, "supported") >= RIGHT), 1.0)
    weak = next((t for t in steps[::-1] if right(1.0, t, "unsupported") >= RIGHT), 0.0)
    return {"supported": round(float(supported), 2), "weak": round(float(weak), 2)}


def verdicts(
    predicted: np.ndarray,
    rows: list[dict],
    measured: list[Measured],
    supported: float,
    weak: float,
) -> np.ndarray:
    """The verdict on every pair."""
    return np.array(
        [
            decide(row["claim"], found, likely, supported, weak)[0]
            for row, found, likely in zip(rows, measured, predicted, strict=True)
        ]
    )


def figures(predicted: np.ndarray, labels: np.ndarray, verdicts: np.ndarray) -> dict[str, float]:
    """AUC and balanced accuracy, over all and by kind."""
    supported = labels == "SUPPORT"
    best = max(balanced_accuracy_score(supported, predicted >= t) for t in np.unique(predicted))
    result = {
        "auc": roc_auc_score(supported, predicted),
        "balanced_accuracy": best,
    }
    for kind in ("NONE", "CONTRADICT"):
        among = supported | (labels == kind)
        result[f"auc_against_{kind.lower()}"] = roc_auc_score(supported[among], predicted[among])
    said = verdicts == "supported"
    result["supported_right"] = supported[said].mean()
    result["supported_share_of_pairs"] = said.mean()
    result["supported_share_of_true"] = said[supported].mean()
    result["unsupported_right"] = (~supported)[verdicts == "unsupported"].mean()
    return {name: round(float(value), 3) for name, value in result.items()}


def rounded(names: list[str], values: np.ndarray) -> dict[str, float]:
    """Name -> value to four places."""
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=False)}


if __name__ == "__main__":
    main()
