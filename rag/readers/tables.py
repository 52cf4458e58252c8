"""Tables of papers: CSV and TSV from databases, reference managers and spreadsheets.

The first line names the columns. The delimiter is the one of comma, semicolon and tab that gives
most known names. A broken row affects only itself; see `rag.readers.rows`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from rag.papers import normalise_arxiv_id, normalise_doi
from rag.papers.entry_types import translate_type
from rag.readers import fields
from rag.readers.fields import Note, RawRecord
from rag.readers.rows import Shape, make_reader, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# Names of columns in lower case, without blanks and signs, the best first, as the exports of these
# have them: PubMed, Embase, Scopus, Web of Science (two letters), Lens, Dimensions, OpenAlex,
# Semantic Scholar, IEEE Xplore, EBSCO, ProQuest, Springer Link, Google Scholar, Publish or Perish,
# Zotero, Covidence, Rayyan.
_COLUMNS = {
    "title": (
        "title", "articletitle", "documenttitle", "itemtitle", "displayname", "primarytitle",
        "titel", "titre", "título", "ti",
    ),
    "abstract": ("abstract", "abstracts", "abstractnote", "summary", "zusammenfassung", "ab"),
    "authors": (
        "authorfullnames", "authors", "author", "authornames", "authorshipsauthordisplayname",
        "autoren", "af", "au",
    ),
    "year": (
        "publicationyear", "publishedyear", "pubyear", "year", "py", "jahr", "date",
        "publicationdate", "datepublished", "dateofpublication",
    ),
    "venue": (
        "journal", "venue", "journalbook", "publicationtitle", "sourcetitle", "journaltitle",
        "publication", "publicationname", "primarylocationsourcedisplayname", "secondarytitle",
        "conferencename", "booktitle", "anthologytitle", "pubtitle", "so",
    ),
    "doi": ("doi", "itemdoi", "di"),
    "url": (
        "url", "link", "urls", "articleurl", "primarylocationlandingpageurl", "externalurl",
        "sourceurls", "plink", "dimensionsurl", "documenturl",
    ),
    "arxiv_id": ("arxivid", "arxiv"),
    "tags": (
        "keywords", "authorkeywords", "manualtags", "tags", "de", "keywordsdisplayname",
        "meshterms", "subjects", "fieldsofstudy",
    ),
}  # fmt: skip
FIELDS = tuple(_COLUMNS)
_DETAILS = {
    "volume": ("volume", "journalvolume", "bibliovolume", "vl"),
    "issue": ("issue", "issuenumber", "journalissue", "number", "biblioissue", "is"),
    "pages": ("pages", "pagination"),
    "first_page": ("pagestart", "startpage", "firstpage", "bibliofirstpage", "bp"),
    "last_page": ("pageend", "endpage", "lastpage", "bibliolastpage", "ep"),
    "publisher": ("publisher", "pu"),
    "editors": ("editor", "editors", "bookeditors", "be"),
    "month": ("month", "publishedmonth", "pd"),
    "entry_type": (
        "itemtype", "documenttype", "publicationtype", "contenttype", "doctype", "typeofreference",
        "type", "dt",
    ),
    "citation_key": ("citationkey", "bibtexkey", "citekey", "key"),
    "is_retracted": ("isretracted", "retracted"),
}  # fmt: skip
_JOURNAL_IF_CITES = "source"  # of Publish or Perish; elsewhere the database
_CORE = ("title", "abstract", "authors", "year", "venue", "doi", "url")
_CHECKS: Mapping[str, Callable[[str], object]] = {
    "year": fields.find_year,
    "doi": normalise_doi,
    "url": fields.find_url,
}
_YES = frozenset({"true", "yes", "1"})
_NONE_NAMED: Mapping[str, str] = MappingProxyType({})
_DELIMITERS = (",", ";", "\t")
# A hint for spreadsheets, and the first line of an export of Dimensions.
_BEFORE_HEADER = re.compile(r'"?sep=.\s*"?\s*|"About the data: .*', re.IGNORECASE)
_HEADER_CHARS = 10_000
_NAME_CHARS = 100  # of a column
_SIGNS = re.compile(r"[\W_]+")
_JOINED_NAMES = re.compile(r"(?<=[a-zß-ÿ.])(?=[A-ZÀ-Þ]\S* )")  # "Jane DoeRichard Roe"

Places: TypeAlias = dict[str, list[int]]


def recognises(head: str, columns: Mapping[str, str] = _NONE_NAMED) -> bool:
    """Return whether the first line names a title and another known column.

    With `columns` (the table's name of each mapped field), one known column is enough.
    """
    lines = head.split("\n", 50)[:50]  # the rest is one piece
    _, header = next(filter(_has_content, enumerate(lines)), (0, ""))
    return _detect_delimiter(header, columns) is not None


def read(
    lines: Iterable[str], columns: Mapping[str, str] = _NONE_NAMED
) -> Iterator[tuple[int, RawRecord | Note | str]]:
    """Yield the first line of each row with its record or the reason for refusal.

    Notes come first: columns that are not known and look like a field that has no other.
    """
    numbered = enumerate(lines, 1)
    first, header = next(filter(_has_content, numbered), (1, ""))
    delimiter = _detect_delimiter(header, columns)
    if delimiter is None:
        return
    cells = _split_cells(header, delimiter)
    names = list(map(_normalise_name, cells))
    missing = next((each for each in columns.values() if _normalise_name(each) not in names), None)
    if missing is not None:
        shown = ", ".join(filter(None, cells))
        yield first, f'there is no column "{missing}". The columns are {shown[:300]}.'
        return
    current = _Header(names, columns)
    for guess in _guess_columns(cells, current.places):
        yield first, Note(guess)
    # The Web of Science does not quote cells. Its quotation marks belong to titles.
    quoted = not {"pt", "ti"} <= set(names)
    shape = current.make_shape()
    for line, row in read_rows(numbered, delimiter, shape, current.read_again, quoted=quoted):
        if isinstance(row, str):
            yield line, row
        elif any(map(str.strip, row)):
            yield line, _parse_record(row, current.names, current.places)


class _Header:
    """Names of the columns and the places of the fields. A later row may change them."""

    def __init__(self, names: list[str], columns: Mapping[str, str]) -> None:
        self.names = names
        self.places = _find_places(names, columns)
        self._columns = columns
        known = {**_DETAILS, **_list_names(columns)}
        self._known = {"", *names, *chain.from_iterable(known.values())}

    def make_shape(self) -> Shape:
        places = self.places
        checks = [(places[field][0], check) for field, check in _CHECKS.items() if field in places]
        return Shape(len(self.names), _find_core(places), checks)

    def read_again(self, row: Sequence[str]) -> Shape | None:
        """Take over a row of names, as between joined tables. Return None for other rows."""
        if not all(
            len(cell) <= _NAME_CHARS and _normalise_name(cell) in self._known for cell in row
        ):
            return None
        names = list(map(_normalise_name, row))
        places = _find_places(names, self._columns)
        if names != self.names and ("title" not in places or len(places) == 1):
            return None
        self.names, self.places = names, places
        return self.make_shape()


def _has_content(numbered: tuple[int, str]) -> bool:
    line = numbered[1]
    return bool(line.strip()) and not _BEFORE_HEADER.match(line)


def _list_names(columns: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return the possible column names of each field. A mapped field has only one."""
    return _COLUMNS | {field: (_normalise_name(column),) for field, column in columns.items()}


def _find_places(names: Sequence[str], columns: Mapping[str, str]) -> Places:
    """Return the positions of each field's columns, the best first."""
    known = {**_DETAILS, **_list_names(columns)}
    if "cites" in names and "venue" not in columns:
        known["venue"] = (*known["venue"], _JOURNAL_IF_CITES)
    places = {field: [names.index(n) for n in known[field] if n in names] for field in known}
    return {field: several for field, several in places.items() if several}


def _find_core(places: Places) -> int:
    """Return the number of cells up to the last of the columns that matter most."""
    return 1 + max(places[field][0] for field in _CORE if field in places)


def _guess_columns(cells: Sequence[str], places: Places) -> Iterator[str]:
    """Yield how to map each unknown column that looks like a field without a column."""
    taken = set(chain.from_iterable(places.values()))
    free = [
        cell
        for place, cell in enumerate(cells)
        # "Original Title" is a further title.
        if place not in taken and cell and places.keys().isdisjoint(_SIGNS.split(cell.lower()))
    ]
    for field in FIELDS:
        looks = next((cell for cell in free if _resembles(cell, _COLUMNS[field])), None)
        if looks and field not in places:
            yield f'{looks}: use --map {field}="{looks}"'


def _resembles(cell: str, names: Sequence[str]) -> bool:
    """Return whether a column has a known name as one of its words, or nearly."""
    words = {word for word in re.split(_SIGNS, cell.lower()) if len(word) > 2}
    name = _normalise_name(cell)
    return not words.isdisjoint(names) or bool(get_close_matches(name, names, 1, 0.8))


def _split_cells(header: str, delimiter: str) -> list[str]:
    cells = next(make_reader([header.replace("\r", " ")], delimiter, strict=False), [])
    return [cell.strip("\ufeff \n") for cell in cells]


def _normalise_name(column: str) -> str:
    return _SIGNS.sub("", column).lower()


def _detect_delimiter(header: str, columns: Mapping[str, str]) -> str | None:
    """Return the delimiter, or None if the line is not the header of a table of papers."""
    found = {}
    for each in _DELIMITERS if len(header) <= _HEADER_CHARS else ():
        cells = set(map(_normalise_name, _split_cells(header, each)))
        known = _list_names(columns).items()
        found[each] = {field for field, names in known if not cells.isdisjoint(names)}
    best = max(found, key=lambda each: len(found[each]), default=None)
    if best is None or not (found[best] if columns else len(found[best]) > 1):
        return None
    return best if columns or "title" in found[best] else None


def _pick_cells(row: Sequence[str], places: Places) -> dict[str, str]:
    """Return the first cell of each field that is not empty."""
    known: dict[str, str] = {}
    for field, several in places.items():
        for place in several:
            if place < len(row) and (found := row[place].strip()):
                known[field] = found
                break
    return known


def _parse_record(row: Sequence[str], names: Sequence[str], places: Places) -> RawRecord | str:
    known = _pick_cells(row, places)

    def text(field: str) -> str:
        return known.get(field, "")

    title = fields.collapse_space(text("title"))
    if not title:
        return fields.NO_TITLE
    doi, url, arxiv = text("doi"), text("url"), text("arxiv_id")
    dates = [row[place] for place in places.get("year", ()) if place < len(row)]
    tags, kind = fields.split_keywords(text("tags")), text("entry_type")
    first_page, last_page = text("first_page"), text("last_page")
    return RawRecord(
        id="",
        title=title,
        abstract=text("abstract"),
        authors=_read_authors(text("authors"), names),
        year=fields.find_year(*dates),
        venue=fields.collapse_space(text("venue")) or None,
        url=fields.find_url(url),
        doi=fields.find_doi(doi, url),
        arxiv_id=normalise_arxiv_id(arxiv) or fields.find_arxiv_id(doi, url),
        metadata=fields.make_details(
            tags=tags,
            volume=text("volume"),
            issue=text("issue"),
            pages=text("pages") or fields.join_pages(first_page, last_page),
            publisher=text("publisher"),
            editors=_read_names(text("editors"), single=True),
            month=text("month") or fields.find_month(*dates),
        ),
        citation_key=text("citation_key") or None,
        entry_type=_read_type(kind),
        retraction=fields.find_retraction(kind, keywords=tags)
        or ("Retracted" if text("is_retracted").lower() in _YES else None),
    )


def _read_authors(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Read a cell of authors. PubMed ends it with a full stop. Springer Link joins the names."""
    if "firstauthor" in names:
        text = text.removesuffix(".")
    if "itemtitle" in names and all(" " in part for part in _JOINED_NAMES.split(text)):
        text = _JOINED_NAMES.sub(";", text)
    return _read_names(text, single="author" in names)


def _read_names(text: str, *, single: bool) -> tuple[str, ...]:
    return fields.read_authors(fields.split_names(text, single=single)) if text else ()


def _read_type(kind: str) -> str | None:
    """Return the first type of a cell ("Article; Early Access") if its name is known."""
    name = kind.partition(";")[0].strip()
    name = name if name.isupper() and len(name) < 7 else name.lower()
    return name if translate_type(name, "ris") != "GEN" else None
