"""Runs of the evaluation: one record a question, torn and taken up, refused and never mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from evaluation import CATS, GOOD, QUESTIONS, ROOT, command, library

from eval import evaluate
from eval.compare import gate
from eval.questions import Question, read_questions
from eval.report import make_report
from eval.run import read_run, run
from rag import Assistant, load_settings
from rag.errors import RunMismatch, SettingsError


def test_a_run_has_a_record_for_every_question_and_variant(finished):
    variants = {(r.id, r.variant) for r in finished.records}
    paraphrased = [q.id for q in QUESTIONS if q.paraphrase]
    assert paraphrased
    assert variants == {(q.id, "asked") for q in QUESTIONS} | {
        (q, variant) for q in paraphrased for variant in ("paraphrase", "without gold")
    }
    assert finished.state == "complete"
    assert read_run(finished.folder) == finished
    for record in finished.records:
        assert len(record.ranked) == 20
        if record.variant == "without gold":
            gold = next(q.papers for q in QUESTIONS if q.id == record.id)
            assert not set(gold) & set(record.ranked)


def test_a_run_is_taken_up_where_it_was_torn(asked_library, no_judge, finished, tmp_path):
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "run.json").write_bytes((finished.folder / "run.json").read_bytes())
    lines = (finished.folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    (torn / "records.jsonl").write_text("\n".join([*lines[:5], lines[5][:80]]), encoding="utf-8")
    seen = []
    with Assistant.open(asked_library) as assistant:
        again = run(
            assistant, QUESTIONS, torn, judge=no_judge, on_progress=lambda d, n: seen.append(d)
        )
    assert seen[0] == 5
    assert seen[-1] == len(lines)
    assert [(r.id, r.variant, r.ranked, r.facts) for r in again.records] == [
        (r.id, r.variant, r.ranked, r.facts) for r in finished.records
    ]


@pytest.mark.slow
def test_a_killed_run_loses_nothing_that_was_written(asked_library, tmp_path):
    out = tmp_path / "killed"
    file = tmp_path / "q.jsonl"
    rows = [json.loads(q.model_dump_json(exclude={"split"})) for q in QUESTIONS]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["run", "--questions", str(file), "--index", str(asked_library), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "eval", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PAPERTRAIL_DATA_DIR": str(tmp_path)},
    ) as process:  # fmt: skip
        records = out / "records.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (records.exists() and records.stat().st_size):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    before = read_run(out).records
    assert 0 < len(before) < len(QUESTIONS)
    text = command(*words)
    assert "complete run" in text
    after = read_run(out)
    assert after.state == "complete"
    assert [r.model_dump() for r in after.records[: len(before)]] == [
        r.model_dump() for r in before
    ]


def test_another_run_in_the_folder_is_refused_and_kept(asked_library, no_judge, finished):
    content = (finished.folder / "records.jsonl").read_bytes()
    with (
        Assistant.open(asked_library) as assistant,
        pytest.raises(RunMismatch, match="other questions"),
    ):
        run(assistant, QUESTIONS[:3], finished.folder, judge=no_judge)
    settings = load_settings(k=3)
    with (
        Assistant.open(asked_library, settings=settings) as assistant,
        pytest.raises(RunMismatch, match="other settings"),
    ):
        run(assistant, QUESTIONS, finished.folder, judge=no_judge)
    assert (finished.folder / "records.jsonl").read_bytes() == content


def test_folders_that_hold_something_else_are_refused(asked_library, no_judge, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with Assistant.open(asked_library) as assistant:
        with pytest.raises(RunMismatch, match="not empty"):
            run(assistant, QUESTIONS, tmp_path, judge=no_judge)
        with pytest.raises(RunMismatch, match="is a file"):
            run(assistant, QUESTIONS, tmp_path / "notes.txt", judge=no_judge)
    assert "no evaluation run" in command("report", tmp_path, status=2)


def test_a_limited_run_is_reported_and_never_gated(asked_library, no_judge, tmp_path):
    with Assistant.open(asked_library) as assistant:
        part = run(assistant, QUESTIONS, tmp_path / "part", judge=no_judge, limit=3, seed=1)
        other = run(assistant, QUESTIONS, tmp_path / "other", judge=no_judge, limit=3, seed=2)
    assert part.state == "partial"
    assert {r.id for r in part.records} != {r.id for r in other.records}
    assert make_report(part).scores
    with pytest.raises(RunMismatch, match="partial"):
        gate(part, at_least={}, at_most={})


def test_a_library_that_changed_under_a_run_is_told(asked_library, no_judge, tmp_path):
    path = tmp_path / "lib"
    papers = list(library().values())
    absent = [Question(id=n, kind="unanswerable", question="why do cats purr?") for n in "ab"]
    with Assistant.build(papers[:5], path) as assistant:

        def add(done, _planned):
            if done == 1:
                Assistant.build(papers[5:6], path).close()

        with pytest.raises(RunMismatch, match="changed while the run"):
            run(assistant, absent, tmp_path / "r", judge=no_judge, on_progress=add)


def test_workers_give_the_same_answers(asked_library, no_judge, finished, tmp_path):
    with Assistant.open(asked_library) as assistant:
        found = evaluate(assistant, QUESTIONS, out=tmp_path / "w", judge=no_judge, workers=4)
    assert [(r.id, r.variant, r.ranked) for r in found.run.records] == [
        (r.id, r.variant, r.ranked) for r in finished.records
    ]


def test_choices_that_do_not_exist_are_one_sentence(asked_library, tmp_path):
    out = ("--out", tmp_path / "x", "--index", asked_library)
    assert "quotes and model" in command("run", *out, "--writer", "poet", status=2)
    assert "needs a model" in command("run", *out, "--writer", "model", status=2)
    assert "none and model" in command("run", *out, "--judge", "me", status=2)
    assert "needs a model" in command("run", *out, "--judge", "model", status=2)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("options", [{"limit": 0}, {"workers": 0}, {"budget": -1}])
def test_arguments_below_one_are_refused(options, asked_library, no_judge, tmp_path):
    with (
        Assistant.open(asked_library) as assistant,
        pytest.raises(SettingsError, match="at least 1"),
    ):
        run(assistant, QUESTIONS, tmp_path / "r", judge=no_judge, **options)


def test_line_separators_within_texts_do_not_tear_records(no_judge, tmp_path):
    question = Question(**{**GOOD, "question": "what sleeps\u2028 long\x85 in a day?"})
    file = tmp_path / "q.jsonl"
    file.write_text(question.model_dump_json(exclude={"split"}), encoding="utf-8")
    assert read_questions(file)[0].question == question.question
    with Assistant.build(CATS.values(), tmp_path / "l") as assistant:
        found = run(assistant, read_questions(file), tmp_path / "r", judge=no_judge)
        assert found.records[0].question == question.question
    assert read_run(tmp_path / "r") == found


def test_one_run_is_written_by_one_process(asked_library, no_judge, tmp_path):
    out = tmp_path / "r"

    def second(done, _planned):
        if done == 1:
            with (
                Assistant.open(asked_library) as other,
                pytest.raises(RunMismatch, match="another"),
            ):
                run(other, QUESTIONS[:2], out, judge=no_judge)

    with Assistant.open(asked_library) as assistant:
        found = run(assistant, QUESTIONS[:2], out, judge=no_judge, on_progress=second)
    assert found.state == "complete"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("records.jsonl", '"status":"', '"status":"odd'),
        ("records.jsonl", '"id":"', '"id":"other'),
        ("records.jsonl", '"confidence":', '"confidence":"high","was":'),
        ("run.json", '"judge"', '"jury"'),
        ("run.json", '"plan"', '"plans"'),
    ],
)
def test_a_run_that_was_tampered_with_is_one_sentence(file, old, new, finished, tmp_path):
    forged = tmp_path / "forged"
    forged.mkdir()
    for name in ("run.json", "records.jsonl"):
        text = (finished.folder / name).read_text(encoding="utf-8")
        changed = text.replace(old, new) if name == file else text
        (forged / name).write_text(changed, encoding="utf-8")
    assert "make it again" in command("report", forged, status=2)


def test_a_whole_run_is_not_cut_down_by_a_limit(asked_library, no_judge, finished):
    with Assistant.open(asked_library) as assistant, pytest.raises(RunMismatch, match="--limit"):
        run(assistant, QUESTIONS, finished.folder, judge=no_judge, limit=1)
