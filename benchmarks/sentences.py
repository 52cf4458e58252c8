"""How often an extractive answer shows a sentence with the evidence, on the development questions.

python benchmarks/sentences.py
"""

from __future__ import annotations

import json
from pathlib import Path

from rag import Assistant
from rag.generation.quotes import choose_sentences

QUESTIONS = Path(__file__).parents[1] / "eval" / "qa" / "dev.jsonl"
PLAIN = "d5"  # ids of the questions in the field's own words begin so


def main() -> None:
    """Prints one row a kind of question."""
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    shown: dict[str, list[tuple[bool, int]]] = {}
    with Assistant.open() as assistant:
        most = assistant.settings.sentences
        for question in questions:
            if not question["evidence"]:
                continue
            drafts = choose_sentences(assistant.retrieve(question["question"]), most)
            found = any(
                draft.papers[0].id == evidence["paper"]
                and (evidence["quote"] in draft.text or draft.text in evidence["quote"])
                for draft in drafts
                for evidence in question["evidence"]
            )
            kind = question["kind"]
            if kind == "single":
                kind = (
                    "single, plain words"
                    if question["id"].startswith(PLAIN)
                    else "single, paraphrased"
                )
            shown.setdefault(kind, []).append((found, len(drafts)))
    print(f"{'':24}{'n':>5}{'evidence shown':>16}{'sentences':>11}")
    for kind, rows in shown.items():
        hits, counts = zip(*rows, strict=True)
        rate, mean = sum(hits) / len(hits), sum(counts) / len(counts)
        print(f"{kind:24}{len(rows):5}{rate:16.3f}{mean:11.2f}")


if __name__ == "__main__":
    main()
