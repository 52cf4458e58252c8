"""What a number measures, by the words beside it: "a hazard ratio of 0.75", "84% accuracy".

Where nothing is counted, a number alone says little: 98% may be a masking ratio as well as an
accuracy. So the words that a question asks for must stand beside the number, and where that is not
certain, the number is not taken. Called by `conditions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rag.query.counted import PARAMETERS, Counted, counted
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FORMS = (
    ("least", r"at least|no (?:fewer|less|smaller|lower) than|a minimum of|≥|>="),
    ("most", r"at most|up to|(?:no|not) (?:more|larger|bigger|higher) than|a maximum of|≤|<="),
    ("below", r"(?:fewer|less|smaller|lower) than|under|below|<"),
    (
        "above",
        r"(?:more|larger|bigger|greater|higher|better) than|over|above|exceed\w*|beyond|>",
    ),
    ("span", r"between|from"),
)
BOUNDS = tuple(
    (name, re.compile(rf"(?:\b|(?=[<>≤≥]))(?:{form})\s*$", re.IGNORECASE)) for name, form in _FORMS
)
_SIGNS = frozenset({"%", "x"})
_SIGN_WORD = re.compile(r"\s?-?(?:per ?cent|times|fold)(?!\w)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'’/-]*")
_DECIMAL_POINT = re.compile(r"(?<=\d)·(?=\d)(?!10\D)")
# "5×10^-8", "0.4-0.9" and "−0.6" are other numbers than the ones they are made of
_IS_PART = re.compile(r"\s?[×x*·^–−-]\s?[\d(]|\^|e[-−]?\d")
_PART_BEHIND = re.compile(r"[−–^×*]\s?$")
_NOTHING_COUNTED = re.compile(
    r"\s*(?:[^\w\s%+$€£°-]|$)|\s+(?:in|on|for|with|at|vs|versus|compared|among|when|while|by|across|"
    r"after|as|from|using|without|within|during|per|under|is|was|are|were|respectively|which|that)"
    r"\b|\s+(?:and|but)\s+(?!more|less|fewer|larger|smaller|under|below|over|above|at |\d)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.;!?](?=\s)")
_BRACKETS = re.compile(r"[(\[][^()\[\]\d]{1,20}[)\]]")
_FUNCTION_WORDS = (
    "a an the their its with without at by to for on from as than and or but that which who whose "
    "where when while if is was are were be been being has have had having do does not no any all "
    "some such only also it they we our this these those paper papers model models result results "
    "using use uses used"
)
TELLING = (
    "report reports reporting reported show shows showing achieve achieves achieving reach reaches "
    "reaching get gets getting obtain obtains obtaining find finds finding found give gives giving "
    "yield yields yielding attain attains attaining claim claims claiming demonstrate demonstrates "
    "result results state states exhibit list mention describe see offer offers provide provides "
    "deliver delivers observe observed measure measured"
)
_GENERIC = frozenset({"score", "scores", "value", "values", "level", "levels"})
_LINKS = "of in that is was are were be being stays remains by"
_CHANGE = (
    "improve improvement increase gain drop loss lose decrease reduce reduction boost raise rise "
    "decline cut save saving difference fall enhance enhancement degrade degradation retain "
    "preserve maintain recover higher lower better worse greater point relative absolute"
)
_SPEED = "speedup speed faster acceleration accelerate quicker"
_NO_SPEED = (
    "larger smaller fewer less more cheaper better longer shorter lower higher parameter memory "
    "compute cost flop reduction cut saving size data token energy compression"
)
_UNSURE = "by from than and or but not between below under least most without for with"
_OF_OTHERS = re.compile(
    r"\b(?:e\.g|such as|like|compar\w+ (?:to|with)|than|against|baseline|previous|prior|rival\w*|"
    r"(?:out|sur)p\w+)\b[^.;:]{0,60}$",
    re.IGNORECASE,
)
_AGED = (
    "age aged adult child children kid patient people person infant adolescent woman women man men "
    "participant subject"
)
_NEAR = 8  # words before a number that may say what it measures
_FILL = 4  # of these, behind what is measured
_MOST_WORDS = 4  # that name a measure


@dataclass(frozen=True, slots=True)
class Measure:
    """What a question wants a number of.

    Attributes:
        stems: of its words; empty where nothing says what it is, which no number meets.
        sign: "%", "x" or "".
        start: where the words begin in the question, or the number if they stand behind it.
        end: where they end, or the number if they stand before it.
    """

    stems: frozenset[str]
    sign: str
    start: int
    end: int


def numbers(text: str) -> list[Counted]:
    """The numbers that stand by themselves, counting or not."""
    plain = _DECIMAL_POINT.sub(".", text)
    return [
        each
        for each in counted(plain, bare=True)
        if not _IS_PART.match(plain, each.end) and not _PART_BEHIND.search(plain[: each.start])
    ]


def counts(subject: str, number: Counted, end: int) -> bool:
    """Whether a bound of a question that ends there counts things, as in "100 languages"."""
    if number.unit & _SIGNS or not number.unit:
        return False
    named = set(lexical_terms(subject[number.end : end])) & number.unit  # "8,000 tokens or more"
    return number.unit == PARAMETERS or bool(named) or not _NOTHING_COUNTED.match(subject, end)


def measure_of(subject: str, bound: int, end: int, number: Counted) -> Measure | None:
    """What a number of a question measures that counts nothing; None if it is somebody's age.

    Args:
        subject: of the question.
        bound: where the comparison begins.
        end: where it ends.
        number: the last of the comparison.
    """
    sign, end = _sign(number), max(end, _end(subject, number))
    if _IS_PART.match(subject, number.end):
        return Measure(frozenset(), sign, bound, end)
    if sign and (behind := list(_words_behind(subject, end))):
        return Measure(_stems_of(behind), sign, bound, behind[-1].end())
    words = _words_before(subject[:bound])
    stems = _stems_of(words)
    if stems & _stems(_AGED):
        return None
    return Measure(stems, sign, words[0].start() if words else bound, end)


def beside(text: str, measure: Measure) -> Iterator[Counted]:
    """The numbers of a text that stand beside the words of what is measured."""
    found, last = numbers(text), 0
    for at, number in enumerate(found):
        tail, last = text[last : number.start], _end(text, number)
        if at and tail.strip() == "to" and text[: found[at - 1].start].endswith("from "):
            tail = text[: found[at - 1].start - len("from ")] + "to "  # only the new value counts
        if _sign(number) != measure.sign or not measure.stems:
            continue
        tail = _without_bound(tail)
        if measure.sign == "x" and measure.stems & _stems(_SPEED):
            if _may_be_speed(tail, text[last:]):
                yield number
        elif not _OF_OTHERS.search(_without_bound(text[: number.start])) and (
            _named_before(tail, text[last:], measure.stems)
            or _named_behind(tail, text, last, measure.stems)
        ):
            yield number


def _named_before(tail: str, behind: str, stems: frozenset[str]) -> bool:
    """Whether the words that end before a number name the measure: "hazard ratio was"."""
    if not _NOTHING_COUNTED.match(behind) and not re.match(r"\s(?:and|or|to)\b", behind):
        return False
    words = [m[0].lower() for m in _WORD.finditer(_BRACKETS.sub(" ", _last_sentence(tail)))]
    words = words[-_NEAR:]
    places = [n for n, word in enumerate(words) if stems.intersection(lexical_terms(word))]
    if not places:
        return False
    name, fill = words[: places[-1] + 1][-_MOST_WORDS:], words[places[-1] + 1 :]
    if len(fill) > _FILL or not stems <= frozenset(lexical_terms(" ".join(name))):
        return False
    if stems & _stems(_CHANGE):
        return not set(fill) & (_plain(_UNSURE) - {"by"})
    if fill[-1:] == ["to"]:
        return not set(fill) & _plain(_UNSURE)
    changed = frozenset(lexical_terms(" ".join([*name, *fill]))) & _stems(_CHANGE)
    return not changed and not set(fill) & (_plain(_UNSURE) - {"for", "with"})


def _named_behind(tail: str, text: str, end: int, stems: frozenset[str]) -> bool:
    """Whether the words behind a number name the measure: "84.0% top-1 accuracy"."""
    words = [m[0] for m in _words_behind(text, end)]
    before = [m[0].lower() for m in _WORD.finditer(_last_sentence(tail))][-2:]
    places = [n for n, word in enumerate(words) if stems.intersection(lexical_terms(word))]
    if not places or before[-1:] == ["by"]:
        return False
    if not stems <= frozenset(lexical_terms(" ".join(words[: places[-1] + 1]))):
        return False
    changed = frozenset(lexical_terms(" ".join([*before, *words]))) & _stems(_CHANGE)
    return not changed or bool(stems & _stems(_CHANGE)) or before[-1:] == ["to"]


def _may_be_speed(tail: str, behind: str) -> bool:
    """Whether the words beside a factor allow it to be one of speed: not "90x fewer parameters"."""
    words = [m[0] for m in _WORD.finditer(_last_sentence(tail))]
    before = frozenset(lexical_terms(" ".join(words[-_FILL:])))
    for terms in (_stems_of(_words_behind(behind, 0)), before):
        if terms & (_stems(_SPEED) | _stems(_NO_SPEED)):
            return bool(terms & _stems(_SPEED))
    return True


def _without_bound(text: str) -> str:
    """The text without a comparison at its end: "accuracy of over"."""
    found = next((m for name, form in BOUNDS if name != "span" and (m := form.search(text))), None)
    return text[: found.start()] if found else text


def _last_sentence(text: str) -> str:
    return _SENTENCE_END.split(text)[-1]


def _words_behind(text: str, end: int) -> Iterator[re.Match[str]]:
    """The first content words behind a number, up to a function word or a sign."""
    for _ in range(_MOST_WORDS):
        gap = re.match(r"[ -]*", text[end:])
        word = _WORD.match(text, end + (gap.end() if gap else 0))
        if not word or word[0].lower() in _plain(_FUNCTION_WORDS) | {"of", "in"}:
            return
        yield word
        end = word.end()


def _words_before(text: str) -> list[re.Match[str]]:
    """The content words that a text ends with; "of" and "in" may stand between them."""
    words: list[re.Match[str]] = []
    start = len(text)
    for word in reversed(list(_WORD.finditer(text))):
        low = word[0].lower()
        if text[word.end() : start].strip() or low in _plain(TELLING) or len(words) == _MOST_WORDS:
            break
        if low in _plain(_FUNCTION_WORDS) - _plain(_LINKS) or (
            words and low in _plain(_LINKS) - {"of", "in"}
        ):
            break
        start = word.start()
        if low not in _plain(_LINKS):
            words.insert(0, word)
    return words


def _sign(number: Counted) -> str:
    return next(iter(number.unit & _SIGNS), "")


def _end(text: str, number: Counted) -> int:
    """Where a number ends with its sign, which may be a word."""
    word = _SIGN_WORD.match(text, number.end) if _sign(number) else None
    return word.end() if word else number.end


def _stems_of(words: Iterable[re.Match[str]]) -> frozenset[str]:
    return frozenset(lexical_terms(" ".join(m[0] for m in words if m[0].lower() not in _GENERIC)))


@cache
def _stems(words: str) -> frozenset[str]:
    return frozenset(lexical_terms(words))


@cache
def _plain(words: str) -> frozenset[str]:
    return frozenset(words.split())
