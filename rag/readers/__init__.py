"""Read papers from files and from Zotero.

There is one module per format; the content decides which one reads. `rag.readers.zotero` reads
items of Zotero.

Paths, encodings, ids and cleaning are handled here. Format modules (see `rag.readers.formats`) only
parse.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from rag.errors import CorpusError, SettingsError
from rag.papers import (
    FROM_STANDARD_INPUT,
    FROM_STREAM,
    Paper,
    PaperMerger,
    choose_retraction,
    make_normal_id,
)
from rag.papers.citation_key import make_key_of_id
from rag.papers.entry_types import normalise_type
from rag.papers.merge import join_metadata
from rag.papers.paper import split_retraction_mark
from rag.readers import listing_page
from rag.readers.fields import (
    Note,
    cache_short,
    clean_label,
    find_family_names,
    is_placeholder,
)
from rag.readers.formats import IN_PIECES, Format, Formats, list_formats
from rag.readers.source_stream import SourceStream
from rag.readers.unread import explain_unread
from rag.readers.zotero import ZoteroAddress, is_address, parse_address
from rag.text.markup import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.readers.fields import RawRecord
    from rag.settings import Settings

Source: TypeAlias = str | Path | BinaryIO

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Refused:
    """Record or file that could not be read as a paper.

    Attributes:
        path: the file, as it was passed to the reader, or the link to an item of Zotero.
        line: first line of the record, from 1; None if the whole file was refused, or an item.
        reason: why, and how to fix it.
    """

    path: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{place}: {self.reason}"


Record: TypeAlias = Paper | Refused | Note


def iter_papers(
    source: Source | Iterable[Source],
    *,
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
    settings: Settings | None = None,
) -> Iterator[Paper | Refused]:
    """Read papers one by one, without holding a file in memory.

    Args:
        source: a file, a folder (its files and folders in order of name, without hidden ones), an
            open binary stream, "-" for standard input, a Zotero library such as "zotero:local", or
            several of these. gzip and zstd are decompressed.
        columns: names that tables and JSON records use for fields of a paper, such as
            {"title": "Titel"}. Common names and other formats need none.
        strict: raise at the first record or file that cannot be read.
        settings: name the servers and the key of Zotero. None loads them if they are needed.

    Returns:
        Each record as a `Paper`, or as `Refused` with file, line and reason. Reading continues
        after it. Records of one paper are not merged; see `read_papers`. A `UserWarning` names a
        column that is not read, but looks like a field of a paper.

    Raises:
        CorpusError: at once if a path does not exist, there is no source, or `columns` has an
            unknown field. While reading if the only file is empty, binary, unreadable or of an
            unknown format, if a Zotero library cannot be read completely, or if no source holds a
            paper. Among several sources, and in a folder, such a one is `Refused` instead.
        SettingsError: at once if something is no source of papers.
    """
    if not isinstance(columns or {}, dict | Mapping):
        raise SettingsError('columns takes fields with their columns, such as {"title": "Titel"}.')
    is_one = isinstance(source, str | bytes | dict | os.PathLike) or hasattr(source, "read")
    is_one = is_one or not isinstance(source, Iterable)
    several = cast("list[Source]", [source] if is_one else list(cast("Iterable[Source]", source)))
    sources = ((each, columns or {}) for each in several)
    return _warn_of_notes(iter_sources(sources, strict=strict, settings=settings))


def _warn_of_notes(records: Iterator[Record]) -> Iterator[Paper | Refused]:
    for record in records:
        if isinstance(record, Note):
            warnings.warn(str(record), stacklevel=2)
        else:
            yield record


def iter_sources(
    sources: Iterable[tuple[Source, Mapping[str, str]]],
    *,
    strict: bool = False,
    settings: Settings | None = None,
) -> Iterator[Record]:
    """Read like `iter_papers`, from sources with columns of their own. Yield notes too."""
    places = [
        (_resolve_source(source, settings), list_formats(columns)) for source, columns in sources
    ]
    if not places:
        raise CorpusError("Name at least one file or folder of papers.")
    records = _read_places(places) if len(places) > 1 else _read_place(*places[0])
    return map(_raise_refused, records) if strict else records


def _raise_refused(record: Record) -> Record:
    if isinstance(record, Refused):
        raise CorpusError(str(record), path=record.path, line=record.line)
    return record


def read_papers(
    source: Source | Iterable[Source],
    *,
    columns: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> list[Paper]:
    """Read all papers of a source, each once, in the order in which they appear.

    If two records of a paper differ, a `UserWarning` says what was kept.

    Raises:
        CorpusError: as `iter_papers`, and for the first refused record or file. Use `iter_papers`
            to read past it.
    """
    merger = PaperMerger()
    for paper in iter_papers(source, columns=columns, strict=True, settings=settings):
        if isinstance(paper, Paper) and (warning := merger.add(paper).warning):
            warnings.warn(warning, stacklevel=2)
    return merger.papers


@dataclass(frozen=True, slots=True)
class _Stream:
    """Open stream and its name in messages."""

    file: BinaryIO
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class _Zotero:
    """Zotero library with the settings to read it; None loads them."""

    address: ZoteroAddress
    settings: Settings | None

    def __str__(self) -> str:
        return str(self.address)


_Place: TypeAlias = Path | _Stream | _Zotero


def _resolve_source(source: Source, settings: Settings | None) -> _Place:
    """Return a path, a stream with its name, or a Zotero library.

    Raises:
        CorpusError: the path does not exist, or the stream does not give bytes.
        SettingsError: it is none of these.
    """
    if is_address(source):
        return _Zotero(parse_address(str(source)), settings)
    if source == STANDARD_INPUT:
        return _Stream(_get_binary(sys.stdin), FROM_STANDARD_INPUT)
    if isinstance(source, str | os.PathLike) and str(source):
        path = Path(source)
        if not path.exists():
            raise CorpusError(f"{path} does not exist. Check the path.", path=path)
        return path
    if not hasattr(source, "read"):
        raise SettingsError(
            f"{source!r:.60} is no source of papers. Name a file or a folder, or pass a binary "
            "stream."
        )
    return _Stream(_get_binary(source), str(getattr(source, "name", FROM_STREAM)))


def _get_binary(stream: object) -> BinaryIO:
    found = getattr(stream, "buffer", stream)
    if found is None or isinstance(found, io.TextIOBase):
        raise CorpusError("The stream gives text, not bytes. Open it in binary mode.")
    return cast("BinaryIO", found)


def _read_places(
    places: Sequence[tuple[_Place, Formats]],
) -> Iterator[Record]:
    """Read several sources. One that fails does not stop the others."""
    found = False
    for place, known in places:
        try:
            for record in _read_place(place, known):
                found = found or isinstance(record, Paper)
                yield record
        except CorpusError as error:
            yield Refused(str(place), None, str(error).removeprefix(f"{place}: "))
    if not found:
        raise CorpusError("None of the files and folders holds a readable paper.")


def _read_place(place: _Place, known: Formats) -> Iterator[Record]:
    holds_several = isinstance(place, _Zotero) or _is_folder(place)
    path = place if isinstance(place, Path) else None
    found, refused = False, ""
    for record in _read_records(place, known):
        found = found or isinstance(record, Paper)
        if isinstance(record, Refused):
            if record.line is None and not holds_several:
                raise CorpusError(str(record), path=path)
            refused = refused or f": {str(record).rstrip('.')}"
        yield record
    if not found and not isinstance(place, _Zotero):  # which may have become empty
        raise CorpusError(f"{place} holds no readable paper{refused}.", path=path)


def _is_folder(place: _Place) -> bool:
    return isinstance(place, Path) and place.is_dir()


def _read_records(place: _Place, known: Formats) -> Iterator[Record]:
    if isinstance(place, _Zotero):
        return _read_zotero(place)
    if isinstance(place, _Stream):
        return _read_stream(SourceStream(place.file), place.name, known)
    return _read_folder(place, known) if place.is_dir() else _read_file(place, known)


def _read_zotero(place: _Zotero) -> Iterator[Record]:
    from rag.readers.zotero.parts import read_items
    from rag.settings import load_settings

    settings = place.settings if place.settings is not None else load_settings()
    for name, found in read_items(place.address, settings):
        yield (
            replace(found, path=name) if isinstance(found, Note) else _make_paper(found, name, None)
        )


def _read_folder(folder: Path, known: Formats) -> Iterator[Record]:
    """Read all files below in order of name, without hidden ones and links to folders."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield Refused(_display_path(folder), None, f"cannot read the folder: {error.strerror}.")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield from _read_file(entry, known)
        elif entry.is_dir() and not entry.is_symlink():
            yield from _read_folder(entry, known)


