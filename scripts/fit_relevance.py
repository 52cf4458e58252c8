"""Fits the decision which papers belong in a list, and writes rag/data/relevance.json.

    python scripts/fit_relevance.py eval/qa/dev.jsonl eval/qa/lists.jsonl

Needs the `fit` extra (scikit-learn). Each listing question is fitted on the whole library, on the
library without its gold papers, and on small libraries drawn with a fixed seed, so that the
decision does not lean on there being 251 papers; questions that ask for a list of what no paper has
are fitted too. Every figure it prints and stores comes from models that never saw the question
(leave one question out). Borderline papers count neither way.
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
from rag.generation.relevance import COEFFICIENTS, signals
from rag.query.rules import read_list_subject

SETS = {
    "token_vectors": ("tokens", "dense", "lexical", "sentence", "words"),
    "words_only": ("lexical", "coverage", "words"),
}
PENALTY = 0.1
EVERY = 1_000_000  # more than any library that this is fitted on
SMALL_LIBRARIES = (20, 80)  # papers drawn beside the gold ones
LEASTS, FLOORS, SHARES = np.arange(0, 0.5, 0.02), np.arange(0, 0.2, 0.02), np.arange(0, 0.8, 0.05)
# Of questions for what is far from the library's subjects, so many may get a list: about as many as
# ordinary ones get an answer. Those near to its subjects cannot be told by these signals.
FALSE_LISTS = 0.25
NEAR = "no paper: near"
POSSIBLE_RECALL, READ_RECALL = 0.85, 0.97  # mean over the questions


@dataclass(frozen=True)
class Example:
    """One question for a list: raw signals of every paper that is not borderline, and its truth.

    Attributes:
        id: of the question.
        columns: of each signal, its values, shape (papers,).
        gold: which papers fit, shape (papers,); none for what the library does not have.
        near: whether that is close to what it has.
    """

    id: str
    columns: dict[str, np.ndarray]
    gold: np.ndarray
    near: bool = False

    def values(self, names: tuple[str, ...], papers: np.ndarray) -> np.ndarray:
        """The signals of some papers beside their gaps to the best of them."""
        raw = np.column_stack([self.columns[name][papers] for name in names])
        return np.hstack([raw, raw - raw.max(axis=0)])


def main() -> None:
    """Runs the fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, default=COEFFICIENTS)
    arguments = parser.parse_args()
    content = b"".join(path.read_bytes() for path in arguments.questions)
    records = [json.loads(line) for line in content.splitlines()]
    with Assistant.open() as assistant:
        subjects = [read_list_subject(record["question"]) for record in records]
        examples = [
            example(assistant, record, subject)
            for record, subject in zip(records, subjects, strict=True)
            if record["kind"] in ("listing", "unanswerable")
            if subject
        ]
    found = {name: fitted(examples, signals) for name, signals in SETS.items()}
    found["fitted_on"] = {
        "files": [path.name for path in arguments.questions],
        "sha256": hashlib.sha256(content).hexdigest(),
        "listings": sum(bool(each.gold.any()) for each in examples),
        "of_nothing": sum(not each.gold.any() for each in examples),
        "not_recognised": sum(
            record["kind"] == "listing" and not subject
            for record, subject in zip(records, subjects, strict=True)
        ),
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
    gold = np.array([hit.paper.id in record.get("papers", ()) for hit in hits])
    return Example(record["id"], signals(hits), gold, near=record.get("note") == NEAR)


def fitted(examples: list[Example], names: tuple[str, ...]) -> dict:
    """Coefficients, lines and held-out error for one set of signals."""
    held_out = [
        probabilities(regression(examples[:i] + examples[i + 1 :], names), each, names)
        for i, each in enumerate(examples)
    ]
    (least, floor, share), found = counted_line(held_out, examples)
    asked = [i for i, each in enumerate(examples) if each.gold.any()]
    some, golds = [held_out[i] for i in asked], [examples[i].gold for i in asked]
    lines = candidate_lines(some)
    possible = line_with_recall(some, golds, lines, POSSIBLE_RECALL)
    read = line_with_recall(some, golds, lines, READ_RECALL)
    weights, intercept = raw_weights(*regression(examples, names))
    return {
        "least": least,
        "floor": floor,
        "share": share,
        "possible": possible,
        "read": read,
        "intercept": round(float(intercept), 4),
        "weights": rounded(names, weights[: len(names)]),
        "gaps": rounded(names, weights[len(names) :]),
        "held_out": {
            "counted": found,
            "possible": named(precision_recall(some, golds, [possible] * len(golds))),
            "read": named(precision_recall(some, golds, [read] * len(golds))),
        },
    }


def named(found: tuple[float, float]) -> dict[str, float]:
    """Precision and recall, short enough to read."""
    return dict(zip(("precision", "recall"), (round(v, 3) for v in found), strict=True))


def counted_line(
    held_out: list[np.ndarray], examples: list[Example]
) -> tuple[tuple[float, float, float], dict[str, float]]:
    """Least, floor and share of the line, and what is right with the line of the other questions.

    The line that is kept is the best one for all; each question is measured with the one that is
    best for all others. The best one has the highest lower of precision and recall among those that
    make no more false lists than they may.
    """
    grid = [(round(a, 2), round(b, 2), round(c, 2)) for a in LEASTS for b in FLOORS for c in SHARES]
    measured = np.array(
        [
            [measured_at(p, each.gold, *line) for p, each in zip(held_out, examples, strict=True)]
            for line in grid
        ]
    )  # (lines, questions, precision and recall; of those without gold papers, 1 for no list)
    some = np.array([bool(each.gold.any()) for each in examples])
    far = np.array([not each.gold.any() and not each.near for each in examples])

    def best(but: int | None = None) -> int:
        kept = np.ones(len(examples), bool)
        kept[[] if but is None else [but]] = False
        quiet = measured[:, far & kept, 0].mean(axis=1) >= 1 - FALSE_LISTS
        worth = measured[:, some & kept].mean(axis=1).min(axis=1)
        return int(np.where(quiet, worth, -1.0).argmax())

    apart = np.array([measured[best(i), i] for i in range(len(examples))])
    near = ~some & ~far
    precision, recall = apart[some].mean(axis=0)
    found = {
        **named((float(precision), float(recall))),
        "false_lists_far": round(float(1 - apart[far, 0].mean()), 3),
        "false_lists_near": round(float(1 - apart[near, 0].mean()), 3),
    }
    return grid[best()], found


def measured_at(
    found: np.ndarray, gold: np.ndarray, least: float, floor: float, share: float
) -> tuple[float, float]:
    """Precision and recall of a question; of one without gold papers, whether it has no list."""
    highest = float(found.max())
    line = floor + share * highest
    if highest < max(least, line):
        line = np.inf
    if not gold.any():
        quiet = float(not (found >= line).any())
        return quiet, quiet
    return one_precision_recall(found, gold, line)


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
    whole = [every, others] if gold.any() else [every]
    small = [
        np.concatenate([every[gold], random.choice(others, size, replace=False)])
        for size in SMALL_LIBRARIES
    ]
    return [*whole, *small]


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
