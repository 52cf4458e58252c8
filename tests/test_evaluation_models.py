"""The evaluation with language models, which write or judge over HTTP; judges on labelled pairs."""

from __future__ import annotations

import itertools
import json
import re
import threading
from dataclasses import replace

import pytest
from evaluation import CATS, QUESTIONS, command
from model_server import ModelServer, Step, repeat_question

from eval import evaluate
from eval.html import render_html, write_report
from eval.judges import ModelJudge
from eval.records import Judged, JudgedStatement
from eval.report import make_report
from eval.run import MOST_FAILURES, read_run, run
from rag import Assistant, load_settings
from rag.errors import ModelRejected, ModelUnavailable
from rag.llm import make_chat_model
from rag.prompts import load_prompt
from rag.verification import Claim


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


def make_judge(server, name="judge"):
    model = make_chat_model(load_settings(chat_model=name, chat_url=server.url))
    return ModelJudge(model, load_prompt("judge"))


def open_writer(folder, server):
    given = {"chat_model": "writer", "chat_retries": 0, "check_with_model": False}
    return Assistant.open(folder, settings=load_settings(chat_url=server.url, **given))


def asked(folder, questions):
    """A file of one's own with these questions."""
    file = folder / "q.jsonl"
    lines = (question.model_dump_json(exclude={"split"}) for question in questions)
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_model_writes_and_another_judges(asked_library, tmp_path):
    questions = [q for q in QUESTIONS if q.kind == "single"][:2]
    with (
        ModelServer(Step(reply=writing)) as writer,
        ModelServer(Step(reply=judging, size=1000)) as second,
    ):
        settings = load_settings(chat_model="writer", chat_url=writer.url)
        with Assistant.open(asked_library, settings=settings) as assistant:
            judge = make_judge(second)
            found = evaluate(assistant, questions, out=tmp_path / "m", judge=judge)
    assert found.unscored == 0
    assert found.score("supported").mean == 1.0
    assert found.score("uncited").mean == 0.5
    assert found.score("citation_recall").mean == 0.5
    assert found.score("invalid_marker").mean == 0.0
    assert found.score("judge_tokens").mean > 0
    assert found.run.info.identity["judge"] == "model judge"
    write_report(found, tmp_path / "m")
    page = (tmp_path / "m" / "report.html").read_text(encoding="utf-8")
    told = page.split("<h2>Questions</h2>")[1]
    judged = "judge, by the papers shown: ✓ supported, said"
    assert f"<p>It is so.<small>{judged}</small></p><p class=cite>[1] " in told
    assert f"<p>Nobody says why.<small>uncited; {judged}</small></p>" in told


def test_every_call_is_counted_once_by_several_workers(asked_library, tmp_path):
    questions = [q for q in QUESTIONS if q.kind == "single"][:4]
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\n[models.j]\nprompt = 1000000\ncompletion = 0\n')
    with (
        ModelServer(Step(reply=writing)) as writer,
        ModelServer(Step(reply=judging, size=1000)) as second,
    ):
        settings = load_settings(
            chat_model="w", chat_url=writer.url, check_with_model=False, prices=str(prices)
        )
        judge = make_judge(second, "j")
        with Assistant.open(asked_library, settings=settings) as assistant:
            found = evaluate(assistant, questions, out=tmp_path / "r", workers=4, judge=judge)
        asked = len(writer.requests) + len(writer.plans), len(second.requests)
    spent = found.spent
    assert (spent["writer"].usage.calls, spent["judge"].usage.calls) == asked
    # at a million for a million tokens, every token that the judge read costs one
    assert spent["judge"].money == (f"{spent['judge'].usage.prompt_tokens}.000000 EUR",)
    assert spent["writer"].money == ()


