"""JSON lists of records, bare or wrapped in the answer of a web service, and records over lines.

A bare list is `[{..}, {..}]`. A wrapped one is in an object under "data" (Semantic Scholar),
"results" (OpenAlex) or "items" (Crossref, Zotero's web service). A file may hold several.

A JSON parser, ijson too, stops at the first error and reports no lines. So the text is split here,
at the braces outside strings, and each object is parsed by itself. A record is held until its last
brace. If one never closes, the rest of the file is held and split at the lines that start like it,
so that later records are not lost.
"""

from __future__ import annotations

import json
import re
from itertools import chain, islice
from typing import TYPE_CHECKING

from rag.readers.json_records import AS_NAMED, parse_record

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from rag.readers.fields import RawRecord

_NO_END = "the record has no end. A brace or quote is missing, or the file is cut off here."
_HEAD_LINES = 60

_BARE = re.compile(r"\[\s*(?:\{|\]|null\b|$)")
_SPREAD = re.compile(r'\{[ \t]*\r?\n\s*"')
_LIST = re.compile(r'"(?:data|results|items)"\s*:\s*(?:\[\s*(?:\{|\]|null\b|$)|$)', re.MULTILINE)
_LIST_END = re.compile(r'\]\s*(?:,\s*(?:"|$)|\}\s*$|$)')
_TITLE = re.compile(r'"(?:title|display_name)"\s*:')
# A string ends with its line, so an unclosed one does not affect other lines.
_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|[{}\]]')
_BEGINS = re.compile(r"[\s,\[]*\{")


def recognises(head: str) -> bool:
    """Return whether the text starts a list, bare or wrapped, or an object over lines."""
    text = head.lstrip()
    spread = _SPREAD.match(text) is not None and _TITLE.search(text) is not None
    return _BARE.match(text) is not None or spread or _is_wrapped(text)


def read(
    lines: Iterable[str], columns: Mapping[str, str] = AS_NAMED
) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    remaining = iter(lines)
    head = list(islice(remaining, _HEAD_LINES))
    numbered = enumerate(chain(head, remaining), 1)
    scan = _Scan(wrapped=_is_wrapped("\n".join(head).lstrip()))
    unfinished = yield from _parse_lines(scan, numbered, columns)
    for chunk in _split_at_braces(unfinished, scan.column):
        if (yield from _parse_lines(_Scan(wrapped=False), chunk, columns)):
            yield chunk[0][0], _NO_END


def _is_wrapped(head: str) -> bool:
    """Return whether the text is an object around a list of records, not a record itself."""
    found = _LIST.search(head) if head.startswith("{") else None
    if found is None or _TITLE.search(head, 0, found.start()):
        return False
    try:
        first = json.loads(head.partition("\n")[0])
    except (ValueError, RecursionError):
        return True
    return not (isinstance(first, dict) and "title" in first)


Lines = list[tuple[int, str]]


def _parse_lines(
    scan: _Scan, lines: Iterable[tuple[int, str]], columns: Mapping[str, str]
) -> Generator[tuple[int, RawRecord | str], None, Lines]:
    """Yield the records of the lines. Return the lines of the last one if it has no end."""
    for number, line in lines:
        for begun, text in scan.feed(number, line):
            yield begun, parse_record(text, columns)
    return scan.held


def _split_at_braces(lines: Lines, column: int) -> Iterator[Lines]:
    """Split the lines before each one that starts with a brace no further right than `column`."""
    piece: Lines = []
    for number, line in lines:
        begins = _BEGINS.match(line)
        if piece and begins and begins.end() <= column + 1:
            yield piece
            piece = []
        piece.append((number, line))
    if piece:
        yield piece


class _Scan:
    """Splits lines into the outermost objects.

    Attributes:
        held: lines of the object that is still open, from its brace on.
        column: position of that brace in its line.
    """

    def __init__(self, *, wrapped: bool) -> None:
        self.held: Lines = []
        self.column = 0
        self._depth = 0
        self._wrapped = wrapped
        self._in_list = not wrapped

    def feed(self, number: int, line: str) -> Iterator[tuple[int, str]]:
        """Yield what ends in this line: objects, and text where an object is expected."""
        at = start = self._find_list_start(line, 0)
        while token := _TOKEN.search(line, at):
            at = token.end()
            if token[0] == "{":
                if not self._depth:
                    yield from _yield_rest(number, line[start : token.start()])
                    self.column = start = token.start()
                self._depth += 1
            elif token[0] == "}" and self._depth:
                self._depth -= 1
                if not self._depth:
                    begun = self.held[0][0] if self.held else number
                    yield begun, "".join(text for _, text in self.held) + line[start:at]
                    self.held, start = [], at
            elif self._ends_list(line, token):
                self._in_list = False
                yield from _yield_rest(number, line[start:at])
                at = start = self._find_list_start(line, at)
        yield from self._end_line(number, line[start:])

    def _end_line(self, number: int, rest: str) -> Iterator[tuple[int, str]]:
        if self._depth:
            self.held.append((number, rest))
        else:
            yield from _yield_rest(number, rest)

    def _find_list_start(self, line: str, at: int) -> int:
        """Return where to continue: here inside a list, else at its start or the line's end."""
        if self._in_list:
            return at
        found = _LIST.search(line, at)
        self._in_list = found is not None
        return line.index(":", found.start()) + 1 if found else len(line)

    def _ends_list(self, line: str, token: re.Match[str]) -> bool:
        outside = self._wrapped and not self._depth and token[0] == "]"
        return outside and _LIST_END.match(line, token.start()) is not None


def _yield_rest(number: int, text: str) -> Iterator[tuple[int, str]]:
    """Yield text between objects that is more than punctuation."""
    if rest := text.strip(" \t\r\n,[]}\ufeff"):
        yield number, rest
