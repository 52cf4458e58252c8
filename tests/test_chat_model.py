"""`ChatModel` against a real server on loopback that fails in every way."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from model_server import ModelServer, Step

from rag import load_settings
from rag.embedding import make_embedder
from rag.errors import (
    ModelError,
    ModelRejected,
    ModelReplyInvalid,
    ModelUnavailable,
    PromptTooLong,
    SettingsError,
)
from rag.llm import Message, Stop, make_chat_model

PROMPT = [Message("system", "Be brief."), Message("user", "What is it?")]


def model(server, **settings):
    given = {"chat_model": "tester", "chat_url": server.url, "chat_key": "sk-secret-1", **settings}
    return make_chat_model(load_settings(**given))


def stream(*chunks):
    """The bytes of a reply. A text is a piece of it, a dict a whole chunk."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    fields = [
        chunk
        if isinstance(chunk, dict)
        else {"choices": [{"index": 0, "delta": {"content": chunk}}]}
        for chunk in chunks
    ]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in [*fields, last])


# Replies


def test_reply_streams_and_is_counted():
    with ModelServer(Step("It is a test, no more.", empty_choices=True)) as server:
        reply = model(server).reply(PROMPT)
        pieces = list(reply)
    assert len(pieces) > 1
    assert "".join(pieces) == reply.text == "It is a test, no more."
    usage = reply.usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 100, 20)
    assert not usage.estimated
    assert not reply.broken
    assert server.requests[0]["temperature"] == 0
    assert [m["role"] for m in server.requests[0]["messages"]] == ["system", "user"]


@pytest.mark.parametrize("figure", ["absent", "many", float("nan"), float("inf"), -1, None, {}])
def test_tokens_are_estimated_when_the_server_sends_no_valid_figures(figure):
    usage = {"prompt_tokens": figure, "completion_tokens": figure}
    chunks = [] if figure == "absent" else [{"choices": [], "usage": usage}]
    with ModelServer(Step(raw=stream("One two three.", *chunks))) as server:
        counted = model(server).complete(PROMPT).usage
    assert counted.estimated
    assert counted.completion_tokens == 4  # One| two| three|.
    assert counted.prompt_tokens > 5


def test_characters_split_over_packets_arrive_whole():
    text = "Größe 数字 🙂 [1]"
    with ModelServer(Step(text, split_bytes=3)) as server:
        assert model(server).complete(PROMPT).text == text


def test_halves_of_characters_are_joined_or_replaced():
    body = stream("a\ud83d", "\ude42b\ud800", "c", "\udc00d\ud800")
    with ModelServer(Step(raw=body)) as server:
        reply = model(server).reply(PROMPT)
        pieces = "".join(reply)
    assert pieces == reply.text == "a🙂b\ufffdc\ufffdd\ufffd"


def test_chunks_without_choices_or_text_are_skipped():
    odd = [{"choices": None}, {}, {"choices": [None]}, {"choices": [{"delta": None}]}]
    with ModelServer(Step(raw=stream("One ", *odd, {"choices": [{}]}, "two."))) as server:
        assert model(server).complete(PROMPT).text == "One two."


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
def test_incomplete_reply_keeps_its_text_and_says_so(step):
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
        Step(raw=b"data: 5\n\n"),
        Step(""),
        Step(raw=b""),
    ],
)
def test_what_is_not_a_reply_is_an_error(step):
    with ModelServer(step) as server, pytest.raises(ModelReplyInvalid, match="tester"):
        model(server, chat_retries=0).complete(PROMPT)


def test_thoughts_without_an_opening_tag_restart_the_reply():
    with ModelServer(Step("Hm, paper 2? </think>\n\nPaper 1 does.")) as server:
        reply = model(server).complete(PROMPT)
    assert reply.restarted
    assert reply.text == "Paper 1 does."


# Failures


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_passing_failures_are_retried(status):
    failure = Step("busy", status=status, headers={"Retry-After": "0.02"})
    with ModelServer(failure, failure, Step("Fine now.")) as server:
        assert model(server).complete(PROMPT).text == "Fine now."
        assert len(server.requests) == 3


def test_retries_are_limited_and_counted():
    with ModelServer(Step("oops", status=500, headers={"Retry-After": "0"})) as server:
        with pytest.raises(ModelUnavailable, match=r"HTTP 500: oops.*It was tried 3 times\."):
            model(server, chat_retries=2).complete(PROMPT)
        assert len(server.requests) == 3


