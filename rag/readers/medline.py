"""MEDLINE, PubMed's "PubMed format" (.nbib): two columns of tags and texts.

A tag has up to four letters, padded to four, then "- ". A line that starts with blanks continues
the text above it. PMID starts a record. Tags: https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format.
Nothing marks the end of a record, so a truncated file gives its last record in part.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from rag.readers import fields
from rag.readers.fields import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_START = re.compile(r"PMID ?- ?\d+\s*$")
_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) *- ?(?P<text>.*)", re.DOTALL)
_SUFFIX = re.compile(r"(?<=\w) ([JS]r|2nd|3rd|4th|I{2,3}|IV)$")  # "King, Martin Jr"
_TAG_CHARS = 4


def recognises(head: str) -> bool:
    """Return whether a record starts in the first non-blank lines."""
    return fields.has_record_start(head, _START)


def read(lines: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the line of each PMID with its record or the reason for refusal."""
    first = 0
    record: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        if _START.match(line):
            if record:
                yield first, _parse_record(record)
            first, record = number, []
        elif not first:
            continue
        field = _FIELD.match(line)
        if field and line[_TAG_CHARS : _TAG_CHARS + 1] == "-":
            record.append((field[1], [field["text"]]))
        elif record and line[:1] in {" ", "\t"}:
            record[-1][1].append(line)
    if record:
        yield first, _parse_record(record)


def _parse_record(record: list[tuple[str, list[str]]]) -> RawRecord | str:
    known: dict[str, list[str]] = {}
    for tag, parts in record:
        known.setdefault(tag, []).append(fields.collapse_space(" ".join(parts)))
    title = _find_first(known, "TI", "BTI")
    if not title:
        return fields.NO_TITLE
    ids = [text.removesuffix("[doi]") for text in _find_all(known, "AID", "LID")]
    pmid = _find_first(known, "PMID")
    names = {"FAU", "CN"} if "FAU" in known else {"AU", "CN"}
    return RawRecord(
        id="",
        title=fields.drop_full_stop(title),
        abstract=_find_first(known, "AB"),
        authors=fields.read_people(
            _format_name(tag, " ".join(parts)) for tag, parts in record if tag in names
        ),
        year=fields.find_year(_find_first(known, "DP"), _find_first(known, "DEP")[:4]),
        venue=_find_first(known, "JT", "TA") or None,
        url=fields.make_pubmed_url(pmid),
        doi=fields.find_doi(*ids),
        arxiv_id=fields.find_arxiv_id(*ids),
        metadata={
            "pmid": pmid,
            **fields.make_tags(map(_clean_subject, _find_all(known, "OT", "MH"))),
        },
    )


def _format_name(tag: str, text: str) -> str:
    """Put the given name first, except in the name of a group (CN)."""
    if tag == "CN":
        return fields.collapse_space(text)
    return fields.put_given_first(
        _SUFFIX.sub(r", \1", fields.collapse_space(text)) if "," in text else text
    )


def _clean_subject(heading: str) -> str:
    """Drop the stars of major subject headings."""
    return heading.replace("*", "")


def _find_first(known: dict[str, list[str]], *tags: str) -> str:
    """Return the first text of the first tag that has one, or "" if none has."""
    return next(filter(None, _find_all(known, *tags)), "")


def _find_all(known: dict[str, list[str]], *tags: str) -> Iterator[str]:
    return chain.from_iterable(known.get(tag, ()) for tag in tags)
