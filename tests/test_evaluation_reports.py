"""What is made of a run: reports, comparisons, gates and figures over all questions."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from evaluation import QUESTIONS, ROOT, command

from eval import evaluate
from eval.abstention import abstention_f1, risk_coverage_area
from eval.compare import compare
from eval.cost import Spent
from eval.html import write_report
from eval.questions import Question, read_questions
from eval.records import Judged, JudgedStatement, Record
from eval.report import make_report
from eval.run import read_run, run
from rag import Assistant, Paper
from rag.errors import RunMismatch
from rag.llm.reply import NO_USAGE, Usage


def written(folder, finished, *, records=None, judge=None):
    """The folder, with a run that differs from the finished one in its records or its judge."""
    folder.mkdir()
    records = records or finished.records
    identity = finished.info.identity
    if judge:
        identity = {**identity, "judge": f"model {judge}", "judge_sha256": judge}
    plan = [(r.id, r.variant) for r in records]
    info = finished.info.model_copy(update={"plan": plan, "identity": identity})
    (folder / "run.json").write_text(info.model_dump_json(), encoding="utf-8")
    lines = (record.model_dump_json() + "\n" for record in records)
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def one_statement(number, verdict, variant="asked"):
    """The record of a model's answer with one statement, which a judge has judged."""
    answer = {
        "status": "answered", "mode": "model", "text": "It is so.", "sources": [], "hits": [],
        "statements": [{"text": "It is so.", "claim": True, "citations": []}], "confidence": None,
        "seconds": 1.0, "usage": {"calls": 1, "prompt_tokens": 10, "completion_tokens": 2},
    }  # fmt: skip
    judged = JudgedStatement(text="It is so.", shown=Judged(verdict=verdict), cited=None, each={})
    return Record(
        id=f"q{number}", variant=variant, kind="single", split="own", cluster=f"q{number}",
        question="is it so?", gold=("p",), answer=answer, statements=(judged,),
    )  # fmt: skip


def priced(record, cost, *, judge=NO_USAGE, judge_cost=None):
    """The record with a cost of its answer, and what the judge used."""
    update = {"answer": {**record.answer, "cost": cost}, "judge_usage": judge}
    return record.model_copy(update={**update, "judge_cost": judge_cost})


@pytest.fixture(scope="module")
def old_run(tmp_path_factory):
    """Return the folder of a run that version 0.1 made, and the questions it asked."""
    folder = tmp_path_factory.mktemp("old") / "run"
    shutil.copytree(ROOT / "tests" / "fixtures" / "old_run", folder)
    return folder


def test_a_run_of_the_earlier_version_is_reported(old_run):
    found = make_report(read_run(old_run))
    assert found.run.state == "complete"
    assert found.unscored == 0
    assert found.score("vital_facts").n == 3
    assert found.score("list_recall").mean == found.score("list_precision").mean == 1
    assert found.score("list_recall_possible").mean == 1
    # quotations support themselves, and no model wrote them
    for name in ("supported", "citation_recall", "uncited", "tokens", "opposed"):
        assert found.score(name) is None
    assert "writer quotes, judge offline" in command("report", old_run)
    page = (old_run / "report.html").read_text(encoding="utf-8")
    assert "check: ~ partly" in page
    assert "weak" not in page.split("<h2>Questions</h2>")[1].split("<script>")[0]


def test_a_run_of_the_earlier_version_is_compared_with_one_of_today(old_run, no_judge, tmp_path):
    with Assistant.open() as assistant:
        today = run(
            assistant,
            read_questions(old_run / "questions.jsonl"),
            tmp_path / "today",
            judge=no_judge,
        )
    found = compare(read_run(old_run), today)
    compared = {d.name: d for d in found.differences}
    assert {"recall@5", "evidence_shown", "verbatim_quote", "list_recall", "false_refusal"} <= set(
        compared
    )
    assert compared["recall@5"].n == 3
    assert compared["list_recall"].n == 1
    assert not any(d.judged for d in found.differences)
    assert any("different judges (offline and none)" in note for note in found.notes)
    text = command("compare", old_run, tmp_path / "today")
    assert "recall@5" in text
    assert "different judges" in text


def test_the_report_is_written_in_three_forms(finished):
    text = command("report", finished.folder)
    assert "recall@5" in text
    assert "judge none" in text
    assert re.search(r"measure +n +mean +95% interval", text)
    values = json.loads((finished.folder / "report.json").read_text(encoding="utf-8"))
    scores = {(s["name"], s["kind"]): s for s in values["scores"]}
    assert values["state"] == "complete"
    assert scores["recall@5", "all"]["n"] == sum(
        q.answerable and q.kind != "listing" for q in QUESTIONS
    )
    shown = scores["evidence_shown", "all"]
    assert 0 <= scores["evidence_first", "all"]["mean"] <= shown["mean"] <= shown["high"] <= 1
    assert scores["verbatim_quote", "all"]["mean"] == 1
    assert {name for name, _ in scores} & {"supported", "vital_facts", "citation_recall"} == set()
    assert "key" not in " ".join(values["identity"]["settings"])
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert page.count("<details") == len(finished.records)
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="https?:', own)