def test_server_that_asks_for_a_long_wait_is_not_retried():
    with ModelServer(Step("slow down", status=429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(ModelUnavailable, match="Try again in 3600 s, as the server asks"):
            model(server).complete(PROMPT)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_are_not_retried(status):
    with ModelServer(Step("no", status=status)) as server:
        with pytest.raises(ModelRejected, match=f"HTTP {status}: no"):
            model(server).complete(PROMPT)
        assert len(server.requests) == 1


def test_a_server_of_this_machine_that_does_not_run_is_tried_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    chat = make_chat_model(load_settings(chat_model="tester", chat_url=url))
    with pytest.raises(ModelUnavailable, match=r"Cannot reach the model tester .* try again\.$"):
        chat.complete(PROMPT)


def test_time_out_names_the_setting_and_the_tries():
    with ModelServer(Step("late", first_byte_s=2)) as server:
        chat = model(server, chat_timeout_s=0.2, chat_retries=1)
        with pytest.raises(ModelUnavailable, match=r"PAPERTRAIL_CHAT_TIMEOUT_S.* tried 2 times"):
            chat.complete(PROMPT)


def test_refusal_shows_the_servers_message_without_control_characters():
    message = "no\x1b]0;title\x07 such \x9b31mmodel\u202e \u2066here\ud800\nand more"
    with ModelServer(Step(message, status=404)) as server, pytest.raises(ModelRejected) as caught:
        model(server).complete(PROMPT)
    assert "(HTTP 404: no]0;title such 31mmodel here)" in str(caught.value)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("temperature", "Unsupported value: 'temperature' does not support 0.0"),
        ("stream_options", "extra fields not permitted: Stream_Options"),
    ],
)
def test_refused_parameter_is_left_out_from_then_on(parameter, said, status):
    with ModelServer(Step(said, status=status), Step("Hot."), Step("Again.")) as server:
        chat = model(server)
        assert [chat.complete(PROMPT).text for _ in range(2)] == ["Hot.", "Again."]
    assert [parameter in body for body in server.requests] == [True, False, False]


SCHEMA = {"type": "object", "properties": {}}
REFUSED_SCHEMAS = [
    *(Step("json_schema is not supported", status=status) for status in (400, 404, 415, 500, 501)),
    Step("'response_format' of type 'json_schema' is not supported", status=422),
    Step(raw=b'{"error": {"message": "bad grammar"}}', content_type="application/json"),
    Step(raw=b'data: {"error": {"message": "bad grammar", "code": 400}}\n\n'),
    Step(""),
    Step(" \n" * 4000, size=40),
]


@pytest.mark.parametrize("step", REFUSED_SCHEMAS)
def test_schema_is_sent_until_a_server_fails_with_it(step):
    with ModelServer(Step("{}"), step, Step("{}")) as server:
        chat = model(server)
        replies = [chat.complete(PROMPT, schema=SCHEMA).text.strip() for _ in range(3)]
    assert replies == ["{}"] * 3
    sent = [body.get("response_format") for body in server.requests]
    assert [each and each["json_schema"]["schema"] for each in sent] == [SCHEMA, SCHEMA, None, None]


@pytest.mark.parametrize("step", [Step("busy", status=503), Step("key", status=401)])
def test_schema_stays_where_it_is_no_reason_to_fail(step):
    with ModelServer(step) as server:
        chat = model(server, chat_retries=0)
        for _ in range(2):
            with pytest.raises(ModelError):
                chat.complete(PROMPT, schema=SCHEMA)
    assert ["response_format" in body for body in server.requests] == [True, True]


def test_schema_stays_if_the_call_fails_without_it_too():
    with ModelServer(Step("down", status=500)) as server:
        chat = model(server, chat_retries=1)
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match="tried 2 times"):
                chat.complete(PROMPT, schema=SCHEMA)
    assert ["response_format" in body for body in server.requests] == [True, False, False] * 2


def test_calls_refused_at_the_same_time_all_leave_the_parameter_out():
    barrier = threading.Barrier(2)

    def answer(body):
        if "temperature" not in body:
            return Step("Hot.")
        barrier.wait(10)
        return Step("temperature is not supported", status=400)

    with ModelServer(answer) as server, ThreadPoolExecutor(2) as pool:
        chat = model(server)
        replies = list(pool.map(lambda _: chat.complete(PROMPT).text, range(2)))
    assert replies == ["Hot.", "Hot."]


