"""Traces: each step of an answer with its result, prompts and replies, and no key in any of it."""

import json

import pytest
from made_up_papers import QUESTION, QUUX, ZORP
from model_server import ModelServer, Step
from typer.testing import CliRunner

from rag import Assistant, Paper, load_settings
from rag.cli import app
from rag.errors import ModelRejected

KEY = "sk-hidden-\\1"
CATS = [Paper(f"cat-{n}", f"Cats of Region {n}", f"Cats purr in region {n}.") for n in range(60)]
DRAFT = "<think>Which one?</think>ZORP is 3.5 times faster than BERT [1]. It sings [1]."
CHECK = "1 | s4 | supported | says so\n2 | none | unsupported | nothing sings"
REPAIR = "2 | It attends to 64 tokens at a time [1]."
STEPS = ["plan", "retrieve", "write", "check", "repair"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("traces") / "papers"
    Assistant.build([ZORP, QUUX, *CATS], path).close()
    return path


def open_with_model(folder, server, **settings):
    given = {"chat_model": "tester", "chat_retries": 0, "chat_key": KEY, "k": 2, **settings}
    return Assistant.open(folder, settings=load_settings(chat_url=server.url, **given))


def trace(folder, *steps, question=QUESTION, plan=None, **settings):
    """Return the steps of a traced answer, the answer and the server."""
    with (
        ModelServer(*steps, plan=plan) as server,
        open_with_model(folder, server, **settings) as assistant,
    ):
        *events, done = assistant.stream(question, trace=True)
        return [event for event in events if event.kind == "step"], done.answer, server


def test_every_step_is_reported_in_order_with_its_result_prompts_and_replies(folder):
    plan = {"question": QUESTION, "alone": True, "queries": ["sparse attention"]}
    again = "1 | s3 | supported | yes"
    steps, answer, server = trace(
        folder,
        *map(Step, (DRAFT, CHECK, REPAIR, again)),
        plan=lambda body: Step(json.dumps(plan)),
    )
    assert [step.name for step in steps] == STEPS
    planned, retrieved, written, checked, repaired = (step.result for step in steps)
    assert (planned["kind"], planned["standalone"]) == ("answer", QUESTION)
    assert planned["queries"] == ["sparse attention"]
    assert [paper["rank"] for paper in retrieved["papers"]] == [1, 2]
    assert retrieved["papers"][0]["paper"] == "zorp-1"
    assert set(retrieved["papers"][0]["stages"]) == {"lexical", "dense", "tokens", "window"}
    verdicts = [[s["verdict"] for s in r["statements"]] for r in (written, checked, repaired)]
    assert verdicts[0] == ["unchecked", "unchecked"]
    assert verdicts[1:] == [["supported", "unsupported"], ["supported", "supported"]]

    calls = [call for step in steps for call in step.calls]
    prompts = [[call.prompt for call in step.calls] for step in steps]
    assert prompts == [["plan"], [], ["answer"], ["verify"], ["repair", "verify"]]
    assert [call.reply for call in calls] == [json.dumps(plan), DRAFT, CHECK, REPAIR, again]
    sent = [
        [{"role": message.role, "content": message.text} for message in call.messages]
        for call in calls
    ]
    assert sent == [body["messages"] for body in (*server.plans, *server.requests)]
    assert {(call.model, call.error) for call in calls} == {("tester", "")}
    assert sum(call.usage.calls for call in calls) == answer.usage.calls == 5
    assert sum(call.usage.prompt_tokens for call in calls) == answer.usage.prompt_tokens
    for step in steps:
        assert 0 <= sum(call.seconds for call in step.calls) <= step.seconds <= answer.seconds


def test_nothing_is_reported_unless_it_is_asked_for(folder):
    with (
        ModelServer(Step(DRAFT), Step(CHECK), Step(REPAIR)) as server,
        open_with_model(folder, server) as assistant,
    ):
        assert {event.kind for event in assistant.stream(QUESTION)} == {
            "status", "text", "verified", "done",
        }  # fmt: skip


def test_the_key_is_in_no_part_of_a_trace(folder):
    plan = {"question": f"{QUESTION} {KEY}", "alone": False, "queries": [KEY]}
    refusal = Step(f"no such thing with the key {KEY}", status=500)
    steps, _, _ = trace(
        folder,
        Step(f"ZORP is fast {KEY} [1]."),
        refusal,
        question=f"{QUESTION} My key is {KEY}",
        plan=lambda body: Step(json.dumps(plan)),
    )
    shown = repr(steps) + json.dumps([step.to_dict() for step in steps])
    assert "hidden" not in shown
    assert "ZORP is fast *** [1]." in shown
    assert steps[0].result["queries"] == ["***"]


def test_a_failed_call_is_in_the_trace_and_not_counted(folder):
    steps, answer, _ = trace(folder, Step(DRAFT), Step("overloaded", status=503))
    (call,) = steps[3].calls
    assert (call.prompt, call.reply, call.usage.calls) == ("verify", "", 0)
    assert "HTTP 503: overloaded" in call.error
    assert answer.usage.calls == sum(c.usage.calls for step in steps for c in step.calls) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Step("ZORP is", finish="length"), "length limit"),
        (Step("ZORP is fast, says [1].", cut_after=3), "cut off"),
        (Step(""), "empty"),
    ],
)
def test_a_reply_that_is_not_whole_says_why(reply, error, folder):
    steps, _, _ = trace(folder, reply)
    (call,) = steps[2].calls
    assert error in call.error
    assert reply.text.startswith(call.reply)


