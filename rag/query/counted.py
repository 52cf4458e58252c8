"""The numbers of a text with what they count: "7B models", "over 100 languages", "2.5x".

Similarity knows nothing of numbers, so they are read. Called by `conditions`, for the question and
for the abstracts alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from rag.text.numbers import SCALES, SMALL_NUMBERS, TENS
from rag.text.terms import lexical_terms

PARAMETERS = frozenset({"paramet"})
_ONES = {word: float(value) for value, word in enumerate(SMALL_NUMBERS)}
_WORDS = {"a": 1.0, **_ONES, **{word: 10.0 * value for value, word in enumerate(TENS, start=2)}}
_SCALES = {**SCALES, "dozen": 12.0}
_LONG_SCALE = r"dozen|hundred|thousand|million|billion|trillion|bn|mn"
_NUMBER = re.compile(
    r"(?<![\w.,/-])(?:(?P<name>[A-Za-z][\w.]*-(?:[\w.]+-)*)?"
    r"(?P<digits>\d{1,3}(?:[,\u202f ]\d{3})+(?!\d)(?:\.\d+)?|\d+,\d{1,2}(?=[\s-]?[mb]illion)|"
    r"\d*\.?\d+)(?![\d/])"
    rf"(?P<short>[\s-]?(?:{_LONG_SCALE}|[kKMBT])(?![A-Za-z]))?|"
    rf"(?i:(?P<word>{'|'.join(TENS)}|a|{'|'.join(_ONES)})"
    rf"(?:-(?P<one>{'|'.join(_ONES)}))?)(?P<half> and a half)?"
    rf"(?P<long>(?:[\s-](?:{_LONG_SCALE})(?![A-Za-z])){{1,2}})?)"
    r"(?![\w.]*\d)(?P<share>\s?%|[x×X](?![A-Za-z]))?(?=\W|$)",
)
_BETWEEN = re.compile(
    r"\s*(?:,|or|and|but|to|-|–)\s*(?:(?:fewer|less|smaller|more|larger) than|under|below|over|"
    r"above|at (?:least|most))?\s*"
)
_WORD = re.compile(r"\+?[\s-]*([A-Za-z]+)(?=\W|$)")
_CONNECTIVES = frozenset({"or", "more", "fewer", "less", "larger", "smaller", "of", "different"})
_UNIT_WORDS = 3
_OWN_UNITS = (PARAMETERS, frozenset("%"), frozenset("x"))  # not those of the next number
_SHARES = {"percent": "%", "time": "x", "fold": "x"}  # stems
# "8B models" and "Llama (8B)" speak of parameters, "8B tokens" does not
SIZED = "model models encoder decoder network transformer lm llm variant version baseline backbone"
_ROUGHLY = re.compile(
    r"(?:about|around|roughly|approximately|nearly|almost|over|(?:more|less|fewer) than|under|"
    r"below|above|[<>~≈])\s*$",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"(?:\be\.g\.,?|\b(?:such as|like|compar\w+ (?:to|with)|than|against|rival\w*|(?:out|sur)p\w+)"
    r"\b)[^.;:]{0,40}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of a text.

    Attributes:
        value: scaled: 7B is 7e9.
        step: what one unit of its last digit is worth.
        rough: whether the text says about, over, less than ...
        foreign: whether it seems to be given of something that is only compared with or named.
        unit: stems of what is counted; "%" and "x" of shares and multiples.
        start: where it begins.
        end: where it ends.
    """

    value: float
    step: float
    rough: bool
    foreign: bool
    unit: frozenset[str]
    start: int
    end: int


def counted(text: str, *, bare: bool = False) -> list[Counted]:
    """The numbers of a text that count something; in "7 or 8B models" both count the same.

    Args:
        text: to read.
        bare: take also those that count nothing; their unit is empty.

    >>> [(each.value, sorted(each.unit)) for each in counted("GPT-3 has two dozen heads, 2.5x.")]
    [(24.0, ['head']), (2.5, ['x'])]
    """
    # the 3 of GPT-3 is part of a name, the 8B of Llama-3-8B is a size
    matches = [m for m in _NUMBER.finditer(text) if m["short"] or not m["name"]]
    scales = [_scale(match) for match in matches]
    units = [_unit(text, match) for match in matches]
    for at, (left, right) in reversed(list(enumerate(pairwise(matches)))):
        if _BETWEEN.fullmatch(text[left.end() : right.start()]):
            scales[at] = scales[at] if scales[at] > 1 else scales[at + 1]
            units[at] = units[at] if units[at] in _OWN_UNITS else units[at + 1]
    found = []
    for match, scale, unit in zip(matches, scales, units, strict=True):
        if (unit or bare) and (scale > 1 or (match["word"] or "").lower() not in ("a", "one")):
            value, step = _value(match)
            before = text[max(0, match.start() - 60) : match.start()]
            found.append(
                Counted(
                    value * scale,
                    step * scale,
                    bool(_ROUGHLY.search(before[-20:])),
                    bool(_FOREIGN.search(before)),
                    unit,
                    match.start(),
                    match.end(),
                )
            )
    return found


def _scale(match: re.Match[str]) -> float:
    scale = 1.0
    for word in re.findall(r"[A-Za-z]+", match["short"] or match["long"] or ""):
        scale *= _SCALES[word.lower()]
    return scale


def _value(match: re.Match[str]) -> tuple[float, float]:
    """The number as it is written, without its scale, and the worth of its last digit."""
    if word := match["word"]:
        value = _WORDS[word.lower()] + _ONES.get((match["one"] or "").lower(), 0.0)
        return (value + 0.5, 0.5) if match["half"] else (value, 1.0)
    digits = re.sub(r"[,\u202f ](?=\d{3}(?!\d))", "", match["digits"]).replace(",", ".")
    return float(digits), 10.0 ** -len(digits.partition(".")[2])


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
    stems = lexical_terms(" ".join(words[:1])) or [""]
    if words and (share := _SHARES.get(stems[0]) or _SHARES.get(words[0].lower().rstrip("s"))):
        return frozenset({share})
    found = frozenset(lexical_terms(" ".join(words)))
    scale = (match["short"] or "").strip(" -")
    if scale in ("B", "M", "T") and (found & sized() or (scale == "B" and not found)):
        return PARAMETERS
    return found & PARAMETERS or found


@cache
def sized() -> frozenset[str]:
    """Stems of what has parameters."""
    return frozenset(lexical_terms(SIZED))
