"""From files to cited answers, through the command and the Python API, on the bundled library."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rag import Assistant, Filter, Paper, load_settings
from rag.answer import Done, Text
from rag.errors import (
    CorpusError,
    IndexDamaged,
    IndexLocked,
    IndexMissing,
    IndexStale,
    RagError,
    SettingsError,
)
from rag.index import Index
from rag.index.manifest import FILE_NAME

ROOT = Path(__file__).parents[1]
BYTE_QUESTION = "how can a byte-level model skip tokens it does not need?"
PAPERS = [
    Paper(
        "a-1",
        "ZORP: Sparse Attention for Long Text",
        "We propose ZORP. It attends to few tokens.",
        authors=("Ada Clark", "Bo Li"),
        year=2021,
    ),
    Paper("b-2", "Curriculum Order Matters", "Easy samples come first. Training is faster."),
    Paper("c-3", "A Title Without Abstract", ""),
    Paper("d-4", "Long Report", " ".join(f"Finding {n} concerns topic {n}." for n in range(300))),
]


@pytest.fixture(scope="session")
def places(tmp_path_factory, bundled_cache) -> dict[str, str]:
    return {
        "PAPERTRAIL_CACHE_DIR": str(bundled_cache),
        "PAPERTRAIL_DATA_DIR": str(tmp_path_factory.mktemp("user") / "data"),
    }


@pytest.fixture
def rag(places, run, monkeypatch):
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    return run


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Return an open library, which tests leave as it is."""
    with Assistant.build(PAPERS, tmp_path_factory.mktemp("built") / "library") as assistant:
        yield assistant


@pytest.fixture
def own_library(library, tmp_path, places, monkeypatch):
    """Return an open copy of this library, which a test may change."""
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(library.folder, tmp_path / "library")
    with Assistant.open(tmp_path / "library") as assistant:
        yield assistant


def test_answer_has_verbatim_checked_citations(rag):
    found = json.loads(rag("ask", BYTE_QUESTION, "--json", "-q"))
    assert found["status"] == "answered"
    assert found["mode"] == "quotes"
    heading, paper, label, *_ = (statement["text"] for statement in found["statements"])
    assert (heading, label) == ("Best matches in this library", "Best match:")
    quoted = [statement for statement in found["statements"] if statement["citations"]]
    assert 2 <= len(quoted) <= 4
    assert quoted[0]["citations"][0]["title"] == paper
    abstracts = {p["id"]: p["abstract"] for p in json.loads(rag("papers", "list", "--json"))}
    assert len(abstracts) == 251
    for statement in quoted:
        assert found["text"][statement["start"] : statement["end"]].startswith(statement["text"])
        for citation in statement["citations"]:
            assert citation["verdict"] == "quoted"
            for quote in citation["quotes"]:
                span = abstracts[citation["paper"]][quote["start"] : quote["end"]]
                assert span == quote["text"] == statement["text"]


def test_off_topic_question_abstains_and_shows_the_closest_sentences(rag):
    question = "how long should sourdough proof in the fridge"
    found = json.loads(rag("ask", question, "--json"))
    assert found["status"] == "abstained"
    assert found["reason"] == "“sourdough”, “proof” and “fridge” occur in no title or abstract."
    assert len(found["closest"]) == 3
    verdicts = [s["verdict"] for s in found["statements"] if s["citations"]]
    assert verdicts == ["quoted"] * 4
    printed = rag("ask", question)
    heading = "No clear answer in this library. “sourdough”, “proof” and “fridge” occur in no title"
    assert printed.startswith(heading)
    assert "    Closest: “" in printed
    assert "docs/models.md" in printed.splitlines()[-1]


def test_named_systems_come_first_and_a_comparison_draws_on_both(rag):
    text = rag("ask", "Compare ELECTRA and BART pre-training", "--trace")
    assert re.search(r"\[[12]\] ELECTRA", text)
    assert re.search(r"\[[12]\] BART", text)
    assert "(named)" in text


