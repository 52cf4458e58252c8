"""MEDLINE, PubMed's "PubMed format" (.nbib): two columns of tags and texts.

A tag has up to four letters, padded to four, then "- ". PMID starts a record of PubMed. ERIC writes
the same tags without PMID. Tags: https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format. Nothing marks
the end of a record, so a truncated file gives its last record in part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.tagged_lines import TaggedRecord, make_format, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TYPES = {"Preprint": "preprint", "Journal Article": "article", "Book": "book"}
# Tags that RIS, which has "TI  - " too, does not have.
_START = re.compile(r"PMID ?- ?\d+\s*$|(?:OWN |STAT|FAU |JT  |AID |LID |PMC )- \S")
_FORMAT = make_format(
    "PMID",
    start=r"PMID ?- ?\d",
    end=r"[^\S\n]*$",
    tag=r"(?=[A-Z].{3,4}-)[A-Z][A-Z0-9]{1,3}",
    sign=" *- ?",
    is_open=True,
)
_SUFFIX = re.compile(r"(?<=\w) ([JS]r|2nd|3rd|4th|I{2,3}|IV)$")  # "King, Martin Jr"


def recognises(head: str) -> bool:
    """Return whether a record starts in the first non-blank lines."""
    return fields.has_record_start(head, _START, "PMID")


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    return read_records(pieces, _FORMAT, _parse_record)


def _parse_record(record: TaggedRecord) -> RawRecord | str:
    title = record.find_text("TI", "BTI", "TT")
    if not title:
        return fields.NO_TITLE
    ids = [text.removesuffix("[doi]") for text in record.list_texts("AID", "LID")]
    pmid = record.find_text("PMID")
    dates = record.find_text("DP"), record.find_text("DEP")
    types = record.list_texts("PT")
    notices = [f"Retracted in: {text}" for text in record.list_texts("RIN")]
    return RawRecord(
        id="",
        title=fields.drop_full_stop(title),
        abstract=record.find_text("AB"),
        authors=fields.read_people(_read_names(record, "FAU" if "FAU" in record else "AU", "CN")),
        year=fields.find_year(dates[0], dates[1][:4]),
        venue=record.find_text("JT", "TA") or None,
        url=fields.make_pubmed_url(pmid) or fields.find_url(*ids),
        doi=fields.find_doi(*ids),
        arxiv_id=fields.find_arxiv_id(*ids),
        metadata=fields.make_details(
            pmid=pmid,
            # Stars mark major subjects.
            tags=(text.replace("*", "") for text in record.list_texts("OT", "MH")),
            volume=record.find_text("VI"),
            issue=record.find_text("IP"),
            pages=record.find_text("PG"),
            publisher=record.find_text("PB"),
            editors=_read_names(record, "FED" if "FED" in record else "ED"),
            month=fields.find_month(dates[0]),
        ),
        entry_type=find_type(types),
        retraction=fields.find_retraction(*notices, *types),
    )


def find_type(types: Iterable[str]) -> str | None:
    """Return the type of a reference among publication types of PubMed or ERIC.

    >>> find_type(["Review", "Journal Article"]), find_type(["Books"]), find_type(["Letter"])
    ('article', 'book', None)
    """
    several = {name.removesuffix("s") for name in types}
    return next((_TYPES[name] for name in _TYPES if name in several), None)


def _read_names(record: TaggedRecord, *tags: str) -> list[str]:
    """Return the names, given names first, except in the name of a group (CN)."""
    return [
        text if tag == "CN" else fields.put_given_first(_SUFFIX.sub(r", \1", text))
        for tag, text in record.list_fields(*tags)
    ]
