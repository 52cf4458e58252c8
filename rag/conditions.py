"""Conditions on numbers in listing questions, such as "under one billion parameters".

Similarity knows nothing of numbers, so they are read: the condition from the question, the numbers
and what they count from the abstracts. Called by the lister.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import inf

from rag.index.lexical import lexical_terms
from rag.verification.numbers import Quantity, quantities

_SCALE = r"hundred|thousand|million|billion|trillion|bn|mn|[kKMBT]"
_NUMBER = re.compile(
    r"(?<![\w.,-])(?P<name>[A-Za-z][\w.]*-(?:[\w.]+-)*)?"
    r"(?P<number>\d[\d,]*(?:\.\d+)?|a|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|fifteen|sixteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    rf"(?P<scale>[\s-]?(?:{_SCALE})(?![A-Za-z]))?(?![\w.]*\d)(?P<share>\s?%|[x×X](?![A-Za-z]))?(?=[^\w]|$)",
    re.ASCII,
)
_BOUNDS = (
    ("least", r"at least|no (?:fewer|less|smaller) than|a minimum of|≥"),
    ("most", r"at most|up to|(?:no|not) (?:more|larger|bigger) than|a maximum of|≤"),
    ("below", r"(?:fewer|less|smaller|lower) than|under|below|<"),
    ("above", r"(?:more|larger|bigger|greater|higher) than|over|above|exceeding|beyond|>"),
    ("span", r"between|from"),
)
_BEFORE = tuple(
    (name, re.compile(rf"(?:\b|(?=[<>≤≥]))(?:{form})\s*$", re.IGNORECASE)) for name, form in _BOUNDS
)
_BEHIND = re.compile(
    r"\W*(?:[a-z]+ ){0,3}?or (?:(?P<least>more|above|larger|bigger|up)|fewer|less|below|smaller)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:,|or|and|to|-|–|/)\s*")
_WORD = re.compile(r"[\s-]*([A-Za-z]+)(?=\W|$)")
_CONNECTIVES = frozenset({"or", "more", "fewer", "less", "larger", "smaller", "of", "different"})
_UNIT_WORDS = 3
_PARAMETERS = frozenset({"paramet"})
_SHARES = {"percent": "%", "time": "x", "fold": "x"}  # stems
_ONE = ("a", "one")  # numbers only with a scale: "one billion"
# "8B models" and "Llama (8B)" speak of parameters, "8B tokens" does not
_SIZED = "model models encoder decoder network transformer lm llm variant version baseline backbone"
# what is left of "train a model with ten billion parameters" says nothing more
_ANY_MODEL = (
    f"{_SIZED} language large small size sized train training pre-train pre-training continue use "
    "fine-tune tuning study introduce propose present release have every parameter neural"
)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A number as written, the stems of what it counts, and where it stands."""

    written: str
    unit: frozenset[str]
    start: int
    end: int

    @property
    def quantity(self) -> Quantity:
        return quantities(self.written)[-1]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a number has to be.

    Attributes:
        lowest: the smallest value that meets it; -inf without one.
        highest: the largest.
        strict: whether the ends themselves do not meet it.
        unit: stems of what is counted.
        rest: what else the question asks for; empty where that is any model.
    """

    lowest: float
    highest: float
    strict: bool
    unit: frozenset[str]
    rest: str

    def met_by(self, text: str) -> bool:
        """Whether a number of a text meets it."""
        return any(each.unit & self.unit and self._meets(each.quantity) for each in _counted(text))

    def _meets(self, quantity: Quantity) -> bool:
        if self.strict and not quantity.rough and quantity.value in (self.lowest, self.highest):
            return False
        return self.lowest <= quantity.value <= self.highest


def condition_in(subject: str) -> Condition | None:
    """The condition that the subject of a listing sets; None without one.

    >>> condition_in("train on at least 100 languages").lowest
    100.0
    >>> condition_in("7B models").rest
    ''
    >>> condition_in("evaluate on 3 datasets") is None
    True
    """
    numbers = _counted(subject)
    for place, first in enumerate(numbers):
        found = _bound(subject, first)
        last = numbers[place + 1] if place + 1 < len(numbers) else first
        if last is not first and not _BETWEEN.fullmatch(subject[first.end : last.start]):
            last = first
        if not (found or first.unit == _PARAMETERS):
            continue
        name, start, end = found or ("equal", first.start, last.end)
        lowest, highest = _ends(name, first.quantity, last.quantity)
        left = f"{subject[:start]} {_without_unit(subject[max(end, last.end) :])}"
        rest = "" if _means_any_model(left) else " ".join(left.split())
        return Condition(lowest, highest, name in ("below", "above"), first.unit, rest)
    return None


def _bound(subject: str, first: _Counted) -> tuple[str, int, int] | None:
    """The bound that stands beside a number, where it begins and where it ends."""
    for name, before in _BEFORE:
        if match := before.search(subject[: first.start]):
            return name, match.start(), first.end
    if match := _BEHIND.match(subject[first.end :]):
        return "least" if match["least"] else "most", first.start, first.end + match.end()
    return None


def _ends(name: str, first: Quantity, last: Quantity) -> tuple[float, float]:
    low, high = sorted((first.value, last.value))
    if name in ("least", "above"):
        return first.value, inf
    if name in ("most", "below"):
        return -inf, first.value
    if name == "span":
        return low, high
    return low - first.step / 2, high + last.step / 2


def _counted(text: str) -> list[_Counted]:
    """The numbers of a text and what they count; in "7 or 8B models" both count the same."""
    # the 3 of GPT-3 is part of a name, the 8B of Llama-3-8B is a size
    matches = [m for m in _NUMBER.finditer(text) if m["scale"] or not m["name"]]
    scales = [match["scale"] or "" for match in matches]
    units = [_unit(text, match) for match in matches]
    for at, (left, right) in reversed(list(enumerate(pairwise(matches)))):
        if _BETWEEN.fullmatch(text[left.end() : right.start()]):
            scales[at] = scales[at] or scales[at + 1]
            units[at] = units[at + 1]
    found = []
    for match, scale, unit in zip(matches, scales, units, strict=True):
        if unit and (scale or match["number"] not in _ONE):
            before = "" if match["name"] else text[max(0, match.start() - 24) : match.start()]
            written = f"{before} {match['number']}{scale}"
            found.append(_Counted(written, unit, match.start(), match.end()))
    return found


def _unit(text: str, match: re.Match[str]) -> frozenset[str]:
    """Stems of what a number counts, as its next words say, or the sign behind it."""
    if match["share"]:
        return frozenset({"%" if "%" in match["share"] else "x"})
    words: list[str] = []
    end = match.end()
    while len(words) < _UNIT_WORDS and (word := _WORD.match(text, end)):
        end = word.end()
        if word[1].lower() not in _CONNECTIVES:
            words.append(word[1])
    stems = frozenset(lexical_terms(" ".join(words)))
    if (match["scale"] or "").strip(" -") in ("B", "M", "T") and (
        stems & _stems(_SIZED) or (match["scale"].endswith("B") and not stems)
    ):
        return _PARAMETERS
    return stems & _PARAMETERS or frozenset(_SHARES.get(stem, stem) for stem in stems)


def _without_unit(text: str) -> str:
    """What follows a number, without what it counts."""
    word = _WORD.match(text)
    return text[word.end() :] if word else text


def _means_any_model(text: str) -> bool:
    return not set(lexical_terms(text)) - _stems(_ANY_MODEL)


@cache
def _stems(words: str) -> frozenset[str]:
    return frozenset(lexical_terms(words))
