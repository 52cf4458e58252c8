"""Fit the roles of sentences on labelled abstracts, and write rag/data/sentence_roles.json.

    python scripts/fit_sentence_roles.py corpus.jsonl notices.jsonl

The first file holds one structured abstract a line, with `_id`, `title` and `text`, and a line
break before each heading, such as the corpus of SciFact. Headings give the roles and are left out
of the text. The second file holds one abstract a line for the role "notice": `title`, `abstract`,
`notices` (its sentences that are notices), `unclear` (sentences to leave out) and `pattern` (a name
that notices of one template share, "" for an abstract without any). Abstracts of the first file
that are not in the second have no notice.

Needs the `fit` extra (scikit-learn). The figures are cross-validated: five folds, an abstract in
one. Those of notices are from folds that keep a template in one. The threshold is the lowest that
gives them `PRECISION`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from bisect import bisect_right
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve, roc_auc_score
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
FINDINGS = ["result", "conclusion"]
FEWEST_HEADINGS = 3
PRECISION = 0.98  # of notices
PENALTY_OF_ROLES = 1.0
PENALTY_OF_NOTICES = 10.0

FEWEST_SENTENCES, MOST_SENTENCES = 3, 7  # of a shortened abstract
Rows: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, labels, groups
Label: TypeAlias = tuple[int, str]  # offset of a sentence and its label
Described: TypeAlias = tuple[list[int], np.ndarray]  # offsets of sentences and their values


def main() -> None:
    """Fit, write and print the regressions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("abstracts", type=Path)
    parser.add_argument("notices", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=DATA / "sentence_roles.json")
    arguments = parser.parse_args()
    corpus, roles = read_abstracts(arguments.abstracts.read_bytes())
    papers, notices, patterns = read_notices(arguments.notices.read_bytes(), corpus, roles)
    described, embedder = describe_papers([*corpus, *papers])
    of_roles = collect_sentences(described, roles, {})
    of_notices = collect_sentences(described, notices, patterns)
    shortened = collect_sentences(*shorten(described, roles), {})
    roles_model, found = fit_and_predict(of_roles, PENALTY_OF_ROLES, shortened)
    notices_model, odds = fit_and_predict(of_notices, PENALTY_OF_NOTICES)
    labels, flags = of_roles[1], of_notices[1] == "notice"
    precision, recall, threshold = choose_threshold(flags, odds[:, 0])
    about = {
        "embedder": embedder,
        "fitted_on": {
            "files": {
                file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                for file in (arguments.abstracts, arguments.notices)
            },
            "abstracts": len(roles),
            "sentences": {role: int((labels == role).sum()) for role in ROLES[:-1]},
            "abstracts_for_notices": len(notices),
            "notices": int(flags.sum()),
            "other_sentences": int((~flags).sum()),
        },
        "cross_validated": {
            **score_roles(labels, found),
            "notice_precision": round(precision, 3),
            "notice_recall": round(recall, 3),
        },
        "threshold": round(threshold, 3),
    }
    print(json.dumps(about, indent=1))
    # the classes of the second regression are "notice" and "other", its weights are for "other"
    intercepts = np.append(roles_model.intercept_, -notices_model.intercept_)
    weights = np.vstack([roles_model.coef_, -notices_model.coef_])
    about["intercepts"] = intercepts.round(3).tolist()
    about["weights"] = weights.round(3).tolist()
    arguments.out.write_text(json.dumps(about) + "\n", encoding="utf-8")


def fit_and_predict(
    rows: Rows, penalty: float, more: Rows | None = None
) -> tuple[LogisticRegression, np.ndarray]:
    """Return the regression, and the probabilities of classes in folds it was not fitted on.

    Args:
        rows: values, labels and groups of sentences.
        penalty: inverse of the regularisation.
        more: rows of the same groups to fit on, but not to predict.
    """
    values, labels, groups = rows
    found = np.zeros((len(labels), len(set(labels))))
    for train, test in GroupKFold(5).split(values, labels, groups):
        model = fit(values[train], labels[train], penalty)
        if more:
            known = np.isin(more[2], groups[train])
            model = fit(
                np.vstack([values[train], more[0][known]]),
                np.append(labels[train], more[1][known]),
                penalty,
            )
        found[test] = model.predict_proba(values[test])
    if more:
        values, labels = np.vstack([values, more[0]]), np.append(labels, more[1])
    return fit(values, labels, penalty), found


