"""Read the elements of an XML file that are records, one by one, from its lines.

The parser is defusedxml's. It refuses documents that declare entities and fetches nothing. A
document type is accepted, because PubMed's files have one. After an error in the XML, parsing
restarts at the next record, even in the same line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from rag.readers.fields import collapse_space

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pyexpat import XMLParserType
    from xml.etree.ElementTree import Element, XMLParser

XmlRecord: TypeAlias = "tuple[int, Element | str]"

_HOSTILE = "the XML declares entities or refers to other files. Such files are not supported."
_TOO_MANY_TAGS = "one record has too many XML tags. The rest of the file is not read."
_REASON_CHARS = 200
_TAGS = 1_000_000
_CHUNK_CHARS = 1 << 14


def read_records(lines: Iterable[str], names: tuple[str, ...], opening: str) -> Iterator[XmlRecord]:
    """Yield each record's line with its element or the reason for refusal.

    Args:
        lines: the document, in pieces of whole lines.
        names: local names of the elements that are records.
        opening: start tag of the document's root, on one line, for a restart.
    """
    source = _Source(lines, names)
    while True:
        reason = yield from _parse(source, names)
        if reason is None or reason in {_HOSTILE, _TOO_MANY_TAGS} or not source.restart(opening):
            return


def get_text(element: Element | None) -> str:
    """Return all text inside the element on one line, or "" for None."""
    return collapse_space(get_raw_text(element))


def get_raw_text(element: Element | None) -> str:
    """Return all text inside the element with its line ends, or "" for None."""
    if element is None:
        return ""
    return "".join(element.itertext()) if len(element) else element.text or ""


def _parse(source: _Source, names: tuple[str, ...]) -> Generator[XmlRecord, None, str | None]:
    """Yield records up to the end or an error. Return the reason of an error, else None."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, XMLParser

    target = _Records(names)
    parser = XMLParser(target=target)
    target.follow(parser.parser)
    reason = None
    text = "?"
    while text and reason is None:
        text = source.read()
        try:
            target.feed(parser, text)
            if not text:
                parser.close()
        except _TooManyTags:
            reason = _TOO_MANY_TAGS
        except DefusedXmlException:
            reason = _HOSTILE
        except ParseError as error:
            reason = _explain_error(error, may_be_cut=source.ended)
            source.skip_to_error(*error.position)
        for line, element in target.take():
            source.end_record()
            yield source.get_line(line), element
    if reason:
        yield source.get_line(target.begun) if target.begun else source.line, reason
    return reason


def _explain_error(error: Exception, *, may_be_cut: bool) -> str:
    rest = "The file may be cut off" if may_be_cut else "This record is skipped"
    return f"the XML is broken ({str(error).partition(':')[0][:_REASON_CHARS]}). {rest}."


class _TooManyTags(Exception):
    pass


class _Records:
    """Parser target that builds records and keeps them until they are taken.

    Inside a record, expat calls a tree builder directly, which is three times faster than Python
    handlers. The end handler is set only near text that names a record, and while the parser has
    not reported the record's start: it may wait for more text.

    Attributes:
        begun: line of the open record, from 1 where the parser started; 0 between records.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        from xml.etree.ElementTree import TreeBuilder

        self.begun = 0
        self._new_builder = TreeBuilder
        self._names = names
        self._named = re.compile("|".join(names))
        self._whole: list[tuple[int, Element]] = []
        self._tags = 0  # since the last record ended, at least
        self._count = 0  # of records that have started

    def follow(self, expat: XMLParserType) -> None:
        """Register the handlers at expat itself."""
        self._expat = expat
        expat.ordered_attributes = False
        self._look_for_record()

    def feed(self, parser: XMLParser, text: str) -> None:
        """Feed the parser text that ends between tags or in one that does not name a record."""
        self._tags += text.count("<")
        if self._tags > _TAGS:
            raise _TooManyTags
        at = 0
        for cut, is_end in self._find_cuts(text):
            begun, behind = self._count, self._expat.CurrentByteIndex
            parser.feed(text[at:cut])
            waits = at < cut and self._expat.CurrentByteIndex == behind
            at = cut
            if self.begun and (is_end or waits):
                self._expat.EndElementHandler = self._end
            elif self.begun and self._count > begun:  # the parser may lag behind
                self._expat.EndElementHandler = self._builder.end
            if waits:  # an open comment would be scanned again at each name in it
                break
        parser.feed(text[at:])

    def data(self, text: str) -> None:
        """Ignore text outside of records. The parser requires this method."""

    def take(self) -> list[tuple[int, Element]]:
        """Return the records that have ended since the last call."""
        whole, self._whole = self._whole, []
        return whole

    def _find_cuts(self, text: str) -> Iterator[tuple[int, bool]]:
        """Yield the starts of tags that may end a record, and the ends of tags that may start one.

        A match in a comment or a text does no harm.
        """
        before = 0
        for found in self._named.finditer(text):
            at = found.start()
            tag = text.rfind("<", before, at)
            before = at
            if tag >= 0 and text[tag + 1] == "/":
                yield tag, True
            elif tag >= 0 and (behind := text.find("<", at)) >= 0:
                yield behind, False

    def _look_for_record(self) -> None:
        expat = self._expat
        expat.StartElementHandler = self._start
        expat.EndElementHandler = expat.CharacterDataHandler = None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element outside of records."""
        if tag.rpartition("}")[2] not in self._names:
            return
        builder = self._builder = self._new_builder()
        expat = self._expat
        self.begun, self._count = expat.CurrentLineNumber, self._count + 1
        start = self._start_with_namespace if "}" in tag else builder.start
        self._record = start(tag, attributes)
        expat.StartElementHandler, expat.EndElementHandler = start, self._end
        expat.CharacterDataHandler = builder.data

    def _start_with_namespace(self, tag: str, attributes: dict[str, str]) -> Element:
        """Add the brace before a namespace, which expat's names lack."""
        return self._builder.start("{" + tag if "}" in tag else tag, attributes)

    def _end(self, tag: str) -> None:
        """Handle the end of an element that may be the record."""
        if self._builder.end(tag) is self._record:
            self._whole.append((self.begun, self._record))
            self.begun = self._tags = 0
            self._look_for_record()


