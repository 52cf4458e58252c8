"""Identity of papers, and how records of one paper are joined."""

from __future__ import annotations

import dataclasses
from hashlib import sha256
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.papers import (
    Merge,
    Paper,
    PaperMerger,
    make_paper_id,
    normalise_arxiv_id,
    normalise_doi,
    normalise_title,
)
from rag.papers.duplicates import find_duplicates
from rag.papers.names import make_name_key

SHORT = "We test it."
LONG = "We test it on five tasks and win."


def record(title="On Rates", abstract=SHORT, **more):
    """A paper as a reader makes it: with the id that its fields give."""
    given_id = more.pop("id", None)
    made = make_paper_id(title, doi=more.get("doi"), arxiv_id=more.get("arxiv_id"))
    return Paper(str(given_id or made), title, abstract, **more)


def merged(*records, library=()):
    merger = PaperMerger(library)
    merges = [merger.add(each) for each in records]
    return merger.papers, merges


# --- the value ----------------------------------------------------------------------------------


def test_a_paper_shows_only_what_it_knows_and_in_one_order():
    assert record().to_dict() == {
        "id": "on-rates-" + sha256(b"on rates").hexdigest()[:6],
        "title": "On Rates",
        "abstract": SHORT,
    }
    full = record(metadata={"b": 1}, year=2020, authors=["A"], sources=["x"])
    assert " ".join(full.to_dict()) == "id title abstract authors year sources metadata"


