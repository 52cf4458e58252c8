"""The table of a library: what a reader looks for, the papers that fit, and both as HTML."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError
from rag.exporters import export_papers
from rag.index.filter import Filter
from rag.papers import ET_AL
from rag.readers.zotero.address import LINK_START
from rag.web.cards import format_citation, render_link
from rag.web.escape import escape, isolate, render_button, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rag.papers import Paper

PAGE_PAPERS = 50
_MOST_AUTHORS = 6  # of one paper in the table
_LONGEST_QUERY = 200  # characters
_LONGEST_VALUE = 100  # characters of a filter
_LAST_YEAR = 9999
_COLUMNS: dict[str, Callable[[Paper], str]] = {
    "Title": lambda paper: paper.title,
    "Authors": lambda paper: ", ".join(paper.authors),
    "Year": lambda paper: str(paper.year or ""),
    "Venue": lambda paper: paper.venue or "",
    "Retracted": lambda paper: paper.retraction_mark,
    "Source": lambda paper: ", ".join(dict.fromkeys(map(_name_source, paper.sources))),
}
_FILTERS: dict[str, Any] = {
    "venue": "venues",
    "author": "authors",
    "tag": "tags",
    "collection": "collections",
}
_RETRACTED = {"": None, "yes": True, "no": False}  # choices of its filter


def _name_source(source: str) -> str:
    return "Zotero" if source.startswith(LINK_START) else source.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class TableState:
    """Query, order, page and filters of the table."""

    query: str = ""  # words that titles, authors, venues or abstracts must all have
    column: str = ""  # to sort by; "" keeps the library's own order
    descending: bool = False
    page: int = 0
    where: Filter | None = None  # the filters that are set
    problem: str = ""  # why the last filters are not valid; no paper is listed then

    def apply(self, action: dict[str, Any]) -> TableState:
        """Return the state after a browser's action: find, filter, sort or turn."""
        name = action["act"]
        if name == "turn":
            return replace(self, page=max(0, parse_number(action.get("to"))))
        first = replace(self, page=0)
        if name == "find":
            return replace(first, query=str(action.get("text", ""))[:_LONGEST_QUERY])
        if name == "filter":
            try:
                return replace(first, where=parse_filter(action.get("values")), problem="")
            except SettingsError as error:
                return replace(first, problem=str(error))
        column = str(action.get("column"))
        if column not in _COLUMNS:
            return self
        return replace(
            first, column=column, descending=self.column == column and not self.descending
        )


def parse_number(value: Any) -> int:
    """Return a number from a browser, or 0 if it is not one."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):  # the last for 1e400, which is read as infinity
        return 0


def parse_filter(values: object) -> Filter | None:
    """Return the filter that a browser's fields set, or None if all are empty.

    Raises:
        SettingsError: a year is not a number, or the first lies after the last.
    """
    given = values if isinstance(values, dict) else {}
    fields = {
        name: str(given.get(name, "")).strip()[:_LONGEST_VALUE]
        for name in ("since", "until", "retracted", *_FILTERS)
    }
    years = (_parse_year(fields["since"]), _parse_year(fields["until"]))
    parts: dict[str, Any] = {
        part: (fields[name],) for name, part in _FILTERS.items() if fields[name]
    }
    where = Filter(
        years=years if years != (None, None) else None,
        retracted=_RETRACTED.get(fields["retracted"]),
        **parts,
    )
    return where if where != Filter() else None


def select_papers(papers: Sequence[Paper], state: TableState) -> list[Paper]:
    """Return the papers that have all words of the query, in the order asked for.

    >>> from rag.papers import Paper
    >>> papers = [Paper("a", "Zeta", ""), Paper("b", "Eta", "")]
    >>> [paper.id for paper in select_papers(papers, TableState(column="Title"))]
    ['b', 'a']
    """
    words = state.query.casefold().split()
    selected = [paper for paper in papers if all(word in _join_fields(paper) for word in words)]
    value = _COLUMNS.get(state.column)
    if value:
        selected.sort(key=lambda paper: value(paper).casefold(), reverse=state.descending)
    return selected


def render_filters(papers: Sequence[Paper], where: Filter) -> str:
    """Render a field for each filter that tells the papers apart. Omits what no paper has."""
    fields = ""
    if years := [paper.year for paper in papers if paper.year]:
        first, last = where.years or (None, None)
        fields += _render_field("since", "From year", first, hint=min(years))
        fields += _render_field("until", "To year", last, hint=max(years))
    values: dict[str, tuple[Sequence[str], list[Any]]] = {
        "venue": (where.venues, [paper.venue for paper in papers]),
        "author": (where.authors, [paper.authors for paper in papers]),
        "tag": (where.tags, [paper.metadata.get("tags") for paper in papers]),
        "collection": (
            where.collections,
            [paper.metadata.get("collections") for paper in papers],
        ),
    }
    for name, (given, known) in values.items():
        if any(known):
            fields += _render_field(name, name.capitalize(), "".join(given[:1]))
    if any(paper.retraction for paper in papers):
        choices = "".join(
            f'<option value="{name}"{" selected" * (where.retracted is value)}>{words}</option>'
            for (name, value), words in zip(_RETRACTED.items(), ("", "only", "none"), strict=True)
        )
        fields += f'<label>Retracted<select data-filter="retracted">{choices}</select></label>'
    return f'<div class="filters" role="group" aria-label="Filters">{fields}</div>'


def list_columns(papers: Sequence[Paper], *, source: bool) -> list[str]:
    """Return the columns in which a paper has a value, with the papers' files if `source`."""
    named = (name for name in _COLUMNS if source or name != "Source")
    return [name for name in named if any(map(_COLUMNS[name], papers))]


