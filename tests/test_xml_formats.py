"""XML of arXiv and PubMed becomes papers, and hostile XML becomes nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rag.papers import Paper
from rag.readers import Refused, arxiv_atom, iter_papers, medline, pubmed_xml

FORMATS = Path(__file__).parent / "fixtures/formats"
ATOM = (FORMATS / "arxiv_atom.xml").read_text(encoding="utf-8")
PUBMED = (FORMATS / "pubmed.xml").read_text(encoding="utf-8")
FEED = '<feed xmlns="http://www.w3.org/2005/Atom">'


def entry(title):
    return f"<entry><id>http://arxiv.org/abs/2101.00002</id><title>{title}</title></entry>\n"


def feed(*entries):
    return FEED + "\n" + "".join(entries) + "</feed>\n"


def outcome(text):
    """Each entry's line with its title, or with the reason why there is none."""
    found = arxiv_atom.read(io.StringIO(text))
    return [(line, one if isinstance(one, str) else one.title) for line, one in found]


def test_arxivs_feed_gives_its_papers():
    path = FORMATS / "arxiv_atom.xml"
    first, second, untitled = iter_papers(path)
    assert first == Paper(
        "doi:10.1000/frog",
        "Frogs & Graphs: A Leap",
        "We count frogs where a < b.",
        ("Zoë Pond", "陈晨"),
        2021,
        "Frog J. 2 (2022) 1-9",
        "http://arxiv.org/abs/2101.00002v3",
        "10.1000/frog",
        "2101.00002",
        (str(path),),
        metadata={"tags": ["cs.DM", "math.CO"]},
        entry_type="preprint",
    )
    assert (second.id, second.abstract, second.year) == ("arxiv:math/0601001", "", None)
    assert untitled == Refused(str(path), 25, "the record has no title. Add one.")


def test_an_error_that_arxiv_answers_with_is_said():
    wrong = "<entry><id>http://arxiv.org/api/errors#x</id><title>Error</title>"
    wrong += "<summary>bad id</summary></entry>"
    assert outcome(feed(wrong)) == [(2, "arXiv returned an error: bad id")]


def test_pubmeds_set_gives_its_papers():
    path = FORMATS / "pubmed.xml"
    first, second, book, untitled = iter_papers(path)
    assert first == Paper(
        "doi:10.1000/tea",
        "Effects of Camellia on CO2",
        "BACKGROUND: Tea is old. RESULTS: It helped. More tea.",
        ("Ana María Leaf", "T Cup Jr", "Tea Study Group", "et al."),
        2018,
        "Journal of Invented Tea",
        "https://pubmed.ncbi.nlm.nih.gov/101/",
        "10.1000/tea",
        sources=(str(path),),
        metadata={
            "pmid": "101",
            "month": 5,
            "tags": ["tea", "health", "Humans", "Tea/chemistry/history"],
            "family_names": {"Ana María Leaf": "Leaf"},
        },
    )
    assert (second.title, second.abstract, second.year) == ("[Coffee.]", "", 1998)
    assert book == Refused(
        str(path), 18, "the record is not a journal article. Books are not supported."
    )
    assert untitled == Refused(str(path), 19, "the record has no title. Add one.")


