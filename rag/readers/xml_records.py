"""The elements of an XML file that are records, one by one, from its lines.

The parser is defusedxml's: a document that declares entities is refused, and nothing is ever
fetched. A document type is let pass, PubMed's files name one. After a mistake in the XML the
parser starts anew at the next line in which a record begins.

Called by `rag.readers.arxiv_atom` and `rag.readers.pubmed_xml`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from xml.etree.ElementTree import Element

Found: TypeAlias = "tuple[int, Element | str]"

_HOSTILE = "the XML declares entities or refers to other files; such files are not read."
_DEEP = "the XML is nested too deeply; it is not read further."
_DEPTH = 200


def records(lines: Iterable[str], names: tuple[str, ...], opening: str) -> Iterator[Found]:
    """Each record's line with its element, or with the reason why it cannot be read.

    Args:
        lines: the document.
        names: the local names of the elements that are records.
        opening: a start tag of the document's root, for starting anew.
    """
    source = _Source(lines, names)
    while True:
        reason = yield from _parsed(source, names)
        if reason is None or reason in {_HOSTILE, _DEEP} or not source.restart(opening):
            return


def text_of(element: Element | None) -> str:
    """All the text inside the element on one line, without its tags; "" for None."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


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
                begun = source.line if local in names else begun
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
    if reason:
        yield begun or max(1, source.line), reason
    return reason


class _Source:
    """Lines as the file object that a parser reads from, a line at a time.

    Attributes:
        line: the number of the line last read, from 1; 0 before.
        ended: whether there are no more.
    """

    def __init__(self, lines: Iterable[str], names: tuple[str, ...]) -> None:
        self.line = 0
        self.ended = False
        self._lines = iter(lines)
        self._next = ""
        self._begins = re.compile(rf"<(?:{'|'.join(names)})[\s>]")

    def read(self, _size: int = -1) -> str:
        """The next line, "" at the end."""
        if self._next:
            text, self._next = self._next, ""
            return text
        for text in self._lines:
            self.line += 1
            if text:
                return text
        self.ended = True
        return ""

    def restart(self, opening: str) -> bool:
        """Goes on to the next line in which a record begins; False if there is none."""
        while text := self.read():
            if found := self._begins.search(text):
                self._next = opening + text[found.start() :]
                return True
        return False
