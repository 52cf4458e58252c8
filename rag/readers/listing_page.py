"""Listing pages: plain text in which each title is followed by its abstract.

Blank lines separate the blocks. A page saved from the web starts with lines of its own. A file may
also start with the first title. Titles are short and abstracts long, and this tells them apart, not
the number of lines. So a changed page header or an entry without its abstract affects nothing else.
"""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from rag.readers.fields import RawRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAGE_LINE = re.compile(
    r"new|get trending papers.*|subscribe|by\s?AK\b.*|upvote|"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2}(?:, \d{4})?",
    re.IGNORECASE,
)
_ABSTRACT_CHARS = 200  # longer than titles are
_SENTENCE_CHARS = 60  # an abstract may be this short if it ends like one
_SHARE_PAIRED = 0.85  # of the blocks in a file without a page header
_GOES_ON = ":;,{"  # titles and abstracts do not end so, but licences and letters do


def recognises(head: str) -> bool:
    """Return whether the text has lines of such a page, or alternates titles and abstracts."""
    blocks = [text for _, text in _read_blocks(io.StringIO(head))]
    texts = [text for text in blocks if not _PAGE_LINE.fullmatch(text)]
    pairs, length = _count_pairs(texts)
    if not pairs or len(blocks) - len(texts) >= 2:
        return pairs > 0
    return _is_title(texts[0]) and 2 * pairs >= _SHARE_PAIRED * length


def _count_pairs(texts: list[str]) -> tuple[int, int]:
    """Count titles followed by an abstract, and the texts considered."""
    are_long = [len(text) >= _ABSTRACT_CHARS and text[-1] not in _GOES_ON for text in texts]
    if are_long and not are_long[-1]:  # the head may end between a title and its abstract
        are_long.pop()
    return sum(second > first for first, second in pairwise(are_long)), len(are_long)


def read(lines: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the line of each title with its record or the reason for refusal."""
    title: tuple[int, str] | None = None
    in_header = any_read = False
    for line, text in _read_blocks(lines):
        if _PAGE_LINE.fullmatch(text):
            if title and any_read and not in_header:
                yield _refuse_title(*title)
            title, in_header = None, True
        elif _is_abstract(text):
            yield _make_record(title, line, text)
            title, in_header, any_read = None, False, True
        else:
            if title and not in_header:
                yield _refuse_title(*title)
            title = (line, text)
    if title:
        yield _refuse_title(*title)


def _make_record(
    title: tuple[int, str] | None, line: int, abstract: str
) -> tuple[int, RawRecord | str]:
    if title is None:
        return line, f'the abstract "{abstract[:60]}..." has no title above it.'
    return title[0], RawRecord("", title[1], abstract)


def _refuse_title(line: int, title: str) -> tuple[int, str]:
    return line, f'the title "{title[:100]}" has no abstract below it. The file may be cut off.'


def _read_blocks(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield each run of non-blank lines, joined, with the number of its first line."""
    first = 0
    parts: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            first = first if parts else number
            parts.append(line.strip())
        elif parts:
            yield first, " ".join(parts)
            parts = []
    if parts:
        yield first, " ".join(parts)


def _is_abstract(text: str) -> bool:
    ends_like_one = text.endswith(".") and len(text) >= _SENTENCE_CHARS
    return ends_like_one or len(text) >= _ABSTRACT_CHARS


def _is_title(text: str) -> bool:
    """Return whether a text can be the first title of a file without a page header."""
    return (text[0].isalnum() or text[0] in "\"'“‘(") and text[-1] not in _GOES_ON
