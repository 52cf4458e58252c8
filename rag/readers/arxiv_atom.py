"""arXiv's Atom feeds: the answer of export.arxiv.org/api/query, and the daily rss.arxiv.org/atom.

Fields: https://info.arxiv.org/help/api/user-manual.html. A few entries are held at a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.papers import normalise_arxiv_id
from rag.papers.entry_types import PREPRINT
from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.xml_records import get_text, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

_NAMES = {
    "a": "http://www.w3.org/2005/Atom",
    "x": "http://arxiv.org/schemas/atom",
    "d": "http://purl.org/dc/elements/1.1/",
}
_ERROR = "arxiv.org/api/errors"
_ANNOUNCEMENT = re.compile(r"arXiv:\S+ Announce Type: \S+ Abstract: ")


def recognises(head: str) -> bool:
    """Return whether the text is an Atom feed from arXiv."""
    feed = head.lstrip().startswith("<") and re.search(r"<feed[\s>]", head) is not None
    return feed and _NAMES["a"] in head and "arxiv.org" in head


def read(lines: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each entry with its record or the reason for refusal."""
    for line, found in read_records(lines, ("entry",), "feed"):
        yield line, found if isinstance(found, str) else _parse_record(found)


def _parse_record(entry: Element) -> RawRecord | str:
    address, title = _get_path_text(entry, "a:id"), _get_path_text(entry, "a:title")
    if _ERROR in address:
        return f"arXiv returned an error: {_get_path_text(entry, 'a:summary')[:200]}"
    if not title:
        return fields.NO_TITLE
    terms = (each.get("term", "") for each in entry.iterfind("a:category", _NAMES))
    names = [get_text(each) for each in entry.iterfind("a:author/a:name", _NAMES)]
    names = names or _get_path_text(entry, "d:creator").split(", ")
    dois = _get_path_text(entry, "x:doi").split()  # a paper may have several
    return RawRecord(
        id="",
        title=title,
        abstract=_ANNOUNCEMENT.sub("", _get_path_text(entry, "a:summary"), count=1),
        authors=fields.read_people(names),
        year=fields.find_year(_get_path_text(entry, "a:published")),
        venue=_get_path_text(entry, "x:journal_ref") or None,
        url=fields.find_url(address),
        doi=fields.find_doi(*dois),
        arxiv_id=normalise_arxiv_id(address.removeprefix("oai:")),
        metadata=fields.make_details(tags=terms),
        entry_type=PREPRINT,
    )


def _get_path_text(entry: Element, path: str) -> str:
    return get_text(entry.find(path, _NAMES))