def test_a_paper_is_frozen_hashable_and_never_shares_its_parts():
    metadata = {"pages": 9}
    paper = record(metadata=metadata, authors=["A"])
    metadata["pages"] = 10
    assert paper.metadata == {"pages": 9}
    assert paper.authors == ("A",)
    assert len({paper, record(authors=["A"], metadata={"pages": 9})}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        paper.title = "Other"


def test_the_content_hash_changes_with_any_field():
    paper = record()
    changed = {"title": "b", "abstract": "b", "year": 1, "sources": ("b",), "metadata": {"b": 1}}
    hashes = {
        dataclasses.replace(paper, **{name: value}).content_hash for name, value in changed.items()
    }
    assert len(hashes | {paper.content_hash}) == len(changed) + 1
    assert len(paper.content_hash) == 16
    assert record().content_hash == paper.content_hash


def test_links_of_a_paper_are_those_in_its_abstract():
    assert record(abstract="Code: https://a.org/x.").links == ("https://a.org/x",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TEXTS = st.lists(st.text(), max_size=3).map(tuple)
MAYBE = st.none() | st.text(min_size=1)
PAPERS = st.builds(
    Paper,
    *[st.text()] * 3,
    authors=TEXTS,
    year=st.none() | st.integers(1, 9999),
    venue=MAYBE,
    url=MAYBE,
    doi=MAYBE,
    arxiv_id=MAYBE,
    sources=TEXTS,
    aliases=TEXTS,
    metadata=st.dictionaries(st.text(), JSON, max_size=3),
)


@given(PAPERS)
def test_a_paper_survives_the_way_through_a_dictionary(paper):
    assert Paper.from_dict(paper.to_dict()) == paper


# --- identity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doi", "arxiv_id", "expected"),
    [
        ("10.18653/V1/N19-1423", None, "doi:10.18653/v1/n19-1423"),
        ("https://doi.org/10.1000/A(b)", "1706.03762", "doi:10.1000/a(b)"),
        ("DOI: 10.1000/a", None, "doi:10.1000/a"),
        (None, "arXiv:1706.03762v7", "arxiv:1706.03762"),
        (None, "https://arxiv.org/abs/1706.03762v1", "arxiv:1706.03762"),
        (None, "http://arxiv.org/pdf/2301.00001v2.pdf", "arxiv:2301.00001"),
        (None, "cs.CL/0101001v2", "arxiv:cs.cl/0101001"),
        ("no doi", "1706.03762", "arxiv:1706.03762"),
    ],
)
def test_a_doi_or_else_an_arxiv_id_is_the_identity(doi, arxiv_id, expected):
    assert make_paper_id("Any Title", doi=doi, arxiv_id=arxiv_id) == expected


@pytest.mark.parametrize(
    "text",
    [
        "10.1000/Tea.1.",
        "doi.org/10.1000/tea.1/",
        "10.1000%2Ftea.1",
        "(DOI 10.1000/tea.1)",
        "10.1000/tea.1; 10.1000/tea.2",
        "10.1000/tea.1 [doi]",
        "http://doi.acm.org/10.1000/tea.1?nosfx=y",
        "https://doi-org.proxy.example.edu/10.1000/tea.1",
        "https://proxy.example.edu/login?url=https%3A%2F%2Fdoi.org%2F10.1000%2Ftea.1",
        "https://host.example/doi/abs/10.1000/tea.1",
        "https://host.example/doi/10.1000/tea.1/full#s2",
        "https://host.example/article?id=10.1000/tea.1&type=printable",
        "https://host.example/content/10.1000/tea.1v2.full.pdf+html",
    ],
)
def test_a_doi_is_found_behind_any_address_and_before_any_punctuation(text):
    assert normalise_doi(text) == "10.1000/tea.1"


@pytest.mark.parametrize("written", ["(A)1:2/3<4::AID-T5>3.0.CO;2-#", "a(b)", "a.pdf/full", "a&b"])
def test_signs_inside_a_doi_are_kept(written):
    doi = f"10.1000/{written.lower()}"
    escaped = doi.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    texts = (f"10.1000/{written}", escaped, f"https://doi.org/{quote(doi)}", f"doi:{doi}")
    assert [normalise_doi(text) for text in texts] == [doi] * 4


def test_an_arxiv_id_is_found_behind_any_address_of_arxiv():
    texts = (
        "arXiv: 1706.03762.",
        "1706.03762v7 [cs.CL]",
        "https://arxiv-org.proxy.example.edu/abs/1706.03762?context=cs",
        "ar5iv.labs.arxiv.org/html/1706.03762v2",
    )
    assert [normalise_arxiv_id(text) for text in texts] == ["1706.03762"] * 4


def test_what_is_no_doi_or_arxiv_id_is_none():
    texts = ("", "10.1/x", "10.1000/a b", "10.1000/.", "https://host.example/pii/S0140673620301")
    assert [normalise_doi(text) for text in texts] == [None] * 5
    texts = ("", "17.03762", "https://x.org/1706.03762", "vixra.org/abs/1706.03762")
    assert [normalise_arxiv_id(text) for text in texts] == [None] * 4


def test_a_title_gives_a_readable_id_cut_at_a_word():
    title = "E2S2: Encoding-Enhanced Sequence-to-Sequence Pretraining for Language Understanding"
    digits = sha256(
        b"e2s2 encoding enhanced sequence to sequence pretraining for language understanding"
    ).hexdigest()[:6]
    # "e2s2-encoding-enhanced-sequence-to-sequence" has 43 characters, without the last word 34
    assert make_paper_id(title) == f"e2s2-encoding-enhanced-sequence-to-{digits}"


def test_titles_in_other_scripts_or_without_letters_have_ids_too():
    ids = [make_paper_id(title) for title in ("深度学习", "Обучение", "???", "!", "x" * 90)]
    assert [each.rpartition("-")[0] for each in ids] == ["paper"] * 4 + ["x" * 40]
    assert len(set(ids)) == 5


def test_titles_are_compared_without_case_marks_and_spaces():
    assert normalise_title(" BERT:  Pre-training\u00a0ﬁne… ") == "bert pre training fine"
    assert normalise_title("GROSSE Straße") == normalise_title("Grosse STRASSE")


@given(st.text(min_size=1))
def test_any_title_gives_the_same_short_id_for_all_its_spellings(title):
    assert len(make_paper_id(title)) <= 47
    assert normalise_title(normalise_title(title)) == normalise_title(title)


# --- merging ------------------------------------------------------------------------------------


def test_a_paper_from_several_files_remembers_all_of_them_in_order():
    papers, merges = merged(record(sources=("b",)), record(sources=("a",)), record(sources=("b",)))
    assert [merge.status for merge in merges] == ["new", "merged", "unchanged"]
    assert [paper.sources for paper in papers] == [("b", "a")]


def test_family_names_of_several_records_are_united_and_the_first_wins():
    families = ({"A B C": "C", "D E F": "F"}, {"A B C": "B C", "G H I": "I"}, None, "none")
    records = [record(metadata={"family_names": each}, sources=("a",)) for each in families]
    (paper,), _ = merged(*records[:2])
    assert paper.metadata == {"family_names": {"A B C": "C", "D E F": "F", "G H I": "I"}}
    (paper,), _ = merged(*records[2:])
    assert paper.metadata == {"family_names": None}


def test_the_first_id_stays_and_the_others_become_aliases():
    slug = make_paper_id("On Rates")
    first, second = record(), record("ON RATES!", doi="10.1000/r", year=2020, metadata={"b": 1})
    papers, merges = merged(first, second)
    assert merges[1].status == "merged"
    assert merges[1].warning is None
    assert papers == [
        Paper(
            slug,
            "On Rates",
            SHORT,
            year=2020,
            doi="10.1000/r",
            aliases=("doi:10.1000/r",),
            metadata={"b": 1},
        )
    ]
    turned, _ = merged(second, first)
    assert (turned[0].id, turned[0].aliases) == ("doi:10.1000/r", (slug,))


def test_a_paper_is_found_by_its_id_and_every_alias():
    merger = PaperMerger([record(aliases=("old",))])
    merger.add(record(doi="10.1000/r"))
    found = {merger.get(name) for name in (make_paper_id("On Rates"), "old", "doi:10.1000/r")}
    assert found == {merger.papers[0]}
    assert merger.get("unknown") is None


def test_of_two_abstracts_the_longer_is_kept_with_a_warning():
    for first, second in ((SHORT, LONG), (LONG, SHORT)):
        papers, merges = merged(
            record(abstract=first, sources=("a",)), record(abstract=second, sources=("b",))
        )
        assert papers[0].abstract == LONG
        # SHORT has 11 characters, LONG 33
        assert merges[1].warning == (
            f"{papers[0].id} has two abstracts, of 33 and 11 characters. The longer is kept."
        )


def test_an_empty_abstract_is_filled_without_a_warning():
    papers, merges = merged(record(abstract=""), record())
    assert (papers[0].abstract, merges[1].warning) == (SHORT, None)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (("A. Smith",), ("Anna Smith", "Bo Li"), ("Anna Smith", "Bo Li")),
        (("Anna Smith", "Bo Li"), ("A. Smith",), ("Anna Smith", "Bo Li")),
        ((), ("A. Smith",), ("A. Smith",)),
        (("A. Smith",), (), ("A. Smith",)),
        (("A. Smith",), ("Anna Smith",), ("A. Smith",)),
        (("A. Smith", "Bo Li"), ("A. Smith", "C. Roe", "Bo Li"), ("A. Smith", "Bo Li")),
        (("A. Smith", "et al."), ("A. Smith", "Bo Li"), ("A. Smith", "Bo Li")),
        (("A. Smith", "Bo Li"), ("A. Smith", "et al."), ("A. Smith", "Bo Li")),
        (("A. Smith",), ("A. Smith", "et al."), ("A. Smith", "et al.")),
        (("A. Smith", "et al."), ("A. Smith",), ("A. Smith", "et al.")),
    ],
)
def test_a_list_of_authors_that_goes_on_takes_the_place_of_a_shorter_one(first, second, kept):
    papers, merges = merged(record(authors=first), record(authors=second))
    assert papers[0].authors == kept
    assert merges[1].warning is None


