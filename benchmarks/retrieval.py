"""How often the right paper is found: the product beside its own single stages.

    python benchmarks/retrieval.py                      the development questions, bundled library
    python benchmarks/retrieval.py --beir DIR           a dataset in BEIR form, first training qrels

One table a run: hit@1, recall@5, MRR@10 and nDCG@10 for BM25 alone, the pooled vector alone, their
min-max sum, and the fusion that the product uses; same embedder, same candidates, same questions.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path

import numpy as np

from rag import Assistant, Paper
from rag.retrieval.fusion import WEIGHTS, standardised

QUESTIONS = Path(__file__).parents[1] / "eval" / "qa" / "dev.jsonl"
PLAIN = "d5"  # ids of the questions in the field's own words begin so


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--beir", type=Path, help="folder with corpus.jsonl, queries.jsonl, qrels/")
    parser.add_argument("--index", type=Path, help="keep the dataset's index here")
    arguments = parser.parse_args()
    if not arguments.beir:
        with Assistant.open() as assistant:
            show("single, plain words", assistant, asked("single", PLAIN))
            for kind in ("single", "named", "multi"):
                show(f"{kind} questions", assistant, asked(kind))
        return
    with tempfile.TemporaryDirectory() as folder:
        index = arguments.index or Path(folder)
        papers = (
            Paper(id=row["_id"], title=row["title"], abstract=row["text"])
            for row in lines(arguments.beir / "corpus.jsonl")
        )
        with Assistant.build(papers, index, on_progress=told) as assistant:
            show(arguments.beir.name, assistant, judged(arguments.beir))


def told(done: int, total: int) -> None:
    """Prints how far the dataset's index is."""
    if done % 640 == 0 or done == total:
        print(f"indexed {done} of {total}", flush=True)


def show(title: str, assistant: Assistant, questions: list[tuple[str, set[str]]]) -> None:
    """Prints one table."""
    totals: dict[str, list[tuple[float, ...]]] = {}
    for text, gold in questions:
        hits = assistant.search(text, k=1000)
        for name, ranked in rankings(hits).items():
            totals.setdefault(name, []).append(measures(ranked, gold))
    print(f"\n{title} (n = {len(questions)})")
    print(f"{'':24}{'hit@1':>8}{'recall@5':>10}{'MRR@10':>8}{'nDCG@10':>9}")
    for name, rows in totals.items():
        first, recall, reciprocal, gain = np.mean(rows, axis=0)
        print(f"{name:24}{first:8.3f}{recall:10.3f}{reciprocal:8.3f}{gain:9.3f}")


def rankings(hits: list) -> dict[str, list[str]]:
    """Ranked paper ids by system."""
    stages = {name: np.array([hit.stages[name].score for hit in hits]) for name in WEIGHTS}
    sums = {
        "BM25": stages["lexical"],
        "pooled vector": stages["dense"],
        "BM25 + pooled (min-max)": scaled(stages["lexical"]) + scaled(stages["dense"]),
        "MaxSim": stages["tokens"],
        "fusion without windows": sum(
            WEIGHTS[name] * standardised(stages[name]) for name in ("lexical", "dense", "tokens")
        ),
    }
    found = {
        name: [hits[i].paper.id for i in np.argsort(-total, kind="stable")]
        for name, total in sums.items()
    }
    return {**found, "the product": [hit.paper.id for hit in hits]}


def measures(ranked: list[str], gold: set[str]) -> tuple[float, float, float, float]:
    """hit@1, recall@5, reciprocal rank within 10, nDCG@10 (binary gain)."""
    ranks = [rank for rank, identity in enumerate(ranked[:10], start=1) if identity in gold]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(gold)) + 1))
    return (
        float(bool(ranks) and ranks[0] == 1),
        sum(rank <= 5 for rank in ranks) / min(5, len(gold)),
        1 / ranks[0] if ranks else 0.0,
        sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
    )


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scores scaled to [0, 1] over the candidates."""
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread else np.zeros_like(scores)


def asked(kind: str, start: str = "") -> list[tuple[str, set[str]]]:
    """Development questions of one kind, whose id begins so, with their gold papers."""
    return [
        (row["question"], set(row["papers"]))
        for row in lines(QUESTIONS)
        if row["kind"] == kind and row["id"].startswith(start)
    ]


def judged(folder: Path) -> list[tuple[str, set[str]]]:
    """Training questions of a BEIR dataset with their relevant papers."""
    texts = {row["_id"]: row["text"] for row in lines(folder / "queries.jsonl")}
    gold: dict[str, set[str]] = {}
    for line in (folder / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        question, paper, grade = line.split("\t")
        if int(grade) > 0:
            gold.setdefault(question, set()).add(paper)
    return [(texts[question], papers) for question, papers in gold.items()]


def lines(path: Path) -> list[dict]:
    """A JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
