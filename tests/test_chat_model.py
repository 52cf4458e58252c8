"""The edge to language models, against a real server on loopback that fails in every way."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from model_server import ModelServer, Step

from rag import load_settings
from rag.embedding import make_embedder
from rag.errors import ModelRejected, ModelReplyInvalid, ModelUnavailable, SettingsError
from rag.llm import ChatModel, Message, make_chat_model

PROMPT = [Message("system", "Be brief."), Message("user", "What is it?")]


def model(server, **settings):
    given = {"chat_model": "tester", "chat_url": server.url, "chat_key": "sk-secret-1", **settings}
    return make_chat_model(load_settings(**given))


def stream(*chunks):
    """The bytes of a reply; a text is a piece of it, a dict a whole chunk."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    fields = [
        chunk
        if isinstance(chunk, dict)
        else {"choices": [{"index": 0, "delta": {"content": chunk}}]}
        for chunk in chunks
    ]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in [*fields, last])


def test_reply_streams_and_is_counted():
    with ModelServer(Step("It is a test, no more.", empty_choices=True)) as server:
        reply = model(server).reply(PROMPT)
        pieces = list(reply)
    assert len(pieces) > 1
    assert "".join(pieces) == reply.text == "It is a test, no more."
    assert (reply.usage.calls, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        1,
        100,
        20,
    )
    assert not reply.broken
    assert server.requests[0]["temperature"] == 0
    assert [m["role"] for m in server.requests[0]["messages"]] == ["system", "user"]


def test_tokens_are_estimated_where_the_server_gives_none():
    with ModelServer(Step("One two three.", usage=False)) as server:
        usage = model(server).complete(PROMPT).usage
    assert usage.estimated
    assert usage.completion_tokens == 4  # One| two| three|.
    assert usage.prompt_tokens > 5


def test_characters_split_over_packets_arrive_whole():
    text = "Größe 数字 🙂 [1]"
    with ModelServer(Step(text, split_bytes=3)) as server:
        assert model(server).complete(PROMPT).text == text


@pytest.mark.parametrize(
    ("first", "calls"),
    [
        (Step("slow down", status=429, headers={"Retry-After": "0.05"}), 2),
        (Step("oops", status=500, headers={"Retry-After": "0"}), 2),
        (Step("busy", status=503, headers={"Retry-After": "0"}), 2),
    ],
)
def test_passing_failures_are_tried_again(first, calls):
    with ModelServer(first, Step("Fine now.")) as server:
        assert model(server).complete(PROMPT).text == "Fine now."
    assert len(server.requests) == calls


def test_failing_twice_and_then_well_is_well_and_tries_are_limited():
    failure = Step("oops", status=500, headers={"Retry-After": "0"})
    with ModelServer(failure, failure, Step("Fine.")) as server:
        assert model(server).complete(PROMPT).text == "Fine."
    with ModelServer(failure) as server:
        with pytest.raises(ModelUnavailable, match=r"tester is not available now \(HTTP 500"):
            model(server, chat_retries=2).complete(PROMPT)
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_are_not_tried_again(status):
    with ModelServer(Step("no: key sk-secret-1 is wrong", status=status)) as server:
        with pytest.raises(ModelRejected) as caught:
            model(server).complete(PROMPT)
        assert len(server.requests) == 1
    assert f"HTTP {status}" in str(caught.value)
    assert "sk-secret-1" not in str(caught.value)


def test_redirects_are_not_followed():
    with ModelServer(Step("Never asked.")) as other:
        away = Step("", status=307, raw=b"", headers={"Location": other.url + "/chat/completions"})
        with ModelServer(away) as server, pytest.raises(ModelRejected, match="HTTP 307"):
            model(server).complete(PROMPT)
        assert other.requests == []


def test_a_server_that_is_not_there_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = load_settings(
        chat_model="tester", chat_url=f"http://127.0.0.1:{port}/v1", chat_retries=0
    )
    chat = make_chat_model(settings)
    with pytest.raises(ModelUnavailable, match="was not reached"):
        chat.complete(PROMPT)


def test_a_slow_first_byte_times_out_and_names_the_setting_and_the_tries():
    with ModelServer(Step("late", first_byte_s=2)) as server:
        chat = model(server, chat_timeout_s=0.2, chat_retries=1)
        with pytest.raises(ModelUnavailable, match=r"PAPERTRAIL_CHAT_TIMEOUT_S.* tried 2 times"):
            chat.complete(PROMPT)


def test_a_server_that_asks_for_a_long_wait_is_not_tried_again():
    with ModelServer(Step("slow down", status=429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(ModelUnavailable, match="try again in 3600 s, as the server asks"):
            model(server).complete(PROMPT)
        assert len(server.requests) == 1


def test_of_a_refusal_the_servers_message_is_shown_and_no_control_character():
    said = "no\x1b]0;title\x07 such \x9b31mmodel\u202e \u2066here\ud800\nand more"
    with ModelServer(Step(said, status=404)) as server, pytest.raises(ModelRejected) as caught:
        model(server).complete(PROMPT)
    assert "(HTTP 404; no]0;title such 31mmodel here)" in str(caught.value)


@pytest.mark.parametrize("written", [repr, json.dumps, str])
def test_a_key_is_blotted_out_however_the_server_writes_it(written):
    key = "sk-'\"\\-end"
    step = Step(f"not {written(key)}", status=401)
    with ModelServer(step) as server, pytest.raises(ModelRejected) as caught:
        model(server, chat_key=key).complete(PROMPT)
    assert "***" in str(caught.value)
    assert "-end" not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        Step("A long reply that is cut half-way through.", cut_after=4),
        Step("A long reply that just ends.", finish=None),
        Step("A long reply that reached the limit.", finish="length"),
        Step("A long reply that somebody filtered.", finish="content_filter"),
        Step("A long reply that the server gave up.", finish="error"),
    ],
)
def test_a_cut_reply_keeps_its_text_and_says_so(step):
    with ModelServer(step) as server:
        reply = model(server).reply(PROMPT)
        assert "".join(reply).startswith("A long")
        assert reply.broken
        with pytest.raises(ModelReplyInvalid):
            model(server).complete(PROMPT)


