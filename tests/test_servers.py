"""Settings that choose a model, addresses and keys. Thoughts, which no reader may see."""

from __future__ import annotations

import json

import pytest
from model_server import ModelServer, Step
from typer.testing import CliRunner

from rag import Assistant, load_settings
from rag.cli import app
from rag.embedding import make_embedder
from rag.errors import SettingsError
from rag.llm import make_chat_model, make_judge_model
from rag.llm.servers import Server, resolve_server
from rag.llm.thinking import ThoughtFilter, drop_unopened_thoughts

# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:abc/v1",
        "http://a\x07b/v1",
        "http://xn--\u2603-.com/v1",
        "http://[::1/v1",
        "http://127.0.0.1:99999/v1",
        "http://a b/v1",
        "http://exa%mple/v1",
        "http://a..b/v1",
        "http:///v1",
        "localhost:80",
    ],
)
def test_what_is_not_an_address_is_refused_with_its_setting(url):
    for kind, make in (("chat", make_chat_model), ("embed", make_embedder)):
        settings = load_settings(**{f"{kind}_model": "m", f"{kind}_url": url})
        with pytest.raises(
            SettingsError, match=rf"{kind}_url \(from argument\) .* not a server.s add"
        ):
            make(settings)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:SECRETPW@127.0.0.1:9/v1",
        "ftp://user:SECRETPW@x/v1",
        "http://user:SECRET/PW@x:y/v1",
        "user:SECRETPW@x/v1",
        "http://SECRETPW@[::1/v1",
    ],
)
def test_password_in_an_address_is_refused_and_never_shown(monkeypatch, url):
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with pytest.raises(SettingsError, match="openai_base_url") as caught:
        resolve_server(load_settings(chat_model="m"), "chat")
    assert "SECRET" not in str(caught.value)
    for name in ("CHAT", "EMBED"):
        monkeypatch.setenv(f"PAPERTRAIL_{name}_URL", url)
    shown = CliRunner().invoke(app, ["info", "--json"]).stdout
    assert "SECRET" not in shown
    assert "***@" in json.loads(shown)["settings"]["chat_url"]["value"]


def test_password_in_an_address_belongs_in_the_setting_of_the_key():
    settings = load_settings(chat_model="m", chat_url="http://me:pw@127.0.0.1/v1", chat_key="k")
    with pytest.raises(SettingsError, match="give the key as PAPERTRAIL_CHAT_KEY"):
        make_chat_model(settings)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::1]:80/v1", "[::1]:80"),
        ("http://[::1]/v1", "[::1]"),
        ("https://models.example.org/@me/v1", "models.example.org"),
        ("http://ex\u00e4mple.org:8080", "ex\u00e4mple.org:8080"),
        (" http://my_host.:1/v1/ ", "my_host.:1"),
    ],
)
def test_host_is_shown_as_it_is_written(url, host):
    assert resolve_server(load_settings(chat_model="m", chat_url=url), "chat").host == host


