"""Citation markers in a model's reply, found while it streams. Pure.

A marker is a paper's number, or several, in brackets: [1] [1,2] [1-3] [[1]] 【1】 ［1］ [^1].
Inside code, formulas and link targets nothing is a marker, nor are [MASK], [2020] (four digits are
a year) and [0, 1] (with zero it is an interval). Text behind an opening bracket is held back until
it is decided, at most `LONGEST_HELD` characters; a formula or a piece of code in a line must close
within as many, so that a price in dollars hides nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LONGEST_HELD = 80
LONGEST_RANGE = 50
LARGEST = 999
_CLOSING = {"[[": "]]", "[": "]", "【": "】", "［": "］"}
_STOPS = re.compile(r"\[\[?|【|［|```|`|\$\$|\$|\\[(\[]|\]\(|\\$")
_BLOCKS = {"```": "```", "$$": "$$", r"\(": r"\)", r"\[": r"\]", "](": ")"}
_WORDS = ("source", "sources", "paper", "papers", "ref", "refs", "reference", "references", "and")
_INNER = re.compile(r"[\d\s,;&^#:.†a-z-]*", re.IGNORECASE)
_LETTERS = re.compile(r"[a-z]+", re.IGNORECASE)
_ITEM = re.compile(r"(\d+)(?:-(\d+))?")
_SEPARATORS = re.compile(r"[\s,;&^#]|\band\b|\b(?:sources?|papers?|refs?|references?)\b[:.]?")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | {"、": ","})


@dataclass(frozen=True, slots=True)
class Marker:
    """A citation marker as the model wrote it.

    Attributes:
        numbers: in [1, 999], in the order written, each once.
        raw: the marker's own text.
        invalid: parts that can be no paper's number, such as 0 or 7-3.
    """

    numbers: tuple[int, ...]
    raw: str
    invalid: tuple[str, ...] = ()


class MarkerReader:
    """Splits a reply into text and markers; any cutting into chunks gives the same pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""  # what ends the code, formula or link that the text is in
        self._line_start = True

    def feed(self, chunk: str) -> list[str | Marker]:
        """The pieces that are certain so far."""
        self._held += chunk
        return self._pieces(final=False)

    def finish(self) -> list[str | Marker]:
        """What was held back."""
        return self._pieces(final=True)

    def _pieces(self, *, final: bool) -> list[str | Marker]:
        pieces: list[str | Marker] = []
        text, at, done = self._held, 0, 0
        while at < len(text):
            step = self._step(text, at, final=final)
            if step is None:
                break
            marker, end = step
            if marker:
                if at > done:
                    pieces.append(text[done:at])
                pieces.append(marker)
                done = end
            at = end
        if at > done:
            pieces.append(text[done:at])
        if at:
            self._line_start = text[:at].rstrip(" ").endswith("\n")
        self._held = text[at:]
        return pieces

    def _step(  # noqa: PLR0911 - one way out for each kind of thing that can lie there
        self, text: str, at: int, *, final: bool
    ) -> tuple[Marker | None, int] | None:
        """What lies at a place: a marker or text, and where it ends; None while undecided."""
        if self._closing:
            return self._inside(text, at, final=final)
        stop = _STOPS.search(text, at)
        if stop is None or stop.start() > at:
            end = stop.start() if stop else len(text)
            if stop is None and not final and text[-1] in "`$]":
                end = max(at, len(text) - (2 if text.endswith("``") else 1))
            return (None, end) if end > at else None
        token = stop[0]
        if not final and len(text) - stop.end() < 2 and token in ("[", "`", "$", "\\"):
            return None  # a longer sign may be coming
        if token in _BLOCKS:
            self._closing = _BLOCKS[token]
            return None, stop.end()
        if token in ("`", "$"):
            return self._in_line(text, at, token, final=final)
        if token in _CLOSING:
            return self._bracket(text, at, token, final=final)
        return None, stop.end()

    def _inside(self, text: str, at: int, *, final: bool) -> tuple[Marker | None, int] | None:
        closing = self._closing
        end = text.find(closing, at)
        if closing == ")":  # a link's target ends at white space too
            blank = re.compile(r"[)\s]").search(text, at)
            end = blank.start() if blank else -1
        if end >= 0:
            self._closing = ""
            return None, end + (len(closing) if text.startswith(closing, end) else 0)
        keep = 0 if final else len(closing) - 1
        return (None, len(text) - keep) if len(text) - keep > at else None

    def _in_line(
        self, text: str, at: int, sign: str, *, final: bool
    ) -> tuple[Marker | None, int] | None:
        """Code or a formula within one line; its opening sign alone where it does not close."""
        window = text[at + 1 : at + LONGEST_HELD]
        line, newline, _ = window.partition("\n")
        for closed in re.finditer(re.escape(sign), line):
            place = closed.start()
            behind = line[place + 1 : place + 2]
            if sign == "$" and (place == 0 or line[place - 1].isspace() or line[0].isspace()):
                continue
            ends_here = not behind and not newline and place + 1 == len(line)
            if sign == "$" and ends_here and not final:
                return None
            if sign == "$" and behind.isdigit():
                continue
            return None, at + 1 + place + 1
        if newline or final or len(window) >= LONGEST_HELD - 1:
            return None, at + 1
        return None

    def _bracket(
        self, text: str, at: int, opening: str, *, final: bool
    ) -> tuple[Marker | None, int] | None:
        start = at + len(opening)
        window = text[start : at + LONGEST_HELD]
        end = window.find(_CLOSING[opening])
        if end < 0:
            undecided = not final and len(window) + len(opening) < LONGEST_HELD
            if undecided and _may_be_numbers(window, _CLOSING[opening]):
                return None
            return None, at + 1
        inner, behind = window[:end], start + end + len(_CLOSING[opening])
        found = _numbers(inner)
        if found is None:
            return None, at + 1
        if opening == "[":
            if behind >= len(text) and not final:
                return None
            if text.startswith("(", behind) or (
                text.startswith(":", behind) and self._begins_line(text, at)
            ):
                return None, behind  # a link, or the definition of one
        return Marker(found[0], text[at:behind], found[1]), behind

    def _begins_line(self, text: str, at: int) -> bool:
        newline = text.rfind("\n", 0, at)
        return not text[newline + 1 : at].strip() and (newline >= 0 or self._line_start)