def test_the_page_shows_what_the_papers_cited_say_together(finished):
    def said(verdict, reason):
        return Judged(verdict=verdict, reason=reason)

    statement = JudgedStatement(
        text="It is so.", shown=said("contradicted", "other numbers"), cited=said("partly", "half"),
        each={"a": said("unsupported", "no"), "b": said(None, "no reply")},
    )  # fmt: skip
    cited = [
        {"number": n, "paper": p, "title": p, "verdict": None, "reason": "", "quotes": []}
        for n, p in enumerate("ab", start=1)
    ]
    first = finished.records[0]
    answer = {
        **first.answer,
        "statements": [{"text": "It is so.", "claim": True, "citations": cited}],
    }
    record = first.model_copy(update={"answer": answer, "statements": (statement,)})
    page = render_html(make_report(replace(finished, records=(record,))))
    assert "by the papers shown: ≠ contradicted, other numbers; by the papers cited" in page
    assert "together: ~ partly, half" in page
    assert "judge: ✗ unsupported, no<" in page
    assert "judge: · unscored, no reply" in page


def test_a_quote_of_a_title_is_verbatim(asked_library, no_judge, tmp_path):
    def write(body):
        is_check = "<statements>" in body["messages"][-1]["content"]
        return "1 | s1 | supported | the title" if is_check else "It is so [1]."

    (question,) = [q for q in QUESTIONS if q.kind == "single"][:1]
    with ModelServer(Step(reply=write)) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url)
        with Assistant.open(asked_library, settings=settings) as assistant:
            found = run(assistant, [question], tmp_path / "m", judge=no_judge)
    (citation,) = found.records[0].answer["statements"][0]["citations"]
    assert [quote["field"] for quote in citation["quotes"]] == ["title"]
    assert make_report(found).score("verbatim_quote").mean == 1.0


def test_records_rank_the_papers_of_the_plan_and_time_the_first_text(
    asked_library, no_judge, tmp_path
):
    (question,) = [q for q in QUESTIONS if q.kind == "single"][:1]
    with Assistant.open(asked_library) as assistant:
        moved = assistant.search(question.question, k=8)[7].paper
    plan = {"question": question.question, "alone": False, "queries": [moved.title] * 5}
    with ModelServer(Step(reply=writing), plan=lambda _: Step(json.dumps(plan))) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url)
        with Assistant.open(asked_library, settings=settings) as assistant:
            found = run(assistant, [question], tmp_path / "m", judge=no_judge)
    asked = next(record for record in found.records if record.variant == "asked")
    assert asked.ranked[0] == moved.id
    assert len(set(asked.ranked)) == len(asked.ranked) == 20
    assert 0 < asked.first_text_s < asked.answer["seconds"]
    assert make_report(found).score("first_text_p50").n == 1


def test_writer_and_judge_have_servers_and_keys_of_their_own(asked_library, tmp_path, monkeypatch):
    file = asked(tmp_path, [q for q in QUESTIONS if q.kind == "single"][:1])
    monkeypatch.setenv("PAPERTRAIL_CHAT_KEY", "sk-writer")
    monkeypatch.setenv("PAPERTRAIL_JUDGE_KEY", "sk-judge")
    monkeypatch.setenv("PAPERTRAIL_EMBED_URL", "http://me:secret@127.0.0.1/v1")
    out = tmp_path / "r"
    with (
        ModelServer(Step(reply=writing)) as writer,
        ModelServer(Step(reply=judging, size=1000)) as second,
    ):
        command(
            "run", "--questions", file, "--index", asked_library, "--out", out,
            "--writer", "model", "--model", "w", "--url", writer.url,
            "--judge", "model", "--judge-model", "j", "--judge-url", second.url,
        )  # fmt: skip
    assert {h["Authorization"] for h in writer.headers} == {"Bearer sk-writer"}
    assert {h["Authorization"] for h in second.headers} == {"Bearer sk-judge"}
    assert {body["model"] for body in second.requests} == {"j"}
    about = (out / "run.json").read_text(encoding="utf-8")
    assert second.url in about
    assert not re.search(r"sk-writer|sk-judge|secret", about)


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
    with ModelServer(Step(reply, size=1000)) as server:
        (found,) = make_judge(server).check([Claim("Cats are liked.", (CATS["cats"],))])
    assert found.verdict == "unchecked"
    assert "judge" in found.reason


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("supported", "supported"),
        ("partly", "partly"),
        ("partial", "partly"),
        ("unsupported", "unsupported"),
        ("contradicted", "contradicted"),
    ],
)
def test_a_judge_gives_each_verdict_it_is_asked_for(said, verdict):
    line = {"statement": 1, "evidence": [1], "reason": "so", "verdict": said}
    with ModelServer(Step(f"```json\n{json.dumps([line])}\n```")) as server:
        (found,) = make_judge(server).check([Claim("Cats never sleep.", (CATS["cats"],))])
    assert found.verdict == verdict


