"""Years that a question for papers names, read as one range.

"From 2016 or later", "in 2019 and 2020", "before 2010": a filter holds one range of years, so years
with others between them are told to be too much. Called by `rag.query.understanding`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rag.query.venues import END, PAPERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Span = tuple[int | None, int | None]  # first and last year, both included; None leaves an end open
_ANY = r"(?:1[89]|20)\d\d"
_FIRST, _LAST = rf"(?P<first>{_ANY})", rf"(?P<last>{_ANY})"
_PUBLISHED = (
    r"(?:(?:that |which )?(?:(?:were|was|are|have been|has been) )?"
    r"(?:published|written|appeared|released|printed|(?:came|come) out) )?"
)
_END = rf"(?=\s*(?:$|[?.,;:!)]|(?:{END})\b))"
_IN = r"(?:in|of|from|during) (?:either |both )?(?:the )?(?:years? )?"
_LIST = rf"(?P<list>{_ANY}(?:(?:, ?|,? (?:and|or|&) )(?:(?:in|of|from) )?{_ANY})+)"
_LATER = r"(?:later|newer|after|onwards?|since|beyond|more recent(?:ly)?)\b"
_EARLIER = r"(?:earlier|older|before)\b"
_FORMS: tuple[tuple[str, Callable[[int, int], Span]], ...] = (
    (rf"between {_FIRST} and {_LAST}", lambda a, b: (a, b)),
    (rf"{_IN}{_FIRST}(?: to | until | through | ?[-–] ?){_LAST}", lambda a, b: (a, b)),
    (
        rf"(?:from )?(?:not?|never) (?:before|earlier than|older than|prior to) {_FIRST}",
        lambda a, _: (a, None),
    ),
    (rf"(?:from )?(?:not?|never) (?:after|later than|newer than) {_FIRST}", lambda a, _: (None, a)),
    (rf"(?:{_IN}|since )?{_FIRST},? (?:and|or) {_LATER}", lambda a, _: (a, None)),
    (rf"(?:{_IN})?{_FIRST},? (?:and|or) {_EARLIER}", lambda a, _: (None, a)),
    (rf"(?:since|from) {_FIRST}(?: on(?:wards?)?\b|\+)", lambda a, _: (a, None)),
    (rf"since {_FIRST}", lambda a, _: (a, None)),
    (rf"(?:from )?(?:after|later than|newer than) {_FIRST}", lambda a, _: (a + 1, None)),
    (
        rf"(?:from )?(?:before|earlier than|older than|prior to) {_FIRST}",
        lambda a, _: (None, a - 1),
    ),
    (rf"(?:up to|until|through) {_FIRST}", lambda a, _: (None, a)),
    (rf"{_IN}{_LIST}", lambda a, b: (a, b)),
    (rf"{_IN}{_FIRST}", lambda a, _: (a, a)),
)
_BEFORE_PAPERS = re.compile(
    rf"\b(?:{_LIST}|{_FIRST}(?:(?: to | ?[-–] ?){_LAST})?) (?={PAPERS}\b)", re.IGNORECASE
)
_CLOSED = re.compile(rf"[, ]*{_PUBLISHED}{_IN}[\d,]+(?:,? (?:and|or|&) [\d,]+)*$", re.IGNORECASE)


class Years(NamedTuple):
    """What a question says of years.

    Attributes:
        text: the question without them.
        span: the range that holds all that is said; None without any, or where none does.
        said: as they stand in it.
    """

    text: str
    span: Span | None
    said: tuple[str, ...]


def years_in(text: str, beside: Sequence[Span] = (), *, of_papers: bool) -> Years:
    """The years in a text that restrict papers.

    Args:
        text: a question, understandable alone.
        beside: spans that hold as well, such as the year beside an author.
        of_papers: whether the question speaks of papers.

    >>> years_in("papers from 2016 or later on ice", of_papers=True)
    Years(text='papers  on ice', span=(2016, None), said=('from 2016 or later',))
    >>> years_in("papers from 2019 or 2021", of_papers=True).span is None
    True
    """
    spans: list[Span | None] = list(beside)
    said: list[str] = []
    for form, meaning in _FORMS:
        pattern = re.compile(rf",? ?\b{_PUBLISHED}{form}{_END}", re.IGNORECASE)
        match = pattern.search(text)
        if match is None or not (of_papers or _is_aside(text, match)):
            continue
        spans.append(_span(match, meaning))
        said.append(match[0].strip(" ,"))
        text = f"{text[: match.start()]} {text[match.end() :]}"
    if match := _BEFORE_PAPERS.search(text):
        spans.append(_span(match, lambda a, b: (a, b)))
        said.append(match[0].strip())
        text = text[: match.start()] + text[match.end() :]
    return Years(text, _common(spans), tuple(said))


def _span(match: re.Match[str], meaning: Callable[[int, int], Span]) -> Span | None:
    """What a match means; None for years with others between them."""
    parts = match.groupdict()
    if listed := parts.get("list"):
        years = sorted({int(year) for year in re.findall(r"\d{4}", listed)})
        is_whole = years[-1] - years[0] == len(years) - 1
        return meaning(years[0], years[-1]) if is_whole else None
    return meaning(int(parts["first"]), int(parts.get("last") or parts["first"]))


def _is_aside(text: str, match: re.Match[str]) -> bool:
    """Whether a year stands at an end of a question, as in "What is known of X since 2020?".

    "In 2014" may stand there and mean the data; only an open or wide span is a restriction.
    """
    at_an_end = not text[match.end() :].strip(" ?.!") or not text[: match.start()].strip()
    return at_an_end and not _CLOSED.match(match[0])


def _common(spans: Sequence[Span | None]) -> Span | None:
    """What all spans have in common; None without any, or where nothing is."""
    if not spans or None in spans:
        return None
    known = [span for span in spans if span is not None]
    first = max((a for a, _ in known if a is not None), default=None)
    last = min((b for _, b in known if b is not None), default=None)
    return None if first is not None and last is not None and first > last else (first, last)