def test_two_titles_under_one_id_are_said():
    papers, merges = merged(record("On Rates", id="x"), record("On the Rates", id="x"))
    assert [paper.title for paper in papers] == ["On Rates"]
    assert merges[1].warning == 'x has two titles. Kept "On Rates", dropped "On the Rates".'


@pytest.mark.parametrize("files", [("a", "a"), ("a", "b")])
def test_other_works_under_one_id_stay_apart_with_a_warning(files):
    cats, yeast = (
        record(title, f"{title}!", id="1", year=year, authors=(author,), sources=(file,))
        for file, title, year, author in zip(
            files,
            ("Deep nets for cats", "Protein folding in yeast"),
            (2001, 2019),
            ("A. Smith", "B. Jones"),
            strict=True,
        )
    )
    papers, merges = merged(cats, yeast)
    other = papers[1].id
    assert papers == [cats, dataclasses.replace(yeast, id=other)]
    assert merges[1].warning == (
        'Two works have the id 1: "Deep nets for cats" and "Protein folding in yeast". '
        f"The second is {other} here."
    )
    for records in ((cats, yeast), (yeast, cats), (yeast,)):
        again, merges = merged(*records, library=papers)
        assert again == papers
        assert {(merge.status, merge.warning) for merge in merges} == {("unchanged", None)}


