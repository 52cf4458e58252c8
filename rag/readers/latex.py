"""Read the values of BibTeX fields as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.readers.fields import collapse_space
from rag.text.tex import convert_tex

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARK = re.compile(r'(?<!\\)[{}"#]')
_MARK_OR_FIELD = re.compile(r'(?<!\\)[{}"]|(?<=[\s}"])[A-Za-z][\w-]*\s*=')
_LONGEST_JOINED = 2_000_000  # characters of a value with @string entries


def unquote_value(value: str, strings: Mapping[str, str]) -> str:
    """Remove the delimiters of a field's value. Join parts at "#" and resolve @string names.

    >>> unquote_value('acl # " 2020"', {"acl": "Proc. of ACL"})
    'Proc. of ACL 2020'

    Raises:
        ValueError: @string entries make the value too long.
    """
    if "#" not in value:
        return _resolve_part(value.strip(), strings)
    parts, start, depth, quoted = [], 0, 0, False
    for mark in _MARK.finditer(value):
        if mark[0] == '"':
            quoted = quoted != (depth == 0)
        elif mark[0] != "#":
            depth += 1 if mark[0] == "{" else -1
        elif depth == 0 and not quoted:
            parts.append(value[start : mark.start()])
            start = mark.end()
    parts.append(value[start:])
    whole = [_resolve_part(part.strip(), strings) for part in parts]
    if sum(map(len, whole)) > max(_LONGEST_JOINED, len(value)):
        raise ValueError("its @string entries make a value too long")
    return "".join(whole)


def has_next_field(value: str) -> bool:
    """Return whether a value holds the next field too, since the comma between is missing.

    >>> has_next_field("{A = b} year = 2000"), has_next_field('"A = b"')
    (True, False)
    """
    depth, quoted = 0, False
    for mark in _MARK_OR_FIELD.finditer(value) if "=" in value else ():
        if mark[0] == '"':
            quoted = quoted != (depth == 0)
        elif mark[0] in {"{", "}"}:
            depth += 1 if mark[0] == "{" else -1
        elif depth == 0 and not quoted:
            return True
    return False


def _resolve_part(part: str, strings: Mapping[str, str]) -> str:
    if part[:1] in {"{", '"'}:
        return part[1:-1]
    return strings.get(part.lower(), part)


def to_plain_text(value: str) -> str:
    """Convert a value to plain text on one line."""
    return collapse_space(convert_tex(value))