NBIB = """PMID- 101
DP  - 2018 May 3
VI  - 7
IP  - 2
PG  - 11-9
TI  - {title}
LID - S1 [pii]
LID - 10.48550/arXiv.2101.00002 [doi]
AB  - BACKGROUND: Tea is old. RESULTS: It helped.
FAU - Leaf, Ana María
AU  - Leaf AM
FAU - Cup, T Jr
AU  - Cup T Jr
CN  - Tea Study Group
PT  - Review
PT  - Journal Article
PT  - Retracted Publication
RIN - Tea Notes. 2019;1:2. PMID: 202
JT  - Journal of Invented Tea
OT  - tea
MH  - Humans
MH  - Tea/*chemistry/history
"""
ARTICLE = """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="1">101</PMID>
<Article><Journal><JournalIssue><Volume>7</Volume><Issue>2</Issue>
<PubDate><Year>2018</Year><Month>May</Month><Day>3</Day></PubDate></JournalIssue>
<Title>Journal of Invented Tea</Title></Journal><ArticleTitle>{title}</ArticleTitle>
<Pagination><MedlinePgn>11-9</MedlinePgn></Pagination>
<ELocationID EIdType="doi">10.48550/arXiv.2101.00002</ELocationID>
<Abstract><AbstractText Label="BACKGROUND">Tea is old.</AbstractText>
<AbstractText Label="RESULTS">It helped.</AbstractText></Abstract>
<AuthorList><Author><LastName>Leaf</LastName><ForeName>Ana María</ForeName></Author>
<Author><LastName>Cup</LastName><Initials>T</Initials><Suffix>Jr</Suffix></Author>
<Author><CollectiveName>Tea Study Group</CollectiveName></Author></AuthorList>
<PublicationTypeList><PublicationType>Review</PublicationType>
<PublicationType>Journal Article</PublicationType>
<PublicationType>Retracted Publication</PublicationType></PublicationTypeList></Article>
<CommentsCorrectionsList><CommentsCorrections RefType="CommentIn"><RefSource>A</RefSource>
</CommentsCorrections><CommentsCorrections RefType="RetractionIn"><RefSource>Tea Notes. 2019;1:2
</RefSource><PMID>202</PMID></CommentsCorrections></CommentsCorrectionsList>
<MeshHeadingList><MeshHeading><DescriptorName>Humans</DescriptorName></MeshHeading>
<MeshHeading><DescriptorName>Tea</DescriptorName><QualifierName>chemistry</QualifierName>
<QualifierName>history</QualifierName></MeshHeading></MeshHeadingList>
<KeywordList><Keyword>tea</Keyword></KeywordList></MedlineCitation></PubmedArticle>
</PubmedArticleSet>
"""


def test_a_name_in_han_characters_has_no_space_and_the_family_name_first():
    article = (
        ARTICLE.replace("Leaf", "叶")
        .replace("Ana María", "安\n")
        .replace("<Initials>T", "<Initials>明")
    )
    [(_, found)] = pubmed_xml.read([article])
    assert found.authors == ("叶安", "明 Cup Jr", "Tea Study Group")


@pytest.mark.parametrize(("complete", "more"), [("N", ("et al.",)), ("Y", ())])
def test_a_list_of_authors_that_is_not_complete_says_so(complete, more):
    article = ARTICLE.replace("<AuthorList>", f'<AuthorList CompleteYN="{complete}">')
    [(_, found)] = pubmed_xml.read([article])
    assert found.authors == ("Ana María Leaf", "T Cup Jr", "Tea Study Group", *more)


@pytest.mark.parametrize(
    ("written", "title"), [("Tea.", "Tea"), ("Tea?", "Tea?"), ("Tea...", "Tea..."), ("Tea", "Tea")]
)
def test_an_article_of_pubmed_is_the_same_in_both_of_its_formats(written, title):
    [(_, xml)] = pubmed_xml.read([ARTICLE.format(title=written)])
    [(_, nbib)] = medline.read(NBIB.format(title=written).splitlines(keepends=True))
    assert xml == nbib
    assert xml.title == title
    assert xml.url == "https://pubmed.ncbi.nlm.nih.gov/101/"
    assert xml.arxiv_id == "2101.00002"
    details = {"volume": "7", "issue": "2", "pages": "11-9", "month": 5}
    tags = ["tea", "Humans", "Tea/chemistry/history"]
    assert xml.metadata == {"pmid": "101", **details, "tags": tags}
    assert xml.entry_type == "article"
    assert xml.retraction == "Retracted in: Tea Notes. 2019;1:2. PMID: 202"


