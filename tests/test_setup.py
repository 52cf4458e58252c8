"""`rag setup`: what it finds, tries and writes, and what it never shows or sends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from list_server import ListServer, list_of, send
from model_server import ModelServer, Step, repeat_question
from test_reader_test import LABELS

from rag import load_settings
from rag.cli import setup as setup_command
from rag.cli.config_file import remove_settings, write_settings
from rag.cli.trial import QUESTION, find_limits
from rag.errors import DiskError, SettingsError
from rag.llm.setup import FoundModel

ROOT = Path(__file__).parents[1]
ANSWER = "ELECTRA's discriminator predicts whether each token was replaced [1]."
MODELS = "/v1/models"
OWN = "# mine\nk = 5  # five\n\n# the end\n"


def good_model(right=24, answer=ANSWER):
    """A server whose model judges so many statements of the reader's test rightly."""
    fooled = list(LABELS)[right:]

    def reply(body):
        prompt = body["messages"][-1]["content"]
        listed = re.findall(r"(?m)^(\d+) \(cites (s\d+).*?\): (.*)$", prompt)
        if not listed:
            return answer if "<papers>" in prompt else "ready"
        lines = []
        for number, sentence, statement in listed:
            is_true = LABELS.get(statement, "true") == "true"
            verdict = "supported" if is_true != (statement in fooled) else "contradicted"
            lines.append(f"{number} | {sentence} | {verdict} | so")
        return "\n".join(lines)

    server = ModelServer(Step(reply=reply))
    server.lists[MODELS] = list_of("first-7b", "second-7b", owned_by="vllm", max_model_len=16384)
    return server


