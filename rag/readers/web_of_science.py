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
from rag.readers.tagged_lines import TaggedRecord, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_START = re.compile(r"PT [A-Z]\s*$|FN .*\b(?:ISI|Web of|Clarivate|Thomson|Inspec)\b")
_FIELD = re.compile(r"([A-Z][A-Z0-9])(?: (.*)|\s*$)", re.DOTALL)
_ENDS = ("ER", "EF", "FN", "VR")
_TYPES = {"J": "article", "B": "book", "P": "patent"}


def recognises(head: str) -> bool:
    """Return whether a record starts in the first non-blank lines."""
    return fields.has_record_start(head, _START, "PT")


def read(lines: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    for line, record in read_records(lines, _FIELD, "PT", _ENDS):
        yield line, record if isinstance(record, str) else _parse_record(record)


def _parse_record(record: TaggedRecord) -> RawRecord | str:
    title = record.find_text("TI")
    if not title:
        return fields.NO_TITLE
    authors = next(filter(None, (record.list_lines(tag) for tag in ("AF", "AU", "BF", "BA"))), [])
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
        metadata={
            **({"pmid": pmid} if pmid else {}),
            **fields.make_details(
                volume=record.find_text("VL"),
                issue=record.find_text("IS"),
                pages="-".join(filter(None, pages)) or record.find_text("AR"),
                publisher=record.find_text("PU"),
                editors=fields.read_authors(record.list_lines("BE")),
                month=fields.find_month(record.find_text("PD")),
            ),
            **fields.make_tags(record.find_text("DE").split(";")),
        },
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
