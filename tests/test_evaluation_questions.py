"""The questions of the evaluation: the bundled ones, a person's own, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
from evaluation import CATS, GOOD, command, library

from eval.questions import Question, problems, read_questions
from eval.run import run
from rag import Assistant
from rag.errors import QuestionError


def test_the_bundled_questions_are_in_order_and_enough():
    questions = read_questions()
    assert problems(questions, library()) == []
    test = [q for q in questions if q.split == "test"]
    assert sum(q.kind == "unanswerable" for q in test) * 5 > len(test)
    singles = [q.papers for q in test if q.kind == "single"]
    assert len(singles) == len(set(singles)) >= 120
    assert sum(bool(q.paraphrase) for q in test) >= 40
    near = sum(q.near_miss_of is not None for q in questions)
    assert near * 2 >= sum(q.kind == "unanswerable" for q in questions)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"papers": ["cow"]}, "no paper cow"),
        ({"papers": []}, "no gold paper"),
        ({"evidence": [{"paper": "cats", "quote": "Cats purr"}]}, "does not say"),
        ({"opposing": [{"paper": "cats", "quote": "Cats sleep long"}]}, None),
        ({"opposing": [{"paper": "cats", "quote": "Cats never sleep"}]}, "does not say"),
        ({"opposing": [{"paper": "cow", "quote": "Cows sleep"}]}, "no paper cow"),
        ({"evidence": []}, "quotes nothing of its gold paper cats"),
        ({"facts": [{"text": "x", "vital": False}]}, "no vital fact"),
        ({"borderline": ["cats"]}, "both gold and borderline"),
        ({"kind": "follow-up"}, "has a history"),
        ({"kind": "unanswerable"}, "has no papers"),
        ({"kind": "listing", "facts": [], "evidence": []}, None),
        ({"kind": "listing", "papers": []}, "no gold paper"),
        ({"kind": "unanswerable", "note": "near miss"}, "write “near miss of ” and the id"),
        ({"kind": "unanswerable", "note": "Near miss of cats"}, "write “near miss of ” and the id"),
        ({"question": "cats long sleep, why?"}, "repeats “cats long sleep”"),
    ],
)
def test_every_fault_of_a_question_is_told(change, said):
    found = problems([Question(**{**GOOD, **change})], CATS)
    assert (found == []) if said is None else any(said in sentence for sentence in found)


def test_a_paper_in_two_splits_is_told():
    first = Question(**GOOD, split="dev")
    near = Question(
        id="b", kind="unanswerable", question="?", note="near miss of cats", split="test"
    )
    assert "dev and test" in problems([first, near], CATS)[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no question"),
        ("# only a comment\n", "holds no question"),
        ("{", "line 1"),
        ('{"id": "a"}', "line 1: kind"),
        (json.dumps({**GOOD, "kindd": 1}), "kindd"),
        (json.dumps(GOOD) + "\n" + json.dumps(GOOD), "the id a more than once"),
    ],
)
def test_bad_question_files_are_one_sentence(content, said, tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(QuestionError, match=re.escape(said)):
        read_questions(file)
    with pytest.raises(QuestionError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(QuestionError, match="no split train"):
        read_questions(split="train")


def test_the_example_that_new_writes_is_in_order(tmp_path):
    file = tmp_path / "mine.jsonl"
    assert "Wrote" in command("new", file)
    assert problems(read_questions(file), library()) == []
    assert "is there already" in command("new", file, status=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"papers": ["nosuch"]}, "no paper nosuch"),
        ({"papers": []}, "do not fit its kind"),
        ({"kind": "unanswerable"}, "do not fit its kind"),
        ({"papers": ["cats", "cats"]}, "names a paper twice"),
    ],
)
def test_a_run_refuses_questions_that_would_make_figures_wrong(change, said, no_judge, tmp_path):
    question = Question(**{**GOOD, **change})
    with (
        Assistant.build(CATS.values(), tmp_path / "l") as assistant,
        pytest.raises(QuestionError, match=said),
    ):
        run(assistant, [question], tmp_path / "r", judge=no_judge)
