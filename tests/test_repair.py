"""Repair: the model corrects, cites or withdraws what its check found wrong, once."""

import re

import pytest
from made_up_papers import QUESTION, QUUX, ZORP
from model_server import ModelServer, Step

from rag import Assistant, Paper, load_settings

PAPERS = [
    ZORP,
    QUUX,
    Paper("tea", "Steeping Leaves", "Leaves in hot water give theanine within two minutes."),
    *(Paper(f"stone-{n}", f"Stone {n}", f"Stone {n} is cold and grey.") for n in range(20)),
]
DRAFT = (
    "ZORP is 3.5 times faster than BERT [1].\n\n- It attends to 99 tokens [1].\n"
    "- Tea gives theanine.\n- It sings [1].\n\nIt trains on order [2]."
)
CHECK = (
    "1 | s4 | supported | says so\n2 | s3 | contradicted | 64, not 99\n"
    "3 | none | unsupported | not cited\n4 | none | unsupported | nothing sings\n"
    "5 | s7 | supported | yes"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("repair") / "papers"
    Assistant.build(PAPERS, path).close()
    return path


def ask(folder, *steps, **settings):
    given = {"chat_model": "tester", "chat_retries": 0, "k": 2, **settings}
    with (
        ModelServer(*steps) as server,
        Assistant.open(folder, settings=load_settings(chat_url=server.url, **given)) as assistant,
    ):
        return assistant.ask(QUESTION), server


def correct(body):
    """Correct the second statement, cite a paper for the third and withdraw the fourth."""
    prompt = body["messages"][-1]["content"]
    tea = prompt.split("Title: Steeping")[0].rsplit('number="', 1)[1].split('"')[0]
    return Step(
        f"2 | It attends to 64 tokens at a time [1].\n3 | Tea gives theanine [{tea}].\n"
        "4 | withdraw\n5 | Nobody asked [1].\n99 | x"
    )


def fix(body, sentence, line):
    """Replace the statement in doubt that holds a text."""
    doubts = body["messages"][-1]["content"].split("<doubts>")[1]
    number = re.search(rf"(\d+): [^:]*{sentence}", doubts)[1]
    return Step(f"{number} | {line}")


def test_statements_in_doubt_are_corrected_cited_or_withdrawn_and_checked_again(folder):
    again = Step("1 | s3 | supported | yes\n2 | s6 | partly | two minutes")
    answer, server = ask(folder, Step(DRAFT), Step(CHECK), correct, again)
    assert answer.text == (
        "ZORP is 3.5 times faster than BERT [1].\n\n- It attends to 64 tokens at a time [1].\n"
        "- Tea gives theanine [3].\n\nIt trains on order [2]."
    )
    verdicts = [statement.verdict for statement in answer.statements]
    assert verdicts == ["supported", "supported", "partly", "supported"]
    for statement in answer.statements:
        assert answer.text[statement.start : statement.end].startswith(statement.text[:-1])
    assert answer.sources[3].id == "tea"
    assert answer.usage.calls == 5  # plan, draft, check, repair, check
    prompt = server.prompts[2]
    assert "2: It attends to 99 tokens. [1] (contradicted: 64, not 99; figure not found" in prompt
    assert "It trains on order" not in server.prompts[3].split("<statements>")[1]


def test_a_table_cell_is_checked_and_corrected_under_its_row_and_column(folder):
    table = "| | reads |\n|---|---|\n| ZORP | it attends to 99 tokens at once [1] |\n"
    check = Step("1 | s3 | contradicted | 64, not 99\n2 | none | no claim | name")
    line = Step("3 | (ZORP, reads) it attends to 64 tokens at a time [1]")
    answer, server = ask(folder, Step(table), check, line, Step("1 | s3 | supported | yes"))
    assert ": ZORP, reads: it attends to 99 tokens at once\n" in server.prompts[1]
    assert "(ZORP, reads) it attends to 99 tokens at once [1]" in server.prompts[2]
    assert answer.text == (
        "| | reads |\n|---|---|\n| ZORP | it attends to 64 tokens at a time [1] |"
    )
    (cell,) = [each for each in answer.statements if each.citations]
    assert (cell.text, cell.context) == ("it attends to 64 tokens at a time", "ZORP, reads")


def test_a_clean_answer_is_not_sent_back(folder):
    clean = Step("1 | s4 | supported | says so")
    answer, server = ask(folder, Step("ZORP is 3.5 times faster than BERT [1]."), clean)
    assert len(server.requests) == 2
    assert answer.usage.calls == 3


@pytest.mark.parametrize(
    "reply",
    [
        Step("I would not change a thing."),
        Step("2 It attends to 64 tokens."),
        Step("", finish="length"),
        Step("overloaded", status=503),
    ],
)
def test_a_repair_that_fails_leaves_the_draft_and_its_flags(reply, folder):
    answer, _ = ask(folder, Step(DRAFT), Step(CHECK), reply)
    assert "99 tokens" in answer.text
    assert answer.statements[1].verdict == "contradicted"
    assert any("were not corrected" in warning for warning in answer.warnings)


def test_what_is_still_wrong_after_repair_stays_flagged_or_is_removed(folder):
    steps = (
        Step(DRAFT),
        Step(CHECK),
        Step("2 | It attends to 98 tokens [1].\n3 | withdraw\n4 | withdraw"),
        Step("1 | s3 | contradicted | 64"),
    )
    answer, _ = ask(folder, *steps)
    assert [s.verdict for s in answer.statements] == ["supported", "contradicted", "supported"]
    answer, _ = ask(folder, *steps, unsupported="remove")
    assert "98" not in answer.text
    assert [s.verdict for s in answer.statements] == ["supported", "supported"]


def test_an_answer_that_is_withdrawn_whole_is_an_abstention(folder):
    steps = Step("ZORP sings [1]."), Step("1 | none | unsupported | no"), Step("1 | withdraw")
    answer, _ = ask(folder, *steps)
    assert answer.status == "abstained"
    assert answer.reason == "the papers cited support nothing that the model wrote."
    assert answer.closest


def test_revised_statements_come_with_the_text_that_they_stand_in(folder):
    again = Step("1 | s3 | supported | yes\n2 | s6 | partly | two minutes")
    given = {"chat_model": "tester", "chat_retries": 0, "k": 2}
    with (
        ModelServer(Step(DRAFT), Step(CHECK), correct, again) as server,
        Assistant.open(folder, settings=load_settings(chat_url=server.url, **given)) as assistant,
    ):
        *events, done = assistant.stream(QUESTION)
    streamed = "".join(event.delta for event in events if event.kind == "text")
    verified = [event for event in events if event.kind == "verified"]
    assert [event.text for event in verified[:2]] == ["", ""]
    assert verified[-1].text == done.answer.text != streamed
    for statement in verified[-1].statements:
        assert verified[-1].text[statement.start :].startswith(statement.text[:-1])


def test_a_refusal_is_no_statement_in_doubt(folder):
    answer, server = ask(folder, Step("The abstracts do not state the cost."))
    assert len(server.requests) == 1
    assert answer.status == "abstained"
    assert answer.text.startswith("The abstracts do not state the cost.\n\n")


def test_sentences_without_a_citation_are_kept_where_the_check_failed(folder):
    draft = Step("ZORP is fast [1]. The abstracts do not state the cost.")
    answer, server = ask(folder, draft, Step("overloaded", status=503))
    assert len(server.requests) == 2
    assert "do not state the cost" in answer.text


def test_a_reason_behind_a_withdrawal_is_no_new_sentence(folder):
    steps = Step(DRAFT), Step(CHECK), Step("2 | withdraw | no paper says it\n4: withdrawn.\n3 | ?")
    answer, _ = ask(folder, *steps)
    assert "withdraw" not in answer.text
    assert "no paper" not in answer.text
    assert [s.text for s in answer.statements][1:] == ["Tea gives theanine.", "It trains on order."]


def test_a_withdrawn_table_cell_leaves_the_others_in_their_columns(folder):
    table = "| | speed | size |\n|---|---|---|\n| ZORP | it is fast [1] | it sings loud [1] |"
    check = Step("1 | s2 | supported | x\n2 | none | unsupported | no")
    answer, _ = ask(folder, Step(table), check, Step("5 | withdraw"))
    assert answer.text.splitlines()[2] == "| ZORP | it is fast [1] | – |"
    assert "1 statement was withdrawn because no paper backs them." in answer.warnings


def test_sources_that_are_left_have_numbers_without_gaps(folder):
    draft = Step("ZORP sings [1].\n\nIt trains on order, as `x[2]` says [2]. It sorts [2].")
    check = Step("1 | none | unsupported | no\n2 | s7 | supported | x\n3 | s6 | supported | x")
    answer, _ = ask(folder, draft, check, Step("1 | withdraw"))
    assert answer.text == "It trains on order, as `x[2]` says [1]. It sorts [1]."
    assert [answer.text[s.start : s.end] for s in answer.statements] == [
        "It trains on order, as `x[2]` says [1].",
        "It sorts [1].",
    ]
    assert {number: paper.id for number, paper in answer.sources.items()} == {1: QUUX.id}


def test_numbers_of_earlier_turns_stay_after_a_repair(folder):
    steps = (
        Step("ZORP attends to 64 tokens [1]."),
        Step("1 | s3 | supported | x"),
        Step("Tea sings [3]. QUUX sorts [2]. ZORP attends to 64 tokens [1]."),
        Step("1 | none | unsupported | no\n2 | s6 | supported | x\n3 | s3 | supported | x"),
        Step("1 | withdraw"),
    )
    given = {"chat_model": "tester", "chat_retries": 0, "k": 3}
    with (
        ModelServer(*steps) as server,
        Assistant.open(folder, settings=load_settings(chat_url=server.url, **given)) as assistant,
    ):
        chat = assistant.chat()
        chat.ask(QUESTION)
        answer = chat.ask(QUESTION)
    assert answer.text == "QUUX sorts [2]. ZORP attends to 64 tokens [1]."


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("**It cures all adults**", "**It cures all adults**"),
        ("## It cures all adults", "It cures all adults"),
        ("| It cures all adults:", "It cures all adults:"),
        ("Does it cure? Yes.", "Does it cure? Yes."),
    ],
)
def test_a_repaired_statement_is_a_claim_in_any_form(sentence, shown, folder):
    check = Step("1 | s4 | supported | x\n2 | none | unsupported | no")
    draft = Step("ZORP is 3.5 times faster than BERT [1].\n\nIt sings [1].")
    answer, _ = ask(folder, draft, check, Step(f"2 | {sentence}"))
    assert answer.text.endswith(f"\n\n{shown}")
    assert {each.verdict for each in answer.statements[1:]} == {"uncited"}


