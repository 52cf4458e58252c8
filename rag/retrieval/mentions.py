"""Which papers a question names.

Many titles open with the name of what they present ("ELECTRA: ...", "MDETR -- ..."), or have it in
parentheses. A question that holds that name, the whole title or an id is about that paper, so it
goes first whatever the other stages say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEAD = re.compile(r"^(.{2,40}?)\s*(?::|--| [-–—] )\s*\S")
_ACRONYM = re.compile(r"\(([A-Z][\w+-]*[A-Z0-9][\w+-]*)\)")
_WORD = re.compile(r"[\w+]+")
_MOST_WORDS = 3
_TITLE_WORDS = 3  # a shorter title is a name, or words like any others
_LONGEST_TITLE = 40  # words; a longer one is named in no question
_ARXIV_ID = re.compile(
    r"(?<![\w./-])(\d{4}\.\d{4,5}|[a-z-]{2,20}(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?(?![\w/])"
)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>?]{0,200}[^\s\"'<>?.,;:)\]]")
_OWN_ID = re.compile(r"(?<![\w/-])[a-z0-9-]{1,60}-[0-9a-f]{6,64}(?![\w-])")
_SHORT = 3  # letters of a name that could be an ordinary word in lower case


def system_name(title: str) -> str | None:
    """The name that a title opens with, or None.

    >>> system_name("ELECTRA: Pre-training Text Encoders as Discriminators")
    'ELECTRA'
    >>> system_name("Sequence to Sequence Learning with Neural Networks") is None
    True
    """
    match = _LEAD.match(title)
    if not match or not 0 < len(_WORD.findall(match.group(1))) <= _MOST_WORDS:
        return None
    return match.group(1).strip()


class NameIndex:
    """Finds the papers that a question names; the longest name wins where several overlap."""

    def __init__(self, titles: Iterable[str]) -> None:
        """Collects the names; a paper's number is its position among the titles."""
        self._papers: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        self._lengths: dict[str, set[int]] = {}  # first word -> lengths of the names that it opens
        for number, title in enumerate(titles):
            names = [system_name(title), *_ACRONYM.findall(title)]
            for name in filter(None, names):
                self._papers.setdefault(_words(name), []).append((number, name))
            words = _words(title)
            if _TITLE_WORDS <= len(words) <= _LONGEST_TITLE:
                self._papers.setdefault(words, []).append((number, ""))
        for words in filter(None, self._papers):
            self._lengths.setdefault(words[0], set()).add(len(words))

    def named_in(self, question: str) -> list[int]:
        """Numbers of the papers named, in the order of the question."""
        words = _words(question)
        found: dict[int, None] = {}
        position = 0
        while position < len(words):
            for length in sorted(self._lengths.get(words[position], ()), reverse=True):
                papers = self._papers.get(words[position : position + length], ())
                hits = [number for number, name in papers if not name or _is_meant(name, question)]
                if hits:
                    found.update(dict.fromkeys(hits))
                    position += length - 1
                    break
            position += 1
        return list(found)


def ids_in(question: str) -> tuple[str, ...]:
    """What in a question may be the id of a paper, as ids are written.

    >>> ids_in("Does 2003.10555v1 cite doi:10.1000/XYZ, or electra-pre-training-0a1b2c?")
    ('arxiv:2003.10555', 'doi:10.1000/xyz', 'electra-pre-training-0a1b2c')
    """
    arxiv = [f"arxiv:{match[1].lower()}" for match in _ARXIV_ID.finditer(question)]
    dois = [f"doi:{match[0].lower()}" for match in _DOI.finditer(question)]
    own = [match[0] for match in _OWN_ID.finditer(question)]
    return tuple(dict.fromkeys([*arxiv, *dois, *own]))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _is_meant(name: str, question: str) -> bool:
    """Whether the name stands in the question as a word of its own, and as a name.

    A short name ("FIT"), or one that looks like an ordinary word or phrase, must be written as in
    the title; "pre-training" does not name PRE.
    """
    inner = any(letter.isupper() or letter.isdigit() for letter in name[1:].replace(" ", ""))
    exact = len(name) <= _SHORT or not inner
    pattern = rf"(?<![\w-]){re.escape(name)}(?!-?\w)"
    return re.search(pattern, question, 0 if exact else re.IGNORECASE) is not None