def test_a_judge_is_its_prompt_and_its_model():
    with ModelServer(Step("[]")) as server:
        first, second, again = (make_judge(server, name) for name in ("one", "two", "one"))
    assert first.sha256 != second.sha256
    assert first.sha256 == again.sha256


def test_a_writer_that_fails_half_way_leaves_a_run_that_goes_on(asked_library, no_judge, tmp_path):
    out = tmp_path / "half"
    question = [q for q in QUESTIONS if q.kind == "single"][:3]
    with ModelServer(Step("It is so [1]."), Step("bad key", status=401)) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url, check_with_model=False)
        with (
            Assistant.open(asked_library, settings=settings) as assistant,
            pytest.raises(ModelRejected, match="refused"),
        ):
            run(assistant, question, out, judge=no_judge)
        assert len(read_run(out).records) == 1
        server.steps = [Step("It is so [1].")]
        with Assistant.open(asked_library, settings=settings) as assistant:
            assert run(assistant, question, out, judge=no_judge).state == "complete"


@pytest.mark.parametrize(
    ("plan", "reply"),
    [
        ({}, "It is so [1]."),
        ({"kind": "list", "subject": "language models"}, "1 | s1 | supported | yes"),
        ({"kind": "list", "subject": "quasars"}, "1 | s1 | supported | yes"),
    ],
)
def test_an_outage_is_no_answer_whatever_would_stand_in_for_it(
    plan, reply, asked_library, no_judge, tmp_path
):
    questions = [q for q in QUESTIONS if q.kind in ("unanswerable", "listing")][:4]
    planned = Step(json.dumps({"question": "Which papers are there?", **plan}))
    with ModelServer(Step(reply), plan=planned) as server:

        def fail(done, _planned):
            if done == 1:
                server.steps = [Step("busy", status=503)]

        with open_writer(asked_library, server) as assistant:
            begun = run(assistant, questions, tmp_path / "r", judge=no_judge, on_progress=fail)
        failed = [record.failed for record in begun.records]
        assert failed[0] == ""
        assert all("HTTP 503: busy" in reason for reason in failed[1:])
        assert all(record.usage.calls for record in begun.records[1:])
        server.steps = [Step(reply)]
        with open_writer(asked_library, server) as assistant:
            assert run(assistant, questions, tmp_path / "r", judge=no_judge).state == "complete"


def test_answers_without_a_plan_are_counted(asked_library, no_judge, tmp_path):
    questions = [q for q in QUESTIONS if q.kind == "unanswerable"][:2]
    first = iter([Step("busy", status=503)])
    with (
        ModelServer(
            Step("It is so [1]."), plan=lambda body: next(first, None) or repeat_question(body)
        ) as server,
        open_writer(asked_library, server) as assistant,
    ):
        found = run(assistant, questions, tmp_path / "r", judge=no_judge)
    report = make_report(found)
    assert (found.state, report.failed, report.unplanned) == ("complete", 0, 1)
    assert "1 not planned" in command("report", tmp_path / "r")


def test_a_refusal_loses_no_question_under_way(asked_library, no_judge, tmp_path):
    under_way = threading.Barrier(4)
    numbers = itertools.count()

    def answer(body):
        number = next(numbers)
        if number < 4:
            under_way.wait(10)
        return Step("quota", status=403) if number == 0 else Step("It is so [1].", between_s=0.1)

    with ModelServer(answer) as server, open_writer(asked_library, server) as assistant:
        with pytest.raises(ModelRejected, match="quota"):
            run(assistant, QUESTIONS, tmp_path / "r", judge=no_judge, workers=4)
        assert len(read_run(tmp_path / "r").records) == next(numbers) - 1 == 3