@pytest.mark.parametrize(
    ("sources", "count"), [(("a",), 1), ((), 1), (("b",), 2), (("standard input",), 2)]
)
def test_a_library_paper_gets_another_title_from_its_own_source_only(sources, count):
    known = record("Deep nets for cats", id="1", sources=("a", "standard input"))
    papers, _ = merged(record("Protein folding", id="1", sources=sources), library=[known])
    assert len(papers) == count


MARSH = "Salt marshes and the rise of the northern sea"
ABSTRACT = "We measured seven salt marshes over ten years and found that they grow by a third."
OTHER = "Nothing in this text is like that: frogs jump far, whatever they had for breakfast."


def both(one, other, **common):
    """Two records with titles and fields of their own, and common ones."""
    return [record(**{"title": MARSH, "abstract": "", **common, **each}) for each in (one, other)]


ARXIV, JOURNAL = {"arxiv_id": "1706.03762"}, {"doi": "10.1000/a", "venue": "Tea J"}
DOE = {"authors": ("Jane Doe",), "year": 2010, "venue": "Tea J"}
PAGE = {"volume": "7", "pages": "S12-19"}
ONE = {
    "an unknown year": both(DOE, {**DOE, "year": None}),
    "title and year": both({"year": 2001}, {"year": 2001}),
    "signs, spaces, accents": both(
        {"title": "β-Catenin & pre-training in naïve cells"},
        {"title": "[Beta-catenin and pretraining in naive cells]."},
    ),
    "preprint and journal, a year apart": both(
        {**DOE, **ARXIV, "venue": "arXiv"}, {**DOE, **JOURNAL, "year": 2011}
    ),
    "the DOI of arXiv and a publisher's": both({"doi": "10.48550/arXiv.1706.03762"}, JOURNAL),
    "the DOI of arXiv and its id": both({"doi": "10.48550/arXiv.1706.03762"}, ARXIV),
    "bioRxiv and journal": both({**DOE, "doi": "10.1101/2010.1.2"}, {**DOE, **JOURNAL}),
    "one DOI, a subtitle left off": both(
        {**DOE, **JOURNAL}, {**DOE, **JOURNAL, "title": f"{MARSH}: ten years"}
    ),
    "one DOI, title marked as retracted": both(
        JOURNAL, {**JOURNAL, "title": f"RETRACTED: {MARSH}"}
    ),
    "one DOI and abstract, a translated title": both(
        {**JOURNAL, "abstract": ABSTRACT},
        {**JOURNAL, "abstract": ABSTRACT, "title": "Salzwiesen und der Meeresspiegel"},
    ),
    "one page, two DOIs": both(
        {**DOE, "doi": "10.1000/a", "metadata": PAGE},
        {**DOE, "doi": "10.1000/b", "metadata": {"volume": "7 (2)", "pages": "12"}},
    ),
    "one page, a misspelled author": both(
        {"authors": ("Jane Doe", "Bo Li"), "metadata": PAGE},
        {"authors": ("J. Dow", "B. Li"), "metadata": PAGE},
    ),
    "one id of PubMed": both(
        {"metadata": {"pmid": "7"}}, {"metadata": {"pmid": "7"}, "year": 1999}
    ),
    "short title, author and year": both(DOE, {**DOE, "authors": ("Doe J",)}, title="Editorial"),
    "short title, abstract": both({"year": 2001}, {}, title="Editorial", abstract=SHORT),
}
TWO = {
    "years": both({"year": 2001}, {"year": 2005}),
    "first authors": both(DOE, {**DOE, "authors": ("Alan Roe", "Bo Li")}),
    "first authors and one DOI of chapters": both(
        {**DOE, **JOURNAL}, {**JOURNAL, "authors": ("Al Roe",)}, title="Introduction"
    ),
    "abstracts of one supplement": both(
        {**JOURNAL, "abstract": ABSTRACT}, {**JOURNAL, "abstract": OTHER, "title": "Frogs jump"}
    ),
    "abstracts of one author and supplement": both(
        {**DOE, **JOURNAL, "abstract": ABSTRACT},
        {**DOE, **JOURNAL, "abstract": OTHER, "title": "Frogs jump"},
    ),
    "parts": both({**DOE, "title": f"{MARSH}. Part I"}, {**DOE, "title": f"{MARSH}. Part II"}),
    "numbers": both({**DOE, "title": f"{MARSH} 2"}, {**DOE, "title": f"{MARSH} 3"}),
    "a correction": both(DOE, {**DOE, "title": f"Correction to: {MARSH}"}),
    "pages": both(
        {**DOE, "metadata": PAGE}, {**DOE, "metadata": {"volume": "8", "pages": "1"}},
        title="Editorial",
    ),
}  # fmt: skip
REPORTED = {
    "two DOIs": both({"doi": "10.1000/a"}, {"doi": "10.1000/b"}),
    "two arXiv ids": both(ARXIV, {"arxiv_id": "1810.04805"}),
    "preprint and journal, two years apart": both(
        {**DOE, **ARXIV}, {**DOE, **JOURNAL, "year": 2012}
    ),
    "initials": both({**DOE, "authors": ("Doe J",)}, {**DOE, "authors": ("Doe K",)}),
    "order of authors": both(DOE, {**DOE, "authors": ("Alan Roe", "Jane Doe")}),
    "other pages": both(
        {**DOE, "metadata": PAGE}, {**DOE, "metadata": {"volume": "8", "pages": "1"}}
    ),
    "spelling": both(DOE, {**DOE, "title": MARSH.replace("marshes", "marsh")}),
    "a short title alone": both({"year": 2001}, {}, title="Editorial"),
    "other abstracts": both({"abstract": ABSTRACT}, {"abstract": OTHER}),
    "a reference that may be to the data": both(DOE, {**DOE, "venue": None}),
    "a renamed preprint": both(
        {**DOE, **ARXIV, "venue": None},
        {**DOE, **JOURNAL, "title": "The rise of the northern sea and its salt marshes"},
    ),
}


