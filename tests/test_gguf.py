"""A GGUF file as the model: what is checked before llama-cpp-python is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rag import load_settings
from rag.errors import SettingsError
from rag.llm import make_chat_model, make_judge_model

ASK = """
import sys
sys.modules["llama_cpp"] = None  # as if it were not installed
from rag.__main__ import main
sys.argv = ["rag", *sys.argv[1:]]
main()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.Q4.gguf"
    path.write_bytes(b"GGUF" + bytes(60))
    return path


def test_file_gives_the_writer_its_name(file):
    settings = load_settings(gguf=str(file))
    assert settings.writer == "small.Q4"
    assert load_settings(gguf="").writer is None


def test_missing_file_is_refused_with_the_settings(tmp_path):
    with pytest.raises(SettingsError, match=r"gguf = .*none\.gguf.*there is no such file"):
        load_settings(gguf=str(tmp_path / "none.gguf"))


def test_file_of_another_kind_is_refused_before_it_is_loaded(tmp_path):
    (tmp_path / "notes.gguf").write_text("Dear diary")
    settings = load_settings(gguf=str(tmp_path / "notes.gguf"))
    for make in (make_chat_model, make_judge_model):
        with pytest.raises(SettingsError, match=r"notes\.gguf is not a GGUF file"):
            make(settings)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"chat_model": "llama3.1"}, r"Both gguf \(from argument\) and chat_model \(from argument"),
        ({"llm": "a.B"}, r"Both gguf \(from argument\) and llm \(from argument\) are set"),
        ({"chat_url": "http://127.0.0.1:1/v1"}, "does not go with --gguf"),
    ],
)
def test_second_model_of_the_same_source_is_refused(file, other, message):
    with pytest.raises(SettingsError, match=message):
        make_chat_model(load_settings(gguf=str(file), **other))


def test_later_source_decides_between_a_file_and_a_server(file, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('chat_model = "llama3.1"\n')
    assert load_settings(config, gguf=str(file)).writer == "small.Q4"
    config.write_text(f"gguf = '{file}'\n")
    assert load_settings(config, chat_model="llama3.1").writer == "llama3.1"


def test_missing_package_is_named_with_the_command_that_installs_it(file, tmp_path):
    command = [sys.executable, "-c", ASK, "ask", "why?", "--gguf", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'papertrail-rag[local]'" in done.stderr
    assert done.stderr.count("\n") == 1
