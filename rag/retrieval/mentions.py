"""Find the papers that a question names.

Many titles start with the name of what they present ("ELECTRA: ...", "MDETR -- ..."), or have it in
parentheses. A question with that name, the whole title or an id is about that paper, so the paper
ranks first whatever the other stages say.
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
_TITLE_WORDS = 3  # a shorter title may be ordinary words
_LONGEST_TITLE = 40  # words; no question contains a longer one
_ARXIV_ID = re.compile(
    r"(?<![\w./-])(\d{4}\.\d{4,5}|[a-z-]{2,20}(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?(?![\w/])"
)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>?]{0,200}[^\s\"'<>?.,;:)\]]")
_OWN_ID = re.compile(r"(?<![\w/-])[a-z0-9-]{1,60}-[0-9a-f]{6,64}(?![\w-])")
_SHORT = 3  # letters; a name this short may be an ordinary word


def extract_system_name(title: str) -> str | None:
    """Return the name that a title starts with, or None.

    >>> extract_system_name("ELECTRA: Pre-training Text Encoders as Discriminators")
    'ELECTRA'
    >>> extract_system_name("Sequence to Sequence Learning with Neural Networks") is None
    True
    """
    match = _LEAD.match(title)
    if not match or not 0 < len(_WORD.findall(match.group(1))) <= _MOST_WORDS:
        return None
    return match.group(1).strip()


class NameIndex:
    """Finds the papers that a question names. The longest of overlapping names wins."""

    def __init__(self, titles: Iterable[str]) -> None:
        """Collect the names. A paper's number is its position among the titles."""
        self._papers: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        self._lengths: dict[
            str, set[int]
        ] = {}  # first word -> lengths of the names that start with it
        for number, title in enumerate(titles):
            names = [extract_system_name(title), *_ACRONYM.findall(title)]
            for name in filter(None, names):
                self._papers.setdefault(_split_words(name), []).append((number, name))
            words = _split_words(title)
            if _TITLE_WORDS <= len(words) <= _LONGEST_TITLE:
                self._papers.setdefault(words, []).append((number, ""))
        for words in filter(None, self._papers):
            self._lengths.setdefault(words[0], set()).add(len(words))

    def find_papers(self, question: str) -> list[int]:
        """Return the numbers of the papers named, in the order of the question."""
        words = _split_words(question)
        found: dict[int, None] = {}
        position = 0
        while position < len(words):
            for length in sorted(self._lengths.get(words[position], ()), reverse=True):
                papers = self._papers.get(words[position : position + length], ())
                hits = [number for number, name in papers if not name or _is_named(name, question)]
                if hits:
                    found.update(dict.fromkeys(hits))
                    position += length - 1
                    break
            position += 1
        return list(found)


def find_ids(question: str) -> tuple[str, ...]:
    """Return everything in a question that has the form of a paper id.

    >>> find_ids("Does 2003.10555v1 cite doi:10.1000/XYZ, or electra-pre-training-0a1b2c?")
    ('arxiv:2003.10555', 'doi:10.1000/xyz', 'electra-pre-training-0a1b2c')
    """
    arxiv = [f"arxiv:{match[1].lower()}" for match in _ARXIV_ID.finditer(question)]
    dois = [f"doi:{match[0].lower()}" for match in _DOI.finditer(question)]
    own = [match[0] for match in _OWN_ID.finditer(question)]
    return tuple(dict.fromkeys([*arxiv, *dois, *own]))


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _is_named(name: str, question: str) -> bool:
    """Return whether the name occurs in the question as a word of its own, and as a name.

    A short name ("FIT"), or one that looks like an ordinary word or phrase, must be written as in
    the title. "pre-training" does not name PRE.
    """
    inner = any(letter.isupper() or letter.isdigit() for letter in name[1:].replace(" ", ""))
    exact = len(name) <= _SHORT or not inner
    pattern = rf"(?<![\w-]){re.escape(name)}(?!-?\w)"
    return re.search(pattern, question, 0 if exact else re.IGNORECASE) is not None