def test_at_most_three_sentences_take_the_place_of_one(folder):
    line = Step("1 | " + "".join(f"Song {n} is loud [1]. " for n in range(700)))
    check = Step("1 | none | unsupported | no")
    answer, _ = ask(
        folder, Step("It sings [1].\n\nIs it?"), check, line, Step("3 | s1 | supported")
    )
    assert answer.text == "Song 0 is loud [1]. Song 1 is loud [1]. Song 2 is loud [1].\n\nIs it?"


@pytest.mark.parametrize("place", ["row", "column"])
def test_cells_are_checked_again_under_a_repaired_name(place, folder):
    row, column = ("BERT sings [1]", "Speed") if place == "row" else ("BERT", "BERT sings [1]")
    table = Step(f"| | {column} |\n|---|---|\n| {row} | it is 3.5 times faster [1] |")
    wrong = Step("1 | none | unsupported | no\n2 | s4 | supported | x")
    again = Step("1 | s1 | supported | x\n2 | s4 | contradicted | not ZORP")
    answer, _ = ask(folder, table, wrong, lambda body: fix(body, "BERT sings", "ZORP [1]"), again)
    cell = answer.statements[-1]
    assert cell.context == ("ZORP, Speed" if place == "row" else "BERT, ZORP")
    assert cell.verdict == "contradicted"