@pytest.fixture
def config(tmp_path, monkeypatch, bundled_cache):
    """Path of the user's config file, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PAPERTRAIL_CACHE_DIR", str(bundled_cache))
    from rag.settings import get_default_config_path

    return get_default_config_path()


def read(config):
    return tomllib.loads(config.read_text(encoding="utf-8"))


def test_a_model_that_is_found_is_tried_and_written(run, config):
    with good_model() as server:
        said = run("setup", "--yes", "--url", server.url)
        assert len(server.plans) == 1
        assert len(server.requests) == 7  # ready, the answer, its check, and four of the test
    assert f"first-7b at {server.url}\n" in said
    assert f"  {ANSWER}\n" in said
    assert "answer: 1 of 1 statements with a citation, " in said
    assert "reader's test: 24 of 24 right; verdicts are coloured\n" in said
    assert read(config) == {"chat_model": "first-7b", "chat_url": server.url, "chat_window": 16384}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert list(config.parent.iterdir()) == [config]


def test_two_commands_lead_to_a_checked_answer(run, config):
    with good_model() as server:
        run("setup", "--yes", "--url", server.url)
        answer = json.loads(run("ask", QUESTION, "--json"))
    assert (answer["model"], answer["checker"]["tested"]) == ("first-7b", "passed")
    assert [each["verdict"] for each in answer["statements"]] == ["supported"]


def test_json_has_the_trial_and_what_was_written(run, config):
    with good_model() as server:
        found = json.loads(
            run("setup", "--yes", "--url", server.url, "--model", "second-7b", "--json")
        )
    assert found["server"] == "vLLM"
    assert found["settings"] == read(config)
    assert found["settings"]["chat_model"] == "second-7b"
    assert found["written"] == str(config)
    trial = found["trial"]
    assert (trial["question"], trial["answer"], trial["cited"]) == (QUESTION, ANSWER, 1)
    assert (trial["reader_test"], trial["findings"]) == ({"right": 24, "total": 24}, [])


def test_other_settings_and_comments_stay(run, config):
    config.parent.mkdir(parents=True)
    config.write_text(OWN)
    config.chmod(0o644)
    with good_model() as server:
        run("setup", "--yes", "--url", server.url)
        text = config.read_text()
        assert text.startswith(OWN)
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        run("setup", "--yes", "--url", server.url)
        assert config.read_text() == text  # the second run replaces the lines of the first
        run("setup", "--yes", "--url", server.url, "--model", "second-7b")
    assert read(config)["chat_model"] == "second-7b"
    said = run("setup", "--remove")
    assert said == f"Removed from {config}: chat_model, chat_url, chat_window.\n"
    assert config.read_text() == OWN
    assert run("setup", "--remove") == f"rag setup wrote nothing to {config}.\n"


def test_a_file_with_nothing_else_is_deleted(run, config):
    with good_model() as server:
        run("setup", "--yes", "--url", server.url)
    assert json.loads(run("setup", "--remove", "--json"))["removed"][0] == "chat_model"
    assert not config.exists()


def test_another_model_replaces_settings_written_by_hand(run, config, monkeypatch):
    monkeypatch.setenv("OLD_KEY", "sk-old")
    config.parent.mkdir(parents=True)
    config.write_text('chat_model = "old" # mine\nchat_url = "https://old.example/v1"\n'
                      'chat_key = "env:OLD_KEY"\nplan = "always"\n')  # fmt: skip
    with good_model() as server:
        run("setup", "--yes", "--url", server.url)
        assert "sk-old" not in str(server.headers)
    assert read(config) == {
        "chat_model": "first-7b", "chat_url": server.url, "plan": "always", "chat_window": 16384,
    }  # fmt: skip


def test_show_says_what_is_set_and_how_it_was_tested(run, config):
    assert "No language model is set up" in run("setup", "--show")
    with good_model(20) as server:
        run("setup", "--yes", "--url", server.url)
    said = run("setup", "--show")
    assert said.startswith(f"config: {config}\nchat_model: first-7b  ({config})\n")
    assert said.endswith("reader's test: 20 of 24 right in its test\n")
    found = json.loads(run("setup", "--show", "--json"))
    assert found["reader_test"] == {"right": 20, "total": 24}


def test_a_model_that_fails_the_test_does_not_check(run, config):
    with good_model(12) as server:
        said = run("setup", "--yes", "--url", server.url)
    assert "reader's test: 12 of 24 right; verdicts are not coloured\n" in said
    assert '  Its checks are not reliable: 12 of 24 right. Statements read "unchecked"' in said


def test_a_later_model_is_not_judged_by_an_earlier_one(run, config):
    with good_model(0) as server:
        run("setup", "--yes", "--url", server.url)
    with good_model(24) as server:
        run("setup", "--yes", "--url", server.url)
        assert len(server.requests) == 7  # with the check of the answer
    assert "check_with_model" not in read(config)


def find_problems(run, server):
    with server:
        found = json.loads(run("setup", "--yes", "--url", server.url, "--json"))
    return found["trial"]["findings"], found["settings"]


def test_statements_without_citations_are_explained(run, config):
    found, _ = find_problems(run, good_model(answer="It predicts replaced tokens. [1] is ELECTRA."))
    assert found[0]["problem"].endswith("statements have no citation that could be placed.")


def test_a_plan_that_cannot_be_read_is_switched_off(run, config):
    server = good_model()
    server.plan = Step("I would search for ELECTRA.")
    found, settings = find_problems(run, server)
    assert found[0]["problem"] == "Its plan of the search could not be read."
    assert settings["plan"] == "never"


def test_a_server_without_schemas_is_explained(run, config):
    server = good_model()

    def plan(body):
        refused = Step("response_format is not supported", status=400)
        return refused if "response_format" in body else repeat_question(body)

    server.plan = plan
    found, settings = find_problems(run, server)
    assert [each["problem"] for each in found] == ["The server takes no JSON schema for a reply."]
    assert "plan" not in settings


def test_a_refusal_is_explained(run, config):
    found, _ = find_problems(run, good_model(answer="The abstracts do not say."))
    assert found[0]["problem"] == "It refused a question that the library answers."


def test_a_small_window_is_written_and_explained(run, config):
    server = good_model()
    server.lists[MODELS] = list_of("m", owned_by="vllm", max_model_len=4096)
    found, settings = find_problems(run, server)
    assert found[0]["problem"] == "The context window is small (4,096 tokens)."
    assert "start vllm with --max-model-len 8192" in found[0]["follows"]
    assert settings["chat_window"] == 4096
    assert find_limits(FoundModel("m", 100), "vLLM")[0] == {"chat_window": 1024}  # the least


def test_a_small_model_gets_the_compact_prompt_and_no_plan(run, config):
    server = good_model(0)
    meta = {"n_params": 1_543_714_304, "n_ctx": 8192}
    server.lists[MODELS] = list_of("coder.gguf", owned_by="llamacpp", meta=meta)
    server.steps[:] = [Step(reply=lambda body: "ready")]
    found, settings = find_problems(run, server)
    assert found[0]["problem"] == "The model is small (1.5B parameters)."
    assert settings["compact"] is True
    assert server.plans == []
    assert "plan" not in settings


def test_a_plan_switched_off_for_one_model_is_tried_again_with_another(run, config):
    server = good_model()
    server.plan = Step("no plan")
    find_problems(run, server)
    assert read(config)["plan"] == "never"
    server = good_model()
    find_problems(run, server)
    assert len(server.plans) == 1
    assert "plan" not in read(config)


def test_a_model_that_writes_no_answer_is_not_written(run, config):
    server = good_model()
    ready = server.steps[0]
    server.steps[:] = [ready, Step("overloaded", status=503)]
    with server:
        said = run("setup", "--yes", "--url", server.url, status=3)
    assert said.endswith("Nothing was written.\n")
    assert not config.exists()


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (Step("no such model", status=404), "refused the request (HTTP 404: no such model)"),
        (Step(raw=b"<html>", content_type="text/html"), "gave an empty reply"),
    ],
)
def test_a_model_that_does_not_answer_is_one_sentence(run, config, step, part):
    server = good_model()
    server.steps[:] = [step]
    with server:
        said = run("setup", "--yes", "--url", server.url, status=3)
    assert part in said.splitlines()[-1]
    assert not config.exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "standard input is no terminal. Add --yes"),
        (["--yes", "--key", "sk-typed"], "--key says where the key stands"),
        (["--yes", "--key", "env:"], "--key says where the key stands"),
        (["--yes", "--url", "ftp://x"], "not a server's address"),
        (["--yes", "--url", "https://me:sk-typed@example.org/v1"], "user name or password"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(run, config, words, part):
    said = run("setup", *words, status=2)
    assert part in said
    assert said.count("\n") == 1
    assert "sk-typed" not in said
    assert not config.exists()


def test_a_model_that_nobody_has_is_refused(run, config):
    with good_model() as server:
        words = ("--yes", "--url", server.url, "--model", "third")
        said = run("setup", *words, status=2)
    assert said == "rag: No server here has the model third. There are: first-7b, second-7b.\n"


def test_a_server_that_lists_nothing_needs_a_name(run, config):
    server = good_model()
    server.lists.clear()
    with server:
        said = run("setup", "--yes", "--url", server.url, status=2)
        assert f"No list of models is at {server.url}." in said
        run("setup", "--yes", "--url", server.url, "--model", "mine")
    assert read(config) == {"chat_model": "mine", "chat_url": server.url}


def test_a_key_is_named_and_never_shown(run, config, monkeypatch, capfd):
    monkeypatch.setenv("MY_KEY", "sk-private-key")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-key")
    with good_model() as server:
        words = ("setup", "--yes", "--url", server.url, "--key", "env:MY_KEY")
        shown = [run(*words), run(*words, "--json"), run("setup", "--show"), run("info")]
        shown.append(run("setup", "--show", "--json"))
        server.steps[:] = [Step("your key sk-private-key is bad", status=401)]
        shown.append(run(*words, status=3))
        keys = {headers["Authorization"] for headers in server.headers}
    assert keys == {"Bearer sk-private-key"}
    assert read(config)["chat_key"] == "env:MY_KEY"
    assert "chat_key: env:MY_KEY" in shown[2]
    files = [path.read_text() for path in config.parent.parent.rglob("*") if path.is_file()]
    assert "sk-private-key" not in "".join([*shown, *files, *capfd.readouterr()])
    assert "sk-openai-key" not in "".join([*shown, *files])


def test_a_variable_that_wins_over_the_file_is_named(run, config, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CHAT_MODEL", "other")
    with good_model() as server:
        done = run_process(["--yes", "--url", server.url], {})
    assert "PAPERTRAIL_CHAT_MODEL is set and wins over the config file." in done.stderr


def run_process(words, env):
    return subprocess.run(
        [sys.executable, "-m", "rag", "setup", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )


class Terminal:
    """`rag setup` in a pseudo-terminal, with the ports of a test in place of the usual ones."""

    SCRIPT = (
        "import sys, rag.llm.setup as found\n"
        "ports = [('Jan', int(port)) for port in sys.argv[1].split()]\n"
        "found.find_local_servers.__defaults__ = (ports,)\n"
        "sys.argv[1:2] = ['setup']\n"
        "from rag.cli import main\n"
        "main()\n"
    )

    def __init__(self, ports, *words):
        command = [sys.executable, "-c", self.SCRIPT, " ".join(map(str, ports)), *words]
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(ROOT)
            os.execv(sys.executable, command)
        self.text = ""

    def expect(self, wanted):
        """Read until the text appears, and return what was read so far."""
        while wanted not in self.text:
            assert select.select([self.terminal], [], [], 120)[0], self.text
            try:
                data = os.read(self.terminal, 4096)
            except OSError:  # the other side is closed
                data = b""
            assert data, f"{wanted!r} is not in {self.text}"
            self.text += data.decode().replace("\r\n", "\n")
        before, _, self.text = self.text.partition(wanted)
        return before

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        """Return the rest of the output and the exit status."""
        rest = self.text
        while True:
            try:
                data = os.read(self.terminal, 4096)
            except OSError:
                break
            if not data:
                break
            rest += data.decode().replace("\r\n", "\n")
        _, status = os.waitpid(self.child, 0)
        os.close(self.terminal)
        return rest, os.waitstatus_to_exitcode(status)


def test_the_dialogue_lists_tries_and_asks_before_it_writes(config):
    with good_model() as server:
        terminal = Terminal([server_port(server)])
        shown = terminal.expect("Which one? [1] ")
        assert "   1  vLLM       first-7b  window 16,384 tokens\n" in shown
        assert "   2  vLLM       second-7b  window 16,384 tokens\n" in shown
        terminal.type("9\n")
        terminal.expect("Type a number from 1 to 2.")
        terminal.expect("Which one? [1] ")
        assert server.requests == []
        terminal.type("2\n")
        shown = terminal.expect("Write it? [Y/n] ")
        assert '  chat_model = "second-7b"\n' in shown
        assert not config.exists()
        terminal.type("\n")
        rest, status = terminal.end()
    assert f"Written to {config}." in rest
    assert (read(config)["chat_model"], status) == ("second-7b", 0)


@pytest.mark.parametrize("typed", ["n\n", "\x04"])
def test_no_answer_and_a_no_write_nothing(config, typed):
    with good_model() as server:
        terminal = Terminal([server_port(server)])
        terminal.expect("Which one? [1] ")
        terminal.type("\n")
        terminal.expect("Write it? [Y/n] ")
        terminal.type(typed)
        rest, status = terminal.end()
    assert (rest.strip().splitlines()[-1], status) == ("Nothing was written.", 0)
    assert not config.exists()


@pytest.mark.parametrize(("typed", "status"), [("\x04", 0), ("\x03", 130)])
def test_the_end_of_the_input_and_ctrl_c_write_nothing(config, typed, status):
    with good_model() as server:
        terminal = Terminal([server_port(server)])
        terminal.expect("Which one? [1] ")
        terminal.type(typed)
        assert terminal.end()[1] == status
        assert server.requests == []
    assert not config.exists()


def test_ctrl_c_during_the_trial_ends_the_request_and_writes_nothing(config):
    server = good_model()
    server.steps[:] = [Step("ready", first_byte_s=120)]
    with server:
        terminal = Terminal([server_port(server)])
        terminal.expect("Which one? [1] ")
        terminal.type("\n")
        terminal.expect("Trying first-7b")
        while not server.requests:
            time.sleep(0.05)
        terminal.type("\x03")
        rest, status = terminal.end()
        assert server.disconnected.wait(20)
    assert (rest.strip().endswith("rag: interrupted."), status) == (True, 130)
    assert not config.exists()


def test_a_service_gets_nothing_before_the_yes(config, monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-mistral-key")
    terminal = Terminal([9])
    shown = terminal.expect("Which one? [1] ")
    assert "   1  Mistral    with the key in MISTRAL_API_KEY (nothing is sent" in shown
    terminal.type("\n")
    asked = "Send the key and questions on the bundled library to https://api.mistral.ai/v1? [y/N] "
    terminal.expect(asked)
    terminal.type("\n")
    rest, status = terminal.end()
    assert (rest.strip(), status) == ("Nothing was written.", 0)
    assert "sk-mistral" not in shown + rest
    assert not config.exists()


def test_openai_is_asked_only_after_the_yes_and_needs_no_key_in_the_file(config, monkeypatch):
    with good_model() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)  # stands for OpenAI
        terminal = Terminal([9])
        terminal.expect("Which one? [1] ")
        terminal.type("1\n")
        terminal.expect("to OpenAI (or OPENAI_BASE_URL)? [y/N] ")
        assert server.requests == []
        terminal.type("y\n")
        assert "first-7b" in terminal.expect("Model (number or name): ")
        terminal.type("first-7b\n")
        terminal.expect("Write it? [Y/n] ")
        terminal.type("y\n")
        rest, status = terminal.end()
    assert (status, "sk-openai" in rest) == (0, False)
    assert read(config) == {"chat_model": "first-7b", "chat_window": 16384}


def test_yes_alone_takes_no_service(config, monkeypatch):
    with good_model() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        rest, status = Terminal([9], "--yes").end()
        assert (server.requests, server.headers, status) == ([], [], 3)
    assert "No language model was found on this machine." in rest


def test_servers_without_a_usable_model_are_named(config):
    def refuse(handler, _body):
        send(handler, 401, b"{}")

    with ListServer({MODELS: refuse}) as locked, ListServer({MODELS: list_of("e5-embed")}) as empty:
        rest, status = Terminal([locked.port, empty.port]).end()
    assert status == 3
    assert f"asks for a key: rag setup --url {locked.url} --key env:VARIABLE" in rest
    assert f"Jan at {empty.url} has no model that writes text yet." in rest


def test_nothing_found_says_how_to_install_a_server(config):
    terminal = Terminal([9])
    rest, status = terminal.end()
    assert status == 3
    assert "No language model was found on this machine." in rest
    assert "ollama.com/install" in rest
    assert "lmstudio.ai/install" in rest
    assert not config.exists()


def server_port(server):
    return int(server.url.rpartition(":")[2].removesuffix("/v1"))


def test_a_kill_while_writing_leaves_the_old_file_or_the_new(tmp_path):
    """Kill a process that writes without end, fifteen times, each time a little later."""
    file = tmp_path / "config.toml"
    script = (
        "import sys; from pathlib import Path; from rag.cli.config_file import write_settings\n"
        "print('go', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    write_settings(Path(sys.argv[1]), {'chat_model': 'm' * (n % 7 * 9000 + 1)})\n"
    )
    for turn in range(15):
        file.write_text(OWN)
        with subprocess.Popen(
            [sys.executable, "-c", script, str(file)], cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(0.003 * turn)
            process.send_signal(signal.SIGKILL)
        found = read(file)
        assert found["k"] == 5
        assert set(found.get("chat_model", "m")) == {"m"}
        assert file.read_text().startswith(OWN)


@pytest.mark.parametrize("text", ["", "k = 5", "# only\n", 'plan = "never"\r\n', OWN])
def test_removing_restores_a_file(tmp_path, text):
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode())
    write_settings(file, {"chat_model": 'a "quoted" name', "check_with_model": False})
    assert tomllib.loads(file.read_bytes().decode())["chat_model"] == 'a "quoted" name'
    assert remove_settings(file) == ["chat_model", "check_with_model"]
    kept = file.read_bytes().decode() if text else ""
    assert kept.strip() == text.strip()
    assert file.exists() == bool(text)


def test_a_file_that_cannot_be_changed_is_left_alone(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("k = = 5\n")
    with pytest.raises(SettingsError, match="not valid TOML"):
        write_settings(file, {"chat_model": "m"})
    assert file.read_text() == "k = = 5\n"
    with pytest.raises(DiskError, match="Cannot create the folder"):
        write_settings(file / "below" / "config.toml", {"chat_model": "m"})


def test_a_link_to_the_config_file_stays_a_link(tmp_path):
    (tmp_path / "dotfiles").write_text(OWN)
    link = tmp_path / "config.toml"
    link.symlink_to("dotfiles")
    write_settings(link, {"chat_model": "m"})
    assert link.is_symlink()
    assert load_settings(link).chat_model == "m"


def test_services_have_addresses_that_a_key_may_go_to():
    from rag.llm.setup import PROVIDERS

    assert all(each.url.startswith("https://") for each in PROVIDERS)
    assert len({each.variable for each in PROVIDERS}) == len(PROVIDERS)
    assert setup_command.__doc__
