"""Clients against an OpenAI-compatible server that others wrote (aimock, from npm).

`make test-model-server` installs it and runs this file. `make test` leaves it out.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from rag import Assistant, Done, Paper, Text, load_settings
from rag.embedding import make_embedder
from rag.errors import ModelError, ModelRejected, ModelUnavailable
from rag.llm import Message, make_chat_model

pytestmark = pytest.mark.model_server

REPLIES = Path(__file__).parent / "fixtures" / "model_server"
ZORP = Paper(
    "zorp-1",
    "ZORP: Sparse Attention for Long Text",
    "We propose ZORP. It attends to 64 tokens at a time. ZORP is 3.5 times faster than BERT.",
)
OTHER = Paper(
    "quux-2", "QUUX: Curriculum Order", "QUUX sorts samples by length, the easy ones first."
)
PROMPT = [Message("user", "hello")]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    command = [
        "node",
        os.environ["PAPERTRAIL_TEST_AIMOCK"],
        *("-p", str(port), "-h", "127.0.0.1", "-f", str(REPLIES)),
        *("-l", "5", "-c", "6", "--log-level", "warn"),
    ]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
        process.terminate()
    log.close()


def model(url, name, **settings):
    return make_chat_model(load_settings(chat_model=name, chat_url=url, **settings))


def test_answers_are_streamed_and_checked(url, tmp_path):
    settings = load_settings(chat_model="any", chat_url=url, plan="never", repair=False)
    with Assistant.build([ZORP, OTHER], tmp_path / "library", settings=settings) as assistant:
        events = list(assistant.stream("how many tokens does ZORP attend to?"))
    answer = events[-1].answer
    assert isinstance(events[-1], Done)
    assert "".join(e.delta for e in events if isinstance(e, Text)) == answer.text
    assert sum(isinstance(event, Text) for event in events) > 3
    assert answer.text == "ZORP attends to 64 tokens at a time [1]. It was made by elves [1]."
    assert [statement.verdict for statement in answer.statements] == ["supported", "unsupported"]
    assert answer.statements[0].citations[0].by == "any"
    assert "[9]" in answer.warnings[0]
    assert answer.usage.calls == 2
    assert answer.usage.prompt_tokens > 50


def test_passing_failures_are_retried_and_others_are_not(url):
    assert model(url, "once-503").complete(PROMPT).text == "The second try worked."
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match="429"):
        model(url, "always-429", chat_retries=1).complete(PROMPT)
    assert time.monotonic() - started >= 1  # it asked for a second
    with pytest.raises(ModelRejected, match="401"):
        model(url, "always-401").complete(PROMPT)


def test_cut_reply_keeps_its_text_and_is_incomplete(url):
    reply = model(url, "cut", chat_retries=0).reply(PROMPT)
    assert "".join(reply).startswith("ZORP")
    assert reply.broken


@pytest.mark.parametrize("name", ["slow", "malformed"])
def test_slow_or_malformed_reply_is_an_error(url, name):
    with pytest.raises(ModelError, match=name):
        model(url, name, chat_retries=0, chat_timeout_s=1).complete(PROMPT)


def test_embedding_model_of_a_server_builds_an_index(url, tmp_path):
    settings = load_settings(embed_model="text-embedding-3-small", embed_url=url)
    embedder = make_embedder(settings)
    with Assistant.build([ZORP, OTHER], tmp_path / "library", settings=settings) as assistant:
        assert assistant.search("ZORP")[0].paper.id == "zorp-1"
    assert embedder.name.startswith("text-embedding-3-small at 127.0.0.1")
