"""Conditions on numbers in listing questions, such as "under one billion parameters".

Called by the lister.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import inf

from rag.counted import PARAMETERS, SIZED, Counted, counted
from rag.index.lexical import lexical_terms

_BOUNDS = (
    ("least", r"at least|no (?:fewer|less|smaller) than|a minimum of|≥|>="),
    ("most", r"at most|up to|(?:no|not) (?:more|larger|bigger) than|a maximum of|≤|<="),
    ("below", r"(?:fewer|less|smaller|lower) than|under|below|<"),
    ("above", r"(?:more|larger|bigger|greater|higher) than|over|above|exceeding|beyond|>"),
    ("span", r"between|from"),
)
_BEFORE = tuple(
    (name, re.compile(rf"(?:\b|(?=[<>≤≥]))(?:{form})\s*$", re.IGNORECASE)) for name, form in _BOUNDS
)
_BEHIND = re.compile(
    r"(?P<plus>\+)|\W*(?:[a-z]+ ){0,3}?or "
    r"(?:(?P<least>more|above|larger|bigger|up)|fewer|less|below|smaller)\b",
    re.IGNORECASE,
)
_OPEN_END = re.compile(r"(?: (?:of|with|in|on|to|for|by|from|at|a|an|the))+$", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"\s*(?:,|or|and|to|-|–)\s*")
# what is left of "train a model with ten billion parameters" says nothing more
_ANY_MODEL = (
    f"{SIZED} language large small size sized train training pre-train pre-training continue use "
    "fine-tune tuning study introduce propose present release have every parameter neural"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a number has to be.

    Attributes:
        lowest: the smallest value that meets it; -inf without one.
        highest: the largest.
        excluded: ends that do not meet it themselves.
        unit: stems of what is counted.
        rest: what else the question asks for; empty where that is any model.
    """

    lowest: float
    highest: float
    excluded: frozenset[float]
    unit: frozenset[str]
    rest: str

    def met_by(self, text: str) -> bool:
        """Whether a number of a text meets it; the size of a model only compared with does not."""
        return any(
            self._meets(each)
            for each in counted(text)
            if each.unit & self.unit and not (each.foreign and self.unit == PARAMETERS)
        )

    def _meets(self, number: Counted) -> bool:
        if number.value in self.excluded and not number.rough:
            return False
        return self.lowest <= number.value <= self.highest


@dataclass(frozen=True, slots=True)
class _Bound:
    """One bound of a question: its name, its numbers, and where it stands."""

    name: str
    numbers: tuple[Counted, ...]
    start: int
    end: int

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that it allows."""
        first, last = self.numbers[0], self.numbers[-1]
        low, high = sorted((first, last), key=lambda each: each.value)
        if self.name in ("least", "above"):
            return first.value, inf
        if self.name in ("most", "below"):
            return -inf, first.value
        if self.name == "span":
            return low.value, high.value
        return low.value - low.step / 2, high.value + high.step / 2

    @property
    def excluded(self) -> frozenset[float]:
        """The ends that do not meet it themselves: 7.5 is rounded to 8."""
        if self.name in ("below", "above", "equal"):
            return frozenset({self.ends()[self.name != "above"]})
        return frozenset()


def condition_in(subject: str) -> Condition | None:
    """The condition that the subject of a listing sets; None without one.

    >>> condition_in("train on at least 100 languages").lowest
    100.0
    >>> condition_in("7B models").rest
    ''
    >>> condition_in("evaluate on 3 datasets") is None
    True
    """
    bounds = _bounds(subject)
    if not bounds:
        return None
    unit = bounds[-1].numbers[-1].unit
    bounds = [each for each in bounds if each.numbers[-1].unit == unit]
    lows, highs = zip(*(each.ends() for each in bounds), strict=True)
    left = f"{subject[: bounds[0].start]} {_without_unit(subject[bounds[-1].end :], unit)}"
    rest = "" if _means_any_model(left) else _OPEN_END.sub("", " ".join(left.split()))
    excluded = frozenset().union(*(each.excluded for each in bounds))
    return Condition(max(lows), min(highs), excluded, unit, rest)


def _bounds(subject: str) -> list[_Bound]:
    """The bounds of a subject, in order."""
    numbers, found, place = counted(subject), [], 0
    while place < len(numbers):
        pair = tuple(numbers[place : place + 2])
        if len(pair) == 2 and not _ALTERNATIVE.fullmatch(subject[pair[0].end : pair[1].start]):
            pair = pair[:1]
        bound = _bound(subject, pair)
        if bound:
            found.append(bound)
        place += len(bound.numbers) if bound else 1
    return found


def _bound(subject: str, numbers: tuple[Counted, ...]) -> _Bound | None:
    """The bound that one number or two beside each other stand in."""
    first, last = numbers[0], numbers[-1]
    for name, before in _BEFORE:
        if match := before.search(subject[: first.start]):
            taken = numbers if name == "span" else numbers[:1]
            if name == "span" and len(numbers) == 1:
                return None
            return _Bound(name, taken, match.start(), taken[-1].end)
    if match := _BEHIND.match(subject[first.end :]):
        name = "least" if match["least"] or match["plus"] else "most"
        return _Bound(name, numbers[:1], first.start, first.end + match.end())
    if first.unit != PARAMETERS:
        return None
    return _Bound("equal", numbers, first.start, last.end)


def _without_unit(text: str, unit: frozenset[str]) -> str:
    """What follows a number, without what it counts."""
    word = re.match(r"\+?[\s-]*([A-Za-z]+)\b", text)
    return text[word.end() :] if word and unit.intersection(lexical_terms(word[1])) else text


def _means_any_model(text: str) -> bool:
    return not set(lexical_terms(text)) - _any_model()


@cache
def _any_model() -> frozenset[str]:
    return frozenset(lexical_terms(_ANY_MODEL))
