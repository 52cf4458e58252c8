"""What all tests share."""

from __future__ import annotations

import os
import signal

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner

# A slow or busy machine is no failure. `make test-slow` tries the number of examples in "thorough".
settings.register_profile(
    "any machine", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("any machine"), max_examples=200)
settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Measure no coverage in property tests: tracing their examples takes more than running them.

    Other tests reach the same lines, so the total is hardly lower.
    """
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def _interruptible():
    """A shell that starts the tests in the background makes them, and what they start, deaf."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    """No key or model of the person who runs the tests, and none of their libraries."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_ORG_ID",
        "PAPERTRAIL_CHAT_MODEL",
        "PAPERTRAIL_LLM",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PAPERTRAIL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a `rag` command in a folder of its own; returns its output, or its error."""
    from rag.cli import app

    monkeypatch.chdir(tmp_path)

    def run_command(*words, status=0, text=None):
        result = CliRunner().invoke(app, list(words), input=text)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    return run_command


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Return the folder that all workers of a run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def bundled_cache(shared_folder):
    """Cache folder in which the bundled library is indexed once for all tests and workers."""
    return shared_folder / "bundled-cache"


@pytest.fixture(scope="session")
def asked_library(shared_folder):
    """Folder of a library with what the questions of the evaluation's tests ask for."""
    from evaluation import QUESTIONS, library

    from rag import Assistant

    papers = library()
    wanted = {p for q in QUESTIONS for p in (*q.papers, q.near_miss_of) if p}
    wanted |= set(list(papers)[:25])
    path = shared_folder / "asked-library"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            Assistant.build([papers[p] for p in sorted(wanted)], path).close()
    return path


@pytest.fixture(scope="session")
def no_judge():
    """Return the judge that scores nothing."""
    from eval.judges import NoJudge

    return NoJudge()


@pytest.fixture(scope="session")
def finished(asked_library, no_judge, tmp_path_factory):
    """A whole run of these questions with verbatim answers; tests leave its records alone."""
    from evaluation import QUESTIONS

    from eval.run import run
    from rag import Assistant

    out = tmp_path_factory.mktemp("run") / "a"
    with Assistant.open(asked_library) as assistant:
        return run(assistant, QUESTIONS, out, judge=no_judge)
