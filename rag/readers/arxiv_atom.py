"""arXiv's Atom feed, as export.arxiv.org/api/query answers.

Its fields: https://info.arxiv.org/help/api/user-manual.html. A few entries are held at a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import Found
from rag.readers.xml_records import records, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

NAME = "arXiv's Atom feed"

_NAMES = {"a": "http://www.w3.org/2005/Atom", "x": "http://arxiv.org/schemas/atom"}
_OPENING = f'<feed xmlns="{_NAMES["a"]}" xmlns:arxiv="{_NAMES["x"]}">'
_ERROR = "arxiv.org/api/errors"


def recognises(head: str) -> bool:
    """Whether it is an Atom feed that speaks of arXiv."""
    feed = head.lstrip().startswith("<") and re.search(r"<feed[\s>]", head) is not None
    return feed and _NAMES["a"] in head and "arxiv.org" in head


def read(lines: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each entry with its first line, and the paper or the reason why it gives none."""
    for line, found in records(lines, ("entry",), _OPENING):
        yield line, found if isinstance(found, str) else _paper_or_reason(found)


def _paper_or_reason(entry: Element) -> Found | str:
    address, title = _text(entry, "a:id"), _text(entry, "a:title")
    if _ERROR in address:
        return f"arXiv answered with an error: {_text(entry, 'a:summary')[:200]}"
    if not title:
        return fields.NO_TITLE
    terms = (each.get("term", "") for each in entry.iterfind("a:category", _NAMES))
    names = map(text_of, entry.iterfind("a:author/a:name", _NAMES))
    dois = _text(entry, "x:doi").split()  # a paper may have several
    return Found(
        id="",
        title=title,
        abstract=_text(entry, "a:summary"),
        authors=fields.people(names),
        year=fields.year(_text(entry, "a:published")),
        venue=_text(entry, "x:journal_ref") or None,
        url=fields.web_address(address),
        doi=fields.doi(*dois),
        arxiv_id=normalise_arxiv_id(address),
        metadata=fields.tags(terms),
    )


def _text(entry: Element, path: str) -> str:
    return text_of(entry.find(path, _NAMES))
