"""RIS: two-letter tags, from "TY  - " to "ER  - ", as most reference managers export it.

The tags are described at https://en.wikipedia.org/wiki/RIS_(file_format). A line without a tag goes
on with the text above it or, in a tag that may come several times, is one value more. Where another
tag comes twice, the first counts. Where the first TY is indented or lacks a space, so may all tags.
One record is held at a time, so what is wrong with one stays with it.
"""

from __future__ import annotations

import re
from itertools import chain, repeat
from string import ascii_uppercase, digits
from typing import TYPE_CHECKING, TypeAlias

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "RIS"

_START = re.compile(r"TY  -\s*(?:\w+\s*)?$")
# Written by hand or by programs that take no heed: indented, or a space less before the hyphen.
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


# The lines of a record by their tags: the first of each, and the others with those without a tag.
Once: TypeAlias = dict[str, str]
More: TypeAlias = dict[str, list[str]]


def recognises(head: str) -> bool:
    """Whether a record begins among the first lines that are not blank."""
    return fields.begins(head, _LOOSE_START)


def read(pieces: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each record with the line of its TY; a record that the file's end cuts off is refused."""
    first, last = 0, ""
    once: Once = {}
    more: More = {}
    for number, line in enumerate(_spaced(fields.lines(pieces)), 1):
        tag = line[:_TAG_CHARS]
        if tag in _ONCE:
            if tag in once:
                last = ""
            else:
                last, once[tag] = tag, line[_TAG_CHARS:].strip()
        elif tag in _SEVERAL:
            last = tag
            more.setdefault(tag, []).append(line[_TAG_CHARS:])
        elif tag == _END or (tag == _BEGIN and _START.match(line)):
            if first:
                yield first, _paper_or_reason(once, more)
            first, last = (number if tag == _BEGIN else 0), ""
            once, more = {}, {}
        elif tag in _TAGS:
            last = ""
        elif last:
            more.setdefault(last, []).append(line)
    if first:
        yield first, "the record does not end with ER; the file may be cut off, export it again."


def _spaced(lines: Iterator[str]) -> Iterable[str]:
    """The lines from the first TY on, blank ones before; its spaces show those of all tags."""
    for before, line in enumerate(lines):
        if _LOOSE_START.match(line):
            whole = chain(repeat("", before), [line], lines)
            return whole if _START.match(line) else map(_with_usual_spaces, whole)
    return ()


def _with_usual_spaces(line: str) -> str:
    return _LOOSE_TAG.sub(r"\1  -", line, count=1) if _LOOSE_TAG.match(line) else line


def _paper_or_reason(once: Once, more: More) -> Found | str:
    title = fields.one_line(_text(once, more, _TITLE))
    if not title:
        return fields.NO_TITLE
    urls, doi = fields.addresses(more.get("UR  -", ())), _text(once, more, _DOI)
    notes = [fields.one_line(note) for note in more.get("N1  -", ())]
    arxiv_id = normalise_arxiv_id(fields.noted("arXiv", notes)) if notes else None
    return Found(
        id=fields.carried_id(fields.noted("Papertrail", notes)) if notes else "",
        title=title,
        abstract=_text(once, more, _ABSTRACT),
        authors=fields.authors(more.get("AU  -") or more.get("A1  -") or ()),
        year=fields.year(_text(once, more, _YEAR)) or fields.year(_text(once, more, _DATE)),
        venue=fields.one_line(_text(once, more, _VENUE)) or None,
        url=fields.web_address(*urls),
        doi=fields.doi(doi, *urls),
        arxiv_id=arxiv_id or fields.arxiv_id(doi, *urls),
        metadata=fields.tags(more.get("KW  -", ())),
    )


def _text(once: Once, more: More, tags: tuple[str, ...]) -> str:
    """The text of the first of several tags that has one; "" if none has."""
    for tag in tags:
        if tag in once:
            text = " ".join([once[tag], *more[tag]]).strip() if tag in more else once[tag]
            if text:
                return text
    return ""
