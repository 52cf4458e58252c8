"""RIS: one record per paper, of the general type GEN if its type is unknown.

RIS has no field for an arXiv id, our id, a retraction or a link to Zotero, so each is written as a
note. A name is written "Family, Given" if its parts are clear, else as it is. Programs read that as
the name of a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.exporters.values import (
    assign_citation_keys,
    collapse_space,
    find_explicit_id,
    read_detail,
    read_details,
    split_name_in,
)
from rag.papers.entry_types import translate_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield one record per paper, each followed by a blank line."""
    for key, paper in assign_citation_keys(papers):
        fields = [*_list_fields(paper), ("ID", key if paper.citation_key else "")]
        lines = (f"{tag}  - {value}\n" for tag, value in fields if value)
        kind = translate_type(paper.entry_type, "ris")
        yield f"TY  - {kind}\n" + "".join(lines) + "ER  - \n\n"


def _list_fields(paper: Paper) -> Iterator[tuple[str, str]]:
    yield "TI", collapse_space(paper.title)
    for author in paper.authors:
        yield "AU", _format_name(paper, collapse_space(author))
    for editor in read_details(paper, "editors"):
        yield "ED", _format_name(paper, editor)
    yield "PY", str(paper.year or "")
    yield "DA", _format_date(paper)
    yield "T2", collapse_space(paper.venue)
    yield "VL", read_detail(paper, "volume")
    yield "IS", read_detail(paper, "issue")
    first, _, last = read_detail(paper, "pages").partition("-")
    yield "SP", first
    yield "EP", last
    yield "PB", read_detail(paper, "publisher")
    yield "DO", collapse_space(paper.doi)
    yield "UR", collapse_space(paper.url)
    notes = {
        "arXiv": paper.arxiv_id,
        "Papertrail": find_explicit_id(paper),
        "Retracted": paper.retraction,
        "Zotero": paper.zotero_link,
    }
    for name, note in notes.items():
        yield "N1", f"{name}: {collapse_space(note)}" if note else ""
    for tag in read_details(paper, "tags"):
        yield "KW", tag
    yield "AB", collapse_space(paper.abstract)


def _format_date(paper: Paper) -> str:
    """Return the year and month as RIS writes dates ("2020/03//"). Other months go to the end."""
    month = read_detail(paper, "month")
    if not month:
        return ""
    parts = [f"{int(month):02}", "", ""] if month.isdecimal() else ["", "", month]
    return "/".join([str(paper.year or ""), *parts])


def _format_name(paper: Paper, author: str) -> str:
    if parts := split_name_in(paper, author):
        return ", ".join(filter(None, parts))
    # In RIS a double comma is part of the name.
    return author.replace(",", ",,")
