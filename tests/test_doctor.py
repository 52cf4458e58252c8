"""`rag doctor` says what is wrong with a library, and the command that fixes it."""

from __future__ import annotations

import json

import pytest

from rag import Assistant, Paper

GOOD = {
    "title": "On Ponds",
    "abstract": "We drain ponds. Frogs leave.",
    "year": 2020,
    "authors": ["Ada Moss"],
}


@pytest.fixture
def examine(run):
    """Run `rag doctor` on the library "mine"; returns the findings by kind."""

    def run_doctor():
        findings = json.loads(run("doctor", "mine", "--json"))["findings"]
        return {finding["kind"]: finding for finding in findings}

    return run_doctor


@pytest.fixture
def write(tmp_path):
    def write_records(name, *records):
        (tmp_path / name).write_text("".join(f"{json.dumps(each)}\n" for each in records))

    return write_records


def test_sound_library_has_no_finding(run, write):
    write("a.jsonl", GOOD)
    run("index", "a.jsonl", "-i", "mine", "-q")
    for words in (("mine",), ("-i", "mine")):
        text = run("doctor", *words, "-q")
        assert text.endswith("  papers: 1\nNothing is wrong with it.\n")


def test_missing_fields_and_odd_titles_are_found(run, write, examine):
    titles = ["[No title available]", "NI", "RATES OF ALL PONDS", "On <i>Rana</i>", "draft.pdf"]
    papers = [
        Paper(f"p-{n}", title, "We test it.", authors=("Ada Moss",), year=2020)
        for n, title in enumerate(titles)
    ]
    papers += [Paper("bare", "On Bare Rocks", ""), Paper("bad", "On Salt", "It heals.", year=2011)]
    papers[-1] = Paper(**papers[-1].to_dict() | {"authors": ("Bo Li",), "retraction": "Retracted"})
    Assistant.build(papers, "mine").close()
    found = examine()
    assert {kind: finding["items"] for kind, finding in found.items()} == {
        "retracted": ["bad"],
        "no abstract": ["bare"],
        "no year": ["bare"],
        "no author": ["bare"],
        "odd titles": ["p-0", "p-1", "p-2", "p-3", "p-4"],
    }
    assert found["odd titles"]["message"] == (
        "5 titles are odd: 1 a placeholder, 1 too short, 1 all in capitals, 1 with markup, "
        "1 a file name."
    )
    assert found["no year"]["message"].startswith("1 of 7 papers is without a year,")
    assert found["retracted"]["fix"] == "rag papers list --retracted --index mine"
    text = run("doctor", "mine")
    assert (
        "no abstract:\n"
        "  found: 1 of 7 papers is without an abstract, found by title only.\n"
        '  such as: "On Bare Rocks" (bare)\n'
        "  fix: rag index FILE_WITH_ABSTRACTS --index mine\n"
    ) in text


def test_differences_from_the_sources_are_found_and_fixed_by_the_command(
    run, write, examine, tmp_path
):
    reeds = {**GOOD, "title": "On Reeds", "abstract": "Reeds bend."}
    rocks = {**GOOD, "title": "On Rocks", "abstract": "Rocks stay."}
    write("a.jsonl", GOOD, reeds)
    write("b.jsonl", rocks)
    run("index", "a.jsonl", "b.jsonl", "-i", "mine", "-q")
    assert examine() == {}

    salt = {**GOOD, "title": "On Salt", "abstract": "Salt dries."}
    write("a.jsonl", {**GOOD, "abstract": "We fill ponds."}, salt, {"title": ""})
    (tmp_path / "b.jsonl").unlink()
    found = examine()
    assert list(found) == [
        "missing sources",
        "stale sources",
        "gone from sources",
        "refused records",
    ]
    assert found["missing sources"]["items"] == [str(tmp_path / "b.jsonl")]
    assert "1 new and 1 changed papers" in found["stale sources"]["message"]
    assert [each.split("-")[1] for each in found["gone from sources"]["items"]] == ["reeds"]
    assert "a.jsonl, line 3" in found["refused records"]["examples"][0]
    assert examine() == found  # nothing was written

    run(*found["stale sources"]["fix"].split()[1:], "-q")
    (reed,) = found["gone from sources"]["items"]
    run(*found["gone from sources"]["fix"].replace("ID", reed).split()[1:], "-q")
    assert list(examine()) == ["missing sources", "refused records"]


def test_possible_duplicates_are_found_until_they_are_decided_about(run, write, examine):
    write("a.jsonl", *(GOOD | {"doi": f"10.1000/pond.{n}"} for n in "ab"))
    run("index", "a.jsonl", "-i", "mine", "-q")
    found = examine()["possible duplicates"]
    assert found["items"] == ["doi:10.1000/pond.a", "doi:10.1000/pond.b"]
    assert found["examples"][0].endswith("same first author, same year, two DOIs")
    assert found["fix"] == "rag papers duplicates --index mine"
    run("papers", "separate", *found["items"], "-i", "mine", "-q")
    assert examine() == {}


def test_other_settings_are_a_finding_and_no_failure(run, write, examine, monkeypatch):
    write("a.jsonl", GOOD)
    run("index", "a.jsonl", "-i", "mine", "-q")
    monkeypatch.setenv("PAPERTRAIL_PASSAGE_TOKENS", "200")
    found = examine()
    assert "budget_tokens 400" in found["other settings"]["message"]
    run(*found["other settings"]["fix"].split()[1:], "-q")
    assert examine() == {}


def test_index_that_cannot_be_read_is_a_failure(run, write, tmp_path):
    assert "There is no library mine." in run("doctor", "mine", status=2)
    assert "Name the library once" in run("doctor", "mine", "-i", "mine", status=2)
    write("a.jsonl", GOOD)
    run("index", "a.jsonl", "-i", "mine", "-q")
    next((tmp_path / "data").rglob("records.sqlite3")).unlink()
    assert "is damaged" in run("doctor", "mine", status=3)
