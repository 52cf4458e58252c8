"""Split the text of a reply into statements: sentences, list items and cells of tables.

A marker after the full stop belongs to the sentence before it. In a line that begins with a marker
and ends without one, or has one before every sentence, it belongs to the sentence after it. A
table cell that holds only markers belongs to the cell before it, unless that names the row. A
sentence ends with its line or its table cell, so the items of a list stay apart.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING, Literal

from rag.citations.markers import LINE_LEAD, find_fence_end, remove_markers, split_markers
from rag.text.sentences import sentence_spans
from rag.text.terms import has_words

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAD = re.compile(r"\s*(?:>\s*)*(?:(?:[-*•+]|\d{1,3}[.)])\s+)?")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]{1,80}\*\*:?\s*$|[\s:-]+$)")
_ROW = re.compile(r"^\s*\|", re.MULTILINE)
_RULE = re.compile(r"\s*\|[\s:|-]*-[\s:|-]*$")
_CELL_END = re.compile(r"(?<!\\)\|")
_BOUNDARY = re.compile(rf"({_CELL_END.pattern}|\n)")
_LONGEST_NAME = 100  # of a row or a column: every cell repeats it
_FEWEST_WORDS = 4  # a shorter cell of a table without a marker claims nothing
_FULL_STOP = re.compile(r"[。！？]+[」』”’）]*")  # in Chinese and Japanese, no space follows
_SPACE_BEFORE_STOP = re.compile(r"\s+(?=[.,;:!?)](?:\s|$))")
_PARTICLE = re.compile(
    r"(?:yes|no|not (?:necessarily|exactly|quite|really|always|entirely)|partly|in part|maybe|"
    r"perhaps|it depends|correct|indeed)\W*",
    re.IGNORECASE,
)
_DECORATION = "*_ \t|"


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement of a reply.

    Attributes:
        text: without markers and list signs.
        start: offset of its first character in the shown text.
        end: offset behind its last character there, its markers included.
        numbers: of its markers, in order, each once.
        claim: whether it claims anything. Headings, questions, "Yes.", names in a table and lines
            that introduce a list do not.
        context: names of the row and the column of a table cell, "" outside of tables.
    """

    text: str
    start: int
    end: int
    numbers: tuple[int, ...]
    claim: bool
    context: str


@dataclass(frozen=True, slots=True)
class _Mark:
    place: int  # in the text without markers
    start: int  # in the shown text
    end: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Line or table cell, in the text without markers."""

    start: int
    end: int
    kind: Literal["line", "label", "cell", "header"] = "line"
    context: str = ""


@dataclass(frozen=True, slots=True)
class _Span:
    """Statement, in the text without markers."""

    start: int
    end: int
    claim: bool
    name: bool = False  # of a table row, a claim only with a citation
    context: str = ""


def render_markers(numbers: tuple[int, ...]) -> str:
    """Return numbers as readers see them.

    >>> render_markers((1, 3))
    '[1][3]'
    """
    return "".join(f"[{number}]" for number in numbers)


def split_statements(pieces: list[str | tuple[int, ...]]) -> tuple[str, list[ParsedStatement]]:
    """Return the shown text of a reply, and its statements.

    Args:
        pieces: text, and tuples with the shown numbers of one marker.
    """
    plain, shown, marks = _join_pieces(pieces)
    parts = list(_split_parts(plain))
    spans = [span for part in parts for span in _split_spans(plain, part)]
    own: list[list[_Mark]] = [[] for _ in spans]
    if spans:
        for mark, owner in _assign_marks(plain, parts, spans, marks):
            own[owner].append(mark)
    places = [mark.place for mark in marks]
    before = list(accumulate((mark.end - mark.start for mark in marks), initial=0))
    found = []
    for span, mine in zip(spans, own, strict=True):
        start = span.start + before[bisect_left(places, span.start + 1)]
        end = span.end + before[bisect_left(places, span.end)]
        found.append(_build_statement(plain, span, start, end, mine))
    return shown, found


def find_contexts(text: str) -> dict[int, str]:
    """Return the context of each statement of a shown text, by the offset of its start."""
    pieces = [piece if isinstance(piece, str) else piece.numbers for piece in split_markers(text)]
    return {each.start: each.context for each in split_statements(pieces)[1]}


def is_cell(text: str, start: int) -> bool:
    """Return whether the line of a shown text around an offset is a row of a table."""
    return _ROW.match(text, text.rfind("\n", 0, start) + 1) is not None


def split_row(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what a statement in a table reaches over to its markers, such as bars.

    Returns:
        the text before its own cell and the text behind it, without markers. "" outside of tables.
    """
    if not _ROW.search(text[text.rfind("\n", 0, start) + 1 : end]):
        return "", ""
    cells = _BOUNDARY.split(text[start:end])
    own = next((n for n, cell in enumerate(cells) if has_words(remove_markers(cell))), 0)
    before, behind = (remove_markers("".join(each)) for each in (cells[:own], cells[own + 1 :]))
    return before and f"{before} ", behind and f" {behind}"


