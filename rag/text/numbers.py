"""Numbers of a statement that its source does not have: units, words, rounding. Pure.

"About a third" is met by 33.4%, "14x" by "14 times", "1.5 points" by 1.5%, "7B" by "7 billion". A
number inside a name (T5, CIFAR-100) is part of the name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

SMALL_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS: dict[str, tuple[float, str]] = {
    **{word: (float(value), "") for value, word in enumerate(SMALL_NUMBERS)},
    **{word: (10.0 * value, "") for value, word in enumerate(TENS, start=2)},
    "dozen": (12.0, ""),
    "half": (50.0, "%"),
    "halves": (50.0, "%"),
    "halved": (50.0, "%"),
    "third": (100 / 3, "%"),
    "thirds": (200 / 3, "%"),
    "quarter": (25.0, "%"),
    "quarters": (75.0, "%"),
    "fifth": (20.0, "%"),
    "tenth": (10.0, "%"),
    "twice": (2.0, "x"),
    "double": (2.0, "x"),
    "doubles": (2.0, "x"),
    "doubled": (2.0, "x"),
    "triple": (3.0, "x"),
    "tripled": (3.0, "x"),
    "thrice": (3.0, "x"),
}
SCALES = {
    "hundred": 1e2, "hundreds": 1e2, "thousand": 1e3, "thousands": 1e3, "k": 1e3,
    "million": 1e6, "millions": 1e6, "m": 1e6, "mn": 1e6,
    "billion": 1e9, "billions": 1e9, "b": 1e9, "bn": 1e9, "trillion": 1e12, "t": 1e12,
}  # fmt: skip
_UNITS = {
    "%": "%", "percent": "%", "percentage": "%", "point": "%", "points": "%", "pp": "%", "pts": "%",
    "x": "x", "×": "x", "times": "x", "fold": "x", "folds": "x",
}  # fmt: skip
_NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<glued>%|×|[kKMBTxX](?![A-Za-z])|bn\b|mn\b)?"
    r"(?![\d]|-?[A-Za-z]\w*\d)"
)
_WORD = re.compile(r"(?<![\w-])[a-z]+(?:-[a-z]+)*", re.IGNORECASE)
_AFTER = re.compile(r"[\s-]*(%|×|[A-Za-z]+)")
_PER_CENT = re.compile(r"\bper cent\b", re.IGNORECASE)
_ROUGHLY = re.compile(
    r"(?:about|around|roughly|approximately|approx\.?|nearly|almost|some|close to|or so|~|≈|over|"
    r"more than|at least|less than|under|below|above|just|circa)"
    r"\W*(?:an?\W+)?$",
    re.IGNORECASE,
)
_ROUGH = 0.07  # relative distance that "about" covers
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text.

    Attributes:
        value: scaled: 7B is 7e9, a third is 33.3.
        unit: "%" (points too), "x" (times, fold) or "".
        step: what one unit of its last digit is worth, for rounding.
        rough: whether the text says about, nearly, more than ...
        shown: as written.
    """

    value: float
    unit: str
    step: float
    rough: bool
    shown: str

    @property
    def could_be_derived(self) -> bool:
        """Whether a writer may have worked it out: in words, such as "a third" or "twice"."""
        return not any(letter.isdigit() for letter in self.shown)


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text, in order; "one" and ordinals are no numbers here.

    >>> [(q.value, q.unit) for q in quantities("About a third of 1,200 tokens, 14x, 7B and T5.")]
    [(33.333333333333336, '%'), (1200.0, ''), (14.0, 'x'), (7000000000.0, '')]
    """
    return [quantity for _, quantity in placed_quantities(text)]


def placed_quantities(text: str) -> list[tuple[int, Quantity]]:
    """The numbers of a text with the offset of each."""
    text = _PER_CENT.sub("percent ", text)
    found = [(match.start(), _digits(text, match)) for match in _NUMBER.finditer(text)]
    for match in _WORD.finditer(text):
        quantity = _words(text, match)
        if quantity:
            found.append((match.start(), quantity))
    return sorted(found, key=lambda item: item[0])


def missing_numbers(statement: str, source: str) -> list[Quantity]:
    """Numbers of a statement that no number of the source meets."""
    there = quantities(source)
    return [
        wanted
        for wanted in quantities(statement)
        if not any(meets(wanted, number) for number in there)
    ]


def _digits(text: str, match: re.Match[str]) -> Quantity:
    digits = match["digits"].replace(",", "")
    decimals = len(digits.partition(".")[2])
    value, step = float(digits), 10.0**-decimals
    if not decimals and value:
        stripped = digits.rstrip("0")
        step = 10.0 ** (len(digits) - len(stripped)) if len(digits) > 2 else 1.0
    glued = (match["glued"] or "").strip()
    scale, unit = _scale_and_unit(glued)
    if not glued or scale != 1.0:
        more, unit = _following(text, match.end())
        scale *= more
    return Quantity(
        value * scale, unit, step * scale, _is_rough(text, match.start()), match[0].strip()
    )


def _words(text: str, match: re.Match[str]) -> Quantity | None:
    word = match[0].casefold()
    head, _, tail = word.partition("-")
    if tail in _UNITS and head in _WORDS:  # two-fold
        return Quantity(
            _WORDS[head][0], _UNITS[tail], 1.0, _is_rough(text, match.start()), match[0]
        )
    if tail and head in TENS and tail in SMALL_NUMBERS:  # twenty-five
        value, unit = _WORDS[head][0] + _WORDS[tail][0], ""
    elif word in _WORDS and word not in ("one", "zero"):
        value, unit = _WORDS[word]
        if word in ("third", "quarter", "fifth", "tenth", "half") and not _is_fraction(text, match):
            return None
    elif word.endswith("fold") and word[:-4] in _WORDS:  # threefold
        value, unit = _WORDS[word[:-4]][0], "x"
    else:
        return None
    scale, following = _following(text, match.end()) if not unit else (1.0, "")
    return Quantity(
        value * scale, unit or following, max(1.0, scale), _is_rough(text, match.start()), match[0]
    )


def _is_fraction(text: str, match: re.Match[str]) -> bool:
    """Whether "third" is a part and no rank: "a third of", "one-third", "half"."""
    if match[0].casefold() == "half":
        return True
    before = text[max(0, match.start() - 8) : match.start()].casefold()
    return bool(re.search(r"\b(?:an?|one)[\s-]+$", before))


def _following(text: str, end: int) -> tuple[float, str]:
    """Scale and unit of the words behind a number."""
    scale, unit = 1.0, ""
    for _ in range(2):
        match = _AFTER.match(text, end)
        if not match:
            break
        more, found = _scale_and_unit(match[1] if len(match[1]) > 1 or match[1] in "%×" else "")
        if more == 1.0 and not found:
            break
        scale, unit, end = scale * more, unit or found, match.end()
    return scale, unit


def _scale_and_unit(word: str) -> tuple[float, str]:
    key = word.casefold()
    return SCALES.get(key, 1.0), _UNITS.get(key, "")


def _is_rough(text: str, start: int) -> bool:
    return _ROUGHLY.search(text[max(0, start - 24) : start]) is not None


def meets(wanted: Quantity, there: Quantity) -> bool:
    """Whether a number of a source is, rounded, the one wanted."""
    if {wanted.unit, there.unit} == {"x", "%"}:
        return False
    if wanted.unit and there.unit and wanted.unit != there.unit:
        return False
    values = [there.value]
    if "%" in (wanted.unit, there.unit) and wanted.unit != there.unit:
        values += [there.value * 100, there.value / 100]  # .334 and 33.4%
    return any(_close(wanted, value) for value in values)


def _close(wanted: Quantity, value: float) -> bool:
    distance = abs(wanted.value - value)
    if distance <= _EXACT * max(1.0, abs(value)):
        return True
    if wanted.rough or (wanted.could_be_derived and wanted.unit == "%"):
        return distance <= _ROUGH * max(abs(value), abs(wanted.value))
    if wanted.step < 1.0 or wanted.value >= 100 or wanted.unit:  # rounded to its last digit
        digits = wanted.step if wanted.value else 0.0
        return distance <= digits / 2 and distance <= 0.05 * max(abs(value), math.ulp(1.0))
    return False
