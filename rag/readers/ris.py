"""RIS: two-letter tags, from "TY  - " to "ER  - ", as most reference managers export it.

rispy reads the records, one at a time; so a file is never held as a whole and what is wrong with
one record stays with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import rispy

from rag.papers import normal_arxiv_id
from rag.readers import fields
from rag.readers.fields import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "RIS"

_START = re.compile(r"TY  - ?\s*\w*\s*$")
_END = "ER  -"


def recognises(head: str) -> bool:
    """Whether a record begins among the first lines that are not blank."""
    return fields.begins(head, _START)


def read(lines: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each record with the line of its TY; a record that the file's end cuts off is refused."""
    first = 0
    record: list[str] = []
    # What rispy keeps of tags that it does not know is of no use here, and it cuts addresses.
    parser = rispy.RisParser(skip_unknown_tags=True, delimiter_tags_mapping={})
    for number, line in enumerate(lines, 1):
        tag = line[:2]
        if tag == "TY" and _START.match(line):
            if record:
                yield first, _paper_or_reason(parser, record)
            first, record = number, [line]
        elif tag == "ER" and record and line.startswith(_END):
            yield first, _paper_or_reason(parser, record)
            record = []
        elif record:
            record.append(line)
    if record:
        yield first, "the record does not end with ER; the file may be cut off, export it again."


def _paper_or_reason(parser: rispy.RisParser, record: list[str]) -> Found | str:
    found = parser.parse_lines(iter([*record, "ER  - "]))  # type: ignore[arg-type]
    known = found[0] if found else {}
    title = _text(known, "title", "primary_title")
    if not title:
        return fields.NO_TITLE
    urls, doi = fields.addresses(_several(known, "urls")), _text(known, "doi")
    notes = _several(known, "notes")
    return Found(
        id=fields.carried_id(fields.noted("Papertrail", notes)),
        title=title,
        abstract=_text(known, "abstract", "notes_abstract"),
        authors=fields.authors(_several(known, "authors") or _several(known, "first_authors")),
        year=fields.year(_text(known, "year"), _text(known, "publication_year", "date")),
        venue=_text(
            known, "alternate_title3", "journal_name", "secondary_title", "alternate_title2"
        )
        or None,
        url=fields.web_address(*urls),
        doi=fields.doi(doi, *urls),
        arxiv_id=normal_arxiv_id(fields.noted("arXiv", notes)) or fields.arxiv_id(doi, *urls),
        metadata=fields.tags(_several(known, "keywords")),
    )


def _several(known: dict[str, Any], name: str) -> list[str]:
    values = known.get(name) or []
    return values if isinstance(values, list) else [str(values)]


def _text(known: dict[str, Any], *names: str) -> str:
    """The first of several fields that is there; "" if none is."""
    for name in names:
        value = known.get(name)
        if value and (
            text := fields.one_line(value if isinstance(value, str) else " ".join(value))
        ):
            return text
    return ""
