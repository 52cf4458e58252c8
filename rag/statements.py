"""From the text of a reply to its statements: sentences, list items, lines that lead in. Pure.

A marker behind the full stop belongs to the sentence before it. Sentences never reach over the end
of a line, so the items of a list stay apart.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from rag.text import sentence_spans

_LEAD = re.compile(r"\s*(?:>\s*)*(?:(?:[-*•+]|\d{1,3}[.)])\s+)?")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]{1,80}\*\*:?\s*$|\|?[\s:|-]+\|?\s*$)")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_SPACE_BEFORE_STOP = re.compile(r"\s+(?=[.,;:!?)](?:\s|$))")
_PARTICLE = re.compile(
    r"(?:yes|no|not (?:necessarily|exactly|quite|really|always|entirely)|partly|in part|maybe|"
    r"perhaps|it depends|correct|indeed)\W*",
    re.IGNORECASE,
)
_DECORATION = "*_ \t|"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One statement of a reply.

    Attributes:
        text: without markers and list signs.
        start: offset of its first character in the shown text.
        end: offset behind its last character there, its markers included.
        numbers: of its markers, in order, each once.
        claim: whether it says anything that needs support; headings, code, questions, "Yes." and
            lines that only lead in to a list do not.
    """

    text: str
    start: int
    end: int
    numbers: tuple[int, ...]
    claim: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    place: int  # in the text without markers
    start: int  # in the shown text
    end: int
    numbers: tuple[int, ...]


def shown_markers(numbers: tuple[int, ...]) -> str:
    """Numbers as readers see them.

    >>> shown_markers((1, 3))
    '[1][3]'
    """
    return "".join(f"[{number}]" for number in numbers)


def split_statements(pieces: list[str | tuple[int, ...]]) -> tuple[str, list[Spoken]]:
    """The shown text of some pieces, and its statements.

    Args:
        pieces: text, and the shown numbers of one marker each.
    """
    plain, shown, marks = "", "", []
    for piece in pieces:
        if isinstance(piece, str):
            plain += piece
            shown += piece
        else:
            text = shown_markers(piece)
            marks.append(_Mark(len(plain), len(shown), len(shown) + len(text), piece))
            shown += text
    spans = _spans(plain)
    owners = _owners([start for start, _, _ in spans], marks, plain)
    own: list[list[_Mark]] = [[] for _ in spans]
    for mark, owner in zip(marks, owners, strict=True):
        if owner is not None:
            own[owner].append(mark)
    return shown, [_spoken(plain, span, mine, marks) for span, mine in zip(spans, own, strict=True)]


def _spans(plain: str) -> list[tuple[int, int, bool]]:
    """Start, end and claim of every statement in a text without markers."""
    spans = []
    start, fenced = 0, False
    for line in plain.splitlines(keepends=True):
        at, start = start, start + len(line)
        body = line.rstrip()
        if _FENCE.match(line):
            fenced = not fenced
            continue
        if fenced or not body:
            continue
        lead = _LEAD.match(body)
        first = lead.end() if lead else 0
        if _HEADING.match(body):
            spans.append((at + first, at + len(body), False))
            continue
        for left, right in sentence_spans(body[first:]):
            text = body[first + left : first + right].strip(_DECORATION)
            if any(letter.isalnum() for letter in text):
                spans.append((at + first + left, at + first + right, _is_claim(text)))
    return spans


def _is_claim(text: str) -> bool:
    """Not what only leads in, asks, or answers "Yes." or "Not necessarily."."""
    says = any(letter.isalpha() for letter in text) and not _PARTICLE.fullmatch(text)
    return says and not text.endswith((":", "?"))


def _owners(starts: list[int], marks: list[_Mark], plain: str) -> list[int | None]:
    """Which statement each marker belongs to: the last that began before it, on its line."""
    owners: list[int | None] = []
    for mark in marks:
        before = bisect_left(starts, mark.place) - 1
        behind = before + 1
        leads_line = before < 0 or "\n" in plain[starts[before] : mark.place].rstrip(" \t")
        if leads_line and behind < len(starts) and "\n" not in plain[mark.place : starts[behind]]:
            owners.append(behind)
        else:
            owners.append(before if before >= 0 else (behind if starts else None))
    return owners


def _spoken(
    plain: str, span: tuple[int, int, bool], own: list[_Mark], marks: list[_Mark]
) -> Spoken:
    start, end, claim = span
    text = _SPACE_BEFORE_STOP.sub("", " ".join(plain[start:end].replace("**", "").split()))
    text = text.strip(_DECORATION)
    places = [mark.place for mark in marks]
    lengths = list(accumulate((mark.end - mark.start for mark in marks), initial=0))
    shown_start = start + lengths[bisect_left(places, start + 1)]
    shown_end = end + lengths[bisect_left(places, end)]
    numbers = dict.fromkeys(number for mark in own for number in mark.numbers)
    return Spoken(
        text,
        min([shown_start, *(mark.start for mark in own)]),
        max([shown_end, *(mark.end for mark in own)]),
        tuple(numbers),
        claim,
    )
