"""RIS: two-letter tags from "TY  - " to "ER  - ", the export of most reference managers.

Tags: https://en.wikipedia.org/wiki/RIS_(file_format). A line without a tag continues the text above
it, or adds a value to a tag that can repeat. If another tag repeats, the first one counts. If the
first TY is indented or lacks a space, all tags may. One record is held at a time, so an error
affects only its own record.
"""

from __future__ import annotations

import re
from itertools import chain, repeat
from string import ascii_uppercase, digits
from typing import TYPE_CHECKING, TypeAlias

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_START = re.compile(r"TY  -\s*(?:\w+\s*)?$")
# Written by hand or by careless programs: indented, or with one space before the hyphen.
_LOOSE_START = re.compile(r"\s*TY {1,2}-\s*(?:\w+\s*)?$")
_LOOSE_TAG = re.compile(r"[ \t]*([A-Z][A-Z0-9]) {1,2}-(?=\s|$)")
_TAGS = frozenset(
    f"{first}{second}  -" for first in ascii_uppercase for second in ascii_uppercase + digits
)
_TAG_CHARS = 5
_BEGIN, _END = "TY  -", "ER  -"
_TITLE = ("TI  -", "T1  -")
_ABSTRACT = ("AB  -", "N2  -")
_VENUE = ("JF  -", "JO  -", "T2  -", "JA  -")
_YEAR, _DATE, _DOI = ("PY  -",), ("Y1  -", "DA  -"), ("DO  -",)
_ONCE = frozenset(_TITLE + _ABSTRACT + _VENUE + _YEAR + _DATE + _DOI)
_SEVERAL = frozenset({"AU  -", "A1  -", "KW  -", "UR  -", "N1  -"})

Once: TypeAlias = dict[str, str]
More: TypeAlias = dict[str, list[str]]


def recognises(head: str) -> bool:
    """Return whether a record starts in the first non-blank lines."""
    return fields.has_record_start(head, _LOOSE_START)


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the line of each TY with its record or the reason for refusal."""
    first = 0
    record = _Record()
    for number, line in enumerate(_normalise_spaces(fields.split_lines(pieces)), 1):
        tag = line[:_TAG_CHARS]
        if tag == _END or (tag == _BEGIN and _START.match(line)):
            if first:
                yield first, _parse_record(record.once, record.more)
            first = number if tag == _BEGIN else 0
            record = _Record()
        else:
            record.add(tag, line)
    if first:
        yield first, "the record does not end with ER. The file may be cut off; export it again."


class _Record:
    """Lines of a record by tag: the first of each, and the others with those that have no tag."""

    def __init__(self) -> None:
        self.once: Once = {}
        self.more: More = {}
        self._last = ""  # the tag that a line without one continues

    def add(self, tag: str, line: str) -> None:
        if tag in _ONCE and tag not in self.once:
            self._last, self.once[tag] = tag, line[_TAG_CHARS:].strip()
        elif tag in _SEVERAL:
            self._last = tag
            self.more.setdefault(tag, []).append(line[_TAG_CHARS:])
        elif tag in _TAGS:
            self._last = ""
        elif self._last:
            self.more.setdefault(self._last, []).append(line)


def _normalise_spaces(lines: Iterator[str]) -> Iterable[str]:
    """Yield the lines from the first TY on, after blank ones, with standard spaces in tags."""
    for before, line in enumerate(lines):
        if _LOOSE_START.match(line):
            whole = chain(repeat("", before), [line], lines)
            return whole if _START.match(line) else map(_fix_tag, whole)
    return ()


def _fix_tag(line: str) -> str:
    return _LOOSE_TAG.sub(r"\1  -", line, count=1) if _LOOSE_TAG.match(line) else line


def _parse_record(once: Once, more: More) -> RawRecord | str:
    title = fields.collapse_space(_get_text(once, more, _TITLE))
    if not title:
        return fields.NO_TITLE
    urls, doi = fields.split_urls(more.get("UR  -", ())), _get_text(once, more, _DOI)
    notes = [fields.collapse_space(note) for note in more.get("N1  -", ())]
    arxiv_id = normalise_arxiv_id(fields.find_note("arXiv", notes)) if notes else None
    return RawRecord(
        id=fields.parse_own_id(fields.find_note("Papertrail", notes)) if notes else "",
        title=title,
        abstract=_get_text(once, more, _ABSTRACT),
        authors=fields.read_authors(more.get("AU  -") or more.get("A1  -") or ()),
        year=fields.find_year(_get_text(once, more, _YEAR))
        or fields.find_year(_get_text(once, more, _DATE)),
        venue=fields.collapse_space(_get_text(once, more, _VENUE)) or None,
        url=fields.find_url(*urls),
        doi=fields.find_doi(doi, *urls),
        arxiv_id=arxiv_id or fields.find_arxiv_id(doi, *urls),
        metadata=fields.make_tags(more.get("KW  -", ())),
    )


def _get_text(once: Once, more: More, tags: tuple[str, ...]) -> str:
    """Return the text of the first tag that has one, or "" if none has."""
    for tag in tags:
        if tag in once:
            text = " ".join([once[tag], *more[tag]]).strip() if tag in more else once[tag]
            if text:
                return text
    return ""