def name_cases(cases):
    return pytest.mark.parametrize("pair", cases.values(), ids=list(cases))


@name_cases(ONE)
def test_records_that_agree_are_one_paper(pair):
    for records in (pair, pair[::-1]):
        papers, merges = merged(*records)
        assert len(papers) == 1
        assert merges[1].status in {"merged", "unchanged"}


@name_cases({**TWO, **REPORTED})
def test_records_that_disagree_are_two_papers_and_stay_so(pair):
    for records in (pair, pair[::-1]):
        papers, merges = merged(*records)
        assert [paper.abstract for paper in papers] == [each.abstract for each in records]
        assert len({paper.id for paper in papers}) == 2
        again, merges = merged(*records[::-1], library=tuple(papers))
        assert again == papers
        assert {merge.status for merge in merges} == {"unchanged"}


def test_papers_that_are_likely_one_are_reported_and_others_are_not():
    found = {name: find_duplicates(merged(*pair)[0]) for name, pair in {**TWO, **REPORTED}.items()}
    assert [name for name, pairs in found.items() if pairs] == list(REPORTED)
    assert [pair.reason for pair in found["two DOIs"]] == [
        "same title, an author is unknown, a year is unknown, two DOIs"
    ]


def test_ten_thousand_editorials_are_no_possible_duplicates():
    many = [record("Editorial", doi=f"10.1000/{n}", year=2000 + n % 9) for n in range(10_000)]
    assert find_duplicates(many) == []


