"""`rag index` and `rag papers`: make, update, list, export and delete libraries."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag import Assistant, Paper, read_papers
from rag.cli import app
from rag.cli.printing import print_papers
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
A, B, C = (
    {"title": title, "abstract": f"We test {title.lower()}."}
    for title in ("Alpha", "Beta", "Gamma")
)


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def write(tmp_path):
    """Write records to a file of the working folder."""

    def write_records(name, *records):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines(*records))
        return path

    return write_records


@pytest.fixture
def index(run):
    """Run `rag index` on the library "mine"; returns the report."""

    def run_index(*words, text=None):
        return json.loads(run("index", *words, "-i", "mine", "--json", text=text))

    return run_index


@pytest.fixture
def list_mine(run):
    return lambda: json.loads(run("papers", "-i", "mine", "--json"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "library"
    Assistant.build(PAPERS, folder).close()
    return f"{folder}/"


# Reading


def test_standard_input_is_indexed_and_not_recorded_as_a_source(index, list_mine, write):
    file = write("papers.jsonl", B)
    report = index("-", "papers.jsonl", text=gzip.compress(lines(A).encode()))
    assert (report["read"], report["papers"]) == (2, 2)
    assert [paper["sources"] for paper in list_mine()] == [["standard input"], [str(file)]]
    again = index("--rebuild")
    assert (again["read"], again["papers"]) == (1, 1)


def test_empty_standard_input_is_one_sentence(run):
    said = run("index", "-", "-i", "mine", status=2, text="")
    assert said == "rag: standard input: the file is empty.\n"


def test_file_that_cannot_be_read_does_not_stop_the_others(run, index, write, tmp_path):
    write("papers.jsonl", A)
    (tmp_path / "notes.txt").write_text("to do: milk\n")
    report = index("notes.txt", "papers.jsonl")
    assert report["papers"] == 1
    assert [each["path"] for each in report["refused"]] == ["notes.txt"]
    alone = run("index", "notes.txt", "-i", "other", status=2)
    assert "no known format (docs/formats.md lists them)" in alone
    assert "There is no library other." in run("papers", "list", "-i", "other", status=2)


def test_source_that_a_record_names_is_not_taken_for_a_file(index, list_mine, write):
    write("papers.jsonl", {**A, "sources": ["elsewhere.txt"]})
    index(".")
    assert [paper["sources"] for paper in list_mine()] == [["elsewhere.txt"]]


def test_strict_run_writes_nothing_if_a_record_cannot_be_read(run, write, tmp_path):
    write("papers.jsonl", A, {"title": ""}, B)
    said = run("index", "papers.jsonl", "-i", "./index", "--strict", status=2)
    assert said == 'rag: papers.jsonl, line 2: the field "title" is missing or empty.\n'
    assert not (tmp_path / "index").exists()
    assert "2 added" in run("index", "papers.jsonl", "-i", "./index")


def test_mapped_columns_are_recorded_for_updates_and_rebuilds(index, tmp_path):
    table, other = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_text("Thema,Inhalt\nOn Rates,We test rates.\n")
    other.write_text("title,abstract\nOn Ponds,We test ponds.\n")
    index("a.csv", "--map", "title=Thema", "--map", "abstract=Inhalt")
    index("b.csv")

    table.write_text("Thema,Inhalt\nOn Rates,We test rates twice.\nOn Seas,We test seas.\n")
    report = index("--update")
    assert (report["read"], len(report["added"]), report["refused"]) == (3, 1, [])
    report = index("--rebuild")
    assert (report["read"], report["papers"], report["refused"]) == (3, 3, [])

    table.write_text("Titel,Inhalt\nOn Rates,We test rates thrice.\n")
    other.write_text("Titel,Inhalt\nOn Ponds,We test ponds.\n")
    assert index("--update")["read"] == 0
    assert index("--update", "--map", "title=Titel", "--map", "abstract=Inhalt")["read"] == 2
    assert index("--update")["read"] == 2  # the new columns were recorded


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("text=Inhalt", 'Cannot map a column to "text".'),
        ("abstract=Inhatl", 'no column "Inhatl". The columns are Nummer, Überschrift, Inhalt.'),
        ("abstract", "Cannot use --map abstract. Write each field once, as FIELD=COLUMN."),
        ("title=Nummer", "Cannot use --map title=Nummer. Write each field once,"),
    ],
)
def test_wrong_column_is_one_sentence(run, tmp_path, wrong, said):
    (tmp_path / "papers.csv").write_text("Nummer;Überschrift;Inhalt\n1;Raten;Wir messen.\n")
    words = ("index", "papers.csv", "-i", "mine", "--map", "title=Überschrift")
    sentence = run(*words, "--map", wrong, status=2)
    assert said in sentence
    assert sentence.count("\n") == 1
    assert "1 read, 1 added" in run(*words, "--map", "abstract=Inhalt")


# Reports


def test_report_accounts_for_every_record(run, index, write):
    one = write("one.jsonl", A, B, {"title": "Only a Title"}, A, {"year": 1999})
    two = write("two.jsonl", {**A, "year": 2001}, {**A, "venue": "J. Rates"})
    # The second record of A says nothing new; two.jsonl adds to it twice.
    report = index(str(one), str(two))
    alpha, beta, title = report["added"]
    assert (report["read"], report["unchanged"], report["changed"]) == (6, 1, [])
    assert report["merged"] == [
        {"id": alpha, "title": "Alpha", "records": 2, "sources": [str(one), str(two)]}
    ]
    assert report["without_abstract"] == [title]
    reason = 'the field "title" is missing or empty.'
    assert report["refused"] == [{"path": str(one), "line": 5, "reason": reason}]
    counts, *rest = run("index", str(one), str(two), "-i", "other").splitlines()
    assert counts == (
        "6 read, 3 added, 0 changed, 2 merged, 1 unchanged, 1 without abstract, 1 refused."
    )
    assert rest == [
        f'merged: 2 records into "Alpha" ({alpha}), from {one}, {two}',
        f'without abstract, found by title only: "Only a Title" ({title})',
        f"refused: {one}, line 5: {reason}",
        "The library has 3 papers in 3 passages.",
    ]
    write("one.jsonl", {**B, "abstract": "We drain ponds."})
    assert index("one.jsonl")["changed"] == [beta]


def test_two_papers_that_turn_out_to_be_one_are_reported_as_one(index, write):
    title = {"title": "Salt marshes and the rise of the sea along a coast"}
    doi, arxiv = {"doi": "10.1000/x"}, {"arxiv_id": "2101.00001"}
    first, second = {**title, **doi, "year": 2009}, {**title, **arxiv, "year": 2021}
    write("papers.jsonl", first, second, {**title, **doi, **arxiv})
    report = index("papers.jsonl")
    assert (report["read"], report["papers"], report["added"]) == (3, 1, ["doi:10.1000/x"])
    assert [(each["id"], each["records"]) for each in report["merged"]] == [("doi:10.1000/x", 2)]


def test_long_reports_are_cut_and_say_by_how_much(run, write):
    write("papers.jsonl", A, *[{"title": ""}] * 13)
    report = run("index", "papers.jsonl", "-i", "mine").splitlines()
    assert [text.split(":")[0] for text in report[1:11]] == ["refused"] * 10
    assert report[11] == "... and 3 more like this; --json shows all."


# Updates


def test_update_reads_the_recorded_sources_again_from_any_folder(
    run, index, list_mine, write, tmp_path, monkeypatch
):
    write("a.jsonl", A, B)
    write("folder/c.jsonl", C)
    index("a.jsonl", "folder")
    monkeypatch.chdir(tmp_path / "folder")
    unchanged = index("--update")
    assert unchanged["read"] == unchanged["unchanged"] == 3
    assert unchanged["generation"] == 1
    assert run("index", "--update", "-i", "mine", "-q") == ""

    # beta's abstract is edited, alpha has left its file, delta is a new file of the folder
    write("a.jsonl", {**B, "abstract": "We test less."})
    write("folder/d.jsonl", {"title": "Delta", "abstract": "We test delta."})
    text = run("index", "--update", "-i", "mine")
    assert "3 read, 1 added, 1 changed, 0 merged, 1 unchanged, 0 without " in text
    assert "note: 1 no longer in their files, and kept: alpha-" in text
    abstracts = {paper["title"]: paper["abstract"] for paper in list_mine()}
    assert abstracts["Alpha"] == "We test alpha."
    assert abstracts["Beta"] == "We test less."
    assert "Delta" in abstracts


def test_text_that_no_file_holds_any_more_is_gone_after_an_update(run, index, list_mine, write):
    one, two = write("one.jsonl", {**A, "abstract": "We test. It works."}), write("two.jsonl", A)
    index("one.jsonl", "two.jsonl")
    for abstract, left in [
        ("Rates rise.", "We test alpha."),
        ("We test alpha. It rises.", "We test alpha. It rises."),
    ]:
        write("one.jsonl", {**A, "abstract": abstract})
        counts = run("index", "--update", "-i", "mine").splitlines()[0]
        assert counts.startswith("2 read, 0 added, 1 changed, 0 merged, 1 unchanged, ")
        [paper] = list_mine()
        assert (paper["abstract"], paper["sources"]) == (left, [str(one), str(two)])


def test_several_records_of_a_paper_read_again_change_nothing(run, index, write):
    write("papers.jsonl", A, {**A, "venue": "J. Rates"}, B)
    index("papers.jsonl")
    counts = run("index", "--update", "-i", "mine").splitlines()[0]
    assert counts.startswith("3 read, 0 added, 0 changed, 0 merged, 3 unchanged, ")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("names", [["a.bib", "a.bib"], ["a.bib", "b.bib"]])
def test_preprint_and_its_article_read_again_change_nothing(
    names, turned, run, index, list_mine, tmp_path
):
    same = "title = {Salt marshes and the rise of the northern sea}, author = {Doe, Jane}"
    preprint = (
        f"@misc{{a, {same}, year = 2018, eprint = {{1810.04805}}, archiveprefix = {{arXiv}}, "
        "doi = {10.48550/arxiv.1810.04805}}\n"
    )
    article = (
        f"@inproceedings{{b, {same}, year = 2019, doi = {{10.1000/a}}, booktitle = {{TEA}}}}\n"
    )
    for name, text in zip(
        names, (article, preprint) if turned else (preprint, article), strict=True
    ):
        with (tmp_path / name).open("a") as file:
            file.write(text)
    index(*dict.fromkeys(names))
    before = list_mine()
    assert [(each["year"], each["doi"]) for each in before] == [(2019, "10.1000/a")]
    counts = run("index", "--update", "-i", "mine").splitlines()[0]
    assert counts.startswith("2 read, 0 added, 0 changed, 0 merged, 2 unchanged, ")
    assert list_mine() == before


def test_papers_of_a_source_that_is_gone_are_kept_and_reported(
    run, index, list_mine, write, tmp_path
):
    for name, paper in (("a", A), ("b", B), ("c", C)):
        write(f"{name}.jsonl", paper)
    index("a.jsonl", "b.jsonl", "c.jsonl")
    (tmp_path / "a.jsonl").unlink()
    write("b.jsonl")
    text = run("index", "--update", "-i", "mine")
    assert f"note: {tmp_path / 'a.jsonl'} no longer exists. Its papers are kept." in text
    assert "b.jsonl: the file is empty." in text
    assert "note: 1 no longer in their files, and kept: beta-" in text
    for name in "bc":
        (tmp_path / f"{name}.jsonl").unlink()
    said = run("index", "--update", "-i", "mine", status=2)
    assert "No source of the library exists any more" in said
    assert len(list_mine()) == 3


def test_update_takes_no_other_action(run, write):
    write("a.jsonl", A)
    assert "Name nothing else" in run("index", "a.jsonl", "--update", "-i", "mine", status=2)
    assert "There is no library mine." in run("index", "--update", "-i", "mine", status=2)


def test_older_indexes_are_rebuilt_or_opened(run, index, list_mine, write, tmp_path):
    write("a.jsonl", A)
    write("b.jsonl", B)
    index("a.jsonl", "b.jsonl")
    (manifest,) = (tmp_path / "data").rglob("manifest.json")
    manifest.write_text(manifest.read_text().replace('"schema_version": 4', '"schema_version": 2'))
    said = run("papers", "-i", "mine", status=2)
    command = said.partition("Rebuild it with `rag ")[2].partition("`")[0]
    assert "SOURCES" not in command
    run(*command.split(), "-q")
    assert {paper["title"] for paper in list_mine()} == {"Alpha", "Beta"}

    values = json.loads(manifest.read_text())
    assert values.pop("columns") == {}  # an older manifest does not have it
    manifest.write_text(json.dumps(values))
    assert index("--update")["read"] == index("--rebuild")["read"] == 2


# Removals


def test_papers_are_removed_by_their_ids_or_prefixes(run, index, list_mine, write):
    write("a.jsonl", A, B, C)
    index("a.jsonl")
    ids = [paper["id"] for paper in list_mine()]
    assert run("papers", "remove", ids[0][:-2], ids[1], "-i", "mine").splitlines()[-4:] == [
        "2 removed.",
        f"removed: {ids[0]}",
        f"removed: {ids[1]}",
        "The library has 1 paper in 1 passage.",
    ]
    for command in ("remove", "show"):
        assert "No paper has the id" in run("papers", command, ids[0], "-i", "mine", status=2)
    assert [paper["id"] for paper in list_mine()] == ids[2:]


def test_removed_paper_stays_out_of_updates_until_its_source_is_named_again(
    run, index, list_mine, write
):
    write("a.jsonl", A, B)
    index("a.jsonl")
    alpha = list_mine()[0]["id"]
    run("papers", "remove", alpha, "-i", "mine", "-q")
    text = run("index", "--update", "-i", "mine")
    assert "1 read, 0 added" in text
    assert "note: 1 removed before, and still left out. Add them again with `rag index" in text
    write("a.jsonl", A, B, C)
    assert index("--update")["left_out"] == [alpha]
    assert [paper["title"] for paper in list_mine()] == ["Beta", "Gamma"]
    assert index("--update")["added"] == []  # the new generation remembers it too

    assert index("a.jsonl")["added"] == [alpha]
    assert index("--update")["left_out"] == []
    run("papers", "remove", alpha, "-i", "mine", "-q")
    index("--rebuild")
    index("--update")
    assert sorted(paper["title"] for paper in list_mine()) == ["Alpha", "Beta", "Gamma"]


def test_update_of_an_emptied_library_finds_nothing_new(run, index, list_mine, write):
    write("a.jsonl", A)
    index("a.jsonl")
    run("papers", "remove", list_mine()[0]["id"], "-i", "mine", "-q")
    assert run("index", "--update", "-i", "mine", "-q") == ""
    assert run("papers", "-i", "mine") == ""


def test_papers_with_one_title_are_kept_apart(run, index, list_mine, write):
    write(
        "a.jsonl",
        *({"title": "Editorial", "abstract": f"Of {y}.", "year": y} for y in (2001, 2002)),
    )
    index("a.jsonl")
    update = index("--update")
    assert (update["papers"], update["unchanged"], update["no_longer_in_files"]) == (2, 2, [])
    for year in (2001, 2002):
        index("a.jsonl", "--rebuild")
        ids = {paper["year"]: paper["id"] for paper in list_mine()}
        run("papers", "remove", ids.pop(year), "-i", "mine", "-q")
        update = index("--update")
        assert (update["added"], update["no_longer_in_files"]) == ([], [])
        assert [paper["id"] for paper in list_mine()] == list(ids.values())


# Duplicates


def test_likely_duplicates_are_merged_or_kept_apart_for_good(run, index, list_mine, write):
    title = {"title": "Salt marshes and the rise of the sea", "authors": ["Jane Doe"], "year": 2010}
    one = {**title, "doi": "10.1000/a", "abstract": "Marshes grow.", "venue": "Tea J"}
    two = {**title, "doi": "10.1000/b", "abstract": "The marshes of the north grow fast."}
    write("a.jsonl", one, two, A)
    ids = ["doi:10.1000/a", "doi:10.1000/b"]
    assert index("a.jsonl")["possible_duplicates"] == [ids]
    listed = run("papers", "duplicates", "-i", "mine")
    assert "  same title, same first author, same year, two DOIs\n" in listed
    (merge,) = re.findall(r"rag (papers merge .*)", listed)
    (separate,) = re.findall(r"rag (papers separate .*)", listed)

    def reread(count):
        for words in (["--update"], ["--rebuild"], ["b.jsonl"], ["--update"]):
            assert index(*words)["possible_duplicates"] == []
            assert len(list_mine()) == count

    write("b.jsonl", {**two, "title": "SALT MARSHES and the rise of the sea."})
    undo = re.search(r"`rag (.*)`", run(*merge.split()))[1]
    reread(2)
    paper = list_mine()[0]
    assert (paper["id"], paper["aliases"]) == (ids[0], ids[1:])
    assert (paper["abstract"], paper["venue"]) == (two["abstract"], "Tea J")
    assert "are one paper already" in run(*merge.split(), status=2)

    run(*undo.split())
    reread(3)
    assert {paper["id"]: paper["abstract"] for paper in list_mine() if "doi" in paper} == {
        each["id"]: each["abstract"] for each in ({**one, "id": ids[0]}, {**two, "id": ids[1]})
    }
    run(*merge.split(), "-q")
    run(*separate.split())
    assert run("papers", "duplicates", "-i", "mine", "--decided").count("kept apart:") == 1
    assert json.loads(run("papers", "duplicates", "-i", "mine", "--json")) == []


def test_paper_merged_by_itself_is_taken_apart(run, index, list_mine, write):
    title = {"title": "Salt marshes and the rise of the sea", "authors": ["Jane Doe"]}
    preprint = {**title, "arxiv_id": "2101.00001", "year": 2020, "abstract": "Marshes grow."}
    journal = {**title, "doi": "10.1000/a", "year": 2021, "abstract": "Marshes shrink."}
    write("a.jsonl", preprint, journal, A)
    index("a.jsonl")
    assert len(list_mine()) == 2
    run("papers", "separate", "doi:10.1000/a", "-i", "mine")
    for words in (["--update"], ["--rebuild"]):
        index(*words)
        abstracts = {paper["id"]: paper["abstract"] for paper in list_mine()}
        assert abstracts["arxiv:2101.00001"] == "Marshes grow."
        assert abstracts["doi:10.1000/a"] == "Marshes shrink."
    alpha = next(paper["id"] for paper in list_mine() if paper["title"] == "Alpha")
    assert "nothing to separate" in run("papers", "separate", alpha, "-i", "mine", status=2)


def test_merged_paper_is_removed_with_all_its_records(run, index, list_mine, write):
    write("a.jsonl", {**A, "year": 2001}, {**B, "authors": ["Jane Doe"]}, C)
    index("a.jsonl")
    alpha, beta, gamma = (paper["id"] for paper in list_mine())
    run("papers", "merge", alpha, beta, "-i", "mine", "-q")
    run("papers", "remove", beta, "-i", "mine", "-q")
    for _ in range(2):
        assert index("--update")["left_out"] == [alpha, beta]
        assert [paper["id"] for paper in list_mine()] == [gamma]
    assert index("a.jsonl")["added"] == [alpha]
    assert (index("--update")["left_out"], len(list_mine())) == ([], 2)


def test_removed_paper_does_not_keep_others_with_its_doi_out(run, index, list_mine, write):
    colours = ("Blue", "Red", "Green")
    doi = "10.1000/s"
    write("a.jsonl", *({"title": f"{c} pills", "abstract": f"{c}!", "doi": doi} for c in colours))
    index("a.jsonl")
    run("papers", "remove", f"doi:{doi}", "-i", "mine")
    report = index("--update")
    assert (report["read"], report["left_out"]) == (2, [f"doi:{doi}"])
    assert [paper["abstract"] for paper in list_mine()] == ["Red!", "Green!"]


# Libraries


def test_libraries_are_listed_and_deleted(run, write, tmp_path):
    assert run("index", "list") == ""
    write("list", A)  # a file of that name is ./list
    folder = tmp_path / "data" / "libraries"
    for name in ("mine", "other"):
        run("index", "./list", "-i", name, "-q")
    (folder / "broken").mkdir()
    (folder / "broken" / "manifest.json").write_text("{")
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
    assert sorted(path.name for path in folder.iterdir()) == ["broken", "other"]
    assert (tmp_path / "list").exists()


def test_folder_that_is_not_your_library_is_not_deleted(run, write, tmp_path, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CACHE_DIR", str(tmp_path / "cache"))
    assert "There is no library" in run("index", "delete", "nothing", "--yes", status=2)
    write("a.jsonl", A)
    run("index", "a.jsonl", "-i", "./shelf/", "-q")
    (tmp_path / "shelf" / "thesis.txt").write_text("mine")
    said = run("index", "delete", "./shelf/", "--yes", status=2)
    assert "thesis.txt, which is not part of an index" in said
    (tmp_path / "shelf" / "thesis.txt").unlink()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "a web page"}')
    assert "manifest is incomplete" in run("index", "delete", "./web/", "--yes", status=3)
    bundled = tmp_path / "cache" / "bundled" / "1234"
    bundled.parent.mkdir(parents=True)
    (tmp_path / "shelf").rename(bundled)
    assert "bundled library" in run("index", "delete", f"{bundled}/", "--yes", status=2)
    assert (bundled / "manifest.json").exists()


def test_library_that_is_being_written_is_not_deleted(run, index, list_mine, write, tmp_path):
    write("a.jsonl", A)
    index("a.jsonl")
    with writer_lock(tmp_path / "data" / "libraries" / "mine", 0.0):
        assert "Another process is writing" in run("index", "delete", "mine", "--yes", status=3)
    assert len(list_mine()) == 1


def test_files_of_an_interrupted_deletion_go_with_the_next(run, index, write, tmp_path):
    write("a.jsonl", A)
    index("a.jsonl")
    folder = tmp_path / "data" / "libraries"
    (folder / "mine").rename(folder / ".mine.deleted-0011aabb")
    assert json.loads(run("index", "list", "--json")) == []
    index("a.jsonl")
    run("index", "delete", "mine", "--yes", "-q")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("said", "left"), [(b"n\n", True), (b"y\n", False)])
def test_deletion_is_confirmed_on_a_terminal(said, left, index, write, tmp_path):
    write("a.jsonl", A)
    index("a.jsonl")
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


# Papers


@pytest.mark.parametrize("name", ["a.bib", "a.ris", "a.json", "a.jsonl"])
def test_exported_papers_make_the_same_library_again(name, kept, run, tmp_path):
    run("papers", "export", "--index", kept, "--out", name)
    fields = ("id", "title", "abstract", "authors", "year", "doi")
    again, before = (
        [[getattr(paper, field) for field in fields] for paper in papers]
        for papers in (read_papers(tmp_path / name), PAPERS)
    )
    assert again == before


def test_export_is_filtered_and_goes_to_standard_output(kept, run, tmp_path):
    export = ("papers", "export", "-i", kept)
    assert run(*export, "--year", "2021..", "--format", "markdown") == (
        "1. Ada Clark, Bo Li. 2021. ZORP: Sparse Attention for Long Text. "
        "<https://doi.org/10.1000/zorp>\n"
    )
    assert run(*export, "--paper", "b-2").startswith("@misc{b-2,\n")
    assert run(*export, "--author", "Nobody", "--format", "csl") == "[]\n"
    assert "give --format with one of bibtex" in run(*export, "--out", "a.txt", status=2)
    assert not (tmp_path / "a.txt").exists()


def test_papers_are_listed_by_filter_and_shown_by_id_prefix(kept, run):
    line = "zorp-1\tClark and Li\t2021\t-\tZORP: Sparse Attention for Long Text\n"
    assert run("papers", "list", "-i", kept, "--author", "Clark") == line
    assert run("papers", "list", "-i", kept, "--year", "2022..") == ""
    assert run("papers", "-i", kept) == line + "b-2\t-\t-\t-\tCurriculum Order Matters\n"
    assert run("papers", "show", "ZORP", "-i", kept).startswith("ZORP: Sparse Attention")
    assert "No paper has the id" in run("papers", "show", "nosuch", "-i", kept, status=2)


LANTERNS = [  # two of them share a beginning of their ids and words of their titles
    Paper("lamp-1", "Lanterns of glass", "One.", doi="10.1000/lamp.1"),
    Paper("lamp-2", "Lanterns of paper and glass", "Two."),
    Paper("on-ponds-1a2b3c", "On Ponds", "Three.", citation_key="Moss2020key"),
    Paper("doi:10.1000/rates", "Rates of", "Four.", arxiv_id="2101.00001"),
    Paper("paper-4d5e6f", "基于水的灯笼研究", "五。"),
    *(Paper(f"reed-{n}", f"Reed {n}", "Wet.") for n in range(7)),
]


@pytest.fixture
def lanterns(tmp_path):
    Assistant.build(LANTERNS, tmp_path / "lanterns").close()
    return "./lanterns"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("lamp-1", "Lanterns of glass"),
        ("LAMP-2", "Lanterns of paper and glass"),
        ("https://doi.org/10.1000/lamp.1", "Lanterns of glass"),
        ("DOI: 10.1000/LAMP.1", "Lanterns of glass"),
        ("moss2020KEY", "On Ponds"),
        ("arXiv:2101.00001v2", "Rates of"),
        ("on-po…", "On Ponds"),
        ("glass, paper lant", "Lanterns of paper and glass"),
        ("lanterns of GLASS", "Lanterns of glass"),  # the whole title of one, words of two
        ("灯笼", "基于水的灯笼研究"),
    ],
)
def test_paper_is_shown_by_anything_that_names_it(run, lanterns, name, title):
    assert run("papers", "show", name, "-i", lanterns).splitlines()[0] == title
    assert run("papers", "list", "--paper", name, "-i", lanterns).endswith(f"\t{title}\n")


def test_name_of_several_papers_is_refused_with_their_ids(run, lanterns):
    for name in ("lamp", "glass lanterns"):
        for command in ("show", "remove"):
            assert run("papers", command, name, "-i", lanterns, status=2) == (
                f"rag: '{name}' fits 2 papers. Give the id of one: lamp-1 (Lanterns of glass), "
                "lamp-2 (Lanterns of paper and glass).\n"
            )
    said = run("papers", "show", "reed", "-i", lanterns, status=2)
    assert said.startswith("rag: 'reed' fits 7 papers. ")
    assert said.endswith("reed-4 (Reed 4) and 2 more.\n")
    assert "removed: lamp-2\n" in run("papers", "remove", "paper lanterns", "-i", lanterns)


def test_library_with_a_similar_name_is_suggested(run, write, tmp_path):
    write("a.jsonl", A)
    run("index", "a.jsonl", "-i", "Theses", "-q")
    run("index", "a.jsonl", "-i", "./ponds", "-q")
    for words in (
        ("ask", "what?"),
        ("papers", "list"),
        ("papers", "remove", "x"),
        ("papers", "duplicates"),
        ("index", "--update"),
    ):
        said = run(*words, "-i", "thesis", status=2)
        assert said == "rag: There is no library thesis. Did you mean Theses?\n"
    said = run("index", "delete", "thesis", status=2)
    assert said == "rag: There is no library thesis. Did you mean Theses?\n"
    assert "Did you mean Theses?" in run("info", "-i", "thesis")
    said = run("search", "x", "-i", "ponds", status=2)
    assert said == "rag: There is no library ponds. Write ./ponds for the folder here.\n"
    assert "`rag index list` shows" in run("search", "x", "-i", "quarry", status=2)
    assert not (tmp_path / "data" / "libraries" / "thesis").exists()


@pytest.mark.parametrize(
    ("order", "titles"),
    [
        ("added", "b C A d"),
        ("-added", "d A C b"),
        ("year", "A b d C"),  # the one without a year comes last in both directions
        ("-year", "d b A C"),
        ("author", "d A b C"),
        ("title", "A b C d"),
    ],
)
def test_papers_are_listed_in_order(run, write, order, titles):
    write(
        "a.jsonl",
        {"title": "b", "year": 2001, "authors": ["Zoe Yu"]},
        {"title": "C"},
        {"title": "A", "year": 1999, "authors": ["Moss, Ann", "Zoe Yu"]},
        {"title": "d", "year": 2010, "authors": ["Émile Lo", "B", "C"]},
    )
    run("index", "a.jsonl", "-i", "mine", "-q")
    listed = run("papers", "list", "-i", "mine", "--sort", order).splitlines()
    assert [line.split("\t")[4] for line in listed] == titles.split()


def test_listed_papers_are_aligned_on_a_terminal(monkeypatch, capsys):
    papers = [
        Paper("a", "On Rates", "", authors=("Ada Clark",), year=2021, venue="J. Rates"),
        Paper("long-id-of-a-paper-0a1b2c", "数" * 30, "", retraction="Retracted"),
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    print_papers(papers)
    one, two = capsys.readouterr().out.splitlines()
    assert one == "a                Clark  2021  J. Rates  On Rates"
    assert two == "long-id-of-a-p…  -      -     -         [retracted] 数数数…"


def test_listed_group_has_its_whole_name(capsys):
    print_papers([Paper("a", "On Sleep", "", authors=("Sleep Research Society", "Ada Clark"))])
    assert capsys.readouterr().out == "a\tSleep Research Society and Clark\t-\t-\tOn Sleep\n"


# Answers


def test_answer_is_printed_in_every_format(kept, run, tmp_path):
    ask = ("ask", QUESTION, "-i", kept)
    text = run(*ask, "--format", "markdown", "--cite-style", "pandoc")
    assert "[@zorp-1]" in text
    assert "[1]" not in text
    assert run(*ask, "--cite-style", "pandoc") == text
    assert "\\cite{zorp-1}" in run(*ask, "--cite-style", "latex")
    assert "--cite-style" in run(*ask, "--cite-style", "latex", "--format", "ris", status=2)
    assert "@misc{zorp-1," in run(*ask, "--format", "bibtex")
    assert "\nDO  - 10.1000/zorp\n" in run(*ask, "--format", "ris")
    assert run(*ask, "--format", "json").startswith('{\n  "question"')
    assert "contradict each other" in run(*ask, "--format", "ris", "--json", status=2)
    assert "--trace" in run(*ask, "--format", "ris", "--trace", status=2)
    (tmp_path / "questions.txt").write_text(f"{QUESTION}\n{QUESTION}\n")
    items = json.loads(run("ask", "--file", "questions.txt", "-i", kept, "--format", "csl"))
    ids = [item["id"] for item in items]
    assert ids[0] == "zorp-1"
    assert len(ids) == len(set(ids))  # several answers share one list of papers


def test_found_papers_are_printed_as_references(kept, run):
    search = ("search", QUESTION, "-i", kept, "--format")
    assert run(*search, "markdown").startswith("1. Ada Clark")
    assert "TY  - GEN" in run(*search, "ris")
    assert json.loads(run(*search, "json"))[0]["paper"]["id"] == "zorp-1"


def test_list_has_a_score_and_a_quote_for_each_paper(kept, run):
    text = run("list", "sparse attention", "-i", kept)
    entry = r"\[1\] ZORP: Sparse Attention for Long Text\n.*\n    [01]\.\d\d: “It attends"
    assert re.search(entry, text)
    found = json.loads(run("list", "-", "-i", kept, "--json", text="sparse attention"))
    assert (found["kind"], found["mode"]) == ("list", "quotes")
    scores = [c["score"] for s in found["statements"] for c in s["citations"]]
    assert len(scores) == 1
    assert 0 <= scores[0] <= 1
    assert "@misc{zorp-1," in run("list", "sparse attention", "-i", kept, "--format", "bibtex")
    nothing = run("list", "sparse attention", "-i", kept, "--year", "1999", "-q")
    assert nothing.startswith("No clear answer in this library. No paper")


def test_ordinary_question_about_papers_offers_the_list(kept):
    words = ["ask", "why do some papers use sparse attention?", "-i", kept]
    assert "`rag list SUBJECT`" in CliRunner().invoke(app, words).stderr


def test_list_of_all_papers_is_printed_with_its_sources(kept, run):
    listed, _, sources = run("ask", "how many papers are there?", "-i", kept).partition(
        "\nSources\n"
    )
    assert listed.count("Curriculum Order") == sources.count("Curriculum Order") == 1


# Conversations


def test_chat_saves_in_the_format_of_the_file_name(kept, run, tmp_path):
    names = ["a.md", "a.bib", "a.ris", "a.csl.json", "a.json", "a", "a.tex"]
    saves = "".join(f"/save {name}\n" for name in names)
    run("chat", "-i", kept, "--cite-style", "pandoc", text=f"{QUESTION}\n{saves}")
    starts = [(tmp_path / name).read_text()[:12] for name in names]
    assert starts[1:4] == ["@misc{zorp-1", "TY  - GEN\nTI", '[\n{"id": "zo']
    assert "[@zorp-1]" in (tmp_path / "a.md").read_text()
    assert "\\cite{zorp-1}" in (tmp_path / "a.tex").read_text()
    assert (tmp_path / "a.json").read_text() == (tmp_path / "a").read_text()
    assert json.loads((tmp_path / "a").read_text())["format"].startswith("papertrail conversation")


def test_unknown_command_of_a_chat_is_reported(kept):
    result = CliRunner().invoke(app, ["chat", "-i", kept], input="/foo\n/help\n")
    assert result.stderr.count("there is no command /foo") == 1
    assert result.stdout.count("/save FILE") == 2


def test_citation_of_a_removed_or_changed_paper_says_so_everywhere(run, write, tmp_path):
    zorp, other = ({"id": p.id, "title": p.title, "abstract": p.abstract} for p in PAPERS)
    write("a.jsonl", zorp, other)
    run("index", "a.jsonl", "-i", "mine", "-q")
    talk = f"{QUESTION}\nwhat comes first in curriculum order?\n/save talk.json\n"
    run("chat", "-i", "mine", text=talk)

    def read_citations(name):
        turns = json.loads((tmp_path / name).read_text())["turns"]
        return [c for turn in turns for s in turn["answer"]["statements"] for c in s["citations"]]

    standings = {"zorp-1": "gone", "b-2": "changed"}
    citations = read_citations("talk.json")
    assert {c["paper"] for c in citations} == set(standings)
    assert {c["standing"] for c in citations} == {"current"}

    write("a.jsonl", {**other, "abstract": "Hard samples come first."})
    run("index", "--update", "-i", "mine", "-q")
    run("papers", "remove", "zorp-1", "-i", "mine", "-q")
    shown = run("chat", "-i", "mine", "--load", "talk.json", text="/sources\n/save b.md\n/save b\n")
    gone = "no longer in the library; unchecked since"
    changed = "its abstract has changed since it was quoted; unchecked since"
    assert f"(zorp-1)  ({gone})" in shown
    assert f"  ({changed})" in shown
    page = (tmp_path / "b.md").read_text()
    assert f"ZORP: Sparse Attention for Long Text.\n\n*({gone})*\n" in page
    assert f"*({changed})*" in page
    assert page.count(" changed or left the library.") == 2
    citations = read_citations("b")
    assert {c["paper"]: c["standing"] for c in citations} == standings
    assert all(c["verdict"] == "quoted" and c["quotes"] for c in citations)

    write("a.jsonl", zorp, other)  # both are back, so both are current again
    run("index", "a.jsonl", "-i", "mine", "-q")
    assert "unchecked" not in run("chat", "-i", "mine", "--load", "b", text="/sources\n")
