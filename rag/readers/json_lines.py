"""JSON Lines: one JSON object per line with a title and an abstract.

The bundled library has this format. `rag.readers.json_records` parses the objects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers.json_records import AS_NAMED, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rag.readers.fields import RawRecord

_INSIDE = "the line may belong to the record refused above. Write each record on one line."
_OBJECT = re.compile(r'\s*\{\s*"')


def recognises(head: str) -> bool:
    """Return whether most of the first lines start an object, but not a list of objects."""
    lines = [line for line in head.split("\n") if line.strip()][:4]
    objects = sum(_OBJECT.match(line) is not None for line in lines)
    return not head.lstrip().startswith("[") and 0 < len(lines) <= 2 * objects


def read(
    lines: Iterable[str], columns: Mapping[str, str] = AS_NAMED
) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield each non-blank line with its record or the reason for refusal.

    An object that is indented below a refused line with an open brace is a part of that record.
    """
    margin: int | None = None  # indentation of the line with the open brace
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        indent = len(line) - len(line.lstrip())
        found = parse_record(line, columns)
        if margin is not None and indent > margin:
            yield number, found if isinstance(found, str) else _INSIDE
            continue
        yield number, found
        is_open = margin is not None or text.count("{") > text.count("}")
        margin = indent if is_open and isinstance(found, str) else None