def test_short_titles_with_similar_abstracts_are_one_paper_only_with_author_and_year():
    def list_papers(**common):
        texts = (f"{ABSTRACT} See page {number}." for number in (1, 2, 2))
        return merged(*(record("Editorial", text, **common) for text in texts))[0]

    assert [paper.abstract[-2] for paper in list_papers()] == ["1", "2"]
    assert len(list_papers(year=2001)) == 2
    assert len(list_papers(year=2001, authors=("A Doe",))) == 1
    (pair,) = find_duplicates(list_papers())
    assert pair.reason.endswith("same abstract")


def test_no_paper_is_a_possible_duplicate_of_itself():
    paper = record("Erratum", "erratum", year=2001, authors=("A Doe",), **ARXIV, doi="10.1000/a")
    with_pmid = dataclasses.replace(
        paper, url="https://pubmed.ncbi.nlm.nih.gov/123/", metadata={"pmid": "123"}
    )
    assert find_duplicates([with_pmid]) == []


def test_initials_are_no_family_names():
    written = ("Doe J", "J Doe", "Doe, John", "J. Doe", "DOE, J.", "Doe JR", "John R. Doe")
    assert {make_name_key(name) for name in written} == {("doe", "j")}
    assert make_name_key("J. R.") == (None, None)
    particles = ("van den Berg J", "Jan van den Berg", "van den Berg, J.", "Berg, J. van den")
    assert {make_name_key(name) for name in particles} == {("berg", "j")}
    same = [("Müller J", "J. Mueller"), ("O'Neil S", "Sean ONeil"), ("王 小明", "王小明")]
    assert [len(merged(*both({"authors": (a,)}, {"authors": (b,)}))[0]) for a, b in same] == [1] * 3


def test_a_shared_doi_is_the_id_of_the_first_paper_only():
    records = [
        record(f"{colour} pill in the old", f"{colour} pills help.", doi="10.1000/s")
        for colour in ("Blue", "Red", "Green")
    ]
    papers, _ = merged(*records)
    assert [paper.id.rpartition("-")[0] for paper in papers] == [
        "", "red-pill-in-the-old", "green-pill-in-the-old"
    ]  # fmt: skip
    assert papers[0].id == "doi:10.1000/s"
    assert [(p.abstract, p.doi) for p in papers] == [(r.abstract, r.doi) for r in records]
    assert merged(*reversed(records), library=tuple(papers))[0] == papers


def test_the_journal_wins_over_the_preprint_and_nothing_is_lost():
    preprint = record(
        MARSH,
        LONG,
        authors=("Jane Doe",),
        year=2010,
        venue="arXiv",
        url="https://arxiv.org/x",
        doi="10.48550/arXiv.1706.03762",
        sources=("a",),
        citation_key="doe2010",
        entry_type="misc",
        metadata={"tags": ["sea"]},
    )
    journal = record(
        MARSH, SHORT, authors=("Doe J",), year=2011, venue="Tea J", url="https://tea.org/x",
        doi="10.1000/a", sources=("b",), citation_key="doe:tea", entry_type="article",
        metadata={"volume": "7"}, retraction="Retracted Publication",
    )  # fmt: skip
    for records in ((preprint, journal), (journal, preprint)):
        (paper,), _ = merged(*records)
        assert (paper.id, paper.citation_key) == (records[0].id, records[0].citation_key)
        assert set(paper.aliases) == {records[1].id, records[1].citation_key}
        assert (paper.year, paper.venue, paper.url) == (2011, "Tea J", "https://tea.org/x")
        assert (paper.doi, paper.arxiv_id, paper.entry_type) == (
            "10.1000/a",
            "1706.03762",
            "article",
        )
        assert (paper.abstract, paper.retraction) == (LONG, "Retracted Publication")
        assert paper.metadata == {"tags": ["sea"], "volume": "7"}
        assert paper.sources == records[0].sources + records[1].sources


@pytest.mark.parametrize(
    "notice", ["Retracted in: Tea J. 2020;3:1.", "Retracted article: See vol. 2"]
)
def test_a_retraction_that_names_its_notice_is_kept(notice):
    records = [
        record(retraction=mark) for mark in ("RETRACTED", notice, "Retracted in: other", None)
    ]
    assert merged(*records)[0][0].retraction == notice
    assert merged(*records[1::-1])[0][0].retraction == notice


