"""Read the elements of an XML file that are records, one by one, from its lines.

The text is split at the tags of records, outside of comments and CDATA, and each record is parsed
by itself. So an error affects only its own record, and text around the records affects none. The
parser never sees a document type, which could declare entities or refer to other files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import ParseError, TreeBuilder, XMLParser

from rag.readers.fields import collapse_space

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

XmlRecord: TypeAlias = "tuple[int, Element | str]"

_HOSTILE = "the XML declares entities or refers to other files. Such files are not supported."
_TOO_MANY_TAGS = "the record has too many XML tags. This record is skipped."
_BROKEN = "the XML is broken ({}). {}."
_SKIPPED, _CUT_OFF = "This record is skipped", "The file may be cut off"
_REASON_CHARS = 200
_TAGS = 1_000_000
_NAMESPACE = re.compile(r"""(xmlns(?::[\w.-]+)?)\s*=\s*("[^"<]*"|'[^'<]*')""")
# Not allowed in XML, but written by programs: entities of HTML, bare signs, control characters.
_BARE_SIGN = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos|#\w+);)|<(?![\w:/!?])|[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
)


def read_records(lines: Iterable[str], names: tuple[str, ...], root: str) -> Iterator[XmlRecord]:
    """Yield each record's line with its element or the reason for refusal.

    Args:
        lines: the document, in pieces of whole lines.
        names: local names of the elements that are records.
        root: local name of the element around them.
    """
    begun = 0
    parser: _Parser | None = None
    for line, text, tag in _split_at_tags(lines, names):
        if parser is None:
            if "<!ENTITY" in text:
                yield 1, _HOSTILE
                return
            parser, ending = _Parser(text), f"</{root}" if f"<{root}" in text else ""
        if begun and tag.startswith("</"):
            yield begun, _parse_record(parser, f"{text}{tag}>")
        elif fault := _find_fault(tag, in_record=begun > 0, is_whole=ending in text):
            yield begun or line, fault
        begun = 0 if tag[:2] in {"", "</"} else line


def _find_fault(tag: str, *, in_record: bool, is_whole: bool) -> str:
    """Return why this tag, or "" for the end of the file, cannot stand here, or "" if it can."""
    if in_record:
        return _BROKEN.format("no end tag", _SKIPPED if tag else _CUT_OFF)
    if tag.startswith("</"):
        return _BROKEN.format("no start tag", _SKIPPED)
    return "" if tag or is_whole else _BROKEN.format("no end tag", _CUT_OFF)


def get_text(element: Element | None) -> str:
    """Return all text inside the element on one line, or "" for None."""
    return collapse_space(get_raw_text(element))


def get_raw_text(element: Element | None) -> str:
    """Return all text inside the element with its line ends, or "" for None."""
    if element is None:
        return ""
    return "".join(element.itertext()) if len(element) else element.text or ""


def _split_at_tags(pieces: Iterable[str], names: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    r"""Yield the line and start of each tag of these names, after the text from the one before on.

    >>> list(_split_at_tags(["<a>\n", "<b>B</b>"], ("b",)))
    [(2, '<a>\n', '<b'), (2, '<b>B', '</b'), (2, '</b>', '')]
    """
    name = rf"(?:{'|'.join(names)})(?=[\s>])"  # twice, because most tags have no prefix
    mark = re.compile(rf"<(?:!--|!\[CDATA\[|/?(?:{name}|[\w.-]++:{name}))")
    ends = {"<!--": "-->", "<![CDATA[": "]]>"}
    parts: list[str] = []
    line, hidden = 1, ""  # end of the open comment or CDATA
    for piece in pieces:
        start, at = 0, piece.find(hidden)
        while at >= 0 and (found := mark.search(piece, at)):
            hidden = ends.get(found[0], "")
            at = piece.find(hidden, found.end())
            if not hidden:
                parts.append(piece[start : found.start()])
                line += parts[-1].count("\n")
                yield line, "".join(parts), found[0]
                parts, start = [], found.start()
        hidden = hidden if at < 0 else ""
        parts.append(piece[start:])
        line += parts[-1].count("\n")
    yield line, "".join(parts), ""


class _Parser:
    """Parses records one after the other, twice as fast as with a new parser for each."""

    def __init__(self, head: str) -> None:
        """Take the text before the first record. Its namespaces hold for all."""
        spaces = dict(_NAMESPACE.findall(head))
        self._opening = f"<root {' '.join(map('='.join, spaces.items()))}>"
        self._root: Element | None = None

    def parse(self, text: str) -> Element:
        """Parse a record.

        Raises:
            ParseError: the text is not one whole element.
        """
        root = self._root = self._start() if self._root is None else self._root
        try:
            self._parser.feed(f"{text}<end/>")
            record, _ = root
        except (ParseError, ValueError) as error:
            self._root = None
            raise ParseError(error) from error
        root.clear()
        return record

    def _start(self) -> Element:
        builder = TreeBuilder()
        document = builder.start("document", {})
        self._parser = XMLParser(target=builder)  # noqa: S314
        self._parser.feed(self._opening)
        return document[0]


def _parse_record(parser: _Parser, text: str) -> Element | str:
    """Parse a record, if need be after repair. Return the reason if it is broken."""
    if text.count("<") > _TAGS:
        return _TOO_MANY_TAGS
    try:
        return parser.parse(text)
    except ParseError as error:
        reason = str(error).partition(":")[0][:_REASON_CHARS]
    try:
        return parser.parse(_repair(text))
    except ParseError:
        return _BROKEN.format(reason, _SKIPPED)


def _repair(text: str) -> str:
    """Escape bare signs and entities of HTML, which `clean_markup` reads, and drop characters.

    >>> _repair("p < .05 &amp; &nu; R&D")
    'p &lt; .05 &amp; &amp;nu; R&amp;D'
    """
    return _BARE_SIGN.sub(lambda found: {"&": "&amp;", "<": "&lt;"}.get(found[0], ""), text)