def test_a_refusal_is_reported_before_it_ends_the_answer(folder):
    with (
        ModelServer(Step("bad key", status=401)) as server,
        open_with_model(folder, server) as assistant,
    ):
        steps = []
        events = assistant.stream(QUESTION, trace=True)
        with pytest.raises(ModelRejected):
            steps.extend(event for event in events if event.kind == "step")
    assert [step.name for step in steps] == STEPS[:3]
    assert steps[2].result == {}
    assert "HTTP 401: bad key" in steps[2].calls[0].error


def test_a_traced_answer_can_be_stopped_and_the_next_one_has_its_own_trace(folder):
    slow = Step("ZORP is fast [1]. " * 50, between_s=0.2)
    with (
        ModelServer(slow, Step(DRAFT), Step(CHECK), Step(REPAIR)) as server,
        open_with_model(folder, server) as assistant,
    ):
        events = assistant.stream(QUESTION, trace=True)
        next(event for event in events if event.kind == "text")
        events.close()
        assert server.disconnected.wait(10)
        steps = [event for event in assistant.stream(QUESTION, trace=True) if event.kind == "step"]
    assert [len(step.calls) for step in steps[:4]] == [1, 0, 1, 1]


def test_calls_of_a_list_that_run_at_the_same_time_are_all_in_its_trace(folder):
    def name_all(body):
        count = body["messages"][-1]["content"].count("Paper ")
        ids = range(2, 2 * count + 1, 2)
        return "\n".join(f"{n} | s{i} | supported | yes" for n, i in enumerate(ids, start=1))

    with (
        ModelServer(Step(reply=name_all)) as server,
        open_with_model(folder, server) as assistant,
    ):
        *events, done = assistant.stream_list("cats that purr", trace=True)
    steps = [event for event in events if event.kind == "step"]
    assert [step.name for step in steps] == STEPS[:3]
    calls = steps[2].calls
    assert {call.prompt for call in calls} == {"select_papers"}
    assert len(calls) == len(server.requests) == done.answer.usage.calls > 1
    assert len(steps[2].result["statements"]) > 60  # each paper, and the counts


def test_without_a_model_steps_have_results_and_no_calls(folder):
    with Assistant.open(folder) as assistant:
        conversation = assistant.chat()
        events = [conversation.stream(QUESTION, trace=True), conversation.stream("why?")]
        steps, others = ([e for e in each if e.kind == "step"] for each in events)
    assert [(step.name, step.calls) for step in steps] == [(name, ()) for name in STEPS]
    assert steps[0].result["kind"] == "answer"
    quoted = [s for s in steps[2].result["statements"] if s["citations"]]
    assert {statement["verdict"] for statement in quoted} == {"quoted"}
    assert steps[3].result == steps[4].result == {}  # nothing changed
    assert others == []


def test_the_command_prints_the_steps_and_then_the_answer(folder, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CHAT_KEY", KEY)
    with ModelServer(*map(Step, (DRAFT, CHECK, REPAIR))) as server:
        words = ["-i", str(folder), "--model", "tester", "--url", server.url, "-k", "2", "--trace"]
        result = CliRunner().invoke(app, ["ask", QUESTION, *words])
    assert result.exit_code == 0
    output = result.stdout
    marks = [
        "plan · ", "kind: answer", "--- prompt plan to tester", "You plan a search", "retrieve · ",
        "#1", "write · ", "--- prompt answer to tester", '<paper number="1">', "--- reply\n<think>",
        "check · ", "unsupported: It sings. [1] (nothing sings; tester)", "repair · ", "Sources",
    ]  # fmt: skip
    places = [output.find(mark) for mark in marks]
    assert -1 not in places
    assert places == sorted(places)
    assert KEY not in output


def test_json_has_the_trace_as_a_member(folder, run):
    words = ("-i", str(folder), "--trace", "--json")
    answer = json.loads(run("ask", QUESTION, *words))
    assert [step["name"] for step in answer["trace"]] == STEPS
    assert answer["status"] == "answered"
    listed = json.loads(run("list", "cats that purr", *words))
    assert [step["name"] for step in listed["trace"]] == STEPS[:3]
    assert "and 3" in run("list", "cats that purr", *words[:-1])  # 30 are shown
    assert "trace" not in json.loads(run("ask", QUESTION, *words[:-2], "--json"))


def test_json_of_a_refused_question_has_the_error_and_the_steps_so_far(folder):
    with ModelServer(Step("bad key", status=401)) as server:
        words = ["-i", str(folder), "--model", "tester", "--url", server.url, "--json"]
        traced = CliRunner().invoke(app, ["ask", QUESTION, *words, "--trace"])
        plain = CliRunner().invoke(app, ["ask", QUESTION, *words])
    printed = json.loads(traced.stdout)
    assert "HTTP 401: bad key" in printed["error"]
    assert [step["name"] for step in printed["trace"]] == STEPS[:3]
    assert (traced.exit_code, plain.exit_code, plain.stdout) == (3, 3, "")


def test_a_key_that_begins_like_another_hides_no_less_of_it(folder):
    longer = f"{KEY}-and-more"
    with (
        ModelServer(Step(f"ZORP is fast {longer} [1].")) as server,
        open_with_model(
            folder, server, check_model="second", check_url=server.url, check_key=longer
        ) as assistant,
    ):
        steps = [e for e in assistant.stream(QUESTION, trace=True) if e.kind == "step"]
    written = steps[2].calls[0].reply
    assert written == "ZORP is fast *** [1]."
