"""Fit the confidence that the library holds an answer, and write rag/data/answerable.json.

    python scripts/fit_answerable.py eval/qa/dev.jsonl

Needs the `fit` extra (scikit-learn). The figures it prints and stores are cross-validated: ten
folds, five shuffles with fixed seeds, questions about one paper always in one fold. The threshold
is the one that 70% of the answerable questions reach: there are many of them, so that it moves
little with a few questions more or less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from rag import Assistant
from rag.generation.abstention import measure_signals, share_of_threshold
from rag.generation.decision import DATA

# A follow-up is first rewritten, and a listing asks the whole library: neither is decided so.
KINDS = ("single", "named", "multi", "unanswerable")
SHUFFLES = 5
FOLDS = 10
PENALTY = 0.3
CONFIDENT = 0.7  # share of the answerable questions that reach the threshold


def main() -> None:
    """Fit, write and print the decision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=DATA / "answerable.json")
    arguments = parser.parse_args()
    content = arguments.questions.read_bytes()
    questions = [q for q in map(json.loads, content.splitlines()) if q["kind"] in KINDS]
    found, rows = [], []
    with Assistant.open() as assistant:
        for question in questions:
            found.append(assistant.retrieve(question["question"]))
            rows.append(measure_signals(found[-1]))
    names = list(rows[0])
    values = np.array([[row[name] for name in names] for row in rows])
    answerable = np.array([question["kind"] != "unanswerable" for question in questions])
    near = np.array([question["note"].startswith("near miss") for question in questions])
    means, deviations = values.mean(axis=0), values.std(axis=0)
    scaled = (values - means) / deviations
    predicted = cross_validate(scaled, answerable, group_by_paper(questions))
    threshold = float(np.quantile(predicted[answerable], 1 - CONFIDENT))
    confident = predicted >= threshold * np.array(list(map(share_of_threshold, found, rows)))
    model = fit(scaled, answerable)
    weights = model.coef_[0] / deviations
    about = {
        "intercept": round(float(model.intercept_[0] - weights @ means), 4),
        "weights": {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)},
        "threshold": round(threshold, 4),
        "fitted_on": {
            "file": arguments.questions.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "answerable": int(answerable.sum()),
            "unanswerable": int((~answerable).sum()),
            "near_misses": int(near.sum()),
        },
        "cross_validated": {
            "auc": round(float(roc_auc_score(answerable, predicted)), 3),
            "confident": round(float(confident[answerable].mean()), 3),
            "confident_near_miss": round(float(confident[near].mean()), 3),
            "confident_absent": round(float(confident[~answerable & ~near].mean()), 3),
        },
    }
    arguments.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about, indent=1))


def fit(values: np.ndarray, answerable: np.ndarray) -> LogisticRegression:
    """Return a regression that weighs both kinds of error alike."""
    return LogisticRegression(C=PENALTY, class_weight="balanced").fit(values, answerable)


def cross_validate(values: np.ndarray, answerable: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    """Return the confidence in each question from models that never saw its paper."""
    total = np.zeros(len(values))
    for seed in range(SHUFFLES):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for train, test in folds.split(values, answerable, group_of):
            model = fit(values[train], answerable[train])
            total[test] += model.predict_proba(values[test])[:, 1]
    return total / SHUFFLES


def group_by_paper(questions: list[dict]) -> np.ndarray:
    """Return one group for each paper. A near miss belongs to the paper that it misses."""
    names = [
        (question["papers"] or [question["note"].removeprefix("near miss of ")])[0]
        if question["papers"] or question["note"].startswith("near miss")
        else question["id"]
        for question in questions
    ]
    return np.unique(names, return_inverse=True)[1]


if __name__ == "__main__":
    main()
