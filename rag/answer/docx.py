"""Documents as Word files, by python-docx, which is an extra.

Text of papers and models becomes text of runs, never markup or a field. python-docx has no
footnotes, so their part is put together here. Equal documents give equal bytes.

Source: ECMA-376, part 1, sections 11.3.7 (footnotes part), 17.9 (numbering), 17.11 (footnotes).
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from rag.answer.tokens import list_runs, make_parser, parse_document
from rag.csl import Run
from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

    from rag.answer.document import Aside, Document

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_TITLE = 255  # that the properties of a file may have
_DEEPEST = 3  # list that the template has styles for
_FORMATS: dict[str, dict[str, Any]] = {
    "strong_open": {"bold": True},
    "strong_close": {"bold": False},
    "em_open": {"italic": True},
    "em_close": {"italic": False},
    "link_close": {"url": ""},
}


def render_docx(document: Document) -> bytes:
    """Return a document as the content of a Word file.

    Raises:
        SettingsError: python-docx is not installed.
    """
    require_docx()
    made, fixed = BytesIO(), BytesIO()
    _WordWriter(document).write().save(made)
    with ZipFile(made) as parts, ZipFile(fixed, "w") as package:
        for name in parts.namelist():
            package.writestr(ZipInfo(name), parts.read(name), ZIP_DEFLATED)  # without the time
    return fixed.getvalue()


def require_docx() -> None:
    """Check that Word files can be written.

    Raises:
        SettingsError: python-docx is not installed.
    """
    try:
        import docx  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "Word files need python-docx. Run pip install 'papertrail-rag[docx]'."
        ) from error


class _WordWriter:
    """Writes the tokens of a document into a new Word document."""

    def __init__(self, document: Document) -> None:
        import docx

        self._document = document
        self._word = docx.Document()
        self._paragraph: Any = None
        self._lists: list[tuple[str, Any]] = []  # style and numbering of each open list
        self._is_item_start = False
        self._quotes = 0  # that are open
        self._rows: list[list[Token]] | None = None  # inline tokens of the open table
        self._notes: list[Aside] = []

    def write(self) -> Any:
        """Return the whole Word document."""
        self._set_styles()
        self._set_properties()
        for token in parse_document(self._document, make_parser()):
            write = getattr(self, f"_write_{token.type}", None)
            if write:
                write(token)
        if self._notes:
            self._add_notes()
        return self._word

    def _set_styles(self) -> None:
        from docx.enum.style import WD_STYLE_TYPE
        from docx.shared import Cm, Pt, RGBColor

        styles = self._word.styles
        for name in ("Bibliography", "footnote text"):
            styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH, builtin=True).base_style = styles[
                "Normal"
            ]
        for name in ("Hyperlink", "footnote reference"):
            styles.add_style(name, WD_STYLE_TYPE.CHARACTER, builtin=True)
        styles["Bibliography"].paragraph_format.left_indent = Cm(1)
        styles["Bibliography"].paragraph_format.first_line_indent = Cm(-1)
        styles["Quote"].paragraph_format.left_indent = Cm(1)
        styles["Title"].font.size = Pt(20)
        styles["Title"].paragraph_format.keep_with_next = True
        styles["footnote text"].font.size = Pt(9)
        styles["footnote text"].paragraph_format.space_after = Pt(2)
        styles["footnote reference"].font.superscript = True
        styles["Hyperlink"].font.underline = True
        styles["Hyperlink"].font.color.rgb = RGBColor(0x05, 0x63, 0xC1)

    def _set_properties(self) -> None:
        """Name the document, and nobody as its author. Remove the dates of the template."""
        from docx.opc.constants import RELATIONSHIP_TYPE

        core = self._word.core_properties
        core.title = _clean(" ".join(self._document.title.split()))[:_LONGEST_TITLE]
        core.author = core.comments = ""
        core.language = "en"
        element = self._word.part.package.part_related_by(RELATIONSHIP_TYPE.CORE_PROPERTIES).element
        for date in element.xpath("dcterms:created | dcterms:modified"):
            element.remove(date)

    def _write_heading_open(self, token: Token) -> None:
        from docx.shared import Pt

        level = int(token.tag[1:]) - 1
        is_next_title = level == 0 and self._paragraph is not None
        self._paragraph = self._word.add_heading(level=level)
        if is_next_title:
            self._paragraph.paragraph_format.space_before = Pt(48)

    def _write_paragraph_open(self, token: Token) -> None:
        depth = min(len(self._lists), _DEEPEST)
        suffix = f" {depth}" if depth > 1 else ""
        style = "Normal"
        if token.attrs.get("class") == "reference":
            style = "Bibliography"
        elif self._quotes:
            style = "Quote"
        elif self._lists:
            style = (self._lists[-1][0] if self._is_item_start else "List Continue") + suffix
        self._paragraph = self._word.add_paragraph(style=style)
        if self._is_item_start and self._lists and self._lists[-1][1] is not None:
            properties = self._paragraph.paragraph_format.element.get_or_add_pPr()
            properties.get_or_add_numPr().get_or_add_numId().val = self._lists[-1][1]
        self._is_item_start = False

    def _write_inline(self, token: Token) -> None:
        if self._rows is None:
            self._fill(self._paragraph, token.children or ())
        else:
            self._rows[-1].append(token)

    def _write_bullet_list_open(self, _token: Token) -> None:
        self._lists.append(("List Bullet", None))

    def _write_ordered_list_open(self, token: Token) -> None:
        """Begin a list with a numbering of its own. Else Word goes on with that of the last one."""
        depth = min(len(self._lists) + 1, _DEEPEST)
        style = self._word.styles[f"List Number {depth}" if depth > 1 else "List Number"]
        numbering = self._word.part.numbering_part.element
        used = numbering.num_having_numId(style.element.pPr.numPr.numId.val)
        own = numbering.add_num(used.abstractNumId.val)
        own.add_lvlOverride(ilvl=0).add_startOverride(int(token.attrs.get("start", 1)))
        self._lists.append(("List Number", own.numId))

    def _write_bullet_list_close(self, _token: Token) -> None:
        self._lists.pop()

    _write_ordered_list_close = _write_bullet_list_close

    def _write_list_item_open(self, _token: Token) -> None:
        self._is_item_start = True

    def _write_blockquote_open(self, _token: Token) -> None:
        self._quotes += 1

    def _write_blockquote_close(self, _token: Token) -> None:
        self._quotes -= 1

    def _write_fence(self, token: Token) -> None:
        self._word.add_paragraph(_clean(token.content.rstrip("\n")), style="macro")

    _write_code_block = _write_fence

    def _write_table_open(self, _token: Token) -> None:
        self._rows = []

    def _write_tr_open(self, _token: Token) -> None:
        if self._rows is not None:
            self._rows.append([])

    def _write_table_close(self, _token: Token) -> None:
        rows, self._rows = self._rows or [], None
        table = self._word.add_table(len(rows), len(rows[0]), style="Table Grid")
        for number, row in enumerate(rows):
            for cell, token in zip(table.rows[number].cells, row, strict=True):
                self._fill(cell.paragraphs[0], token.children or (), is_bold=number == 0)
        self._word.add_paragraph()

    def _fill(self, paragraph: Any, tokens: Iterable[Token], *, is_bold: bool = False) -> None:
        run = Run("", bold=is_bold)
        for token in tokens:
            if token.type in _FORMATS:
                run = run._replace(**_FORMATS[token.type])
            elif token.type == "link_open":
                run = run._replace(url=str(token.attrs["href"]))
            elif token.type == "aside":
                self._add_aside(paragraph, token.meta["aside"])
            elif token.type == "hardbreak":
                paragraph.add_run().add_break()
            elif token.type == "code_inline":
                self._add_run(paragraph, run._replace(text=token.content)).font.name = "Courier New"
            else:
                text = " " if token.type == "softbreak" else token.content
                self._add_run(paragraph, run._replace(text=text))

    def _add_aside(self, paragraph: Any, aside: Aside) -> None:
        if aside.kind != "note":
            for run in list_runs(aside):
                self._add_run(paragraph, run)
            return
        self._notes.append(aside)
        mark = _make("w:footnoteReference", id=len(self._notes))
        paragraph.add_run(style="footnote reference").element.append(mark)

    def _add_run(self, paragraph: Any, run: Run) -> Any:
        from docx.opc.constants import RELATIONSHIP_TYPE
        from docx.oxml.ns import qn

        added = paragraph.add_run(_clean(run.text))
        font = added.font
        font.bold, font.italic = run.bold or None, run.italic or None
        font.superscript, font.small_caps = run.superscript or None, run.small_caps or None
        if run.url:
            added.style = "Hyperlink"
            link = _make("w:hyperlink")
            target = self._word.part.relate_to(
                _clean(run.url), RELATIONSHIP_TYPE.HYPERLINK, is_external=True
            )
            link.set(qn("r:id"), target)
            added.element.addnext(link)
            link.append(added.element)
        return added

    def _add_notes(self) -> None:
        """Add the part of the footnotes, which begins with the lines above them."""
        from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
        from docx.opc.oxml import serialize_part_xml
        from docx.opc.packuri import PackURI
        from docx.opc.part import Part
        from docx.oxml import OxmlElement
        from docx.oxml.ns import nsmap
        from docx.text.paragraph import Paragraph

        root = OxmlElement("w:footnotes", nsdecls=nsmap)
        for number, kind in enumerate(("separator", "continuationSeparator"), -1):
            line = _make("w:footnote", type=kind, id=number)
            line.append(_make("w:p"))
            line[0].append(_make("w:r"))
            line[0][0].append(_make(f"w:{kind}"))
            root.append(line)
        for number, note in enumerate(self._notes, 1):
            footnote = _make("w:footnote", id=number)
            footnote.append(_make("w:p"))
            root.append(footnote)
            paragraph = Paragraph(footnote[0], self._word)
            paragraph.style = "footnote text"
            paragraph.add_run(style="footnote reference").element.append(_make("w:footnoteRef"))
            for run in (Run(" "), *note.runs):
                self._add_run(paragraph, run._replace(url=""))  # a link needs a part of its own
        part = Part(
            PackURI("/word/footnotes.xml"),
            CONTENT_TYPE.WML_FOOTNOTES,
            serialize_part_xml(root),
            self._word.part.package,
        )
        self._word.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
        if self._document.has_raised_citations:
            properties = _make("w:footnotePr")
            properties.append(_make("w:numFmt", val="lowerLetter"))
            self._word.element.body.sectPr.insert(0, properties)


def _make(tag: str, **attributes: object) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    element = OxmlElement(tag)
    for name, value in attributes.items():
        element.set(qn(f"w:{name}"), str(value))
    return element


def _clean(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _NO_XML.sub("", text)
