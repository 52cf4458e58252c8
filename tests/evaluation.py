"""What the tests of the evaluation share: questions of every kind, their papers, the command."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from eval.questions import read_questions
from rag import Paper
from rag.cli import app

ROOT = Path(__file__).parents[1]
KINDS = {"single": 6, "named": 2, "multi": 2, "follow-up": 2, "listing": 1, "unanswerable": 6}
GOOD = {
    "id": "a", "kind": "single", "question": "what sleeps long?", "papers": ["cats"],
    "facts": [{"text": "Cats sleep long"}], "evidence": [{"paper": "cats", "quote": "Cats sleep"}],
}  # fmt: skip
CATS = {
    "cats": Paper("cats", "Cats and Long Sleep Times", "Cats sleep long."),
    "dogs": Paper("dogs", "Dogs", "Dogs bark."),
}


def library():
    lines = (ROOT / "rag" / "data" / "library.jsonl").read_text(encoding="utf-8").splitlines()
    return {r["id"]: Paper(r["id"], r["title"], r["abstract"]) for r in map(json.loads, lines)}


def some_questions():
    """A few test questions of every kind, paraphrased ones first."""
    chosen = []
    for kind, count in KINDS.items():
        own = [q for q in read_questions(split="test") if q.kind == kind]
        own.sort(key=lambda q: (not q.paraphrase, len(q.papers), q.id))
        chosen += own[:count]
    return chosen


QUESTIONS = some_questions()


def command(*words, status=0):
    result = CliRunner().invoke(app, ["eval", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout + result.stderr
