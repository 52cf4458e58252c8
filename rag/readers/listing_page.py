"""Listing pages: plain text in which each title is followed by its abstract.

Blocks are set apart by blank lines. A page saved from the web begins with some lines that belong to
the page; a file may also begin with the first title at once. Titles are short and abstracts long,
and that, not the count of lines, decides which is which: a page whose header changes, or an entry
that lost its abstract, then spoils nothing but itself.
"""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from rag.readers.fields import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "listing pages (title, blank line, abstract, blank line)"

_PAGE_LINE = re.compile(
    r"new|get trending papers.*|subscribe|by\s?AK\b.*|upvote|"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2}(?:, \d{4})?",
    re.IGNORECASE,
)
_ABSTRACT_CHARS = 200  # longer than titles are
_SENTENCE_CHARS = 60  # an abstract may be this short if it ends like one
_SHARE_PAIRED = 0.85  # of the blocks of a file without a page header
_GOES_ON = ":;,{"  # no title and no abstract ends so, but licences and letters do


def recognises(head: str) -> bool:
    """Whether the text has the page's own lines, or is made of titles and abstracts in turn."""
    blocks = [text for _, text in _blocks(io.StringIO(head))]
    texts = [text for text in blocks if not _PAGE_LINE.fullmatch(text)]
    kinds = [len(text) >= _ABSTRACT_CHARS and text[-1] not in _GOES_ON for text in texts]
    if kinds and not kinds[-1]:  # the head of a file may end between a title and its abstract
        kinds.pop()
    pairs = sum(not first and second for first, second in pairwise(kinds))
    if len(blocks) - len(texts) >= 2:
        return pairs > 0
    return pairs > 0 and _is_title(texts[0]) and 2 * pairs >= _SHARE_PAIRED * len(kinds)


def read(lines: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each entry with the line of its title, or the reason why it is no paper."""
    title: tuple[int, str] | None = None
    in_header = any_read = False
    for line, text in _blocks(lines):
        if _PAGE_LINE.fullmatch(text):
            if title and any_read and not in_header:
                yield _lonely(*title)
            title, in_header = None, True
        elif _is_abstract(text):
            yield _entry(title, line, text)
            title, in_header, any_read = None, False, True
        else:
            if title and not in_header:
                yield _lonely(*title)
            title = (line, text)
    if title:
        yield _lonely(*title)


def _entry(title: tuple[int, str] | None, line: int, abstract: str) -> tuple[int, Found | str]:
    if title is None:
        return line, f'no title stands above the abstract "{abstract[:60]}...".'
    return title[0], Found("", title[1], abstract)


def _lonely(line: int, title: str) -> tuple[int, str]:
    return line, f'no abstract follows the title "{title[:100]}"; the file may be cut off.'


def _blocks(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Each run of lines that are not blank, joined, with the number of its first line."""
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
    """Whether a text can be the title that a file without a page header begins with."""
    return (text[0].isalnum() or text[0] in "\"'“‘(") and text[-1] not in _GOES_ON