def test_a_run_stops_at_an_outage_and_asks_what_failed_last(asked_library, no_judge, tmp_path):
    questions = [q for q in QUESTIONS if q.kind == "unanswerable"]
    out = tmp_path / "r"
    with ModelServer(Step("<think>Hm.</think>")) as server:
        with open_writer(asked_library, server) as assistant:
            with pytest.raises(ModelUnavailable, match=r"5 questions in a row .* empty reply"):
                run(assistant, questions, out, judge=no_judge)
            records = read_run(out).records
            assert len(records) == MOST_FAILURES < len(questions)
            assert all(record.usage.calls == 2 for record in records)  # the plan and the answer
            found = run(assistant, questions, out, judge=no_judge, budget=1)
            assert [record.id for record in found.records] == [questions[5].id]
        server.steps = [Step("It is so [1].")]
        with open_writer(asked_library, server) as assistant:
            assert run(assistant, questions, out, judge=no_judge).state == "complete"


def test_a_run_whose_judge_says_nothing_is_reported_and_fails(asked_library, tmp_path):
    file = asked(tmp_path, QUESTIONS[:2])
    with ModelServer(Step("no json")) as server:
        text = command(
            "run", "--questions", file, "--index", asked_library, "--out", tmp_path / "r",
            "--judge", "model", "--model", "m", "--url", server.url, status=3,
        )  # fmt: skip
    assert "recall@5" in text
    assert text.splitlines()[-1].startswith("rag: The judge model m left 100.0% of its verdicts")
    assert (tmp_path / "r" / "report.html").exists()
    assert make_report(read_run(tmp_path / "r")).unscored == 1
    assert "left 100.0% of its verdicts open" in command("gate", tmp_path / "r", status=3)


def test_a_budget_stops_cleanly(asked_library, no_judge, tmp_path):
    with ModelServer(Step("It is so [1].")) as server:
        settings = load_settings(chat_model="writer", chat_url=server.url, check_with_model=False)
        with Assistant.open(asked_library, settings=settings) as assistant:
            found = run(assistant, QUESTIONS, tmp_path / "b", judge=no_judge, budget=1)
    assert len(found.records) == 1
    assert found.state == "partial"


def test_judges_are_measured_on_labelled_pairs(asked_library, tmp_path):
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
    with ModelServer(Step(reply=judging, size=1000)) as server:
        words = ("judges", "--pairs", pairs, "--index", asked_library)
        text = command(*words, "--model", "j", "--url", server.url)
    # the scripted judge supports everything: both true pairs are right, both false ones wrong
    assert re.search(r"balanced accuracy\s+4\s+0\.500", text)
    assert re.search(r"sensitivity\s+4\s+1\.000", text)
    assert re.search(r"false: none, right\s+2\s+0\.000", text)


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
def test_bad_pairs_are_one_sentence(row, said, asked_library, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps(row), encoding="utf-8")
    assert said in command("judges", "--pairs", pairs, "--index", asked_library, status=2)


def test_a_writer_that_never_answers_makes_no_complete_run(asked_library, tmp_path):
    file = asked(tmp_path, [q for q in QUESTIONS if q.kind == "unanswerable"][:2])
    with ModelServer(Step("down", status=500)) as server:
        words = ("--questions", file, "--index", asked_library, "--out", tmp_path / "m", "--writer",
                 "model", "--model", "m", "--url", server.url)  # fmt: skip
        environment = pytest.MonkeyPatch()
        environment.setenv("PAPERTRAIL_CHAT_RETRIES", "0")
        with environment.context():
            text = command("run", *words, status=3)
        environment.undo()
    assert "questions have no answer of the model" in text
    assert "partial" in command("gate", tmp_path / "m", status=2)
