"""Builds the wheel and uses it as a stranger would.

Run: python scripts/check_wheel.py

The wheel must hold exactly the packages' committed files. It is installed into a fresh
environment with the tested versions and asked a question from a folder with its own `prompts` and
`eval`, which raise when they are imported: what lies in the working folder is never run.

Called by `.ci/run`. Exit status 1 with one sentence if something is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.request
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rag", "prompts", "eval")
REQUIRED = {
    "rag/__init__.py",
    "rag/py.typed",
    "rag/data/library.jsonl",
    "rag/data/PROVENANCE.md",
    "rag/data/answerable.json",
    "rag/data/relevance.json",
    "rag/data/reader_test.json",
    "rag/data/minilm/model.onnx",
    "rag/data/minilm/tokenizer.json",
    "rag/data/minilm/projection.npy",
    "rag/data/sentence_ranking.json",
    "rag/data/styles/PROVENANCE.md",
    "rag/data/styles/apa.csl",
    "rag/data/sentence_roles.json",
    "rag/web/page.js",
    "rag/web/conversations.js",
    "rag/web/answers.js",
    "rag/web/style.css",
    "rag/web/login.html",
    "prompts/__init__.py",
    "eval/__init__.py",
    "eval/example.jsonl",
    "eval/report.html",
    "eval/qa/dev.jsonl",
    "eval/qa/forms_dev.jsonl",
    "eval/qa/forms_test.jsonl",
    "eval/qa/lists.jsonl",
    "eval/qa/test.jsonl",
}
METADATA = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "licenses/NOTICE",
}
QUESTION = "how can a byte-level model skip tokens it does not need?"


def main() -> None:
    """Builds, checks, installs and asks, all in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        check_files(wheel)
        commands = install(wheel, folder / "environment")
        ask(commands, folder / "elsewhere", home=folder / "home")
        serve(commands, folder / "elsewhere", home=folder / "home")
    print(f"{wheel.name}: files, installation, a cited answer and the page are as they should be")


def build(folder: Path) -> Path:
    """The wheel, built into the folder."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_files(wheel: Path) -> None:
    """Compares the wheel's files with those that are committed."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name.split("/", 1)[1] for name in names if ".dist-info/" in name}
    packed = {name for name in names if ".dist-info/" not in name}
    committed = set(run("git", "-C", str(ROOT), "ls-files", "--", *PACKAGES).splitlines())
    report("are missing from the wheel", (REQUIRED | committed) - packed)
    report("are in the wheel and not committed", packed - committed)
    report("differ from the expected metadata", metadata ^ METADATA)


def install(wheel: Path, folder: Path) -> Path:
    """The commands' folder of a fresh environment that holds the wheel."""
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    quiet = ("-qq", "--disable-pip-version-check")
    constraints = str(ROOT / "constraints.txt")
    run(str(commands / "python"), "-m", "pip", "install", *quiet, "-c", constraints, str(wheel))
    return commands


def ask(commands: Path, folder: Path, *, home: Path) -> None:
    """Asks in a folder that is full of traps; the answer must cite a paper."""
    (folder / "prompts").mkdir(parents=True)
    for trap in ("prompts/__init__.py", "eval.py", "rag.py"):
        (folder / trap).write_text(f"raise RuntimeError('{trap} of the working folder was run')\n")
    (folder / "config.toml").write_text("this is no TOML\n")
    answer = run(str(commands / "rag"), "ask", QUESTION, folder=folder, home=home)
    if "[1]" not in answer:
        sys.exit(f"the installed wheel gave no citation:\n{answer}")


def serve(commands: Path, folder: Path, *, home: Path) -> None:
    """Opens the page in the folder of traps; it must answer a browser."""
    command = [str(commands / "rag"), "app", "--port", "0"]
    given = {"cwd": folder, "env": environment_of(home), "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **given) as server:
        said = server.stderr.readline() if server.stderr else ""
        try:
            address = next((word for word in said.split() if word.startswith("http://")), None)
            if address is None:
                sys.exit(f"the installed wheel served no page:\n{said}")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(address, timeout=60) as page:
                if b"Papertrail" not in page.read():
                    sys.exit("the installed wheel served a page that is none of Papertrail's")
        finally:
            server.terminate()


def run(*command: str, folder: Path = ROOT, home: Path | None = None) -> str:
    """The standard output of a command; its whole output is shown if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment_of(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment_of(home: Path | None) -> dict[str, str]:
    """The environment of a stranger, with a home of their own where one is given."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PAPERTRAIL_", "PYTHON", "OPENAI_"))
    }
    if home:
        for variable in ("CACHE", "CONFIG", "DATA"):
            environment[f"XDG_{variable}_HOME"] = str(home / variable.lower())
        environment["HOME"] = str(home)
    return environment


def report(problem: str, names: set[str]) -> None:
    """Ends the run if any names have the problem."""
    if names:
        sys.exit(f"these files {problem}: {', '.join(sorted(names))}")


if __name__ == "__main__":
    main()
