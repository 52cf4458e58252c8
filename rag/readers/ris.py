"""RIS: lines of a two-letter tag and a text, the export of most reference managers.

Tags: https://en.wikipedia.org/wiki/RIS_(file_format). "ER  - " ends a record. "TY  - " starts it,
but some programs write other tags before it, or no TY at all. A line without a tag continues the
text above it, or adds a value to a tag that can repeat. If another tag repeats, the first text
counts. If the first TY or ER is indented or has other spaces, all tags may.

rispy drops tags before TY and a last record without ER in silence, and gives no line numbers.
"""

from __future__ import annotations

import re
from itertools import tee
from typing import TYPE_CHECKING

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.tagged_lines import TaggedRecord, make_format, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TAG = "[A-Z][A-Z0-9]"
_FORMAT = make_format(
    "TY", start="TY  -", end="(?:ER|NL)  -.*", tag=_TAG, sign="  -"
)  # NL is of Ovid
_LOOSE_FORMAT = make_format(
    "TY",
    start=r"\s*TY\s{0,3}-",
    end=r"[^\S\n]*ER[^\S\n]{0,3}-.*",
    tag=_TAG,
    sign=r"(?:  -|[^\S\n]{0,3}-(?=\s|$))",
    before=r"[^\S\n]*",
)
_END = re.compile(r"^[^\S\n]*(?:TY\s{0,3}-(?=\s|$)|ER\s{0,3}-\s*$)", re.MULTILINE)  # or start
_BOOKS = frozenset({"BOOK", "EBOOK"})  # A2 is the editor of their series


def recognises(head: str) -> bool:
    """Return whether the first non-blank lines have a tag, and a record starts or ends."""
    tags = {tag for tag, _ in _LOOSE_FORMAT.field.findall(head)}
    return (
        len(tags) > 1
        and _END.search(head) is not None
        and fields.has_record_start(head, _LOOSE_FORMAT.field, "TY")
    )


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    pieces, ahead = tee(pieces)
    found = next(filter(None, map(_END.search, ahead)), None)
    del ahead  # which would hold the whole file
    is_strict = found and found[0].startswith(("TY  -", "ER  -"))
    return read_records(pieces, _FORMAT if is_strict else _LOOSE_FORMAT, _parse_record)


def _parse_record(record: TaggedRecord) -> RawRecord | str:
    text = record.find_text
    title = text("TI", "T1")
    if not title:
        return fields.NO_TITLE
    kind, doi, work, key = text("TY"), text("DO"), text("M3"), text("ID")
    urls = fields.split_urls(record.list_lines("UR"))
    notes = [fields.collapse_space(note) for note in record.list_lines("N1")]
    keywords, dates = record.list_lines("KW"), record.list_texts("PY", "Y1", "DA")
    return RawRecord(
        id=fields.parse_own_id(fields.find_note("Papertrail", notes)),
        title=title,
        abstract=text("AB", "N2"),
        authors=_read_names(record, "AU", "A1"),
        year=fields.find_year(*dates),
        venue=text("JF", "JO", "T2", "JA", "C3") or None,
        url=fields.find_url(*urls),
        doi=fields.find_doi(doi, work, *urls),
        arxiv_id=normalise_arxiv_id(fields.find_note("arXiv", notes))
        or fields.find_arxiv_id(doi, *urls),
        metadata=fields.make_details(
            tags=keywords,
            volume=text("VL"),
            issue=text("IS"),
            pages=fields.join_pages(text("SP"), text("EP")),
            publisher=text("PB"),
            editors=_read_names(record, "ED", "A3" if kind in _BOOKS else "A2"),
            month=fields.find_month(*dates),
        ),
        # Most programs write their own numbers as ID.
        citation_key=key if any(map(str.isalpha, key)) else None,
        entry_type=kind or None,
        retraction=fields.find_note("Retracted", notes)
        or fields.find_retraction(work, *notes, keywords=keywords),
    )


def _read_names(record: TaggedRecord, *tags: str) -> tuple[str, ...]:
    return fields.read_authors(fields.split_lines_of_names(record.list_lines(*tags)))
