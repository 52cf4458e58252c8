"""Fit the ranking of sentences on the development questions: rag/data/sentence_ranking.json.

    python scripts/fit_sentence_ranking.py eval/qa/dev.jsonl eval/qa/forms_dev.jsonl

Maximises the likelihood that the sentence drawn by the ranking is one with the evidence (a softmax
over all sentences of the papers found), with a penalty on the weights of standardised signals. The
figures are cross-validated: ten folds, questions about one paper in one fold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from contextlib import closing
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from eval.questions import Question
from rag import Assistant
from rag.generation.decision import DATA
from rag.generation.sentence_ranking import list_sentences, measure_signals
from rag.index import Index
from rag.retrieval.roles import judge_roles, remove_notices

KINDS = ("single", "named", "multi")
PENALTY = 0.01
FOLDS = 10
SHOWN = 4


def main() -> None:
    """Fit, write and print the ranking."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, default=DATA / "sentence_ranking.json")
    arguments = parser.parse_args()
    names, data = collect(arguments.questions)
    groups = sorted({group for _, _, _, group in data})
    fold = dict(zip(np.random.default_rng(0).permutation(groups), range(len(groups)), strict=True))
    scale = np.vstack([values for values, *_ in data]).std(axis=0)
    scale[scale == 0] = 1
    found: dict[str, list[tuple[bool, bool]]] = {}
    for number in range(FOLDS):
        weights = fit([row for row in data if fold[row[3]] % FOLDS != number], scale)
        for values, gold, kind, group in data:
            if fold[group] % FOLDS == number:
                best = np.argsort(-(values @ weights), kind="stable")[:SHOWN]
                found.setdefault(kind, []).append((bool(gold[best[0]]), bool(gold[best].any())))
    weights = fit(data, scale)
    about = {
        "weights": {n: round(float(w), 3) for n, w in zip(names, weights, strict=True)},
        "fitted_on": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in arguments.questions
        },
        "cross_validated": {
            kind: {
                "questions": len(rows),
                "gold_first": round(float(np.mean([first for first, _ in rows])), 3),
                "gold_shown": round(float(np.mean([shown for _, shown in rows])), 3),
            }
            for kind, rows in sorted(found.items())
        },
    }
    arguments.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about, indent=1))


def collect(files: list[Path]) -> tuple[list[str], list[tuple[np.ndarray, np.ndarray, str, str]]]:
    """Return the names of the signals; values, gold flags, kind and paper of each question."""
    data, names = [], []
    with Assistant.open() as assistant, closing(Index.open(assistant.folder)) as index:
        for line in [line for file in files for line in file.read_bytes().splitlines()]:
            question = Question.model_validate_json(line)
            if question.kind not in KINDS or not question.evidence:
                continue
            hits = assistant.search(question.question, k=8)
            roles = judge_roles(index, assistant.embedder.name, [hit.paper.id for hit in hits])
            hits = list(remove_notices(hits, roles))
            signals = measure_signals(question.question, hits, roles)
            names = list(signals)
            gold = np.array(
                [
                    any(
                        item.paper == hit.paper.id and overlap(item.quote, sentence.text)
                        for item in question.evidence
                    )
                    for hit, sentence in list_sentences(hits)
                ]
            )
            kind = question.note if question.note in ("yes/no", "name") else question.kind
            data.append((np.column_stack([*signals.values()]), gold, kind, question.papers[0]))
    return names, data


def overlap(quote: str, sentence: str) -> bool:
    """Return whether a gold quotation and a sentence are one, however they were split."""
    return quote in sentence or sentence in quote


def fit(data: list[tuple[np.ndarray, np.ndarray, str, str]], scale: np.ndarray) -> np.ndarray:
    """Return the weights of the raw signals."""
    used = [(values / scale, gold) for values, gold, *_ in data if gold.any()]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros(len(weights))
        for values, gold in used:
            scores = values @ weights
            odds = np.exp(scores - scores.max())
            total -= np.log(odds[gold].sum() / odds.sum())
            slope -= values.T @ (odds * gold / odds[gold].sum() - odds / odds.sum())
        penalty = PENALTY * len(used)
        return total + penalty * weights @ weights, slope + 2 * penalty * weights

    result = minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B")
    fitted: np.ndarray = result.x / scale
    return fitted


if __name__ == "__main__":
    main()
