"""The elements of an XML file that are records, one by one, from its lines.

The parser is defusedxml's: a document that declares entities is refused, and nothing is ever
fetched. A document type is let pass, PubMed's files name one. After a mistake in the XML the
parser starts anew where the next record begins, be it in the same line.

Called by `rag.readers.arxiv_atom` and `rag.readers.pubmed_xml`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from rag.readers.fields import one_line

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pyexpat import XMLParserType
    from xml.etree.ElementTree import Element, XMLParser

Found: TypeAlias = "tuple[int, Element | str]"

_HOSTILE = "the XML declares entities or refers to other files; such files are not read."
_CROWDED = "the XML has more tags in one record than any paper; it is not read further."
_REASON_CHARS = 200
_TAGS = 1_000_000
_CHUNK_CHARS = 1 << 14


def records(lines: Iterable[str], names: tuple[str, ...], opening: str) -> Iterator[Found]:
    """Each record's line with its element, or with the reason why it cannot be read.

    Args:
        lines: the document, each text one line or several whole ones.
        names: the local names of the elements that are records.
        opening: a start tag of the document's root, on one line, for starting anew.
    """
    source = _Source(lines, names)
    while True:
        reason = yield from _parsed(source, names)
        if reason is None or reason in {_HOSTILE, _CROWDED} or not source.restart(opening):
            return


def text_of(element: Element | None) -> str:
    """All the text inside the element on one line, without its tags; "" for None."""
    return one_line(raw_text_of(element))


def raw_text_of(element: Element | None) -> str:
    """All the text inside the element, its line ends and all; "" for None."""
    if element is None:
        return ""
    return "".join(element.itertext()) if len(element) else element.text or ""


def _parsed(source: _Source, names: tuple[str, ...]) -> Generator[Found, None, str | None]:
    """The records up to the end or to a mistake; returns the reason if it was one."""
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
        except _Crowded:
            reason = _CROWDED
        except DefusedXmlException:
            reason = _HOSTILE
        except ParseError as error:
            rest = "the file may be cut off" if source.ended else "this record is left out"
            reason = f"the XML is broken ({str(error).partition(':')[0][:_REASON_CHARS]}); {rest}."
            source.mistake_at(*error.position)
        for line, element in target.taken():
            source.end_record()
            yield source.line_of(line), element
    if reason:
        yield source.line_of(target.begun) if target.begun else source.line, reason
    return reason


class _Crowded(Exception):
    pass


class _Records:
    """What the parser tells of the elements; keeps whole records until they are taken.

    Inside a record expat hands everything to a tree builder without a word of Python, which takes a
    third of the time. The end of a record is looked out for where the text names it, and as long as
    the parser has not told its beginning: it may wait for more text before it goes on.

    Attributes:
        begun: the line of the record that is open, from 1 where the parser began; 0 between two.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        from xml.etree.ElementTree import TreeBuilder

        self.begun = 0
        self._new_builder = TreeBuilder
        self._names = names
        self._named = re.compile("|".join(names))
        self._whole: list[tuple[int, Element]] = []
        self._tags = 0  # since the last record ended, or more
        self._count = 0  # of records that have begun

    def follow(self, expat: XMLParserType) -> None:
        """Takes the elements from expat itself."""
        self._expat = expat
        expat.ordered_attributes = False
        self._look_for_record()

    def feed(self, parser: XMLParser, text: str) -> None:
        """Gives the parser text that ends between two tags or within one that names no record."""
        self._tags += text.count("<")
        if self._tags > _TAGS:
            raise _Crowded
        at = 0
        for cut, is_end in self._cuts(text):
            begun, behind = self._count, self._expat.CurrentByteIndex
            parser.feed(text[at:cut])
            waits = at < cut and self._expat.CurrentByteIndex == behind
            at = cut
            if self.begun and (is_end or waits):
                self._expat.EndElementHandler = self._end
            elif self.begun and self._count > begun:  # the parser is not behind, as it may be
                self._expat.EndElementHandler = self._builder.end
            if waits:  # a comment goes on, which would be looked through anew at each name in it
                break
        parser.feed(text[at:])

    def data(self, text: str) -> None:
        """Text outside of records says nothing; what is asked for it must be there."""

    def taken(self) -> list[tuple[int, Element]]:
        """The records that have ended since they were last taken."""
        whole, self._whole = self._whole, []
        return whole

    def _cuts(self, text: str) -> Iterator[tuple[int, bool]]:
        """Where tags begin that may end a record, and where those end that may begin one.

        What is no such tag but names a record, in a comment or a text, does no harm.
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
        """An element begins that stands in no record."""
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
        """Mends expat's names, which lack the brace in front of a namespace."""
        return self._builder.start("{" + tag if "}" in tag else tag, attributes)

    def _end(self, tag: str) -> None:
        """An element has ended that may be the record."""
        if self._builder.end(tag) is self._record:
            self._whole.append((self.begun, self._record))
            self.begun = self._tags = 0
            self._look_for_record()


class _Source:
    """Lines as text for a parser, some thousand characters at a time.

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
        self._size = _CHUNK_CHARS
        self._restarted_at = -1

    def read(self) -> str:
        """The next chunk, "" at the end."""
        self._pass_over(self._end)
        if self._end >= len(self._text):
            self._take_lines()
        self._end = min(len(self._text), self._start + self._size)
        if self._end < len(self._text):  # no name of an element is cut in two
            tag = self._text.rfind("<", self._start + 1, self._end)
            tag = tag if tag >= 0 else self._text.find("<", self._end)
            self._end = tag if tag >= 0 else len(self._text)
        opening, self._opening = self._opening, ""
        self._column += len(opening)
        self.ended = self._end == self._start
        # A tag or comment that does not end is looked through anew with each chunk.
        self._size *= 2
        return opening + self._text[self._start : self._end]

    def end_record(self) -> None:
        """Says that a record has ended, so that chunks need not grow."""
        self._size = _CHUNK_CHARS

    def line_of(self, line: int) -> int:
        """The number in the document of a line counted from 1 since the parser began."""
        return self.line - self._fed_lines - 1 + line

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
                self._size = _CHUNK_CHARS >> 4  # the next mistake may be near
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
        for more in self._lines:
            several.append(more)
            size += len(more)
            if size >= self._size:
                break
        self._text = "".join(several)
        self._start = self._end = 0
        self._restarted_at = -1
