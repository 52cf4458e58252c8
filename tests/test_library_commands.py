"""Keeping a library through the command: exports, updates, removals, named libraries."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rag import Assistant, Paper, read_papers
from rag.cli import app
from rag.index.lock import writer_lock

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


def records(*papers: tuple[str, str]) -> str:
    return "".join(
        json.dumps({"title": title, "abstract": abstract}) + "\n" for title, abstract in papers
    )


A, B, C = ("Alpha", "We test alpha."), ("Beta", "We test beta."), ("Gamma", "We test gamma.")


def test_an_update_reads_the_recorded_sources_again_from_any_folder(run, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.jsonl").write_text(records(A, B))
    (tmp_path / "folder" / "c.jsonl").write_text(records(C))
    run("index", "a.jsonl", "folder", "--index", "mine", "-q")
    monkeypatch.chdir(tmp_path / "folder")

    unchanged = json.loads(run("index", "--update", "--index", "mine", "--json"))
    assert unchanged["read"] == unchanged["unchanged"] == 3
    assert unchanged["generation"] == 1
    assert run("index", "--update", "-i", "mine", "-q") == ""

    # beta's abstract is edited, alpha has left its file, delta is a new file of the folder
    (tmp_path / "a.jsonl").write_text(records(("Beta", "We test less.")))
    (tmp_path / "folder" / "d.jsonl").write_text(records(("Delta", "We test delta.")))
    text = run("index", "--update", "-i", "mine")
    assert "3 read, 1 added, 1 changed, 0 merged, 1 unchanged, 0 without " in text
    assert "note: 1 no longer in their files, and kept: alpha-" in text
    papers = {p["title"]: p["abstract"] for p in json.loads(run("papers", "-i", "mine", "--json"))}
    assert papers["Alpha"] == "We test alpha."
    assert papers["Beta"] == "We test less."
    assert "Delta" in papers


def test_a_library_of_an_earlier_layout_is_rebuilt_from_what_it_was_read_from(run, tmp_path):
    for name, paper in (("a.jsonl", A), ("b.jsonl", B)):
        (tmp_path / name).write_text(records(paper))
    run("index", "a.jsonl", "b.jsonl", "-i", "mine", "-q")
    (manifest,) = (tmp_path / "data").rglob("manifest.json")
    manifest.write_text(manifest.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    said = run("papers", "-i", "mine", status=2)
    command = said.partition("rebuild it with `rag ")[2].partition("`")[0]
    assert "SOURCES" not in command
    run(*command.split(), "-q")
    papers = json.loads(run("papers", "-i", "mine", "--json"))
    assert {paper["title"] for paper in papers} == {"Alpha", "Beta"}


def test_namesakes_are_not_taken_for_papers_that_left_their_file(run, tmp_path):
    several = [{"title": "Editorial", "abstract": f"Of {y}.", "year": y} for y in (2001, 2002)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in several))
    run("index", "a.jsonl", "-i", "mine", "-q")
    found = json.loads(run("index", "--update", "-i", "mine", "--json"))
    assert found["papers"] == found["unchanged"] == 2
    assert found["no_longer_in_files"] == []


def test_papers_of_a_source_that_has_gone_are_kept_and_told(run, tmp_path):
    for name, paper in (("a", A), ("b", B), ("c", C)):
        (tmp_path / f"{name}.jsonl").write_text(records(paper))
    run("index", "a.jsonl", "b.jsonl", "c.jsonl", "-i", "mine", "-q")
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl").write_text("")
    text = run("index", "--update", "-i", "mine")
    assert f"note: {tmp_path / 'a.jsonl'} is not there any more; its papers are kept." in text
    assert "b.jsonl: the file is empty." in text
    assert "note: 1 no longer in their files, and kept: beta-" in text
    assert len(json.loads(run("papers", "-i", "mine", "--json"))) == 3
    (tmp_path / "b.jsonl").unlink()
    (tmp_path / "c.jsonl").unlink()
    assert "All sources of the library have gone" in run(
        "index", "--update", "-i", "mine", status=2
    )
    assert len(json.loads(run("papers", "-i", "mine", "--json"))) == 3


def test_an_update_takes_nothing_else(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A))
    assert "name nothing else" in run("index", "a.jsonl", "--update", "-i", "mine", status=2)
    assert "There is no index" in run("index", "--update", "-i", "mine", status=2)


def test_papers_are_removed_by_their_ids(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A, B, C))
    run("index", "a.jsonl", "-i", "mine", "-q")
    ids = [p["id"] for p in json.loads(run("papers", "-i", "mine", "--json"))]
    assert run("papers", "remove", *ids[:2], "-i", "mine").splitlines()[-4:] == [
        "2 removed.",
        f"removed: {ids[0]}",
        f"removed: {ids[1]}",
        "The library has 1 paper in 1 passage.",
    ]
    assert "No paper with the id" in run("papers", "remove", ids[0], "-i", "mine", status=2)
    assert [p["id"] for p in json.loads(run("papers", "-i", "mine", "--json"))] == ids[2:]


def test_a_removed_paper_stays_out_of_updates_until_its_source_is_named_again(run, tmp_path):
    def titles():
        return [p["title"] for p in json.loads(run("papers", "-i", "mine", "--json"))]

    (tmp_path / "a.jsonl").write_text(records(A, B))
    run("index", "a.jsonl", "-i", "mine", "-q")
    alpha = json.loads(run("papers", "-i", "mine", "--json"))[0]["id"]
    run("papers", "remove", alpha, "-i", "mine", "-q")
    text = run("index", "--update", "-i", "mine")
    assert "1 read, 0 added" in text
    assert "note: 1 was removed before, and stays out until `rag index SOURCE` names" in text
    (tmp_path / "a.jsonl").write_text(records(A, B, C))
    assert json.loads(run("index", "--update", "-i", "mine", "--json"))["left_out"] == [alpha]
    assert titles() == ["Beta", "Gamma"]  # a generation that is written remembers it too
    assert json.loads(run("index", "--update", "-i", "mine", "--json"))["added"] == []

    assert "1 added" in run("index", "a.jsonl", "-i", "mine")
    assert json.loads(run("index", "--update", "-i", "mine", "--json"))["left_out"] == []
    run("papers", "remove", alpha, "-i", "mine", "-q")
    run("index", "--rebuild", "-i", "mine", "-q")
    run("index", "--update", "-i", "mine", "-q")
    assert sorted(titles()) == ["Alpha", "Beta", "Gamma"]


def test_an_update_of_a_library_whose_papers_were_all_removed_finds_nothing_new(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A))
    run("index", "a.jsonl", "-i", "mine", "-q")
    (alpha,) = [p["id"] for p in json.loads(run("papers", "-i", "mine", "--json"))]
    run("papers", "remove", alpha, "-i", "mine", "-q")
    assert run("index", "--update", "-i", "mine", "-q") == ""
    assert run("papers", "-i", "mine") == ""


def test_a_namesake_of_a_removed_paper_stays_in(run, tmp_path):
    several = [{"title": "Editorial", "abstract": f"Of {y}.", "year": y} for y in (2001, 2002)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in several))
    for year in (2001, 2002):
        run("index", "a.jsonl", "-i", "mine", "-q", "--rebuild")
        found = {p["year"]: p["id"] for p in json.loads(run("papers", "-i", "mine", "--json"))}
        run("papers", "remove", found.pop(year), "-i", "mine", "-q")
        update = json.loads(run("index", "--update", "-i", "mine", "--json"))
        assert (update["added"], update["no_longer_in_files"]) == ([], [])
        left = json.loads(run("papers", "-i", "mine", "--json"))
        assert [p["id"] for p in left] == list(found.values())


def test_libraries_are_listed_and_one_is_deleted(run, tmp_path):
    assert run("index", "list") == ""
    (tmp_path / "list").write_text(records(A))  # a file of that name is ./list
    run("index", "./list", "-i", "mine", "-q")
    run("index", "./list", "-i", "other", "-q")
    (tmp_path / "data" / "libraries" / "broken").mkdir()
    (tmp_path / "data" / "libraries" / "broken" / "manifest.json").write_text("{")
    found = {each["name"]: each for each in json.loads(run("index", "list", "--json"))}
    assert sorted(found) == ["broken", "mine", "other"]
    assert (found["mine"]["papers"], found["mine"]["generation"]) == (1, 1)
    assert found["mine"]["sources"] == [str(tmp_path / "list")]
    assert found["mine"]["size_bytes"] > 1000
    assert "not a readable manifest" in found["broken"]["problem"]
    assert "mine\t1 paper, generation 1, " in run("index", "list")
    assert "  mine: 1 paper, generation 1, " in run("info")

    assert "Add --yes to delete" in run("index", "delete", "mine", status=2)
    run("index", "delete", "mine", "--yes")
    assert [each["name"] for each in json.loads(run("index", "list", "--json"))] == [
        "broken",
        "other",
    ]
    assert sorted(p.name for p in (tmp_path / "data" / "libraries").iterdir()) == [
        "broken",
        "other",
    ]
    assert (tmp_path / "list").exists()


def test_what_is_no_library_of_yours_is_not_deleted(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CACHE_DIR", str(tmp_path / "cache"))
    assert "There is no library" in run("index", "delete", "nothing", "--yes", status=2)
    (tmp_path / "a.jsonl").write_text(records(A))
    run("index", "a.jsonl", "-i", "./shelf/", "-q")
    (tmp_path / "shelf" / "thesis.txt").write_text("mine")
    assert "thesis.txt, which is no part of an index" in run(
        "index", "delete", "./shelf/", "--yes", status=2
    )
    (tmp_path / "shelf" / "thesis.txt").unlink()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "a web page"}')
    assert "lacks fields" in run("index", "delete", "./web/", "--yes", status=3)
    bundled = tmp_path / "cache" / "bundled" / "1234"
    (tmp_path / "cache" / "bundled").mkdir(parents=True)
    (tmp_path / "shelf").rename(bundled)
    assert "bundled library" in run("index", "delete", f"{bundled}/", "--yes", status=2)
    assert (bundled / "manifest.json").exists()


def test_a_library_that_is_being_written_is_not_deleted(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A))
    run("index", "a.jsonl", "-i", "mine", "-q")
    folder = tmp_path / "data" / "libraries" / "mine"
    with writer_lock(folder, 0.0):
        assert "Another process is writing" in run("index", "delete", "mine", "--yes", status=3)
    assert len(json.loads(run("papers", "-i", "mine", "--json"))) == 1


def test_what_an_interrupted_deletion_left_is_no_library_and_goes_with_the_next(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A))
    run("index", "a.jsonl", "-i", "mine", "-q")
    folder = tmp_path / "data" / "libraries"
    (folder / "mine").rename(folder / ".mine.deleted-0011aabb")
    assert json.loads(run("index", "list", "--json")) == []
    run("index", "a.jsonl", "-i", "mine", "-q")
    run("index", "delete", "mine", "--yes", "-q")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("said", "left"), [(b"n\n", True), (b"y\n", False)])
def test_on_a_terminal_a_deletion_is_confirmed(said, left, run, tmp_path):
    (tmp_path / "a.jsonl").write_text(records(A))
    run("index", "a.jsonl", "-i", "mine", "-q")
    ours, theirs = pty.openpty()
    os.write(ours, said)
    command = [sys.executable, "-m", "rag", "index", "delete", "mine"]
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        command, stdin=theirs, capture_output=True, text=True, env=place, check=False
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "Delete " in done.stderr
    assert (tmp_path / "data" / "libraries" / "mine").exists() is left


def cited(saved: dict[str, Any]) -> list[dict[str, Any]]:
    statements = [s for turn in saved["turns"] for s in turn["answer"]["statements"]]
    return [citation for statement in statements for citation in statement["citations"]]


def test_a_citation_of_a_removed_or_changed_paper_says_so_everywhere(run, tmp_path):
    zorp, other = ({"id": p.id, "title": p.title, "abstract": p.abstract} for p in PAPERS)
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(zorp)}\n{json.dumps(other)}\n")
    run("index", "a.jsonl", "-i", "mine", "-q")
    run(
        "chat",
        "-i",
        "mine",
        text=f"{QUESTION}\nwhat comes first in curriculum order?\n/save talk.json\n",
    )
    standings = {"zorp-1": "gone", "b-2": "changed"}
    saved = json.loads((tmp_path / "talk.json").read_text())
    citations = cited(saved)
    assert {c["paper"] for c in citations} == set(standings)
    assert {c["standing"] for c in citations} == {"current"}

    (tmp_path / "a.jsonl").write_text(
        json.dumps({**other, "abstract": "Hard samples come first."}) + "\n"
    )
    run("index", "--update", "-i", "mine", "-q")
    run("papers", "remove", "zorp-1", "-i", "mine", "-q")
    shown = run("chat", "-i", "mine", "--load", "talk.json", text="/sources\n/save b.md\n/save b\n")
    gone = "no longer in the library; unchecked since"
    changed = "its abstract has changed since it was quoted; unchecked since"
    assert f"(zorp-1)  ({gone})" in shown
    assert f"  ({changed})" in shown
    page = (tmp_path / "b.md").read_text()
    assert f"ZORP: Sparse Attention for Long Text.\n\n*({gone})*\n\n> " in page
    assert f"*({changed})*" in page
    assert page.count("Since then one cited paper has changed or left the library.") == 2
    again = json.loads((tmp_path / "b").read_text())
    citations = cited(again)
    assert {c["paper"]: c["standing"] for c in citations} == standings
    assert all(c["verdict"] == "supported" and c["quotes"] for c in citations)

    # what has come back is current again
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(zorp)}\n{json.dumps(other)}\n")
    run("index", "a.jsonl", "-i", "mine", "-q")
    shown = run("chat", "-i", "mine", "--load", "b", text="/sources\n")
    assert "unchecked" not in shown


def test_papers_are_listed_by_filter_and_shown_by_how_their_id_begins(kept, run) -> None:
    assert run("papers", "list", "-i", kept, "--author", "Clark").startswith("zorp-1\t")
    assert run("papers", "list", "-i", kept, "--year", "2022..") == ""
    assert run("papers", "-i", kept).count("\n") == 2
    assert run("papers", "show", "ZORP", "-i", kept).startswith("ZORP: Sparse Attention")
    assert "No paper has the id" in run("papers", "show", "nosuch", "-i", kept, status=2)


def test_a_list_of_all_papers_tells_each_once(kept, run) -> None:
    assert run("ask", "how many papers are there?", "-i", kept).count("Curriculum Order") == 1


def test_a_command_that_is_none_is_told(kept, run) -> None:
    told = CliRunner().invoke(app, ["chat", "-i", kept], input="/foo\n/help\n")
    assert told.stderr.count("there is no command") == 1
    assert "there is no command /foo" in told.stderr
    assert told.stdout.count("/save FILE") == 2