def _may_be_numbers(inner: str, closing: str) -> bool:
    """Whether more text could still make a marker of what stands behind a bracket."""
    plain = unicodedata.normalize("NFKC", inner).translate(_DASHES).removesuffix(closing[0])
    if not _INNER.fullmatch(plain):
        return False
    words = [match[0].casefold() for match in _LETTERS.finditer(plain.partition("†")[0])]
    return all(any(word.startswith(w) for word in _WORDS) for w in words)


def _numbers(inner: str) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """The numbers and the impossible parts of a marker; None for what is no marker."""
    plain = unicodedata.normalize("NFKC", inner).translate(_DASHES).casefold()
    plain = re.sub(r"(?<=\d)\s*(?:†|:).*", "", plain, count=1)
    plain = re.sub(r" ?- ?", "-", plain)
    items = [item for item in _SEPARATORS.split(plain) if item]
    if not items or len(plain) > LONGEST_HELD:
        return None
    numbers: dict[int, None] = {}
    invalid = []
    for item in items:
        match = _ITEM.fullmatch(item)
        if match is None or len(match[1]) == 4:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if first == 0 and len(items) > 1:
            return None
        if 0 < first <= last <= LARGEST and last - first < LONGEST_RANGE:
            numbers.update(dict.fromkeys(range(first, last + 1)))
        else:
            invalid.append(item)
    return tuple(numbers), tuple(invalid)