def test_namesakes_keep_their_ids_when_everything_is_read_again():
    editorials = [record("Editorial", year=year, sources=("a",)) for year in range(2001, 2031)]
    library, _ = merged(*editorials)
    assert len({paper.id for paper in library}) == 30
    again, merges = merged(*reversed(editorials), library=tuple(library))
    assert again == library
    assert {merge.status for merge in merges} == {"unchanged"}
    assert all(not paper.aliases for paper in again)


def test_a_record_that_proves_two_papers_to_be_one_joins_them():
    preprint = record("On Rates", arxiv_id="1706.03762", year=2017, sources=("a",))
    article = record("On Rates", doi="10.1000/r", year=2018, sources=("b",))
    between = record("Between", id="other")
    proof = record("On Rates", doi="10.1000/r", arxiv_id="1706.03762", sources=("c",))
    papers, merges = merged(preprint, article, between, proof)
    assert [paper.id for paper in papers] == ["arxiv:1706.03762", "other"]
    assert papers[0].aliases == ("doi:10.1000/r",)
    assert papers[0].sources == ("a", "b", "c")
    assert merges[-1] == Merge(papers[0], "merged")


# --- reading again ------------------------------------------------------------------------------


def test_an_edited_file_replaces_what_the_library_knew_from_it():
    known = record(abstract=LONG, id="x", year=2019, sources=("a",), aliases=("old",))
    edited = record("On Rates, revised", SHORT, id="x", venue="ACL", sources=("a",))
    papers, merges = merged(edited, library=(known,))
    assert merges == [Merge(papers[0], "changed")]
    assert papers == [dataclasses.replace(edited, aliases=("old",))]


@pytest.mark.parametrize("stream", ["standard input", "the stream"])
def test_what_comes_by_a_stream_again_adds_and_replaces_nothing(stream):
    known = record(abstract=LONG, year=2019, sources=(stream,))
    papers, merges = merged(
        record(abstract=SHORT, venue="ACL", sources=(stream,)), library=(known,)
    )
    assert [merge.status for merge in merges] == ["merged"]
    assert papers == [dataclasses.replace(known, venue="ACL")]
    papers, _ = merged(record(abstract=SHORT, sources=(stream,)), library=(record(abstract=LONG),))
    assert papers == [record(abstract=LONG, sources=(stream,))]


def test_what_no_source_says_any_more_is_gone_once_all_have_been_read_again():
    longer = LONG + " It is fast."
    known = record(abstract=longer, year=2019, venue="ACL", sources=("a", "b"))
    edited, other = record(sources=("a",)), record(abstract=LONG, venue="ICML", sources=("b",))
    for order in ((edited, other), (other, edited)):
        papers, merges = merged(*order, library=(known,))
        assert papers == [record(abstract=LONG, venue="ICML", sources=("a", "b"))]
        assert [merge.status for merge in merges] == ["unchanged", "changed"]
        assert merges[1].warning == (
            f"{known.id} has two abstracts, of 33 and 11 characters. The longer is kept."
        )
        assert {merge.status for merge in merged(*order, library=tuple(papers))[1]} == {"unchanged"}


def abstract_of(text, *sources):
    return record(abstract=text, sources=sources)


@pytest.mark.parametrize(
    ("known", "records", "after", "statuses"),
    [
        # an edited file does not replace what also stands in another
        ((LONG, "a", "b"), [(SHORT, "a")], (LONG, "a", "b"), "unchanged"),
        # a text that one of two sources makes longer
        ((SHORT, "a", "b"), [(LONG, "a"), (SHORT, "b")], (LONG, "a", "b"), "changed unchanged"),
        # two records of one file are joined, and are no edit
        (("Old.", "a"), [(LONG, "a"), (SHORT, "a")], (LONG, "a"), "changed unchanged"),
    ],
)
def test_records_read_again_replace_what_no_other_source_says(known, records, after, statuses):
    read = [abstract_of(*each) for each in records]
    papers, merges = merged(*read, library=(abstract_of(*known),))
    assert papers == [abstract_of(*after)]
    assert " ".join(merge.status for merge in merges) == statuses


