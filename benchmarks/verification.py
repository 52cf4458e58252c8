"""What the offline check says of true and false statements, and how long it takes.

    python benchmarks/verification.py [PAIRS.jsonl]

PAIRS holds one JSON object a line: title (of a paper of the bundled library), statement, supported,
kind. The figures on SciFact are cross-validated and stand in rag/data/verify.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path

from rag import Assistant, load_minilm
from rag.text.markup import clean_markup
from rag.verification import Claim
from rag.verification.offline import COEFFICIENTS, OfflineVerifier


def main() -> None:
    """Prints what was fitted and, with pairs, what is said of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path, nargs="?")
    path = parser.parse_args().pairs
    if path:
        examine(path)
    print(json.dumps(json.loads(COEFFICIENTS.read_text("utf-8"))["cross_validated"], indent=1))


def examine(path: Path) -> None:
    """Prints one row a kind of statement."""
    lines = path.read_text(encoding="utf-8").splitlines()
    with Assistant.open() as assistant:
        papers = {paper.title: paper for paper in assistant.papers()}
    pairs = [json.loads(line) for line in lines]
    claims = [Claim(p["statement"], (papers[clean_markup(p["title"])],)) for p in pairs]
    verifier = OfflineVerifier(load_minilm)
    verifier.check(claims[:1])
    started = time.perf_counter()
    found = verifier.check(claims)
    took = (time.perf_counter() - started) / len(claims)
    rows: dict[tuple[bool, str], Counter[str]] = defaultdict(Counter)
    for pair, verification in zip(pairs, found, strict=True):
        rows[not pair["supported"], pair["kind"]][str(verification.verdict)] += 1
    print(f"{'':28}{'n':>4}{'supported':>11}{'partly':>8}{'unsupported':>13}")
    for (false, kind), counts in sorted(rows.items()):
        shares = [counts[v] / counts.total() for v in ("supported", "partly", "unsupported")]
        label = f"{'false' if false else 'true'}: {kind}"
        print(f"{label:28}{counts.total():4}{shares[0]:11.2f}{shares[1]:8.2f}{shares[2]:13.2f}")
    print(f"{took * 1000:.0f} ms a statement")


if __name__ == "__main__":
    main()
