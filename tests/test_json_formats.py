"""JSON of other services and programs becomes papers, from lines and from lists."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.papers import Paper
from rag.readers import Refused, iter_papers, json_array, json_lines, read_papers
from rag.readers.fields import RawRecord

FORMATS = Path(__file__).parent / "fixtures/formats"
SAMPLES = ("semantic_scholar.json", "openalex.json", "zotero_csl.json", "arxiv_snapshot.jsonl")


def records(name):
    return list(iter_papers(FORMATS / name))


def listed(text):
    return list(json_array.read(io.StringIO(text)))


def outcome(text):
    """Each record's line with its title, or the first word of the reason in capitals."""
    return [
        (line, found.split()[0].upper() if isinstance(found, str) else found.title)
        for line, found in listed(text)
    ]


def own(title):
    return json.dumps({"title": title, "abstract": "We test it."})


def test_arxivs_snapshot_gives_its_papers():
    path = str(FORMATS / "arxiv_snapshot.jsonl")
    assert records("arxiv_snapshot.jsonl") == [
        Paper(
            "doi:10.1000/pond.1",
            "Tides on Small Ponds",
            "We measure tides on ponds.",
            ("José Tide", "L. Reed Jr."),
            2007,
            "J. Ponds 3:14-15,2008",
            doi="10.1000/pond.1",
            arxiv_id="0704.0001",
            sources=(path,),
            metadata={"tags": ["physics.flu-dyn", "cs.CL"]},
            entry_type="preprint",
        ),
        Paper(
            "arxiv:hep-th/9901001",
            "Strings Without Ends",
            "We tie them.",
            ("Ada Loop", "Bo Knot", "李四"),
            1999,
            arxiv_id="hep-th/9901001",
            sources=(path,),
            metadata={"tags": ["hep-th"]},
            entry_type="preprint",
        ),
    ]


def test_semantic_scholars_answer_gives_its_papers():
    first, second, nothing, untitled = records("semantic_scholar.json")
    assert first == Paper(
        "doi:10.1000/bread",
        "Bread {and {Braces}}",
        'We bake "{" and ] often.',
        ("Mia Crumb", "et al."),
        2021,
        "Annals of Bread",
        "https://www.semanticscholar.org/paper/a1b2",
        "10.1000/bread",
        "2101.00001",
        (str(FORMATS / "semantic_scholar.json"),),
        metadata={"tags": ["Biology"]},
    )
    assert (second.title, second.abstract, second.authors) == ("No Abstract Here", "", ())
    assert (nothing.line, nothing.reason.split(",")[0]) == (8, "this is JSON")
    assert (untitled.line, untitled.reason) == (9, 'the field "title" is missing or empty.')


def test_openalexs_answer_gives_its_papers():
    first, second = records("openalex.json")
    assert first == Paper(
        "doi:10.1000/salt",
        "Salt and Light",
        "Salt scatters light; Salt stays.",
        ("Óscar Müller", "Юлия Соль"),
        2019,
        "Salt Letters",
        "https://doi.org/10.1000/salt",
        "10.1000/salt",
        sources=(str(FORMATS / "openalex.json"),),
        metadata={"tags": ["Salt", "Light"]},
    )
    assert (second.title, second.abstract, second.venue) == ("Older Shape", "", "Old Venue")
    assert second.url == "https://openalex.org/W2"


def test_zoteros_export_gives_its_papers():
    first, second = records("zotero_csl.json")
    assert first == Paper(
        "doi:10.1000/moss",
        "Moss at Night",
        "We look at moss.",
        ("Anna van den Berg", "The Moss Group", "王小明"),
        2015,
        "Moss Quarterly",
        "https://moss.example/1",
        "10.1000/moss",
        sources=(str(FORMATS / "zotero_csl.json"),),
        metadata={
            "month": 3,
            "tags": ["moss, night", "green"],
            "family_names": {"王小明": "王"},
        },
        entry_type="article",
    )
    assert (second.title, second.abstract, second.url) == ("A Page About Moss", "", None)


