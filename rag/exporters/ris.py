"""RIS: one record per paper, of the general type GEN.

RIS has no field for an arXiv id or for our id, so each is written as a note. A name is written
"Family, Given" if its parts are clear, else as it is. Programs read that as the name of a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.exporters.values import collapse_space, find_explicit_id, read_tags, split_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

ENDINGS: tuple[str, ...] = (".ris",)


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield one record per paper, each followed by a blank line."""
    for paper in papers:
        lines = (f"{tag}  - {value}\n" for tag, value in _list_fields(paper) if value)
        yield "TY  - GEN\n" + "".join(lines) + "ER  - \n\n"


def _list_fields(paper: Paper) -> Iterator[tuple[str, str]]:
    yield "TI", collapse_space(paper.title)
    for author in paper.authors:
        yield "AU", _format_name(collapse_space(author))
    yield "PY", str(paper.year or "")
    yield "T2", collapse_space(paper.venue)
    yield "DO", collapse_space(paper.doi)
    yield "UR", collapse_space(paper.url)
    yield "N1", f"arXiv: {paper.arxiv_id}" if paper.arxiv_id else ""
    yield (
        "N1",
        f"Papertrail: {collapse_space(own_id)}" if (own_id := find_explicit_id(paper)) else "",
    )
    for tag in read_tags(paper):
        yield "KW", tag
    yield "AB", collapse_space(paper.abstract)


def _format_name(author: str) -> str:
    if parts := split_name(author):
        return ", ".join(filter(None, parts))
    # In RIS a double comma is part of the name.
    return author.replace(",", ",,")