@pytest.mark.parametrize(
    "step",
    [
        Step(raw=b"<html>hello</html>", content_type="text/html"),
        Step(raw=b'{"choices": []}', content_type="application/json"),
        Step(raw=b"data: {broken\n\n"),
        Step(""),
        Step(raw=b""),
    ],
)
def test_what_is_no_reply_is_told(step):
    with ModelServer(step) as server, pytest.raises(ModelReplyInvalid, match="tester"):
        model(server, chat_retries=0).complete(PROMPT)


def test_a_refused_temperature_is_left_out_from_then_on():
    no = Step("Unsupported value: 'temperature' does not support 0.0", status=400)
    with ModelServer(no, Step("Hot."), Step("Again.")) as server:
        chat = model(server)
        assert chat.complete(PROMPT).text == "Hot."
        assert chat.complete(PROMPT).text == "Again."
    assert ["temperature" in body for body in server.requests] == [True, False, False]


class RefusesTemperature:
    """A model whose first two calls meet and are refused together."""

    metadata = LLMMetadata(model_name="picky")

    def __init__(self):
        self.barrier = threading.Barrier(2)

    def stream_chat(self, messages, *, temperature):
        if temperature == 0:
            self.barrier.wait(10)
            refusal = ValueError("temperature is not supported")
            refusal.status_code = 400
            raise refusal
        yield ChatResponse(message=ChatMessage(content="Hot."), delta="Hot.")


def test_calls_that_are_refused_a_parameter_at_once_all_leave_it_out():
    chat = ChatModel(RefusesTemperature(), parameters={"temperature": 0})
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda _: chat.complete(PROMPT).text, range(2)))
    assert replies == ["Hot.", "Hot."]


def test_a_chunk_without_choices_is_passed_over():
    body = stream("One ", {"choices": None}, {}, {"choices": [None]}, "two.")
    with ModelServer(Step(raw=body)) as server:
        assert model(server).complete(PROMPT).text == "One two."


def test_halves_of_characters_are_joined_or_replaced():
    body = stream("a\ud83d", "\ude42b\ud800", "c", "\udc00d\ud800")
    with ModelServer(Step(raw=body)) as server:
        reply = model(server).reply(PROMPT)
        pieces = "".join(reply)
    assert pieces == reply.text == "a🙂b\ufffdc\ufffdd\ufffd"


@pytest.mark.parametrize("figure", ["many", float("nan"), float("inf"), -1, None, {}])
def test_figures_that_cannot_be_are_no_figures(figure):
    usage = {"choices": [], "usage": {"prompt_tokens": figure, "completion_tokens": figure}}
    with ModelServer(Step(raw=stream("One two three.", usage))) as server:
        reply = model(server).complete(PROMPT)
    assert reply.usage.estimated
    assert reply.usage.completion_tokens == 4  # One| two| three|.


def test_closing_a_reply_ends_the_request():
    with ModelServer(Step("word " * 4000, size=5, between_s=0.005)) as server:
        reply = model(server).reply(PROMPT)
        pieces = iter(reply)
        next(pieces)
        pieces.close()
        assert server.disconnected.wait(5)


def test_thoughts_without_an_opening_tag_restart_the_reply():
    with ModelServer(Step("Hm, paper 2? </think>\n\nPaper 1 does.")) as server:
        reply = model(server).complete(PROMPT)
    assert reply.restarted
    assert reply.text == "Paper 1 does."


def test_keys_go_only_where_they_belong(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: private")
    with ModelServer(Step("Hi.")) as server:
        make_chat_model(load_settings(chat_model="m", chat_url=server.url)).complete(PROMPT)
        model(server).complete(PROMPT)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        make_chat_model(load_settings(chat_model="m")).complete(PROMPT)
    assert [h["Authorization"] for h in server.headers] == [
        "Bearer none",
        "Bearer sk-secret-1",
        "Bearer sk-openai",
    ]
    for headers in server.headers[:2]:
        assert not {"OpenAI-Organization", "X-Mine"} & set(headers)
        assert "sk-openai" not in str(headers)


def test_a_model_without_a_key_names_the_variable():
    with pytest.raises(SettingsError, match="set OPENAI_API_KEY"):
        make_chat_model(load_settings(chat_model="gpt-4o-mini"))
    with pytest.raises(SettingsError, match="OPENAI_API_KEY, or name another server with PAPERTR"):
        make_embedder(load_settings(embed_model="text-embedding-3-small"))
    with pytest.raises(SettingsError, match="no server's address"):
        make_chat_model(load_settings(chat_model="m", chat_url="localhost:80"))
    assert make_chat_model(load_settings(openai_api_key="sk-lying-around")) is None


def test_windows_are_known_set_or_safe():
    known = {"chat_url": "http://127.0.0.1:9/v1"}
    assert make_chat_model(load_settings(chat_model="gpt-4o-mini", **known)).window == 128_000
    assert make_chat_model(load_settings(chat_model="unheard-of", **known)).window == 8192
    assert make_chat_model(load_settings(chat_model="x", chat_window=4000, **known)).window == 4000