def test_crossrefs_answer_gives_its_papers():
    first, second, untitled = records("crossref.json")
    assert first == Paper(
        "doi:10.1000/cloud.1",
        "Clouds & Cumuli: A Scale",
        "Aims: We weigh CO2 at 10^-3 g & less.",
        ("Ida Nimbus", "Cloud Consortium"),
        2022,
        "Journal of Air",
        "https://doi.org/10.1000/cloud.1",
        "10.1000/cloud.1",
        sources=(str(FORMATS / "crossref.json"),),
        metadata={
            "issue": "2",
            "publisher": "Invented Press",
            "month": 5,
            "tags": ["Clouds"],
        },
        entry_type="article",
    )
    assert (second.title, second.abstract, second.year) == ("No Abstract Here", "", None)
    assert second.arxiv_id == "2101.00003"
    assert (untitled.line, untitled.reason) == (3, 'the field "title" is missing or empty.')


def read(record):
    [paper] = read_papers(io.BytesIO(json.dumps([{"title": "A", **record}]).encode()))
    return paper


DETAILS = {
    "volume": "7",
    "issue": "2",
    "pages": "11-19",
    "publisher": "Pond Press",
    "editors": ["Eve Editor"],
    "month": 4,
}


@pytest.mark.parametrize(
    ("record", "kind", "missing"),
    [
        (
            {
                "type": "chapter",
                "volume": 7,
                "issue": "2",
                "page": "11–19",
                "publisher": "Pond Press",
                "editor": [{"given": "Eve", "family": "Editor"}],
                "issued": {"date-parts": [["2020", "04"]]},
            },
            "incollection",
            set(),
        ),
        (
            {
                "type": "article",
                "biblio": {"volume": "7", "issue": "2", "first_page": "11", "last_page": "19"},
                "primary_location": {"source": {"host_organization_name": "Pond Press"}},
                "publication_date": "2020-04-03",
                "authorships": [],
            },
            "article",
            {"editors"},
        ),
        (
            {
                "paperId": "a",
                "publicationTypes": ["Review", "Conference"],
                "journal": {"volume": "7", "pages": "11 - 19"},
                "publicationDate": "2020-04-03",
            },
            "inproceedings",
            {"issue", "publisher", "editors"},
        ),
    ],
    ids=["CSL", "OpenAlex", "Semantic Scholar"],
)
def test_details_of_a_reference_are_kept(record, kind, missing):
    paper = read(record)
    assert paper.metadata == {k: v for k, v in DETAILS.items() if k not in missing}
    assert paper.entry_type == kind


@pytest.mark.parametrize(
    ("record", "key", "kind"),
    [
        ({"type": "article", "id": "doe2020tea"}, "doe2020tea", "preprint"),
        ({"type": "article-journal", "id": 17, "citation-key": "doe:2020"}, "doe:2020", "article"),
        ({"type": "article-journal", "id": "http://zotero.org/users/1/A"}, None, "article"),
        ({"type": "posted-content", "id": "404", "issued": {}}, None, "preprint"),
    ],
)
def test_the_id_of_a_csl_item_is_its_citation_key(record, key, kind):
    paper = read(record)
    assert (paper.citation_key, paper.entry_type) == (key, kind)


@pytest.mark.parametrize(
    ("record", "mark"),
    [
        ({"authorships": [], "is_retracted": True}, "Retracted"),
        ({"authorships": [], "is_retracted": False}, None),
        ({"abstract": "B", "is_retracted": True}, "Retracted"),
        (
            {
                "DOI": "10.1/a",
                "updated-by": [{"type": "retraction", "DOI": "10.1/n"}],
                "issued": {},
            },
            "Retracted in: 10.1/n",
        ),
        (
            {"DOI": "10.1/a", "updated-by": [{"type": "erratum", "DOI": "10.1/n"}], "issued": {}},
            None,
        ),
        (
            {"DOI": "10.1/n", "update-to": [{"type": "retraction", "DOI": "10.1/a"}], "issued": {}},
            None,
        ),
        (
            {"DOI": "10.1/A", "update-to": [{"type": "retraction", "DOI": "10.1/a"}], "issued": {}},
            "Retracted in: 10.1/a",
        ),
    ],
)
def test_a_retracted_work_is_marked_but_not_the_notice(record, mark):
    assert read(record).retraction == mark


