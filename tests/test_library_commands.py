"""Keeping a library through the command: exports, updates, removals, named libraries."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from rag import Assistant, Paper, read_papers
from rag.cli import app

PAPERS = [
    Paper(
        "zorp-1",
        "ZORP: Sparse Attention for Long Text",
        "We propose ZORP. It attends to few tokens.",
        authors=("Ada Clark", "Bo Li"),
        year=2021,
        doi="10.1000/zorp",
    ),
    Paper("b-2", "Curriculum Order Matters", "Easy samples come first. Training is faster."),
]
QUESTION = "what does ZORP, the sparse attention for long text, attend to?"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("PAPERTRAIL_CHAT_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)

    def runs(*words: str, status: int = 0, text: str | None = None) -> str:
        result = CliRunner().invoke(app, list(words), input=text)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    return runs


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("kept") / "library"
    Assistant.build(PAPERS, folder).close()
    return f"{folder}/"


@pytest.mark.parametrize("name", ["a.bib", "a.ris", "a.json", "a.jsonl"])
def test_exported_papers_make_the_same_library_again(name, kept, run, tmp_path):
    run("papers", "export", "--index", kept, "--out", name)
    again = read_papers(tmp_path / name)
    fields = ("id", "title", "abstract", "authors", "year", "doi")
    assert [[getattr(p, f) for f in fields] for p in again] == [
        [getattr(p, f) for f in fields] for p in PAPERS
    ]


def test_an_export_is_filtered_and_goes_to_standard_output(kept, run):
    assert run("papers", "export", "-i", kept, "--year", "2021..", "--format", "markdown") == (
        "1. Ada Clark, Bo Li. 2021. ZORP: Sparse Attention for Long Text. "
        "<https://doi.org/10.1000/zorp>\n"
    )
    assert run("papers", "export", "-i", kept, "--paper", "b-2").startswith("@misc{b-2,\n")
    assert run("papers", "export", "-i", kept, "--author", "Nobody", "--format", "csl") == "[]\n"


def test_a_file_name_that_tells_no_format_is_refused(kept, run, tmp_path):
    assert "give --format with one of bibtex" in run(
        "papers", "export", "-i", kept, "--out", "a.txt", status=2
    )
    assert not (tmp_path / "a.txt").exists()


def test_an_answer_is_printed_in_every_form(kept, run):
    text = run("ask", QUESTION, "-i", kept, "--format", "markdown", "--cite-style", "pandoc")
    assert "[@zorp-1]" in text
    assert "[1]" not in text
    assert "@misc{zorp-1," in run("ask", QUESTION, "-i", kept, "--format", "bibtex")
    assert "\nDO  - 10.1000/zorp\n" in run("ask", QUESTION, "-i", kept, "--format", "ris")
    items = json.loads(run("ask", QUESTION, "-i", kept, "--format", "csl"))
    assert items[0]["id"] == "zorp-1"
    assert run("ask", QUESTION, "-i", kept, "--format", "json").startswith('{\n  "question"')
    refused = run("ask", QUESTION, "-i", kept, "--format", "ris", "--json", status=2)
    assert "contradict each other" in refused
    refused = run("ask", QUESTION, "-i", kept, "--format", "ris", "--trace", status=2)
    assert "--trace" in refused


def test_several_answers_share_one_list_of_papers(kept, run, tmp_path):
    (tmp_path / "questions.txt").write_text(f"{QUESTION}\n{QUESTION}\n")
    found = run("ask", "--file", "questions.txt", "-i", kept, "--format", "csl")
    ids = [item["id"] for item in json.loads(found)]
    assert len(ids) == len(set(ids)) > 0


def test_found_papers_are_printed_as_references(kept, run):
    assert run("search", QUESTION, "-i", kept, "--format", "markdown").startswith("1. Ada Clark")
    assert "TY  - GEN" in run("search", QUESTION, "-i", kept, "--format", "ris")
    values = json.loads(run("search", QUESTION, "-i", kept, "--format", "json"))
    assert values[0]["paper"]["id"] == "zorp-1"


def test_a_chat_saves_what_the_name_of_the_file_says(kept, run, tmp_path):
    names = ["a.md", "a.bib", "a.ris", "a.csl.json", "a.json", "a"]
    saves = "".join(f"/save {name}\n" for name in names)
    run("chat", "-i", kept, "--cite-style", "pandoc", text=f"{QUESTION}\n{saves}")
    starts = [(tmp_path / name).read_text()[:12] for name in names]
    assert starts[1:4] == ["@misc{zorp-1", "TY  - GEN\nTI", '[\n{"id": "zo']
    assert "[@zorp-1]" in (tmp_path / "a.md").read_text()
    assert (tmp_path / "a.json").read_text() == (tmp_path / "a").read_text()
    assert json.loads((tmp_path / "a").read_text())["format"].startswith("papertrail conversation")
