"""Reading papers from files: one module per format, told apart by what is in the file.

Each format module offers

    NAME                  what the format is called in messages
    recognises(head)      whether a file that begins with this text is of the format
    read(lines)           yields (line number, paper or the reason why it is none), lazily

and knows nothing of paths, encodings, identity or cleaning: those are done here, once for all. A
new format is one new module and its name in `_FORMATS`; the first that recognises a file reads it.

Called by `Assistant.build_from`, `rag index` and whoever wants papers from files.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rag.errors import CorpusError
from rag.papers import Paper, PaperMerger, paper_id
from rag.readers import (
    arxiv_atom,
    bibtex,
    json_array,
    json_lines,
    listing,
    medline,
    pubmed_xml,
    ris,
    tables,
)
from rag.readers.opening import Opened
from rag.text import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Source: TypeAlias = str | Path


class Format(Protocol):
    """What a format module offers."""

    NAME: str

    def recognises(self, head: str) -> bool:
        """Whether a file that begins with this text is of the format."""
        ...

    def read(self, lines: Iterable[str]) -> Iterator[tuple[int, Paper | str]]:
        """Each record's line number, from 1, with the paper or the reason why it is none."""
        ...


# A list of records on one line also looks like JSON Lines, so lists come first; a listing page is
# told by little, so it comes last.
_FORMATS: tuple[Format, ...] = (
    json_array,
    json_lines,
    arxiv_atom,
    pubmed_xml,
    bibtex,
    ris,
    medline,
    tables,
    listing,
)


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


def iter_papers(source: Source | Iterable[Source]) -> Iterator[Paper | Refused]:
    """Reads papers one by one, as they come, without holding a file in memory.

    Args:
        source: a file, a folder (all its files and folders in order of name, hidden ones left out),
            or several of them.

    Returns:
        Each record as a `Paper`, or as `Refused` with file, line and reason; reading goes on after
        it. Records of one paper are not merged; see `read_papers`.

    Raises:
        CorpusError: at once if a path does not exist or nothing was named; while reading if a file
            named is empty, binary, unreadable or of no known format, or if it or a folder holds no
            paper at all. Inside a folder such files are `Refused` instead.
    """
    several = [source] if isinstance(source, str | os.PathLike) else source
    paths = [Path(each) for each in several]
    if not paths:
        raise CorpusError("No file or folder of papers was named; name at least one.")
    for path in paths:
        if not path.exists():
            raise CorpusError(f"{path} does not exist; check the path.", path=path)
    return (record for path in paths for record in _read_path(path))


def read_papers(source: Source | Iterable[Source]) -> list[Paper]:
    """All papers of a source, each once, in the order in which they were first seen.

    Where two records of a paper differ, a `UserWarning` says what was kept.

    Raises:
        CorpusError: as `iter_papers`, and for the first record or file that is refused; use
            `iter_papers` to read past it.
    """
    merger = PaperMerger()
    for record in iter_papers(source):
        if isinstance(record, Refused):
            raise CorpusError(str(record), path=record.path, line=record.line)
        decided = merger.add(record).warning
        if decided:
            warnings.warn(decided, stacklevel=2)
    return merger.papers


def _read_path(path: Path) -> Iterator[Paper | Refused]:
    in_folder = path.is_dir()
    found, refused = False, ""
    for record in _read_folder(path) if in_folder else _read_file(path):
        if isinstance(record, Refused) and record.line is None and not in_folder:
            raise CorpusError(str(record), path=path)
        found = found or isinstance(record, Paper)
        refused = refused or _first_refusal(record)
        yield record
    if not found:
        raise CorpusError(
            f"{path} holds no paper that could be read{refused}; known formats are "
            f"{_known_formats()}.",
            path=path,
        )


def _first_refusal(record: Paper | Refused) -> str:
    return f" ({str(record).rstrip('.')})" if isinstance(record, Refused) else ""


def _read_folder(folder: Path) -> Iterator[Paper | Refused]:
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
            yield from _read_file(entry)
        elif entry.is_dir() and not entry.is_symlink():
            yield from _read_folder(entry)


def _read_file(path: Path) -> Iterator[Paper | Refused]:
    """The records of a file, or a single `Refused` without a line if it cannot be used at all."""
    try:
        with path.open("rb") as file:
            yield from _read_opened(Opened(file), _shown(path))
    except OSError as error:
        yield Refused(_shown(path), None, f"the file cannot be read: {error.strerror}.")


def _read_opened(opened: Opened, name: str) -> Iterator[Paper | Refused]:
    head = opened.text
    if opened.problem and not head.strip():
        yield Refused(name, None, f"the file cannot be read: {opened.problem}.")
    elif not head.strip():
        yield Refused(name, None, "the file is empty.")
    elif opened.is_packed_otherwise:
        yield Refused(name, None, "it is packed; unpack it first, only gzip and zstd are read.")
    elif "\0" in head:
        yield Refused(name, None, "this is a binary file, not text.")
    elif (reader := _format_of(head)) is None:
        yield Refused(
            name, None, f"no known format is recognised in it; known are {_known_formats()}."
        )
    else:
        line = 1
        for line, found in reader.read(opened.lines()):
            opened.begin_record()
            yield _finished(found, name, line)
        if opened.problem:
            yield Refused(name, line, f"reading ends with this record: {opened.problem}.")


def _format_of(head: str) -> Format | None:
    return next((each for each in _FORMATS if each.recognises(head)), None)


def _finished(found: Paper | str, name: str, line: int) -> Paper | Refused:
    """What a format module found, cleaned, with its id and source."""
    if isinstance(found, str):
        return Refused(name, line, found)
    title = clean_markup(found.title)
    paper = replace(
        found,
        id=found.id or paper_id(title, doi=found.doi, arxiv_id=found.arxiv_id),
        title=title,
        abstract=clean_markup(found.abstract),
        sources=found.sources or (name,),
    )
    return paper if title else Refused(name, line, "the title is empty.")


def _shown(path: Path) -> str:
    """The path as text that can be printed and stored, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _known_formats() -> str:
    *names, last = (each.NAME for each in _FORMATS)
    return f"{', '.join(names)} and {last}"
