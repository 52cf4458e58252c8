"""Time and size of an index at 1,000, 10,000 and 100,000 papers.

Run with `python benchmarks/scale.py [--sizes 1000 10000 100000] [--folder DIR] [--json FILE]`, and
with `--before FILE --picture FILE.svg` to print and draw the figures of an earlier run beside.

The papers are mixtures of sentences of the bundled library. A stand-in embedder gives every word a
fixed vector, because real embeddings take hours at 100,000 papers and searching costs the same with
any vectors. Only the public API is used, so the script also measures an older version:
`PYTHONPATH=CHECKOUT python benchmarks/scale.py`. Every phase runs in a process of its own. Times of
a question are given as multiples of embedding it with the bundled model in the same run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

DIM, TOKEN_DIM = 384, 128
QUESTIONS = 40
WORDS = 50_000


class StandIn:
    """Embedder of fixed random word vectors: pooled and token vectors of the usual shape."""

    name = "stand-in"
    dim = DIM
    token_dim = TOKEN_DIM

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._words = generator.standard_normal((WORDS, TOKEN_DIM)).astype(np.float32)
        self._words /= np.linalg.norm(self._words, axis=1, keepdims=True)
        self._spread = generator.standard_normal((TOKEN_DIM, DIM)).astype(np.float32)

    def embed(self, texts):
        return np.stack([each.vector for each in self.encode(texts)])

    def encode(self, texts, on_progress=None):
        try:
            from rag.embedding import Encoding
        except ImportError:  # version 0.2
            from rag.embedding.minilm.encoder import Encoding

        for text in texts:
            ids, offsets, position = [], [], 0
            for word in text.split():
                start = text.index(word, position)
                position = start + len(word)
                digest = hashlib.blake2b(word.lower().encode(), digest_size=4).digest()
                ids.append(int.from_bytes(digest, "big") % WORDS)
                offsets.append((start, position))
            tokens = self._words[ids].reshape(-1, TOKEN_DIM)
            pooled = tokens.sum(axis=0) @ self._spread
            pooled /= max(float(np.linalg.norm(pooled)), 1e-9)
            yield Encoding(
                pooled.astype(np.float32),
                np.array(ids, np.int32),
                tokens,
                np.array(offsets, np.int32).reshape(-1, 2),
                np.ones(len(ids), np.bool_),
            )


def make_papers(count: int, *, first: int = 0):
    """Yield papers whose abstracts mix sentences of the bundled library."""
    from rag import Paper, iter_papers
    from rag.library import BUNDLED_SOURCE
    from rag.text.sentences import sentence_spans

    sentences, titles = [], []
    for paper in iter_papers(BUNDLED_SOURCE):
        titles.append(paper.title)
        sentences += [paper.abstract[a:b] for a, b in sentence_spans(paper.abstract)]
    for number in range(first, first + count):
        draw = random.Random(number)
        yield Paper(
            f"made-{number:07d}",
            f"{draw.choice(titles)} {number}",
            " ".join(draw.sample(sentences, draw.randint(5, 9))),
            authors=tuple(
                f"Given{draw.randrange(999)} Family{draw.randrange(9999)}" for _ in "abc"
            ),
            year=draw.randint(1990, 2025),
            venue=f"Venue {draw.randrange(300)}",
        )


def read_written() -> int:
    """Return the bytes that this process has written to files so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def measure(work, times: int) -> tuple[float, float]:
    """Return the median and the 95th percentile of some calls, in milliseconds."""
    spent = []
    for number in range(times):
        start = time.perf_counter()
        work(number)
        spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent), float(np.quantile(spent, 0.95))


def run_build(folder: Path, size: int) -> dict:
    from rag import Assistant

    before, start = read_written(), time.perf_counter()
    Assistant.build(make_papers(size), folder, embedder=StandIn()).close()
    seconds = time.perf_counter() - start
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"seconds": seconds, "written": read_written() - before, "size": held}


def run_add(folder: Path, size: int) -> dict:
    from rag import Assistant

    embedder, before = StandIn(), read_written()
    start = time.perf_counter()
    Assistant.build(make_papers(10, first=10**6), folder, embedder=embedder).close()
    return {"seconds": time.perf_counter() - start, "written": read_written() - before}