def render_table(
    papers: Sequence[Paper], state: TableState, columns: Sequence[str], selected: Collection[str]
) -> str:
    """Render one page of the papers that fit, given in order.

    Args:
        papers: that fit.
        state: order and page.
        columns: from `list_columns`.
        selected: ids of the papers that are selected.
    """
    if not papers:
        is_narrowed = state.query or state.where
        sentence = "No paper fits." if is_narrowed else "This library has no papers yet."
        return f'<p class="hint">{sentence}</p>'
    last = (len(papers) - 1) // PAGE_PAPERS
    number = min(state.page, last)
    head = "".join(_render_head(name, state) for name in columns)
    rows = "".join(
        _render_row(paper, columns, is_selected=paper.id in selected)
        for paper in papers[number * PAGE_PAPERS : (number + 1) * PAGE_PAPERS]
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Papers"><table><thead><tr>'
        f'<th><span class="unseen">Selected</span></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_render_pages(len(papers), number, last)}"
    )


def render_selection(selected: int, listed: int, total: int, *, may_edit: bool) -> str:
    """Render what can be done with the selected papers, or with the listed of all papers."""
    buttons = ""
    if selected:
        words, which = f"{selected:,} selected", "selected"
        buttons = render_button("Ask about these only", kind="first", act="only")
        buttons += render_button("Clear selection", act="unpick")
        if may_edit:
            buttons += render_button("Remove from library", act="remove")
    else:
        count = f"{listed:,} of {total:,}" if listed < total else f"{total:,}"
        words = f"{count} paper{'s' * (total != 1)}. Tick some to select them."
        which = f"the {listed:,} listed" if listed < total else f"all {total:,}"
    if selected or listed:
        buttons += f"<span>Download {which}</span>"
        for form, name in (("bibtex", "BibTeX"), ("json", "JSON")):
            label = f"Download {which} as {name}"
            buttons += render_button(name, label=label, act="papers", form=form)
    return f'<p class="chosen"><strong role="status">{words}</strong>{buttons}</p>'


def _parse_year(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_YEAR):
        raise SettingsError(f"{text!r} is not a year. Write it with digits, such as 2021.")
    return int(text)


def _join_fields(paper: Paper) -> str:
    parts = (paper.title, *paper.authors, paper.venue or "", str(paper.year or ""), paper.abstract)
    return " ".join(parts).casefold()


def _render_field(name: str, label: str, value: object, *, hint: int | None = None) -> str:
    kind = f'inputmode="numeric" placeholder="{hint}"' if hint else ""
    return (
        f'<label>{label}<input type="search" data-filter="{name}" value="{escape(value or "")}" '
        f'id="filter-{name}" autocomplete="off" maxlength="{_LONGEST_VALUE}" {kind}></label>'
    )


def _render_head(name: str, state: TableState) -> str:
    sign, order = "↕", "none"
    if state.column == name:
        sign, order = ("↓", "descending") if state.descending else ("↑", "ascending")
    return (
        f'<th scope="col" aria-sort="{order}" class="{name.casefold()}"><button type="button" '
        f'id="sort-{name.casefold()}" data-act="sort" data-column="{name}" '
        f'title="Sort by {name.casefold()}">{name} <span class="order" aria-hidden="true">{sign}'
        "</span></button></th>"
    )


def _render_row(paper: Paper, columns: Sequence[str], *, is_selected: bool) -> str:
    label = escape(f"Select {shorten(paper.title, 80)}")
    cells = "".join(
        f'<td class="{name.casefold()}">{_render_cell(paper, name)}</td>' for name in columns
    )
    return (
        f'<tr><td class="pick"><input type="checkbox" data-pick="{escape(paper.id)}" '
        f'aria-label="{label}"{" checked" if is_selected else ""}></td>{cells}</tr>'
    )


def _render_cell(paper: Paper, name: str) -> str:
    if name == "Title":
        return _render_title(paper)
    if name == "Authors":
        is_cut = paper.authors[-1:] == (ET_AL,)
        more = f" {ET_AL}" if is_cut else f" and {len(paper.authors) - _MOST_AUTHORS} more"
        names = ", ".join(map(isolate, paper.authors[:_MOST_AUTHORS]))
        return names + more * (len(paper.authors) > _MOST_AUTHORS)
    return isolate(shorten(_COLUMNS[name](paper), 120))


def _render_title(paper: Paper) -> str:
    """Render the title, which unfolds the abstract."""
    link = render_link(paper, "Open the paper")
    copy = render_button("Copy BibTeX", copy=export_papers([paper], "bibtex"))
    copy += render_button("Copy plain citation", copy=format_citation(paper))
    abstract = escape(paper.abstract) or "This paper has no abstract. It is found by its title."
    return (
        f'<details><summary dir="auto">{escape(paper.title)}</summary><p dir="auto">{abstract}</p>'
        f'<p class="copies">{link}{copy}</p></details>'
    )


def _render_pages(count: int, number: int, last: int) -> str:
    if not last:
        return f'<p class="pages">{count:,} shown</p>'
    first = number * PAGE_PAPERS + 1
    until = min(first + PAGE_PAPERS - 1, count)
    before, after = (
        render_button(words, state=f' id="{name}"{" disabled" * is_off}', act="turn", to=to)
        for words, name, to, is_off in (
            ("Previous", "page-before", number - 1, number == 0),
            ("Next", "page-after", number + 1, number == last),
        )
    )
    return f'<p class="pages">{before}<span>{first:,} to {until:,} of {count:,}</span>{after}</p>'
