"""MEDLINE and plain text of the Web of Science become papers."""

from __future__ import annotations

import io
from itertools import permutations
from pathlib import Path

import pytest

from rag.papers import Paper
from rag.readers import Refused, iter_papers, read_papers

NBIB = Path(__file__).parent / "fixtures/formats/papers.nbib"
WOS = """FN Clarivate Analytics Web of Science
VR 1.0
PT J
AU Moth, A
   Lamp, B
AF Moth, Ada
   Lamp, Bo, Jr.
CA Night Group
TI Moths and
   lamps
SO NIGHT LETTERS
DT Article; Retracted Publication
DE moths; lamps at
   night
ID INSECTS
AB Moths like lamps.
   Some do not.
PU NIGHT PRESS
PD NOV 15
PY 2006
VL 28
IS 5
BP 467
EP 472
DI 10.1000/moth
PM 404
UT WOS:000000000000001
ER

PT B
AU Lamp, B
BE Editor, Eve
TI Lamps
SO LAMPS FOR ALL
DT Proceedings Paper
AR 17
PY 2007
ER

EF
"""
ERIC = """
OWN - ERIC
TI  - Lamps in
      schools
AU  - Moth, Ada
LID - http://eric.ed.gov/?id=EJ1
OT  - Lamps
JT  - School Lights
DP  - 2000
AB  - Lamps in schools helped.
PT  - Journal Articles

OWN - ERIC
TI  - Lamps at home
PT  - Books
"""


def read(text):
    return list(iter_papers(io.BytesIO(text.encode())))


def test_medline_records_give_their_fields():
    first, untitled, last = iter_papers(NBIB)
    assert first == Paper(
        "doi:10.1000/rates.2",
        "Rates over time in a title that is so long that it goes on in the next line",
        "BACKGROUND: We measure rates - and TI - is no tag here.",
        ("Åsa M Sjöberg", "Martin King Jr", "Data Group, Inc."),
        2019,
        "Journal of rates",
        "https://pubmed.ncbi.nlm.nih.gov/12345678/",
        "10.1000/rates.2",
        sources=(str(NBIB),),
        metadata={"pmid": "12345678", "month": 3, "tags": ["rates", "Time Factors/history"]},
    )
    assert untitled == Refused(str(NBIB), 23, "the record has no title. Add one.")
    assert (last.title, last.abstract, last.venue) == ("Without an abstract", "", "J Rates")
    assert (last.authors, last.year, last.metadata) == (("Turing AM",), 1950, {"pmid": "3"})


def test_medlines_tags_of_eric_are_read_without_pmid():
    first, second = read(ERIC)
    assert (first.title, first.abstract) == ("Lamps in schools", "Lamps in schools helped.")
    assert (first.authors, first.year, first.venue) == (("Ada Moth",), 2000, "School Lights")
    assert (first.url, first.metadata) == ("http://eric.ed.gov/?id=EJ1", {"tags": ["Lamps"]})
    assert [first.entry_type, second.entry_type] == ["article", "book"]


@pytest.mark.parametrize("between", ["", "\n"])
def test_records_of_pubmed_and_eric_may_follow_each_other(between):
    pubmed = "PMID- 1\nTI  - A\n" + between + "PMID- 2\nOWN - NLM\nTI  - B\nno tag\n"
    titles = [paper.title for paper in read(pubmed + ERIC + "\n" + pubmed)]
    assert titles == ["A", "B no tag", "Lamps in schools", "Lamps at home", "A", "B no tag"]


def test_plain_text_of_the_web_of_science_gives_its_papers():
    first, second = read(WOS)
    assert first == Paper(
        "doi:10.1000/moth",
        "Moths and lamps",
        "Moths like lamps. Some do not.",
        ("Ada Moth", "Bo Lamp Jr.", "Night Group"),
        2006,
        "NIGHT LETTERS",
        "https://pubmed.ncbi.nlm.nih.gov/404/",
        "10.1000/moth",
        sources=("the stream",),
        metadata={
            "pmid": "404",
            "volume": "28",
            "issue": "5",
            "pages": "467-472",
            "publisher": "NIGHT PRESS",
            "month": 11,
            "tags": ["moths", "lamps at night"],
        },
        entry_type="article",
        retraction="Retracted Publication",
    )
    assert (second.entry_type, second.metadata) == (
        "inproceedings",
        {"pages": "17", "editors": ["Eve Editor"]},
    )


def test_a_record_of_the_web_of_science_is_lost_by_no_missing_tag():
    no_end = WOS.replace("ER\n\nPT B", "PT B").replace("PT J\n", "")
    assert [paper.title for paper in read(no_end)] == ["Moths and lamps", "Lamps"]
    *_, cut = read(WOS.partition("AR 17")[0])
    assert (cut.line, cut.reason.partition(".")[0]) == (30, "the record does not end with ER")


def test_the_notice_of_a_retraction_is_taken_from_the_title():
    title = "lamps (Retracted article. See vol. 3, pg 1, 2010)\n"
    [first, _] = read(WOS.replace("   lamps\n", f"   {title}"))
    assert (first.title, first.retraction) == (
        "Moths and lamps",
        "Retracted article: See vol. 3, pg 1, 2010",
    )


def test_tags_of_the_isi_are_those_of_the_web_of_science():
    [first, _] = read(WOS.replace("Clarivate Analytics Web of Science", "ISI Export Format"))
    assert first.title == "Moths and lamps"
    assert read_papers(io.BytesIO(WOS.partition("VR 1.0\n")[2].encode()))[0].title == first.title


ONE_OF_EACH = (
    "@article{moth,\n title={Moth},\n abstract={At {night}.}}\n\n",
    "TY  - JOUR\nTI  - Lamp\nAB  - By day.\nER  - \n\n",
    "PMID- 17\nOWN - NLM\nTI  - Wick\nPT  - Journal Article\n\n",
    "PT J\nTI Wax\nER\n\n",
)


@pytest.mark.parametrize(("own", "other"), list(permutations(ONE_OF_EACH, 2)))
def test_the_first_record_decides_the_format_of_a_file_with_two(own, other):
    title = read_papers(io.BytesIO(own.encode()))[0].title
    before, refused, after = iter_papers(io.BytesIO((own + 3 * other + own).encode()))
    assert before.title == after.title == title
    assert refused.line == own.count("\n") + 1
    assert "another format" in refused.reason


@pytest.mark.parametrize("start", ["TY  - JOUR\nTI  - Lamp\n", "TI  - Lamp\n"])
def test_an_entry_quoted_in_an_abstract_of_ris_belongs_to_it(start):
    (paper,) = read_papers(io.BytesIO(f"{start}AB  - As\n@article{{moth, x\nER  - \n".encode()))
    assert (paper.title, paper.abstract) == ("Lamp", "As @article{moth, x")


def test_comments_between_entries_are_not_reported():
    text = f"My papers\n\n{ONE_OF_EACH[0]}Read {{later}}, TY  - JOUR\n{ONE_OF_EACH[0]}"
    assert [paper.title for paper in iter_papers(io.BytesIO(text.encode()))] == ["Moth", "Moth"]


def test_a_note_of_ovid_behind_the_end_of_a_record_is_no_record():
    record = "TY  - JOUR\nTI  - Lamp\nER  - \nNL  - Tea J\n\nLink to the full text: x\n\n"
    papers = list(iter_papers(io.BytesIO((2 * record).encode())))
    assert [paper.title for paper in papers] == ["Lamp", "Lamp"]
