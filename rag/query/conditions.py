"""Conditions on numbers in listing questions, such as "under one billion parameters".

A bound on what is counted is met by any number of the same things; one on a share, a ratio or a
score ("an accuracy of at least 90%") only by a number beside the same words. A bound that cannot be
read so is met by none. Called by the lister.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from math import inf

from rag.query.counted import PARAMETERS, SIZED, Counted, counted
from rag.query.measures import BOUNDS, TELLING, Measure, beside, counts, measure_of
from rag.text.terms import lexical_terms

_BEHIND = re.compile(
    r"(?P<plus>\+)|\W*(?:[a-z]+ ){0,3}?or "
    r"(?:(?P<least>more|above|larger|bigger|up)|fewer|less|below|smaller)\b",
    re.IGNORECASE,
)
_UNREAD = re.compile(r"(?:than|over|above|under|below|least|most|[<>≤≥]=?)\s*[-−]\.?\d")
_OPEN_END = re.compile(r"(?: (?:of|with|in|on|to|for|by|from|at|a|an|the))+$", re.IGNORECASE)
_TELLING_END = re.compile(
    rf"(?:(?:^|(?<=\s))(?:{'|'.join(TELLING.split())}|an?|the|that|which|with|have|has|having|had|of)"
    r"\s+)+$",
    re.IGNORECASE,
)
_OPEN_START = re.compile(r"^\W*(?:(?:in|on|for|with|at|and|when|while|among|by)\b\s*)?")
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
        measure: what a share, a ratio or a score is of; None where things are counted.
    """

    lowest: float
    highest: float
    excluded: frozenset[float]
    unit: frozenset[str]
    rest: str
    measure: Measure | None = None

    def met_by(self, text: str) -> bool:
        """Whether a number of a text meets it; the size of a model only compared with does not."""
        if self.measure:
            return any(self._holds(each, text) for each in beside(text, self.measure))
        return any(
            self._meets(each)
            for each in counted(text)
            if each.unit & self.unit and not (each.foreign and self.unit == PARAMETERS)
        )

    def _meets(self, number: Counted) -> bool:
        if number.value in self.excluded and not number.rough:
            return False
        return self._within(number.value)

    def _holds(self, number: Counted, text: str) -> bool:
        """Whether all that a text says of a number meets it: "over 90%" is not below 95%."""
        before = re.sub(r"\bup to\s*$", "", text[: number.start], flags=re.IGNORECASE)
        said = next((name for name, form in BOUNDS if form.search(before)), "")
        if (said in ("least", "above") and self.highest < inf) or (
            said in ("most", "below", "span") and self.lowest > -inf
        ):
            return False
        is_open = said in ("above", "below") and number.value in (self.lowest, self.highest)
        return is_open or (number.value not in self.excluded and self._within(number.value))

    def _within(self, value: float) -> bool:
        return self.lowest <= value <= self.highest


@dataclass(frozen=True, slots=True)
class _Bound:
    """One bound of a question: its name, its numbers, and where it stands."""

    name: str
    numbers: tuple[Counted, ...]
    start: int
    end: int
    measure: Measure | None = None

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
    if any(each.measure for each in bounds) or (not bounds and _UNREAD.search(subject)):
        return _measured(subject, bounds)
    if not bounds:
        return None
    unit = bounds[-1].numbers[-1].unit
    bounds = [each for each in bounds if each.numbers[-1].unit == unit]
    left = f"{subject[: bounds[0].start]} {_without_unit(subject[bounds[-1].end :], unit)}"
    rest = "" if _means_any_model(left) else _OPEN_END.sub("", " ".join(left.split()))
    return Condition(*_limits(bounds), unit, rest)


def _measured(subject: str, bounds: list[_Bound]) -> Condition:
    """A condition on what is measured; where that is not the same in all bounds, none meets it."""
    known = {(each.measure.stems, each.measure.sign) for each in bounds if each.measure}
    measure = bounds[-1].measure if bounds else None
    if measure is None or len(known) > 1 or not all(each.measure for each in bounds):
        return Condition(
            inf, -inf, frozenset(), frozenset(), subject, Measure(frozenset(), "", 0, 0)
        )
    before = _TELLING_END.sub("", subject[: min(bounds[0].start, measure.start)])
    behind = _OPEN_START.sub("", subject[max(bounds[-1].end, measure.end) :])
    left = f"{before} {behind}"
    rest = "" if _means_any_model(left) else _OPEN_END.sub("", " ".join(left.split()))
    return Condition(*_limits(bounds), frozenset(), rest, measure)


def _limits(bounds: list[_Bound]) -> tuple[float, float, frozenset[float]]:
    """The lowest and the highest value that all bounds allow, and the ends that are left out."""
    lows, highs = zip(*(each.ends() for each in bounds), strict=True)
    excluded: frozenset[float] = frozenset().union(*(each.excluded for each in bounds))
    return max(lows), min(highs), excluded


def _bounds(subject: str) -> list[_Bound]:
    """The bounds of a subject, in order."""
    numbers, place = counted(subject, bare=True), 0
    found: list[_Bound] = []
    while place < len(numbers):
        pair = tuple(numbers[place : place + 2])
        if len(pair) == 2 and not _ALTERNATIVE.fullmatch(subject[pair[0].end : pair[1].start]):
            pair = pair[:1]
        bound = _bound(subject, pair)
        read = bound and _with_measure(subject, bound, found[-1:])
        if read:
            found.append(read)
        place += len(bound.numbers) if bound else 1
    return found


def _bound(subject: str, numbers: tuple[Counted, ...]) -> _Bound | None:
    """The bound that one number or two beside each other stand in."""
    first, last = numbers[0], numbers[-1]
    for name, before in BOUNDS:
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


def _with_measure(subject: str, bound: _Bound, last: list[_Bound]) -> _Bound | None:
    """The bound with what it measures, if it counts nothing; None for a year or an age."""
    number = bound.numbers[-1]
    if counts(subject, number, bound.end):
        return bound
    if not number.unit & {"%", "x"} and number.step == 1 and 1500 <= number.value < 2100:
        return None
    measure = measure_of(subject, bound.start, bound.end, number)
    if measure and not measure.stems and last:
        measure = last[0].measure or measure
    return replace(bound, measure=measure) if measure else None


def _without_unit(text: str, unit: frozenset[str]) -> str:
    """What follows a number, without what it counts."""
    word = re.match(r"\+?[\s-]*([A-Za-z]+)\b", text)
    return text[word.end() :] if word and unit.intersection(lexical_terms(word[1])) else text


def _means_any_model(text: str) -> bool:
    return not set(lexical_terms(text)) - _any_model()


@cache
def _any_model() -> frozenset[str]:
    return frozenset(lexical_terms(_ANY_MODEL))
