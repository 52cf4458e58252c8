"""Conversations: what a file keeps, what is refused, and a chat that no file can end."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_papers import QUESTION, QUUX, ZORP
from model_server import ModelServer, Step, complete_follow_up
from typer.testing import CliRunner

from rag import Assistant, Conversation, Paper, load_settings
from rag.answer import Answer, Done
from rag.cli import app
from rag.errors import CorpusError, DiskError
from rag.files import write_atomically

ROOT = Path(__file__).parents[1]
PAPERS = [
    ZORP,
    QUUX,
    Paper(
        "quux-3",
        "QUUX in Practice",
        "We run QUUX on ten corpora. Sorting by length helps small models most.",
    ),
]
OFF_TOPIC = "how long should sourdough proof in the fridge"
REPLY = "ZORP attends to 64 tokens at a time [1]. It paints 9 houses [1]. Cats purr."
CHECK = "1 | s2 | supported | yes\n2 | none | unsupported | no"


class Shelf:
    """A library whose answers are there already."""

    def __init__(self, papers, answers=()):
        self.kept, self.answers = list(papers), list(answers)

    def papers(self):
        return self.kept

    def stream(self, question, *, history=(), where=None, as_written=False, trace=False):
        yield Done(self.answers[len(history)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build(PAPERS, path).close()
    return path


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    """What a conversation's file holds: an extractive answer, an abstention, a model's answer."""
    path = tmp_path_factory.mktemp("saved") / "chat.json"
    with Assistant.open(folder, settings=load_settings(sentences=1)) as assistant:
        chat = assistant.chat()
        chat.ask("what does QUUX do?")
        chat.ask(OFF_TOPIC)
    server = ModelServer(Step(REPLY), Step(CHECK))
    with server, with_model(folder, server, check_with_model=True) as assistant:
        more = assistant.chat()
        more.turns += chat.turns
        more.ask(QUESTION)
        more.save(path)
    return json.loads(path.read_text(encoding="utf-8"))


def with_model(folder, server, **settings):
    given = {"check_with_model": False, "repair": False, "chat_retries": 0, **settings}
    return Assistant.open(
        folder, settings=load_settings(chat_model="tester", chat_url=server.url, **given)
    )


def chatted(folder, *lines, options=()):
    """The output of a chat on a pipe, which must come to its end in order."""
    result = CliRunner().invoke(
        app, ["chat", "-i", str(folder), *options], input="\n".join([*lines, ""])
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_conversation_is_the_same_after_it_was_opened_and_saved_again(saved, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(saved), encoding="utf-8")
    chat = Conversation(Shelf(PAPERS))
    chat.load(first)
    chat.save(second)
    assert json.loads(second.read_text(encoding="utf-8")) == saved
    assert chat.warnings == ()
    assert [len(turn.answer.closest) for turn in chat.turns] == [0, 2, 0]
    assert "Closest sentences:\n\n" in chat.turns[1].answer.to_markdown()


@pytest.mark.parametrize(
    "reply",
    ["ZORP is fast [1[2]3].", "ZORP is fast [1 [2]].", "ZORP is fast [1[2].", "[1]", "[1][2]"],
)
def test_an_answer_with_odd_brackets_is_opened_again(reply, folder, tmp_path):
    with ModelServer(Step(reply)) as server, with_model(folder, server) as assistant:
        chat = assistant.chat()
        answer = chat.ask(QUESTION)
        chat.save(tmp_path / "chat.json")
        again = assistant.chat()
        again.load(tmp_path / "chat.json")
    assert [turn.answer.text for turn in again.turns] == [answer.text]
    assert (answer.status == "abstained") == (not reply.startswith("ZORP"))


def test_a_chat_asks_the_last_question_again_as_it_was_written(folder, tmp_path):
    last = "how many tokens does it attend to?"
    file = tmp_path / "chat.json"
    output = chatted(
        folder, "/as-written", "what does QUUX do?", last, "/as-written", f"/save {file}"
    )
    assert "There is no question to ask again." in output
    assert f"(understood as: what does QUUX do? {last}; /as-written asks it as you" in output
    assert output.count("understood as") == 1
    turns = json.loads(file.read_text(encoding="utf-8"))["turns"]
    assert [turn["answer"]["asked"] for turn in turns] == ["what does QUUX do?", last]


def test_a_paper_that_has_left_is_still_among_the_closest_by_its_title(saved, tmp_path):
    (tmp_path / "chat.json").write_text(json.dumps(saved), encoding="utf-8")
    chat = Conversation(Shelf([]))
    chat.load(tmp_path / "chat.json")
    answer = chat.turns[1].answer
    papers = [*answer.sources.values(), *(hit.paper for hit in answer.closest)]
    assert {paper.title for paper in papers} == {paper.title for paper in PAPERS}


def changed(saved, where, value):
    """A copy of a saved conversation with one value replaced."""
    whole = json.loads(json.dumps(saved))
    place = whole["turns"]
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    return whole


CITATION = (0, "answer", "statements", 3, "citations", 0)  # behind two headings and a label
FIRST, CATS = (2, "answer", "statements", 0), (2, "answer", "statements", 2)  # of the model
TAMPERED = [
    ((2, "answer", "text"), REPLY + " Bees cure cancer."),
    ((2, "answer", "text"), REPLY.replace(". Cats", "? No, it never did. Cats")),
    ((0, "answer", "text"), "Bees cure cancer. It does."),
    ((1, "answer", "text"), "Bees cure cancer."),
    ((1, "answer", "reason"), "bees cure cancer."),
    ((*FIRST, "verdict"), None),
    ((*FIRST, "citations", 0, "verdict"), None),
    ((*FIRST, "citations", 0, "verdict"), "unchecked"),
    ((*FIRST, "citations", 0, "by"), "text"),
    ((*FIRST, "verdict"), "record"),
    ((*FIRST, "verdict"), "uncited"),
    ((*FIRST, "claim"), False),
    ((*FIRST, "listed"), "fits"),
    ((2, "answer", "status"), "abstained"),
    ((0, "answer", "text"), "All lies [1] and [99]."),
    ((1, "answer", "text"), "All lies [1] and [99]."),
    ((2, "answer", "text"), REPLY.replace("[1]", "[2]") + " And more [99]."),
    ((2, "answer", "text"), REPLY.replace("[1]", "")),
    ((2, "answer", "statements"), []),
    ((2, "answer", "statements", 0), "said"),
    ((2, "answer", "statements", 2, "verdict"), "supported"),
    ((*CITATION, "quotes"), []),
    ((*CITATION, "quotes", 0, "end"), 7),
    ((*FIRST, "citations", 0, "paper"), QUUX.id),
    *(((*CITATION, "number"), number) for number in (-7, 2, 3, 10**30, 1.5, None, float("inf"))),
    ((*CITATION, "paper"), "zorp-1"),
    ((*CITATION, "paper"), 7),
    ((*CITATION, "verdict"), "certain"),
    ((2, "answer", "status"), "perfect"),
    ((2, "answer", "mode"), "magic"),
    ((2, "answer", "usage", "calls"), "many"),
    ((2, "answer", "seconds"), float("nan")),
    ((1, "answer", "closest"), None),
    ((1, "answer", "closest", 0), {}),
    ((0, "question"), 7),
    ((0,), "turn"),
]


@pytest.mark.parametrize(("where", "value"), TAMPERED)
def test_a_file_that_was_tampered_with_is_refused_in_one_sentence(saved, where, value, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(changed(saved, where, value)), encoding="utf-8")
    chat = Conversation(Shelf(PAPERS))
    with pytest.raises(CorpusError, match="is not a conversation saved by Papertrail") as caught:
        chat.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert chat.turns == []


def forge(saved, old, new):
    """A copy of a saved conversation with a text replaced wherever it stands, offsets kept."""
    text = json.dumps(saved, ensure_ascii=False)
    assert len(old) == len(new)
    assert old in text
    return text.replace(old, new)


def test_a_heading_or_a_reason_that_no_writer_puts_is_refused(saved, tmp_path):
    path, reason = tmp_path / "forged.json", saved["turns"][1]["answer"]["reason"]
    for text in (
        forge(saved, "No clear answer in this library.", "Bees were proven to cure cancer."),
        forge(saved, reason, f"{'Bees cure cancer':.<{len(reason)}}"),
        forge(saved, '"status": "abstained"', '"status": "answered" '),
        forge(saved, "Best matches in this library", "Best matches on this subject"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CorpusError, match="is not a conversation saved by Papertrail"):
            Conversation(Shelf(PAPERS)).load(path)


def test_quoted_papers_are_named_as_the_library_names_them_now(saved, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(forge(saved, "Best match:", "Bees do it!"), encoding="utf-8")
    renamed = replace(QUUX, title="Order of Samples")
    chat = Conversation(Shelf([renamed, ZORP, PAPERS[2]]))
    chat.load(path)
    answer = chat.turns[0].answer
    title = f"{renamed.reference}\n\n- {renamed.reference} QUUX sorts samples by length. [1]"
    assert answer.text == f"Best matches in this library\n\n{title}"
    assert {statement.verdict for statement in answer.statements} == {None, "quoted"}


def test_the_reason_for_a_refusal_names_the_answer_and_the_next_step(saved, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(changed(saved, (*FIRST, "citations", 0, "by"), "text")))
    with pytest.raises(CorpusError) as caught:
        Conversation(Shelf(PAPERS)).load(path)
    assert str(caught.value) == (
        f"{path} is not a conversation saved by Papertrail (answer 3: the verdict supported cannot "
        "come from text). Open an unchanged copy, or ask again."
    )


def test_a_sentence_without_a_citation_is_uncited_if_no_reader_called_it_no_claim(folder, tmp_path):
    with ModelServer(Step(REPLY)) as server, with_model(folder, server) as assistant:
        chat = assistant.chat()
        chat.ask(QUESTION)
    chat.save(tmp_path / "c.json")
    forged = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    forged["turns"][0]["answer"]["statements"][2] |= {"claim": False, "verdict": None}
    (tmp_path / "c.json").write_text(json.dumps(forged))
    chat = Conversation(Shelf(PAPERS))
    chat.load(tmp_path / "c.json")
    assert chat.turns[0].answer.statements[2].verdict == "uncited"


def test_two_papers_that_the_library_has_merged_keep_their_numbers(saved, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(saved), encoding="utf-8")
    merged = replace(ZORP, aliases=(QUUX.id,))
    for _ in range(2):
        chat = Conversation(Shelf([merged, PAPERS[2]]))
        chat.load(path)
        chat.save(path)
    assert chat.sources[1].title == chat.sources[2].title == ZORP.title


@pytest.mark.parametrize(
    "text", ["", "7", "[]", "{}", '{"format": "novel", "turns": []}', "[" * 9999]
)
def test_a_file_that_is_no_conversation_is_refused(text, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match="not a conversation saved by Papertrail"):
        Conversation(Shelf(PAPERS)).load(path)


BREAD = Paper(
    "bread-4",
    "Sourdough Starters",
    "A starter of flour and water raises bread. It doubles within 6 hours.",
)
RECORD, FITS, POSSIBLE = ("record", None), (None, "fits"), (None, "possible")
OLD = {  # for each turn its kind and the verdict and group of each claim
    "quotes": [("answer", [("quoted", None)] * 3), ("answer", [])],
    "lists": [("metadata", [RECORD] * 4), *[("list", [FITS])] * 2, ("list", [FITS, POSSIBLE])],
    "model": [
        (
            "answer",
            [
                (verdict, None)
                for verdict in (
                    "supported",
                    "partly",  # the model's "weak"
                    "unsupported",
                    "unchecked",  # was "weak" by words
                    "uncited",
                    "quoted",  # was "supported" by words
                )
            ],
        ),
        ("list", [("supported", "fits"), ("partly", "possible")]),
    ],
}


@pytest.mark.parametrize("name", OLD)
def test_conversations_of_version_0_1_open_with_todays_verdicts(name, tmp_path):
    chat = Conversation(Shelf([*PAPERS, BREAD]))
    chat.load(ROOT / "tests" / "fixtures" / "conversations" / f"{name}.json")
    assert chat.warnings == ()
    assert [
        (
            turn.answer.kind,
            [(s.verdict, s.listed) for s in turn.answer.statements if s.claim],
        )
        for turn in chat.turns
    ] == OLD[name]
    assert {turn.answer.mode for turn in chat.turns} == {"model" if name == "model" else "quotes"}
    assert all(c.quotes for turn in chat.turns[1:] for c in turn.answer.citations)
    chat.save(tmp_path / "again.json")
    again = Conversation(Shelf([*PAPERS, BREAD]))
    again.load(tmp_path / "again.json")
    assert again.turns == chat.turns


def test_papers_that_changed_or_left_are_named_when_a_conversation_opens():
    changed = [replace(QUUX, abstract="We sort samples. " + QUUX.abstract)]
    chat = Conversation(Shelf(changed))
    chat.load(ROOT / "tests" / "fixtures" / "conversations" / "model.json")
    standings = {c.paper.id: c.standing for turn in chat.turns for c in turn.answer.citations}
    assert standings == {"zorp-1": "gone", "quux-2": "changed", "quux-3": "gone"}
    assert any("no longer has “ZORP" in warning for warning in chat.warnings)
    assert any("abstract of “QUUX" in warning for warning in chat.warnings)
    assert "Since then 2 cited papers have changed" in chat.turns[0].answer.verification
    assert "*(no longer in the library; unchecked since)*" in chat.to_markdown()


def test_sources_are_sorted_by_number_alone(saved, tmp_path):
    (tmp_path / "chat.json").write_text(json.dumps(saved), encoding="utf-8")
    chat = Conversation(Shelf(PAPERS))
    chat.load(tmp_path / "chat.json")
    answer = chat.turns[2].answer
    first = answer.statements[0]
    other = type(first.citations[0])(2, PAPERS[1], (), "unchecked", "", "text")
    twice = type(first)("x", 0, 1, (other, *first.citations), None)
    assert list(Answer("q", "q", "x", (twice,), (), "answered", "model").sources) == [2]


@pytest.mark.parametrize("name", ["chat.json", "chat.md", "chat.MD"])
def test_half_a_character_does_not_keep_a_conversation_from_being_saved(name, folder, tmp_path):
    path = tmp_path / name
    path.write_text("older", encoding="utf-8")
    with Assistant.open(folder) as assistant:
        chat = assistant.chat()
        chat.ask("what does QUUX do, \ud800?")
    if path.suffix == ".json":
        chat.save(path)
    else:
        write_atomically(path, chat.to_markdown())
    assert "what does QUUX do, ??" in path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_disk_that_takes_no_more_leaves_the_older_file(tmp_path):
    path = tmp_path / "chat.md"
    path.write_text("older", encoding="utf-8")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(DiskError, match=r"Cannot write .*chat\.md"):
            write_atomically(path, "newer " * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text(encoding="utf-8") == "older"
    assert [each.name for each in tmp_path.iterdir()] == ["chat.md"]


def test_saving_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "there.md").write_text("older", encoding="utf-8")
    (tmp_path / "link.md").symlink_to(tmp_path / "there.md")
    write_atomically(tmp_path / "link.md", "newer")
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "there.md").read_text(encoding="utf-8") == "newer"


@pytest.mark.parametrize("command", ["/save", "/load"])
@pytest.mark.parametrize(
    "name",
    ["/", ".", "~nouser/x", "/etc/passwd/x", "x" * 300, "a\0b", "/nowhere/x", "/nowhere/x.md"],
    ids=repr,
)
def test_unusable_name_is_one_sentence_and_the_chat_goes_on(command, name, folder):
    output = chatted(folder, f"{command} {name}", "/sources")
    first, second = [line for line in output.splitlines() if line]
    assert first.startswith("rag: ")
    assert name.replace("\0", "") in first
    assert "papertrail-" not in first
    assert second == "No paper is cited yet."


def test_chat_that_cannot_load_its_file_ends_with_one_sentence(folder):
    result = CliRunner().invoke(app, ["chat", "-i", str(folder), "--load", "/nowhere/x"])
    assert result.exit_code == 2
    assert result.stderr.startswith("rag: Cannot read /nowhere/x (")
    assert len(result.stderr.splitlines()) == 1


def test_chat_reports_what_its_commands_did(folder, tmp_path):
    said = chatted(
        folder, "what does QUUX do?", f"/save {tmp_path}/c.md", "/sources", "/new", "/sources"
    )
    assert "[1] QUUX" in said
    assert "New conversation.\nNo paper is cited yet.\n" in said
    assert "Ask about" not in said
    assert "- Best match: “QUUX sorts samples by length.” [1]" in (tmp_path / "c.md").read_text(
        encoding="utf-8"
    )


def test_markdown_says_why_a_statement_is_not_supported_and_how_a_question_was_read(folder):
    steps = Step("ZORP is fast [1]."), Step(CHECK), Step(REPLY), Step(CHECK)
    plan = complete_follow_up("How fast is ZORP?")
    with (
        ModelServer(*steps, plan=plan) as server,
        with_model(folder, server, check_with_model=True) as a,
    ):
        chat = a.chat()
        chat.ask(QUESTION)
        text = chat.ask("how fast is it?").to_markdown()
    assert text.startswith("**how fast is it?**\n\n*Understood as: How fast is ZORP?*\n\nZORP")
    assert "\n- unsupported: “It paints 9 houses.” ([1] no; figure not found: 9)\n" in text
    assert "\n- uncited: “Cats purr.”\n" in text
    assert "“ZORP attends" not in text
    assert "; checked by the model that wrote it (not tested yet" in text
    assert "Understood" not in chat.turns[0].answer.to_markdown()


def ran(folder, *, stdin, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "rag", "chat", "-i", str(folder)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        cwd=ROOT,
    )


def test_closed_standard_input_ends_a_chat(folder):
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m rag chat -i "$1" <&-', sys.executable, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("place", ["a folder", "a file", "lost while it chats"])
def test_terminal_is_greeted_and_needs_no_file_for_its_history(place, folder, tmp_path):
    history = tmp_path / "data" / "chat_history"
    if place == "a folder":
        history.mkdir(parents=True)
    ours, theirs = pty.openpty()
    with ran(folder, stdin=theirs, TERM="dumb") as process:
        os.close(theirs)
        greeting = process.stderr.readline()
        if place == "lost while it chats":
            shutil.rmtree(tmp_path / "data")
        os.write(ours, b"/new\r/quit\r")
        _, errors = process.communicate(timeout=60)
    os.close(ours)
    assert greeting == "Ask about the 3 papers of this library. /help lists commands.\n"
    assert process.returncode == 0, errors
    assert "New conversation." in errors
    assert "Traceback" not in errors
    assert history.is_dir() == (place == "a folder")


def test_an_answer_stopped_while_it_is_checked_is_kept_with_its_verdicts(folder, tmp_path):
    running = []

    def interrupts(body):
        running[0].send_signal(signal.SIGINT)
        return "1 | s1 | supported | too late"

    steps = (
        Step("ZORP is 3.5 times faster [1]."),
        Step("1 | s3 | supported | yes"),
        Step(REPLY),
        Step(reply=interrupts, first_byte_s=0.1, between_s=1.0, size=1),
    )
    with (
        ModelServer(*steps, plan=complete_follow_up("How fast is ZORP?")) as server,
        ran(
            folder,
            stdin=subprocess.PIPE,
            PAPERTRAIL_CHAT_MODEL="tester",
            PAPERTRAIL_CHAT_URL=server.url,
        ) as process,
    ):
        running.append(process)
        lines = [QUESTION, "how fast is it?", f"/save {tmp_path}/c.json", "/quit"]
        _, errors = process.communicate("\n".join([*lines, ""]), timeout=60)
    assert "The answer is kept as far as it was checked" in errors
    chat = Conversation(Shelf(PAPERS))
    chat.load(tmp_path / "c.json")
    answer = chat.turns[1].answer
    assert (answer.status, answer.model) == ("incomplete", "tester")
    assert answer.asked == "How fast is ZORP?"
    assert answer.text == REPLY
    assert [s.verdict for s in answer.statements] == ["unchecked", "unchecked", "uncited"]
    assert "stopped while its statements were being checked" in answer.to_markdown()