def escape_bars(text: str) -> str:
    """Return a text that stays in one cell of a table."""
    return _CELL_END.sub(r"\\|", text)


def _join_pieces(pieces: list[str | tuple[int, ...]]) -> tuple[str, str, list[_Mark]]:
    """Return the text without markers, the text with them, and the markers."""
    plain, shown, marks = "", "", []
    for piece in pieces:
        if isinstance(piece, str):
            plain += piece
            shown += piece
        else:
            text = render_markers(piece)
            marks.append(_Mark(len(plain), len(shown), len(shown) + len(text), piece))
            shown += text
    return plain, shown, marks


def _split_parts(plain: str) -> Iterator[_Part]:
    """Yield the lines and the table cells of a text without markers, but no code or blank lines."""
    code_end = 0
    columns: list[str] = []
    lines = plain.splitlines(keepends=True)
    starts = accumulate(map(len, lines), initial=0)
    for at, line, next_line in zip(starts, lines, [*lines[1:], ""], strict=False):
        lead = at + len(line) - len(line.lstrip(LINE_LEAD))
        if at >= code_end:
            end = find_fence_end(plain, lead)
            code_end = end if end and end > lead else code_end
        body = line.rstrip()
        if at < code_end or not body:
            continue
        if _RULE.match(body):
            continue
        if _ROW.match(body):
            is_header = _RULE.match(next_line.rstrip()) is not None
            columns = _name_cells(body) if is_header else columns
            yield from _split_cells(body, at, columns, is_header=is_header)
        else:
            columns = []
            yield _Part(at, at + len(body))


def _split_cells(row: str, at: int, columns: list[str], *, is_header: bool) -> Iterator[_Part]:
    label = _name_cells(row)[0]
    for number, (left, right) in enumerate(_find_cells(row)):
        if is_header:
            yield _Part(at + left, at + right, "header")
        elif number == 0:
            yield _Part(at + left, at + right, "label")
        else:
            names = (label, columns[number] if number < len(columns) else "")
            yield _Part(at + left, at + right, "cell", ", ".join(filter(None, names)))


def _find_cells(row: str) -> list[tuple[int, int]]:
    """Return where each cell begins and ends, between the bars of a table's row."""
    bars = [*(found.start() for found in _CELL_END.finditer(row)), len(row)]
    cells = [(left + 1, right) for left, right in pairwise(bars)]
    return [cell for cell in cells if row[slice(*cell)].strip() or cell[1] < len(row)]


def _name_cells(row: str) -> list[str]:
    names = [_clean(row[left:right]) for left, right in _find_cells(row)] or [""]
    return [
        name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "…"
        for name in names
    ]


def _split_spans(plain: str, part: _Part) -> Iterator[_Span]:
    body = plain[part.start : part.end]
    lead = _LEAD.match(body)
    first = lead.end() if lead and part.kind == "line" else 0
    if part.kind == "line" and _HEADING.match(body):
        yield _Span(part.start + first, part.end, claim=False)
        return
    for left, right in _split_sentences(body[first:]):
        text = body[first + left : first + right].strip(_DECORATION)
        if any(letter.isalnum() for letter in text):
            claim = part.kind != "header" and _is_claim(text)
            is_short = len(text.split()) < _FEWEST_WORDS
            name = part.kind == "label" or (part.kind == "cell" and is_short)
            start = part.start + first
            yield _Span(start + left, start + right, claim, name, part.context)


