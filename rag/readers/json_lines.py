"""JSON Lines: one JSON object a line with a title and an abstract.

Also what the bundled library is kept in. What the objects may look like stands in
`rag.readers.json_records`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers.json_records import AS_NAMED, paper_or_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rag.readers.fields import Found

NAME = "JSON Lines"

_OBJECT = re.compile(r'\s*\{\s*"')


def recognises(head: str) -> bool:
    """Whether most of the first lines begin an object; a list of objects is not JSON Lines."""
    lines = [line for line in head.split("\n") if line.strip()][:4]
    objects = sum(_OBJECT.match(line) is not None for line in lines)
    return not head.lstrip().startswith("[") and 0 < len(lines) <= 2 * objects


def read(
    lines: Iterable[str], columns: Mapping[str, str] = AS_NAMED
) -> Iterator[tuple[int, Found | str]]:
    """Each line that is not blank, with its paper or the reason why it has none."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, paper_or_reason(line, columns)
