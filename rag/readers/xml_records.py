"""The elements of an XML file that are records, one by one, from its lines.

The parser is defusedxml's: a document that declares entities is refused, and nothing is ever
fetched. A document type is let pass, PubMed's files name one. After a mistake in the XML the
parser starts anew where the next record begins, be it in the same line.

Called by `rag.readers.arxiv_atom` and `rag.readers.pubmed_xml`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from xml.etree.ElementTree import Element

Found: TypeAlias = "tuple[int, Element | str]"

_HOSTILE = "the XML declares entities or refers to other files; such files are not read."
_DEEP = "the XML is nested too deeply; it is not read further."
_DEPTH = 200
_CHUNK_CHARS = 1 << 14
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>"}


def records(lines: Iterable[str], names: tuple[str, ...], opening: str) -> Iterator[Found]:
    """Each record's line with its element, or with the reason why it cannot be read.

    Args:
        lines: the document.
        names: the local names of the elements that are records.
        opening: a start tag of the document's root, on one line, for starting anew.
    """
    source = _Source(lines, names)
    while True:
        reason = yield from _parsed(source, names)
        if reason is None or reason in {_HOSTILE, _DEEP} or not source.restart(opening):
            return


def text_of(element: Element | None) -> str:
    """All the text inside the element on one line, without its tags; "" for None."""
    if element is None:
        return ""
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return " ".join(text.split())


def _parsed(source: _Source, names: tuple[str, ...]) -> Generator[Found, None, str | None]:
    """The records up to the end or to a mistake; returns the reason if it was one."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    path: list[Element] = []
    begun = 0
    reason = None
    try:
        for event, element in iterparse(source, events=("start", "end"), forbid_dtd=False):
            local = element.tag.rpartition("}")[2]
            if event == "start":
                path.append(element)
                begun = source.next_record() if local in names else begun
                if len(path) > _DEPTH:
                    reason = _DEEP
                    break
                continue
            path.pop()
            if local in names:
                yield begun, element
                begun = 0
                for parent in path:
                    parent.clear()
    except DefusedXmlException:
        reason = _HOSTILE
    except ParseError as error:
        rest = "the file may be cut off" if source.ended else "this record is left out"
        reason = f"the XML is broken ({str(error).partition(':')[0]}); {rest}."
        source.mistake_at(*error.position)
    if reason:
        yield begun or source.line, reason
    return reason


class _Source:
    """Lines as the file object that a parser reads from, some thousand characters at a time.

    Attributes:
        line: the number of the line where the chunk last read begins, or of the last mistake.
        ended: whether there is no more.
    """

    def __init__(self, lines: Iterable[str], names: tuple[str, ...]) -> None:
        self.line = 1
        self.ended = False
        self._lines = iter(lines)
        self._text = ""  # whole lines
        self._start = self._end = 0  # of the chunk in the text
        self._fed_lines = self._column = 0  # what the parser got before the chunk
        self._opening = ""
        self._begins = re.compile(rf"<(?:{'|'.join(names)})[\s>]")
        self._marks = re.compile(rf"<!--|-->|<!\[CDATA\[|]]>|{self._begins.pattern}")
        self._begun: deque[int] = deque()  # lines of the records that begin in the chunk
        self._size = _CHUNK_CHARS
        self._restarted_at = -1

    def read(self, _size: int = -1) -> str:
        """The next chunk, "" at the end."""
        self._pass_over(self._end)
        if self._end >= len(self._text):
            self._take_lines()
        self._end = min(len(self._text), self._start + self._size)
        opening, self._opening = self._opening, ""
        self._column += len(opening)
        self.ended = self._end == self._start
        self._find_records()
        # A tag or comment that does not end is looked through anew with each chunk.
        self._size *= 2
        return opening + self._text[self._start : self._end]

    def next_record(self) -> int:
        """The line of the record whose start the parser has come to."""
        self._size = _CHUNK_CHARS
        return self._begun.popleft() if self._begun else self.line

    def mistake_at(self, line: int, column: int) -> None:
        """Moves on to where the parser has found a mistake.

        Args:
            line: counted from 1 since the parser began.
            column: in characters from 0.
        """
        at = self._start
        ahead = line - 1 - self._fed_lines
        for _ in range(ahead):
            at = self._text.find("\n", at, self._end) + 1 or self._end
        at += column if ahead > 0 else column - self._column
        self._pass_over(max(self._start, min(at, self._end)))

    def restart(self, opening: str) -> bool:
        """Goes on to the next record, behind `opening`; False if there is none."""
        while self._text:
            if found := self._begins.search(self._text, max(self._start, self._restarted_at + 1)):
                self._pass_over(found.start())
                self._end = self._restarted_at = found.start()
                self._fed_lines = self._column = 0
                self._opening = opening
                return True
            self._pass_over(len(self._text))
            self._take_lines()
        return False

    def _pass_over(self, end: int) -> None:
        """Counts the lines and the column up to there."""
        newlines = self._text.count("\n", self._start, end)
        last = self._text.rfind("\n", self._start, end)
        self._column = end - last - 1 if newlines else self._column + end - self._start
        self._fed_lines += newlines
        self.line += newlines
        self._start = end

    def _take_lines(self) -> None:
        several: list[str] = []
        size = 0
        for line in self._lines:
            several.append(line)
            size += len(line)
            if size >= self._size:
                break
        self._text = "".join(several)
        self._start = self._end = 0
        self._restarted_at = -1

    def _find_records(self) -> None:
        self._begun.clear()
        line, at = self.line, self._start
        awaited = ""  # inside a comment or CDATA: what ends it
        for found in self._marks.finditer(self._text, self._start, self._end):
            if awaited:
                awaited = "" if found[0] == awaited else awaited
            elif found[0] in _ENDS:
                awaited = _ENDS[found[0]]
            elif found[0] not in _ENDS.values():
                line += self._text.count("\n", at, found.start())
                at = found.start()
                self._begun.append(line)
