"""Which papers a question names.

Many titles open with the name of what they present ("ELECTRA: ...", "MDETR -- ..."). A question
that holds that name is about that paper, so it goes first whatever the other stages say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEAD = re.compile(r"^(.{2,40}?)\s*(?::|--| [-–—] )\s*\S")
_WORD = re.compile(r"[\w+]+")
_MOST_WORDS = 3
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
        for number, title in enumerate(titles):
            if name := system_name(title):
                self._papers.setdefault(_words(name), []).append((number, name))

    def named_in(self, question: str) -> list[int]:
        """Numbers of the papers named, in the order of the question."""
        words = _words(question)
        found: dict[int, None] = {}
        position = 0
        while position < len(words):
            for length in range(min(_MOST_WORDS * 2, len(words) - position), 0, -1):
                papers = self._papers.get(words[position : position + length], ())
                hits = [number for number, name in papers if _is_meant(name, question)]
                if hits:
                    found.update(dict.fromkeys(hits))
                    position += length - 1
                    break
            position += 1
        return list(found)


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