@pytest.mark.parametrize(
    ("written", "title", "mark"),
    [
        ("RETRACTED: Tea heals", "Tea heals", "RETRACTED"),
        ("[Retracted] Tea heals", "Tea heals", "Retracted"),
        ("WITHDRAWN: Tea heals", "Tea heals", "WITHDRAWN"),
        ("Tea (Retracted article. See vol. 3, pg 1)", "Tea", "Retracted article: See vol. 3, pg 1"),
        ("Retraction: Tea heals", "Retraction: Tea heals", None),
        ("Retracted papers: a survey", "Retracted papers: a survey", None),
    ],
)
def test_the_mark_of_a_publisher_is_no_part_of_the_title(written, title, mark):
    paper = read({"title": written})
    assert (paper.title, paper.retraction) == (title, mark)


def test_all_fields_of_a_paper_are_read_back():
    paper = Paper(
        "a",
        "A",
        "B",
        ("Ada Moth",),
        2020,
        sources=("a.bib",),
        metadata=DETAILS,
        citation_key="moth2020",
        entry_type="inproceedings",
        retraction="Retracted in: Tea J. 2021",
    )
    assert read(paper.to_dict()) == paper


def test_a_single_work_of_crossref_is_read(tmp_path):
    work = json.loads((FORMATS / "crossref.json").read_text("utf-8"))["message"]["items"][0]
    path = tmp_path / "work"
    for indent in (None, 1):
        answer = {"status": "ok", "message-type": "work", "message": work}
        path.write_text(json.dumps(answer, indent=indent))
        assert [paper.doi for paper in read_papers(path)] == ["10.1000/cloud.1"]


@pytest.mark.parametrize("name", SAMPLES[:3])
@pytest.mark.parametrize("shape", ["lines", "bare", "data", "CRLF", "BOM", "one line"])
def test_a_record_is_the_same_in_every_shape(tmp_path, name, shape):
    whole = json.loads((FORMATS / name).read_text(encoding="utf-8"))
    several = whole if isinstance(whole, list) else whole.get("data") or whole["results"]
    text = {
        "lines": "\n".join(map(json.dumps, several)),
        "bare": json.dumps(several, indent=0),
        "data": json.dumps({"total": 2, "data": several}, indent=4, ensure_ascii=False),
        "CRLF": json.dumps(several, indent=2).replace("\n", "\r\n"),
        "BOM": "\ufeff" + json.dumps(several, indent=2),
        "one line": json.dumps({"results": several, "meta": {"items": [1]}}),
    }[shape]
    path = tmp_path / "records"
    path.write_bytes(text.encode())
    expected = [r.title for r in records(name) if isinstance(r, Paper)]
    assert [r.title for r in iter_papers(path) if isinstance(r, Paper)] == expected


def test_own_records_may_stand_in_a_list_or_alone_over_lines():
    assert outcome(f"[{own('A')},\n{own('B')}]\n") == [(1, "A"), (2, "B")]
    alone = json.dumps(json.loads(own("A")), indent=2)
    assert json_array.recognises(alone)
    assert outcome(alone + "\n" + alone) == [(1, "A"), (5, "A")]


def test_pages_of_answers_one_behind_the_other_are_read_through():
    page = '{"total": 9,\n"data": [\n%s\n],\n"group_by": [{"key": 1}]}\n'
    assert outcome(page % own("A") + page % own("B")) == [(3, "A"), (8, "B")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('{"title": "B" "abstract": "C"},', "THIS"),
        ('{"title": "B", "abstract": "C"}},', None),
        ('{"title": "B", "x": [1}]},', "THIS"),
        ('{"title": "B, "abstract": "C"},', "THE"),
        ('{"title": "B", "x": {"abstract": "C"},', "THE"),
        ('"B",', "THIS"),
        ("[[[{" + '"a":[' * 100_000 + "},", "THIS"),
    ],
)
def test_a_broken_record_does_not_lose_the_others(broken, reason):
    found = outcome(f"[\n{own('A')},\n{broken}\n{own('Z')}\n]\n")
    assert (2, "A") in found
    assert (4, "Z") in found
    if reason:
        assert (3, reason) in found


def test_a_file_cut_off_says_so_at_the_record():
    text = (FORMATS / "zotero_csl.json").read_text(encoding="utf-8")
    [whole, (line, reason)] = listed(text[: text.index('"type": "webpage"')])
    assert whole[1].title == "Moss at Night"
    assert (line, reason) == (
        18,
        "the record has no end. A brace or quote is missing, or the file is cut off here.",
    )


