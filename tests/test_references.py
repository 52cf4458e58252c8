"""References: what every format holds, that it comes back the same, and that nothing breaks out."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag import Paper, iter_papers
from rag.exporters import FORMATS, detect_format, export_papers, make_citation_key
from rag.exporters.markdown_list import escape_markdown, format_reference, sanitise_markdown
from rag.library import BUNDLED_SOURCE
from rag.papers import make_paper_id
from rag.papers.names import is_group
from rag.readers import bibtex, json_array, ris
from rag.readers.fields import is_placeholder
from rag.text.markup import clean_markup

READ_BACK = {"bibtex": ".bib", "ris": ".ris", "csl": ".csl.json", "jsonl": ".jsonl"}


def paper(title, abstract="We test it.", own_id="", **fields):
    """A paper as a library holds it: cleaned, under the id that its fields give."""
    made = Paper(own_id, clean_markup(title), clean_markup(abstract), **fields)
    own = own_id or make_paper_id(made.title, doi=made.doi, arxiv_id=made.arxiv_id)
    return replace(made, id=own)


ODD = [
    paper(
        "Rates of {Change} & 5% of $x_{1}$, ~2^3 #4",
        "36% over BERT_base at 2^10 -- or ---, ``so'' to 'speak'. A { alone. {And} \\emph x.",
        authors=("Ada Clark", "Gabriel García Márquez", "Martin King Jr."),
        year=2021,
        venue="Journal of A & B: 100%",
        doi="10.1002/(sici)1097-0258(19980815)17:15<1661::aid-sim968>3.0.co;2-2",
        url="https://example.org/a_b;c~d/%7Ee?x=1&y={z}#f",
        metadata={"tags": ["large language models", "R&D"]},
    ),
    paper("注意力机制", "我们提出了一种方法。", authors=("王 伟", "Ōe Kenzaburō"), year=1994),
    paper(
        "Größe und Maß",
        'Ångström <b>bold</b> <img src=x> \u201cquoted\u201d "plain" it\'s',
        year=1905,
    ),
    paper("ER  - and TY  - JOUR", "AB  - @misc{x, title = {y}} TI  - z", venue="T2 - ER"),
    paper("Without anything else", ""),
    paper("Without abstract, from a library", "", arxiv_id="1706.03762", venue="arXiv"),
    paper("Attention", arxiv_id="cs/0112017", url="https://arxiv.org/abs/cs/0112017"),
    paper(
        "Groups", authors=("Data Group, Inc.", "University of Bath, Library", "Alice and Bob Lab")
    ),
    paper("Some authors left out", authors=("Ada Clark", "Data Group, Inc.", "et al.")),
    paper("Begun with signs", authors=("Ada Clark", "& Co", "{Braced}", "\\Slashed", "#1 Lab")),
    paper("Tags with commas", metadata={"tags": ["Models, Biological", "Tea/chemistry"]}),
    paper("One tag with a comma", metadata={"tags": ["a, b"]}),
    paper("Tags with semicolons", metadata={"tags": ["a; b", "R&D; {x}", "c, d", ";"]}),
    paper("One tag with a semicolon", metadata={"tags": ["Rates; and_more"]}),
    paper("Kept id", own_id="own id/7_(b)", year=2020),
    paper("Kept id, though it has a DOI", own_id="first-met-with-1a2b3c", doi="10.1000/x_y"),
    paper("Found on a page", url="http://example.org/"),
    paper("A very long abstract", "word " * 20_000 + "end."),
    paper('"Quoted" title, with a comma, and {brace', "Ends with a backslash \\"),
    paper("@article{hidden, title = {no}}", "# heading"),
    paper("What?`` and !` ... <<x>>", "--- -- - ''' ``` ' `"),
]


LAST = Paper("last-1", "The Last", "It ends.")


def read_again(papers, form, folder):
    path = folder / f"export{READ_BACK[form]}"
    path.write_text(export_papers(papers, form), encoding="utf-8")
    return list(iter_papers(path))


def same(one, other):
    assert isinstance(other, Paper), other
    for name in ("id", "title", "abstract", "authors", "year", "venue", "url", "doi", "arxiv_id"):
        assert getattr(other, name) == getattr(one, name), (one.id, name)
    assert other.metadata == one.metadata


@pytest.mark.parametrize("form", READ_BACK)
def test_the_bundled_papers_come_back_the_same(form, tmp_path):
    papers = [each for each in iter_papers(BUNDLED_SOURCE) if isinstance(each, Paper)]
    assert len(papers) == 251
    again = read_again(papers, form, tmp_path)
    assert len(again) == 251
    for one, other in zip(papers, again, strict=True):
        same(one, other)


@pytest.mark.parametrize("form", READ_BACK)
@pytest.mark.parametrize("odd", ODD, ids=lambda each: each.id[:30])
def test_an_odd_paper_comes_back_the_same(odd, form, tmp_path):
    (again,) = read_again([odd], form, tmp_path)
    same(odd, again)


@pytest.mark.parametrize("form", READ_BACK)
def test_an_id_survives_though_an_address_or_a_venue_tells_another(form, tmp_path):
    papers = [
        paper("One", url="https://arxiv.org/abs/2001.00001"),
        paper("Two", url="https://doi.org/10.1000/two"),
        paper("Three", arxiv_id="2001.00003", url="https://doi.org/10.1000/three"),
        paper("Four", venue="arXiv preprint arXiv:2001.00004"),
    ]
    again = read_again(papers, form, tmp_path)
    assert [each.id for each in again] == [each.id for each in papers]


def readable(text):
    return clean_markup(" ".join(text.split()))


TEXTS = st.text(
    st.one_of(
        st.sampled_from("\\{}%&$#_~^`'\"-@<>,;=: \n\r\t\x85\u2028aB1é注"),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=3), TEXTS)
def test_whatever_its_text_a_record_stays_one_record_with_its_id(title, abstract, authors, venue):
    if not readable(title):
        return
    odd = replace(paper(title, abstract), authors=tuple(authors), venue=venue or None)
    odd = replace(odd, id="kept-1")
    for form, module in (("bibtex", bibtex), ("ris", ris), ("csl", json_array)):
        text = export_papers([odd, LAST], form)
        found = [each for _, each in module.read(io.StringIO(text))]
        assert [getattr(each, "id", each) for each in found] == ["kept-1", "last-1"], text
        assert found[-1].title == LAST.title


def lines_of(letters, max_size=40):
    """Texts on one line that cleaning leaves as they are."""
    return (
        st.text(letters, max_size=max_size)
        .map(readable)
        .filter(lambda text: readable(text) == text and not (text and is_placeholder(text)))
    )


SIGNS = st.sampled_from("\\{}%&$#_~^`'\"-@<>,;=:()[]|*!? .aAbB1é注µﬁ–")
LINE = lines_of(SIGNS).filter(lambda text: re.search(r"[a-zA-Z1]", text))  # else a placeholder
WORD = st.from_regex(r"[A-Z][a-zé]{1,8}", fullmatch=True)
NAME = st.one_of(
    st.builds("{} {}".format, WORD, WORD),
    st.builds("{} {}. {}".format, WORD, st.sampled_from("ABC"), WORD),
    st.sampled_from(["World Health Organization", "李明", "Gabriel García Márquez", "Jan van Dyk"]),
)
KNOWN = st.one_of(  # names with family names that only their source tells
    st.builds(lambda a, b, c: (f"{a} {b} {c}", c), WORD, WORD, WORD),
    st.builds(lambda a, b, c: (f"{a} {b} {c}", f"{b} {c}"), WORD, WORD, WORD),
    st.sampled_from(
        [
            ("Gabriel García Márquez Jr.", "García Márquez"),
            ("Jan van Dyk", "Dyk"),
            ("ADA CLARK", "CLARK"),
            ("ada clark", "clark"),
            ("王小明", "王"),
            ("길동 홍", "홍"),
        ]
    ),
).filter(lambda each: not is_group(each[0]) and each[1].split()[-1] not in {"Jr", "Sr"})
NUMBER = st.from_regex(r"[1-9][0-9]{0,3}", fullmatch=True)
PAGES = st.one_of(NUMBER, st.builds("{}-{}".format, NUMBER, NUMBER), st.just("e1012"))
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "volume": NUMBER,
        "issue": st.one_of(NUMBER, st.just("3-4"), st.just("S1")),
        "pages": PAGES,
        "publisher": LINE,
        "editors": st.lists(NAME, min_size=1, max_size=3),
        "month": st.one_of(st.integers(1, 12), st.just("Winter")),
        "tags": st.lists(WORD, min_size=1, max_size=3, unique=True),
    },
)
WHOLE = st.builds(
    paper,
    LINE,
    st.one_of(LINE, st.just("")),
    authors=st.lists(NAME, max_size=3).map(tuple),
    year=st.one_of(st.none(), st.integers(1800, 2030)),
    venue=st.one_of(st.none(), LINE),
    doi=st.one_of(
        st.none(), st.from_regex(r"10\.1000/[a-z0-9()_.<>-]{0,8}[a-z0-9]", fullmatch=True)
    ),
    arxiv_id=st.one_of(st.none(), st.just("1706.03762")),
    url=st.one_of(
        st.none(), st.from_regex(r"https://example\.org/[a-z_{}%&=~#]{0,8}[a-z]", fullmatch=True)
    ),
    metadata=DETAILS,
    citation_key=st.one_of(
        st.none(), st.from_regex(r"[A-Za-zé][\w:.+/' ()-]{0,10}[a-z]", fullmatch=True)
    ),
    entry_type=st.sampled_from(
        [
            None,
            "article",
            "inproceedings",
            "book",
            "incollection",
            "techreport",
            "unpublished",
            "dataset",
            "patent",
            "online",
        ]
    ),
    retraction=st.one_of(st.none(), LINE),
)


@pytest.mark.parametrize("form", READ_BACK)
@given(whole=WHOLE, known=st.lists(KNOWN, max_size=3).map(dict), has_editor=st.booleans())
def test_whatever_a_paper_has_comes_back_the_same(form, whole, known, has_editor, tmp_path_factory):
    if known:
        names = [*known]
        editors = [*whole.metadata.get("editors", ()), names.pop()] if has_editor else []
        further = {"family_names": known} | ({"editors": editors} if editors else {})
        people = (*whole.authors, *names)
        whole = replace(whole, authors=people, metadata={**whole.metadata, **further})
    (again,) = read_again([whole], form, tmp_path_factory.getbasetemp())
    assert replace(again, sources=()) == whole


def test_a_key_is_one_that_pandoc_takes_and_other_papers_have_others():
    ids = [
        "a b",
        "a-b",
        "a/b",
        "a (b)",
        "注意",
        "力",
        "doi:10.1/x--y",
        "doi:10.1/x-y",
        "_",
        ":",
        "",
    ]
    keys = [make_citation_key(Paper(each, "T", "")) for each in ids]
    assert len(set(keys)) == len(ids)
    # https://pandoc.org/MANUAL.html#citation-syntax: single punctuation within a key
    assert [key for key in keys if not re.fullmatch(r"\w+([:./-]\w+)*", key, re.ASCII)] == []


def test_a_field_that_the_library_lacks_is_in_no_format():
    bare = paper("On Rates", "")
    assert (
        export_papers([bare], "bibtex") == f"@misc{{{bare.id},\n  title = {{{{On Rates}}}},\n}}\n"
    )
    assert export_papers([bare], "ris") == "TY  - GEN\nTI  - On Rates\nER  - \n\n"
    [item] = json.loads(export_papers([bare], "csl"))
    assert item.pop("custom") == {"papertrail-id": bare.id}
    assert item == {"id": bare.id, "type": "document", "title": "On Rates"}
    assert export_papers([bare], "markdown") == "1. On Rates.\n"


def test_a_reference_in_markdown_names_what_is_known():
    known = paper(
        "Is it?", authors=("Ada Clark", "Bo Li"), year=2021, venue="ACL", doi="10.1000/a<b>"
    )
    assert (
        format_reference(known)
        == "Ada Clark, Bo Li. 2021. Is it? *ACL*. <https://doi.org/10.1000/a%3Cb%3E>"
    )
    assert format_reference(paper("Eprint", arxiv_id="2001.00001")).endswith(
        " <https://arxiv.org/abs/2001.00001>"
    )
    assert "javascript" not in format_reference(paper("Script", url="javascript:alert(1)"))


NAMES = [  # as shown, and as BibTeX, RIS and CSL-JSON have it
    ("Ada Lovelace", "Ada Lovelace", "Lovelace, Ada", ("Lovelace", "Ada", "")),
    ("J. R. Tolkien", "J. R. Tolkien", "Tolkien, J. R.", ("Tolkien", "J. R.", "")),
    ("Jan van den Berg", "Jan van den Berg", "van den Berg, Jan", ("van den Berg", "Jan", "")),
    ("Jean-Luc O'Hara", "Jean-Luc O'Hara", "O'Hara, Jean-Luc", ("O'Hara", "Jean-Luc", "")),
    (
        "Martin Luther King Jr.",
        "King, Jr., Martin Luther",
        "King, Martin Luther, Jr.",
        ("King", "Martin Luther", "Jr."),
    ),
    ("Юлия Соль", "Юлия Соль", "Соль, Юлия", ("Соль", "Юлия", "")),
    ("Gabriel García Márquez", "Gabriel García Márquez", "Gabriel García Márquez", None),
    ("Plato", "Plato", "Plato", None),
    ("Jr.", "Jr.", "Jr.", None),
    ("Turing AM", "Turing AM", "Turing AM", None),
    ("李明", "李明", "李明", None),
    ("小明 王", "小明 王", "小明 王", None),
    ("J.-L. Šulc", "J.-L. Šulc", "Šulc, J.-L.", ("Šulc", "J.-L.", "")),
    ("OpenAI", "OpenAI", "OpenAI", None),
    ("World Health Organization", "{World Health Organization}", "World Health Organization", None),
    ("Tea Study Group", "{Tea Study Group}", "Tea Study Group", None),
    ("Data Group, Inc.", "{Data Group, Inc.}", "Data Group,, Inc.", None),
    ("University of Bath, Library", "{University of Bath, Library}",
     "University of Bath,, Library", None),
    ("E=mc^2 Collaboration", r"{E=mc\textasciicircum{}2 Collaboration}", "E=mc^2 Collaboration",
     None),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "bib", "line", "parts"), NAMES, ids=lambda each: str(each)[:20])
def test_a_name_is_split_only_where_its_shape_tells_its_parts(shown, bib, line, parts, tmp_path):
    named = paper("Names", authors=(shown,))
    assert f"  author = {{{bib}}},\n" in export_papers([named], "bibtex")
    assert f"AU  - {line}\n" in export_papers([named], "ris")
    [item] = json.loads(export_papers([named], "csl"))
    whole = dict(zip(("family", "given", "suffix"), parts, strict=True)) if parts else {}
    assert item["author"] == [{k: v for k, v in whole.items() if v} or {"literal": shown}]
    for form in READ_BACK:
        same(named, *read_again([named], form, tmp_path))


KNOWN_NAMES = [  # with the family name that the source told
    ("Gabriel García Márquez", "García Márquez", "García Márquez, Gabriel", ("Gabriel", "")),
    ("Ming Wei Chang Jr.", "Chang", "Chang, Jr., Ming Wei", ("Ming Wei", "Jr.")),
    ("Jan van Dyk", "Dyk", "Dyk, Jan van", ("Jan van", "")),
    ("JANE DOE", "DOE", "DOE, JANE", ("JANE", "")),
    ("王小明", "王", "王, 小明", ("小明", "")),
]


@pytest.mark.parametrize(("shown", "family", "bib", "rest"), KNOWN_NAMES)
def test_a_family_name_that_the_source_told_is_exported(shown, family, bib, rest):
    metadata = {"editors": [shown], "family_names": {shown: family}}
    named = paper("Names", authors=(shown,), metadata=metadata)
    entry, record = export_papers([named], "bibtex"), export_papers([named], "ris")
    assert f"  author = {{{bib}}},\n  editor = {{{bib}}},\n" in entry
    line = ", ".join(filter(None, [family, *rest]))
    assert f"AU  - {line}\nED  - {line}\n" in record
    [item] = json.loads(export_papers([named], "csl"))
    parts = dict(zip(("family", "given", "suffix"), (family, *rest), strict=True))
    assert item["author"] == item["editor"] == [{k: v for k, v in parts.items() if v}]


@pytest.mark.parametrize(
    "families",
    [None, [], "Ada", {"Ada Clark": 7}, {"Ada Clark": "Ada"}, {"Ada Clark": "Ada Clark"},
     {"Ada Clark": ""}, {"Ada Clark": "ark"}],
)  # fmt: skip
def test_a_family_name_that_does_not_fit_is_ignored(families):
    named = paper("Names", authors=("Ada Clark",), metadata={"family_names": families})
    assert "  author = {Ada Clark},\n" in export_papers([named], "bibtex")
    [item] = json.loads(export_papers([named], "csl"))
    assert item["author"] == [{"family": "Clark", "given": "Ada"}]


def test_authors_that_are_left_out_are_written_as_each_format_does():
    cut = paper("Names", authors=("Ada Clark", "et al."))
    assert "  author = {Ada Clark and others},\n" in export_papers([cut], "bibtex")
    assert "AU  - Clark, Ada\nAU  - et al.\n" in export_papers([cut], "ris")
    [item] = json.loads(export_papers([cut], "csl"))
    assert item["author"] == [{"family": "Clark", "given": "Ada"}, {"literal": "others"}]
    assert export_papers([cut], "markdown") == "1. Ada Clark, et al. Names.\n"


def test_no_paper_gives_a_text_that_can_be_read():
    assert {export_papers([], form) for form in FORMATS if form != "csl"} == {""}
    assert export_papers([], "csl") == "[]\n"


def test_a_paper_that_comes_twice_is_written_once():
    assert export_papers([LAST, LAST], "ris").count("TY  - ") == 1


def test_a_file_name_tells_the_format():
    names = {"a.bib": "bibtex", "A.RIS": "ris", "a.csl.json": "csl", "a.json": "csl",
             "a.jsonl": "jsonl", "a.md": "markdown", "a.txt": None}  # fmt: skip
    assert {name: detect_format(Path("folder.ris") / name) for name in names} == names


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.example/?leak)",
    "![x][ref]",
    "\\<img src=x>",
    "\\\\<img src=x>",
    "\\![x](http://evil.example)",
    "<!-- hidden",
    "a\n\n<div>",
    "a\n# heading",
    "`x`{=html}",
    "&lt;b&gt;",
    "$x$ <b>",
]


def rendered(markdown):
    return MarkdownIt("commonmark").enable("table").render(markdown)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_paper_is_shown_and_does_nothing(text):
    page = rendered(f"[1] {escape_markdown(text)}\n> {escape_markdown(text)}\n")
    assert set(re.findall(r"<\s*/?\s*(\w+)", page)) <= {"p", "blockquote"}
    plain = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert " ".join(text.split()) in plain


# A page may see code elsewhere than we do; then nothing may be left alone.
CRAFTED = [
    "\\`<img src=x>\\`",
    "a ` b\n`<img src=x>` c",
    "``a` <img src=x> `",
    "| `a | <img src=x> ` |\n|---|---|\n| `a | <img src=x> ` |",
    "```\n ```\n<script>x</script>\n```",
    " ```\nfoo\n```\n<script>x</script>\n```",
    "- a\n\n  ```\n<script>x</script>\n\n```\n<script>\n```",
    "> ```\n<script>x</script>\n```\n",
    "```a b\nfoo\n```\n<script>x</script>\n```",
    "$<img src=x>$",
    "\\(<img src=x>\\)",
    "~~~\n```\n~~~\n<script>x</script>\n```\n",
    "`a`` <img src=x> ``b` <img src=y>",
    "[a]: <`>\n<img src=x>`",
]


@pytest.mark.parametrize("text", [*HOSTILE, *CRAFTED])
def test_a_model_cannot_put_html_or_images_into_a_page(text):
    page = rendered(sanitise_markdown(text))
    made = {"p", "h1", "code", "pre", "ul", "li", "blockquote", "a", "table", "thead", "tbody"}
    assert set(re.findall(r"<\s*/?\s*(\w+)", page)) <= made | {"tr", "th", "td", "em", "hr"}
    assert not re.search(r"`\s*\{\s*=", sanitise_markdown(text))


def test_code_and_formulas_of_a_model_stay_as_they_are():
    text = (
        "Use `<s>` or\n\n```python\nif a<b: print('![x](y)')\n```\nwhere $x_1 \\le 3$, **now** [1]."
    )
    assert sanitise_markdown(text) == text
    assert sanitise_markdown("it is $a<b$") == "it is $a< b$"  # the same to TeX, and no tag


PARTS = ["`", "``", "```", "~~~", "<img src=x>", "<script>", "<!--", "![a](b)", "[a]: ", "{=html}"]
PARTS += ["\n", "\n\n", " ", "    ", "- ", "> ", "1. ", "\\", "|", "|---|\n", "$", "\\(", '"', "a"]


@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_no_cut_of_code_lets_html_through(parts):
    page = rendered(sanitise_markdown("".join(parts)))
    assert re.findall("<(?:img|script|!--)", page) == []


@given(st.text("`~<>imgsrc=x\n |\\$[]()!{}-*#+_&;:.1)%^@'\"/", max_size=60))
def test_any_text_of_a_paper_is_shown_as_it_is(text):
    page = rendered(f"> {escape_markdown(text)}\n")
    plain = html.unescape(re.sub(r"</?(?:p|blockquote)>", "", page))
    assert " ".join(plain.split()) == " ".join(text.split())


@pytest.mark.parametrize("form", FORMATS)
def test_a_link_to_zotero_is_exported_and_what_only_looks_like_one_is_not(form, tmp_path):
    link = "zotero://select/groups/5/items/ABCD2345"
    known = replace(paper("Tea", "It is hot."), sources=("a.bib", link))
    text = export_papers([known], form)
    assert link in text
    if form in READ_BACK:
        same(known, read_again([known], form, tmp_path)[0])
    odd = replace(known, sources=(f"{link}>) <script>", "zotero://select/items/1_ABCD2345"))
    if form != "jsonl":
        assert "zotero://" not in export_papers([odd], form)