@pytest.mark.parametrize("newer", [True, False])
def test_the_limit_of_a_reply_is_sent_as_the_server_takes_it(newer):
    def answer(body):
        if "max_tokens" in body:
            instead = " Use 'max_completion_tokens' instead." if newer else ""
            return Step(f"'max_tokens' is not supported.{instead}", status=400)
        return Step("Fine.")

    with ModelServer(answer) as server:
        assert model(server, chat_reserve=500).complete(PROMPT).text == "Fine."
        first, second = server.requests
    assert first["max_tokens"] == 2000
    assert "max_tokens" not in second
    assert second.get("max_completion_tokens") == (2000 if newer else None)


def test_the_limit_of_a_reply_leaves_room_for_the_prompt():
    prompt = [Message("user", "one two " * 600)]  # 1200 tokens, and the rest of the window
    with ModelServer(Step("Fine.")) as server:
        model(server, chat_window=3000, chat_reserve=1000).complete(prompt)
    assert 1700 < server.requests[0]["max_tokens"] < 1800


@pytest.mark.parametrize(
    "step",
    [
        Step("This model's maximum context length is 2048 tokens.", status=400),
        Step("the request exceeds the available context size", status=500),
        Step("`inputs` tokens + `max_new_tokens` must be <= 2048", status=422),
        Step("Payload Too Large", status=413),
        Step(raw=b'{"error": {"code": "context_length_exceeded"}}', status=400),
        Step(
            raw=b'data: {"error": {"message": "too long", "code": "context_length_exceeded"}}\n\n'
        ),
    ],
)
def test_a_prompt_that_is_too_long_is_told_by_code_or_message(step):
    with ModelServer(step) as server, pytest.raises(PromptTooLong, match="Set chat_window"):
        model(server).complete(PROMPT)
    assert "max_tokens" not in server.requests[-1] or len(server.requests) == 1


# Replies that do not end


def test_a_reply_that_the_server_never_ends_is_cut():
    words = " ".join(f"word{n}" for n in range(9000))
    with ModelServer(Step(words, size=200, between_s=0.002)) as server:
        reply = model(server, chat_reserve=500).reply(PROMPT)
        text = "".join(reply)
        assert server.disconnected.wait(30)
    assert reply.broken == "the reply went on after 2000 tokens and was cut"
    assert 8_000 < len(text) < 14_000


def test_thoughts_do_not_use_up_the_room_of_the_answer():
    thoughts = " ".join(f"step{n}" for n in range(700))
    with ModelServer(Step(f"<think>{thoughts}</think>It is a test.", size=200)) as server:
        assert model(server, chat_reserve=500).complete(PROMPT).text == "It is a test."
        endless = {"choices": [{"index": 0, "delta": {"content": "", "reasoning": "so"}}]}
        server.steps = [Step(raw=stream(*[endless] * 4000))]
        with pytest.raises(ModelReplyInvalid, match="went on after 2000 tokens"):
            model(server, chat_reserve=500).complete(PROMPT)


@pytest.mark.parametrize(
    ("begin", "again", "kept"),
    [
        ("It is so. ", "Warm tea is warm tea [1]. ", "It is so. Warm tea is warm tea [1]."),
        ("", "Warm tea is warm tea. [1]\n", "Warm tea is warm tea. [1]"),
        ("[1] ", "Warm tea is warm tea.\n[2] ", "[1] Warm tea is warm tea."),
        ("", "A is b. C is d [1]. E is f! ", "A is b. C is d [1]. E is f!"),
        ("So ", "the tea and ", "So the tea and"),
        ("", "好茶是温的，温的茶是好的。", "好茶是温的，温的茶是好的。"),
    ],
)
def test_a_reply_that_repeats_itself_is_stopped_and_says_it_once(begin, again, kept):
    with ModelServer(Step(begin + again * 400, size=40)) as server:
        reply = model(server).reply(PROMPT)
        shown = "".join(reply)
        assert server.disconnected.wait(30)
    assert (reply.text, reply.restarted) == (kept, True)
    assert reply.broken == "the model repeated itself"
    assert len(shown) < 1500


