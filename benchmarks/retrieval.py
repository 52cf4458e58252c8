"""How often the right paper is found: the product beside its own single stages.

    python benchmarks/retrieval.py [--split dev|test]

One table a kind of question, on the bundled library; `rag eval retrieval --beir DIR` prints the
same for public datasets. All systems see the same embedder, candidates and questions.
"""

from __future__ import annotations

import argparse

from eval.beir import compare_systems
from eval.questions import Question, read_questions
from eval.tables import retrieval_table
from rag import Assistant

PLAIN = "d5"  # ids of the development questions in the field's own words begin so


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    questions = read_questions(split=parser.parse_args().split)
    groups = {
        kind: [q for q in questions if q.kind == kind] for kind in ("single", "named", "multi")
    }
    groups["single, in the field's own words"] = [
        q for q in groups["single"] if q.id.startswith(PLAIN)
    ]
    with Assistant.open() as assistant:
        for title, group in groups.items():
            if group:
                print(title)
                retrieval_table(compare_systems(assistant, dict(map(graded, group))), len(group))


def graded(question: Question) -> tuple[str, tuple[str, dict[str, int]]]:
    """A question in the form of a BEIR dataset."""
    return question.id, (question.question, dict.fromkeys(question.papers, 1))


if __name__ == "__main__":
    main()