def run_search(folder: Path, size: int) -> dict:
    from rag import Assistant, Filter
    from rag.embedding.minilm import load_minilm

    questions = [" ".join(paper.abstract.split()[3:15]) for paper in make_papers(QUESTIONS)]
    start = time.perf_counter()
    assistant = Assistant.open(folder, embedder=StandIn())
    assistant.search(questions[0])
    first = time.perf_counter() - start
    ids = tuple(f"made-{number:07d}" for number in range(0, size, max(1, size // 1000)))[:1000]
    years, chosen = Filter(years=(2010, 2015)), Filter(ids=ids)
    model = load_minilm()
    model.embed(questions[:1])
    searches = {
        "embed": lambda n: model.embed([questions[n]]),
        "search": lambda n: assistant.search(questions[n]),
        "years": lambda n: assistant.search(questions[n], where=years),
        "chosen": lambda n: assistant.search(questions[n], where=chosen),
    }
    figures = {"first": first}
    for name, search in searches.items():
        search(0)
        figures[name], figures[f"{name}_p95"] = measure(search, QUESTIONS)
    assistant.close()
    return figures


def run_floor(folder: Path, size: int) -> dict:
    """Return the time of bare Chroma and bare bm25s for the same papers and questions."""
    import bm25s
    import chromadb

    from rag.text.terms import lexical_terms

    papers = list(make_papers(size))
    questions = [" ".join(paper.abstract.split()[3:15]) for paper in papers[:QUESTIONS]]
    embedder = StandIn()
    scorer = bm25s.BM25()
    scorer.index([lexical_terms(paper.abstract) for paper in papers], show_progress=False)
    with TemporaryDirectory() as place:
        collection = chromadb.PersistentClient(place).create_collection(
            "floor", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        for at in range(0, size, 2000):
            block = papers[at : at + 2000]
            collection.add(
                ids=[paper.id for paper in block],
                embeddings=embedder.embed([paper.abstract for paper in block]),
            )
        vectors = embedder.embed(questions)
        terms = [lexical_terms(question) for question in questions]

        def ask(number: int) -> None:
            collection.query(query_embeddings=[vectors[number]], n_results=min(200, size))
            scorer.get_scores(terms[number])

        ask(0)
        return {"floor": measure(ask, QUESTIONS)[0]}


PHASES = {"build": run_build, "search": run_search, "add": run_add, "floor": run_floor}


def run_phase(phase: str, folder: Path, size: int) -> dict:
    """Run one phase in a process of its own. Return its figures and its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--phase", phase, "--folder", str(folder), "--sizes", str(size)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return {f"{phase}_{name}": value for name, value in json.loads(done.stdout).items()}


COLUMNS = {
    "build s": lambda f: f["build_seconds"],
    "index MB": lambda f: f["build_size"] / 1e6,
    "written/index": lambda f: f["build_written"] / f["build_size"],
    "embed ms": lambda f: f["search_embed"],
    "search ms": lambda f: f["search_search"],
    "search/embed": lambda f: 1 + f["search_search"] / f["search_embed"],
    "p95 ms": lambda f: f["search_search_p95"],
    "search/floor": lambda f: f["search_search"] / f["floor_floor"],
    "years/search": lambda f: f["search_years"] / f["search_search"],
    "chosen/search": lambda f: f["search_chosen"] / f["search_search"],
    "add 10 s": lambda f: f["add_seconds"],
    "add MB": lambda f: f["add_memory"],
    "search MB": lambda f: f["search_memory"],
    "first s": lambda f: f["search_first"],
}


def show(runs: dict[str, dict[int, dict]]) -> None:
    """Print a row per figure, and a column per run and size."""
    cells = [(run, size) for run, figures in runs.items() for size in figures]
    print(f"{'':16}" + "".join(f"{f'{size:,} {run}':>16}" for run, size in cells))
    for name, compute in COLUMNS.items():
        values = "".join(f"{compute(runs[run][size]):>16.2f}" for run, size in cells)
        print(f"{name:16}{values}")


PLOTS = ("search ms", "add 10 s", "index MB", "first s")
WIDTH, HEIGHT, MARGIN = 200, 150, 50


def draw(runs: dict[str, dict[int, dict]]) -> str:
    """Return an SVG with a log-log plot per figure, dashed for an earlier run."""
    parts = []
    for number, name in enumerate(PLOTS):
        lines = {
            run: [(size, COLUMNS[name](figures[size])) for size in sorted(figures)]
            for run, figures in runs.items()
        }
        top = max(value for line in lines.values() for _, value in line)
        low = min(value for line in lines.values() for _, value in line)
        left = MARGIN + number * (WIDTH + MARGIN)

        def place(size: int, value: float, left=left, low=low, top=top) -> tuple[float, float]:
            across = np.log10(size / 1000) / 2
            up = np.log(value / low) / max(np.log(top / low), 1e-9)
            return left + across * WIDTH, MARGIN + (1 - up) * HEIGHT

        parts.append(f'<text x="{left + WIDTH // 2}" y="20">{name}</text>')
        for run, line in lines.items():
            points = " ".join(f"{x:.0f},{y:.0f}" for x, y in (place(*each) for each in line))
            dash = ' stroke-dasharray="4"' if run == "before" else ""
            parts.append(f'<polyline points="{points}"{dash}/>')
            for size, value in line:
                x, y = place(size, value)
                below = y + (-6 if run == "before" else 16)
                shown = f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
                parts.append(f'<text x="{x:.0f}" y="{below:.0f}">{shown}</text>')
        for size in sorted({size for line in lines.values() for size, _ in line}):
            x = place(size, low)[0]
            parts.append(f'<text x="{x:.0f}" y="{MARGIN + HEIGHT + 35}">{size:,}</text>')
    width = MARGIN + len(PLOTS) * (WIDTH + MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 2 * MARGIN}">'
        "<style>text{font:11px sans-serif;fill:#456;text-anchor:middle}"
        f"polyline{{fill:none;stroke:#2f6f8f;stroke-width:2}}</style>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--before", type=Path, help="JSON file of an earlier run")
    parser.add_argument("--picture", type=Path, help="SVG file to write")
    parser.add_argument("--phase", choices=PHASES)
    options = parser.parse_args()
    if options.phase:
        figures = PHASES[options.phase](options.folder, options.sizes[0])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**figures, "memory": peak}))
        return
    with TemporaryDirectory() as place:
        found: dict[int, dict] = {}
        for size in options.sizes:
            folder = (options.folder or Path(place)) / str(size)
            found[size] = {}
            for phase in PHASES:
                found[size] |= run_phase(phase, folder, size)
                print(f"{size}: {phase} done", file=sys.stderr)
        runs = {"": found}
        if options.before:
            earlier = json.loads(options.before.read_text())
            runs = {"before": {int(size): figures for size, figures in earlier.items()}, **runs}
        show(runs)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
        if options.picture:
            options.picture.write_text(draw(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
