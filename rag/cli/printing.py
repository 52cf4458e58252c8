"""Print text, papers and notes. Text of papers is data and is never read as markup.

On a terminal lines are wrapped and coloured, and tables are aligned. Elsewhere every line is
printed as it is, so output can be piped.
"""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.exporters.vault import VaultReport
    from rag.papers import Paper
    from rag.retrieval import Hit

# Control characters, and those that change the direction of writing, could change how a terminal
# shows the text around them.
_CONTROL = dict.fromkeys(
    code
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
)

_WIDEST = (0.25, 0.2, 0.1, 0.15)  # columns of a listed paper before its title, of the terminal
_LONGEST_GROUP = 40  # characters of its name in the list of papers


def strip_controls(text: str) -> str:
    """Return a text without characters that change what a terminal shows around it."""
    return text.translate(_CONTROL)


def print_line(text: str) -> None:
    """Print one line to standard output, without control characters."""
    sys.stdout.write(strip_controls(text) + "\n")


def print_note(text: str) -> None:
    """Print one line to standard error, without control characters."""
    sys.stderr.write(strip_controls(text) + "\n")


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print_line(json.dumps(value, ensure_ascii=False, indent=2))


def print_vault_report(report: VaultReport, *, as_json: bool, quiet: bool) -> None:
    """Print which notes were written: JSON to standard output, or notes to standard error."""
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        for line in report.lines:
            print_note(line)


def print_text(text: str) -> None:
    """Print text unchanged where it is piped, without control characters on a terminal."""
    if sys.stdout.isatty():
        print_line(text.rstrip("\n"))
    else:
        sys.stdout.write(text)


def print_status(text: str) -> None:
    """Show progress in a line that the next one replaces, only on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + strip_controls(text)[:100])
        sys.stderr.flush()


def print_hits(hits: Sequence[Hit]) -> None:
    """Print a ranked list of papers with the best sentence of each."""
    if not hits:
        print_styled("Nothing was found.")
    for hit in hits:
        print_styled(f"{hit.rank}. {hit.paper.title}", style="bold")
        print_retraction(hit.paper, indent=3)
        print_styled(f"{hit.paper.id}  score {hit.score:.2f}", indent=3, style="dim")
        if hit.sentences:
            print_styled(hit.sentences[0].text, indent=3)


def print_ranking(papers: Sequence[Mapping[str, Any]]) -> None:
    """Print the score and rank of each paper in every stage, and the query that found it."""
    names = list(papers[0]["stages"]) if papers else []
    table = Table("rank", "fused", *names, "paper", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for paper in papers:
        stages = (paper["stages"][name] for name in names)
        cells = [f"{stage['score']:.3f} #{stage['rank']}" for stage in stages]
        title = Text(strip_controls(paper["title"]), overflow="ellipsis", no_wrap=True)
        mark = " (named)" if paper["named"] else ""
        table.add_row(f"{paper['rank']}{mark}", f"{paper['score']:.2f}", *cells, title)
    console = make_console()
    console.print()
    console.print(table, width=None if console.is_terminal else 80)
    for paper in papers:
        if paper["query"]:
            print_line(f"{paper['rank']} was found by the query “{paper['query']}”")


def print_papers(papers: Iterable[Paper]) -> None:
    """Print one line for each paper: id, authors, year, venue and title, "-" where unknown.

    On a terminal the columns are aligned and cut to its width, elsewhere tabs separate them.
    """
    rows = map(_list_columns, papers)
    if sys.stdout.isatty():
        lines: Iterable[str] = _align(list(rows), make_console().width)
    else:
        lines = map("\t".join, rows)
    for line in lines:
        print_line(line)


def _list_columns(paper: Paper) -> list[str]:
    title = f"[retracted] {paper.title}" if paper.retraction else paper.title
    columns = (paper.id, shorten_authors(paper.authors), str(paper.year or ""), paper.venue, title)
    return [" ".join((column or "-").split()) for column in columns]


def _align(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield rows as lines of columns that are as wide as their longest value, within limits."""
    if not rows:
        return
    widths = [
        min(int(share * width), max(map(cell_len, column)))
        for column, share in zip(zip(*rows, strict=True), _WIDEST, strict=False)
    ]
    for *cells, title in rows:
        start = "".join(f"{_fit(cell, most)}  " for cell, most in zip(cells, widths, strict=True))
        yield start + _fit(title, max(10, width - cell_len(start))).rstrip()


def _fit(text: str, width: int) -> str:
    """Pad a text to a width, or cut it with an ellipsis."""
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    return set_cell_size(text, width)


def shorten_authors(authors: Sequence[str]) -> str:
    """Return the family names of one or two authors, the first one's of more, "" without any.

    >>> shorten_authors(["Clark, Ada", "Bo Li"]), shorten_authors(["Ada Clark", "Bo Li", "C Wu"])
    ('Clark and Li', 'Clark et al.')
    >>> shorten_authors(["Sleep Research Society", "Centers for Disease Control and Prevention"])
    'Sleep Research Society and Centers for Disease Control and…'
    """
    from rag.papers.names import ET_AL

    if len(authors) > 2 or ET_AL in authors:
        return f"{_find_family(authors[0])} {ET_AL}"
    return " and ".join(map(_find_family, authors))


def _find_family(author: str) -> str:
    """Return the family name of an author as it is written, or the name of a group."""
    from rag.papers.names import find_family_name, is_group

    if is_group(author):
        return textwrap.shorten(author, _LONGEST_GROUP, placeholder="…")
    family, comma, _ = author.partition(",")
    if comma:
        return family
    wanted = find_family_name(author)
    words = (word for word in reversed(author.split()) if find_family_name(word) == wanted)
    return next(words, author)


def print_paper(paper: Paper) -> None:
    """Print one paper with all its fields."""
    print_styled(paper.title, style="bold")
    print_retraction(paper)
    values = paper.to_dict()
    further: Any = values.pop("metadata", {})
    for name, value in {**values, **further}.items():
        if name in ("title", "abstract"):
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        print_styled(f"{name}: {shown}", style="dim")
    for link in paper.links:
        print_styled(f"link in the abstract: {link}", style="dim")
    print_styled("\n" + (paper.abstract or "(no abstract)"))


def print_retraction(paper: Paper, *, indent: int = 0) -> None:
    """Print the mark of a retracted paper on a line of its own."""
    if paper.retraction:
        print_styled(paper.retraction_mark, indent=indent, style="bold red")


def make_console() -> Console:
    """Return a console for standard output, which wraps lines on a terminal only."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def print_styled(text: str, *, indent: int = 0, style: str = "", label: str = "") -> None:
    """Print text; the style applies to the label at its start, or to all of it without one."""
    console = make_console()
    text = strip_controls(text)
    if console.is_terminal:
        shown = Text(text) if label else Text(text, style=style)
        shown.stylize(style, 0, len(label))
        for line in shown.wrap(console, console.width - indent):
            line.rstrip()
            line.pad_left(indent)
            console.print(line, soft_wrap=True)
    else:
        console.print(" " * indent + text, markup=False, soft_wrap=True)
