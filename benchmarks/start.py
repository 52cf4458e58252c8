"""Times of whole commands, as ratios to what they cannot do without, side by side in one run.

    python benchmarks/start.py

Each row alternates a command with its yardstick and prints the median of the ratios, pair by pair.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
QUESTION = "how can a byte-level model skip tokens it does not need?"
IMPORTS = "import chromadb, onnxruntime, tokenizers, bm25s"
EMBED = (
    "from rag import load_minilm, read_papers\n"
    "from rag.library import BUNDLED_SOURCE\n"
    "from rag.index.passages import make_embedder_text\n"
    "papers = read_papers(BUNDLED_SOURCE)\n"
    "list(load_minilm().encode([make_embedder_text(p.title, p.abstract) for p in papers]))\n"
)


def main() -> None:
    """Prints the ratios."""
    python = [sys.executable, "-c"]
    rag = [sys.executable, "-m", "rag"]
    seconds([*rag, "ask", QUESTION])  # indexes the bundled library if it must
    compare("rag ask / importing its libraries", [*rag, "ask", QUESTION], [*python, IMPORTS])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'rag ask, peak memory':44}{peak:8.0f} MB (with the yardsticks')")
    help_s = [seconds([*rag, "--help"]) - seconds([*python, "pass"]) for _ in range(RUNS)]
    print(f"{'rag --help beyond a bare start':44}{statistics.median(help_s):8.2f} s")
    compare("indexing the library / embedding its texts", None, [*python, EMBED], runs=3)
    unchanged()


def compare(title: str, command: list[str] | None, yardstick: list[str], runs: int = RUNS) -> None:
    """Alternates both commands; None stands for indexing the bundled library into a new cache."""
    ratios = []
    for _ in range(runs):
        ours = seconds(command) if command else indexing()
        ratios.append(ours / seconds(yardstick))
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{title:44}{statistics.median(ratios):8.2f} {spread}", flush=True)


def indexing() -> float:
    """Seconds to index the bundled library into a folder of its own."""
    from rag.library import BUNDLED_SOURCE

    with tempfile.TemporaryDirectory() as folder:
        where = [sys.executable, "-m", "rag", "index", "-q", "-i", f"{folder}/index"]
        return seconds([*where, str(BUNDLED_SOURCE)])


def unchanged() -> None:
    """Seconds of an index run that finds nothing new."""
    from rag.library import BUNDLED_SOURCE

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rag", "index", "-q", "-i", f"{folder}/index"]
        command.append(str(BUNDLED_SOURCE))
        seconds(command)
        again = statistics.median(seconds(command) for _ in range(3))
    print(f"{'an unchanged re-run':44}{again:8.2f} s")


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