def _split_sentences(text: str) -> Iterator[tuple[int, int]]:
    for start, end in sentence_spans(text):
        ends = [found.end() for found in _FULL_STOP.finditer(text, start, end)]
        for left, right in pairwise([start, *ends, end]):
            if right > left:
                yield left, right


def _is_claim(text: str) -> bool:
    """Return whether a sentence claims anything, unlike a question, a lead-in line or "Yes."."""
    has_words = any(letter.isalpha() for letter in text) and not _PARTICLE.fullmatch(text)
    return has_words and not text.endswith((":", "?", "：", "？"))


def _assign_marks(
    plain: str, parts: list[_Part], spans: list[_Span], marks: list[_Mark]
) -> Iterator[tuple[_Mark, int]]:
    """Yield each marker with the index of its statement. There must be at least one span."""
    part_starts = [part.start for part in parts]
    starts = [span.start for span in spans]
    line_starts = list(accumulate(map(len, plain.splitlines(keepends=True)), initial=0))

    def find_part(mark: _Mark) -> int:
        return max(0, bisect_right(part_starts, mark.place) - 1)

    def find_line(place: int) -> int:
        return bisect_right(line_starts, place)

    def find_neighbour(mark: _Mark) -> int:
        """Return the statement for a marker whose line or cell has none."""
        after = bisect_left(starts, mark.place)
        before = after - 1
        if before < 0:
            return after
        line = find_line(mark.place)
        names_row = parts[bisect_right(part_starts, starts[before]) - 1].kind == "label"
        if find_line(starts[before]) == line and not names_row:
            return before
        return after if after < len(spans) and find_line(starts[after]) == line else before

    for number, group in groupby(marks, find_part):
        part, together = parts[number], list(group)
        first, last = bisect_left(starts, part.start), bisect_left(starts, part.end)
        if first == last:
            yield from ((mark, find_neighbour(mark)) for mark in together)
            continue
        is_leading = _is_leading(plain, part, spans[first:last], together)
        for mark in together:
            after = bisect_left(starts, mark.place)
            is_inside = after > 0 and mark.place < spans[after - 1].end
            owner = after if is_leading and not is_inside else after - 1
            yield mark, min(max(owner, first), last - 1)


def _is_leading(plain: str, part: _Part, spans: list[_Span], marks: list[_Mark]) -> bool:
    """Return whether the markers of a line or cell stand before its sentences.

    It begins with one, perhaps behind a colon, and ends without one or has one before every
    sentence.
    """
    body = plain[part.start : marks[0].place]
    lead = _LEAD.match(body)
    before_first = body[lead.end() if lead else 0 :].strip(_DECORATION)
    if before_first and not before_first.endswith((":", "：")):
        return False
    if any(letter.isalnum() for letter in plain[marks[-1].place : part.end]):
        return True
    places = [mark.place for mark in marks]
    gaps = pairwise([_Span(0, part.start, claim=False), *spans])
    return not before_first and all(
        bisect_left(places, before.end) < bisect_right(places, span.start) for before, span in gaps
    )


def _build_statement(
    plain: str, span: _Span, start: int, end: int, own: list[_Mark]
) -> ParsedStatement:
    """Build a statement from its offsets in the shown text, which leave out its markers."""
    return ParsedStatement(
        _clean(plain[span.start : span.end]),
        min([start, *(mark.start for mark in own)]),
        max([end, *(mark.end for mark in own)]),
        tuple(dict.fromkeys(number for mark in own for number in mark.numbers)),
        span.claim and (bool(own) or not span.name),
        span.context,
    )


def _clean(text: str) -> str:
    """Return a text on one line, without signs of bold or italic text around it."""
    plain = " ".join(text.replace("**", "").split())
    return _SPACE_BEFORE_STOP.sub("", plain).strip(_DECORATION)
