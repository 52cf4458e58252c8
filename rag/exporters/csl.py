"""CSL-JSON, as citeproc, pandoc and Zotero read it: items, of type "document" if unknown.

A name whose parts are unclear is written whole ("literal"). The format cannot say that authors are
omitted. Pandoc reads the literal name "others" that way.

Source: https://docs.citationstyles.org/en/stable/specification.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rag.exporters.values import (
    assign_citation_keys,
    collapse_space,
    join_tags,
    read_detail,
    read_details,
    split_name_in,
)
from rag.papers import ET_AL
from rag.papers.entry_types import translate_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield a list with one item per line."""
    before = "[\n"
    for key, paper in assign_citation_keys(papers):
        yield before + json.dumps(make_item(paper, key), ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def make_item(paper: Paper, key: str) -> dict[str, Any]:
    """Return the paper as an item. `custom` holds what the format has no field for.

    These are our id, a retraction, the link to Zotero, and tags with a semicolon, which one
    "keyword" text cannot separate.
    """
    tags = read_details(paper, "tags")
    custom = {
        "papertrail-id": paper.id,
        "papertrail-retraction": paper.retraction,
        "papertrail-zotero": paper.zotero_link,
        "papertrail-tags": tags if any(";" in tag for tag in tags) else None,
    }
    item: dict[str, Any] = {
        "id": key,
        "type": translate_type(paper.entry_type, "csl"),
        "title": collapse_space(paper.title),
        "author": _format_names(paper, paper.authors),
        "editor": _format_names(paper, read_details(paper, "editors")),
        "issued": _format_date(paper),
        "container-title": collapse_space(paper.venue),
        "volume": read_detail(paper, "volume"),
        "issue": read_detail(paper, "issue"),
        "page": read_detail(paper, "pages"),
        "publisher": read_detail(paper, "publisher"),
        "DOI": paper.doi,
        "number": f"arXiv:{paper.arxiv_id}" if paper.arxiv_id else None,
        "URL": paper.url,
        "keyword": join_tags(tags),
        "abstract": collapse_space(paper.abstract),
        "custom": {name: value for name, value in custom.items() if value},
    }
    return {name: value for name, value in item.items() if value}


def _format_date(paper: Paper) -> dict[str, Any] | None:
    """Return the date of publication. A month that is no number is its season."""
    month = read_detail(paper, "month")
    parts = [paper.year] if paper.year else []
    if parts and month.isdecimal():
        parts.append(int(month))
    date: dict[str, Any] = {"date-parts": [parts]} if parts else {}
    return date | ({"season": month} if month and len(parts) < 2 else {})


def _format_names(paper: Paper, names: Iterable[str]) -> list[dict[str, str]]:
    return [_format_name(paper, collapse_space(name)) for name in names]


def _format_name(paper: Paper, author: str) -> dict[str, str]:
    parts = split_name_in(paper, author)
    if parts is None:
        return {"literal": "others" if author == ET_AL else author}
    return {part: text for part, text in parts._asdict().items() if text}
