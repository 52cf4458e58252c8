"""Fit the decision which papers belong in a list, and write rag/data/relevance.json.

    python scripts/fit_relevance.py eval/qa/dev.jsonl eval/qa/lists.jsonl

Needs the `fit` extra (scikit-learn). Each list question is fitted on the whole library, on the
library without its gold papers, and on small libraries drawn with a fixed seed, so that the
decision does not depend on there being 251 papers. Questions for a list of what no paper has are
fitted too. Every figure it prints and stores comes from models that never saw the question (leave
one question out). Borderline papers are left out. A question that `rag.query.rules` does not
recognise as a list is skipped and counted.
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
from rag.generation.decision import DATA
from rag.generation.relevance import measure_signals
from rag.query.rules import read_list_subject

SETS = {
    "token_vectors": ("tokens", "dense", "lexical", "sentence", "words"),
    "words_only": ("lexical", "coverage", "words"),
}
PENALTY = 0.1
EVERY = 1_000_000  # more than any library that this is fitted on
SMALL_LIBRARIES = (20, 80)  # papers drawn beside the gold ones
THRESHOLDS = np.round(np.arange(0.01, 0.9, 0.01), 2)
# Of questions for what is far from the library's subjects, at most so many may get a list.
MOST_FALSE_LISTS = 0.30
NEAR = "no paper: near"
POSSIBLE_RECALL, READ_RECALL = 0.85, 0.97  # mean over the questions


@dataclass(frozen=True)
class Example:
    """One list question.

    Attributes:
        signals: name -> values, shape (papers,), without borderline papers.
        gold: which papers fit, shape (papers,). None for what the library does not have.
        near: whether what it asks for is close to what the library has.
    """

    signals: dict[str, np.ndarray]
    gold: np.ndarray
    near: bool = False

    def values(self, names: tuple[str, ...], papers: np.ndarray) -> np.ndarray:
        """Return the signals of some papers and their gaps to the best of them."""
        raw = np.column_stack([self.signals[name][papers] for name in names])
        return np.hstack([raw, raw - raw.max(axis=0)])


def main() -> None:
    """Fit both sets of signals, write and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, default=DATA / "relevance.json")
    arguments = parser.parse_args()
    content = b"".join(path.read_bytes() for path in arguments.questions)
    records = [json.loads(line) for line in content.splitlines()]
    records = [r for r in records if r["kind"] in ("listing", "unanswerable")]
    with Assistant.open() as assistant:
        subjects = [read_list_subject(record["question"]) for record in records]
        examples = [
            measure(assistant, record, subject)
            for record, subject in zip(records, subjects, strict=True)
            if subject
        ]
    missed = sum(
        record["kind"] == "listing" and not subject
        for record, subject in zip(records, subjects, strict=True)
    )
    found = {name: fit(examples, signals) for name, signals in SETS.items()}
    found["fitted_on"] = {
        "files": [path.name for path in arguments.questions],
        "sha256": hashlib.sha256(content).hexdigest(),
        "lists": sum(bool(each.gold.any()) for each in examples),
        "of_nothing": sum(not each.gold.any() for each in examples),
        "not_recognised": missed,
        "gold_papers": int(sum(each.gold.sum() for each in examples)),
    }
    text = json.dumps(found, indent=1)
    arguments.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(assistant: Assistant, record: dict, subject: str) -> Example:
    """Return the signals of every paper for the subject of one question."""
    hits = [
        hit
        for hit in assistant.retrieve(subject, k=EVERY, candidates=EVERY).hits
        if hit.paper.id not in record.get("borderline", ())
    ]
    gold = np.array([hit.paper.id in record.get("papers", ()) for hit in hits])
    return Example(measure_signals(hits), gold, near=record.get("note") == NEAR)


