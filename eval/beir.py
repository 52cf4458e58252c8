"""Retrieval on a dataset in BEIR form, the product beside its own single stages.

corpus.jsonl (_id, title, text), queries.jsonl (_id, text), qrels/*.tsv (query, paper, grade).
Documents may lack a title. Each stays a paper of its own. All systems see the same embedder, the
same candidates and the same questions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.questions import read_lines
from rag.assistant import Assistant
from rag.embedding import make_embedder
from rag.errors import IndexMissing, QuestionError
from rag.library import resolve_settings, update_library
from rag.papers import Paper
from rag.retrieval.fusion import WEIGHTS, standardise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.index import OnProgress
    from rag.retrieval import Hit
    from rag.settings import Settings

MEASURES = ("nDCG@10", "R@5", "R@100", "RR@10", "Success@1")
_CANDIDATES = 1000


def read_corpus(folder: Path) -> Iterator[Paper]:
    """Yield the papers of a dataset.

    Raises:
        QuestionError: the corpus is missing or has a line of another form.
    """
    for row in _rows(folder / "corpus.jsonl", ("_id", "text")):
        yield Paper(id=row["_id"], title=row.get("title") or "", abstract=row["text"])


def index_corpus(
    folder: Path, index: Path, settings: Settings, on_progress: OnProgress | None = None
) -> Assistant:
    """Index a dataset, every document as a paper of its own, and open the index.

    Raises:
        QuestionError: the corpus is missing, or the index has papers that the dataset has not.
    """
    _refuse_other_papers(index, folder, settings)
    settings = resolve_settings(index, settings)
    update_library(
        read_corpus(folder),
        settings=settings,
        embedder=make_embedder(settings),
        by_title=False,
        on_progress=on_progress,
    )
    return Assistant.open(settings=settings)


def read_queries(folder: Path, split: str | None = None) -> dict[str, tuple[str, dict[str, int]]]:
    """Return query id -> text and graded papers of one qrels file.

    Raises:
        QuestionError: files are missing, or there are several splits and none is named.
    """
    qrels = _choose_qrels(folder, split)
    texts = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl", ("_id", "text"))}
    grades: dict[str, dict[str, int]] = {}
    for number, line in read_lines(qrels)[1:]:
        try:
            query, paper, grade = line.split("\t")
            grades.setdefault(query, {})[paper] = int(grade)
        except ValueError as error:
            raise QuestionError(
                f"{qrels}, line {number} needs three columns, the last a whole number.",
                path=qrels,
                line=number,
            ) from error
    known = {query: (texts[query], papers) for query, papers in grades.items() if query in texts}
    if not known:
        raise QuestionError(f"{qrels} grades no query of {folder}/queries.jsonl.")
    return known


def _choose_qrels(folder: Path, split: str | None) -> Path:
    """Return the qrels file of a split, or the only one."""
    found = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not found:
        raise QuestionError(f"{folder} has no qrels/*.tsv. Name a dataset in BEIR form.")
    if split is None and len(found) != 1:
        names = ", ".join(found)
        raise QuestionError(f"{folder}/qrels has the splits {names}. Name one with --split.")
    name = split or next(iter(found))
    if name not in found:
        raise QuestionError(f"{folder}/qrels has no {name}.tsv.")
    return found[name]


def _refuse_other_papers(index: Path, folder: Path, settings: Settings) -> None:
    """Refuse an index that holds papers of something else: figures would be of the mixture.

    Raises:
        QuestionError: the index has papers that the dataset has not, or several as one.
    """
    try:
        with Assistant.open(index, settings=settings) as assistant:
            held = assistant.papers()
    except IndexMissing:
        return
    known = {paper.id for paper in read_corpus(folder)}
    if any(paper.id not in known or paper.aliases for paper in held):
        raise QuestionError(
            f"The index {index} holds other papers, or merged ones; take another folder."
        )


def compare_systems(
    assistant: Assistant,
    queries: dict[str, tuple[str, dict[str, int]]],
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Return system -> measure -> mean over the queries."""
    import ir_measures

    runs: dict[str, list[object]] = {}
    for done, (query, (text, _)) in enumerate(queries.items(), start=1):
        hits = assistant.search(text, k=_CANDIDATES)
        for system, ranked in rankings(hits).items():
            runs.setdefault(system, []).extend(
                ir_measures.ScoredDoc(query, paper, -float(rank))
                for rank, paper in enumerate(ranked)
            )
        if on_progress:
            on_progress(done, len(queries))
    qrels = [
        ir_measures.Qrel(query, paper, grade)
        for query, (_, papers) in queries.items()
        for paper, grade in papers.items()
    ]
    wanted = {name: ir_measures.parse_measure(name) for name in MEASURES}
    found = {}
    for system, run in runs.items():
        means = ir_measures.calc_aggregate(list(wanted.values()), qrels, run)
        found[system] = {name: float(means[measure]) for name, measure in wanted.items()}
    return found


def rankings(hits: Sequence[Hit]) -> dict[str, list[str]]:
    """Ranked paper ids by system; hits are the product's, with every stage's score."""
    if not hits:
        return {}
    stages = {
        name: np.array([hit.stages[name].score for hit in hits])
        for name in WEIGHTS
        if name in hits[0].stages
    }
    sums = {"lexical (BM25)": stages["lexical"], "dense (pooled vector)": stages["dense"]}
    sums["fused (min-max sum)"] = _scale(stages["lexical"]) + _scale(stages["dense"])
    if "tokens" in stages:
        sums["late interaction (MaxSim)"] = stages["tokens"]
        sums["the product without windows"] = sum(
            (WEIGHTS[name] * standardise(stages[name]) for name in ("lexical", "dense", "tokens")),
            np.zeros(len(hits)),
        )
    found = {
        name: [hits[i].paper.id for i in np.argsort(-total, kind="stable")]
        for name, total in sums.items()
    }
    return {**found, "the product": [hit.paper.id for hit in hits]}


def _scale(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread else np.zeros_like(scores)


def _rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            yield {**row, **{field: str(row[field]) for field in fields}}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise QuestionError(
                f"{path}, line {number}: {', '.join(fields)} are needed.", path=path, line=number
            ) from error
