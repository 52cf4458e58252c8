"""The evaluation, end to end: real index, real questions, a real server for the models."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_server import ModelServer, Step
from typer.testing import CliRunner

from eval import evaluate
from eval.abstention import abstention_f1, risk_coverage_area
from eval.compare import compare, gate
from eval.html import write_report
from eval.judges import ModelJudge, OfflineJudge
from eval.questions import Question, problems, read_questions
from eval.report import report_of
from eval.run import read_run, run
from rag import Assistant, Paper, load_settings
from rag.cli import app
from rag.errors import JudgeFailed, ModelRejected, QuestionError, RunMismatch, SettingsError
from rag.minilm import load_minilm
from rag.models import make_chat_model
from rag.prompts import load_prompt
from rag.verification import Claim

ROOT = Path(__file__).parents[1]
KINDS = {"single": 6, "named": 2, "multi": 2, "follow-up": 2, "listing": 1, "unanswerable": 6}


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    papers = library()
    wanted = {p for q in QUESTIONS for p in (*q.papers, q.near_miss_of) if p}
    wanted |= set(list(papers)[:25])
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build([papers[p] for p in sorted(wanted)], path).close()
    return path


@pytest.fixture(scope="module")
def offline():
    return OfflineJudge(load_minilm)


@pytest.fixture(scope="module")
def finished(folder, offline, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "a"
    with Assistant.open(folder) as assistant:
        return run(assistant, QUESTIONS, out, judge=offline)


def command(*words, status=0):
    result = CliRunner().invoke(app, ["eval", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout + result.stderr


# --- questions


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


GOOD = {
    "id": "a", "kind": "single", "question": "what sleeps long?", "papers": ["cats"],
    "facts": [{"text": "Cats sleep long"}], "evidence": [{"paper": "cats", "quote": "Cats sleep"}],
}  # fmt: skip
CATS = {
    "cats": Paper("cats", "Cats and Long Sleep Times", "Cats sleep long."),
    "dogs": Paper("dogs", "Dogs", "Dogs bark."),
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"papers": ["cow"]}, "no paper cow"),
        ({"papers": []}, "no gold paper"),
        ({"evidence": [{"paper": "cats", "quote": "Cats purr"}]}, "does not say"),
        ({"evidence": []}, "quotes nothing of its gold paper cats"),
        ({"facts": [{"text": "x", "vital": False}]}, "no vital fact"),
        ({"borderline": ["cats"]}, "both gold and borderline"),
        ({"kind": "follow-up"}, "has a history"),
        ({"kind": "unanswerable"}, "has no papers"),
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


# --- runs


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


def test_a_run_is_taken_up_where_it_was_torn(folder, offline, finished, tmp_path):
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "run.json").write_bytes((finished.folder / "run.json").read_bytes())
    lines = (finished.folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    (torn / "records.jsonl").write_text("\n".join([*lines[:5], lines[5][:80]]), encoding="utf-8")
    seen = []
    with Assistant.open(folder) as assistant:
        again = run(
            assistant, QUESTIONS, torn, judge=offline, on_progress=lambda d, n: seen.append(d)
        )
    assert seen[0] == 5
    assert seen[-1] == len(lines)
    assert [(r.id, r.variant, r.ranked, r.facts) for r in again.records] == [
        (r.id, r.variant, r.ranked, r.facts) for r in finished.records
    ]


def test_a_killed_run_loses_nothing_that_was_written(folder, tmp_path):
    out = tmp_path / "killed"
    file = tmp_path / "q.jsonl"
    rows = [json.loads(q.model_dump_json(exclude={"split"})) for q in QUESTIONS]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["run", "--questions", str(file), "--index", str(folder), "--out", str(out)]
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


def test_another_run_in_the_folder_is_refused_and_kept(folder, offline, finished):
    content = (finished.folder / "records.jsonl").read_bytes()
    with Assistant.open(folder) as assistant, pytest.raises(RunMismatch, match="other questions"):
        run(assistant, QUESTIONS[:3], finished.folder, judge=offline)
    settings = load_settings(k=3)
    with (
        Assistant.open(folder, settings=settings) as assistant,
        pytest.raises(RunMismatch, match="other settings"),
    ):
        run(assistant, QUESTIONS, finished.folder, judge=offline)
    assert (finished.folder / "records.jsonl").read_bytes() == content


def test_folders_that_hold_something_else_are_refused(folder, offline, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with Assistant.open(folder) as assistant:
        with pytest.raises(RunMismatch, match="not empty"):
            run(assistant, QUESTIONS, tmp_path, judge=offline)
        with pytest.raises(RunMismatch, match="is a file"):
            run(assistant, QUESTIONS, tmp_path / "notes.txt", judge=offline)
    assert "no evaluation run" in command("report", tmp_path, status=2)


def test_a_limited_run_is_reported_and_never_gated(folder, offline, tmp_path):
    with Assistant.open(folder) as assistant:
        part = run(assistant, QUESTIONS, tmp_path / "part", judge=offline, limit=3, seed=1)
        other = run(assistant, QUESTIONS, tmp_path / "other", judge=offline, limit=3, seed=2)
    assert part.state == "partial"
    assert {r.id for r in part.records} != {r.id for r in other.records}
    assert report_of(part).scores
    with pytest.raises(RunMismatch, match="partial"):
        gate(part, at_least={}, at_most={})


def test_a_library_that_changed_under_a_run_is_told(folder, offline, tmp_path):
    path = tmp_path / "lib"
    papers = list(library().values())
    absent = [Question(id=n, kind="unanswerable", question="why do cats purr?") for n in "ab"]
    with Assistant.build(papers[:5], path) as assistant:

        def add(done, _planned):
            if done == 1:
                Assistant.build(papers[5:6], path).close()

        with pytest.raises(RunMismatch, match="changed while the run"):
            run(assistant, absent, tmp_path / "r", judge=offline, on_progress=add)


def test_workers_give_the_same_answers(folder, offline, finished, tmp_path):
    with Assistant.open(folder) as assistant:
        found = evaluate(assistant, QUESTIONS, out=tmp_path / "w", judge=offline, workers=4)
    assert [(r.id, r.variant, r.ranked) for r in found.run.records] == [
        (r.id, r.variant, r.ranked) for r in finished.records
    ]


# --- a model writes, a model judges


def judging(body):
    """A judge that calls everything supported by the first sentence it may name."""
    text = body["messages"][-1]["content"]
    lines = re.findall(r"^(\d+) \(to be judged by the sentences (\d+)", text, re.MULTILINE)
    return json.dumps(
        [
            {"statement": int(n), "evidence": [int(s)], "reason": "said", "verdict": "supported"}
            for n, s in lines
        ]
    )


def writing(body):
    prompt = body["messages"][-1]["content"]
    if "<statements>" in prompt:
        return "nothing of use"
    return "It is so [1]. It is also so [2]. Nobody says why. Bogus [77]."


def test_a_model_writes_and_another_judges(folder, tmp_path):
    questions = [q for q in QUESTIONS if q.kind == "single"][:2]
    with ModelServer(Step(reply=writing)) as writer, ModelServer(Step(reply=judging)) as second:
        settings = load_settings(chat_model="writer", chat_url=writer.url)
        model = make_chat_model(load_settings(chat_model="judge", chat_url=second.url))
        judge = ModelJudge(model, load_prompt("judge"))
        with Assistant.open(folder, settings=settings) as assistant:
            found = evaluate(assistant, questions, out=tmp_path / "m", judge=judge)
    assert found.unscored == 0
    assert found.score("supported").mean == 1.0
    assert found.score("uncited").mean == 0.5
    assert found.score("citation_recall").mean == 0.5
    assert found.score("invalid_marker").mean == 0.0
    assert found.score("judge_tokens").mean > 0
    assert found.run.info.identity["judge"] == "model judge"


@pytest.mark.parametrize(
    "reply",
    [
        "yes", "[]", "[{}]", '[{"statement": 1, "verdict": "supported"}]',
        '[{"statement": 1, "evidence": [99], "reason": "x", "verdict": "supported"}]',
        '[{"statement": 1, "evidence": [], "reason": "x", "verdict": "supported"}]',
        '[{"statement": 1, "evidence": [1], "reason": "x", "verdict": "supported!"}]',
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
)  # fmt: skip
def test_rubbish_from_a_judge_is_unscored(reply):
    with ModelServer(Step(reply)) as server:
        model = make_chat_model(load_settings(chat_model="judge", chat_url=server.url))
        claim = Claim("Cats are liked.", (CATS["cats"],))
        (found,) = ModelJudge(model, load_prompt("judge")).verify([claim])
    assert found.verdict is None
    assert "judge" in found.reason


def test_a_judge_tells_contradictions_apart():
    said = '[{"statement": 1, "evidence": [1], "reason": "no", "verdict": "contradicted"}]'
    with ModelServer(Step(f"```json\n{said}\n```")) as server:
        model = make_chat_model(load_settings(chat_model="judge", chat_url=server.url))
        claim = Claim("Cats never sleep.", (CATS["cats"],))
        (found,) = ModelJudge(model, load_prompt("judge")).verify([claim])
    assert (found.verdict, found.contradicted) == ("unsupported", True)


def test_a_judge_that_fails_breaks_the_gate(folder, tmp_path):
    with ModelServer(Step("no json")) as server:
        model = make_chat_model(load_settings(chat_model="judge", chat_url=server.url))
        with Assistant.open(folder) as assistant:
            found = run(
                assistant,
                QUESTIONS[:3],
                tmp_path / "j",
                judge=ModelJudge(model, load_prompt("judge")),
            )
    assert report_of(found).unscored > 0.5
    with pytest.raises(JudgeFailed, match="left"):
        gate(found, at_least={}, at_most={})


def test_a_writer_that_fails_half_way_leaves_a_run_that_goes_on(folder, offline, tmp_path):
    out = tmp_path / "half"
    question = [q for q in QUESTIONS if q.kind == "single"][:3]
    with ModelServer(Step("It is so [1]."), Step("bad key", status=401)) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url, check_with_model=False)
        with (
            Assistant.open(folder, settings=settings) as assistant,
            pytest.raises(ModelRejected, match="refused"),
        ):
            run(assistant, question, out, judge=offline)
        assert len(read_run(out).records) == 1
        server.steps = [Step("It is so [1].")]
        with Assistant.open(folder, settings=settings) as assistant:
            assert run(assistant, question, out, judge=offline).state == "complete"


def test_a_budget_stops_cleanly(folder, offline, tmp_path):
    with ModelServer(Step("It is so [1].")) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url, check_with_model=False)
        with Assistant.open(folder, settings=settings) as assistant:
            found = run(assistant, QUESTIONS, tmp_path / "b", judge=offline, budget=1)
    assert len(found.records) == 1
    assert found.state == "partial"


# --- reports, comparison, gate


def test_the_report_is_written_in_three_forms(finished):
    text = command("report", finished.folder)
    assert "recall@5" in text
    assert "judged by offline: fitted on one half of SciFact" in text
    values = json.loads((finished.folder / "report.json").read_text(encoding="utf-8"))
    scores = {(s["name"], s["kind"]): s for s in values["scores"]}
    assert values["state"] == "complete"
    assert scores["recall@5", "all"]["n"] == sum(
        q.answerable and q.kind != "listing" for q in QUESTIONS
    )
    assert 0 <= scores["vital_facts", "all"]["low"] <= scores["vital_facts", "all"]["high"] <= 1
    assert ("supported", "all") not in scores
    assert "key" not in " ".join(values["identity"]["settings"])
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert page.count("<details") == len(finished.records)
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="https?:', own)


def test_text_from_questions_and_papers_is_escaped(offline, tmp_path):
    hostile = "<script>alert(1)</script>"
    paper = Paper("x", f"Zorp {hostile}", f"Zorp runs {hostile} fast on cats and dogs.")
    question = Question(
        id="<b>", kind="named", question=f"what does Zorp {hostile} run on?", papers=("x",),
        facts=({"text": hostile},), evidence=({"paper": "x", "quote": hostile},), answer=hostile,
    )  # fmt: skip
    with Assistant.build([paper], tmp_path / "l") as assistant:
        found = evaluate(assistant, [question], out=tmp_path / "r", judge=offline)
    write_report(found, tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    body = page.split("<h2>Questions</h2>")[1]
    assert "&lt;script&gt;alert(1)" in body
    assert hostile not in page


def test_a_run_compared_with_itself_shows_no_difference(finished):
    found = compare(finished, finished)
    assert found.flips == ()
    assert all(d.before == d.after and d.p == 1.0 and not d.worse for d in found.differences)
    assert "recall@5" in command("compare", finished.folder, finished.folder)


def test_a_worse_run_is_seen_and_fails_the_baseline(finished, tmp_path):
    worse = tmp_path / "worse"
    worse.mkdir()
    (worse / "run.json").write_bytes((finished.folder / "run.json").read_bytes())
    rows = [json.loads(r.model_dump_json()) for r in finished.records]
    for row in rows:
        row["ranked"] = row["ranked"][6:]
    (worse / "records.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    found = {d.name: d for d in compare(finished, read_run(worse)).differences}
    assert found["recall@5"].worse
    assert found["recall@5"].p < 0.05
    text = command("gate", worse, "--min", "recall@5=0", "--baseline", finished.folder, status=1)
    assert "recall@5 went from" in text
    assert "hit@1 1 -> 0" in command("compare", finished.folder, worse)


def test_the_gate_holds_floors_ceilings_and_what_is_never_allowed(finished, tmp_path):
    assert "passed" in command("gate", finished.folder, "--min", "recall@5=.1")
    text = command("gate", finished.folder, "--min", "recall@5=1.01", status=1)
    assert "recall@5 is" in text
    assert "over its ceiling" in command("gate", finished.folder, "--max", "hit@1=0", status=1)
    assert "no figure nosuch" in command("gate", finished.folder, "--min", "nosuch=1", status=2)
    assert "is no bound" in command("gate", finished.folder, "--min", "recall@5", status=2)
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "run.json").write_bytes((finished.folder / "run.json").read_bytes())
    text = (finished.folder / "records.jsonl").read_text(encoding="utf-8")
    changed = text.replace('"verbatim":true', '"verbatim":false', 1)
    assert changed != text
    (forged / "records.jsonl").write_text(changed, encoding="utf-8")
    assert "verbatim_quote is" in command("gate", forged, status=1)


def test_runs_of_other_questions_are_not_compared(folder, offline, finished, tmp_path):
    with Assistant.open(folder) as assistant:
        other = run(assistant, QUESTIONS[:2], tmp_path / "o", judge=offline)
    with pytest.raises(RunMismatch, match="different questions"):
        compare(finished, other)


def test_a_corrected_score_needs_a_hundred_labels(folder, finished, tmp_path):
    labels = tmp_path / "labels.jsonl"
    rows = [
        {"id": r.id, "statement": s.text, "supported": True}
        for r in finished.records
        for s in r.statements
    ]
    labels.write_text("\n".join(map(json.dumps, rows[:20])), encoding="utf-8")
    assert "needs 100" in command("report", finished.folder, "--labels", labels, status=2)
    labels.write_text('{"id": "a"}', encoding="utf-8")
    assert "line 1" in command("report", finished.folder, "--labels", labels, status=2)


# --- judges and retrieval


def test_judges_are_measured_on_labelled_pairs(folder, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"statement": "Cats sleep for long.", "text": "Cats sleep long.", "supported": True},
        {"statement": "Cats sleep long.", "text": "Cats sleep long.", "supported": True},
        {
            "claim": "Quantum money is expensive.",
            "sentences": ["Cats sleep long."],
            "label": "NONE",
        },
        {"claim": "Trains are late.", "sentences": ["Dogs bark at night."], "label": "NONE"},
    ]
    pairs.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = command("judges", "--pairs", pairs, "--index", folder)
    assert re.search(r"balanced accuracy\s+4\s+1\.000", text)
    assert re.search(r"AUC\s+4\s+1\.000", text)
    assert re.search(r"false: none, right\s+2\s+1\.000", text)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "no statement"),
        ({"statement": "x", "text": "y"}, "no label"),
        ({"statement": "x", "supported": True}, "no text"),
        ({"statement": "x", "paper": "none", "supported": True}, "no paper none"),
        ([], "no JSON object"),
    ],
)
def test_bad_pairs_are_one_sentence(row, said, folder, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps(row), encoding="utf-8")
    assert said in command("judges", "--pairs", pairs, "--index", folder, status=2)


def test_retrieval_is_measured_on_a_dataset_in_beir_form(tmp_path):
    papers = list(library().values())[:30]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": p.id, "title": p.title, "text": p.abstract}) for p in papers),
        encoding="utf-8",
    )
    (tmp_path / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{n}", "text": p.title}) for n, p in enumerate(papers[:5])),
        encoding="utf-8",
    )
    grades = "query-id\tcorpus-id\tscore\n" + "".join(
        f"q{n}\t{p.id}\t1\n" for n, p in enumerate(papers[:5])
    )
    (tmp_path / "qrels" / "test.tsv").write_text(grades, encoding="utf-8")
    text = command("retrieval", "--beir", tmp_path)
    assert re.search(r"the product\s+1\.000", text)
    assert re.search(r"lexical \(BM25\)\s+1\.000", text)
    (tmp_path / "qrels" / "train.tsv").write_text(grades, encoding="utf-8")
    assert "name one with --split" in command("retrieval", "--beir", tmp_path, status=2)
    (tmp_path / "qrels" / "test.tsv").write_text("q\nq0\tp\tmuch", encoding="utf-8")
    assert "line 2" in command("retrieval", "--beir", tmp_path, "--split", "test", status=2)


def test_choices_that_do_not_exist_are_one_sentence(folder, tmp_path):
    out = ("--out", tmp_path / "x", "--index", folder)
    assert "extractive and model" in command("run", *out, "--writer", "poet", status=2)
    assert "needs a model" in command("run", *out, "--writer", "model", status=2)
    assert "offline and model" in command("run", *out, "--judge", "me", status=2)
    assert "needs a model" in command("run", *out, "--judge", "model", status=2)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"papers": ["nosuch"]}, "no paper nosuch"),
        ({"papers": []}, "do not fit its kind"),
        ({"kind": "unanswerable"}, "do not fit its kind"),
        ({"papers": ["cats", "cats"]}, "names a paper twice"),
    ],
)
def test_a_run_refuses_questions_that_would_make_figures_wrong(change, said, offline, tmp_path):
    question = Question(**{**GOOD, **change})
    with (
        Assistant.build(CATS.values(), tmp_path / "l") as assistant,
        pytest.raises(QuestionError, match=said),
    ):
        run(assistant, [question], tmp_path / "r", judge=offline)


@pytest.mark.parametrize("options", [{"limit": 0}, {"workers": 0}, {"budget": -1}])
def test_arguments_below_one_are_refused(options, folder, offline, tmp_path):
    with Assistant.open(folder) as assistant, pytest.raises(SettingsError, match="at least 1"):
        run(assistant, QUESTIONS, tmp_path / "r", judge=offline, **options)


def test_a_writer_that_never_answers_makes_no_complete_run(folder, tmp_path):
    file = tmp_path / "q.jsonl"
    rows = [json.loads(q.model_dump_json(exclude={"split"})) for q in QUESTIONS[:2]]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with ModelServer(Step("down", status=500)) as server:
        words = ("--questions", file, "--index", folder, "--out", tmp_path / "m", "--writer",
                 "model", "--model", "m", "--url", server.url)  # fmt: skip
        environment = pytest.MonkeyPatch()
        environment.setenv("PAPERTRAIL_CHAT_RETRIES", "0")
        with environment.context():
            text = command("run", *words, status=3)
        environment.undo()
    assert "questions have no answer of the model" in text
    assert "partial" in command("gate", tmp_path / "m", status=2)


def test_line_separators_within_texts_do_not_tear_records(offline, tmp_path):
    question = Question(**{**GOOD, "question": "what sleeps\u2028 long\x85 in a day?"})
    file = tmp_path / "q.jsonl"
    file.write_text(question.model_dump_json(exclude={"split"}), encoding="utf-8")
    assert read_questions(file)[0].question == question.question
    with Assistant.build(CATS.values(), tmp_path / "l") as assistant:
        found = run(assistant, read_questions(file), tmp_path / "r", judge=offline)
        assert found.records[0].question == question.question
    assert read_run(tmp_path / "r") == found


def test_one_run_is_written_by_one_process(folder, offline, tmp_path):
    out = tmp_path / "r"

    def second(done, _planned):
        if done == 1:
            with Assistant.open(folder) as other, pytest.raises(RunMismatch, match="another"):
                run(other, QUESTIONS[:2], out, judge=offline)

    with Assistant.open(folder) as assistant:
        found = run(assistant, QUESTIONS[:2], out, judge=offline, on_progress=second)
    assert found.state == "complete"


def test_bounds_that_decide_nothing_are_refused(finished):
    folder = finished.folder
    assert "no bound" in command("gate", folder, "--min", "recall@5=nan", status=2)
    twice = ("--max", "hit@1=1", "--max", "hit@1=2")
    assert "bounded twice" in command("gate", folder, *twice, status=2)
    words = ("--max", "abstention_f1=.9", "--baseline", folder)
    assert "cannot be paired" in command("gate", folder, *words, status=2)


def test_what_is_always_gated_cannot_be_switched_off(finished, tmp_path):
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "run.json").write_bytes((finished.folder / "run.json").read_bytes())
    text = (finished.folder / "records.jsonl").read_text(encoding="utf-8")
    (forged / "records.jsonl").write_text(
        text.replace('"verbatim":true', '"verbatim":false', 1), encoding="utf-8"
    )
    assert "verbatim_quote is" in command("gate", forged, "--min", "verbatim_quote=0", status=1)


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


def test_a_whole_run_is_not_cut_down_by_a_limit(folder, offline, finished):
    with Assistant.open(folder) as assistant, pytest.raises(RunMismatch, match="--limit"):
        run(assistant, QUESTIONS, finished.folder, judge=offline, limit=1)


def test_an_index_of_other_papers_is_not_measured(folder, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "title": "Dogs", "text": "Dogs bark."}')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "dogs"}')
    (tmp_path / "qrels" / "test.tsv").write_text("q\tc\ts\nq\td\t1\n")
    text = command("retrieval", "--beir", tmp_path, "--index", folder, status=2)
    assert "other papers" in text
    (tmp_path / "qrels" / "test.tsv").write_text("q\tc\ts\nz\td\t1\n")
    assert "grades no query" in command("retrieval", "--beir", tmp_path, status=2)
    (tmp_path / "qrels" / "test.tsv").unlink()
    assert "no qrels" in command("retrieval", "--beir", tmp_path, status=2)


def test_figures_over_all_say_what_they_rest_on(finished):
    found = report_of(finished)
    asked = [r for r in finished.records if r.variant == "asked"]
    assert found.score("seconds_p50").n == len(asked)
    answered = [r for r in asked if r.answered and r.kind != "listing"]
    assert found.score("selective_accuracy").n == len(answered)
    assert found.score("contradicted") is None


def test_refusing_nothing_scores_nothing(finished):
    answered = [r for r in finished.records if r.answered or r.answerable]
    unanswerable = [r for r in finished.records if not r.answerable and r.variant == "asked"]
    forced = [
        r.model_copy(update={"answer": {**r.answer, "status": "answered"}})
        for r in [*answered, *unanswerable]
    ]
    assert abstention_f1(forced) == (0.0, sum(r.variant == "asked" for r in forced))


def test_the_order_of_equally_sure_questions_changes_nothing(finished):
    records = [
        r.model_copy(update={"answer": {**r.answer, "confidence": 0.5}}) for r in finished.records
    ]
    assert risk_coverage_area(records) == risk_coverage_area(records[::-1])
