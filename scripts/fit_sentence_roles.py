"""Fit the roles of sentences on structured abstracts, and write rag/data/sentence_roles.json.

    python scripts/fit_sentence_roles.py corpus.jsonl

The file holds one abstract a line, with `_id`, `title` and `text`, and a line break before each
heading, such as the corpus of SciFact. Headings give the roles and are left out of the text. Needs
the `fit` extra (scikit-learn). The figures are cross-validated: five folds, an abstract in one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from bisect import bisect_right
from contextlib import closing
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from rag import Assistant, Paper
from rag.generation.decision import DATA
from rag.index import Index
from rag.retrieval.roles import ROLES, describe_sentences, read_sentences
from rag.text.sentences import sentence_spans

HEADINGS = {
    "background": "BACKGROUND INTRODUCTION CONTEXT RATIONALE MOTIVATION IMPORTANCE SIGNIFICANCE",
    "aim": "OBJECTIVE OBJECTIVES PURPOSE AIM AIMS GOAL HYPOTHESIS QUESTION",
    "method": "METHOD METHODS DESIGN SETTING PARTICIPANTS PATIENTS SUBJECTS MATERIALS MATERIAL "
    "INTERVENTION INTERVENTIONS MEASUREMENTS DATA SELECTION EXPERIMENTAL OUTCOME STUDY PROCEDURE",
    "result": "RESULT RESULTS FINDINGS",
    "conclusion": "CONCLUSION CONCLUSIONS INTERPRETATION DISCUSSION IMPLICATIONS SUMMARY",
}
_WORD = r"(?:[A-Z][A-Z/&,\-]*[A-Z/&,]+|AND|OF|&|\([A-Z ]+\))"
_HEADING = re.compile(rf"({_WORD}(?: {_WORD})*):? +")
FEWEST_HEADINGS = 3
PENALTY = 1.0


def main() -> None:
    """Fit, write and print the regression."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("abstracts", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=DATA / "sentence_roles.json")
    arguments = parser.parse_args()
    content = arguments.abstracts.read_bytes()
    papers, roles = read_abstracts(content)
    values, labels, groups, embedder = collect_sentences(papers, roles)
    predicted = np.zeros((len(labels), len(ROLES)))
    for train, test in GroupKFold(5).split(values, labels, groups):
        predicted[test] = fit(values[train], labels[train]).predict_proba(values[test])
    model = fit(values, labels)
    right = np.array(ROLES)[predicted.argmax(axis=1)] == labels
    is_finding = np.isin(labels, ["result", "conclusion"])
    finding = predicted[:, [ROLES.index("result"), ROLES.index("conclusion")]].sum(axis=1)
    about = {
        "embedder": embedder,
        "fitted_on": {
            "file": arguments.abstracts.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "abstracts": len(papers),
            "sentences": {role: int((labels == role).sum()) for role in ROLES},
        },
        "cross_validated": {
            "accuracy": round(float(right.mean()), 3),
            "auc_finding": round(float(roc_auc_score(is_finding, finding)), 3),
        },
    }
    print(json.dumps(about, indent=1))
    about["intercepts"] = [round(float(value), 3) for value in model.intercept_]
    about["weights"] = [[round(float(value), 3) for value in row] for row in model.coef_]
    arguments.out.write_text(json.dumps(about) + "\n", encoding="utf-8")


def fit(values: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """Return the regression. Its classes are `ROLES`, in order."""
    return LogisticRegression(C=PENALTY, max_iter=3000).fit(values, labels)


def read_abstracts(content: bytes) -> tuple[list[Paper], dict[str, list[tuple[int, str]]]]:
    """Return the papers, and for each the offset and role of every sentence with a role."""
    papers, roles = [], {}
    for row in map(json.loads, content.splitlines()):
        parts = [read_part(part.strip()) for part in row["text"].split("\n") if part.strip()]
        if sum(role is not None for role, _ in parts) < FEWEST_HEADINGS:
            continue
        text, found = "", []
        for role, part in parts:
            if role:
                found += [(len(text) + start, role) for start, _ in sentence_spans(part)]
            text += part + " "
        papers.append(Paper(f"a-{row['_id']}", row["title"], text.strip()))
        roles[papers[-1].id] = found
    return papers, roles


def read_part(part: str) -> tuple[str | None, str]:
    """Return the role that the heading of a part gives, None if it is unclear, and the text."""
    heading = _HEADING.match(part)
    if heading is None:
        return None, part
    words = set(re.findall("[A-Z]+", heading[1]))
    found = [role for role, names in HEADINGS.items() if words & set(names.split())]
    return found[0] if len(found) == 1 else None, part[heading.end() :]


def collect_sentences(
    papers: list[Paper], roles: dict[str, list[tuple[int, str]]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return values, roles and abstracts of the sentences, as an index stores them."""
    values, labels, groups = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Assistant.build(papers, Path(folder) / "index") as assistant,
    ):
        with closing(Index.open(assistant.folder)) as index:
            stored = read_sentences(index, [paper.id for paper in papers])
        for number, paper in enumerate(papers):
            starts, vectors = stored[paper.id]
            described = describe_sentences(vectors)
            for start, role in roles[paper.id]:  # a section may end within a sentence
                values.append(described[bisect_right(starts, start) - 1])
                labels.append(role)
                groups.append(number)
        embedder = assistant.embedder.name
    return np.array(values), np.array(labels), np.array(groups), embedder


if __name__ == "__main__":
    main()
