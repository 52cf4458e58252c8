"""Fits the decision which papers belong in a list, and writes rag/data/relevance.json.

    python scripts/fit_relevance.py eval/qa/dev.jsonl

Needs the `fit` extra (scikit-learn). Each listing question is fitted on the whole library, on the
library without its gold papers, and on small libraries drawn with a fixed seed, so that the
decision does not lean on there being 251 papers. Every figure it prints and stores comes from
models that never saw the question (leave one question out). Borderline papers count neither way.
Questions with a condition on numbers are left out: those papers are found by reading numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from rag import Assistant
from rag.conditions import condition_in
from rag.listings import subject_of_list
from rag.relevance import COEFFICIENTS, signals

SETS = {
    "token_vectors": ("tokens", "dense", "lexical", "sentence", "words"),
    "words_only": ("lexical", "coverage", "words"),
}
PENALTY = 0.1
EVERY = 1_000_000  # more than any library that this is fitted on
SMALL_LIBRARIES = (20, 80)  # papers drawn beside the gold ones
FLOORS, SHARES = np.arange(0, 0.3, 0.01), np.arange(0, 0.8, 0.05)
POSSIBLE_RECALL, READ_RECALL = 0.85, 0.97  # mean over the questions


@dataclass(frozen=True)
class Example:
    """One listing question: raw signals of every paper that is not borderline, and its truth."""

    id: str
    columns: dict[str, np.ndarray]
    gold: np.ndarray

    def values(self, names: tuple[str, ...], papers: np.ndarray) -> np.ndarray:
        """The signals of some papers beside their gaps to the best of them."""
        raw = np.column_stack([self.columns[name][papers] for name in names])
        return np.hstack([raw, raw - raw.max(axis=0)])


def main() -> None:
    """Runs the fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=COEFFICIENTS)
    arguments = parser.parse_args()
    content = arguments.questions.read_bytes()
    records = [json.loads(line) for line in content.splitlines()]
    with Assistant.open() as assistant:
        asked = [r for r in records if r["kind"] == "listing"]
        subjects = [subject_of_list(r["question"]) for r in asked]
        examples = [
            example(assistant, record, subject)
            for record, subject in zip(asked, subjects, strict=True)
            if subject and not condition_in(subject)
        ]
    found = {name: fitted(examples, signals) for name, signals in SETS.items()}
    found["fitted_on"] = {
        "file": arguments.questions.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "questions": len(examples),
        "not_recognised": sum(not subject for subject in subjects),
        "gold_papers": int(sum(each.gold.sum() for each in examples)),
    }
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def example(assistant: Assistant, record: dict, subject: str) -> Example:
    """The signals of every paper for the subject of one question."""
    hits = [
        hit
        for hit in assistant.retrieve(subject, k=EVERY, candidates=EVERY).hits
        if hit.paper.id not in record.get("borderline", ())
    ]
    gold = np.array([hit.paper.id in record["papers"] for hit in hits])
    return Example(record["id"], signals(hits), gold)


def fitted(examples: list[Example], names: tuple[str, ...]) -> dict:
    """Coefficients, lines and held-out error for one set of signals."""
    held_out = [
        probabilities(regression(examples[:i] + examples[i + 1 :], names), each, names)
        for i, each in enumerate(examples)
    ]
    golds = [each.gold for each in examples]
    (floor, share), found = counted_line(held_out, golds)
    lines = candidate_lines(held_out)
    possible = line_with_recall(held_out, golds, lines, POSSIBLE_RECALL)
    read = line_with_recall(held_out, golds, lines, READ_RECALL)
    weights, intercept = raw_weights(*regression(examples, names))
    return {
        "floor": floor,
        "share": share,
        "possible": possible,
        "read": read,
        "intercept": round(float(intercept), 4),
        "weights": rounded(names, weights[: len(names)]),
        "gaps": rounded(names, weights[len(names) :]),
        "held_out": {
            "counted": named(found),
            "possible": named(precision_recall(held_out, golds, [possible] * len(golds))),
            "read": named(precision_recall(held_out, golds, [read] * len(golds))),
        },
    }