def test_of_doubled_keys_the_last_counts():
    assert outcome('[{"title": "A", "title": "B", "abstract": "C"}]') == [(1, "B")]


@pytest.mark.parametrize(
    "line",
    [
        '{"title": "A", "abstract": "B", "results": [{"x": 1}]}',
        '{"results": [{"x": 1}], "title": "A", "abstract": "B"}',
        '{"id": "1", "title": "A", "abstract": "B", "data": []}',
    ],
)
def test_an_own_record_with_a_list_inside_stays_a_line(line):
    assert not json_array.recognises(line)
    assert json_lines.recognises(line)


@pytest.mark.parametrize("key", ["paperId", "authors_parsed", "container-title", "authorships"])
def test_a_key_of_a_service_does_not_take_an_own_records_authors(key):
    line = json.dumps({"title": "A", "abstract": "B", "authors": ["A. Turing"], key: "x"})
    [(_, paper)] = json_lines.read([line])
    assert (paper.authors, paper.metadata) == (("A. Turing",), {key: "x"})


@pytest.mark.parametrize(
    ("written", "authors"),
    [
        (["Müller, Hans", "A. Smith", "et al."], ("Hans Müller", "A. Smith", "et al.")),
        (["A. Smith and others"], ("A. Smith", "et al.")),
        (["et al."], ()),
        (["Data Group, Inc."], ("Data Group, Inc.",)),
        ("Müller, Hans; Smith, A.", ("Hans Müller", "A. Smith")),
        ("Müller, Hans", ("Hans Müller",)),
        ("H. Müller, A. Smith et al.", ("H. Müller", "A. Smith", "et al.")),
        (None, ()),
    ],
)
def test_authors_of_an_own_record_are_named_as_those_of_other_formats(written, authors):
    line = json.dumps({"title": "A", "authors": written})
    for found in (*json_lines.read([line]), *json_array.read([f"[{line}]"])):
        assert found[1].authors == authors


def test_names_that_papertrail_wrote_keep_their_commas():
    record = {"title": "A", "authors": ["University of Bath, Library"], "sources": []}
    [(_, found)] = json_lines.read([json.dumps(record)])
    assert found.authors == ("University of Bath, Library",)


@pytest.mark.parametrize("text", ["[1] A. Turing, Mind, 1950.", '["a"]', "{a}", '{"data": "x"}'])
def test_other_texts_are_no_lists_of_records(text):
    assert not json_array.recognises(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FIXTURE_KEYS = set().union(
    *(json.loads(line) for line in (FORMATS / SAMPLES[3]).read_text("utf-8").splitlines()),
    *json.loads((FORMATS / SAMPLES[0]).read_text("utf-8"))["data"][:2],
    *json.loads((FORMATS / SAMPLES[1]).read_text("utf-8"))["results"],
    *json.loads((FORMATS / SAMPLES[2]).read_text("utf-8")),
)


@given(st.dictionaries(st.sampled_from(sorted(FIXTURE_KEYS)), JSON), st.booleans())
def test_fields_of_any_kind_give_a_paper_or_a_reason(record, wrap):
    text = json.dumps({**record, "title": "A"} if wrap else record)
    for [found] in ([*json_lines.read([text])], [*json_array.read([f"[{text}]"])]):
        assert isinstance(found[1], RawRecord) or found[1].endswith(".")


def test_an_object_inside_a_broken_record_over_lines_is_no_paper(tmp_path):
    path = tmp_path / "papers.jsonl"
    path.write_text(
        '{"title": "On Tea", "abstract": ""}\n'
        '{"title": "On Cups", \n"references": [\n  {"title": "On Clay"}\n],}\n'
        '{"title": "On Milk", "abstract": ""}\n  {"title": "On Cream", "abstract": ""}\n'
    )
    found = list(iter_papers(path))
    titles = [each.title for each in found if isinstance(each, Paper)]
    assert titles == ["On Tea", "On Milk", "On Cream"]
    assert [each.line for each in found if isinstance(each, Refused)] == [2, 3, 4, 5]
