"""Read records of tagged lines, as RIS, MEDLINE and the Web of Science write them.

A line without a tag continues the text above it. One record is held at a time, so an error affects
only its own record.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rag.readers.fields import NO_END, OTHER_FORMAT, collapse_space, find_record_start, split_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rag.readers.fields import RawRecord


class TaggedRecord:
    """Fields of a record, each with its tag and its text with line ends, in order."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        self._texts: dict[str, list[str]] = {}
        for tag, text in fields:
            self._texts.setdefault(tag, []).append(text)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, tag: str) -> bool:
        return tag in self._texts

    def list_fields(self, *tags: str) -> list[tuple[str, str]]:
        """Return the tags and texts of fields with these tags in the order of the file."""
        return [(tag, collapse_space(text)) for tag, text in self._fields if tag in tags]

    def list_texts(self, *tags: str) -> list[str]:
        """Return the texts of fields with these tags, those of the first tag first."""
        return [collapse_space(text) for tag in tags for text in self._texts.get(tag, ())]

    def list_lines(self, *tags: str) -> list[str]:
        """Return the lines of the fields with the first of these tags that has any."""
        found = next(filter(None, map(self._texts.get, tags)), None)
        return "\n".join(found).split("\n") if found else []

    def find_text(self, *tags: str) -> str:
        """Return the first text of the first tag that has one, or "" if none has."""
        for tag in tags:
            for text in self._texts.get(tag, ()):
                if found := collapse_space(text):
                    return found
        return ""


class TagFormat(NamedTuple):
    """How a format writes records.

    Attributes:
        first: tag that starts a record.
        mark: matches the line that ends a record, as group 1, or else the break before one starts.
        field: matches a tag, as group 1, and its text with the lines that continue it, as group 2.
        is_open: whether the last record may lack its end.
    """

    first: str
    mark: re.Pattern[str]
    field: re.Pattern[str]
    is_open: bool = False


def make_format(
    first: str,
    *,
    start: str,
    end: str,
    tag: str,
    sign: str,
    before: str = "",
    is_open: bool = False,
) -> TagFormat:
    """Make a format of patterns: lines that start or end a record, a tag, signs around it."""
    return TagFormat(
        first,
        re.compile(rf"\n(?:({end})(?:\n+(?={start}))?|(?={start}))", re.MULTILINE),
        re.compile(rf"^{before}({tag}){sign}(.*(?:\n(?!{before}{tag}{sign}).*)*)", re.MULTILINE),
        is_open,
    )


def read_records(
    pieces: Iterable[str], form: TagFormat, parse: Callable[[TaggedRecord], RawRecord | str]
) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the first line of each record with the record or the reason for refusal."""
    line, text, is_other = 0, "", False
    for part, mark in split_at(pieces, form.mark):
        text = f"{text}\n{part}" if text else part
        record = TaggedRecord(form.field.findall(text))
        begun, start = _find_start(text, form, record)
        if mark and mark[1] is None and not start and _is_begun(record, form):
            continue
        if start not in {"", form.first} and not is_other:
            yield line + text.count("\n", 0, begun), OTHER_FORMAT
        is_other = start != form.first if start else is_other
        if record and not is_other:
            found = parse(record) if mark is not None or form.is_open else NO_END
            yield line + text.count("\n", 0, begun), found
        line += text.count("\n") + (mark[0].count("\n") if mark else 0)
        text = ""


def _is_begun(record: TaggedRecord, form: TagFormat) -> bool:
    """Return whether tags may precede the first one: in RIS any, elsewhere other identifiers."""
    return len(record) > 0 and (form.first == "TY" or "TI" not in record)


def _find_start(text: str, form: TagFormat, record: TaggedRecord) -> tuple[int, str]:
    """Return where a record starts, and the tag of its format if it has that."""
    first = form.field.search(text)
    begun = first.start() if first else len(text)
    found = find_record_start(text[: text.find("\n", begun) + 1 or None])
    if found and found[1] != form.first:
        return found
    return begun, form.first if form.first in record else ""
