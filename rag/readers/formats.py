"""Formats of files of papers.

Each format is a module that offers

    recognises(head)      returns whether a file that starts with this text has the format
    read(lines)           yields (line number, record, note or reason for refusal), lazily

To add a format, write a module and add it to `_FORMATS`. The first format that recognises a file
reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rag.errors import CorpusError
from rag.readers import (
    arxiv_atom,
    bibtex,
    json_array,
    json_lines,
    listing_page,
    medline,
    pubmed_xml,
    ris,
    tables,
    web_of_science,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rag.readers.fields import Note, RawRecord

    Records: TypeAlias = Iterator[tuple[int, RawRecord | Note | str]]


class Format(Protocol):
    """Module of one format."""

    @property
    def recognises(self) -> Callable[[str], bool]:
        """Return whether a file that starts with this text has the format."""

    @property
    def read(self) -> Callable[[Iterable[str]], Records]:
        """Yield each record's line number, from 1, with the record or the reason for refusal."""


Formats: TypeAlias = tuple[Format, ...]

# A list of records on one line also looks like JSON Lines, so lists come first. A listing page has
# few features, so it comes last.
_FORMATS: Formats = (
    json_array,
    json_lines,
    arxiv_atom,
    pubmed_xml,
    bibtex,
    ris,
    medline,
    web_of_science,
    tables,
    listing_page,
)


# These formats accept pieces of several whole lines, which they split faster or not at all.
IN_PIECES: Formats = (arxiv_atom, pubmed_xml, bibtex, ris, medline, web_of_science)


@dataclass(frozen=True, slots=True)
class _Mapped:
    """Format with mapped columns."""

    recognises: Callable[[str], bool]
    read: Callable[[Iterable[str]], Records]


def list_formats(columns: Mapping[str, str]) -> Formats:
    """Return all formats, in the order in which they are tried.

    Args:
        columns: names of fields in tables and JSON records.

    Raises:
        CorpusError: a field is unknown.
    """
    unknown = next((field for field in columns if field not in tables.FIELDS), None)
    if unknown is not None:
        raise CorpusError(
            f'Cannot map a column to "{unknown}". Choose one of {", ".join(tables.FIELDS)}.'
        )
    if not columns:
        return _FORMATS
    mapped: dict[Format, Format] = {
        tables: _Mapped(
            partial(tables.recognises, columns=columns), partial(tables.read, columns=columns)
        ),
        **{
            each: _Mapped(each.recognises, partial(each.read, columns=columns))
            for each in (json_array, json_lines)
        },
    }
    return tuple(mapped.get(each, each) for each in _FORMATS)