@pytest.mark.parametrize(
    "text",
    [
        "Yes.\n" * 30,
        "".join(f"| model {n} | not stated | yes | yes | yes |\n" for n in range(40)),
        "".join(f"{n} | s1 | supported | the sentence says so\n" for n in range(40)),
        "".join(f"{n}. s1 | unsupported | it is about other things\n" for n in range(40)),
        "It reads 64 tokens at once and is faster than the others are. " * 3,
    ],
)
def test_short_lines_and_rows_may_stand_often(text):
    with ModelServer(Step(text, size=100)) as server:
        assert model(server).complete(PROMPT).text == text


def test_a_reply_that_goes_on_with_blanks_keeps_its_text_and_is_stopped():
    with ModelServer(Step("It is." + " \n" * 20_000, size=40)) as server:
        reply = model(server).reply(PROMPT)
        assert "".join(reply).strip() == "It is."
        assert server.disconnected.wait(30)
    assert reply.broken == "the model sent nothing but blanks"


# Keys and headers


@pytest.mark.parametrize("quoted", [repr, json.dumps, str])
def test_key_is_masked_however_the_server_quotes_it(quoted):
    key = "sk-'\"\\-end"
    step = Step(f"not {quoted(key)}", status=401)
    with ModelServer(step) as server, pytest.raises(ModelRejected) as caught:
        model(server, chat_key=key).complete(PROMPT)
    assert "***" in str(caught.value)
    assert "-end" not in str(caught.value)


def test_redirects_are_not_followed():
    with ModelServer(Step("Never asked.")) as other:
        away = Step("", status=307, raw=b"", headers={"Location": other.url + "/chat/completions"})
        with ModelServer(away) as server, pytest.raises(ModelRejected, match="HTTP 307"):
            model(server).complete(PROMPT)
        assert other.requests == []


def test_keys_and_headers_go_only_where_they_belong(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-mine")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "X-Mine: private\nAuthorization: private\nUser-Agent: private"
    )
    rows = Step(raw=b'{"data": [{"embedding": [3, 4]}]}', content_type="application/json")
    with ModelServer(Step("Hi."), Step("Hi."), rows, Step("Hi.")) as server:
        make_chat_model(load_settings(chat_model="m", chat_url=server.url)).complete(PROMPT)
        model(server).complete(PROMPT)
        make_embedder(load_settings(embed_model="m", embed_url=server.url)).embed(["a"])
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        make_chat_model(load_settings(chat_model="m")).complete(PROMPT)
    keys = [headers["Authorization"].removeprefix("Bearer ") for headers in server.headers]
    assert keys == ["none", "sk-secret-1", "none", "sk-openai"]
    for headers in server.headers:
        assert not [value for value in headers.values() if "mine" in value or "private" in value]
        assert "sk-admin" not in str(headers)


def test_model_without_a_key_names_the_variable():
    with pytest.raises(SettingsError, match="Set OPENAI_API_KEY"):
        make_chat_model(load_settings(chat_model="gpt-4o-mini"))
    with pytest.raises(SettingsError, match="OPENAI_API_KEY, or name another server with PAPERTR"):
        make_embedder(load_settings(embed_model="text-embedding-3-small"))
    assert make_chat_model(load_settings(openai_api_key="sk-lying-around")) is None


@pytest.mark.parametrize(
    ("name", "window"),
    [
        *[(name, 128_000) for name in ("gpt-4o-mini", "gpt-4.1", "gpt-4-turbo", "gpt-5.1", "o3")],
        *[(name, 8192) for name in ("gpt-4", "unheard-of", "o1mo-7b", "olmo")],
    ],
)
def test_window_is_known_by_name_or_safe(name, window):
    settings = {"chat_model": name, "chat_url": "http://127.0.0.1:9/v1"}
    assert make_chat_model(load_settings(**settings)).window == window
    assert make_chat_model(load_settings(**settings, chat_window=4000)).window == 4000


# Proxies


@pytest.fixture
def proxies(monkeypatch):
    """Set proxy variables, and none but those."""

    def set_variables(**variables):
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5h://127.0.0.1:9", "nonsense"])
def test_no_proxy_stands_between_us_and_this_machine(proxies, name, proxy):
    proxies(**{name: proxy})
    with ModelServer(Step("Direct.")) as server:
        assert model(server).complete(PROMPT).text == "Direct."