@pytest.mark.parametrize(
    "types", [["Journal Article", "Retraction of Publication"], ["Retraction Notice"], []]
)
def test_a_notice_of_a_retraction_is_not_retracted(types):
    text = NBIB.replace("PT  - Retracted Publication\nRIN", "PT  - Comment\nROF")
    [(_, found)] = medline.read([text, *(f"PT  - {each}\n" for each in types)])
    assert found.retraction is None


@pytest.mark.parametrize(
    "broken",
    [
        "<entry><title>B</entry>",
        "<entry>&",
        '<entry x:y="1"></entry>',
        "<entry><?x </entry>",
        "<title>B</title></entry>",
    ],
)
@pytest.mark.parametrize("space", ["\n", " "], ids=["lines", "one line"])
def test_a_broken_entry_is_refused_without_loss_of_those_behind_it(broken, space):
    text = feed(entry("A"), broken + "\n", entry("Y"), broken + "\n", entry("Z"))
    found = outcome(text.replace("\n", space))
    assert [said for _, said in found if len(said) == 1] == ["A", "Y", "Z"]
    refused = [line for line, said in found if said.startswith("the XML is broken (")]
    assert refused == ([3, 5] if space == "\n" else [1, 1])


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("R&D &amp; p<.05, a < b", "R&D & p<.05, a < b"),
        ("B&nbsp;C &Eacute;t&eacute;", "B C Été"),
        ("B\x0bC", "BC"),
    ],
)
def test_signs_that_xml_does_not_allow_are_read_as_text(written, title):
    [first, second] = iter_papers(io.BytesIO(feed(entry(written), entry("Z")).encode()))
    assert (first.title, second.title) == (title, "Z")


@pytest.mark.parametrize("around", ["<title>A &amp; B &nope; &</title>", "</x>", "<x>", "p < 5"])
def test_text_around_the_entries_affects_none(around):
    text = feed(entry("A"), entry("Z")).replace("<entry>", around + "<entry>")
    assert outcome(text) == [(2, "A"), (3, "Z")]


def test_lines_are_told_in_long_files_and_where_a_comment_names_an_element():
    several = [entry("A" * 3000) + "<!-- <entry>\n -->\n"] * 40 + [entry("B").replace("B", "\nB\n")]
    found = outcome(feed(*several, "<entry></x>", entry("Z")))
    # Each of the 40 has three lines: its own and two of the comment; B has three.
    assert [line for line, said in found if said[0] == "B"] == [2 + 40 * 3]
    assert [line for line, _ in found][-2:] == [2 + 40 * 3 + 3] * 2


def test_a_comment_that_never_ends_is_read_through_once():
    lines = [FEED, entry("A"), "<!-- ", *["words in a line\n"] * 200_000]
    assert [line for line, _ in outcome("".join(lines))] == [1, 200_002]


@pytest.mark.parametrize("behind", ["", "-->" + entry("B") + "<!-- <entry> --> <entry> </feed>"])
def test_a_comment_that_names_an_element_many_times_is_read_through_once(behind):
    found = outcome(feed(entry("A"), "<!--" + "<entry></entry>" * 200_000 + behind, entry("Z")))
    assert [said for _, said in found if len(said) == 1] == ["A", "B", "Z"] if behind else ["A"]


def test_articles_need_no_element_around_them():
    article = (
        ARTICLE.format(title="A").replace("<PubmedArticleSet>", "").split("</PubmedArticleSet")[0]
    )
    assert [found.title for _, found in pubmed_xml.read([article, article])] == ["A", "A"]


def test_two_feeds_one_behind_the_other_are_both_read():
    found = outcome(feed(entry("A")) + feed(entry("B")))
    assert [found[0], found[-1]] == [(2, "A"), (5, "B")]