def test_cells_are_unchecked_where_the_name_of_their_row_is_removed(folder):
    table = Step("| | Speed |\n|---|---|\n| BERT sings [1] | it is 3.5 times faster [1] |")
    check = Step("1 | none | unsupported | no\n2 | s4 | supported | x")
    answer, _ = ask(folder, table, check, repair=False, unsupported="remove")
    assert answer.text.endswith("|  | it is 3.5 times faster [1] |")
    cell = answer.statements[-1]
    assert (cell.context, cell.verdict) == ("Speed", "unchecked")


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("it is 3.5 times faster [1]", "| ZORP | it is 3.5 times faster [1] | | it is small [1] |"),
        ("ZORP | it is fast [1] |", r"| ZORP | ZORP \| it is fast [1] | | it is small [1] |"),
        ("withdraw", "| ZORP | – | | it is small [1] |"),
        ("?", "| ZORP | – | | it is small [1] |"),  # no repair: the setting removes it
    ],
)
def test_a_row_with_a_column_of_sources_keeps_its_cells(line, row, folder):
    table = Step("| | | | |\n|---|---|---|---|\n| ZORP | it sings loud | [1] | it is small [1] |")
    check = Step("1 | none | unsupported | no\n2 | s3 | supported | x")
    steps = table, check, lambda body: fix(body, "it sings", line), Step("1 | s4 | supported | x")
    answer, _ = ask(folder, *steps, unsupported="remove")
    assert answer.text.splitlines()[-1] == row
    for statement in answer.statements:
        assert answer.text[statement.start :].startswith(statement.text)


def test_repair_can_be_turned_off(folder):
    answer, server = ask(folder, Step(DRAFT), Step(CHECK), repair=False)
    assert len(server.requests) == 2
    assert answer.statements[1].verdict == "contradicted"


def test_markers_that_a_repair_invents_are_no_citations(folder):
    steps = (
        Step("ZORP sings [1]."),
        Step("1 | none | unsupported | no"),
        Step("1 | ZORP hums [77]."),
        Step("1 | none | unsupported | no"),
    )
    answer, _ = ask(folder, *steps)
    assert answer.status == "abstained"
    assert "77" not in answer.text