def test_another_host_is_reached_through_the_proxy(proxies):
    with ModelServer(Step("Through.")) as proxy:
        proxies(http_proxy=proxy.url.removesuffix("/v1"))
        settings = load_settings(chat_model="m", chat_url="http://model.example/v1")
        assert make_chat_model(settings).complete(PROMPT).text == "Through."
        proxies(ALL_PROXY="socks5://127.0.0.1:9", NO_PROXY="model.example")
        make_chat_model(settings).close()
    assert proxy.headers[0]["Host"] == "model.example"


def test_failure_behind_a_proxy_names_the_proxy_without_its_password(proxies):
    with ModelServer(Step("no such host", status=502)) as proxy:
        place = proxy.url.removeprefix("http://").removesuffix("/v1")
        proxies(HTTP_PROXY=f"http://me:secret@{place}")
        settings = {"chat_model": "m", "chat_url": "http://model.example/v1", "chat_retries": 0}
        said = f"through the proxy {place}"
        with pytest.raises(ModelUnavailable, match=f"502: no such host, {said}"):
            make_chat_model(load_settings(**settings)).complete(PROMPT)
    with pytest.raises(ModelUnavailable, match=f"Cannot reach .* {said}") as lost:
        make_chat_model(load_settings(**settings)).complete(PROMPT)
    assert "secret" not in str(lost.value)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5h://me:secret@127.0.0.1:9", "needs the package socksio. Install it"),
        ("gopher://me:secret@127.0.0.1:9", "is not a proxy's address. Correct it"),
    ],
)
def test_proxy_that_cannot_be_used_is_one_sentence(proxies, proxy, said):
    proxies(ALL_PROXY=proxy)
    settings = {"chat_url": "http://model.example/v1", "embed_url": "http://model.example/v1"}
    for make, name in ((make_chat_model, "chat_model"), (make_embedder, "embed_model")):
        with pytest.raises(SettingsError, match=f"{said}.* NO_PROXY=model.example") as refused:
            make(load_settings(**settings, **{name: "m"}))
        assert "secret" not in str(refused.value)


# Stopping


def time_stop(server, work, *, ready):
    """Seconds from `set` until work in another thread ends with "stopped"."""
    stop = Stop()

    def run():
        with stop, pytest.raises(ModelUnavailable, match="The request was stopped"):
            work()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        wait_for(ready)
        started = time.monotonic()
        stop.set()
        future.result(10)
    return time.monotonic() - started


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_stop_ends_a_request_before_its_first_byte():
    with ModelServer(Step("late", first_byte_s=30)) as server:
        chat = model(server)
        work = lambda: chat.complete(PROMPT)  # noqa: E731
        assert time_stop(server, work, ready=lambda: server.requests) < 1
        assert server.disconnected.wait(1)
        settings = load_settings(embed_model="m", embed_url=server.url)
        embedder = make_embedder(settings)
        work = lambda: embedder.embed(["a"])  # noqa: E731
        assert time_stop(server, work, ready=lambda: len(server.requests) == 2) < 1
        assert len(server.requests) == 2


def test_stop_ends_a_reply_that_pauses():
    shown = []
    with ModelServer(Step("word " * 40, size=5, between_s=0.3)) as server:
        chat = model(server)

        def work():
            reply = chat.reply(PROMPT)
            shown.extend(reply)
            raise ModelUnavailable(reply.broken)

        assert time_stop(server, work, ready=lambda: shown) < 1
        assert server.disconnected.wait(1)
    assert len(shown) < 40


def test_stop_ends_the_wait_between_tries_and_refuses_later_requests():
    with ModelServer(Step("busy", status=503, headers={"Retry-After": "25"})) as server:
        chat = model(server)

        def work():
            with pytest.raises(ModelUnavailable, match="stopped"):
                chat.complete(PROMPT)
            chat.complete(PROMPT)

        assert time_stop(server, work, ready=lambda: server.requests) < 1
        assert len(server.requests) == 1
        with pytest.raises(ModelUnavailable, match="HTTP 503"):
            model(server, chat_retries=0).complete(PROMPT)  # this thread has no `Stop`


def test_closing_a_reply_ends_the_request():
    with ModelServer(Step("word " * 4000, size=5, between_s=0.005)) as server:
        pieces = iter(model(server).reply(PROMPT))
        next(pieces)
        pieces.close()
        assert server.disconnected.wait(30)
