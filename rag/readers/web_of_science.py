"""Plain text of the Web of Science (.txt, .ciw, .isi): two-letter tags and texts.

A record has tags from PT to ER. An indented line continues the text above it, or is the next author
of a list.
Tags: https://webofscience.help.clarivate.com/en-us/Content/export-records.htm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.tagged_lines import TaggedRecord, make_format, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_START = re.compile(r"PT [A-Z]\s*$|FN .*\b(?:ISI|Web of|Clarivate|Thomson|Inspec)\b")
_FORMAT = make_format(
    "PT",
    start=r"PT [A-Z][^\S\n]*$",
    end=r"(?:ER|EF|FN|VR)(?: .*)?$",
    tag="[A-Z][A-Z0-9]",
    sign=r"(?: |[^\S\n]*$)",
)
_TYPES = {"J": "article", "B": "book", "P": "patent"}


def recognises(head: str) -> bool:
    """Return whether a record starts in the first non-blank lines."""
    return fields.has_record_start(head, _START, "PT")


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    return read_records(pieces, _FORMAT, _parse_record)


def _parse_record(record: TaggedRecord) -> RawRecord | str:
    title = record.find_text("TI")
    if not title:
        return fields.NO_TITLE
    authors = record.list_lines("AF", "AU", "BF", "BA")
    doi, pmid = record.find_text("DI", "D2"), record.find_text("PM")
    types = record.find_text("DT")
    pages = [record.find_text("BP"), record.find_text("EP")]
    return RawRecord(
        id="",
        title=title,
        abstract=record.find_text("AB"),
        authors=fields.read_authors([*authors, *record.list_lines("CA")]),
        year=fields.find_year(*map(record.find_text, ("PY", "PD", "EA"))),
        venue=record.find_text("SO") or None,
        url=fields.make_pubmed_url(pmid),
        doi=fields.find_doi(doi),
        arxiv_id=fields.find_arxiv_id(doi),
        metadata=fields.make_details(
            pmid=pmid,
            tags=record.find_text("DE").split(";"),
            volume=record.find_text("VL"),
            issue=record.find_text("IS"),
            pages="-".join(filter(None, pages)) or record.find_text("AR"),
            publisher=record.find_text("PU"),
            editors=fields.read_authors(record.list_lines("BE")),
            month=fields.find_month(record.find_text("PD")),
        ),
        entry_type=_find_type(record.find_text("PT"), types),
        retraction=fields.find_retraction(*types.split(";")),
    )


def _find_type(publication: str, document: str) -> str | None:
    """Return the type of a paper: what holds it, or what it is."""
    if publication != "J" and "Proceedings Paper" in document:
        return "inproceedings"
    if publication != "J" and "Book Chapter" in document:
        return "incollection"
    return _TYPES.get(publication)
