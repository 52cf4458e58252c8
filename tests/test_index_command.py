"""`rag index` from files and standard input to its report."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from rag.cli import app

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., str]


@pytest.fixture
def rag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("CACHE", "DATA"):
        monkeypatch.setenv(f"PAPERTRAIL_{name}_DIR", str(tmp_path / name.lower()))

    def run(*words: str, status: int = 0, stdin: str | bytes | None = None) -> str:
        result = CliRunner().invoke(app, [*words], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    return run


def lines(*records: dict[str, object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


FIRST = {"title": "On Rates", "abstract": "We test rates."}
SECOND = {"title": "On Ponds", "abstract": "We test ponds."}


def test_standard_input_is_indexed_and_not_recorded_as_a_source(rag: Run, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines(SECOND))
    packed = gzip.compress(lines(FIRST).encode())
    report = json.loads(rag("index", "-", str(file), "-i", "mine", "--json", stdin=packed))
    assert (report["read"], report["papers"]) == (2, 2)
    shown = json.loads(rag("papers", "list", "-i", "mine", "--json"))
    assert [paper["sources"] for paper in shown] == [["standard input"], [str(file)]]
    again = json.loads(rag("index", "--rebuild", "-i", "mine", "--json"))
    assert (again["read"], again["papers"]) == (1, 1)


def test_one_file_of_several_that_cannot_be_read_keeps_back_no_other(
    rag: Run, tmp_path: Path
) -> None:
    good, bad = tmp_path / "papers.jsonl", tmp_path / "notes.txt"
    good.write_text(lines(FIRST))
    bad.write_text("to do: milk\n")
    report = json.loads(rag("index", str(bad), str(good), "-i", "mine", "--json"))
    assert report["papers"] == 1
    assert [each["path"] for each in report["refused"]] == [str(bad)]
    alone = rag("index", str(bad), "-i", "other", status=2)
    assert "no known format is recognised in it" in alone
    assert "There is no index at" in rag("papers", "list", "-i", "other", status=2)


def test_a_source_that_a_record_names_is_not_taken_for_a_file(rag: Run, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines({**FIRST, "sources": ["elsewhere.txt"]}))
    rag("index", str(tmp_path), "-i", "mine")
    (paper,) = json.loads(rag("papers", "list", "-i", "mine", "--json"))
    assert paper["sources"] == ["elsewhere.txt"]


def test_standard_input_without_papers_is_one_sentence(rag: Run) -> None:
    said = rag("index", "-", "-i", "mine", status=2, stdin="")
    assert said == "rag: standard input: the file is empty.\n"


def test_mapped_columns_are_recorded_for_updates_and_rebuilds(rag: Run, tmp_path: Path) -> None:
    table, other = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_text("Thema,Inhalt\nOn Rates,We test rates.\n")
    other.write_text("title,abstract\nOn Ponds,We test ponds.\n")
    words = ("-i", "mine", "--json")
    rag("index", str(table), "--map", "title=Thema", "--map", "abstract=Inhalt", *words)
    rag("index", str(other), *words)

    table.write_text("Thema,Inhalt\nOn Rates,We test rates twice.\nOn Seas,We test seas.\n")
    report = json.loads(rag("index", "--update", *words))
    assert (report["read"], len(report["added"]), report["refused"]) == (3, 1, [])
    report = json.loads(rag("index", "--rebuild", *words))
    assert (report["read"], report["papers"], report["refused"]) == (3, 3, [])

    table.write_text("Titel,Inhalt\nOn Rates,We test rates thrice.\n")
    other.write_text("Titel,Inhalt\nOn Ponds,We test ponds.\n")
    assert json.loads(rag("index", "--update", *words))["read"] == 0
    again = ("--map", "title=Titel", "--map", "abstract=Inhalt")
    assert json.loads(rag("index", "--update", *again, *words))["read"] == 2
    assert json.loads(rag("index", "--update", *words))["read"] == 2  # the new one was recorded


def test_a_manifest_without_columns_still_opens(rag: Run, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines(FIRST))
    rag("index", str(file), "-i", f"{tmp_path}/index")
    manifest = tmp_path / "index" / "manifest.json"
    values = json.loads(manifest.read_text())
    assert values.pop("columns") == {}
    manifest.write_text(json.dumps(values))
    assert "1 read" in rag("index", "--update", "-i", f"{tmp_path}/index")
    assert "1 read" in rag("index", "--rebuild", "-i", f"{tmp_path}/index")


def test_columns_are_mapped_and_what_cannot_be_mapped_is_one_sentence(
    rag: Run, tmp_path: Path
) -> None:
    table = tmp_path / "papers.csv"
    table.write_text("Nummer;Überschrift;Inhalt\n1;Raten;Wir messen.\n")
    words = ("index", str(table), "-i", "mine", "--map", "title=Überschrift")
    assert "1 read, 1 added" in rag(*words, "--map", "abstract=Inhalt")
    for wrong, said in (
        ("text=Inhalt", 'not to "text".'),
        ("abstract=Inhatl", 'no column "Inhatl"; the columns are Nummer, Überschrift, Inhalt.'),
        ("abstract", "--map abstract cannot be used; write each field once, as FIELD=COLUMN."),
        ("title=Nummer", "--map title=Nummer cannot be used; write each field once,"),
    ):
        sentence = rag(*words, "--map", wrong, status=2)
        assert said in sentence
        assert sentence.count("\n") == 1


def test_a_strict_run_writes_nothing_where_a_record_cannot_be_read(
    rag: Run, tmp_path: Path
) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines(FIRST, {"title": ""}, SECOND))
    index = tmp_path / "index"
    said = rag("index", str(file), "-i", str(index), "--strict", status=2)
    assert said == f'rag: {file}, line 2: the field "title" is missing or empty.\n'
    assert not index.exists()
    assert "2 added" in rag("index", str(file), "-i", str(index))


def test_the_report_tells_what_became_of_every_record(rag: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(lines(FIRST, SECOND, {"title": "Only a Title"}, FIRST, {"year": 1999}))
    two.write_text(lines({**FIRST, "year": 2001}, {**FIRST, "venue": "J. Rates"}))
    # The second record of FIRST says nothing new; two.jsonl adds to it twice.
    found = json.loads(rag("index", str(one), str(two), "-i", "mine", "--json"))
    rates, ponds, title = found["added"]
    assert (found["read"], found["unchanged"], found["changed"]) == (6, 1, [])
    assert found["merged"] == [
        {"id": rates, "title": "On Rates", "records": 2, "sources": [str(one), str(two)]}
    ]
    assert found["without_abstract"] == [title]
    reason = 'the field "title" is missing or empty.'
    assert found["refused"] == [{"path": str(one), "line": 5, "reason": reason}]
    counts, *rest = rag("index", str(one), str(two), "-i", "other").splitlines()
    assert counts.startswith("6 read, 3 added, 0 changed, 2 merged, 1 unchanged, 1 without ")
    assert counts.endswith("1 without abstract, 1 refused.")
    assert rest == [
        f'merged: 2 records into "On Rates" ({rates}), from {one}, {two}',
        f'without abstract, found by title only: "Only a Title" ({title})',
        f"refused: {one}, line 5: {reason}",
        "The library has 3 papers in 3 passages.",
    ]
    one.write_text(lines({**SECOND, "abstract": "We drain ponds."}))
    assert json.loads(rag("index", str(one), "-i", "mine", "--json"))["changed"] == [ponds]


def test_a_text_that_no_file_holds_any_more_is_gone_after_an_update(
    rag: Run, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(lines({**FIRST, "abstract": "We test rates. They fall slowly."}))
    two.write_text(lines(FIRST))
    rag("index", str(one), str(two), "-i", "mine")
    for abstract, kept in [
        ("Rates rise.", "We test rates."),
        ("We test rates. They rise.", "We test rates. They rise."),
    ]:
        one.write_text(lines({**FIRST, "abstract": abstract}))
        counts = rag("index", "--update", "-i", "mine").splitlines()[0]
        assert counts.startswith("2 read, 0 added, 1 changed, 0 merged, 1 unchanged, ")
        [paper] = json.loads(rag("papers", "list", "-i", "mine", "--json"))
        assert (paper["abstract"], paper["sources"]) == (kept, [str(one), str(two)])


def test_a_file_of_several_records_of_a_paper_read_again_changes_nothing(
    rag: Run, tmp_path: Path
) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines(FIRST, {**FIRST, "venue": "J. Rates"}, SECOND))
    rag("index", str(file), "-i", "mine")
    counts = rag("index", "--update", "-i", "mine").splitlines()[0]
    assert counts.startswith("3 read, 0 added, 0 changed, 0 merged, 3 unchanged, ")


def test_two_papers_that_turn_out_to_be_one_are_reported_as_one(rag: Run, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    doi, arxiv = {"doi": "10.1000/x"}, {"arxiv_id": "2101.00001"}
    file.write_text(lines({**FIRST, **doi}, {**SECOND, **arxiv}, {**FIRST, **doi, **arxiv}))
    found = json.loads(rag("index", str(file), "-i", "mine", "--json"))
    assert (found["read"], found["papers"], found["added"]) == (3, 1, ["doi:10.1000/x"])
    assert [(each["id"], each["records"]) for each in found["merged"]] == [("doi:10.1000/x", 1)]


def test_long_reports_are_cut_and_say_by_how_much(rag: Run, tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(lines(FIRST, *[{"title": ""}] * 13))
    report = rag("index", str(file), "-i", "mine").splitlines()
    assert [text.split(":")[0] for text in report[1:11]] == ["refused"] * 10
    assert report[11] == "... and 3 more like this; --json shows all."