class _Source:
    """Text for a parser, in chunks of some thousand characters.

    Attributes:
        line: number of the line where the last chunk starts, or of the last error.
        ended: whether there is no more text.
    """

    def __init__(self, lines: Iterable[str], names: tuple[str, ...]) -> None:
        self.line = 1
        self.ended = False
        self._lines = iter(lines)
        self._text = ""  # whole lines
        self._start = self._end = 0  # of the chunk in the text
        self._fed_lines = self._column = 0  # fed to the parser before the chunk
        self._opening = ""
        self._begins = re.compile(rf"<(?:{'|'.join(names)})[\s>]")
        self._size = _CHUNK_CHARS
        self._restarted_at = -1

    def read(self) -> str:
        """Return the next chunk; "" at the end."""
        self._advance(self._end)
        if self._end >= len(self._text):
            self._fill()
        self._end = min(len(self._text), self._start + self._size)
        if self._end < len(self._text):  # split no element name
            tag = self._text.rfind("<", self._start + 1, self._end)
            tag = tag if tag >= 0 else self._text.find("<", self._end)
            self._end = tag if tag >= 0 else len(self._text)
        opening, self._opening = self._opening, ""
        self._column += len(opening)
        self.ended = self._end == self._start
        # An unclosed tag or comment is scanned again with each chunk.
        self._size *= 2
        return opening + self._text[self._start : self._end]

    def end_record(self) -> None:
        """Reset the chunk size, because a record has ended."""
        self._size = _CHUNK_CHARS

    def get_line(self, line: int) -> int:
        """Return the document's number of a line counted from 1 since the parser started."""
        return self.line - self._fed_lines - 1 + line

    def skip_to_error(self, line: int, column: int) -> None:
        """Skip to the place of a parser error.

        Args:
            line: counted from 1 since the parser started.
            column: in characters from 0.
        """
        at = self._start
        ahead = line - 1 - self._fed_lines
        for _ in range(ahead):
            at = self._text.find("\n", at, self._end) + 1 or self._end
        at += column if ahead > 0 else column - self._column
        self._advance(max(self._start, min(at, self._end)))

    def restart(self, opening: str) -> bool:
        """Restart at the next record, after `opening`. Return False if there is none."""
        while self._text:
            if found := self._begins.search(self._text, max(self._start, self._restarted_at + 1)):
                self._advance(found.start())
                self._end = self._restarted_at = found.start()
                self._fed_lines = self._column = 0
                self._opening = opening
                self._size = _CHUNK_CHARS >> 4  # the next error may be near
                return True
            self._advance(len(self._text))
            self._fill()
        return False

    def _advance(self, end: int) -> None:
        """Advance to `end` and count lines and columns."""
        newlines = self._text.count("\n", self._start, end)
        last = self._text.rfind("\n", self._start, end)
        self._column = end - last - 1 if newlines else self._column + end - self._start
        self._fed_lines += newlines
        self.line += newlines
        self._start = end

    def _fill(self) -> None:
        several: list[str] = []
        size = 0
        for more in self._lines:
            several.append(more)
            size += len(more)
            if size >= self._size:
                break
        self._text = "".join(several)
        self._start = self._end = 0
        self._restarted_at = -1
