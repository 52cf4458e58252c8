"""CSL-JSON, as citeproc, pandoc and Zotero read it: items of the general type "document".

A name whose parts are unclear is written whole ("literal"). The format cannot say that authors are
omitted. Pandoc reads the literal name "others" that way.

Source: https://docs.citationstyles.org/en/stable/specification.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rag.exporters.values import (
    collapse_space,
    join_tags,
    make_citation_key,
    read_tags,
    split_name,
)
from rag.papers import ET_AL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

ENDINGS: tuple[str, ...] = (".csl.json", ".csl", ".json")


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield a list with one item per line."""
    before = "[\n"
    for paper in papers:
        yield before + json.dumps(_make_item(paper), ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def _make_item(paper: Paper) -> dict[str, Any]:
    """Return the paper as an item. `custom` holds what the format has no field for.

    These are the id, and tags with a semicolon, which one "keyword" text cannot separate.
    """
    tags = read_tags(paper)
    custom = {"papertrail-tags": tags} if any(";" in tag for tag in tags) else {}
    item: dict[str, Any] = {
        "id": make_citation_key(paper),
        "type": "document",
        "title": collapse_space(paper.title),
        "author": [_format_name(collapse_space(name)) for name in paper.authors],
        "issued": {"date-parts": [[paper.year]]} if paper.year else None,
        "container-title": collapse_space(paper.venue),
        "DOI": paper.doi,
        "number": f"arXiv:{paper.arxiv_id}" if paper.arxiv_id else None,
        "URL": paper.url,
        "keyword": join_tags(tags),
        "abstract": collapse_space(paper.abstract),
        "custom": {"papertrail-id": paper.id, **custom},
    }
    return {name: value for name, value in item.items() if value}


def _format_name(author: str) -> dict[str, str]:
    parts = split_name(author)
    if parts is None:
        return {"literal": "others" if author == ET_AL else author}
    return {part: text for part, text in parts._asdict().items() if text}
