"""Authors that a question for papers names, where the library has papers of them.

"Papers by Clark", "what did Clark et al. (2020) find?" ask of some papers. A name counts only where
an author's stands and the library knows it. Called by `rag.query.understanding`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rag.index import Filter
from rag.query.venues import PAPERS

if TYPE_CHECKING:
    from collections.abc import Callable

_YEAR = r"(?P<year>(?:1[89]|20)\d\d)"
_CAPITAL = r"(?![a-z])[^\W\d_]"  # of any alphabet
_OPENER = (
    r"(?!(?:Is|Are|Was|Were|Did|Does|Do|Has|Have|In|By|And|But|The|What|How|Why|If|List|Show|Find|"
    r"Give|Name|Count|Which|Any|All|Papers|Works|Articles|Studies)\b)"
)
AUTHOR = (
    rf"{_OPENER}(?:(?:{_CAPITAL}[\w'’-]*\.?|van|von|de|der|den|la|le|di|da) ){{0,3}}"
    rf"{_CAPITAL}[\w'’-]*"
)
_NAMED = rf"(?P<author>{AUTHOR})"
_ET_AL_MARK = r",? et\.? al\b\.?"
_DATED = rf"(?:,? \(?{_YEAR}\)?(?! (?:or|and|to)\b))?"
_OTHER = rf"(?:,? (?:and|or|&) (?P<other>{AUTHOR}))?"
_ET_AL = re.compile(rf"\b{_NAMED}{_ET_AL_MARK}(?:'s|’s)?{_DATED}")
_WRITTEN_BY = re.compile(
    r"(?:,? (?:(?:that |which )?(?:were |was |are |is )?"
    r"(?:(?:(?:co-?)?(?:written|authored)|published) )?by|"
    r"(?:(?<=papers )|(?<=articles )|(?<=works )|(?<=work )|(?<=thing ))(?:of|from))) "
    rf"{_NAMED}(?:{_ET_AL_MARK})?{_DATED}{_OTHER}"
)
_THEIR_WORK = re.compile(
    rf"\b{_NAMED}(?:(?:{_ET_AL_MARK})?(?:'s|’s)|s['’]) (?={PAPERS}\b|own {PAPERS}\b)"
)
_WROTE = re.compile(
    rf"(?P<before>\b{PAPERS})(?: that| which)?(?: (?:did|does|has|have|had)(?P<no>n['’]?t)?)? "
    rf"{_NAMED}(?:{_ET_AL_MARK})?(?:,? (?:and|&) (?P<other>{AUTHOR}))?"
    r"(?: (?:did|does|has|have|had))?(?P<not>n['’]?t| not| never)?(?: ever)? "
    r"(?:write|wrote|written|publish(?:ed)?|(?:co-?)?author(?:ed)?)\b"
)
_FINDS = (
    r"(?:find|found|show|say|said|state|report|propose|introduce|present|argue|claim|conclude|"
    r"suggest|describe|observe|discover|measure|think|write|wrote|publish)(?:n|tt?en|e?d)?\b"
)
_WHO_FINDS = re.compile(
    rf"\b(?P<before>(?:[Dd]id|[Dd]oes|[Dd]o|[Hh]as|[Hh]ave) ){_NAMED}"
    rf"(?: (?:and|&) (?P<other>{AUTHOR}))?{_DATED}(?= {_FINDS})"
)
_ACCORDING_TO = re.compile(rf"(?P<before>[Aa]ccording to ){_NAMED}{_DATED}")
_CITED = re.compile(rf"\b{_NAMED}(?: (?:and|&) (?P<other>{AUTHOR}))? \({_YEAR}\)")


class Authors(NamedTuple):
    """Authors that a question names.

    Attributes:
        text: the question without them.
        names: of the library, as they stand in it.
        years: beside the names, as in "Clark et al. (2020)".
        unknown: whom it asks for papers by, and of whom the library has none; still in the text.
    """

    text: str
    names: tuple[str, ...]
    years: tuple[int, ...]
    unknown: tuple[str, ...]


def authors_in(text: str, holds: Callable[[Filter], bool], *, of_papers: bool) -> Authors:
    """The authors in a text that restrict papers.

    Args:
        text: a question, understandable alone.
        holds: whether the library has a paper that passes a filter.
        of_papers: whether the question speaks of papers.
    """
    names: list[str] = []
    years: list[int] = []
    takes = partial(_takes, holds=holds, names=names, years=years)
    removed = (_WROTE, _THEIR_WORK, _WRITTEN_BY)
    replaced = (_ET_AL, _WHO_FINDS, _ACCORDING_TO, _CITED)
    if of_papers:
        text = _without(text, removed, takes)
    for pattern in replaced:
        text = pattern.sub(partial(_stands_for, takes=takes), text)
    if not of_papers:
        text = _without(text, removed, takes)
    left = (match for pattern in (_ET_AL, _WRITTEN_BY) for match in pattern.finditer(text))
    asked = dict.fromkeys(name for match in left for name in _names(match))
    unknown = tuple(name for name in asked if not holds(Filter(authors=(name,))))
    return Authors(text, tuple(dict.fromkeys(names)), tuple(years), unknown)


def without_written_by(text: str) -> str:
    """The text without the authors whom it asks for papers by, known or not."""
    return _WRITTEN_BY.sub("", _WROTE.sub(r"\g<before>", text))


def who_did_not_write(text: str, holds: Callable[[Filter], bool]) -> tuple[int, int] | None:
    """Where it says whose papers are not meant, as in "papers that Clark did not write"."""
    for match in _WROTE.finditer(text):
        if (match["no"] or match["not"]) and holds(Filter(authors=(match["author"],))):
            return match.end("before"), match.end()
    return None


def _without(
    text: str, patterns: tuple[re.Pattern[str], ...], takes: Callable[[re.Match[str]], bool]
) -> str:
    for pattern in patterns:
        text = pattern.sub(
            lambda match: match.groupdict().get("before") or "" if takes(match) else match[0], text
        )
    return text


def _stands_for(match: re.Match[str], takes: Callable[[re.Match[str]], bool]) -> str:
    """What stands for the authors of a match in the question that is searched for."""
    before = match.groupdict().get("before") or ""
    return f"{before}the authors" if takes(match) else match[0]


def _takes(
    match: re.Match[str], holds: Callable[[Filter], bool], names: list[str], years: list[int]
) -> bool:
    """Notes the authors of a match, and the year beside them; whether the library has them."""
    named = _names(match)
    if not all(holds(Filter(authors=(name,))) for name in named):
        return False
    names += named
    if year := match.groupdict().get("year"):
        years.append(int(year))
    return True


def _names(match: re.Match[str]) -> list[str]:
    parts = match.groupdict()
    return [name for group in ("author", "other") if (name := parts.get(group))]
