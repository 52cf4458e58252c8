"""Reading papers from files: one module per format, told apart by what is in the file.

Format modules (see `rag.readers.formats`) know nothing of paths, encodings, identity or cleaning:
those are done here, once for all.

Called by `Assistant.build_from`, `rag index` and whoever wants papers from files.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from rag.errors import CorpusError
from rag.papers import FROM_STANDARD_INPUT, FROM_STREAM, Paper, PaperMerger, make_normal_id
from rag.readers.fields import remembered
from rag.readers.formats import IN_PIECES, Formats, formats
from rag.readers.opening import Opened
from rag.text.markup import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.readers.fields import Found

Source: TypeAlias = str | Path | BinaryIO

STANDARD_INPUT = "-"
_clean_venue = remembered(clean_markup)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record or file that could not be read as a paper.

    Attributes:
        path: the file, as it was named to the reader.
        line: where the record begins, from 1; None when the whole file was refused.
        reason: why, and what to do about it.
    """

    path: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{place}: {self.reason}"


def iter_papers(
    source: Source | Iterable[Source],
    *,
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Iterator[Paper | Refused]:
    """Reads papers one by one, as they come, without holding a file in memory.

    Args:
        source: a file, a folder (all its files and folders in order of name, hidden ones left out),
            an open binary stream, "-" for standard input, or several of them. What is packed by
            gzip or zstd is unpacked on the way.
        columns: fields of a paper with the names that tables and JSON records have for them, such
            as {"title": "Titel"}; other formats, and names that are known, need none.
        strict: raise at the first record or file that cannot be read.

    Returns:
        Each record as a `Paper`, or as `Refused` with file, line and reason; reading goes on after
        it. Records of one paper are not merged; see `read_papers`.

    Raises:
        CorpusError: at once if a path does not exist, nothing was named or a paper has no such
            field; while reading if the file named is empty, binary, unreadable or of no known
            format, or if nothing that was named holds a paper. Of several files, and inside a
            folder, such a file is `Refused` instead.
    """
    is_one = isinstance(source, str | os.PathLike) or hasattr(source, "read")
    several = cast("list[Source]", [source] if is_one else list(cast("Iterable[Source]", source)))
    return iter_sources(((each, columns or {}) for each in several), strict=strict)


def iter_sources(
    sources: Iterable[tuple[Source, Mapping[str, str]]], *, strict: bool = False
) -> Iterator[Paper | Refused]:
    """Like `iter_papers`, from sources that each have columns of their own."""
    places = [(_place(source), formats(columns)) for source, columns in sources]
    if not places:
        raise CorpusError("No file or folder of papers was named; name at least one.")
    records = _read_places(places) if len(places) > 1 else _read_place(*places[0])
    return map(_readable, records) if strict else records


def _readable(record: Paper | Refused) -> Paper:
    if isinstance(record, Refused):
        raise CorpusError(str(record), path=record.path, line=record.line)
    return record


def read_papers(
    source: Source | Iterable[Source], *, columns: Mapping[str, str] | None = None
) -> list[Paper]:
    """All papers of a source, each once, in the order in which they were first seen.

    Where two records of a paper differ, a `UserWarning` says what was kept.

    Raises:
        CorpusError: as `iter_papers`, and for the first record or file that is refused; use
            `iter_papers` to read past it.
    """
    merger = PaperMerger()
    for paper in map(_readable, iter_papers(source, columns=columns)):
        decided = merger.add(paper).warning
        if decided:
            warnings.warn(decided, stacklevel=2)
    return merger.papers


@dataclass(frozen=True, slots=True)
class _Stream:
    """An open stream with the name that messages give it."""

    file: BinaryIO
    name: str

    def __str__(self) -> str:
        return self.name


def _place(source: Source) -> Path | _Stream:
    """Where to read from.

    Raises:
        CorpusError: the path does not exist, or the stream gives no bytes.
    """
    if source == STANDARD_INPUT:
        return _Stream(_binary(sys.stdin), FROM_STANDARD_INPUT)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.exists():
            raise CorpusError(f"{path} does not exist; check the path.", path=path)
        return path
    return _Stream(_binary(source), str(getattr(source, "name", FROM_STREAM)))


def _binary(stream: object) -> BinaryIO:
    found = getattr(stream, "buffer", stream)
    if found is None or isinstance(found, io.TextIOBase):
        raise CorpusError("A stream to read papers from must give bytes; open it in binary mode.")
    return cast("BinaryIO", found)


def _read_places(
    places: Sequence[tuple[Path | _Stream, Formats]],
) -> Iterator[Paper | Refused]:
    """The records of several places; one that cannot be used does not keep back the others."""
    found = False
    for place, known in places:
        try:
            for record in _read_place(place, known):
                found = found or isinstance(record, Paper)
                yield record
        except CorpusError as error:
            yield Refused(str(place), None, str(error).removeprefix(f"{place}: "))
    if not found:
        raise CorpusError("None of the files and folders named holds a paper that could be read.")


def _read_place(place: Path | _Stream, known: Formats) -> Iterator[Paper | Refused]:
    in_folder = isinstance(place, Path) and place.is_dir()
    path = place if isinstance(place, Path) else None
    found, refused = False, ""
    for record in _records(place, known):
        if isinstance(record, Paper):
            found = True
            yield record
            continue
        if record.line is None and not in_folder:
            raise CorpusError(str(record), path=path)
        refused = refused or f": {str(record).rstrip('.')}"
        yield record
    if not found:
        raise CorpusError(f"{place} holds no paper that could be read{refused}.", path=path)


def _records(place: Path | _Stream, known: Formats) -> Iterator[Paper | Refused]:
    if isinstance(place, _Stream):
        return _read_opened(Opened(place.file), place.name, known)
    return _read_folder(place, known) if place.is_dir() else _read_file(place, known)


def _read_folder(folder: Path, known: Formats) -> Iterator[Paper | Refused]:
    """All files below, in order of name; hidden ones and links to folders are left out."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield Refused(_shown(folder), None, f"the folder cannot be read: {error.strerror}.")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield from _read_file(entry, known)
        elif entry.is_dir() and not entry.is_symlink():
            yield from _read_folder(entry, known)


def _read_file(path: Path, known: Formats) -> Iterator[Paper | Refused]:
    """The records of a file, or a single `Refused` without a line if it cannot be used at all."""
    try:
        with path.open("rb") as file:
            yield from _read_opened(Opened(file), _shown(path), known)
    except OSError as error:
        yield Refused(_shown(path), None, f"the file cannot be read: {error.strerror}.")


def _read_opened(opened: Opened, name: str, known: Formats) -> Iterator[Paper | Refused]:
    head = opened.text
    if opened.problem and not head.strip():
        yield Refused(name, None, f"the file cannot be read: {opened.problem}.")
    elif not head.strip():
        yield Refused(name, None, "the file is empty.")
    elif opened.is_packed_otherwise:
        yield Refused(name, None, "it is packed; unpack it first, only gzip and zstd are read.")
    elif "\0" in head:
        yield Refused(name, None, "this is a binary file, not text.")
    elif (reader := next((each for each in known if each.recognises(head)), None)) is None:
        yield Refused(
            name,
            None,
            "no known format is recognised in it (docs/formats.md lists them); of a table, say "
            "how its columns are called with --map title=COLUMN.",
        )
    else:
        line = 1
        text = opened.pieces() if reader in IN_PIECES else opened.lines()
        for line, found in reader.read(text):
            opened.begin_record()
            yield _finished(found, name, line)
        if opened.problem:
            yield Refused(name, line, f"reading ends with this record: {opened.problem}.")


def _finished(found: Found | str, name: str, line: int) -> Paper | Refused:
    """What a format module found, cleaned, with its id and source."""
    if isinstance(found, str):
        return Refused(name, line, found)
    title = clean_markup(found.title)
    paper = Paper(
        found.id or make_normal_id(title, found.doi, found.arxiv_id),
        title,
        clean_markup(found.abstract),
        found.authors,
        found.year,
        found.venue and _clean_venue(found.venue),
        found.url,
        found.doi,
        found.arxiv_id,
        found.sources or (name,),
        found.aliases,
        found.metadata,
    )
    return paper if title else Refused(name, line, "the title is empty.")


def _shown(path: Path) -> str:
    """The path as text that can be printed and stored, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", errors="replace")
