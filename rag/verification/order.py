"""Swapped parts: the same words and numbers as the source, but put together otherwise. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from rag.text.numbers import Quantity, meets, placed_quantities
from rag.text.terms import lexical_terms

_REACH = 60  # characters to each side of a number that say what it counts
_MARGIN = 1.25  # how much more must stand around another number
_WORD = re.compile(r"[^\W\d_][\w-]*")


def kept_order(statement: str, source: str) -> float:
    """Share of the words that both have which stand in the same order, in [0, 1].

    >>> kept_order("dogs chase cats", "dogs chase cats"), kept_order("a b", "no words in common")
    (1.0, 1.0)
    """
    mine, theirs = lexical_terms(statement), lexical_terms(source)
    common = set(mine) & set(theirs)
    left = [term for term in mine if term in common]
    right = [term for term in theirs if term in common]
    if not left:
        return 1.0
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(left)


def misplaced_number(statement: str, source: str) -> str | None:
    """A number of the statement that the source has, but for something else; None where none is.

    A number counts what stands around it. If around another number of the source stands more of
    what the statement has around this one, the two were mixed up.

    >>> source = "tested on 12 translation tasks and on 30 summarization tasks"
    >>> misplaced_number("tested on 30 translation tasks", source)
    '30'
    """
    there = [(number, _around(source, start, end)) for number, start, end in _numbers(source)]
    for number, start, end in _numbers(statement):
        context = _around(statement, start, end)
        rated = [(_shared(context, around), meets(number, other)) for other, around in there]
        right = max((shared for shared, same in rated if same), default=None)
        wrong = max((shared for shared, same in rated if not same), default=0.0)
        if right is not None and wrong > right * _MARGIN + 0.1:
            return number.shown
    return None


def _numbers(text: str) -> list[tuple[Quantity, int, int]]:
    return [(q, at, at + len(q.shown)) for at, q in placed_quantities(text)]


def _around(text: str, start: int, end: int) -> dict[str, float]:
    """Stems near a place, each with its nearness in (0, 1]."""
    near: dict[str, float] = {}
    for match in _WORD.finditer(text, max(0, start - _REACH), min(len(text), end + _REACH)):
        gap = max(match.start() - end, start - match.end(), 0)
        for stem in lexical_terms(match[0]):
            near[stem] = max(near.get(stem, 0.0), 1.0 / (1.0 + gap / 8))
    return near


def _shared(left: dict[str, float], right: dict[str, float]) -> float:
    return sum(min(weight, right.get(stem, 0.0)) for stem, weight in left.items())
