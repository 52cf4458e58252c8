"""A real small model from a GGUF file, in the process.

`make test-local-model` installs llama-cpp-python and runs this file. `make test` leaves it out.
Put the path of an instruct model's GGUF file into PAPERTRAIL_TEST_GGUF.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rag import Assistant, Paper, load_settings
from rag.errors import ModelUnavailable, PromptTooLong, SettingsError
from rag.llm import Message, Stop, make_chat_model

pytestmark = pytest.mark.local_model

PAPERS = [
    Paper(
        "zorp-1",
        "ZORP: Sparse Attention for Long Text",
        "We propose ZORP. ZORP attends to 64 tokens at a time. ZORP is 3.5 times faster than BERT.",
    ),
    Paper("quux-2", "QUUX: Curriculum Order", "QUUX sorts samples by length, easy ones first."),
]
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["blue", "green"]}, "is_bright": {"type": "boolean"}},
    "required": ["colour", "is_bright"],
    "additionalProperties": False,
}
SENTENCE = "A model weighs each token of its input by how much it matters. "  # 14 tokens or so


@pytest.fixture(scope="module")
def file():
    return Path(os.environ["PAPERTRAIL_TEST_GGUF"])


@pytest.fixture(scope="module")
def chat(file):
    model = make_chat_model(load_settings(gguf=str(file), chat_window=4096))
    yield model
    model.close()


def say(word):
    return [Message("user", f"Reply with this word and nothing else: {word}")]


def stop_after(chat, messages, count):
    """Stop a request after so many pieces of its reply. Return them and the error."""
    stop, pieces = Stop(), []
    with stop:
        reply = chat.reply(messages)
        for piece in reply:
            pieces.append(piece)
            if len(pieces) == count:
                stop.set()
    return pieces, reply.broken


def test_command_answers_with_citations_and_shows_no_path(file, tmp_path):
    Assistant.build(PAPERS, tmp_path / "lib").close()
    command = [sys.executable, "-m", "rag", "ask", "How many tokens does ZORP attend to at a time?"]
    command += ["--gguf", str(file), "--index", f"{tmp_path}/lib", "--json"]
    fewer_calls = {"PAPERTRAIL_PLAN": "never", "PAPERTRAIL_CHECK_WITH_MODEL": "false"}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **fewer_calls}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["usage"]["calls"] == 1
    assert any(each["citations"] for each in answer["statements"])
    assert file.stem in done.stdout
    assert str(file.parent) not in done.stdout


def test_setup_tries_the_file_and_writes_it(file, tmp_path, bundled_cache):
    config = tmp_path / "config.toml"
    config.write_text("")
    command = [sys.executable, "-m", "rag", "setup", "--gguf", str(file), "--yes", "--json"]
    places = {"PAPERTRAIL_CACHE_DIR": str(bundled_cache), "PAPERTRAIL_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [*command, "--config", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, **places},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["settings"]["gguf"], found["written"]) == (str(file), str(config))
    assert found["trial"]["reader_test"]["total"] == 24
    assert load_settings(config).gguf == file
    tested = (tmp_path / "reader_tests.json").read_text()
    assert f"{file.stem} at a GGUF file of {file.stat().st_size} bytes" in tested
    assert str(file.parent) not in tested


def test_reply_follows_a_schema_and_counts_tokens(chat):
    prompt = [Message("user", "Describe the colour of a clear sky.")]
    reply = chat.complete(prompt, schema=COLOUR)
    value = json.loads(reply.text)
    assert (value.keys(), value["colour"]) == ({"colour", "is_bright"}, "blue")
    assert not reply.usage.estimated
    assert 5 <= reply.usage.completion_tokens <= 40


def test_stop_in_the_middle_of_a_reply_leaves_the_model_usable(chat):
    pieces, broken = stop_after(chat, [Message("user", "Count from 1 to 200.")], 3)
    assert len(pieces) == 3
    assert "stopped" in broken
    assert "ready" in chat.complete(say("ready")).text.casefold()


def test_stop_while_the_prompt_is_read_ends_after_a_step(chat):
    stop, failures = Stop(), []

    def ask():
        try:
            with stop:
                chat.complete([Message("user", SENTENCE * 150 + "What is this about?")])
        except ModelUnavailable as error:
            failures.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(1)
    stop.set()
    asking.join()
    assert failures == ["The request was stopped."]
    assert "ready" in chat.complete(say("ready")).text.casefold()
    assert chat._client._engine._model.n_tokens < 500  # of some 2,000


def test_questions_at_once_are_answered_one_after_the_other(chat):
    words, texts = ("apple", "river", "stone"), {}

    def ask(word):
        texts[word] = chat.complete(say(word)).text.casefold()

    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word for word in words if word in texts[word]] == list(words)


def test_abandoned_reply_blocks_no_other(chat):
    begun = chat.reply([Message("user", "Count from 1 to 12.")])
    assert "ready" in chat.complete(say("ready")).text.casefold()
    assert "12" in "".join(begun)


def test_window_limits_prompt_and_reply(file):
    chat = make_chat_model(load_settings(gguf=str(file), chat_window=1024, chat_reserve=100))
    assert chat.window == 1024
    with pytest.raises(PromptTooLong, match="reads 1024 tokens") as raised:
        chat.complete([Message("user", SENTENCE * 100)])
    assert raised.value.shortenable
    reply = chat.reply([Message("user", "Count from 1 to 900, each number in words.")])
    assert list(reply)
    assert "length limit" in reply.broken
    chat.close()


@pytest.mark.parametrize("size", [100, 200_000, 8_000_000])
def test_truncated_file_is_refused_before_any_question(file, tmp_path, size):
    with file.open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(size))
    with pytest.raises(SettingsError, match=r"Cannot read the model in .*cut\.gguf \(.+\)\. Downl"):
        make_chat_model(load_settings(gguf=str(tmp_path / "cut.gguf")))


def test_garbage_is_refused_before_any_question(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 100)
    with pytest.raises(SettingsError, match=r"Cannot read the model in .*bad\.gguf"):
        make_chat_model(load_settings(gguf=str(tmp_path / "bad.gguf")))


def test_model_is_shared_and_its_memory_freed_with_the_last_user(file):
    settings = load_settings(gguf=str(file), chat_window=8192)
    first, second = make_chat_model(settings), make_chat_model(settings)
    before = read_memory()
    first.complete(say("ready"))
    loaded = read_memory()
    second.complete(say("ready"))
    assert read_memory() - loaded < (loaded - before) / 4
    first.close()
    first.close()
    assert "ready" in second.complete(say("ready")).text.casefold()
    second.close()
    assert read_memory() - before < (loaded - before) / 4
    with pytest.raises(ModelUnavailable, match="was closed"):
        second.complete(say("ready"))


def read_memory():
    """Return the bytes of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])
