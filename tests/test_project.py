"""What holds over the whole project: the public API, light imports, the documents."""

from __future__ import annotations

import inspect
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

import rag
from rag.cli import app

ROOT = Path(__file__).resolve().parent.parent

PUBLIC_NAMES = {
    "Answer", "AnswerEvent", "Assistant", "Citation", "Conversation", "Done", "Embedder",
    "Filter", "Hit", "IndexReport", "ModelCall", "Paper", "Passage", "Quote", "RagError", "Refused",
    "Retrieval", "Settings", "Statement", "Status", "Step", "Text", "Turn", "Usage", "Verification",
    "Verified", "__version__", "as_llama_index", "from_llama_index", "iter_papers", "load_minilm",
    "load_settings", "read_papers", "split_paper", "verify",
}  # fmt: skip

HEAVY = {"chromadb", "gradio", "llama_index", "mcp", "nltk", "numpy", "onnxruntime"}


def test_the_public_names_are_exactly_these():
    assert sorted(rag.__all__) == sorted(PUBLIC_NAMES)  # sorted lists: no name twice
    assert all(hasattr(rag, name) for name in PUBLIC_NAMES)


def test_no_public_name_is_also_a_module():
    # an imported submodule becomes an attribute of its package and would hide the name
    modules = {path.stem for path in (ROOT / "rag").iterdir()}
    assert modules & PUBLIC_NAMES == set()


def test_every_public_name_is_documented_by_hand():
    silent = []
    for name in PUBLIC_NAMES:
        value = getattr(rag, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            text = inspect.getdoc(value) or ""
            # A dataclass without a docstring shows its signature in place of one.
            if not text or text.startswith(f"{name}("):
                silent.append(name)
    assert silent == []


def test_help_and_import_load_nothing_heavy():
    script = (
        "import sys, rag.cli\n"
        "sys.argv = ['rag', '--help']\n"
        "try: rag.cli.main()\n"
        "except SystemExit: pass\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "rag" in loaded
    assert loaded & HEAVY == set()


def documented_commands():
    """The `rag ...` commands in the code blocks of the README and of a page, as words."""
    blocks = re.findall(
        r"^```(?!py)\w*\n(.*?)^```",
        (ROOT / "README.md").read_text("utf-8") + (ROOT / "docs/llama_index.md").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    text = "\n".join(blocks).replace("\\\n", " ")
    found = re.findall(r"^(?:\$ |\w+=\S+ |.*\| )*rag (.*)$", text, re.MULTILINE)
    ends = {"|", ">", ">>", "<", "&&", ";"}
    words = [shlex.split(rest, comments=True) for rest in found]
    return [list(itertools.takewhile(lambda word: word not in ends, line)) for line in words]


def test_documented_commands_and_options_exist():
    wrong = []
    commands = documented_commands()
    for words in commands:
        command = get_command(app)
        known = {"--help", "-h"}
        for word in words:
            known |= {option for parameter in command.params for option in parameter.opts}
            subcommands = getattr(command, "commands", {})
            if word.startswith("-") and word != "-":
                if word.split("=")[0] not in known:
                    wrong.append(f"rag {shlex.join(words)}: {word}")
            elif word in subcommands:
                command = subcommands[word]
            elif subcommands:
                wrong.append(f"rag {shlex.join(words)}: {word}")
    assert commands
    assert wrong == []


def test_every_dependency_is_bounded_above_and_pinned_within_its_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    tested = {canonicalize_name(name): version for name, version in (p.split("==") for p in pins)}
    extras = project["optional-dependencies"]
    optional = itertools.chain.from_iterable(
        extras[name] for name in ("eval", "mcp", "local", "dev")
    )
    for text in [*project["dependencies"], *optional]:
        wanted = Requirement(text)
        if wanted.name == project["name"]:
            continue
        assert any(bound.operator in {"<", "<=", "=="} for bound in wanted.specifier), text
        assert tested[canonicalize_name(wanted.name)] in wanted.specifier, text


def test_the_version_is_told_once_and_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert rag.__version__ == project["version"]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
