"""Files become papers, and what cannot be read is refused with its place."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import json
import sys
import warnings
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import CorpusError
from rag.papers import Paper, make_paper_id
from rag.readers import Refused, iter_papers, json_lines, read_papers
from rag.readers.formats import list_formats

ROOT = Path(__file__).parent.parent
LISTING = ROOT / "tests/fixtures/listing.txt"
SAMPLES = [LISTING, *sorted((ROOT / "tests/fixtures/formats").iterdir())]
HEADER = (
    "new\n\nGet trending papers in your email inbox!\n\nSubscribe\n\nbyAK and friends\n\nMar 12\n\n"
)
ABSTRACT = "We study how rates change over time. " * 6 + "We find that they do."
# The page's header has five blocks; then every other block is a title.
TITLES = LISTING.read_text(encoding="utf-8").rstrip().split("\n\n")[5::2]


def written(folder, content, name="papers.xyz"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def json_line(**fields):
    return json.dumps({"title": "On Rates", "abstract": "We test it.", **fields}) + "\n"


def refusals(path):
    return [(r.line, r.reason) for r in iter_papers(path) if isinstance(r, Refused)]


def titles(source):
    return [record.title for record in iter_papers(source) if isinstance(record, Paper)]


# --- listing pages ------------------------------------------------------------------------------


def test_a_listing_page_gives_its_entries_without_its_header():
    papers = list(iter_papers(LISTING))
    assert [paper.title for paper in papers] == TITLES
    assert len(TITLES) == 6
    assert TITLES[0].startswith("E2S2: Encoding-Enhanced")
    assert papers[0].abstract.startswith("Sequence-to-sequence (seq2seq) learning is a popular")
    assert papers[0].abstract.endswith("seq2seq language model pretraining.")
    assert papers[0].sources == (str(LISTING),)
    assert papers[0].id == make_paper_id(TITLES[0])


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER.replace("new\n\n", "hot\n\n"),
        HEADER.replace("Mar 12", "three days ago"),
        HEADER.replace("Subscribe\n\n", ""),
        HEADER + "Upvote\n\n",
        "\n\n \n" + HEADER,
    ],
)
def test_a_header_may_differ_or_be_missing(tmp_path, header):
    body = f"One Title\n\n{ABSTRACT}\n\nAnother Title\n\n{ABSTRACT} Really."
    assert titles(written(tmp_path, header + body)) == ["One Title", "Another Title"]


def test_a_text_of_several_lines_is_one_block(tmp_path):
    wrapped = ABSTRACT.replace(". ", ".\n  ")
    path = written(tmp_path, f"A Title on\ntwo lines\n \n\t\n{wrapped}\n\n\nB\n\n{wrapped}\n")
    papers = read_papers(path)
    assert [(paper.title, paper.abstract) for paper in papers] == [
        ("A Title on two lines", ABSTRACT),
        ("B", ABSTRACT),
    ]


def test_an_entry_cut_off_before_its_abstract_is_refused_with_its_line(tmp_path):
    # line 1 title, 3 abstract, 5 title, 7 abstract, 9 title
    path = written(tmp_path, f"A\n\n{ABSTRACT}\n\nB\n\n{ABSTRACT}\n\nThe Last Title\n")
    assert titles(path) == ["A", "B"]
    assert refusals(path) == [
        (9, 'the title "The Last Title" has no abstract below it. The file may be cut off.')
    ]


def test_an_entry_without_abstract_or_title_spoils_only_itself(tmp_path):
    # 11 lines of header and blanks, then: 11 A, 13 abstract, 15 B, 17 C, 19 abstract, 21 abstract
    body = f"A\n\n{ABSTRACT}\n\nB\n\nC\n\n{ABSTRACT}\n\n{ABSTRACT}\n\nD\n\n{ABSTRACT}\n"
    path = written(tmp_path, HEADER + body)
    assert titles(path) == ["A", "C", "D"]
    assert [line for line, _ in refusals(path)] == [15, 21]


def test_pages_put_one_behind_the_other_are_read_through(tmp_path):
    page = HEADER + f"A\n\n{ABSTRACT}\n\n"
    path = written(tmp_path, page + "Lonely\n\n" + page.replace("A\n", "B\n"))
    assert titles(path) == ["A", "B"]
    assert len(refusals(path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# Notes\n\n" + ABSTRACT,
        "Notes\n\n" + f"{ABSTRACT}\n\n" * 3,
        "Copyright (c) 2020 A. Author\n\n" + ABSTRACT[:-1] + ":\n\nMore.\n\n" + ABSTRACT,
        "Some words.\n\nMore words.",
        "id,title\n1,On Rates\n",
        '["On Rates", "We test it."]\n',
        "\n" * 50 + "title,abstract\nOn Rates,We test it.\n",
    ],
)
def test_other_texts_are_not_taken_for_papers(tmp_path, text):
    with pytest.raises(CorpusError, match="no known format"):
        list(iter_papers(written(tmp_path, text, "listing.txt")))


# --- JSON Lines ---------------------------------------------------------------------------------


def test_a_json_line_gives_all_its_fields(tmp_path):
    line = json_line(
        title=" On\nRates ",
        abstract=r"It wins by 5\%.",
        id="mine",
        authors=["A. Turing", " "],
        year="1950",
        venue="Mind",
        url="https://a.org/x",
        doi="https://doi.org/10.1000/ABC",
        arxiv_id="arXiv:1706.03762v7",
        sources=["a.txt", "b.txt"],
        aliases="old",
        pages=[1, 9],
        metadata={"lang": "en"},
    )
    assert read_papers(written(tmp_path, line)) == [
        Paper(
            "mine",
            "On Rates",
            "It wins by 5%.",
            ("A. Turing",),
            1950,
            "Mind",
            "https://a.org/x",
            "10.1000/abc",
            "1706.03762",
            ("a.txt", "b.txt"),
            ("old",),
            {"pages": [1, 9], "lang": "en"},
        )
    ]


def test_what_is_missing_null_or_empty_is_left_out_and_not_invented(tmp_path):
    line = json_line(authors=None, year="", venue="", doi=None, url=None, id="", metadata=None)
    path = written(tmp_path, line)
    assert read_papers(path)[0].to_dict() == {
        "id": make_paper_id("On Rates"),
        "title": "On Rates",
        "abstract": "We test it.",
        "sources": [str(path)],
    }


@pytest.mark.parametrize(
    "words",
    [
        "[No abstract available]",
        "NA",
        "n/a",
        "Not Available.",
        "[Anonymous]",
        "none",
        "-",
        "No abstract",
        "ABSTRACT NOT AVAILABLE",
        "Abstract not available in English yet.",
        "There is no abstract for this article.",
        "<p>null</p>",
        "nan",
        "An abstract is not available for this content so a preview has been provided.",
    ],
)
def test_a_placeholder_is_no_abstract_author_or_venue(tmp_path, words):
    table = f"title,abstract,authors,venue,year,doi\nOn Rates,{words},{words},{words},NA,NA\n"
    [paper] = iter_papers(written(tmp_path, table))
    assert paper == Paper(paper.id, "On Rates", "", sources=paper.sources)


def test_names_and_keywords_are_cleaned_of_tags_and_entities(tmp_path):
    table = "title,authors,venue,keywords\nOn Rates,G&ouml;del <i>ab</i>,R&amp;D,<i>E. coli</i>\n"
    [paper] = iter_papers(written(tmp_path, table))
    assert (paper.authors, paper.venue) == (("Gödel ab",), "R&D")
    assert paper.metadata["tags"] == ["E. coli"]


SEPARATED = {  # family names that the sources separate, and a group
    "bibtex": r"""@misc{a,
      title = {Tea},
      author = {Garc{\'i}a M{\'a}rquez, Gabriel and Chang, Ming Wei and Clark, Ada M. and {A, Inc.}}
    }""",
    "biblatex": """@misc{a,
      title = {Tea},
      author = {family=García Márquez, given=Gabriel and given=Ming Wei, family=Chang
        and Clark, Ada M. and {A, Inc.}}
    }""",
    "ris": """TY  - JOUR\nTI  - Tea\nAU  - García Márquez, Gabriel\nAU  - Chang, Ming Wei
AU  - Clark, Ada M.\nAU  - A,, Inc.\nER  - """,
    "medline": """PMID- 1\nTI  - Tea\nFAU - García Márquez, Gabriel\nAU  - García Márquez G
FAU - Chang, Ming Wei\nFAU - Clark, Ada M.\nCN  - A, Inc.\n""",
    "wos": """PT J\nAF García Márquez, Gabriel\n   Chang, Ming Wei\n   Clark, Ada M.\n   A,, Inc.
TI Tea\nER\n""",
    "pubmed": """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>
      <ArticleTitle>Tea</ArticleTitle><AuthorList>
      <Author><LastName>García Márquez</LastName><ForeName>Gabriel</ForeName></Author>
      <Author><LastName>Chang</LastName><ForeName>Ming Wei</ForeName></Author>
      <Author><LastName>Clark</LastName><ForeName>Ada M.</ForeName></Author>
      <Author><CollectiveName>A, Inc.</CollectiveName></Author>
      </AuthorList></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>""",
    "csl": """[{"type": "book", "title": "Tea", "author": [
      {"family": "García Márquez", "given": "Gabriel"}, {"family": "Chang", "given": "Ming Wei"},
      {"family": "Clark", "given": "Ada M."}, {"literal": "A, Inc."}]}]""",
    "json": json_line(
        authors=["García Márquez, Gabriel", "Chang, Ming Wei", "Clark, Ada M.", "A,, Inc."]
    ),
    "table": """title,authors
      Tea,"García Márquez, Gabriel; Chang, Ming Wei; Clark, Ada M.; A,, Inc."\n""",
}


@pytest.mark.parametrize("form", SEPARATED)
def test_a_family_name_that_only_its_source_tells_is_known(form, tmp_path):
    [paper] = iter_papers(written(tmp_path, SEPARATED[form]))
    names = ["A, Inc.", "Ada M. Clark", "Gabriel García Márquez", "Ming Wei Chang"]
    assert sorted(paper.authors) == names
    assert {type(name) for name in paper.authors} == {str}
    assert paper.metadata["family_names"] == {
        "Gabriel García Márquez": "García Márquez",
        "Ming Wei Chang": "Chang",
    }


def test_a_name_in_one_piece_has_no_family_name(tmp_path):
    named = json_line(authors=["Gabriel García Márquez", "World Health Organization, Geneva"])
    [paper] = iter_papers(written(tmp_path, named))
    assert "family_names" not in paper.metadata


@pytest.mark.parametrize(
    "words", ["None of the mice slept.", "No abstract art is available.", "No 5"]
)
def test_a_text_that_only_begins_like_a_placeholder_stays(tmp_path, words):
    [paper] = iter_papers(written(tmp_path, json_line(abstract=words)))
    assert paper.abstract == words


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("year", 2017.0, 2017),
        ("authors", "Ada Lovelace", ("Ada Lovelace",)),
        ("url", "javascript:alert(1)", None),
        ("url", "HTTP://a.org", "HTTP://a.org"),
        ("doi", "see the journal", None),
        ("id", "x" * 200, "x" * 200),
        ("id", "x" * 201, make_paper_id("On Rates")),
        ("id", "a\nb", make_paper_id("On Rates")),
        ("id", 17, make_paper_id("On Rates")),
    ],
)
def test_a_field_is_kept_only_in_a_usable_form(tmp_path, field, value, kept):
    paper = read_papers(written(tmp_path, json_line(**{field: value})))[0]
    assert getattr(paper, field) == kept


def test_an_id_or_doi_that_cannot_serve_is_kept_as_metadata(tmp_path):
    paper = read_papers(written(tmp_path, json_line(id=17, doi="n/a")))[0]
    assert paper.metadata == {"id": 17, "doi": "n/a"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"title": "A", "abstract": "B"', "this is not valid JSON: "),
        ("[1, 2]", "this is JSON, but not an object with a title and an abstract."),
        ('{"abstract": "B"}', 'the field "title" is missing or empty.'),
        ('{"title": " ", "abstract": "B"}', 'the field "title" is missing or empty.'),
        ('{"title": "\\u0000", "abstract": "B"}', "the title is empty."),
        ('{"title": 5, "abstract": "B"}', 'the field "title" must be a string, not 5.'),
        ('{"title": "A", "abstract": ["B"]}', 'the field "abstract" must be a string, not ["B"].'),
        ('{"title": "A", "abstract": "B", "year": "soon"}', 'the field "year" must be a year, not'),
        ('{"title": "A", "abstract": "B", "year": true}', 'the field "year" must be a year, not'),
        ('{"title": "A", "abstract": "B", "authors": [1]}', 'the field "authors" must be a list'),
        ('{"title": "A", "abstract": "B", "authors": {"a": 1}}', 'the field "authors" must be a'),
        (
            '{"title": "A", "abstract": "B", "metadata": 1}',
            'the field "metadata" must be an object',
        ),
        (
            '{"title": "A", "abstract": "B", "x": NaN}',
            "this is not valid JSON: NaN is not a number.",
        ),
        ('{"title": "A", "abstract": "B", "x": ' + "9" * 5000 + "}", "this is not valid JSON: "),
        ('{"title": "A", "abstract": "B", "x": ' + "[" * 200_000, "the JSON is nested too deeply."),
        ('{"title": "A", "abstract": "\\ud800"}', "it contains half of an escaped char"),
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_line_is_refused_with_its_number_and_reading_goes_on(tmp_path, line, reason):
    path = written(tmp_path, json_line() + "\n" + line + "\n" + json_line(title="Next"))
    assert titles(path) == ["On Rates", "Next"]
    [(number, said)] = refusals(path)
    assert number == 3
    assert said.startswith(reason)


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(
    st.lists(
        st.builds(
            Paper, TEXT, TEXT, TEXT, sources=st.just(("a",)), metadata=st.dictionaries(TEXT, TEXT)
        )
    )
)
def test_papers_written_as_json_lines_are_read_back(papers):
    lines = [json.dumps(paper.to_dict(), ensure_ascii=False) for paper in papers]
    own = {field.name for field in dataclasses.fields(Paper)}
    expected = [paper for paper in papers if not own & set(paper.metadata)]
    found = [Paper(*paper) for _, paper in json_lines.read(lines) if not isinstance(paper, str)]
    assert [paper for paper in found if paper in expected] == expected


def test_the_bundled_library_is_read_as_it_is_written():
    library = ROOT / "rag/data/library.jsonl"
    papers = read_papers(library)
    lines = library.read_text(encoding="utf-8").splitlines()
    assert [json.dumps(paper.to_dict(), ensure_ascii=False) for paper in papers] == lines
    assert len({paper.id for paper in papers}) == 251
    assert not any(paper.authors or paper.year or paper.url for paper in papers)
    note = (ROOT / "rag/data/PROVENANCE.md").read_text(encoding="utf-8")
    assert sha256(library.read_bytes()).hexdigest() in note


# --- bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.rstrip("\n").encode(),
    ],
    ids=["byte order mark", "CRLF", "CR", "UTF-16", "no last line break"],
)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_usual_kinds_of_text_file_read_alike(sample, encode):
    read = list(iter_papers(io.BytesIO(encode(sample.read_text(encoding="utf-8")))))
    expected = [str(record) for record in iter_papers(sample)]
    assert [str(record).replace("the stream", str(sample)) for record in read] == expected


@pytest.mark.parametrize(
    ("encoded", "read"),
    [
        ("Café “quoted” – 5 €".encode("cp1252"), "Café “quoted” – 5 €"),
        ("Café".encode("latin-1") + b" and " + "Müller".encode(), "Café and Müller"),
        (b"one \x81 byte of nothing", "one \ufffd byte of nothing"),
    ],
)
def test_bytes_that_are_no_utf_8_are_read_as_windows_1252(tmp_path, encoded, read):
    good = json_line(title="Ünïted").encode()
    path = written(tmp_path, good + json_line(title="?").encode().replace(b"?", encoded) + good)
    assert titles(path) == ["Ünïted", read, "Ünïted"]


def test_a_file_of_old_bytes_is_recognised_by_its_header(tmp_path):
    path = written(tmp_path, "Título;Year\nÉtude;2001\n".encode("cp1252"))
    assert titles(path) == ["Étude"]


def test_separators_inside_a_json_text_do_not_break_its_line(tmp_path):
    line = json.dumps({"title": "A\u2028B", "abstract": "C\u0085D"}, ensure_ascii=False)
    assert titles(written(tmp_path, line)) == ["A B"]


# --- packed files --------------------------------------------------------------------------------


PACKINGS = {"gzip": gzip.compress, "zstd": zstandard.compress}
MANY = "".join(
    json_line(title=f"Paper {n}", number=sha256(b"%d" % n).hexdigest()) for n in range(6000)
)


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_files_are_read_as_they_are(tmp_path, packing):
    pack = PACKINGS[packing]
    assert titles(written(tmp_path, pack(MANY.encode()), "papers.pdf")) == titles(
        written(tmp_path, MANY)
    )
    parts = [pack(json_line(title=title).encode()) for title in "AB"]  # as programs append
    assert titles(written(tmp_path, b"".join(parts) + b"\0" * 512)) == ["A", "B"]


@pytest.mark.parametrize("packing", PACKINGS)
def test_of_a_packed_file_that_is_cut_off_the_papers_before_are_kept(tmp_path, packing):
    whole = PACKINGS[packing](MANY.encode())
    path = written(tmp_path, whole[: len(whole) * 3 // 4])
    found = titles(path)
    assert 0 < len(found) < 6000
    assert found == [f"Paper {n}" for n in range(len(found))]
    last = refusals(path)[-1]
    assert last[1] == (
        "reading stops at this record: the packed data is damaged or cut off. "
        "Pack or download the file again."
    )
    assert last[0] in {len(found), len(found) + 1}  # the line the cut goes through may be refused


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_cut_and_every_flipped_byte_of_a_packed_file_ends_in_a_sentence(tmp_path, packing):
    whole = PACKINGS[packing](json_line().encode() * 20)
    cut = [whole[:end] for end in range(4, len(whole))]
    flipped = [whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :] for at in range(len(whole))]
    for content in cut + flipped:
        path = written(tmp_path, content)
        with suppress(CorpusError):
            assert all(isinstance(record, Paper | Refused) for record in iter_papers(path))


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_file_that_swells_without_end_stops_at_a_bound(tmp_path, packing):
    swollen = json_line() + '{"title": "' + "a" * 80_000_000
    path = written(tmp_path, PACKINGS[packing](swollen.encode()))
    assert titles(path) == ["On Rates"]
    assert refusals(path)[-1] == (
        2,
        "reading stops at this record: no record ends within 64 MB. Write one record per line.",
    )


def test_other_archives_are_named_as_such(tmp_path):
    with pytest.raises(
        CorpusError, match=r"the file is packed. Unpack it first; only gzip and zstd"
    ):
        list(iter_papers(written(tmp_path, bz2.compress(MANY.encode()))))


# --- files and folders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty."),
        (b" \n\n", "the file is empty."),
        (b"\x7fELF\x00\x01", "this is a binary file, not text."),
        (
            b"hello",
            "no known format (docs/formats.md lists them). Name the columns of a table with ",
        ),
    ],
)
def test_a_file_that_is_of_no_use_is_named_in_one_sentence(tmp_path, content, sentence):
    path = written(tmp_path, content)
    with pytest.raises(CorpusError) as raised:
        list(iter_papers(path))
    assert str(raised.value).startswith(f"{path}: {sentence}")
    assert raised.value.path == path


LONG = f"{ABSTRACT}\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.5\n\x00\x01", "a PDF file"),
        (b"PK\x03\x04\0\0[Content_Types].xml\0PK\x03\x04word/document.xml", "a document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "a document"),
        (b"SQLite format 3\0", "a database, as of Zotero or EndNote"),
        (b"00714cam a2200205 a 4500\x1e", "MARC"),
        (f"%0 Journal Article\n%T Tea\n%X {LONG}\n" * 2, "EndNote's tagged format (.enw)"),
        (f"RT Journal Article\nSR Electronic\nT1 Tea\nAB {LONG}", "RefWorks' tagged format"),
        (f"1. Tea J. 2020.\n\nTea\n\nDoe J.\n\n{LONG}\nPMID: 7\n", "PubMed's text format"),
        (f"Scopus\nEXPORT DATE: 1 May\n\nTea\n\n{LONG}", "Scopus' text format"),
        (f"Ovid\n\n<1>\nTitle\n  Tea\n\n{LONG}", "a text format of Ovid, Embase or Cochrane"),
        (f"AN 1\nTI Tea\nAU Doe\n   Roe\nAB {LONG}\n" * 2, "tagged text of an unknown kind"),
        ("<?xml version='1.0'?><xml><records/></xml>", "EndNote XML"),
        ("<!DOCTYPE HTML>\n<html lang='en'></html>", "a web page"),
        ("<rdf:RDF xmlns:rdf='x'></rdf:RDF>", "RDF, as of Zotero"),
        ("<!-- a -->\n<modsCollection></modsCollection>", "XML with the root <modsCollection>"),
    ],
)
def test_a_format_that_is_not_read_is_named_and_gives_no_paper(tmp_path, content, name):
    with pytest.raises(CorpusError) as raised:
        list(iter_papers(written(tmp_path, content)))
    said, _, instead = str(raised.value).partition(": ")[2].partition(". ")
    assert said == f"this is {name}, which is not read"
    assert instead.split()[0] in {"Export", "Add", "Save", "Download", "In"}


def test_titles_that_begin_with_two_capitals_are_no_tags(tmp_path):
    text = "".join(f"AI for {topic}\n\n{LONG}\n" for topic in ("tea", "bread", "salt"))
    assert titles(written(tmp_path, text)) == ["AI for tea", "AI for bread", "AI for salt"]


def test_a_missing_path_is_said_before_anything_is_read(tmp_path):
    with pytest.raises(CorpusError, match=r"gone does not exist\. Check the path\."):
        iter_papers([LISTING, tmp_path / "gone"])
    with pytest.raises(CorpusError, match="Name at least one file or folder"):
        iter_papers([])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_file_that_fails_to_read_is_said():
    with pytest.raises(CorpusError, match=r"^/proc/self/mem: cannot read the file: .+\.$"):
        list(iter_papers("/proc/self/mem"))


def test_a_file_or_folder_without_any_paper_is_an_error(tmp_path):
    records = iter_papers(written(tmp_path, '{"title": ""}\n'))
    assert isinstance(next(records), Refused)
    with pytest.raises(CorpusError, match=r"papers\.xyz holds no readable paper"):
        next(records)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"empty holds no readable paper"):
        list(iter_papers(tmp_path / "empty"))


def test_a_folder_is_its_files_in_order_with_hidden_ones_left_out(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name, title in (("c", "3"), ("b/z", "2"), ("a", "1"), (".hidden", "x"), (".git/y", "x")):
        written(tmp_path, json_line(title=title), name)
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    assert titles(tmp_path) == ["1", "2", "3"]
    assert next(iter(iter_papers(tmp_path))).sources == (str(tmp_path / "a"),)


def test_files_of_no_use_in_a_folder_are_refused_and_passed(tmp_path):
    written(tmp_path, b"\x00\x01", "a.bin")
    written(tmp_path, b"", "b.txt")
    written(tmp_path, b"hello", "c.md")
    written(tmp_path, json_line(), "d.jsonl")
    assert titles(tmp_path) == ["On Rates"]
    refused = [record for record in iter_papers(tmp_path) if isinstance(record, Refused)]
    assert [Path(each.path).name for each in refused] == ["a.bin", "b.txt", "c.md"]
    assert {each.line for each in refused} == {None}


class Endless(io.RawIOBase):
    """A stream that says the same line for ever."""

    def readable(self):
        return True

    def readinto(self, buffer):
        text = json_line().encode()[: len(buffer)]
        buffer[: len(text)] = text
        return len(text)


def test_a_stream_is_read_without_waiting_for_its_end():
    first = [next(records) for records in [iter_papers(io.BufferedReader(Endless()))]]
    assert [(r.title, r.sources) for r in first if isinstance(r, Paper)] == [
        ("On Rates", ("the stream",))
    ]


def test_streams_may_be_packed_and_stand_beside_files_and_are_left_open():
    stream = io.BytesIO(gzip.compress(json_line().encode()))
    assert titles([stream, LISTING]) == ["On Rates", *TITLES]
    assert not stream.closed


@pytest.mark.parametrize("stream", [io.StringIO(json_line()), None], ids=["text", "closed"])
def test_a_stream_without_bytes_is_refused(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(CorpusError, match="gives text, not bytes"):
        iter_papers("-")


def test_read_papers_joins_records_and_stops_at_the_first_refusal(tmp_path):
    one = written(tmp_path, json_line(), "one")
    two = written(tmp_path, json_line(title="ON RATES", year=2020), "two")
    [paper] = read_papers([one, str(two)])
    assert (paper.year, paper.sources) == (2020, (str(one), str(two)))
    bad = written(tmp_path, json_line() + "{}\n" + '{"a": 1}\n', "bad")
    with pytest.raises(CorpusError) as raised:
        read_papers(bad)
    assert str(raised.value) == f'{bad}, line 2: the field "title" is missing or empty.'
    assert (raised.value.path, raised.value.line) == (str(bad), 2)


def test_read_papers_warns_where_records_differ(tmp_path):
    path = written(tmp_path, json_line() + json_line(abstract="We test it twice."))
    with pytest.warns(UserWarning, match=r"two abstracts, of 17 and 11 characters"):
        [paper] = read_papers(path)
    assert paper.abstract == "We test it twice."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_papers(LISTING)


# --- all formats --------------------------------------------------------------------------------

FEED = "<feed xmlns='http://www.w3.org/2005/Atom'><entry>"


@pytest.mark.parametrize(
    "sample",
    [
        '{"title": "A", "abstract": "..."}',
        '[{"title": "A", "abstract": "..."}]',
        f"{FEED}<id>arxiv.org</id><title>A</title>\n<summary>...</summary></entry></feed>",
        "@article{a,\n title = {A},\n abstract = {We {test} it. ...}\n}\n",
        "TY  - JOUR\nTI  - A\nAB  - ...\nER  - \n",
        "PMID- 1\nTI  - A\nAB  - ...\nSO  - B\n",
        'title,abstract\nA,"..."\n',
        "A\n\n...\n",
    ],
)
def test_an_abstract_of_a_megabyte_is_read_whole(sample):
    [paper] = read_papers(io.BytesIO(sample.replace("...", "We test it. " * 90_000).encode()))
    assert paper.abstract.removeprefix("We test it. We test it. ").count("We test it.") >= 89_998
    assert len(paper.abstract) >= 12 * 90_000 - 1


def check_reading(form, text):
    form.recognises(text)
    for line, found in form.read(text.splitlines(keepends=True)):
        assert line >= 1
        said = found if isinstance(found, str) else getattr(found, "title", None) or str(found)
        assert said.endswith(".") if isinstance(found, str) else said


@pytest.mark.parametrize("form", list_formats({}), ids=lambda form: form.__name__)
@given(text=st.text('<>&;/![]{}="\\: \nentry,@1%') | st.text())
def test_any_text_gives_only_records_and_reasons(form, text):
    check_reading(form, text)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_sample_gives_only_records_and_reasons(sample, data):
    text = sample.read_text(encoding="utf-8")
    form = next(each for each in list_formats({}) if each.recognises(text))
    for _ in range(data.draw(st.integers(1, 5))):
        at, drop = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 30))
        put = data.draw(st.text('<>&/!{}[]":@\\$%,;=#\r\n\tTYERPMID- aé', max_size=8))
        text = text[:at] + put + text[at + drop :]
    check_reading(form, text)
