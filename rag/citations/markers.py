r"""Find citation markers in a model's reply while it streams.

A marker is a paper's number, or several, in brackets: [1] [1,2] [1-3] [[1]] 【1】 ［1］ 〔1〕 [^1]
\[1\] [Paper 1, p. 3], or raised behind a word: word¹. A link whose text is numbers is a marker,
together with its target. Code, formulas and other link targets hold no markers. [MASK], [2020]
(a year), [0, 1], [-1, 1] (intervals) and [0.5] are not markers either.

Numbers of a prompt must never reach a reader, so an opening sign that never closes hides nothing.
Text behind it is held back until its end is seen: at most `LONGEST_HELD` characters for brackets
and for code and formulas in a line, `LONGEST_BLOCK` for others. The cuts between chunks change
nothing, because every test of a bracket holds for each prefix of it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

LONGEST_HELD = 80
LONGEST_BLOCK = 2000
LONGEST_RANGE = 50
LARGEST = 999
_SHOWN = re.compile(r"\[(\d{1,7})\]")
LINE_LEAD = " \t>\r"  # allowed before a code fence

_CLOSING = {"[": "]", "【": "】", "［": "］", "〔": "〕", "⟦": "⟧"}
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_STOPS = re.compile(rf"[\[\]\\`~$【［〔⟦{_RAISED}]")
_OUTSIDE = re.compile(r"[\[\]【】［］〔〕⟦⟧\\]")
_CLOSED = re.compile(r"\\?[\]】］〕⟧]")
_TARGET = re.compile(r"\([^()\s]{0,400}(\))?")
_FENCE = re.compile(r"(`{1,20}|~{1,20})[^`\n]{0,59}(\n)?")
_DOLLARS = re.compile(rf"\$(?:[^\s$][^$\n]{{0,{LONGEST_HELD - 3}}}(?:(?<=\S)(\$)(?!\d))?)?")
_RAISED_RUN = re.compile(rf"[{_RAISED}⁻]{{1,{LONGEST_HELD}}}")
# After one or two letters, a digit or a bracket a raised number is an exponent: km², 10⁶, (QK)².
_BEFORE_RAISED = re.compile(r"""[^\W\d_]{3}\Z|[.,;:!?"”’]\Z""")

_LABELS = r"sources?|papers?|refs?|references?|docs?|documents?|ids?|nos?|numbers?|citations?"
_PLACES = r"pp?|pages?|secs?|sections?|figs?|figures?|tables?"
_SINGULARS = f"{_LABELS}|{_PLACES}|and|or|to|a|b|c".replace("s?", "").replace("p?", "").split("|")
_WORDS = frozenset(word + plural for word in _SINGULARS for plural in ("", "s")) | {"pp"}
_SIGNS = re.compile(r"[\d\s,;&^#/+*:.a-z-]*", re.IGNORECASE)
_TAIL = re.compile(r"(?<=\d)\s*[†:].*", re.DOTALL)
_PLACE = re.compile(rf"(?<![a-z])(?:{_PLACES})\.?\s*\d[\d.]*(?:\s*-\s*\d+)?", re.IGNORECASE)
_RANGE = re.compile(r"\s*(?:-|(?<![a-z])to(?![a-z]))\s*", re.IGNORECASE)
_SEPARATORS = re.compile(
    rf"[\s,;&^#/+*]|(?<![a-z])(?:and|or|(?:{_LABELS})(?![a-z])[:.]?)(?![a-z])", re.IGNORECASE
)
_ITEM = re.compile(r"(-?\d+)[a-c]?(?:-(\d+)[a-c]?)?\.?")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"、": ","})


@dataclass(frozen=True, slots=True)
class Marker:
    """Citation marker as the model wrote it.

    Attributes:
        numbers: in [1, 999], in the order written, each once.
        raw: the marker as text, with the target of a link.
        invalid: parts that cannot be a paper's number, such as 0 or 7-3, and the content of a
            marker that the end of the reply cut off.
    """

    numbers: tuple[int, ...]
    raw: str
    invalid: tuple[str, ...] = ()