def test_questions_come_from_standard_input_and_files(rag, tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text(f"{BYTE_QUESTION}\n\nwhat is [MASK] used for\n", encoding="utf-8")
    assert "MrT5" in rag("ask", "-", text=BYTE_QUESTION)
    lines = rag("ask", "--file", str(file), "--json").splitlines()
    assert [json.loads(line)["question"] for line in lines] == [
        BYTE_QUESTION,
        "what is [MASK] used for",
    ]
    assert rag("ask", "--file", str(file)).count("\n    Best match: “") >= 1
    assert rag("ask", "--file", str(file)).count("docs/models.md") == 1


def test_search_lists_papers_and_titles_print_literally(rag):
    text = rag("search", "instruction tuning BERT as generative classifier", "-k", "3", "--trace")
    assert "It's All in The [MASK]" in text
    assert "\x1b[" not in text
    hits = json.loads(rag("search", "contrastive image text", "-k", "5", "--json"))
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert set(hits[0]["stages"]) == {"lexical", "dense", "tokens", "window"}


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "   "],
        ["ask"],
        ["ask", "x", "--index", "nosuch"],
        ["ask", "x", "--year", "soon"],
        ["index", "missing.jsonl", "-i", "other"],
        ["index", "-i", "other"],
        ["papers", "show", "nosuch", "-q"],
        ["ask", "x", "--config", "missing.toml"],
    ],
)
def test_bad_input_is_one_sentence_and_status_2(rag, words):
    message = rag(*words, status=2)
    assert message.startswith("rag: ")
    assert message.count("\n") == 1