def named(found: tuple[float, float]) -> dict[str, float]:
    """Precision and recall, short enough to read."""
    return dict(zip(("precision", "recall"), (round(v, 3) for v in found), strict=True))


def counted_line(
    held_out: list[np.ndarray], golds: list[np.ndarray]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Floor and share of the line, and precision and recall with the line of the other questions.

    The line that is kept is the best one for all; each question is measured with the one that is
    best for all others.
    """
    grid = [(round(f, 2), round(s, 2)) for f in FLOORS for s in SHARES]
    measured = np.array(
        [
            [
                one_precision_recall(p, g, f + s * p.max())
                for p, g in zip(held_out, golds, strict=True)
            ]
            for f, s in grid
        ]
    )
    best = measured.mean(axis=1).min(axis=1).argmax()
    others = [np.delete(measured, i, axis=1).mean(axis=1).min(axis=1) for i in range(len(golds))]
    apart = [measured[each.argmax(), i] for i, each in enumerate(others)]
    precision, recall = np.mean(apart, axis=0)
    return grid[best], (float(precision), float(recall))


def regression(
    examples: list[Example], names: tuple[str, ...]
) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """A regression on standardised values, with their means and deviations."""
    random = np.random.default_rng(0)
    values, truths = [], []
    for each in examples:
        for papers in libraries(each.gold, random):
            values.append(each.values(names, papers))
            truths.append(each.gold[papers])
    whole = np.vstack(values)
    means, deviations = whole.mean(axis=0), whole.std(axis=0) + 1e-9
    model = LogisticRegression(C=PENALTY, max_iter=5000)
    return model.fit((whole - means) / deviations, np.hstack(truths)), means, deviations


def libraries(gold: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Papers of the whole library, of one without the gold papers, and of small ones."""
    every = np.arange(len(gold))
    others = every[~gold]
    small = [
        np.concatenate([every[gold], random.choice(others, size, replace=False)])
        for size in SMALL_LIBRARIES
    ]
    return [every, others, *small]


def probabilities(
    model: tuple[LogisticRegression, np.ndarray, np.ndarray], each: Example, names: tuple[str, ...]
) -> np.ndarray:
    """Of every paper of a question."""
    regression, means, deviations = model
    values = each.values(names, np.arange(len(each.gold)))
    return regression.predict_proba((values - means) / deviations)[:, 1]


def raw_weights(
    model: LogisticRegression, means: np.ndarray, deviations: np.ndarray
) -> tuple[np.ndarray, float]:
    """The weights for values that are not standardised."""
    weights = model.coef_[0] / deviations
    return weights, model.intercept_[0] - float(weights @ means)


def candidate_lines(held_out: list[np.ndarray]) -> list[float]:
    """Places at which a list could be cut."""
    return [round(float(p), 4) for p in np.quantile(np.hstack(held_out), np.linspace(0.5, 1, 500))]


def precision_recall(
    held_out: list[np.ndarray], golds: list[np.ndarray], lines: list[float]
) -> tuple[float, float]:
    """Means over the questions, each cut at its line."""
    each = zip(held_out, golds, lines, strict=True)
    precision, recall = np.mean([one_precision_recall(*one) for one in each], axis=0)
    return float(precision), float(recall)


def one_precision_recall(found: np.ndarray, gold: np.ndarray, line: float) -> tuple[float, float]:
    """Of one question; an empty list has precision 0."""
    chosen = found >= line
    right = (chosen & gold).sum()
    return right / max(1, chosen.sum()), right / gold.sum()


def line_with_recall(
    held_out: list[np.ndarray], golds: list[np.ndarray], lines: list[float], least: float
) -> float:
    """The highest line that still has a recall."""
    return max(
        (
            line
            for line in lines
            if precision_recall(held_out, golds, [line] * len(golds))[1] >= least
        ),
        default=min(lines),
    )


def rounded(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    """Values by name, short enough to read."""
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


if __name__ == "__main__":
    main()
