"""Numbers of a text, with their units normalised.

"14x" equals "14 times", "7B" equals "7 billion", "two" equals "2" and "half" equals "50%". A number
that belongs to a name (T5, CIFAR-100, Stage 2) is not one. Called by the check of statements.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from rag.text.folding import fold_text
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALL_NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_COUNTS = {word: float(value) for value, word in enumerate(_SMALL_NUMBERS)} | {"dozen": 12.0}
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_MULTIPLES = {"twice": 2, "double": 2, "doubled": 2, "thrice": 3, "triple": 3, "tripled": 3}
_SCALES = {
    "hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "mn": 1e6,
    "billion": 1e9, "b": 1e9, "bn": 1e9, "trillion": 1e12, "t": 1e12,
}  # fmt: skip
_UNITS = {
    "%": "%", "percent": "%", "percentage": "%", "point": "%", "points": "%",
    "x": "x", "×": "x", "times": "x", "fold": "x",
}  # fmt: skip
_DIGITS = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(?:(?P<top>\d)/(?P<bottom>[1-9]\d?)(?![\d/]|\.\d)"
    r"|(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<glued>%|×|[kKMBTxX](?![A-Za-z])|bn\b|mn\b)?(?!\d|-?[A-Za-z]\w*\d))"
)
_WORD = re.compile(
    rf"(?<![\w-])(?:(?:(?P<top>an?|one|two|three)[\s-])?(?P<fraction>{'|'.join(_FRACTIONS)})s?"
    rf"|(?P<tens>{'|'.join(_TENS)})(?:-(?P<ones>{'|'.join(_SMALL_NUMBERS[1:10])}))?"
    rf"|(?P<multiple>{'|'.join(_MULTIPLES)})|(?P<count>{'|'.join(_COUNTS)}))(?=fold\b|\b)",
    re.IGNORECASE,
)
_AFTER = re.compile(r"[\s-]*(%|×|per cent\b|[A-Za-z]{2,})")
_CAPITALISED = re.compile(r"\b([A-Z]\w+) $")

Unit = Literal["%", "x", ""]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Number in a text.

    Attributes:
        value: scaled. 7B is 7e9, a third is 33.3.
        unit: "%" (points too), "x" (times, fold) or "".
        shown: as written.
    """

    value: float
    unit: Unit
    shown: str


def read_quantities(text: str) -> list[Quantity]:
    """Return the numbers of a text, digits first. "One" alone and ordinals are not numbers here.

    >>> [(q.value, q.unit) for q in read_quantities("1,200 tokens, 14x, 7B, T5 and half of it")]
    [(1200.0, ''), (14.0, 'x'), (7000000000.0, ''), (50.0, '%')]
    """
    return [quantity for _, quantity in _locate_quantities(text)]


def find_missing_numbers(statement: str, source: str) -> list[str]:
    """Return the numbers of a statement, as written, that do not occur in the source.

    >>> find_missing_numbers("GPT-3 gains 14.2% in Stage 2.", "It gains 12.4 percent.")
    ['14.2%']
    """
    statement = fold_text(statement)
    known = read_quantities(fold_text(source))
    missing = [
        quantity.shown
        for start, quantity in _locate_quantities(statement)
        if not _is_in_name(statement, start, quantity)
        and not any(_is_equal(quantity, other) for other in known)
    ]
    return list(dict.fromkeys(missing))


def _locate_quantities(text: str) -> Iterator[tuple[int, Quantity]]:
    """Yield the offset of each number, and the number."""
    for pattern, read in ((_DIGITS, _read_digits), (_WORD, _read_word)):
        for match in pattern.finditer(text):
            found = read(match)
            if found:
                value, unit = found
                scale, unit_behind = _read_following(text, match.end())
                yield match.start(), Quantity(value * scale, unit or unit_behind, match[0])


def _read_digits(match: re.Match[str]) -> tuple[float, Unit]:
    """Return value and unit of a number in digits, such as 7B, 14x or 1/4."""
    if match["top"]:
        return 100 * int(match["top"]) / int(match["bottom"]), "%"
    scale, unit = _read_unit(match["glued"] or "")
    return float(match["digits"].replace(",", "")) * scale, unit


def _read_word(match: re.Match[str]) -> tuple[float, Unit] | None:
    """Return value and unit of a number in words, or None for "one", "zero" and "the third"."""
    words = {name: word.lower() for name, word in match.groupdict(default="").items()}
    if words["multiple"]:
        return float(_MULTIPLES[words["multiple"]]), "x"
    if words["fraction"]:
        top = _COUNTS.get(words["top"], 1.0)
        is_part = words["top"] or words["fraction"] == "half"
        return (100 * top / _FRACTIONS[words["fraction"]], "%") if is_part else None
    if words["tens"]:
        return 10.0 * (_TENS.index(words["tens"]) + 2) + _COUNTS.get(words["ones"], 0.0), ""
    return None if words["count"] in ("one", "zero") else (_COUNTS[words["count"]], "")


def _read_following(text: str, end: int) -> tuple[float, Unit]:
    """Return scale and unit of the one or two words behind a number."""
    scale = 1.0
    for _ in range(2):
        match = _AFTER.match(text, end)
        if match is None:
            break
        more, unit = _read_unit(match[1].replace("per cent", "%"))
        if unit or more == 1.0:
            return scale, unit
        scale, end = scale * more, match.end()
    return scale, ""


def _read_unit(word: str) -> tuple[float, Unit]:
    key = word.lower()
    return _SCALES.get(key, 1.0), cast("Unit", _UNITS.get(key, ""))


def _is_in_name(text: str, start: int, quantity: Quantity) -> bool:
    """Return whether a plain number follows a capitalised word that is not a stop word."""
    before = _CAPITALISED.search(text, 0, start)
    return bool(before and quantity.shown.isdigit() and lexical_terms(before[1]))


def _is_equal(left: Quantity, right: Quantity) -> bool:
    agree = left.unit == right.unit or not (left.unit and right.unit)
    return agree and math.isclose(left.value, right.value, rel_tol=1e-9)