def fit(values: np.ndarray, labels: np.ndarray, penalty: float) -> LogisticRegression:
    """Return a regression of the labels on the values."""
    return LogisticRegression(C=penalty, max_iter=3000).fit(values, labels)


def shorten(
    described: dict[str, Described], labels: dict[str, list[Label]]
) -> tuple[dict[str, Described], dict[str, list[Label]]]:
    """Return a few sentences of each abstract with their places, for short abstracts are rare."""
    generator = np.random.default_rng(0)
    short, kept = {}, {}
    for paper, found in labels.items():
        starts, values = described[paper]
        size = min(len(starts), generator.integers(FEWEST_SENTENCES, MOST_SENTENCES + 1))
        keep = np.sort(generator.choice(len(starts), size, replace=False)).tolist()
        short[paper] = [starts[at] for at in keep], describe_sentences(values[keep, :-4])
        kept[paper] = [each for each in found if bisect_right(starts, each[0]) - 1 in keep]
    return short, kept


def score_roles(labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return the accuracy of the roles, and how well findings are told from the others."""
    right = np.array(ROLES)[found.argmax(axis=1)] == labels
    finding = found[:, [ROLES.index(role) for role in FINDINGS]].sum(axis=1)
    auc = roc_auc_score(np.isin(labels, FINDINGS), finding)
    return {"accuracy": round(float(right.mean()), 3), "auc_finding": round(float(auc), 3)}


def choose_threshold(flags: np.ndarray, odds: np.ndarray) -> tuple[float, float, float]:
    """Return precision, recall and the lowest threshold with at least `PRECISION`."""
    precision, recall, thresholds = precision_recall_curve(flags, odds)
    at = int(np.flatnonzero(precision[:-1] >= PRECISION)[0])
    return float(precision[at]), float(recall[at]), float(thresholds[at])


def read_abstracts(content: bytes) -> tuple[list[Paper], dict[str, list[Label]]]:
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


def read_notices(
    content: bytes, corpus: list[Paper], roles: dict[str, list[Label]]
) -> tuple[list[Paper], dict[str, list[Label]], dict[str, str]]:
    """Return the papers that the corpus lacks, labels of all sentences, and pattern of papers."""
    known = {paper.abstract: paper for paper in corpus}
    labels = {paper: [(start, "other") for start, _ in found] for paper, found in roles.items()}
    papers, patterns = [], {}
    for number, row in enumerate(map(json.loads, content.splitlines())):
        text = row["abstract"]
        paper = known.get(text) or Paper(f"n-{number}", row["title"], text)
        if text not in known:
            papers.append(paper)
        patterns[paper.id] = row["pattern"]
        labels[paper.id] = [
            (start, "notice" if text[start:end] in row["notices"] else "other")
            for start, end in sentence_spans(text)
            if text[start:end] not in row["unclear"]
        ]
    return papers, labels, patterns


def describe_papers(papers: list[Paper]) -> tuple[dict[str, Described], str]:
    """Return the offsets and values of the sentences of papers, as an index stores them."""
    # papers of one title and of different years are not merged
    papers = [replace(paper, year=number) for number, paper in enumerate(papers, 1)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Assistant.build(papers, Path(folder) / "index") as assistant,
        closing(Index.open(assistant.folder)) as index,
    ):
        stored = read_sentences(index, [paper.id for paper in papers])
        described = {
            paper: (starts, describe_sentences(vectors))
            for paper, (starts, vectors) in stored.items()
        }
        return described, assistant.embedder.name


def collect_sentences(
    described: dict[str, Described], labels: dict[str, list[Label]], patterns: dict[str, str]
) -> Rows:
    """Return values, labels and groups of the sentences: a pattern is one, else an abstract."""
    rows = [
        # a section may end within a sentence
        (values[bisect_right(starts, start) - 1], label, patterns.get(paper) or paper)
        for paper, (starts, values) in described.items()
        for start, label in labels.get(paper, ())
    ]
    values, names, groups = zip(*rows, strict=True)
    return np.array(values), np.array(names), np.array(groups)


if __name__ == "__main__":
    main()