def _read_file(path: Path, known: Formats) -> Iterator[Record]:
    """Read a file. Yield one `Refused` without a line if the whole file cannot be read."""
    try:
        with path.open("rb") as file:
            yield from _read_stream(SourceStream(file), _display_path(path), known)
    except OSError as error:
        yield Refused(_display_path(path), None, f"cannot read the file: {error.strerror}.")


def _read_stream(stream: SourceStream, name: str, known: Formats) -> Iterator[Record]:
    head = stream.text
    reader = _find_problem(stream, head) or _choose_reader(head, known)
    if isinstance(reader, str):
        yield Refused(name, None, reader)
        return
    line = 1
    text = stream.pieces() if reader in IN_PIECES else stream.lines()
    for line, found in reader.read(text):
        stream.begin_record()
        yield (
            replace(found, path=name) if isinstance(found, Note) else _make_paper(found, name, line)
        )
    if stream.problem:
        yield Refused(name, line, f"reading stops at this record: {stream.problem}.")


def _choose_reader(head: str, known: Formats) -> Format | str:
    """Return the format of a text, or why it is not read."""
    reader = next((each for each in known if each.recognises(head)), None)
    if reader in {None, listing_page} and (problem := explain_unread(head)):
        return problem
    return reader or (
        "no known format (docs/formats.md lists them). Name the columns of a table with "
        "--map title=COLUMN."
    )


