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
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from rag import Assistant, Paper
from rag.generation.decision import DATA
from rag.retrieval.roles import ROLES, average_tokens, describe_places
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
    vectors, places, labels, groups, embedder = collect_sentences(papers, roles)
    values = np.hstack([vectors, describe_places(places)])
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """Return vectors, places, roles and abstracts of the sentences, as an index stores them."""
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Assistant.build(papers, Path(folder) / "index") as assistant,
        assistant._live.reading() as live,  # noqa: SLF001 - no public way to the vectors
    ):
        for number, paper in enumerate(papers):
            (stored,) = live.index.load_papers([*live.index.find_by_key("id", {paper.id}, None)])
            vectors = dict(
                zip(
                    stored.rows,
                    live.index.read_vectors(live.index.load_rows(stored.rows)),
                    strict=True,
                )
            )
            means = {}
            for passage, row, place in zip(
                stored.passages, stored.rows, stored.places, strict=True
            ):
                found = average_tokens(vectors[row].unit_tokens(), place.starts)
                for span, mean in zip(passage.sentences, found, strict=True):
                    means.setdefault(span, mean)
            spans = sorted(means)
            for start, role in roles[paper.id]:
                at = next((i for i, span in enumerate(spans) if span[0] <= start < span[1]), None)
                if at is not None:
                    rows.append((means[spans[at]], (at + 0.5) / len(spans), role, number))
        embedder = assistant.embedder.name
    vectors, places, labels, groups = zip(*rows, strict=True)
    return np.array(vectors), np.array(places), np.array(labels), np.array(groups), embedder


if __name__ == "__main__":
    main()
