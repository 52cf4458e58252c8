"""The table of a library as HTML: sorted, searched, a page at a time; empty columns are hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.exporters import export_papers
from rag.papers import ET_AL
from rag.web.cards import paper_address, plain_citation
from rag.web.escape import isolated, safe, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rag.index.filter import Filter
    from rag.papers import Paper

PAGE_PAPERS = 50
_MOST_AUTHORS = 6  # of one paper in the table
_COLUMNS: dict[str, Callable[[Paper], str]] = {
    "Title": lambda paper: paper.title,
    "Authors": lambda paper: ", ".join(paper.authors),
    "Year": lambda paper: str(paper.year or ""),
    "Venue": lambda paper: paper.venue or "",
    "Source": lambda paper: ", ".join(source.rpartition("/")[2] for source in paper.sources),
}
COLUMNS = tuple(_COLUMNS)


@dataclass(frozen=True, slots=True)
class TableState:
    """What of a library a reader looks at.

    Attributes:
        query: words that titles, authors, venues or abstracts must all have.
        column: sorted by; empty for the library's own order.
        descending: last first.
        page: from 0.
        where: the filters that are set.
        problem: why those that were asked for last mean nothing; no paper is listed then.
    """

    query: str = ""
    column: str = ""
    descending: bool = False
    page: int = 0
    where: Filter | None = None
    problem: str = ""


def seen(papers: Sequence[Paper], sight: TableState) -> list[Paper]:
    """The papers that fit a query, in the order asked for.

    >>> from rag.papers import Paper
    >>> [p.id for p in seen([Paper("a", "Zeta", ""), Paper("b", "Eta", "")], Sight(column="Title"))]
    ['b', 'a']
    """
    words = sight.query.casefold().split()
    found = [paper for paper in papers if all(word in _haystack(paper) for word in words)]
    value = _COLUMNS.get(sight.column)
    if value:
        found.sort(key=lambda paper: value(paper).casefold(), reverse=sight.descending)
    return found


def table(
    papers: Sequence[Paper], sight: TableState, picked: Collection[str], *, source: bool
) -> str:
    """A page of the papers in sight.

    Args:
        papers: of the library.
        sight: what is looked at.
        picked: ids of the papers that are selected.
        source: whether the files that papers came from are shown.
    """
    found = seen(papers, sight)
    last = max(0, (len(found) - 1) // PAGE_PAPERS)
    number = min(max(sight.page, 0), last)
    shown = found[number * PAGE_PAPERS : (number + 1) * PAGE_PAPERS]
    columns = [name for name in COLUMNS if any(_COLUMNS[name](paper) for paper in papers)]
    if not source and "Source" in columns:
        columns.remove("Source")
    if not found:
        looked = sight.query or sight.where
        sentence = "No paper fits." if looked else "This library holds no paper yet."
        return f'<p class="hint">{sentence}</p>'
    head = "".join(_head(name, sight) for name in columns)
    rows = "".join(_row(paper, columns, is_picked=paper.id in picked) for paper in shown)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Papers"><table><thead><tr>'
        f'<th><span class="unseen">Selected</span></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_pages(len(found), number, last)}"
    )


def chosen(count: int, shown: int, total: int, *, may_edit: bool) -> str:
    """What can be done with the papers that are selected, or with those that the table lists.

    Args:
        count: of selected papers.
        shown: papers that fit what is looked for.
        total: papers of the library.
        may_edit: whether papers may be removed.
    """
    if not count:
        of = f"{shown:,} of {total:,}" if shown < total else f"{total:,}"
        words = f"{of} paper{'s' * (total != 1)}; tick some to select them."
        which, acts = f"the {shown:,} listed" if shown < total else f"all {total:,}", ""
    else:
        words, which = f"{count:,} selected", "selected"
        acts = '<button type="button" class="first" data-act="only">Ask about these only</button>'
        acts += '<button type="button" data-act="unpick">Clear selection</button>'
        if may_edit:
            acts += '<button type="button" data-act="remove">Remove from library</button>'
    forms = "".join(
        f'<button type="button" data-act="papers" data-form="{form}" '
        f'aria-label="Download {which} as {name}">{name}</button>'
        for form, name in (("bibtex", "BibTeX"), ("json", "JSON"))
    )
    download = f"<span>Download {which}</span>{forms}" if count or shown else ""
    return f'<p class="chosen"><strong role="status">{words}</strong>{acts}{download}</p>'


def as_bibtex(papers: Sequence[Paper]) -> str:
    """The papers as BibTeX entries."""
    return export_papers(papers, "bibtex")


def _haystack(paper: Paper) -> str:
    parts = (paper.title, *paper.authors, paper.venue or "", str(paper.year or ""), paper.abstract)
    return " ".join(parts).casefold()


def _head(name: str, sight: TableState) -> str:
    sign, order = "↕", "none"
    if sight.column == name:
        sign, order = ("↓", "descending") if sight.descending else ("↑", "ascending")
    return (
        f'<th scope="col" aria-sort="{order}" class="{name.casefold()}"><button type="button" '
        f'id="sort-{name.casefold()}" data-act="sort" data-column="{name}" '
        f'title="Sort by {name.casefold()}">{name} <span class="order" aria-hidden="true">{sign}'
        "</span></button></th>"
    )


def _row(paper: Paper, columns: Sequence[str], *, is_picked: bool) -> str:
    label = safe(f"Select {shortened(paper.title, 80)}")
    cells = "".join(f'<td class="{name.casefold()}">{_cell(paper, name)}</td>' for name in columns)
    return (
        f'<tr><td class="pick"><input type="checkbox" data-pick="{safe(paper.id)}" '
        f'aria-label="{label}"{" checked" if is_picked else ""}></td>{cells}</tr>'
    )


def _cell(paper: Paper, name: str) -> str:
    if name == "Title":
        return _title(paper)
    if name == "Authors":
        is_cut = paper.authors[-1:] == (ET_AL,)
        more = f" {ET_AL}" if is_cut else f" and {len(paper.authors) - _MOST_AUTHORS} more"
        shown = ", ".join(map(isolated, paper.authors[:_MOST_AUTHORS]))
        return shown + more * (len(paper.authors) > _MOST_AUTHORS)
    return isolated(shortened(_COLUMNS[name](paper), 120))


def _title(paper: Paper) -> str:
    """The title, which unfolds the abstract."""
    address = paper_address(paper)
    link = (
        f'<a href="{address}" target="_blank" rel="noopener noreferrer">Open the paper</a>'
        if address
        else ""
    )
    bibtex = safe(export_papers([paper], "bibtex"))
    abstract = safe(paper.abstract) or "This paper has no abstract; it is found by its title."
    return (
        f'<details><summary dir="auto">{safe(paper.title)}</summary><p dir="auto">{abstract}</p>'
        f'<p class="copies">{link}<button type="button" data-copy="{bibtex}">'
        f'Copy BibTeX</button><button type="button" data-copy="{safe(plain_citation(paper))}">'
        "Copy plain citation</button></p></details>"
    )


def _pages(count: int, number: int, last: int) -> str:
    if not last:
        return f'<p class="pages">{count:,} shown</p>'
    first = number * PAGE_PAPERS + 1
    until = min(first + PAGE_PAPERS - 1, count)
    before = f'<button type="button" id="page-before" data-act="turn" data-to="{number - 1}"'
    after = f'<button type="button" id="page-after" data-act="turn" data-to="{number + 1}"'
    return (
        f'<p class="pages">{before}{" disabled" * (number == 0)}>Previous</button>'
        f"<span>{first:,} to {until:,} of {count:,}</span>"
        f"{after}{' disabled' * (number == last)}>Next</button></p>"
    )
