"""Citations and reference lists in CSL styles.

The expected texts in `fixtures/citation_styles` were written by hand from the manuals. Each file
says where the official CSL style, which we follow, differs from its manual. Formatting stands as
`*italic*`, `**bold**`, `^superscript^` and `<link>`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.csl import STYLE_NAMES, Reference, Run, StyledReferences, load_style
from rag.papers import Paper


def make_paper(title: str, names: str, year: int | None = None, **fields: object) -> Paper:
    details = {
        name: fields.pop(name)
        for name in ("volume", "issue", "pages", "month", "publisher", "editors")
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
