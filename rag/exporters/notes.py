"""Note of Obsidian in parts: keys of its front matter and sections. Updates spare the user's edits.

A part is ours while it still holds what we wrote last. Of that only a mark is remembered: a hash of
the value of a key, or the length and hash of the lines of a section. Any other text is the user's.
It is never changed, and front matter is edited key by key as text, so that order, comments,
quoting and line ends stay. Called by `rag.exporters.vault`.

Source: https://help.obsidian.md/properties
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Value: TypeAlias = "str | int | tuple[str, ...]"
Marks: TypeAlias = "Mapping[str, Sequence[str]]"  # by part
ABSENT = ""  # mark of a part that is not there

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # keeps every value as its text
_FRONT_MATTER = re.compile(
    r"\ufeff?---[ \t]*\r?\n(?P<fields>.*?)^(?P<end>---|\.\.\.)[ \t]*(?:\r?\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_NOT_IN_YAML = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEMPLATE = re.compile(r"<(?=%)|(?<=%)>")  # of Templater, which runs code in any part of a note


@dataclass(frozen=True, slots=True)
class Note:
    """What a note of ours holds.

    Attributes:
        fields: front matter: a text, a number, True or several texts by key.
        sections: Markdown by heading, such as "## Abstract".
    """

    fields: Mapping[str, Value]
    sections: Mapping[str, str]

    @property
    def parts(self) -> dict[str, str]:
        """Text of each part, by key or heading."""
        fields = {name: _render_field(name, value) for name, value in self.fields.items()}
        return fields | {head: f"{head}\n\n{body}" for head, body in self.sections.items()}

    @property
    def marks(self) -> dict[str, str]:
        """Mark of each part, by key or heading."""
        fields = {name: _mark_value(value) for name, value in self.fields.items()}
        parts = self.parts
        return fields | {head: _mark_lines(parts[head].split("\n")) for head in self.sections}

    @property
    def text(self) -> str:
        """Whole note, as a new file has it."""
        parts = self.parts
        front = "\n".join(parts[name] for name in self.fields)
        return "\n\n".join([f"---\n{front}\n---", *(parts[head] for head in self.sections)]) + "\n"


def _render_field(name: str, value: Value) -> str:
    if isinstance(value, tuple):
        return "\n".join([f"{name}:", *(f"  - {_quote(each)}" for each in value)])
    return f"{name}: {_quote(value) if isinstance(value, str) else _get_scalar(value)}"


def _quote(text: str) -> str:
    """Return a text in the quotes of JSON, which YAML reads too."""
    quoted = json.dumps(text, ensure_ascii=False)
    quoted = _TEMPLATE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", quoted)
    return _NOT_IN_YAML.sub(lambda sign: f"\\u{ord(sign[0]):04x}", quoted)


def _get_scalar(value: str | int) -> str:
    return "true" if value is True else str(value)


def _mark_value(value: Value) -> str:
    plain = list(value) if isinstance(value, tuple) else _get_scalar(value)
    return _hash_text(json.dumps(plain))


def _mark_lines(lines: Sequence[str]) -> str:
    return f"{len(lines)}:{_hash_text(chr(10).join(lines))}"


def _hash_text(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Merged:
    """Note after an update.

    Attributes:
        text: of the whole note.
        marks: of what we have written, several where an interrupted run may have written one of
            them. A part without marks was never ours.
        kept: parts that differ from ours and are the user's.
    """

    text: str
    marks: Marks
    kept: tuple[str, ...] = ()


def make_new(note: Note) -> Merged:
    """Return a note that is all ours."""
    return Merged(note.text, {name: [mark] for name, mark in note.marks.items()})


def merge_note(text: str, note: Note, written: Marks | None) -> Merged | None:
    """Update the parts of a note that the user has not edited.

    Args:
        text: of the note now.
        note: what its parts should hold.
        written: marks of what we wrote last, by part. None if that is not known: then only parts
            that need no change are ours.

    Returns:
        None if the front matter is missing or cannot be read.
    """
    if text.removeprefix("\ufeff").replace("\r\n", "\n") == note.text:
        return replace(make_new(note), text=text)
    present = _NoteText.read(text)
    if present is None:
        return None
    parts, wanted = note.parts, note.marks
    default = [] if written is None else [ABSENT]
    known = dict.fromkeys(wanted, default) | dict(written or {})
    kept: list[str] = []
    for name, ours in known.items():
        mark = wanted.get(name, ABSENT)
        found = present.find(name, [*ours, mark])
        if found.mark in ours and found.mark != mark and present.is_free(found):
            present.put(name, found, parts.get(name, ""))
        elif found.mark != mark:
            kept.append(name)
    marks = {**make_new(note).marks, **{name: known[name] for name in kept}}
    return Merged(present.join(), marks, tuple(kept))


def read_field(text: str, name: str) -> str | None:
    r"""Return one text of a front matter, or None if it is not there.

    >>> read_field("---\nyear: 2021\n---\n", "year")
    '2021'
    """
    front = _FRONT_MATTER.match(text)
    line = front and re.search(rf"^{name}:.*$", front["fields"], re.MULTILINE)
    try:
        node = yaml.compose(line[0], Loader=_LOADER) if line else None
    except yaml.YAMLError:
        return None
    value = _read_value(node.value[0][1]) if isinstance(node, yaml.MappingNode) else None
    return value if isinstance(value, str) else None


class _Found(NamedTuple):
    """Part in the text of a note.

    Attributes:
        mark: `ABSENT` if it is not there, None if it holds something else than is looked for.
        start: offset of its first character.
        end: offset behind its last line, without the end of the line.
    """

    mark: str | None
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class _Edits:
    """Changes to a note: spans to replace, and new parts of the front matter and the body."""

    spans: list[tuple[int, int, str]] = field(default_factory=list)
    fields: str = ""
    sections: str = ""


class _NoteText:
    """Text of a note that is edited part by part."""

    def __init__(self, text: str, front: re.Match[str], entries: Mapping[str, _Found]) -> None:
        self._text = text
        self._front_end, self._body = front.start("end"), front.end()
        self._newline = "\r\n" if text[: text.index("\n")].endswith("\r") else "\n"
        self._entries = entries
        self._edits = _Edits()

    @classmethod
    def read(cls, text: str) -> _NoteText | None:
        """Read a note, or return None if its keys cannot be told apart by lines."""
        front = _FRONT_MATTER.match(text)
        if front is None or front["end"] != "---":
            return None
        try:
            entries = dict(_list_entries(front["fields"], front.start("fields")))
        except (ValueError, yaml.YAMLError):
            return None
        return cls(text, front, entries)

    def find(self, name: str, marks: Sequence[str]) -> _Found:
        """Return where a part is, and which of the marks it has."""
        if name.startswith("#"):
            return self._find_section(name, [mark for mark in marks if mark])
        return self._entries.get(name, _Found(ABSENT))

    def _find_section(self, heading: str, marks: Sequence[str]) -> _Found:
        """Look for lines with one of the marks under any such heading, as the user may add some."""
        lines, starts = self._lines
        found: set[_Found] = set()
        at_heading = [at for at, line in enumerate(lines) if line == heading]
        for at in at_heading:
            for mark in marks:
                last = at + int(mark.partition(":")[0])
                if last <= len(lines) and _mark_lines(lines[at:last]) == mark:
                    end = starts[last - 1] + len(lines[last - 1])
                    found.add(_Found(mark, starts[at], end))
        if len(found) == 1:
            return found.pop()
        return _Found(None if at_heading else ABSENT)

    @cached_property
    def _lines(self) -> tuple[list[str], list[int]]:
        """Lines of the body without their ends, and their offsets."""
        whole = self._text[self._body :].split("\n")
        starts = [self._body]
        for line in whole:
            starts.append(starts[-1] + len(line) + 1)
        return [line.removesuffix("\r") for line in whole], starts

    def is_free(self, found: _Found) -> bool:
        """Return whether a part holds nothing but its value: no comment, anchor or tag of YAML."""
        if found.mark == ABSENT or found.start >= self._body:
            return True
        entry, at = self._text[found.start : found.end], 0
        for token in yaml.scan(entry, Loader=_LOADER):
            is_sign = isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken)
            if is_sign or "#" in entry[at : token.start_mark.index]:
                return False
            at = token.end_mark.index
        return "#" not in entry[at:]

    def put(self, name: str, found: _Found, text: str) -> None:
        """Replace a part, remove it for an empty text, or add it where it is absent."""
        if found.mark == ABSENT:
            if name.startswith("#"):
                self._edits.sections += f"\n{text}\n"
            else:
                self._edits.fields += f"{text}\n"
            return
        end = found.end
        if not text:  # the end of its last line goes too, and the blank line below a section
            blank = r"(?:\r?\n){0,2}" if name.startswith("#") else r"\r?\n"
            end = re.compile(blank).match(self._text, end).end()  # type: ignore[union-attr]
        self._edits.spans.append((found.start, end, text))

    def join(self) -> str:
        """Return the text with all changes. A new section goes to the end, below any other text."""
        body_end = len(self._text)
        sections = self._edits.sections
        if sections and not self._text.endswith("\n"):
            sections = f"\n{sections}"
        added = [
            (self._front_end, self._front_end, self._edits.fields),
            (body_end, body_end, sections),
        ]
        text = self._text
        for start, end, new in sorted([*self._edits.spans, *added], reverse=True):
            text = text[:start] + new.replace("\n", self._newline) + text[end:]
        return text


def _list_entries(fields: str, offset: int) -> Iterator[tuple[str, _Found]]:
    """Yield the key and place of each entry of a front matter.

    Raises:
        ValueError, YAMLError: it is no mapping with each key once, at the start of a line.
    """
    node = yaml.compose(fields, Loader=_LOADER)
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError("no mapping")
    starts = [key.start_mark.index for key, _ in node.value]
    seen: set[str] = set()
    for (key, value), start, end in zip(
        node.value, starts, [*starts[1:], len(fields)], strict=True
    ):
        if key.value in seen or f"\n{fields}"[start] != "\n":
            raise ValueError("no keys at the start of lines")
        seen.add(key.value)
        lines = fields[start:end].split("\n")
        while not lines[-1].strip() or lines[-1].lstrip().startswith("#"):
            lines.pop()  # it follows the entry and is the user's
        length = len("\n".join(lines).removesuffix("\r"))
        plain = _read_value(value)
        mark = None if plain is None else _mark_value(plain)
        yield key.value, _Found(mark, offset + start, offset + start + length)


def _read_value(node: yaml.Node) -> str | tuple[str, ...] | None:
    """Return a text or a list of texts, and None for any other value."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    several = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if all(isinstance(each, yaml.ScalarNode) for each in several):
        return tuple(each.value for each in several)
    return None