def test_info_shows_settings_with_their_origin(rag, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("k = 5\n", encoding="utf-8")
    found = json.loads(rag("info", "--json", "--config", str(config)))
    assert found["settings"]["k"] == {"value": 5, "from": str(config)}
    assert found["settings"]["cache_dir"]["from"] == "PAPERTRAIL_CACHE_DIR"
    assert "k: 5" in rag("info", "--config", str(config))


def test_settings_refuse_what_they_do_not_know(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("kk = 5\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="Did you mean k"):
        load_settings(config)
    with pytest.raises(SettingsError, match="k = 0"):
        load_settings(k=0)


def test_papers_come_back_exactly_as_they_went_in(library):
    assert library.papers() == PAPERS
    assert library.search("finding about topic 250")[0].paper.id == "d-4"
    assert library.search("") == []


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (
            "what does Bo Li say about penguins?",
            "“Li” is an author here and occurs in no title or abstract.",
        ),
        (
            "how far do green penguins swim?",
            "“far”, “green”, “penguins” and 1 more word occur in no title or abstract.",
        ),
        ("how many tokens does GPT-7 attend to?", "“GPT-7” occurs in no title or abstract."),
        ("which topic is few?", ""),
        ("who sells 7 penguins?", "“sells” and “penguins” occur in no title or abstract."),
    ],
)
def test_a_reason_for_no_answer_is_what_can_be_proved(library, question, reason):
    answer = library.ask(question)
    assert (answer.status, answer.reason) == ("abstained", reason)
    heading = " ".join(filter(None, ["No clear answer in this library.", reason]))
    assert answer.text.startswith(f"{heading} Closest sentences:\n")


def test_sentences_of_other_papers_are_no_answer_where_the_closest_has_none(library):
    answer = library.ask("what is a title without abstract?")
    assert (answer.status, answer.hits[0].paper.id) == ("abstained", "c-3")
    assert answer.reason == "Of the closest paper only the title is known."
    assert answer.citations


@pytest.mark.parametrize("question", ["", "???", "\x00 \u2026"])
def test_a_question_without_a_word_is_empty_everywhere(library, rag, question):
    assert library.search(question) == []
    if question:
        assert library.ask(question).reason == "The question is empty."
    assert "There is no question" in rag("ask", question, status=2)


def test_filters_restrict_every_stage(library):
    assert [h.paper.id for h in library.search("tokens", where=Filter(authors=("clark",)))] == [
        "a-1"
    ]
    assert [h.paper.id for h in library.search("x", where=Filter(years=(2020, None)))] == ["a-1"]
    assert library.search("tokens", where=Filter(years=(1990, 1999))) == []
    nothing = library.ask("tokens", where=Filter(ids=("no-such-id",)))
    assert nothing.reason == "No paper in the library matches the filter."
    assert [h.paper.id for h in library.search("x", where=Filter(ids=("b-2",)))] == ["b-2"]


def test_stream_gives_the_text_of_the_answer(library):
    events = list(library.stream("what does ZORP attend to?"))
    assert isinstance(events[-1], Done)
    answer = events[-1].answer
    assert "".join(e.delta for e in events if isinstance(e, Text)) == answer.text
    assert answer.sources[1].id == "a-1"
    count = len(answer.citations)
    assert answer.verification.startswith(f"{count} of {count} sentence")
    assert "title = {{ZORP: Sparse Attention for Long Text}}" in answer.to_bibtex()
    assert "We propose ZORP.” [1]" in answer.to_markdown()
    assert str(answer).count("ZORP: Sparse Attention for Long Text (Ada Clark, Bo Li, 2021)") == 1
    assert json.loads(answer.to_json())["sources"][0]["authors"] == ["Ada Clark", "Bo Li"]


def test_odd_questions_are_only_text(library):
    for question in ('don\'t "AND" (OR', "*" * 10_000, "émoji 🙂 数字", "\ud800", "[1] $x$ {}"):
        assert library.ask(question).status in ("answered", "abstained")


def test_open_assistant_sees_what_another_wrote(own_library):
    extra = Paper("e-5", "Quokka Networks", "Quokka networks smile at gradients.")
    with Assistant.build([extra], own_library.folder):
        assert own_library.search("quokka networks smile")[0].paper.id == "e-5"


def test_second_writer_is_refused_at_once(own_library):
    script = (
        "import filelock, sys, time\n"
        f"lock = filelock.FileLock({str(own_library.folder / 'lock')!r})\nlock.acquire()\n"
        "print('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(IndexLocked):
            Assistant.build(PAPERS[:1], own_library.folder)
        holder.kill()


def test_unusable_indexes_are_refused_and_left_alone(own_library, tmp_path):
    folder = own_library.folder
    manifest = (folder / FILE_NAME).read_text(encoding="utf-8")
    with pytest.raises(IndexStale, match="budget_tokens"):
        Assistant.build(PAPERS[:1], folder, settings=load_settings(passage_tokens=100))
    for text, error in (
        ("{", IndexDamaged),
        ("{}", IndexDamaged),
        (manifest.replace('"schema_version": 4', '"schema_version": 1'), IndexStale),
        (manifest.replace('"paper_count": ', '"paper_count": 9'), IndexDamaged),
    ):
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        with pytest.raises(error):
            Index.open(folder)
    (folder / FILE_NAME).write_text(manifest, encoding="utf-8")
    Index.open(folder).close()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(IndexMissing):
        Assistant.build(PAPERS, foreign)
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]
    with pytest.raises(IndexMissing, match="is a file"):
        Assistant.build(PAPERS, foreign / "thesis.txt")
    with pytest.raises(CorpusError):
        Assistant.build([], tmp_path / "empty")


def test_many_threads_may_ask_at_once(library):
    with ThreadPoolExecutor(4) as pool:
        texts = {a.text for a in pool.map(library.ask, ["what does ZORP attend to?"] * 12)}
    assert len(texts) == 1


@pytest.mark.slow
def test_interruption_during_indexing_exits_130(places, tmp_path):
    file = tmp_path / "many.jsonl"
    rows = [{"title": f"Paper {i}", "abstract": f"Words on {i}. " * 60} for i in range(2000)]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    command = [sys.executable, "-m", "rag", "index", str(file), "-i", f"{tmp_path}/index"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **places}, cwd=ROOT
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("index/data-1/vectors/*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    with pytest.raises(IndexMissing):
        Index.open(tmp_path / "index")


ENDING = """
import atexit, os, signal, sys, threading, time
import rag.cli

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def linger():
    threading.main_thread().join()
    while True:  # until the main thread has begun to wait for this one
        interrupt()
        time.sleep(0.1)

signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv.pop(1) == "linger":
    threading.Thread(target=linger).start()
else:
    atexit.register(interrupt)
rag.cli.main()
"""


def run_python(*words, **environment):
    """Run Python beside the tests; returns its exit code, output and errors."""
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=ROOT,
        timeout=300,
        check=False,
    )


IMPORTING = """
import sys
from rag.__main__ import main

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "rag.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
main()
"""


def test_interruption_during_the_imports_is_told_in_one_line(places):
    done = run_python("-c", IMPORTING, **places)
    assert (done.returncode, done.stderr) == (130, "rag: interrupted.\n")


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [("end", 0, ""), ("linger", 130, "rag: interrupted.\n")],
)
def test_interruption_after_a_command_is_done_is_told_only_where_it_ends_something(
    places, how, status, said
):
    done = run_python("-c", ENDING, how, "--version", **places)
    assert (done.returncode, done.stderr) == (status, said)


