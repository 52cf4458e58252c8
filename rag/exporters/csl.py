"""CSL-JSON, as citeproc, pandoc and Zotero read it: items of the general type "document".

A name that does not tell its parts is written whole ("literal"). That authors are left out the
format has no way to say; pandoc takes the literal name "others" for it.

Source: https://docs.citationstyles.org/en/stable/specification.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rag.exporters.values import make_citation_key, name_parts, one_line, tags, tags_in_one
from rag.papers import ET_AL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

NAME = "CSL-JSON"
ENDINGS: tuple[str, ...] = (".csl.json", ".csl", ".json")


def pieces(papers: Iterable[Paper]) -> Iterator[str]:
    """A list with one item a line."""
    before = "[\n"
    for paper in papers:
        yield before + json.dumps(csl_item(paper), ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def csl_item(paper: Paper) -> dict[str, Any]:
    """The paper as an item; `custom` is where the format keeps what others do not know.

    There stand tags, as a list, that the one text of "keyword" could not tell apart.
    """
    known = tags(paper)
    custom = {"papertrail-tags": known} if any(";" in tag for tag in known) else {}
    item: dict[str, Any] = {
        "id": make_citation_key(paper),
        "type": "document",
        "title": one_line(paper.title),
        "author": [_name(one_line(name)) for name in paper.authors],
        "issued": {"date-parts": [[paper.year]]} if paper.year else None,
        "container-title": one_line(paper.venue),
        "DOI": paper.doi,
        "number": f"arXiv:{paper.arxiv_id}" if paper.arxiv_id else None,
        "URL": paper.url,
        "keyword": tags_in_one(known),
        "abstract": one_line(paper.abstract),
        "custom": {"papertrail-id": paper.id, **custom},
    }
    return {name: value for name, value in item.items() if value}


def _name(author: str) -> dict[str, str]:
    known = name_parts(author)
    if author == ET_AL:
        return {"literal": "others"}
    parts = known._asdict() if known else {"literal": author}
    return {part: text for part, text in parts.items() if text}