def test_a_new_source_adds_to_a_paper_whose_own_source_was_edited():
    known = record(abstract=LONG, sources=("a",))
    records = record(venue="ACL", sources=("c",)), record("On rates", sources=("a",))
    for order in (records, records[::-1]):
        papers, _ = merged(*order, library=(known,))
        assert papers == [record("On rates", venue="ACL", sources=("a", "c"))]


def test_a_library_read_again_unchanged_stays_as_it_was():
    records = [record(f"Title {number}", sources=(file,)) for file in "ab" for number in range(20)]
    library, _ = merged(*records)
    again, merges = merged(*records, library=tuple(library))
    assert again == library
    assert {merge.status for merge in merges} == {"unchanged"}


VERSIONS = [
    {"doi": "10.48550/arxiv.1810.04805", "arxiv_id": "1810.04805", "year": 2018, "abstract": ""},
    {"doi": "10.1000/a", "year": 2019, "venue": "Tea J", "abstract": LONG},
    {"year": 2019, "venue": "arXiv", "abstract": SHORT, "retraction": "Retracted"},
    {"year": None, "doi": "10.1000/a", "citation_key": "doe", "abstract": ""},
]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(VERSIONS)), max_size=6),
    st.permutations("abc"),
)
def test_versions_of_a_paper_read_again_in_any_order_change_nothing(versions, files):
    records = [
        record(**{"title": MARSH, "authors": ("Jane Doe",), "sources": (file,), **fields})
        for file in "abc"
        for name, fields in versions
        if name == file
    ]
    library, _ = merged(*records)
    again, _ = merged(*sorted(records, key=lambda r: files.index(r.sources[0])), library=library)
    assert again == library


RECORDS = st.builds(
    record,
    st.sampled_from(["Editorial", "On Rates", "EDITORIAL."]),
    st.sampled_from(["", SHORT, LONG]),
    year=st.sampled_from([None, 2001, 2005]),
    doi=st.sampled_from([None, "10.1000/a", "10.1000/b"]),
    arxiv_id=st.sampled_from([None, "1706.03762"]),
    authors=st.sampled_from([(), ("A. Turing",), ("A. Church",)]),
    sources=st.sampled_from([("a",), ("b",)]),
)


def of_three_files(abstracts):
    several = zip("abc", abstracts, strict=True)
    return [record(abstract=text, sources=(file,)) for file, texts in several for text in texts]


FILES = st.lists(
    st.lists(st.sampled_from(["", SHORT, "We try it.", LONG]), min_size=1, max_size=2),
    min_size=3,
    max_size=3,
).map(of_three_files)


@given(FILES, FILES)
def test_a_library_read_again_from_all_files_is_what_they_say_now(before, now):
    library, _ = merged(*before)
    assert merged(*now, library=tuple(library))[0] == merged(*now)[0]


@given(st.lists(RECORDS, max_size=12))
def test_no_record_is_lost_and_no_id_is_given_twice(records):
    merger = PaperMerger()
    for each in records:
        merge = merger.add(each)
        assert merger.get(merge.paper.id) == merge.paper
    papers = merger.papers
    names = [name for paper in papers for name in (paper.id, *paper.aliases)]
    assert len(names) == len(set(names))
    assert {normalise_title(paper.title) for paper in papers} <= {
        normalise_title(r.title) for r in records
    }
    assert {source for paper in papers for source in paper.sources} == {
        source for each in records for source in each.sources
    }
    for each in records:
        by_doi = merger.get(f"doi:{each.doi}") if each.doi else None
        assert by_doi or not each.doi


@given(st.lists(RECORDS, max_size=12))
def test_merging_is_deterministic_and_leaves_its_input_alone(records):
    before = [each.to_dict() for each in records]
    assert merged(*records) == merged(*records)
    assert [each.to_dict() for each in records] == before


def test_twenty_thousand_namesakes_get_twenty_thousand_ids():
    many = (record("Editorial", year=1900 + n % 100, authors=(f"A B{n}",)) for n in range(20_000))
    papers, _ = merged(*many)
    assert len({paper.id for paper in papers}) == 20_000
