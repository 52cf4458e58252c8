"""Citations and reference lists in CSL styles.

The expected texts in `fixtures/citation_styles` were written by hand from the manuals. Each file
says where the official CSL style, which we follow, differs from its manual. Formatting stands as
`*italic*`, `**bold**`, `^superscript^` and `<link>`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rag.csl import STYLE_NAMES, Reference, Run, StyledReferences, load_style
from rag.errors import SettingsError
from rag.papers import Paper


def make_paper(title: str, names: str, year: int | None = None, **fields: object) -> Paper:
    details = {
        name: fields.pop(name)
        for name in (
            *("volume", "issue", "pages", "month", "publisher", "editors"),
            "family_names",
        )
        if name in fields
    }
    authors = tuple(names.split(", ")) if names else ()
    return Paper(title, title, "", authors, year, metadata=details, **fields)  # type: ignore[arg-type]


ARTICLE = make_paper(
    "Deep learning in tea fermentation: a review",
    "Anna Moreau, Bo Li",
    2019,
    venue="Journal of Tea Science",
    entry_type="article",
    doi="10.1000/tea.12",
    volume="12",
    issue="3",
    pages="101-118",
    month=3,
)
CONFERENCE = make_paper(
    "Attention is what tea needs",
    "Ravi Iyer, Anna M. van den Berg",
    2017,
    venue="Advances in Tea Systems",
    entry_type="inproceedings",
    pages="5998-6008",
    publisher="Curran",
    editors=["Isa Grant"],
)
CHAPTER = make_paper(
    "Brewing",
    "Jane Doe",
    2001,
    venue="Handbook of tea",
    entry_type="incollection",
    pages="1-20",
    publisher="Springer",
    editors=["Rick Roe", "Pat Poe"],
)
PREPRINT = make_paper("A map of tea gardens", "Kim Osei", 2022, arxiv_id="2201.00001")
THESIS = make_paper(
    "Steeping times", "Pat Poe", 2015, entry_type="phdthesis", publisher="University of Bath"
)
TWELVE = make_paper(
    "Tea in twelve countries",
    "Chidi Abara, Ana Brito, Wei Chen, Eva Dahl, Obi Eze, Gil Fox, Mia Gray, Ute Haas, Nils Ito, "
    "Per Juhl, Ola Kvam, Zoe Lund",
    2020,
    venue="Tea Letters",
    entry_type="article",
    volume="6",
    pages="11-29",
)
NO_YEAR = make_paper(
    "Tea without a year",
    "Ines Faber",
    venue="Tea Letters",
    entry_type="article",
    volume="5",
    pages="7",
)
GREEN, BLACK = (
    make_paper(
        title,
        "Jane Doe",
        2021,
        venue="Tea Letters",
        entry_type="article",
        volume="7",
        pages=pages,
    )
    for title, pages in (("Green tea", "1-9"), ("Black tea", "10-19"))
)
PAPERS = (ARTICLE, CONFERENCE, CHAPTER, PREPRINT, THESIS, TWELVE, NO_YEAR, GREEN, BLACK)

FIXTURES = Path(__file__).parent / "fixtures" / "citation_styles"


def style_papers(style: str | Path, *papers: Paper) -> StyledReferences:
    return StyledReferences(load_style(style), dict(enumerate(papers, start=1)))


def show(runs: tuple[Run, ...]) -> str:
    text = ""
    for run in runs:
        mark = "*" * run.italic + "**" * run.bold + "^" * run.superscript
        text += f"{mark}{f'<{run.text}>' if run.url else run.text}{mark}"
    return text


def show_entry(entry: Reference) -> str:
    return f"{entry.label} {show(entry.runs)}".strip()


def read_expected(style: str) -> tuple[list[str], list[str]]:
    """Return the citations and the reference list that were written by hand."""
    text = (FIXTURES / f"{style}.txt").read_text(encoding="utf-8")
    _, cited, listed = text.split("\n\n")
    return cited.splitlines(), listed.splitlines()


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_six_styles_cite_as_their_manuals_say(style: str) -> None:
    styled, (cited, listed) = style_papers(style, *PAPERS), read_expected(style)
    assert [show(styled.cite([number])) for number in range(1, 10)] == cited
    assert list(map(show_entry, styled.references())) == listed


def test_years_of_one_author_follow_each_other() -> None:
    apa, harvard = (style_papers(style, GREEN, ARTICLE, BLACK) for style in ("apa", "harvard"))
    assert show(apa.cite([1, 2, 3])) == "(Doe, 2021a, 2021b; Moreau & Li, 2019)"
    assert show(harvard.cite([1, 2])) == "(Moreau and Li, 2019; Doe, 2021b)"
    assert show(apa.cite([2, 2])) == "(Moreau & Li, 2019)"
    assert apa.cite([]) == ()


@pytest.mark.parametrize(
    ("year", "cited"),
    [
        ('<date variable="issued"><date-part name="year"/></date>', "2021a, 2021b"),
        ('<date variable="issued" form="numeric"/>', "03/2021a, 03/2021b"),
        (
            '<date variable="issued"><date-part name="year" form="short" prefix="’"/></date>',
            "’21a, ’21b",
        ),
        (
            '<date variable="issued" form="text" suffix="."/><text variable="year-suffix"/>',
            "March 2021.a, March 2021.b",
        ),
    ],
)
def test_a_letter_follows_the_year_unless_the_style_places_it(
    tmp_path: Path, year: str, cited: str
) -> None:
    path = write_style(
        tmp_path,
        "<sort><key variable='title'/></sort>",
        **{
            "<citation><layout>": '<citation disambiguate-add-year-suffix="true"><sort>'
            '<key macro="year" sort="descending"/></sort><layout delimiter=", ">',
            '<text variable="citation-number" prefix="[" suffix="]"/>': '<text macro="year"/>',
            "</layout></bibliography>": '<text macro="year" prefix=" "/>'
            '<date variable="issued" prefix=" "><date-part name="year"/></date>'
            "</layout></bibliography>",
            "<citation ": f'<macro name="year">{year}</macro><citation ',
        },
    )
    green, black = (replace(paper, metadata={"month": 3}) for paper in (GREEN, BLACK))
    styled = style_papers(path, green, black)
    assert show(styled.cite([1, 2])) == cited
    letters = cited.split(", ")
    assert [show(entry.runs) for entry in styled.references()] == [
        f"Black tea {letters[0]} 2021",
        f"Green tea {letters[1]} 2021",
    ]


def test_numbers_are_joined_as_a_range_where_the_style_says_so() -> None:
    cited = {
        style: show(style_papers(style, *PAPERS).cite([3, 1, 2, 5, 6])) for style in STYLE_NAMES
    }
    assert cited["vancouver"] == "(1–3,5,6)"
    assert cited["nature"] == "^1–3,5,6^"
    assert cited["ieee"] == "[1], [2], [3], [5], [6]"


def test_shown_numbers_stay_unless_the_style_sorts_its_list(tmp_path: Path) -> None:
    sources = {4: ARTICLE, 7: CHAPTER}
    ieee = StyledReferences(load_style("ieee"), sources)
    assert show(ieee.cite([7])) == "[7]"
    assert [(entry.number, entry.label) for entry in ieee.references()] == [(4, "[4]"), (7, "[7]")]
    by_title = write_style(tmp_path, "<sort><key variable='title'/></sort>")
    styled = StyledReferences(load_style(by_title), sources)
    assert show(styled.cite([7])) == "[1]"
    assert [(entry.number, entry.label) for entry in styled.references()] == [(7, "1."), (4, "2.")]


def test_the_list_is_sorted_without_regard_to_accents() -> None:
    papers = [make_paper(name, f"Ann {name}", 2020) for name in ("Zorn", "Öz", "Nagel", "Ångström")]
    listed = style_papers("apa", *papers).references()
    assert [entry.number for entry in listed] == [4, 3, 2, 1]


def test_quotation_marks_do_not_count_for_the_order() -> None:
    papers = [make_paper(f"Tea {number}", "Ann Lee", 2020) for number in ("II", "I")]
    listed = style_papers("chicago-author-date", *papers).references()
    assert [show(entry.runs) for entry in listed] == [
        "Lee, Ann. 2020a. “Tea I.”",
        "Lee, Ann. 2020b. “Tea II.”",
    ]


def test_omitted_authors_are_others() -> None:
    papers = (
        make_paper("One is named", "Ann Lee, et al.", 2020),
        make_paper("Two are named", "Ann Lee, Bo Roe, et al.", 2021),
    )
    styled = style_papers("apa", *papers)
    assert show(styled.cite([1])) == "(Lee et al., 2020)"
    assert [show(entry.runs) for entry in styled.references()] == [
        "Lee, A. et al. (2020). *One is named*.",
        "Lee, A., Roe, B., et al. (2021). *Two are named*.",
    ]
    entries = {style: style_papers(style, papers[1]).references()[0] for style in STYLE_NAMES}
    assert show(entries["nature"].runs) == "Lee, A. *et al.* Two are named. (2021)."
    assert show(entries["ieee"].runs) == "A. Lee *et al.*, “Two are named.” 2021."
    assert show(entries["vancouver"].runs) == "Lee A, Roe B, et al. Two are named. 2021."
    assert show(style_papers("harvard", papers[1]).cite([1])) == "(Lee *et al.*, 2021)"


def test_a_name_without_clear_parts_stays_whole() -> None:
    paper = make_paper("Tea", "Gabriel García Márquez, World Health Organization", 2020)
    (entry,) = style_papers("apa", paper).references()
    assert show(entry.runs).startswith(
        "Gabriel García Márquez, & World Health Organization. (2020)."
    )


def test_family_names_that_the_source_told_are_used() -> None:
    families = {
        "Gabriel García Márquez": "García Márquez",
        "Ming Wei Chang": "Chang",
        "Jan van Dyk": "Dyk",
        "王小明": "王",
    }
    paper = make_paper("Tea", ", ".join(families), 2020, family_names=families)
    shown = {style: style_papers(style, paper).references()[0] for style in ("apa", "ieee")}
    assert show(shown["apa"].runs).startswith(
        "García Márquez, G., Chang, M. W., Dyk, J. van, & 王小明. (2020)."
    )
    assert show(shown["ieee"].runs).startswith(
        "G. García Márquez, M. W. Chang, J. van Dyk, and 王小明, "
    )
    (citation,) = style_papers("chicago-author-date", paper).cite([1])
    assert citation.text == "(García Márquez et al. 2020)"


def test_a_paper_without_authors_is_cited_by_its_title() -> None:
    styled = style_papers("apa", make_paper("Tea", "", 2020, venue="Tea Letters"))
    assert show(styled.cite([1])) == "(“Tea,” 2020)"
    assert [show(entry.runs) for entry in styled.references()] == ["Tea. (2020). *Tea Letters*."]


def test_editors_in_place_of_authors_are_not_named_again() -> None:
    paper = make_paper(
        "Tea", "", 2020, entry_type="book", editors=["Rick Roe"], publisher="Springer"
    )
    entries = {style: style_papers(style, paper).references()[0] for style in STYLE_NAMES}
    assert show(entries["apa"].runs) == "Roe, R. (Ed.). (2020). *Tea*. Springer."
    assert show(entries["vancouver"].runs) == "Roe R, editor. Tea. Springer; 2020."
    assert show(entries["chicago-author-date"].runs) == "Roe, Rick, ed. 2020. *Tea*. Springer."
    assert show(entries["ieee"].runs) == "R. Roe, Ed., *Tea*. Springer, 2020."
    assert show(entries["harvard"].runs) == "Roe, R. (ed.) (2020) *Tea*. Springer."


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_a_retracted_paper_says_so(style: str) -> None:
    paper = make_paper("Tea", "Ann Lee", 2020, retraction="RETRACTED")
    (entry,) = style_papers(style, paper).references()
    assert "[Retracted] Tea" in show(entry.runs)


@pytest.mark.parametrize("style", STYLE_NAMES)
@pytest.mark.parametrize(
    "title",
    [
        '<i>Tea</i> & <span class="nocase">tea</span> &amp; {tea} $x_1$ \\textbf{tea}',
        "Tea\x01\x02 in\x08\x07 a\x03 row?",
        "*Tea* [tea](https://tea.example) `tea` javascript:tea",
        "Is it tea?",
    ],
)
def test_a_title_is_plain_text(style: str, title: str) -> None:
    """The case may change."""
    (entry,) = style_papers(style, make_paper(title, "Ann Lee", 2020)).references()
    shown = "".join(run.text for run in entry.runs)
    assert " ".join("".join(filter(str.isprintable, title)).split()).lower() in shown.lower()
    assert not any(run.bold or run.superscript or run.url for run in entry.runs)


def test_a_mark_of_a_title_is_followed_by_no_full_stop() -> None:
    paper = make_paper("Is it tea?", "Ann Lee", 2020, venue="Tea Letters", entry_type="article")
    entries = {style: style_papers(style, paper).references()[0] for style in STYLE_NAMES}
    assert show(entries["apa"].runs) == "Lee, A. (2020). Is it tea? *Tea Letters*."
    assert show(entries["ieee"].runs) == "A. Lee, “Is it tea?,” *Tea Letters*, 2020."
    assert show(entries["chicago-author-date"].runs) == (
        "Lee, Ann. 2020. “Is It Tea?” *Tea Letters*."
    )


STYLE = """<style xmlns="http://purl.org/net/xbiblio/csl" class="in-text" version="1.0">
<info><title>Ours</title><id>ours</id><updated>2026-01-01T00:00:00+00:00</updated></info>
<macro name="title"><text variable="title"/></macro>
<citation><layout><text variable="citation-number" prefix="[" suffix="]"/></layout></citation>
<bibliography second-field-align="flush">SORT<layout>
<text variable="citation-number" suffix="." strip-periods="true"/>
<text macro="title"/></layout></bibliography>
</style>"""


def write_style(folder: Path, sort: str = "", **changes: str) -> Path:
    text = STYLE.replace("SORT", sort)
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / "ours.csl"
    path.write_text(text, encoding="utf-8")
    return path


def test_macros_that_would_run_for_ever_are_refused(tmp_path: Path) -> None:
    doubled = "".join(
        f'<macro name="m{n}"><text macro="m{n - 1}"/><text macro="m{n - 1}"/></macro>'
        for n in range(1, 30)
    )
    macros = f'<macro name="m0"><text variable="title"/></macro>{doubled}<citation'
    path = tmp_path / "endless.csl"
    path.write_text(STYLE.replace("SORT", "").replace("<citation", macros, 1))
    with pytest.raises(SettingsError, match="call each other too often"):
        load_style(path)


def test_a_style_is_read_from_a_file(tmp_path: Path) -> None:
    style = load_style(write_style(tmp_path))
    assert (style.title, style.is_numeric) == ("Ours", True)
    assert load_style(str(tmp_path / "ours.csl")) == style
    assert load_style("APA") == load_style("apa")
    (entry,) = StyledReferences(style, {1: CHAPTER}).references()
    assert entry == Reference(1, "1.", (Run("Brewing"),))


PARENT = '<link rel="independent-parent" href="http://www.zotero.org/styles/apa"/>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("This is no XML.", "is no CSL style"),
        ("<html/>", "is no CSL style. Choose another file."),
        (STYLE.replace("http://purl.org/net/xbiblio/csl", "urn:other"), "is no CSL style."),
        (STYLE.replace("in-text", "note"), "cites in footnotes, which is not supported."),
        (STYLE.replace("SORT", "<tea/>"), "is no valid CSL style (Extra element"),
        (STYLE.replace('name="title"', 'name="other"').replace("SORT", ""), "no macro title"),
        (
            STYLE.replace('variable="title"', 'macro="title"').replace("SORT", ""),
            "its macros call each other: title",
        ),
        (STYLE[: STYLE.index("<bibliography")] + "</style>", "has no reference list"),
        (
            STYLE[: STYLE.index("<macro")].replace("<updated", f"{PARENT}<updated") + "</style>",
            "only refers to another style. Give the file of http://www.zotero.org/styles/apa",
        ),
        (
            '<!DOCTYPE style [<!ENTITY a "tea"><!ENTITY b "&a;&a;&a;&a;">]>'
            + STYLE.replace("Ours", "&b;").replace("SORT", ""),
            "is no CSL style. Choose another file.",
        ),
        (STYLE + " " * 2_000_000, "is too large for a citation style"),
    ],
)
def test_a_file_that_is_no_usable_style_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ours.csl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_style(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_an_unknown_style_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"no citation style 'mla'. Choose apa, vancouver, .* or"
    ):
        load_style("mla")
    with pytest.raises(SettingsError, match=r"Cannot read the citation style .*missing\.csl"):
        load_style(tmp_path / "missing.csl")


def test_more_names_tell_papers_apart() -> None:
    tea, mate, coffee = (
        make_paper(title, f"Ann Lee, {names}", 2020)
        for title, names in (
            ("Tea", "Bo Roe, Cy Fox, Di Poe"),
            ("Mate", "Bo Roe, Ed Nye, Di Poe"),
            ("Coffee", "Bo Roe, Ed Nye, Di Poe"),
        )
    )
    styled = style_papers("apa", tea, mate)
    assert show(styled.cite([1])) == "(Lee, Roe, Fox, et al., 2020)"
    assert show(styled.cite([2])) == "(Lee, Roe, Nye, et al., 2020)"
    styled = style_papers("apa", mate, coffee)
    assert show(styled.cite([1])) == "(Lee et al., 2020b)"
    assert show(styled.cite([2])) == "(Lee et al., 2020a)"


def test_given_names_tell_first_authors_apart() -> None:
    papers = (
        make_paper("Tea", "Ann Lee, Bo Roe", 2019),
        make_paper("Mate", "Carl Lee, Di Poe", 2020),
        make_paper("Coffee", "Ann Lee", 2021),
        make_paper("Cocoa", "Carl Lee", 2021),
    )
    apa, chicago, harvard = (
        style_papers(style, *papers) for style in ("apa", "chicago-author-date", "harvard")
    )
    assert show(apa.cite([1])) == "(A. Lee & Roe, 2019)"
    assert show(chicago.cite([2])) == "(C. Lee and Poe 2020)"
    assert show(chicago.cite([3])) == "(A. Lee 2021)"
    assert show(harvard.cite([1])) == "(Lee and Roe, 2019)"
    assert [show(harvard.cite([number])) for number in (3, 4)] == [
        "(A. Lee, 2021)",
        "(C. Lee, 2021)",
    ]
    assert [entry.number for entry in apa.references()] == [3, 1, 4, 2]


@pytest.mark.parametrize(
    ("title", "capitalised"),
    [
        ("few-shot tea: the art of (slow) brewing", "Few-Shot Tea: The Art of (Slow) Brewing"),
        ("what is tea for", "What Is Tea For"),
        (
            "tea and BERT at eLife, β-carotene and 3d maps",
            "Tea and BERT at eLife, β-Carotene and 3d Maps",
        ),
    ],
)
def test_chicago_capitalises_titles(title: str, capitalised: str) -> None:
    (entry,) = style_papers("chicago-author-date", make_paper(title, "Ann Lee", 2020)).references()
    assert capitalised in show(entry.runs)


def test_given_names_become_initials() -> None:
    names = "Jean-Paul Roux, Ji-woo Park, JR Doe, Ann M. Lee Jr."
    paper = make_paper("Tea", names, 2020, venue="Tea Letters")
    entries = {style: style_papers(style, paper).references()[0] for style in STYLE_NAMES}
    assert show(entries["apa"].runs).startswith(
        "Roux, J.-P., Park, J.-W., Doe, J. R., & Lee, A. M., Jr. (2020)."
    )
    assert show(entries["vancouver"].runs).startswith("Roux JP, Park JW, Doe JR, Lee AM Jr.")


def test_quotation_marks_alternate() -> None:
    paper = make_paper("On “tea” in “poems”", "Ann Lee", 2020, venue="Tea Letters")
    entries = {style: style_papers(style, paper).references()[0] for style in STYLE_NAMES}
    assert "“On ‘tea’ in ‘poems’,”" in show(entries["ieee"].runs)
    assert "‘On “tea” in “poems”’," in show(entries["harvard"].runs)
