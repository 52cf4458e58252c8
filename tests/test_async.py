"""The async API: answers like those of the synchronous one, many at once, cancelled at any time."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from contextvars import ContextVar

import pytest
from made_up_papers import QUESTION, QUUX, ZORP
from model_server import ModelServer, Step

from rag import Assistant, Done, Filter, Text, load_settings
from rag.errors import SettingsError

NUMBERED = "What does note {} say of skipping tokens?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build([ZORP, QUUX], path).close()
    return path


def open_with(folder, server, **settings):
    given = {"chat_model": "tester", "chat_retries": 0, "check_with_model": False, **settings}
    return Assistant.open(folder, settings=load_settings(chat_url=server.url, **given))


def describe(answer):
    """What an answer says, without how long it took."""
    return {name: value for name, value in answer.to_dict().items() if name != "seconds"}


def repeat_number(body):
    """Answer a numbered question with its number."""
    number = re.search(r"What does note (\d+) say", body["messages"][-1]["content"])[1]
    return f"Note {number} says that ZORP skips tokens [1]."


def test_async_calls_give_what_the_synchronous_ones_give(folder):
    async def ask_all(assistant):
        events = [event async for event in assistant.astream(QUESTION)]
        where = Filter(ids=(QUUX.id,))
        return (
            await assistant.aask(QUESTION),
            events[-1].answer,
            await assistant.asearch(QUESTION, k=1),
            await assistant.asearch(QUESTION, where=where),
        )

    with Assistant.open(folder) as assistant:
        expected = describe(assistant.ask(QUESTION))
        asked, streamed, hits, filtered = asyncio.run(ask_all(assistant))
        assert describe(asked) == describe(streamed) == expected
        assert hits == assistant.search(QUESTION, k=1)
    assert [hit.paper.id for hit in filtered] == [QUUX.id]


def test_fifty_questions_at_once_share_one_index_and_keep_apart(folder):
    async def ask_all(assistant):
        questions = [NUMBERED.format(number) for number in range(50)]
        return await asyncio.gather(*map(assistant.aask, questions))

    with (
        ModelServer(Step(reply=repeat_number, between_s=0.01)) as server,
        open_with(folder, server) as assistant,
    ):
        answers = asyncio.run(ask_all(assistant))
    assert len(answers) == 50
    for number, answer in enumerate(answers):
        assert answer.question == NUMBERED.format(number)
        assert answer.text == f"Note {number} says that ZORP skips tokens [1]."
        assert [c.number for c in answer.citations] == [1]


def test_cancelling_a_question_ends_its_request_and_leaves_the_assistant_usable(folder):
    async def cancel_first(assistant, server):
        task = asyncio.create_task(assistant.aask(QUESTION))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await assistant.aask(QUESTION)

    steps = (Step("late", first_byte_s=60), Step("ZORP skips tokens [1]."))
    with ModelServer(*steps) as server, open_with(folder, server) as assistant:
        answer = asyncio.run(cancel_first(assistant, server))
        assert server.disconnected.wait(10)
    assert answer.text == "ZORP skips tokens [1]."


def test_leaving_a_stream_ends_its_request(folder):
    async def read_first_text(assistant):
        async with aclosing(assistant.astream(QUESTION)) as events:
            async for event in events:
                if isinstance(event, Text):
                    return event.delta
        return ""

    endless = Step("word " * 2000, size=5, between_s=0.05)
    with ModelServer(endless) as server, open_with(folder, server) as assistant:
        assert asyncio.run(read_first_text(assistant))
        assert server.disconnected.wait(10)


def test_a_question_outlives_no_event_loop(folder):
    async def start_only(assistant, server):
        started = asyncio.create_task(assistant.aask(QUESTION))
        while not server.requests:
            await asyncio.sleep(0.01)
        assert not started.done()

    with (
        ModelServer(Step("late", first_byte_s=60)) as server,
        open_with(folder, server) as assistant,
    ):
        asyncio.run(start_only(assistant, server))
        assert server.disconnected.wait(10)


def test_a_bad_argument_is_raised_where_the_answer_is_awaited(folder):
    with Assistant.open(folder) as assistant:
        with pytest.raises(SettingsError, match="The question is empty"):
            asyncio.run(assistant.aask(" "))
        with pytest.raises(SettingsError, match="k = 0 is no number of papers"):
            asyncio.run(assistant.asearch(QUESTION, k=0))


def test_the_thread_of_a_question_sees_the_context_of_its_task(folder):
    user = ContextVar("user", default="nobody")
    seen = []

    class Watched(Assistant):
        def stream(self, *arguments, **options):
            seen.append(user.get())
            return super().stream(*arguments, **options)

    async def ask_as(name, assistant):
        user.set(name)
        return [event async for event in assistant.astream(QUESTION)][-1]

    with Watched.open(folder) as assistant:
        assert isinstance(asyncio.run(ask_as("ada", assistant)), Done)
    assert seen == ["ada"]
