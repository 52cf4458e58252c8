"""Read records of tagged lines, as MEDLINE and the Web of Science write them.

A line without a tag continues the text above it. One record is held at a time, so an error affects
only its own record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.readers.fields import NO_END, OTHER_FORMAT, collapse_space, find_record_tag

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator


class TaggedRecord:
    """Fields of a record, each with its tag and its lines, in the order of the file.

    Attributes:
        line: number of its first line, 0 if it has none.
    """

    def __init__(self) -> None:
        self.line = 0
        self._fields: list[tuple[str, list[str]]] = []
        self._known: dict[str, list[list[str]]] = {}

    def __contains__(self, tag: str) -> bool:
        return tag in self._known

    def add(self, number: int, tag: str, text: str) -> None:
        """Add a line. One without a tag belongs to the field above it."""
        self.line = self.line or number
        if tag.strip():
            lines = [text]
            self._fields.append((tag, lines))
            self._known.setdefault(tag, []).append(lines)
        elif self._fields:
            self._fields[-1][1].append(text)

    def list_fields(self, *tags: str) -> list[tuple[str, str]]:
        """Return the tags and texts of fields with these tags in the order of the file."""
        return [(tag, _join(lines)) for tag, lines in self._fields if tag in tags]

    def list_texts(self, *tags: str) -> list[str]:
        """Return the texts of fields with these tags, those of the first tag first."""
        return [_join(lines) for tag in tags for lines in self._known.get(tag, ())]

    def list_lines(self, tag: str) -> list[str]:
        """Return the lines of the fields with this tag."""
        return [line for lines in self._known.get(tag, ()) for line in lines]

    def find_text(self, *tags: str) -> str:
        """Return the first text of the first tag that has one, or "" if none has."""
        return next(filter(None, self.list_texts(*tags)), "")


def _join(lines: list[str]) -> str:
    return collapse_space(" ".join(lines))


def read_records(
    lines: Iterable[str], tag_line: re.Pattern[str], first: str, ends: tuple[str, ...]
) -> Iterator[tuple[int, TaggedRecord | str]]:
    """Yield each record with its first line, or the reason for refusal.

    Args:
        lines: the file.
        tag_line: matches a line with a tag. Its groups are the tag and the text after it.
        first: tag that starts a record.
        ends: tags of lines that end a record and belong to none. "" is a blank line, which may
            be missing behind the last record.
    """
    record = TaggedRecord()
    for number, line in _list_own(lines, first):
        if line is None:
            if record.line:
                yield record.line, _finish(record, ends)
            record = TaggedRecord()
            yield number, OTHER_FORMAT
            continue
        found = tag_line.match(line)
        tag, text = found.groups() if found else (" " if line.strip() else "", line)
        is_end = tag in ends
        # PubMed Central puts other identifiers before the PMID.
        is_next = tag == first and (first in record or "TI" in record)
        if record.line and (is_end or is_next):
            yield record.line, record
            record = TaggedRecord()
        if not is_end and (record.line or tag):
            record.add(number, tag, text)
    if record.line:
        yield record.line, _finish(record, ends)


def _list_own(lines: Iterable[str], first: str) -> Iterator[tuple[int, str | None]]:
    """Yield the numbered lines. Yield None for each run of records of another format."""
    is_other = False
    for number, line in enumerate(lines, 1):
        start = find_record_tag(line)
        if start and is_other != (start != first):
            is_other = not is_other
            if is_other:
                yield number, None
        if not is_other:
            yield number, line


def _finish(record: TaggedRecord, ends: tuple[str, ...]) -> TaggedRecord | str:
    return record if "" in ends else NO_END