def _find_problem(stream: SourceStream, head: str) -> str:
    """Return why the whole source cannot be read, or "" if it can."""
    if not head.strip():
        problem = stream.problem
        return f"cannot read the file: {problem}." if problem else "the file is empty."
    if (stream.is_packed_otherwise or "\0" in head) and (problem := explain_unread(head)):
        return problem
    if stream.is_packed_otherwise:
        return "the file is packed. Unpack it first; only gzip and zstd are supported."
    return "this is a binary file, not text." if "\0" in head else ""


def _clean_text(text: str) -> str:
    """Clean a text of mark-up. One that only says that there is none becomes ""."""
    cleaned = clean_markup(text)
    return "" if is_placeholder(cleaned) else cleaned


_clean_venue = cache_short(_clean_text)


def _clean_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Clean names of tags and entities. One that only says that there is none gives ()."""
    cleaned = tuple(map(str, map(clean_label, names)))
    return () if len(names) == 1 and is_placeholder(cleaned[0]) else cleaned


def _make_paper(found: RawRecord | str, name: str, line: int | None) -> Paper | Refused:
    """Clean a raw record and add its id and source. A reason becomes `Refused`."""
    if isinstance(found, str):
        return Refused(name, line, found)
    title, mark = split_retraction_mark(clean_markup(found.title))
    metadata = found.metadata
    if families := find_family_names(found.authors):
        metadata = join_metadata(metadata, {"family_names": families})
    own_id = found.id or make_normal_id(title, found.doi, found.arxiv_id)
    key = found.citation_key
    paper = Paper(
        own_id,
        title,
        _clean_text(found.abstract),
        _clean_names(found.authors),
        found.year,
        _clean_venue(found.venue or "") or None,
        found.url,
        found.doi,
        found.arxiv_id,
        found.sources or (name,),
        found.aliases,
        metadata,
        key if key and key != make_key_of_id(own_id) else None,  # an export of ours made it
        normalise_type(found.entry_type),
        choose_retraction(found.retraction, mark),
    )
    return paper if title else Refused(name, line, "the title is empty.")


def _display_path(path: Path) -> str:
    """Return the path as printable text, with undecodable bytes replaced."""
    return os.fsencode(path).decode("utf-8", errors="replace")