def test_error_tree_has_exit_codes():
    assert (RagError.exit_code, CorpusError.exit_code, IndexDamaged.exit_code) == (3, 2, 3)


def test_nothing_is_written_outside_our_own_folders(places, tmp_path):
    own = {**places, "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    done = run_python("-m", "rag", "ask", BYTE_QUESTION, "-q", **own)
    assert "MrT5" in done.stdout
    assert list(tmp_path.rglob("*")) == []  # a telemetry client would leave its device id here


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
from rag import Assistant, Paper
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
papers = [Paper(f"n-{i}", f"New paper {i}", f"It is about subject {i}. " * 8) for i in range(30)]
try:
    Assistant.build(papers, Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


WATCHING = """
import json, sys
from rag.__main__ import main
log, commands = sys.argv[1:]
def note(event, values):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print(event, file=open(log, "a"))
sys.addaudithook(note)
for command in json.loads(commands):
    sys.argv = ["rag", *command]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, command
"""


def test_nothing_connects_without_a_configured_server(places, tmp_path):
    papers = f"{tmp_path}/papers.bib"
    Path(papers).write_text("@article{a, title={On Tea}, abstract={Tea helps. It is warm.}}")
    log = tmp_path / "connections"

    def run_watched(*commands):
        names = {**places, "OPENAI_API_KEY": "sk-unused", "PAPERTRAIL_CHAT_RETRIES": "0"}
        done = run_python("-c", WATCHING, log, json.dumps(commands), **names)
        assert done.returncode == 0, done.stderr
        return done.stdout

    mine = f"{tmp_path}/mine"
    printed = run_watched(
        ["index", papers, "--index", mine],
        ["ask", "does tea help?", "--index", mine, "--format", "html", "--cite-style", "apa"],
        ["ask", BYTE_QUESTION],
        ["list", "curriculum learning"],
        ["doctor", mine],
        ["info"],
    )
    assert "MrT5" in printed
    assert "cache_dir: " in printed  # which is printed by the last command
    assert not log.exists()
    run_watched(["ask", BYTE_QUESTION, "--model", "any", "--url", "http://127.0.0.1:9/v1"])
    assert "socket.connect" in log.read_text()


def test_full_disk_is_one_sentence_and_the_old_index_stays(own_library):
    own_library.close()
    # The records, the token vectors and Chroma meet these limits first.
    for limit, place in ((20_000, "records"), (110_000, "vectors"), (250_000, "chroma")):
        done = run_python("-c", DISK_FULL, str(own_library.folder), str(limit))
        assert done.stdout.startswith("DiskError"), done.stdout + done.stderr
        assert f"{own_library.folder}/data-1/{place}" in done.stdout
        with Assistant.open(own_library.folder) as assistant:
            assert assistant.papers() == PAPERS
            assert assistant.search("sparse attention for long text")[0].paper.id == "a-1"