def test_openai_with_a_slash_needs_a_key_too(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1/")
    with pytest.raises(SettingsError, match="Set OPENAI_API_KEY"):
        make_chat_model(load_settings(chat_model="gpt-4o-mini"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    server = resolve_server(load_settings(chat_model="gpt-4o-mini"), "chat")
    assert server == Server("https://api.openai.com/v1", "sk-1")
    assert server.is_openai


# Keys and models


def test_judge_gets_the_key_of_its_own_server_and_no_other(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    writer = {"chat_model": "m", "chat_url": "http://127.0.0.1:1/v1", "chat_key": "sk-writer"}
    other = {"judge_url": "http://127.0.0.1:2/v1"}
    keyless = resolve_server(load_settings(**writer, **other), "judge")
    assert keyless == Server("http://127.0.0.1:2/v1", "none")
    keyed = resolve_server(load_settings(**writer, **other, judge_key="sk-judge"), "judge")
    assert keyed == Server("http://127.0.0.1:2/v1", "sk-judge")
    # without a server of its own it is asked where answers are written
    shared = resolve_server(load_settings(**writer, judge_key="sk-judge"), "judge")
    assert shared == Server("http://127.0.0.1:1/v1", "sk-writer")
    assert resolve_server(load_settings(judge_model="m"), "judge").key == "sk-openai"
    assert make_judge_model(load_settings()) is None
    assert make_judge_model(load_settings(**writer)).name == "m"
    assert make_judge_model(load_settings(**writer, judge_model="n")).name == "n"
    bad = load_settings(judge_model="m", **other, judge_key="sk-\n")
    with pytest.raises(SettingsError, match="The key in PAPERTRAIL_JUDGE_KEY"):
        make_judge_model(bad)


@pytest.mark.parametrize("key", ["sk-SECRET\nX-Other: 1", "sk-SECRET\u2019", "sk-SECRET\x00"])
def test_key_that_no_header_can_hold_is_refused_by_its_variable(key):
    named = {"chat_model": "m", "chat_url": "http://127.0.0.1:9/v1", "chat_key": key}
    with pytest.raises(SettingsError, match="The key in PAPERTRAIL_CHAT_KEY") as caught:
        make_chat_model(load_settings(**named))
    assert "SECRET" not in str(caught.value)
    with pytest.raises(SettingsError, match="The key in OPENAI_API_KEY"):
        make_embedder(load_settings(embed_model="m", openai_api_key=key))


def test_address_without_a_model_is_refused_if_it_is_an_argument(monkeypatch):
    with pytest.raises(SettingsError, match="Name one with --model"):
        make_chat_model(load_settings(chat_url="http://127.0.0.1:9/v1"))
    chosen = load_settings(chat_url="http://127.0.0.1:9/v1", chat_model="m")
    assert make_chat_model(chosen.model_copy(update={"chat_model": None})) is None
    monkeypatch.setenv("PAPERTRAIL_CHAT_URL", "http://127.0.0.1:9/v1")
    assert make_chat_model(load_settings()) is None


@pytest.mark.parametrize("given", ["gpt-4o", object()])
def test_what_is_not_a_language_model_is_refused(given):
    with pytest.raises(SettingsError, match="Pass a LlamaIndex LLM, or name a model with --model"):
        Assistant.open(llm=given)


@pytest.mark.parametrize("as_json", [False, True])
def test_check_that_fails_ends_with_status_3(tmp_path, as_json):
    command = ["info", "--check", "-i", str(tmp_path / "none"), "-m", "tester", "--url"]
    flags = ["--json"] if as_json else []
    with ModelServer(Step("no such model", status=404), Step("ready")) as server:
        failed = CliRunner().invoke(app, [*command, server.url, *flags])
        passed = CliRunner().invoke(app, [*command, server.url, *flags])
    assert (failed.exit_code, passed.exit_code) == (3, 0)
    kinds = ("language model", "embedder", "reader's test")
    progress = "".join(f"Checking the {kind} ...\n" for kind in kinds)
    assert passed.stderr == progress
    refused = "rag: the check failed: The model tester refused the request"
    assert failed.stderr.startswith(progress + refused)
    if as_json:
        assert "refused the request" in json.loads(failed.stdout)["check"]["language model"]
        assert "tester answers" in json.loads(passed.stdout)["check"]["language model"]
    else:
        assert passed.stdout.startswith("model:\n  writer: tester\n  server: 127.0.0.1")
        assert "settings:" not in passed.stdout
        assert passed.stdout.endswith("Each of them answered.\n")


# Settings


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('origin = {a = "b"}', "origin .* is not a setting"),
        ("x = " + "[" * 5000, "is not valid TOML"),
        ("k = " + "1" * 5000, "is not valid TOML"),
    ],
)
def test_a_config_file_that_holds_nonsense_is_refused(tmp_path, content, said):
    config = tmp_path / "config.toml"
    config.write_text(content)
    with pytest.raises(SettingsError, match=said):
        load_settings(config)


def test_an_empty_text_means_the_default(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('index = ""\nprompts = ""\nk = ""\nchat_model = "m"\n')
    settings = load_settings(config, chat_model="")
    assert (settings.index, settings.prompts, settings.k, settings.chat_model) == (
        None,
        None,
        None,
        None,
    )
    assert settings.origin == {"data_dir": "PAPERTRAIL_DATA_DIR"}


def test_a_named_file_or_folder_that_is_not_there_is_refused(monkeypatch, tmp_path):
    there = tmp_path / "prices.toml"
    there.touch()
    settings = load_settings(prompts=tmp_path, prices=there)
    assert (settings.prompts, settings.prices) == (tmp_path, there)
    with pytest.raises(SettingsError, match=r"prices = .* there is no such file"):
        load_settings(prices=tmp_path)
    with pytest.raises(SettingsError, match=r"prices = .* there is no such file"):
        load_settings(prices="a" * 5000)
    monkeypatch.setenv("PAPERTRAIL_PROMPTS", "/nonexistent")
    with pytest.raises(SettingsError, match=r"from PAPERTRAIL_PROMPTS\): there is no such folder"):
        load_settings()


# Thoughts

HARMONY = (
    "<|channel|>analysis<|message|>Which? [3]<|end|>"
    "<|start|>assistant<|channel|>final<|message|>This one [1].<|return|>"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>Which one? [3]</think>\n\nThis one [1].", "This one [1]."),
        ("\n<thinking>a</b>c</thinking>Yes.", "Yes."),
        ("<Think>Hm.</THINK> Yes.", "Yes."),
        ("<reasoning>Hm.</reasoning>\nYes.", "Yes."),
        ("◁think▷Hm.◁/think▷Yes.", "Yes."),
        (HARMONY, "This one [1]."),
        ("<|channel|>final<|message|>Yes.", "Yes."),
        ("It predicts [1]. <think>hidden", "It predicts [1]. "),
        ("Two [1].\n<think>a</think>\n\nThree [2].", "Two [1].\nThree [2]."),
        ("Two [1].<think>a</think> <think>b</think>\nThree [2].", "Two [1]. Three [2]."),
        ("<think>", ""),
        ("<thin> air", "<thin> air"),
        ("a < b and <th", "a < b and <th"),
        ("a <think>b</think>", "a <think>b</think>"),
        ("It sets `<think>` first [1].", "It sets `<think>` first [1]."),
        ("  \n ", ""),
    ],
)
def test_thoughts_are_removed_however_the_text_is_cut(text, shown):
    for size in range(1, len(text) + 1):
        thoughts = ThoughtFilter()
        parts = [thoughts.feed(text[i : i + size]) for i in range(0, len(text), size)]
        assert "".join(parts) + thoughts.finish() == shown


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Hm, paper 2? </think>\n\nPaper 1 does.", "Paper 1 does."),
        ("so it is paper 1</think>\nPaper 1 does.", "Paper 1 does."),
        ("Paper 1, I think\n</Reasoning> Paper 1 does.", "Paper 1 does."),
        ("</think>Paper 1 does.", "Paper 1 does."),
        ("It predicts tokens [1]. The tag </think> ends it [1].", None),
        ("It ends with `</think>`", None),
    ],
)
def test_lone_closing_tag_counts_where_a_model_puts_it(text, answer):
    assert drop_unopened_thoughts(text) == answer
