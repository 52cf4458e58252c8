"""Tables of papers: CSV and TSV from Zotero, Scopus, the Web of Science and spreadsheets.

The first line names the columns. The delimiter is the one of comma, semicolon and tab that gives
most known names. A broken row affects only itself; see `rag.readers.rows`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.rows import make_reader, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Names of columns in lower case, the best first. Two letters are the Web of Science's.
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
_SEPARATOR_LINE = re.compile(r'"?sep=.\s*"?\s*', re.IGNORECASE)  # a hint for spreadsheets
_HEADER_CHARS = 10_000


def recognises(head: str, columns: Mapping[str, str] = _NONE_NAMED) -> bool:
    """Return whether the first line names a title and another known column.

    With `columns` (the table's name of each mapped field), one known column is enough.
    """
    lines = head.split("\n", 50)[:50]  # the rest is one piece
    _, header = next(filter(_has_content, enumerate(lines)), (0, ""))
    return _detect_delimiter(header, columns) is not None


def read(
    lines: Iterable[str], columns: Mapping[str, str] = _NONE_NAMED
) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each row with its record or the reason for refusal."""
    numbered = enumerate(lines, 1)
    first, header = next(filter(_has_content, numbered), (1, ""))
    delimiter = _detect_delimiter(header, columns)
    if delimiter is None:
        return
    names = _read_names(header, delimiter)
    missing = next((each for each in columns.values() if _normalise_name(each) not in names), None)
    if missing is not None:
        shown = ", ".join(filter(None, _split_cells(header, delimiter)))
        yield first, f'there is no column "{missing}". The columns are {shown[:300]}.'
        return
    # The Web of Science does not quote cells. Its quotation marks belong to titles.
    quoted = not {"pt", "ti"} <= set(names)
    known = _list_names(columns)
    for line, cells in read_rows(numbered, delimiter, len(names), quoted=quoted):
        if isinstance(cells, str):
            yield line, cells
        elif any(map(str.strip, cells)):
            yield line, _parse_record(dict(zip(names, cells, strict=False)), known)


def _has_content(numbered: tuple[int, str]) -> bool:
    line = numbered[1]
    return bool(line.strip()) and not _SEPARATOR_LINE.fullmatch(line)


def _list_names(columns: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return the possible column names of each field. A mapped field has only one."""
    return _COLUMNS | {field: (_normalise_name(column),) for field, column in columns.items()}


def _split_cells(header: str, delimiter: str) -> list[str]:
    cells = next(make_reader([header.replace("\r", " ")], delimiter, strict=False), [])
    return [cell.strip("\ufeff \n") for cell in cells]


def _read_names(header: str, delimiter: str) -> list[str]:
    return [_normalise_name(cell) for cell in _split_cells(header, delimiter)]


def _normalise_name(column: str) -> str:
    return column.strip().replace("_", " ").lower()


def _detect_delimiter(header: str, columns: Mapping[str, str]) -> str | None:
    """Return the delimiter, or None if the line is not the header of a table of papers."""
    found = {}
    for each in _DELIMITERS if len(header) <= _HEADER_CHARS else ():
        cells = set(_read_names(header, each))
        known = _list_names(columns).items()
        found[each] = {field for field, names in known if not cells.isdisjoint(names)}
    best = max(found, key=lambda each: len(found[each]), default=None)
    if best is None or not (found[best] if columns else len(found[best]) > 1):
        return None
    return best if columns or "title" in found[best] else None


def _parse_record(row: dict[str, str], columns: Mapping[str, tuple[str, ...]]) -> RawRecord | str:
    def text(field: str) -> str:
        found = (fields.collapse_space(row.get(name, "")) for name in columns[field])
        return next(filter(None, found), "")

    title = text("title")
    if not title:
        return fields.NO_TITLE
    doi, url, arxiv = text("doi"), text("url"), text("arxiv_id")
    return RawRecord(
        id="",
        title=title,
        abstract=text("abstract"),
        authors=fields.read_authors(fields.split_names(text("authors"), single="author" in row)),
        year=fields.find_year(*(row.get(name, "") for name in columns["year"])),
        venue=text("venue") or None,
        url=fields.find_url(url),
        doi=fields.find_doi(doi, url),
        arxiv_id=normalise_arxiv_id(arxiv) or fields.find_arxiv_id(doi, url),
        metadata=fields.make_tags(fields.split_keywords(text("tags"))),
    )