def fit(examples: list[Example], names: tuple[str, ...]) -> dict:
    """Return coefficients, thresholds and held-out figures for one set of signals."""
    held_out = [
        predict(train(examples[:i] + examples[i + 1 :], names), each, names)
        for i, each in enumerate(examples)
    ]
    scores = score_thresholds(held_out, examples)
    lists = np.array([bool(each.gold.any()) for each in examples])
    far = np.array([not each.gold.any() and not each.near for each in examples])
    every = np.ones(len(examples), bool)
    fits = choose_fits(scores, lists, far, every)
    without = [choose_fits(scores, lists, far, every & (np.arange(len(every)) != i))
               for i in range(len(examples))]  # fmt: skip
    apart = np.array([scores[place, i] for i, place in enumerate(without)])
    recall = scores[:, lists, 1].mean(axis=1)
    possible = int(np.flatnonzero(recall >= POSSIBLE_RECALL).max(initial=0))
    read = int(np.flatnonzero(recall >= READ_RECALL).max(initial=0))
    weights, intercept = unscale(*train(examples, names))
    return {
        "intercept": round(float(intercept), 4),
        "weights": dict(
            zip(
                (*names, *(f"{name}_gap" for name in names)),
                (round(float(weight), 4) for weight in weights),
                strict=True,
            )
        ),
        "fits": float(THRESHOLDS[fits]),
        "possible": float(THRESHOLDS[min(possible, fits)]),
        "read": float(THRESHOLDS[read]),
        "held_out": {
            "precision": mean(apart[lists, 0]),
            "recall": mean(apart[lists, 1]),
            "possible_recall": mean(scores[min(possible, fits), lists, 1]),
            "false_lists_far": mean(apart[far, 2]),
            "false_lists_near": mean(apart[~lists & ~far, 2]),
        },
    }


def choose_fits(scores: np.ndarray, lists: np.ndarray, far: np.ndarray, kept: np.ndarray) -> int:
    """Return the place of the threshold with the best mean F1 that makes few enough false lists."""
    quiet = scores[:, far & kept, 2].mean(axis=1) <= MOST_FALSE_LISTS
    precision, recall = scores[:, lists & kept, 0], scores[:, lists & kept, 1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return int(np.where(quiet, f1.mean(axis=1), -1.0).argmax())


def score_thresholds(held_out: list[np.ndarray], examples: list[Example]) -> np.ndarray:
    """Return precision, recall and whether a list is made, shape (thresholds, questions, 3)."""
    rows = []
    for threshold in THRESHOLDS:
        row = []
        for found, each in zip(held_out, examples, strict=True):
            chosen = found >= threshold
            right = (chosen & each.gold).sum()
            row.append(
                (right / max(1, chosen.sum()), right / max(1, each.gold.sum()), chosen.any())
            )
        rows.append(row)
    return np.array(rows, dtype=float)


def train(
    examples: list[Example], names: tuple[str, ...]
) -> tuple[LogisticRegression, np.ndarray, np.ndarray]:
    """Return a regression on standardised values, with their means and deviations."""
    random = np.random.default_rng(0)
    values, truths = [], []
    for each in examples:
        for papers in draw_libraries(each.gold, random):
            values.append(each.values(names, papers))
            truths.append(each.gold[papers])
    whole = np.vstack(values)
    means, deviations = whole.mean(axis=0), whole.std(axis=0) + 1e-9
    model = LogisticRegression(C=PENALTY, max_iter=5000)
    return model.fit((whole - means) / deviations, np.hstack(truths)), means, deviations


def draw_libraries(gold: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Return papers of the whole library, of one without the gold papers, and of small ones."""
    every = np.arange(len(gold))
    others = every[~gold]
    whole = [every, others] if gold.any() else [every]
    small = [
        np.concatenate([every[gold], random.choice(others, size, replace=False)])
        for size in SMALL_LIBRARIES
    ]
    return [*whole, *small]


def predict(
    model: tuple[LogisticRegression, np.ndarray, np.ndarray], each: Example, names: tuple[str, ...]
) -> np.ndarray:
    """Return the relevance of every paper of a question, shape (papers,)."""
    regression, means, deviations = model
    values = each.values(names, np.arange(len(each.gold)))
    return regression.predict_proba((values - means) / deviations)[:, 1]


def unscale(
    model: LogisticRegression, means: np.ndarray, deviations: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return weights and intercept for values that are not standardised."""
    weights = model.coef_[0] / deviations
    return weights, model.intercept_[0] - float(weights @ means)


def mean(values: np.ndarray) -> float:
    """Return the mean, short enough to read."""
    return round(float(np.mean(values)), 3)


if __name__ == "__main__":
    main()
