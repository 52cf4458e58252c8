"""Tables of papers: CSV and TSV as Zotero, Scopus, the Web of Science and spreadsheets write them.

The first line names the columns; whichever of comma, semicolon and tab lets most of the names be
known sets them apart. A row that is broken spoils only itself; see `rag.readers.rows`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import Found
from rag.readers.rows import reader, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NAME = "CSV or TSV with a title column"

# Names of columns in small letters, the better ones first; two capitals are the Web of Science's.
_COLUMNS = {
    "title": ("title", "article title", "document title", "titel", "titre", "título", "ti"),
    "abstract": ("abstract", "abstract note", "abstractnote", "summary", "zusammenfassung", "ab"),
    "authors": (
        "author full names", "authors", "author(s)", "author", "autoren", "af", "au",
    ),
    "year": ("publication year", "year", "py", "jahr", "date", "publication date"),
    "venue": (
        "journal", "venue", "publication title", "source title", "journal title",
        "conference name", "booktitle", "so",
    ),
    "doi": ("doi", "di"),
    "url": ("url", "link", "urls"),
    "arxiv_id": ("arxiv id", "arxiv", "arxivid"),
    "tags": ("keywords", "author keywords", "manual tags", "tags", "de"),
}  # fmt: skip
FIELDS = tuple(_COLUMNS)
_NONE_NAMED: Mapping[str, str] = MappingProxyType({})
_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=.\s*"?\s*', re.IGNORECASE)  # spreadsheets take it as a hint
_HEADER_CHARS = 10_000


def recognises(head: str, columns: Mapping[str, str] = _NONE_NAMED) -> bool:
    """Whether the first line names a title and another column that is known.

    With `columns` (the field of a paper and what the table calls it), one known column is enough.
    """
    lines = head.split("\n", 50)[:50]  # what is behind them is in one piece
    first = next((line for line in lines if _says_something(line)), "")
    return _delimiter(first, columns) is not None


def read(
    lines: Iterable[str], columns: Mapping[str, str] = _NONE_NAMED
) -> Iterator[tuple[int, Found | str]]:
    """Each row that is not blank, with the line where it begins."""
    numbered = enumerate(lines, 1)
    first, header = next(((n, line) for n, line in numbered if _says_something(line)), (1, ""))
    delimiter = _delimiter(header, columns)
    if delimiter is None:
        return
    names = _names(header, delimiter)
    missing = [column for column in columns.values() if _name(column) not in names]
    if missing:
        shown = ", ".join(cell for cell in _cells(header, delimiter) if cell)
        yield first, f'there is no column "{missing[0]}"; the columns are {shown[:300]}.'
        return
    # The Web of Science's own table has no quoted cells: its quotation marks are the titles'.
    quoted = not {"pt", "ti"} <= set(names)
    known = _known_names(columns)
    for line, cells in rows(numbered, delimiter, len(names), quoted=quoted):
        if isinstance(cells, str):
            yield line, cells
        elif any(cell.strip() for cell in cells):
            yield line, _paper_or_reason(dict(zip(names, cells, strict=False)), known)


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not _SEPARATOR_LINE.fullmatch(line)


def _known_names(columns: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Each field with the names its column may have; one that was named has no other."""
    return _COLUMNS | {field: (_name(column),) for field, column in columns.items()}


def _cells(header: str, delimiter: str) -> list[str]:
    cells = next(reader([header.replace("\r", " ")], delimiter, strict=False), [])
    return [cell.strip("\ufeff \n") for cell in cells]


def _names(header: str, delimiter: str) -> list[str]:
    return [_name(cell) for cell in _cells(header, delimiter)]


def _name(column: str) -> str:
    return column.strip().replace("_", " ").lower()


def _delimiter(header: str, columns: Mapping[str, str]) -> str | None:
    """What sets the columns apart; None if the line is no header of a table of papers."""
    found = {}
    for each in _DELIMITERS if len(header) <= _HEADER_CHARS else ():
        cells = set(_names(header, each))
        known = _known_names(columns).items()
        found[each] = {field for field, names in known if not cells.isdisjoint(names)}
    best = max(found, key=lambda each: len(found[each]), default=None)
    if best is None or not (found[best] if columns else len(found[best]) > 1):
        return None
    return best if columns or "title" in found[best] else None


def _paper_or_reason(row: dict[str, str], columns: Mapping[str, tuple[str, ...]]) -> Found | str:
    def text(field: str) -> str:
        found = (fields.one_line(row.get(name, "")) for name in columns[field])
        return next(filter(None, found), "")

    title = text("title")
    if not title:
        return fields.NO_TITLE
    doi, url, arxiv = text("doi"), text("url"), text("arxiv_id")
    return Found(
        id="",
        title=title,
        abstract=text("abstract"),
        authors=fields.authors(fields.names_in(text("authors"), single="author" in row)),
        year=fields.year(*(row.get(name, "") for name in columns["year"])),
        venue=text("venue") or None,
        url=fields.web_address(url),
        doi=fields.doi(doi, url),
        arxiv_id=normalise_arxiv_id(arxiv) or fields.arxiv_id(doi, url),
        metadata=fields.tags(fields.keywords(text("tags"))),
    )
