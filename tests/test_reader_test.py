"""The reader's test: what it asks, what it stores, and what becomes of verdicts."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from made_up_papers import QUESTION, QUUX, ZORP
from model_server import ModelServer, Step

from rag import Assistant, Paper, load_settings, verify
from rag.errors import SettingsError
from rag.llm import make_chat_model, make_check_model
from rag.llm.servers import resolve_server
from rag.verification.reader_test import read_score
from rag.web.render import render_turn

DATA = Path(__file__).parents[1] / "rag" / "data"
ITEMS = json.loads((DATA / "reader_test.json").read_text(encoding="utf-8"))["statements"]
LABELS = {each["statement"]: each["kind"] for each in ITEMS}
TEXT = "ZORP reads 64 tokens [1]. QUUX is 9 times faster than ZORP [1]."
CHECK = "1 | s3 | supported | says so\n2 | s4 | contradicted | it is ZORP"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build([ZORP, QUUX], path).close()
    return path


def judge(right):
    """A model that judges so many statements of the test rightly, and writes and checks TEXT."""
    fooled = list(LABELS)[right:]

    def reply(body):
        prompt = body["messages"][-1]["content"]
        listed = re.findall(r"(?m)^(\d+) \(cites (s\d+).*?\): (.*)$", prompt)
        if not listed:
            return TEXT if "<papers>" in prompt else "ready"
        if listed[0][2] not in LABELS:
            return CHECK
        lines = []
        for number, sentence, statement in listed:
            is_true = (LABELS[statement] == "true") != (statement in fooled)
            verdict = "supported" if is_true else "contradicted"
            lines.append(f"{number} | {sentence} | {verdict} | so")
        return "\n".join(lines)

    return ModelServer(Step(reply=reply))


def place(server):
    return ("--model", "tester", "--url", server.url)


def ask(folder, server, **settings):
    given = load_settings(chat_model="tester", chat_url=server.url, **settings)
    with Assistant.open(folder, settings=given) as assistant:
        return assistant.ask(QUESTION)


def list_levels(answer):
    html = render_turn(answer.question, answer, 1)
    return re.findall(r'class="marker (\w+)"', html), re.findall(r'class="statement (\w+)"', html)


def test_half_of_the_statements_are_false_in_five_ways_and_none_is_a_quotation():
    rows = map(json.loads, (DATA / "library.jsonl").read_text(encoding="utf-8").splitlines())
    library = {row["id"]: Paper(row["id"], row["title"], row["abstract"]) for row in rows}
    kinds = Counter(each["kind"] for each in ITEMS)
    assert kinds.pop("true") == 12
    assert sum(kinds.values()) == 12
    assert set(kinds) == {"inversion", "roles", "number", "name", "overclaim"}
    assert set(kinds.values()) == {2, 3}
    for each in ITEMS:
        papers = [library[identity] for identity in each["papers"]]
        assert verify(each["statement"], papers).verdict == "unchecked"


def test_a_model_that_passed_gives_coloured_verdicts(folder, run):
    with judge(19) as server:
        said = run("info", "--check", *place(server))
        assert len(server.requests) == 5  # the tiny call, and four of the test
        answer = ask(folder, server)
    assert "reader's test: tester: 19 of 24 right; verdicts are coloured" in said
    assert answer.to_dict()["checker"] == {
        "name": "tester",
        "right": 19,
        "total": 24,
        "tested": "passed",
    }
    assert list_levels(answer) == (["good", "bad"], ["bad"])
    assert answer.verification == (
        "1 of 2 statements supported; 1 contradicted; checked by the model that wrote it "
        "(19 of 24 right in its test)."
    )


def test_statements_stay_unchecked_by_a_model_that_failed(folder, run, tmp_path):
    with judge(18) as server:
        said = run("info", "--check", *place(server), "--json")
        found = json.loads(said)["check"]["reader's test"]
        assert found == "tester: 18 of 24 right; verdicts are not used, statements stay unchecked"
        server.requests.clear()
        settings = load_settings(chat_model="tester", chat_url=server.url)
        with Assistant.open(folder, settings=settings) as assistant:
            chat = assistant.chat()
            answer = chat.ask(QUESTION)
            chat.save(tmp_path / "chat.json")
            chat.load(tmp_path / "chat.json")
            assert chat.turns[0].answer.checker == answer.checker
        assert len(server.requests) == 1  # no call to check
    assert [s.verdict for s in answer.statements] == ["unchecked", "unchecked"]
    reason = "this model's checks were right 18 of 24 times"
    assert {citation.reason for citation in answer.citations} == {reason}
    assert list_levels(answer) == (["open", "open"], [])
    assert answer.verification == f"2 of 2 statements unchecked ({reason})."
    assert f"([1] {reason}" in answer.to_markdown()


def test_verdicts_of_a_list_follow_the_test_too(folder, run):
    def reply(body):
        prompt = body["messages"][-1]["content"]
        ids = re.findall(r"Paper (\d+):\n(s\d+)", prompt)
        return "\n".join(f"{number} | {first} | supported | so" for number, first in ids)

    with judge(0) as server:
        run("info", "--check", *place(server))
        server.steps[:] = [Step(reply=reply)]
        settings = load_settings(chat_model="tester", chat_url=server.url)
        with Assistant.open(folder, settings=settings) as assistant:
            answer = assistant.list("order of samples")
    listed = [each for each in answer.statements if each.listed]
    assert {each.verdict for each in listed} == {"unchecked"}
    assert "decided by tester (this model's checks were right 0 of 24 times)" in answer.verification


def test_an_untested_model_gives_verdicts_without_colour_and_says_how_to_test_it(folder):
    with judge(24) as server:
        answer = ask(folder, server)
    assert [s.verdict for s in answer.statements] == ["supported", "contradicted"]
    assert list_levels(answer) == (["open", "open"], [])
    assert "(not tested yet: rag info --check tests it)" in answer.verification


def test_a_score_is_that_of_one_model_on_one_server_with_one_prompt(run, tmp_path):
    (tmp_path / "prompts").mkdir()
    own = tmp_path / "prompts" / "verify.md"
    own.write_text("---\nvariables: question, sentences, statements\n---\n\n## system\n$question\n"
                   "## user\n$sentences\n$statements\n")  # fmt: skip
    with judge(24) as server:
        run("info", "--check", *place(server))
        same = {"chat_model": "tester", "chat_url": server.url}
        results = []
        for change in (
            {},
            {"chat_model": "another"},
            {"chat_url": "http://127.0.0.1:9/v1"},
            {"prompts": tmp_path / "prompts"},
        ):
            settings = load_settings(**{**same, **change})
            results.append(read_score(make_chat_model(settings), settings).tested)
    assert results == ["passed", "untested", "untested", "untested"]
    (tmp_path / "data" / "reader_tests.json").write_text("{")
    settings = load_settings(**same)
    assert read_score(make_chat_model(settings), settings).tested == "untested"


def test_a_call_that_fails_gives_no_score(run, tmp_path):
    steps = Step("ready"), Step("no such model", status=404)
    with ModelServer(*steps) as server:
        said = run("info", "--check", *place(server), status=3)
    assert "The reader's test stopped." in said
    assert not (tmp_path / "data" / "reader_tests.json").exists()


def test_a_reply_that_cannot_be_read_is_wrong(run):
    with ModelServer(Step("ready")) as server:
        assert "0 of 24 right" in run("info", "--check", *place(server))


@pytest.mark.parametrize(
    ("check", "of", "counted"),
    [
        (
            "1 | s99 | supported | x\n2 | s98 | supported | x",
            "2 of 2",
            "2 of 2 statements unchecked.",
        ),
        (
            "1 | s3 | supported | x",
            "1 of 2",
            "1 of 2 statements supported; 1 unchecked; checked by",
        ),
    ],
)
def test_a_check_that_cannot_be_read_leaves_a_note(check, of, counted, folder):
    with ModelServer(Step(TEXT), Step(check)) as server:
        answer = ask(folder, server, repair=False)
    assert f"The model's check could not be read for {of} statements." in answer.warnings
    assert answer.verification.startswith(counted)


def test_a_check_with_an_empty_reply_is_no_check(folder):
    with ModelServer(Step(TEXT), Step("")) as server:
        answer = ask(folder, server)
    assert any("did not check the statements" in each for each in answer.warnings)
    assert answer.verification == "2 of 2 statements unchecked."


def test_a_source_shows_the_verdict_of_the_whole_statement_first(folder, run):
    check = "1 | s3, s6 | supported | both\n2 | s3 | partly | half\n3 | s6 | partly | half"
    with ModelServer(Step("ZORP reads 64 tokens, QUUX sorts [1][2]."), Step(check)) as server:
        said = run("ask", QUESTION, "-i", str(folder), *place(server))
    assert said.count("    supported (this paper alone: partly): ZORP reads 64 tokens") == 2
    assert "1 of 1 statement supported; checked by" in said


def test_a_second_model_checks_what_the_first_writes(folder, run, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_REPAIR", "false")
    with ModelServer(Step(TEXT)) as writer, judge(24) as reader:
        other = ("--check-model", "reader", "--check-url", reader.url)
        said = run("info", "--check", *place(writer), *other)
        assert "reader's test: reader: 24 of 24 right" in said
        assert (len(writer.requests), len(reader.requests)) == (1, 4)
        said = run("ask", QUESTION, "-i", str(folder), *place(writer), *other, "--json")
        assert (len(writer.requests), len(reader.requests)) == (2, 5)
    answer = json.loads(said)
    assert (answer["model"], answer["checker"]["name"]) == ("tester", "reader")
    assert answer["verification"].endswith("; checked by reader (24 of 24 right in its test).")
    assert answer["usage"]["calls"] == 3  # plan, answer and check


def test_a_dedicated_checker_names_the_paper_and_survives_being_saved(folder, tmp_path):
    with ModelServer(Step(TEXT)) as writer, ModelServer(Step("Yes")) as reader:
        settings = load_settings(
            chat_model="tester",
            chat_url=writer.url,
            check_model="bespoke-minicheck",
            check_url=reader.url,
        )
        with Assistant.open(folder, settings=settings) as assistant:
            chat = assistant.chat()
            answer = chat.ask(QUESTION)
            chat.save(tmp_path / "chat.json")
            chat.load(tmp_path / "chat.json")
            assert chat.turns[0].answer.statements == answer.statements
    assert [s.verdict for s in answer.statements] == ["supported", "supported"]
    assert {citation.quotes for citation in answer.citations} == {()}


def test_a_checker_gets_the_key_of_its_own_server_and_no_other():
    settings = {"chat_model": "m", "chat_url": "http://127.0.0.1:1/v1", "chat_key": "sk-writer"}
    other = {"check_model": "c", "check_url": "http://127.0.0.1:2/v1"}
    assert resolve_server(load_settings(**settings, **other), "check").key == "none"
    own = load_settings(**settings, **other, check_key="sk-check")
    assert resolve_server(own, "check").key == "sk-check"
    shared = load_settings(**settings, check_model="c", check_key="sk-check")
    assert resolve_server(shared, "check").key == "sk-writer"
    assert make_check_model(load_settings(**settings)) is None
    with pytest.raises(SettingsError, match="--check-model"):
        make_check_model(load_settings(**settings, check_url="http://127.0.0.1:2/v1"))
