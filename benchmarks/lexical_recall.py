"""Measure how well lexical recall separates supported claims from the others.

    python benchmarks/lexical_recall.py EVIDENCE.jsonl

Each line holds a claim, the sentences of an abstract and a label (SUPPORT, CONTRADICT or NONE), as
SciFact's rationale labels do. Lexical recall is the share of the claim's stemmed terms that the
sentences have, as in the measure `lexical_recall` of `rag eval`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sklearn.metrics import roc_auc_score

from rag.text.terms import lexical_terms


def main() -> None:
    """Print the AUC against all other claims, and against each other label."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("evidence", type=Path)
    rows = [
        json.loads(line)
        for line in parser.parse_args().evidence.read_text(encoding="utf-8").splitlines()
    ]
    scores = [measure_recall(row["claim"], " ".join(row["sentences"])) for row in rows]
    labels = [row["label"] for row in rows]
    for other in ("CONTRADICT", "NONE", None):
        kept = [n for n, label in enumerate(labels) if other is None or label in ("SUPPORT", other)]
        truth = [labels[n] == "SUPPORT" for n in kept]
        auc = roc_auc_score(truth, [scores[n] for n in kept])
        print(f"SUPPORT against {other or 'all others':<12} n = {len(kept):4}  AUC {auc:.3f}")


def measure_recall(claim: str, text: str) -> float:
    """Return the share of the claim's terms that the text has, in [0, 1]."""
    terms = set(lexical_terms(claim))
    return len(terms & set(lexical_terms(text))) / max(1, len(terms))


if __name__ == "__main__":
    main()
