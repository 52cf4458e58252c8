"""Asking on the page: the handlers, called as the page calls them, over a real library."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from model_server import ModelServer, Step
from page_app import OFF_TOPIC, QUESTION, build, claimed, collect, make_context

from rag import Usage
from rag.web.actions import Actions
from rag.web.limits import RateLimit
from rag.web.session import NotYours
from rag.web.view import Outbox, View


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def context(library, tmp_path):
    made = make_context(library, tmp_path)
    yield made
    made.close()


def acts(context, session, **action):
    return collect(Actions(context).take(session, action))


def test_a_question_grows_into_a_cited_answer_with_its_source(context) -> None:
    session = claimed()
    views = collect(context.chat.ask(session, QUESTION))
    first, last = views[0], views[-1]
    assert (first.busy, last.busy) == (True, False)
    assert QUESTION in first.live
    assert first.question == ""
    assert any("3.5 times faster" in (view.live or "") for view in views)
    assert "3.5 times faster" in last.turn
    # 51 characters of the first sentence and 35 of the second, with their blanks
    assert '<mark data-start="86">ZORP is 3.5 times faster than BERT on long text.' in last.section
    assert last.message["kind"] == "store"
    assert [turn.question for turn in session.turns] == [QUESTION]


def test_a_later_answer_is_sent_alone_and_keeps_no_copies_of_papers(context) -> None:
    session = claimed()
    collect(context.chat.ask(session, QUESTION))
    views = collect(context.chat.ask(session, "what does QUUX sort samples by?"))
    assert views[0].kept == 1
    assert [view.past for view in views] == [None] * len(views)
    assert views[-1].turn.count("<article") == 1
    assert 'id="turn-2"' in views[-1].turn
    assert views[-1].section.count("<section") == 1
    library = {id(paper) for paper in context.pool.papers()}
    kept = [hit.paper for turn in session.turns for hit in turn.answer.hits]
    assert {id(paper) for paper in kept} <= library


def test_a_message_tells_all_that_its_stream_and_others_changed_just_now() -> None:
    outbox = Outbox()
    outbox.put("first", View(live="a", busy=True))
    assert outbox.put("first", View(live="b")) == {"first": {"live": "b", "busy": True}}
    sent = outbox.put("second", View(note=""))
    assert sent == {"first": {"live": "b", "busy": True}, "second": {"note": ""}}


def test_a_question_off_the_subject_is_an_abstention(context) -> None:
    views = collect(context.chat.ask(claimed(), OFF_TOPIC))
    assert "Not in these papers" in views[-1].turn


def test_a_follow_up_is_understood_with_the_question_before(context) -> None:
    session = claimed()
    collect(context.chat.ask(session, QUESTION))
    last = collect(context.chat.ask(session, "how many tokens does it attend to?"))[-1]
    assert "Understood as:" in last.turn
    assert len(session.turns) == 2


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("  ", "Write a question first."),
        ("?!\x00", "Write a question first."),
        ("x" * 4001, "longer than 4,000 characters"),
    ],
)
def test_what_is_no_question_is_told_in_place(context, question, sentence) -> None:
    session = claimed()
    (view,) = collect(context.chat.ask(session, question))
    assert sentence in view.note
    assert session.turns == []


def test_a_question_asked_again_takes_the_place_of_its_answer(context) -> None:
    session = claimed()
    collect(context.chat.ask(session, QUESTION))
    acts(context, session, act="retry")
    assert [turn.question for turn in session.turns] == [QUESTION]


def test_an_edited_question_replaces_its_turn_and_those_behind(context) -> None:
    session = claimed()
    for question in (QUESTION, "what does QUUX sort samples by?"):
        collect(context.chat.ask(session, question))
    (view,) = acts(context, session, act="edit", turn="1")
    assert view.question == QUESTION
    assert "the 1 after it" in view.note
    acts(context, session, act="ask", text="what is ZORP?", box=True)
    assert [turn.question for turn in session.turns] == ["what is ZORP?"]


def test_a_question_that_was_edited_and_left_replaces_nothing(context) -> None:
    session = claimed()
    collect(context.chat.ask(session, QUESTION))
    acts(context, session, act="edit", turn="1")
    (view,) = acts(context, session, act="cancel")
    assert view.note == ""
    acts(context, session, act="ask", text="what is ZORP?", box=True)
    assert [turn.question for turn in session.turns] == [QUESTION, "what is ZORP?"]


def test_the_title_follows_the_first_question_until_the_reader_gives_another(context) -> None:
    def edited(text):
        acts(context, session, act="edit", turn="1")
        acts(context, session, act="ask", text=text, box=True)
        return session.title

    session = claimed()
    collect(context.chat.ask(session, "what   is ZORP, " + "really, " * 40))
    assert edited("what is QUUX?") == "what is QUUX?"
    acts(context, session, act="rename", id=session.identity, text="On samples")
    assert edited("what is ZORP?") == "On samples"


def test_only_the_box_asks_the_edited_question(context) -> None:
    session = claimed()
    collect(context.chat.ask(session, QUESTION))
    acts(context, session, act="edit", turn="1")
    acts(context, session, act="ask", text="what is ZORP?")  # a suggested question
    assert [turn.question for turn in session.turns] == [QUESTION, "what is ZORP?"]
    assert session.editing is None


def test_an_error_of_the_library_is_one_sentence_and_the_page_goes_on(tmp_path) -> None:
    context = make_context(tmp_path / "nowhere", tmp_path)
    session = claimed()
    last = collect(context.chat.ask(session, QUESTION))[-1]
    context.close()
    assert 'role="alert"' in last.live
    assert "nowhere" in last.live
    assert last.busy is False
    assert session.pending == QUESTION


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"act": "fly"},
        {"act": "edit", "turn": "x"},
        {"act": "edit", "turn": "7"},
        {"act": "thumb", "turn": "1", "thumb": "up"},
        {"act": ["ask"]},
    ],
)
def test_an_action_that_makes_no_sense_does_nothing(context, action) -> None:
    session = claimed()
    for view in acts(context, session, **action):
        assert (view.turn, view.live, view.message) == (None, None, None)
    assert session.turns == []


def test_a_page_belongs_to_who_opened_it() -> None:
    session = claimed("ada")
    session.claim("ada")
    with pytest.raises(NotYours):
        session.claim("eve")
    with pytest.raises(NotYours):
        session.claim(None)


def test_papers_that_were_selected_are_the_only_ones_asked(context) -> None:
    session = claimed()
    session.only = frozenset({"quux-2"})
    collect(context.chat.ask(session, "what does QUUX sort samples by?"))
    answer = session.turns[0].answer
    assert {hit.paper.id for hit in answer.hits} == {"quux-2"}


def test_choices_of_a_reader_change_their_answers_alone(context) -> None:
    session, other = claimed(), claimed()
    session.choices.k, session.choices.sentences = 1, 1
    for each in (session, other):
        collect(context.chat.ask(each, QUESTION))
    assert len(session.turns[0].answer.hits) == 1
    assert len(session.turns[0].answer.statements) == 1
    assert len(other.turns[0].answer.hits) == 2


MODEL = {"chat_model": "tester", "chat_retries": 0, "check_with_model": False}


def test_a_model_writes_and_proposes_next_questions(library, tmp_path) -> None:
    def reply(body):
        if "may ask next" in body["messages"][0]["content"].casefold():
            return "1. What is QUUX?\n2. Why is ZORP fast?\n"
        return "ZORP is 3.5 times faster than BERT on long text [1]."

    with ModelServer(Step(reply=reply)) as server:
        context = make_context(library, tmp_path, chat_url=server.url, **MODEL)
        session = claimed()
        last = collect(context.chat.ask(session, QUESTION))[-1]
        view = asyncio.run(context.chat.suggest(session))
        context.close()
    assert "model: tester" in last.turn
    assert 'data-text="What is QUUX?"' in view.turn
    assert 'data-text="Why is ZORP fast?"' in view.turn


def test_stop_ends_the_models_request_and_keeps_what_was_written(library, tmp_path) -> None:
    step = Step(text="ZORP is fast [1]. " * 200, size=6, between_s=0.05)
    with ModelServer(step) as server:
        context = make_context(library, tmp_path, chat_url=server.url, **MODEL)
        session = claimed()
        views = []

        async def stopped():
            async for view in context.chat.ask(session, QUESTION):
                views.append(view)
                if "ZORP is fast" in (view.live or ""):
                    context.chat.stop(session)

        asyncio.run(stopped())
        assert server.disconnected.wait(5)
        context.close()
    assert "Stopped." in views[-1].live
    assert "ZORP is fast" in views[-1].live
    assert views[-1].busy is False
    assert session.turns == []
    assert session.pending == QUESTION


def test_stop_ends_a_request_whose_model_has_sent_nothing_yet(library, tmp_path) -> None:
    with ModelServer(Step(text="Too late.", first_byte_s=60)) as server:
        context = make_context(
            library, tmp_path, chat_url=server.url, **{**MODEL, "chat_retries": 2}
        )
        session = claimed()

        async def stopped():
            views = []
            async for view in context.chat.ask(session, QUESTION):
                views.append(view)
                asyncio.get_running_loop().call_later(0.2, stop_once_asked)
            return views

        def stop_once_asked():
            if server.requests:
                context.chat.stop(session)
            else:
                asyncio.get_running_loop().call_later(0.05, stop_once_asked)

        views = asyncio.run(stopped())
        assert server.disconnected.wait(5)
        context.close()
        assert len(server.requests) == 1
    assert "Stopped." in views[-1].live


def test_a_page_that_is_closed_while_it_asks_ends_the_models_request(library, tmp_path) -> None:
    with ModelServer(Step(text="word " * 400, size=5, between_s=0.05)) as server:
        context = make_context(library, tmp_path, chat_url=server.url, **MODEL)

        async def left():
            views = context.chat.ask(claimed(), QUESTION)
            async for view in views:
                if "word" in (view.live or ""):
                    break
            await views.aclose()

        asyncio.run(left())
        assert server.disconnected.wait(5)
        context.close()


def test_a_user_has_so_many_questions_an_hour_and_tokens_a_day() -> None:
    clock = [0.0]
    bounds = RateLimit(questions=2, tokens=100, now=lambda: clock[0])
    assert [bounds.take("ada"), bounds.take("ada")] == ["", ""]
    assert "2 questions within an hour" in bounds.take("ada")
    assert bounds.take("bob") == ""
    clock[0] = 3601.0
    assert bounds.take("ada") == ""
    bounds.spend("ada", Usage(1, 60, 40))
    assert "100 tokens within a day" in bounds.take("ada")
    clock[0] += 24 * 3600 + 1
    assert bounds.take("ada") == ""


def test_many_may_ask_while_the_library_changes(library, tmp_path) -> None:
    from rag import Assistant, Paper

    folder = build(tmp_path / "changing")
    assistant = Assistant.open(folder)
    failures = []

    def ask():
        try:
            for _ in range(12):
                assert assistant.search("sparse attention for long text", k=1)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(3):
        paper = Paper(f"new-{number}", f"NEW{number}: an addition", "It is new.")
        Assistant.build([paper], folder).close()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(assistant.papers()) == 5
    assistant.close()


def test_a_thumb_is_kept_at_the_click_and_what_follows_amends_it(context) -> None:
    session = claimed()
    for question in (QUESTION, "what does QUUX sort samples by?"):
        collect(context.chat.ask(session, question))

    def kept():
        (view,) = acts(context, session, act="feedback")
        lines = [json.loads(line) for line in view.message["text"].splitlines()]
        return [(line["question"], line["thumb"], line["comment"]) for line in lines]

    acts(context, session, act="thumb", turn="1", thumb="up")
    acts(context, session, act="thumb", turn="2", thumb="down")
    assert kept() == [(QUESTION, "up", ""), ("what does QUUX sort samples by?", "down", "")]
    acts(context, session, act="thumb", turn="2", thumb="down", comment=" too short ")
    acts(context, session, act="thumb", turn="1", thumb="down")
    assert kept() == [
        ("what does QUUX sort samples by?", "down", "too short"),
        (QUESTION, "down", ""),
    ]
    path = context.pool.settings.data_dir / "page" / "feedback.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["thumb"] for line in lines] == ["up", "down", "down", "down"]
    assert lines[0]["id"] == lines[3]["id"] != lines[1]["id"] == lines[2]["id"]
