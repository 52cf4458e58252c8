"""Asking on the page: the handlers, called as the page calls them, over a real library."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from model_server import ModelServer, Step
from page_app import OFF_TOPIC, QUESTION, SECOND, act, ask, build, collect, make_context, open_page

from rag import Assistant, Paper, Usage
from rag.errors import RagError
from rag.serving.limits import RateLimit
from rag.web.view import Outbox, View

MODEL = {"chat_model": "tester", "chat_retries": 0, "check_with_model": False}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def context(library, tmp_path):
    made = make_context(library, tmp_path)
    yield made
    made.close()


@pytest.fixture
def with_model(library, tmp_path):
    """Return a function that makes a context which asks a model server."""
    made = []

    def make(server, **settings):
        made.append(make_context(library, tmp_path, chat_url=server.url, **{**MODEL, **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_question_grows_into_a_cited_answer_with_its_source(context) -> None:
    session = open_page()
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
    session = open_page()
    ask(context, session)
    views = collect(context.chat.ask(session, SECOND))
    assert views[0].kept == 1
    assert [view.past for view in views] == [None] * len(views)
    assert views[-1].turn.count("<article") == 1
    assert 'id="turn-2"' in views[-1].turn
    assert views[-1].section.count("<section") == 1
    library = {id(paper) for paper in context.pool.get_papers()}
    kept = [hit.paper for turn in session.turns for hit in turn.answer.hits]
    assert {id(paper) for paper in kept} <= library


def test_a_message_repeats_what_its_stream_and_others_changed_just_now() -> None:
    outbox = Outbox()
    outbox.put("first", View(live="a", busy=True))
    assert outbox.put("first", View(live="b")) == {"first": {"live": "b", "busy": True}}
    sent = outbox.put("second", View(note=""))
    assert sent == {"first": {"live": "b", "busy": True}, "second": {"note": ""}}


def test_a_question_off_the_subject_is_an_abstention(context) -> None:
    turn = ask(context, open_page(), OFF_TOPIC).turn
    assert 'class="abstention"' in turn
    assert "<li><strong>Closest:</strong> " in turn


def test_the_list_switch_lists_the_papers_of_a_subject_and_retry_lists_again(context) -> None:
    session = open_page()
    last = act(context, session, act="ask", text="sparse attention", list=True)[-1]
    assert session.turns[0].answer.kind == "list"
    assert '<span class="score" title="Relevance from 0 to 1">' in last.turn
    assert "We propose ZORP, a sparse attention for long text." in last.turn
    act(context, session, act="retry")
    assert [turn.answer.kind for turn in session.turns] == ["list"]


def test_a_question_is_asked_again_as_it_was_written(context) -> None:
    session, question = open_page(), "What do papers by Dorn say about attention?"
    ask(context, session, SECOND)
    button = 'data-act="retry" data-turn="2" data-written="yes">Ask as written</button>'
    last = ask(context, session, question).turn
    assert "Only papers <bdi>by Dorn</bdi> <button" in last
    assert button in last
    views = act(context, session, act="retry", turn="2", written="yes")
    assert (views[0].kept, "Only papers" in views[-1].turn) == (1, False)
    assert [turn.question for turn in session.turns] == [SECOND, question]
    assert "zorp-1" in [hit.paper.id for hit in session.turns[1].answer.hits]
    act(context, session, act="retry", turn="2")
    assert session.turns[1].answer.scope == ""
    assert button.replace('"2"', '"3"') in ask(context, session, question).turn


def test_papers_that_were_chosen_cannot_be_asked_without_that_choice(context) -> None:
    session = open_page()
    session.only = frozenset({"quux-2"})
    named = "called “QUUX: Curriculum Order Matters”"
    last = ask(context, session, SECOND).turn
    assert f"Only papers <bdi>{named}</bdi></p>" in last
    assert "Ask as written" in ask(context, session, "what do papers by Dorn sort by?").turn
    act(context, session, act="retry", turn="2", written="yes")
    assert session.turns[1].answer.scope == named


def test_a_follow_up_is_understood_with_the_question_before(context) -> None:
    session = open_page()
    ask(context, session)
    question = "how many tokens does it attend to?"
    last = ask(context, session, question).turn
    assert "Understood as:" in last
    assert last.count("Ask as written") == 1
    act(context, session, act="retry", turn="2", written="yes")
    assert [turn.answer.asked for turn in session.turns][1:] == [question]


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("  ", "Write a question first."),
        ("?!\x00", "Write a question first."),
        ("x" * 4001, "longer than 4,000 characters"),
    ],
)
def test_text_that_is_not_a_question_is_refused_in_place(context, question, sentence) -> None:
    session = open_page()
    (view,) = collect(context.chat.ask(session, question))
    assert sentence in view.note
    assert session.turns == []


def test_an_edited_question_replaces_its_turn_and_later_ones(context) -> None:
    session = open_page()
    for question in (QUESTION, SECOND):
        ask(context, session, question)
    (view,) = act(context, session, act="edit", turn="1")
    assert view.question == QUESTION
    assert "the 1 after it" in view.note
    act(context, session, act="ask", text="what is ZORP?", box=True)
    assert [turn.question for turn in session.turns] == ["what is ZORP?"]


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_question_that_was_not_edited_in_the_end_replaces_nothing(context, is_cancelled) -> None:
    session = open_page()
    ask(context, session)
    act(context, session, act="edit", turn="1")
    if is_cancelled:
        assert act(context, session, act="cancel")[0].note == ""
    act(context, session, act="ask", text="what is ZORP?", box=is_cancelled)
    assert [turn.question for turn in session.turns] == [QUESTION, "what is ZORP?"]
    assert session.editing is None


def test_the_title_follows_the_first_question_until_the_reader_renames_it(context) -> None:
    def edit(text):
        act(context, session, act="edit", turn="1")
        act(context, session, act="ask", text=text, box=True)
        return session.title

    session = open_page()
    ask(context, session, "what   is ZORP, " + "really, " * 40)
    assert edit("what is QUUX?") == "what is QUUX?"
    act(context, session, act="rename", id=session.conversation_id, text="On samples")
    assert edit("what is ZORP?") == "On samples"


def test_an_error_of_the_library_is_one_sentence_and_the_page_goes_on(tmp_path) -> None:
    context = make_context(tmp_path / "nowhere", tmp_path)
    session = open_page()
    ask(context, session)
    act(context, session, act="edit", turn=1)
    last = act(context, session, act="ask", text=SECOND, box=True)[-1]
    context.close()
    assert 'role="alert"' in last.live
    assert "nowhere" in last.live
    assert last.busy is False
    assert session.pending == SECOND


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
    session = open_page()
    for view in act(context, session, **action):
        assert (view.turn, view.live, view.message) == (None, None, None)
    assert session.turns == []


def test_a_page_belongs_to_the_user_who_opened_it() -> None:
    session = open_page("ada")
    session.claim("ada")
    for user in ("eve", None):
        with pytest.raises(RagError):
            session.claim(user)


def test_selected_papers_are_the_only_ones_asked(context) -> None:
    session = open_page()
    session.only = frozenset({"quux-2"})
    ask(context, session, SECOND)
    assert {hit.paper.id for hit in session.turns[0].answer.hits} == {"quux-2"}


def test_the_choices_of_a_reader_change_their_answers_alone(context) -> None:
    session, other = open_page(), open_page()
    session.choices = {"k": 1, "sentences": 1}
    for each in (session, other):
        ask(context, each)
    assert len(session.turns[0].answer.hits) == 1
    assert len(session.turns[0].answer.citations) == 1
    assert len(other.turns[0].answer.hits) == 2


def test_a_model_writes_and_proposes_next_questions(with_model) -> None:
    def reply(body):
        if "may ask next" in body["messages"][0]["content"].casefold():
            return "1. What is QUUX?\n2. Why is ZORP fast?\n"
        return "ZORP is 3.5 times faster than BERT on long text [1]."

    with ModelServer(Step(reply=reply)) as server:
        context, session = with_model(server), open_page()
        last = ask(context, session)
        (view,) = collect(context.chat.suggest(session))
    assert "model: tester" in last.turn
    assert 'data-text="What is QUUX?"' in view.turn
    assert 'data-text="Why is ZORP fast?"' in view.turn


def test_stop_ends_the_models_request_and_keeps_what_was_written(with_model) -> None:
    step = Step(text="ZORP is fast [1]. " * 200, size=6, between_s=0.05)
    with ModelServer(step) as server:
        context, session, views = with_model(server), open_page(), []

        async def ask_and_stop():
            async for view in context.chat.ask(session, QUESTION):
                views.append(view)
                if "ZORP is fast" in (view.live or ""):
                    context.chat.stop(session)

        asyncio.run(ask_and_stop())
        assert server.disconnected.wait(5)
    assert "Stopped." in views[-1].live
    assert "ZORP is fast" in views[-1].live
    assert views[-1].busy is False
    assert session.turns == []
    assert session.pending == QUESTION


def test_stop_ends_a_request_whose_model_has_sent_nothing_yet(with_model) -> None:
    with ModelServer(Step(text="Too late.", first_byte_s=60)) as server:
        context, session = with_model(server, chat_retries=2), open_page()

        async def ask_and_stop():
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

        views = asyncio.run(ask_and_stop())
        assert server.disconnected.wait(5)
        assert len(server.requests) == 1
    assert "Stopped." in views[-1].live


def test_a_page_that_is_closed_while_it_asks_ends_the_models_request(with_model) -> None:
    with ModelServer(Step(text="word " * 400, size=5, between_s=0.05)) as server:
        context = with_model(server)

        async def ask_and_leave():
            views = context.chat.ask(open_page(), QUESTION)
            async for view in views:
                if "word" in (view.live or ""):
                    break
            await views.aclose()

        asyncio.run(ask_and_leave())
        assert server.disconnected.wait(5)


def test_a_user_has_so_many_questions_an_hour_and_tokens_a_day() -> None:
    clock = [0.0]
    limit = RateLimit(questions=2, tokens=100, now=lambda: clock[0])
    assert [limit.count_question("ada"), limit.count_question("ada")] == ["", ""]
    assert "2 questions within an hour" in limit.count_question("ada")
    assert limit.count_question("bob") == ""
    clock[0] = 3601.0
    assert limit.count_question("ada") == ""
    limit.count_tokens("ada", Usage(1, 60, 40))
    assert "100 tokens within a day" in limit.count_question("ada")
    clock[0] += 24 * 3600 + 1
    assert limit.count_question("ada") == ""


def test_many_may_ask_while_the_library_changes(tmp_path) -> None:
    folder = build(tmp_path / "changing")
    assistant = Assistant.open(folder)
    failures = []

    def search():
        try:
            for _ in range(12):
                assert assistant.search("sparse attention for long text", k=1)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
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


def test_a_thumb_is_kept_at_the_click_and_later_ones_replace_it(context) -> None:
    session = open_page()
    for question in (QUESTION, SECOND):
        ask(context, session, question)

    def download():
        (view,) = act(context, session, act="feedback")
        lines = [json.loads(line) for line in view.message["text"].splitlines()]
        return [(line["question"], line["thumb"], line["comment"]) for line in lines]

    act(context, session, act="thumb", turn="1", thumb="up")
    act(context, session, act="thumb", turn="2", thumb="down")
    assert download() == [(QUESTION, "up", ""), (SECOND, "down", "")]
    act(context, session, act="thumb", turn="2", thumb="down", comment=" too short ")
    act(context, session, act="thumb", turn="1", thumb="down")
    assert download() == [(SECOND, "down", "too short"), (QUESTION, "down", "")]
    path = context.pool.settings.data_dir / "page" / "feedback.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["thumb"] for line in lines] == ["up", "down", "down", "down"]
    assert lines[0]["id"] == lines[3]["id"] != lines[1]["id"] == lines[2]["id"]
