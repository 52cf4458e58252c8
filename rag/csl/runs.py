"""Formatted text of citations and references, before it becomes Markdown, HTML, LaTeX or Word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Control characters that start a formatting; they nest, and END ends the last one.
STARTS = {"italic": "\x01", "bold": "\x02", "superscript": "\x03", "small_caps": "\x04"}
END = "\x08"
CLOSE_QUOTE = "\x07"  # before a closing quotation mark of the style
_KINDS = {start: kind for kind, start in STARTS.items()}
_MARKS = re.compile(f"([{''.join(STARTS.values())}{END}])")


class Run(NamedTuple):
    """Text with one formatting.

    Attributes:
        text: plain text, not escaped.
        url: address that the text links to, or "".
    """

    text: str
    bold: bool = False
    italic: bool = False
    superscript: bool = False
    small_caps: bool = False
    url: str = ""


def parse_runs(text: str, links: Mapping[str, str]) -> tuple[Run, ...]:
    r"""Return the runs of a text whose formatting is written as control characters.

    Args:
        text: of one citation or reference.
        links: address of each text that links somewhere.

    >>> runs = parse_runs("A \x01b\x08 c", {"c": "https://c.org"})
    >>> [(run.text, run.italic, run.url) for run in runs]
    [('A ', False, ''), ('b', True, ''), (' ', False, ''), ('c', False, 'https://c.org')]
    """
    return tuple(_parse(text, links))


def drop_marks(text: str) -> str:
    """Return the text without its formatting."""
    return _MARKS.sub("", text)


def _parse(text: str, links: Mapping[str, str]) -> Iterator[Run]:
    kinds: list[str] = []
    for part in _MARKS.split(text):
        if part == END:
            kinds.pop()
        elif part in _KINDS:
            kinds.append(_KINDS[part])
        else:
            for piece in _split_links(part, links):
                yield Run(piece, **dict.fromkeys(kinds, True), url=links.get(piece, ""))


def _split_links(text: str, links: Mapping[str, str]) -> Iterator[str]:
    """Yield the text in pieces. Each text that links is one, and no piece is empty."""
    longest_first = sorted(links, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    yield from filter(None, re.split(f"({pattern})", text) if pattern else [text])