# A marker (None for text) and the offset of its end. None as a whole while that is undecided.
_Step = tuple[Marker | None, int] | None


class MarkerReader:
    """Splits a reply into text and markers. The cuts between chunks do not change the pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._line_start = True  # only blanks since the last line break
        self._before = ""  # the last three characters before the held text

    def feed(self, chunk: str) -> list[str | Marker]:
        """Add a chunk and return the pieces that are certain so far."""
        self._held += chunk
        return self._take_pieces(final=False)

    def finish(self) -> list[str | Marker]:
        """Return the text held back. A marker that is cut off has no numbers."""
        return self._take_pieces(final=True)

    def _take_pieces(self, *, final: bool) -> list[str | Marker]:
        pieces: list[str | Marker] = []
        text, at, done = self._held, 0, 0
        while at < len(text):
            step = self._read_step(text, at, final=final)
            if step is None:
                break
            marker, end = step
            if marker:
                pieces += [text[done:at], marker]
                done = end
            self._advance(text[at:end])
            at = end
        self._held = text[at:]
        return [piece for piece in (*pieces, text[done:at]) if piece]

    def _advance(self, text: str) -> None:
        _, newline, line = text.rpartition("\n")
        self._line_start = (bool(newline) or self._line_start) and not line.strip(LINE_LEAD)
        self._before = (self._before + text[-3:])[-3:]

    def _read_step(self, text: str, at: int, *, final: bool) -> _Step:
        """Read the marker or text that begins at an offset."""
        stop = _STOPS.search(text, at)
        if stop is None or stop.start() > at:
            return None, stop.start() if stop else len(text)
        sign = stop[0]
        if sign in "`~":
            return self._read_code(text, at, final=final)
        if sign == "$":
            return _read_dollars(text, at, final=final)
        if sign == "\\":
            return _read_backslash(text, at, final=final)
        if sign == "]":
            return _read_link_target(text, at, final=final)
        read = _read_bracket if sign in _CLOSING else self._read_raised
        return read(text, at, final=final)

    def _read_code(self, text: str, at: int, *, final: bool) -> _Step:
        end = find_fence_end(text, at, final=final) if self._line_start else at
        if end is None or end > at:
            return None if end is None else (None, end)
        return _read_ticks(text, at, final=final) if text[at] == "`" else (None, at + 1)

    def _read_raised(self, text: str, at: int, *, final: bool) -> _Step:
        run = _RAISED_RUN.match(text, at)
        end = run.end() if run else at + 1
        if end == len(text) and end < at + LONGEST_HELD and not final:
            return None
        is_marker = _BEFORE_RAISED.search(self._before)
        found = _parse_numbers(_normalize(text[at:end])) if is_marker else None
        return (Marker(found[0], text[at:end], found[1]) if found else None), end


def split_markers(text: str) -> list[str | Marker]:
    """Return a whole text as text and markers."""
    reader = MarkerReader()
    return [*reader.feed(text), *reader.finish()]


def split_shown_numbers(text: str, numbers: Container[int]) -> Iterator[str | int]:
    """Yield a finished text, and the number of each marker that shows one of the numbers.

    >>> list(split_shown_numbers("It works [1][2].", {1}))
    ['It works ', 1, '[2]', '.']
    """
    for piece in split_markers(text):
        raw = piece if isinstance(piece, str) else piece.raw
        marker = None if isinstance(piece, str) else _SHOWN.match(raw)
        if marker is None or int(marker[1]) not in numbers:
            yield raw
            continue
        yield int(marker[1])
        if rest := raw[marker.end() :]:  # a page would take it for the target of a link
            yield " " + rest


def remove_markers(text: str) -> str:
    """Return a text without its citation markers.

    >>> remove_markers("It works [1]. It scales. [2]")
    'It works. It scales.'
    """
    kept = ""
    for piece in split_markers(text):
        kept = kept + piece if isinstance(piece, str) else kept.rstrip(" ")
    return kept


def find_fence_end(text: str, at: int, *, final: bool = True) -> int | None:
    """Return the offset behind the fenced code that begins at an offset.

    Args:
        text: of a reply.
        at: where a line begins, after `LINE_LEAD`.
        final: whether the text is complete.

    Returns:
        `at` if no fence opens or it does not close within `LONGEST_BLOCK` characters. None if the
        text is not final and does not decide it.
    """
    opening = _FENCE.match(text, at)
    if opening is None or (len(opening[1]) < 3 and opening.end(1) < len(text)):
        return at
    if not opening[2]:
        return None if opening.end() == len(text) and not final else at
    fence = re.compile(rf"\n[ \t>]*{opening[1]}")
    closed = fence.search(text, opening.end() - 1, at + LONGEST_BLOCK)
    if closed:
        return closed.end()
    return at if final or len(text) - at >= LONGEST_BLOCK else None


def _read_ticks(text: str, at: int, *, final: bool) -> _Step:
    """Skip code within a line, or only its opening sign if it does not close."""
    window = text[at : at + LONGEST_HELD]
    body = window.lstrip("`")
    sign = window[: len(window) - len(body)]
    line, newline, _ = body.partition("\n")
    if not newline and len(window) < LONGEST_HELD and not final and (not body or sign not in line):
        return None
    return None, at + len(sign) + (line.find(sign) + len(sign) if sign in line else 0)


def _read_dollars(text: str, at: int, *, final: bool) -> _Step:
    """Skip a formula between dollar signs, or only the opening ones if it does not close."""
    if text.startswith("$$", at):
        return _read_formula(text, at, "$$", "\n\n", final=final)
    found = _DOLLARS.match(text, at)
    end = found.end() if found else at + 1
    if end == len(text) and not final:
        return None  # it may go on, or a digit after the closing sign makes it a price
    return None, end if found and found[1] else at + 1


def _read_backslash(text: str, at: int, *, final: bool) -> _Step:
    if len(text) == at + 1 and not final:
        return None
    if text.startswith(r"\(", at):
        return _read_formula(text, at, r"\)", "\n", final=final)
    if not text.startswith(r"\[", at):
        return None, at + 1
    step = _read_bracket(text, at, final=final)  # Markdown's escaped bracket
    if step is None or step[0]:
        return step
    return _read_formula(text, at, r"\]", "\n\n", final=final)


def _read_formula(text: str, at: int, closing: str, limit: str, *, final: bool) -> _Step:
    """Skip a formula, or only its opening sign if it does not close before the limit."""
    start = at + 2
    body, closed, _ = text[start : at + LONGEST_BLOCK].partition(closing)
    if limit in body or (text[at:start] in body and text[at:start] != closing):
        return None, start
    if closed:
        return None, start + len(body) + 2
    return None if len(text) < at + LONGEST_BLOCK and not final else (None, start)


def _read_link_target(text: str, at: int, *, final: bool) -> _Step:
    """Skip a closing bracket, with the link target behind it if there is one."""
    end = _find_target_end(text, at + 1, final=final)
    return None if end is None else (None, end if text[end - 1] == ")" else at + 1)


def _find_target_end(text: str, at: int, *, final: bool) -> int | None:
    """Return where the link target at an offset ends, or the offset if there is none."""
    target = _TARGET.match(text, at)
    end = target.end() if target else at
    if target and target[1]:
        return end
    return at if end < len(text) else (end if final else None)


def _read_bracket(text: str, at: int, *, final: bool) -> _Step:
    """Read a marker in single or double brackets, or else the first character as text."""
    inner = at + 1 + text.startswith("\\", at)
    if text[inner - 1] == "[":
        if text.startswith(("[", r"\["), inner):
            return _read_double(text, at, inner, final=final)
        if _is_end(text, inner) and not final:
            return None
    return _read_single(text, at, final=final)


def _read_double(text: str, at: int, inner: int, *, final: bool) -> _Step:
    step = _read_single(text, inner, final=final)
    if step is None:
        return None
    marker, end = step
    closed = _CLOSED.match(text, end)
    if marker is None or not (closed or _is_end(text, end)):
        return None, at + 1
    if not closed and not final:
        return None
    end = closed.end() if closed else len(text)
    return Marker(marker.numbers, text[at:end], marker.invalid), end


def _read_single(text: str, at: int, *, final: bool) -> _Step:
    start = at + 1 + text.startswith("\\", at)
    stop = _OUTSIDE.search(text, start, start + LONGEST_HELD)
    end = stop.start() if stop else min(len(text), start + LONGEST_HELD)
    plain = _normalize(text[start:end])
    if end - start == LONGEST_HELD or not _could_be_numbers(plain):
        return None, at + 1
    if _is_end(text, end):
        return (Marker((), text[at:], (plain,) if plain else ()), len(text)) if final else None
    return _close_bracket(text, at, start, end, final=final)


def _close_bracket(text: str, at: int, start: int, end: int, *, final: bool) -> _Step:
    """Read the end of a marker, with the target of a link, or else the first character as text."""
    closed = _CLOSED.match(text, end)
    if not closed or not closed[0].endswith(_CLOSING[text[start - 1]]):
        return None, at + 1
    found = _parse_numbers(_normalize(text[start:end]))
    if not found:
        return None, at + 1
    is_plain = closed[0].endswith("]")
    behind = _find_target_end(text, closed.end(), final=final) if is_plain else closed.end()
    return None if behind is None else (Marker(found[0], text[at:behind], found[1]), behind)


def _is_end(text: str, at: int) -> bool:
    """Return whether a text ends at an offset, apart from a backslash that opens a sign."""
    return at >= len(text) or (at == len(text) - 1 and text[at] == "\\")


def _normalize(text: str) -> str:
    """Normalise each character alone, so that a prefix of the text gives a prefix of the result."""
    if text.isascii():
        return text
    seen = (letter for letter in text if unicodedata.category(letter) != "Cf")
    return "".join(unicodedata.normalize("NFKC", letter) for letter in seen).translate(_DASHES)


def _could_be_numbers(plain: str) -> bool:
    """Return whether the text behind a bracket is a marker or could still become one."""
    head = _TAIL.sub("", plain, count=1)
    if not _SIGNS.fullmatch(head):
        return False
    words = re.findall(r"[a-z]+", head.casefold())
    last = words.pop() if words and head[-1].isalpha() else ""
    return all(word in _WORDS for word in words) and any(word.startswith(last) for word in _WORDS)


def _parse_numbers(plain: str) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """Return the numbers and the invalid parts of a marker, or None if it is not a marker."""
    plain = _TAIL.sub("", plain, count=1)
    named = _PLACE.sub(" ", plain)
    items = [item for item in _SEPARATORS.split(_RANGE.sub("-", named)) if item]
    if not items:  # a page alone is a broken citation, "Table 2" alone is text
        return ((), (plain,)) if named != plain and plain.lstrip()[:1] in "pP" else None
    numbers: dict[int, None] = {}
    invalid = []
    ranges = _parse_ranges(items)
    for item, (first, last) in zip(items, ranges, strict=False):
        if 0 < first <= last <= LARGEST and last - first < LONGEST_RANGE:
            numbers.update(dict.fromkeys(range(first, last + 1)))
        else:
            invalid.append(item)
    return (tuple(numbers), tuple(invalid)) if ranges else None


def _parse_ranges(items: Sequence[str]) -> list[tuple[int, int]]:
    """Return the first and the last number of each item, or [] for years, intervals and text."""
    matches = [_ITEM.fullmatch(item) for item in items]
    ranges = [(int(match[1]), int(match[2] or match[1])) for match in matches if match]
    if len(ranges) < len(items) or (len(items) > 1 and ranges[0][0] <= 0):
        return []
    return [] if all(1900 <= first < 2100 for first, _ in ranges) else ranges