@pytest.mark.parametrize(("lost", "line"), [("</entry>\n</feed>\n", 3), ("</feed>\n", 4)])
def test_a_file_cut_off_says_so(lost, line):
    *_, last = outcome(feed(entry("A"), entry("B")).removesuffix(lost))
    assert last == (line, "the XML is broken (no end tag). The file may be cut off.")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!ENTITY l0 "ha">{LAUGHS}',
        '<!ENTITY l9 SYSTEM "file:///etc/passwd">',
        '<!ENTITY % l SYSTEM "http://localhost/x"> %l;',
    ],
    ids=["billion laughs", "external entity", "parameter entity"],
)
def test_hostile_xml_is_refused_unexpanded(declared):
    text = f"<!DOCTYPE feed [{declared}]>\n" + feed(entry("&l9;"), entry("B"))
    [(line, reason)] = outcome(text)
    assert line == 1
    assert reason.startswith("the XML declares entities or refers to other files")


@pytest.mark.parametrize("tag", ["<a>", "<a/>"])
def test_xml_of_more_tags_than_any_paper_has_is_refused(tag):
    end = "</a>" * 1_000_001 if tag == "<a>" else ""
    refused, whole = outcome(feed(f"<entry>{tag * 1_000_001}{end}</entry>", entry("B")))
    assert refused == (2, "the record has too many XML tags. This record is skipped.")
    assert whole == (2, "B")


@pytest.mark.parametrize("marks", [("<!--", "-->"), ("<![CDATA[", "]]>")])
def test_records_behind_tags_that_are_none_are_all_found(marks):
    # The parser may wait for twice as much text where a part of it ends within a comment.
    for count in range(1000, 9000, 450):
        hidden = marks[0] + "<entry> </entry>" * (count // 8) + marks[1]
        after = [entry(letter) for letter in "BCDEFGHI"]
        text = feed(entry(f"A{hidden}"), *after, *[entry("Z" * 500)] * 40)
        found = [said for _, said in outcome(text)]
        assert [said[0] for said in found] == list("ABCDEFGHI" + "Z" * 40)


def test_the_end_of_a_record_is_found_whatever_stands_before_it():
    prefix = "p" * 40_000  # longer than what is given to the parser at a time
    long = f'<{prefix}:entry xmlns:{prefix}="http://www.w3.org/2005/Atom">'
    for spaces in range(16_330, 16_390, 3):  # a piece may end anywhere in the last tag
        text = f"<title>A</title>{' ' * spaces}"
        assert outcome(feed(f"<entry>{text}</entry>", entry("Z"))) == [(2, "A"), (2, "Z")]
    name = f"<title>B</title></{prefix}:entry>"
    assert outcome(feed(long + name.replace("title", f"{prefix}:title"), entry("Z"))) == [
        (2, "B"),
        (2, "Z"),
    ]


def test_elements_that_are_nested_deeply_are_read():
    deep = "<a>" * 100_000 + "deep" + "</a>" * 100_000
    assert outcome(feed(f"<entry><title>{deep}</title></entry>", entry("Z"))) == [
        (2, "deep"),
        (2, "Z"),
    ]


def test_a_record_is_found_whatever_its_prefix_and_wherever_its_name_stands():
    text = """<x:feed xmlns:x="http://www.w3.org/2005/Atom">
<!-- <x:entry> </x:entry> --><x:entry
><x:title>An entry of </x:title ><!-- </x:entry> --><x:summary><![CDATA[</x:entry>]]></x:summary>
</x:entry
><x:entry/><x:entry><x:title>B</x:title></x:entry></x:feed>
"""
    assert outcome(text) == [(2, "An entry of"), (5, "B")]


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>PubmedArticle and arxiv.org</body></html>",
        FEED + "<title>News</title></feed>",
        "We read <PubmedArticle> elements of arxiv.org.",
    ],
)
def test_other_texts_are_neither(text):
    assert not arxiv_atom.recognises(text)
    assert not pubmed_xml.recognises(text)
