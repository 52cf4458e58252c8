"""MEDLINE: what PubMed saves as "PubMed format" (.nbib), two columns of tags and texts.

A tag is up to four letters, padded to four, then "- "; a line that begins with blanks goes on with
the text above it; PMID begins a record. The tags are described at
https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format. Nothing marks the end of a record, so a file
that is cut off inside its last record gives that record as far as it goes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers import fields
from rag.readers.fields import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "MEDLINE (PubMed)"

_START = re.compile(r"PMID ?- ?\d+\s*$")
_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) *- ?(?P<text>.*)", re.DOTALL)
_SUFFIX = re.compile(r"(?<=\w) ([JS]r|2nd|3rd|4th|I{2,3}|IV)$")  # "King, Martin Jr"
_TAG_CHARS = 4


def recognises(head: str) -> bool:
    """Whether a record begins among the first lines that are not blank."""
    return fields.begins(head, _START)


def read(lines: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each record with the line of its PMID."""
    first = 0
    record: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        if _START.match(line):
            if record:
                yield first, _paper_or_reason(record)
            first, record = number, []
        elif not first:
            continue
        field = _FIELD.match(line)
        if field and line[_TAG_CHARS : _TAG_CHARS + 1] == "-":
            record.append((field[1], [field["text"]]))
        elif record and line[:1] in {" ", "\t"}:
            record[-1][1].append(line)
    if record:
        yield first, _paper_or_reason(record)


def _paper_or_reason(record: list[tuple[str, list[str]]]) -> Found | str:
    known: dict[str, list[str]] = {}
    for tag, parts in record:
        known.setdefault(tag, []).append(fields.one_line(" ".join(parts)))
    title = _first(known, "TI", "BTI")
    if not title:
        return fields.NO_TITLE
    ids = [text.removesuffix("[doi]") for tag in ("AID", "LID") for text in known.get(tag, [])]
    pmid = _first(known, "PMID")
    names = {"FAU", "CN"} if "FAU" in known else {"AU", "CN"}
    return Found(
        id="",
        title=fields.without_stop(title),
        abstract=_first(known, "AB"),
        authors=fields.people(_name(tag, " ".join(parts)) for tag, parts in record if tag in names),
        year=fields.year(_first(known, "DP"), _first(known, "DEP")[:4]),
        venue=_first(known, "JT", "TA") or None,
        url=fields.pubmed_address(pmid),
        doi=fields.doi(*ids),
        arxiv_id=fields.arxiv_id(*ids),
        metadata={
            "pmid": pmid,
            **fields.tags(_subject(text) for tag in ("OT", "MH") for text in known.get(tag, [])),
        },
    )


def _name(tag: str, text: str) -> str:
    """A name with the given name first; CN names a group, whose commas are its own."""
    if tag == "CN":
        return fields.one_line(text)
    return fields.given_first(_SUFFIX.sub(r", \1", fields.one_line(text)) if "," in text else text)


def _subject(heading: str) -> str:
    """A subject heading without the stars that mark the major ones."""
    return heading.replace("*", "")


def _first(known: dict[str, list[str]], *tags: str) -> str:
    """The first text of the first tag that has one; "" if none has."""
    return next((text for tag in tags for text in known.get(tag, []) if text), "")
