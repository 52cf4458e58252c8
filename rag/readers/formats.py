"""The formats that files of papers come in.

Each format is a module that offers

    NAME                  what the format is called in messages
    recognises(head)      whether a file that begins with this text is of the format
    read(lines)           yields (line number, paper or the reason why it is none), lazily

A new format is one new module and its name in `_FORMATS`; the first that recognises a file reads
it. Called by `rag.readers`.
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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rag.readers.fields import Found

    Records: TypeAlias = Iterator[tuple[int, Found | str]]


class Format(Protocol):
    """What a format module offers."""

    @property
    def NAME(self) -> str: ...  # noqa: N802, D102

    @property
    def recognises(self) -> Callable[[str], bool]:
        """Whether a file that begins with this text is of the format."""

    @property
    def read(self) -> Callable[[Iterable[str]], Records]:
        """Each record's line number, from 1, with the paper or the reason why it is none."""


Formats: TypeAlias = tuple[Format, ...]

# A list of records on one line also looks like JSON Lines, so lists come first; a listing page is
# told by little, so it comes last.
_FORMATS: Formats = (
    json_array,
    json_lines,
    arxiv_atom,
    pubmed_xml,
    bibtex,
    ris,
    medline,
    tables,
    listing_page,
)


# To these a text may be several whole lines as well as one, which they cut faster or not at all.
IN_PIECES: Formats = (arxiv_atom, pubmed_xml, bibtex, ris)


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A format that was told what its columns are called."""

    NAME: str
    recognises: Callable[[str], bool]
    read: Callable[[Iterable[str]], Records]


def formats(columns: Mapping[str, str]) -> Formats:
    """All formats, in the order in which they are asked.

    Args:
        columns: fields of a paper with their names in tables and JSON records.

    Raises:
        CorpusError: a paper has no such field.
    """
    unknown = next((field for field in columns if field not in tables.FIELDS), None)
    if unknown is not None:
        raise CorpusError(
            f'A column can be mapped to {", ".join(tables.FIELDS)}, not to "{unknown}".'
        )
    if not columns:
        return _FORMATS
    mapped = (
        _Mapped(
            tables.NAME,
            partial(tables.recognises, columns=columns),
            partial(tables.read, columns=columns),
        ),
        *(
            _Mapped(each.NAME, each.recognises, partial(each.read, columns=columns))
            for each in (json_array, json_lines)
        ),
    )
    by_name = {each.NAME: each for each in mapped}
    return tuple(by_name.get(each.NAME, each) for each in _FORMATS)