def test_text_from_questions_and_papers_is_escaped(no_judge, tmp_path):
    hostile = "<script>alert(1)</script>"
    paper = Paper("x", f"Zorp {hostile}", f"Zorp runs {hostile} fast on cats and dogs.")
    question = Question(
        id="<b>", kind="named", question=f"what does Zorp {hostile} run on?", papers=("x",),
        facts=({"text": hostile},), evidence=({"paper": "x", "quote": hostile},), answer=hostile,
    )  # fmt: skip
    with Assistant.build([paper], tmp_path / "l") as assistant:
        found = evaluate(assistant, [question], out=tmp_path / "r", judge=no_judge)
    write_report(found, tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    body = page.split("<h2>Questions</h2>")[1]
    assert "&lt;script&gt;alert(1)" in body
    assert hostile not in page


def judged_by(name, finished, folder):
    """Write a run that a model judged, which found every fact; return its folder."""
    held = {"found": Judged(verdict="supported")}
    records = [
        r.model_copy(update={"facts": tuple(fact.model_copy(update=held) for fact in r.facts)})
        for r in finished.records
    ]
    return written(folder, finished, records=records, judge=name)


def test_runs_of_different_judges_are_compared_without_what_judges_say(finished, tmp_path):
    one = judged_by("one", finished, tmp_path / "one")
    other = judged_by("other", finished, tmp_path / "other")
    found = compare(read_run(one), read_run(other))
    assert "recall@5" in {d.name for d in found.differences}
    assert not any(d.judged for d in found.differences)
    assert "different judges (model one and model other)" in command("compare", one, other)
    assert not any(d.judged for d in compare(finished, finished).differences)
    words = ("gate", other, "--baseline", one)
    assert "different judges" in command(*words, status=2)
    assert "vital_facts cannot" in command(*words, "--min", "vital_facts=0", status=2)
    assert "passed" in command(*words, "--min", "recall@5=0")


def test_a_run_compared_with_itself_shows_no_difference(finished):
    found = compare(finished, finished)
    assert found.flips == ()
    assert all(d.before == d.after and d.p == 1.0 and not d.worse for d in found.differences)
    assert "recall@5" in command("compare", finished.folder, finished.folder)


def test_a_worse_run_is_seen_and_fails_the_baseline(finished, tmp_path):
    rows = [r.model_copy(update={"ranked": r.ranked[6:]}) for r in finished.records]
    worse = written(tmp_path / "worse", finished, records=rows)
    found = {d.name: d for d in compare(finished, read_run(worse)).differences}
    assert found["recall@5"].worse
    assert found["recall@5"].p_adjusted < 0.05
    # without a judge four primary measures are compared; one changed and is multiplied by four
    family = {name for name, d in found.items() if d.p_adjusted is not None}
    assert family == {"recall@5", "evidence_shown", "false_answer", "false_refusal"}
    assert found["recall@5"].p_adjusted == pytest.approx(4 * found["recall@5"].p)
    text = command("gate", worse, "--min", "recall@5=0", "--baseline", finished.folder, status=1)
    assert "recall@5 went from" in text
    text = command("compare", finished.folder, worse)
    assert "hit@1 1 -> 0" in text
    assert "adjusted for the 4 primary measures (recall@5, evidence_shown, false_answer" in text


def test_a_run_that_bears_paraphrases_worse_fails_the_baseline(finished, tmp_path):
    refused = {"status": "abstained", "statements": []}
    rows = [
        r.model_copy(update={"ranked": (), "answer": {**r.answer, **refused}})
        if r.variant == "paraphrase"
        else r
        for r in finished.records
    ]
    worse = written(tmp_path / "worse", finished, records=rows)
    text = command("gate", worse, "--baseline", finished.folder, status=1)
    told = {line.split(" went")[0] for line in text.splitlines() if " went" in line}
    assert told == {"paraphrase_recall@5", "paraphrase_evidence", "paraphrase_refusal"}


def test_the_gate_holds_floors_and_ceilings(finished):
    assert "passed" in command("gate", finished.folder, "--min", "recall@5=.1")
    text = command("gate", finished.folder, "--min", "recall@5=1.01", status=1)
    assert "recall@5 is" in text
    assert "over its ceiling" in command("gate", finished.folder, "--max", "hit@1=0", status=1)
    assert "no figure nosuch" in command("gate", finished.folder, "--min", "nosuch=1", status=2)
    assert "is no bound" in command("gate", finished.folder, "--min", "recall@5", status=2)


def test_runs_of_other_questions_are_not_compared(asked_library, no_judge, finished, tmp_path):
    with Assistant.open(asked_library) as assistant:
        other = run(assistant, QUESTIONS[:2], tmp_path / "o", judge=no_judge)
    with pytest.raises(RunMismatch, match="different questions"):
        compare(finished, other)


def test_a_corrected_score_needs_a_hundred_labels(asked_library, finished, tmp_path):
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


def test_a_corrected_score_takes_the_judges_error_out(finished, tmp_path):
    # 200 statements, one an answer: the judge calls 120 supported (.6). Of the 100 that are
    # labelled it calls 60 supported; people overrule 15 of these and 5 of the other 40, so they
    # find 50. The mean difference is (50 - 60) / 100 = -.1, and the corrected share .6 - .1 = .5.
    told = [(True, True)] * 45 + [(True, False)] * 15 + [(False, False)] * 35 + [(False, True)] * 5
    says = [judge for judge, _ in told] + [True] * 60 + [False] * 40
    records = [one_statement(n, "supported" if said else "partly") for n, said in enumerate(says)]
    # neither what the judge left open nor the answer to a paraphrase counts
    records += [one_statement(200, None), one_statement(201, "supported", "paraphrase")]
    made = written(tmp_path / "made", finished, records=records, judge="j")
    labels = tmp_path / "labels.jsonl"
    rows = [
        json.dumps({"id": f"q{n}", "statement": "It is so.", "supported": person})
        for n, (_, person) in enumerate(told)
    ]
    labels.write_text("\n".join(rows), encoding="utf-8")
    found = make_report(read_run(made), labels=labels)
    assert found.score("supported").mean == pytest.approx(0.6)
    score = found.score("supported_corrected")
    assert (score.n, score.says.split("by ")[1]) == (200, "100 hand-labelled ones")
    assert score.mean == pytest.approx(0.5)
    # A labelled statement stands for two: judged + 2 (label - judged) is 1, -1, 0 or 2. The mean
    # square is (60 + 45 + 15 + 5 * 4) / 200 = .7, the variance .7 - .25 = .45, the standard error
    # sqrt(.45 / 200) = .0474, and 1.96 of these are .093.
    assert score.low == pytest.approx(0.407, abs=0.015)
    assert score.high == pytest.approx(0.593, abs=0.015)
    assert "supported_corrected" in command("report", made, "--labels", labels)
    labels.write_text("\n".join(rows[1:]), encoding="utf-8")
    assert "99 of the labels" in command("report", made, "--labels", labels, status=2)


def test_what_a_run_cost_is_summed(finished, tmp_path):
    first, second, third = (one_statement(n, "supported") for n in range(3))
    records = [
        priced(first, "0.000100 USD", judge=Usage(1, 100, 20), judge_cost="0.000300 USD"),
        priced(second, "0.000250 USD", judge=Usage(2, 50, 5, estimated=True), judge_cost=None),
        priced(third, "a lot"),
    ]
    made = written(tmp_path / "made", finished, records=records, judge="j")
    spent = make_report(read_run(made)).spent
    # each answer is one call with 10 tokens read and 2 written; "a lot" is no price
    assert spent["writer"] == Spent(Usage(3, 30, 6), ("0.000350 USD",), 1)
    assert spent["judge"] == Spent(Usage(3, 150, 25, estimated=True), ("0.000300 USD",), 1)
    text = command("report", made)
    assert ("writer: 3 calls, 30 tokens read, 6 written, 0.000350 USD, 1 not priced") in text
    assert "judge: 3 calls, 150 tokens read, 25 written, in part estimated, 0.000300 USD" in text
    values = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert values["spent"]["writer"]["money"] == ["0.000350 USD"]
    assert "0.000350 USD" in (made / "report.html").read_text(encoding="utf-8")
    assert "writer: " not in command("report", finished.folder)


def test_bounds_that_decide_nothing_are_refused(finished):
    folder = finished.folder
    assert "no bound" in command("gate", folder, "--min", "recall@5=nan", status=2)
    twice = ("--max", "hit@1=1", "--max", "hit@1=2")
    assert "bounded twice" in command("gate", folder, *twice, status=2)
    words = ("--max", "abstention_f1=.9", "--baseline", folder)
    assert "cannot be paired" in command("gate", folder, *words, status=2)


def test_what_is_always_gated_cannot_be_switched_off(finished, tmp_path):
    forged = written(tmp_path / "forged", finished)
    text = (forged / "records.jsonl").read_text(encoding="utf-8")
    changed = text.replace('"verbatim":true', '"verbatim":false', 1)
    assert changed != text
    (forged / "records.jsonl").write_text(changed, encoding="utf-8")
    assert "verbatim_quote is" in command("gate", forged, status=1)
    assert "verbatim_quote is" in command("gate", forged, "--min", "verbatim_quote=0", status=1)


def test_figures_over_all_say_what_they_rest_on(finished):
    found = make_report(finished)
    asked = [r for r in finished.records if r.variant == "asked"]
    assert found.score("seconds_p50").n == len(asked)
    assert found.score("abstention_f1").n == len(asked)
    assert found.score("selective_accuracy") is None


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
