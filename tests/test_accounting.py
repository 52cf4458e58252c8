"""Every record of a file is in the report of its import, counted by parsers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import re
from xml.etree import ElementTree as ET

import pytest
import rispy
from hypothesis import given
from hypothesis import strategies as st

from rag import Paper, iter_papers
from rag.index.changes import plan_changes

WORDS = ("Rates", "of", "Tea", "in", "Rats", "α", "µ", "Ünal", "5%", "(2020)", "A:")
TEXT = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
# A DOI shared by different titles, an equal title, a missing title and abstract are all likely.
RECORD = st.fixed_dictionaries(
    {
        "title": TEXT,
        "abstract": st.one_of(TEXT, st.sampled_from(["NA", "[No abstract available]"])),
        "author": st.sampled_from(["Doe, J.", "Roe, Jane", "", "Unal, A. B."]),
        "year": st.sampled_from(["2019", "2020", ""]),
        "doi": st.sampled_from(["", "10.1000/a", "10.1000/b", "https://doi.org/10.1000/A"]),
    }
)
RECORDS = st.lists(RECORD, min_size=1, max_size=8)


def write_bibtex(records):
    names = ("title", "abstract", "author", "year", "doi")
    return "\n".join(
        f"@article{{key{number},\n"
        + "".join(f"  {name} = {{{r[name].replace('%', chr(92) + '%')}}},\n" for name in names)
        + "}\n"
        for number, r in enumerate(records)
    )


def write_ris(records):
    tags = {"TI": "title", "AB": "abstract", "AU": "author", "PY": "year", "DO": "doi"}
    return "\n".join(
        "TY  - JOUR\n" + "".join(f"{tag}  - {r[name]}\n" for tag, name in tags.items()) + "ER  - \n"
        for r in records
    )


def write_csv(records):
    file = io.StringIO(newline="")
    rows = csv.DictWriter(file, ["title", "abstract", "author", "year", "doi"])
    rows.writeheader()
    rows.writerows(records)
    return file.getvalue()


def write_medline(records):
    tags = {"TI": "title", "AB": "abstract", "FAU": "author", "DP": "year", "AID": "doi"}
    return "\n".join(
        f"PMID- {number}\n"
        + "".join(f"{tag:4}- {r[name]}{' [doi]' * (tag == 'AID')}\n" for tag, name in tags.items())
        for number, r in enumerate(records, 1)
    )


def write_pubmed(records):
    root = ET.Element("PubmedArticleSet")
    for number, each in enumerate(records, 1):
        citation = ET.SubElement(ET.SubElement(root, "PubmedArticle"), "MedlineCitation")
        ET.SubElement(citation, "PMID").text = str(number)
        article = ET.SubElement(citation, "Article")
        ET.SubElement(article, "ArticleTitle").text = each["title"]
        abstract = ET.SubElement(article, "Abstract")
        ET.SubElement(abstract, "AbstractText").text = each["abstract"]
        if each["doi"]:
            ET.SubElement(article, "ELocationID", EIdType="doi").text = each["doi"]
    return ET.tostring(root, encoding="unicode")


def write_json_lines(records):
    return "".join(json.dumps(each) + "\n" for each in records)


def count_rows(text):
    """Rows of a table. An empty one, as spreadsheets leave behind, is no record."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return sum(any(row.values()) for row in rows)


FORMATS = {  # how each is written, and counted
    "bib": (write_bibtex, lambda text: len(re.findall(r"^@article\{", text, re.MULTILINE))),
    "ris": (write_ris, lambda text: len(rispy.loads(text))),
    "csv": (write_csv, count_rows),
    "nbib": (write_medline, lambda text: len(re.split(r"\n\n", text))),
    "xml": (write_pubmed, lambda text: len(ET.fromstring(text))),
    "jsonl": (write_json_lines, lambda text: len(list(map(json.loads, text.splitlines())))),
    "json": (json.dumps, lambda text: len(json.loads(text))),
}


@pytest.mark.parametrize("form", FORMATS)
@given(records=RECORDS)
def test_every_record_is_read_or_refused_and_changes_the_library_once(
    form, records, tmp_path_factory
):
    write, count = FORMATS[form]
    text = write([*records, dict(RECORDS_LAST)])
    path = tmp_path_factory.getbasetemp() / f"counted.{form}"
    path.write_text(text, encoding="utf-8", newline="")
    intake = plan_changes((), list(iter_papers(path)), by_title=True)
    assert intake.read + len(intake.refused) == count(text)
    empty = form == "csv" and sum(not any(each.values()) for each in records)
    untitled = sum(not each["title"] for each in records) - empty
    assert len(intake.refused) == untitled
    outcomes = len(intake.added) + sum(intake.merged.values()) + intake.unchanged
    assert outcomes == intake.read
    assert len(intake.papers) == len(intake.added)
    assert set(intake.without_abstract) == {p.id for p in intake.papers if not p.abstract}


RECORDS_LAST = {
    "title": "The Last",
    "abstract": "It ends.",
    "author": "Poe, Ed",
    "year": "2001",
} | {"doi": "10.1000/last"}


@pytest.mark.parametrize("form", FORMATS)
@given(records=RECORDS)
def test_no_paper_has_the_abstract_of_a_record_with_another_title(form, records, tmp_path_factory):
    """Only records of one title may be one paper, whatever their DOI."""
    write, _ = FORMATS[form]
    path = tmp_path_factory.getbasetemp() / f"mixed.{form}"
    path.write_text(write([*records, dict(RECORDS_LAST)]), encoding="utf-8", newline="")
    read = [each for each in iter_papers(path) if isinstance(each, Paper)]
    texts = {(each.title, each.abstract) for each in read}
    for paper in plan_changes((), read, by_title=True).papers:
        assert (paper.title, paper.abstract) in texts
