"""RIS: lines of a two-letter tag and a text, the export of most reference managers.

Tags: https://en.wikipedia.org/wiki/RIS_(file_format). "ER  - " ends a record. "TY  - " starts it,
but some programs write other tags before it, or no TY at all. A line without a tag continues the
text above it, or adds a value to a tag that can repeat. If another tag repeats, the first one
counts. If the first TY or ER is indented or has other spaces, all tags may. One record is held at a
time, so an error affects only its own record.

rispy drops tags before TY and a last record without ER in silence, and gives no line numbers.
"""

from __future__ import annotations

import re
from itertools import chain
from string import ascii_uppercase, digits
from typing import TYPE_CHECKING, TypeAlias

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.papers import JsonValue

_LOOSE_TAG = re.compile(r"\s*([A-Z][A-Z0-9])\s{0,3}-(?=\s|$)")
_LOOSE_ENDS = re.compile(r"\s*(?:TY\s{0,3}-(?=\s|$)|ER\s{0,3}-\s*$)")  # of a record
_TAGS = frozenset(
    f"{first}{second}  -" for first in ascii_uppercase for second in ascii_uppercase + digits
)
_TAG_CHARS = 5
_BEGIN, _END = "TY  -", "ER  -"
_OWN = frozenset({"", "TY"})
_OTHER = "other"  # a record of another format
_TITLE = ("TI  -", "T1  -")
_ABSTRACT = ("AB  -", "N2  -")
_VENUE = ("JF  -", "JO  -", "T2  -", "JA  -", "C3  -")
_DATES = ("PY  -", "Y1  -", "DA  -")
_SEVERAL = frozenset({*("AU  -", "A1  -", "A2  -", "A3  -", "ED  -"), "KW  -", "UR  -", "N1  -"})
_READ = _SEVERAL.union(
    *(_TITLE, _ABSTRACT, _VENUE, _DATES, (_BEGIN, "DO  -", "M3  -")),
    ("VL  -", "IS  -", "SP  -", "EP  -", "PB  -", "ID  -"),
)
_BOOKS = frozenset({"BOOK", "EBOOK"})  # A2 is the editor of their series

Record: TypeAlias = dict[str, list[str]]


def recognises(head: str) -> bool:
    """Return whether the first non-blank lines have a tag, and a record starts or ends."""
    if not fields.has_record_start(head, _LOOSE_TAG, "TY"):
        return False
    lines = head.split("\n")
    tags = {found[1] for found in map(_LOOSE_TAG.match, lines) if found}
    return len(tags) > 1 and any(map(_LOOSE_ENDS.match, lines))


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    first = 0
    record: Record = {}
    last: list[str] | None = None  # lines of the tag that a line without one continues
    for number, line in enumerate(_normalise_spaces(fields.split_lines(pieces)), 1):
        tag = line[:_TAG_CHARS]
        if tag not in _TAGS:
            if last is not None:
                last.append(line)
            elif not first and fields.find_record_tag(line) not in _OWN:
                first, record = number, {_BEGIN: [], _OTHER: []}
            continue
        if tag == _END or (tag == _BEGIN and tag in record):
            if first:
                yield first, _parse_record(record)
            first, record, last = 0, {}, None
        if tag == _END:
            continue
        if tag in _SEVERAL or (tag in _READ and tag not in record):
            first = first or number
            last = record.setdefault(tag, [])
            last.append(line[_TAG_CHARS:])
        else:
            last = None
    if first:
        yield first, fields.OTHER_FORMAT if _OTHER in record else fields.NO_END


def _normalise_spaces(lines: Iterator[str]) -> Iterable[str]:
    """Yield the lines with standard spaces in tags, as far as the first TY or ER needs it."""
    before: list[str] = []
    for line in lines:
        before.append(line)
        if _LOOSE_ENDS.match(line):
            whole = chain(before, lines)
            return whole if line.startswith((_BEGIN, _END)) else map(_fix_tag, whole)
    return before


def _fix_tag(line: str) -> str:
    return _LOOSE_TAG.sub(r"\1  -", line, count=1) if _LOOSE_TAG.match(line) else line


def _parse_record(record: Record) -> RawRecord | str:
    if _OTHER in record:
        return fields.OTHER_FORMAT
    once = {tag: " ".join(record[tag]).strip() for tag in record if tag not in _SEVERAL}

    def text(*tags: str) -> str:
        return next(filter(None, map(once.get, tags)), "")

    title = fields.collapse_space(text(*_TITLE))
    if not title:
        return fields.NO_TITLE
    kind = once.get(_BEGIN, "")
    urls, doi = fields.split_urls(record.get("UR  -", ())), once.get("DO  -", "")
    notes = [fields.collapse_space(note) for note in record.get("N1  -", ())]
    keywords, work = record.get("KW  -", []), once.get("M3  -", "")
    dates = [once[tag] for tag in _DATES if tag in once]
    arxiv_id = normalise_arxiv_id(fields.find_note("arXiv", notes)) if notes else None
    key = once.get("ID  -", "")
    return RawRecord(
        id=fields.parse_own_id(fields.find_note("Papertrail", notes)) if notes else "",
        title=title,
        abstract=text(*_ABSTRACT),
        authors=_read_names(record, "AU  -", "A1  -"),
        year=fields.find_year(*dates),
        venue=fields.collapse_space(text(*_VENUE)) or None,
        url=fields.find_url(*urls),
        doi=fields.find_doi(doi, work, *urls),
        arxiv_id=arxiv_id or fields.find_arxiv_id(doi, *urls),
        metadata={
            **_read_details(record, once, dates),
            **fields.make_tags(keywords),
        },
        # Most programs write their own numbers as ID.
        citation_key=key if any(map(str.isalpha, key)) else None,
        entry_type=kind or None,
        retraction=(fields.find_note("Retracted", notes) if notes else "")
        or fields.find_retraction(work, *notes, keywords=keywords),
    )


def _read_details(
    record: Record, once: Mapping[str, str], dates: Sequence[str]
) -> dict[str, JsonValue]:
    return fields.make_details(
        volume=once.get("VL  -", ""),
        issue=once.get("IS  -", ""),
        pages=fields.join_pages(once.get("SP  -", ""), once.get("EP  -", "")),
        publisher=once.get("PB  -", ""),
        editors=_read_names(record, "ED  -", "A3  -" if once.get(_BEGIN) in _BOOKS else "A2  -"),
        month=fields.find_month(*dates),
    )


def _read_names(record: Record, *tags: str) -> tuple[str, ...]:
    """Read the names under the first tag that has any."""
    lines = next(filter(None, map(record.get, tags)), None)
    return fields.read_authors(fields.split_lines_of_names(lines)) if lines else ()
