"""RIS: one record a paper, of the general type GEN.

RIS has no field for an arXiv id, nor for ours: both stand in notes of their own. A name is written
"Family, Given" where it tells its parts, else as it is shown; programs that read RIS take that for
a name of one part, as groups have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.exporters.values import carried_id, name_parts, one_line, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

NAME = "RIS"
ENDINGS: tuple[str, ...] = (".ris",)


def pieces(papers: Iterable[Paper]) -> Iterator[str]:
    """One record a paper, each ended by a blank line."""
    for paper in papers:
        lines = (f"{tag}  - {value}\n" for tag, value in _fields(paper) if value)
        yield "TY  - GEN\n" + "".join(lines) + "ER  - \n\n"


def _fields(paper: Paper) -> Iterator[tuple[str, str]]:
    yield "TI", one_line(paper.title)
    for author in paper.authors:
        yield "AU", _name(one_line(author))
    yield "PY", str(paper.year or "")
    yield "T2", one_line(paper.venue)
    yield "DO", one_line(paper.doi)
    yield "UR", one_line(paper.url)
    yield "N1", f"arXiv: {paper.arxiv_id}" if paper.arxiv_id else ""
    yield "N1", f"Papertrail: {one_line(known)}" if (known := carried_id(paper)) else ""
    for tag in tags(paper):
        yield "KW", tag
    yield "AB", one_line(paper.abstract)


def _name(author: str) -> str:
    if known := name_parts(author):
        return ", ".join(filter(None, (known.family, known.given, known.suffix)))
    # two commas are RIS's way to say that none stands behind a family name
    return author.replace(",", ",,")
