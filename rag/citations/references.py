"""Leave out a list of references at the end of a model's reply, while the reply streams in.

A line is a reference if it begins with a number and otherwise repeats the record of a paper: its
title with little behind it, or nothing but words of the record. A list begins with such a line,
after text that cites a paper. It may have a heading, and numbers of papers that the model made up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_WORD = re.compile(r"[^\W_]+")
# Beginnings such as "[1] ", "- **[1]** ", "1. ", "Paper 1: " or "References: [1] ".
_NUMBER = re.compile(
    r"[^\w\n.!?。！？]*(?:\d{1,3}[.)]\s+)?([^\W\d_]{2,20}[^\w\n.!?。！？]{1,5})?\d{1,3}(?:[^\w\s][^\w\n]*|\Z)"
)
_MARKER = re.compile(r"[\[【［〔⟦][^\w\n]{0,3}(?:[^\W\d_]{1,10}[^\w\n]{1,3})?\d")
_SENTENCE_END = re.compile(r"[.!?]\s|[。！？]")
_LONGEST_REFERENCE = 500  # characters
_LONGEST_HEADING = 60  # characters
_MOST_HEADING_WORDS = 5
_SHORTEST_TITLE = 12  # characters; a shorter one may begin a statement
_MOST_WORDS_BEHIND = 2  # unknown ones behind a title, unless a figure such as the year ends them

_Kind = Literal["text", "heading", "blank", "number", "reference", "undecided"]


class ReferenceFilter:
    """Takes chunks of a reply and returns its text without a list of references at the end."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        """Take the papers of the prompt."""
        self._records = [_read_record(paper) for paper in papers]
        self._shown = ""  # of the line under way
        self._held = ""
        self._cites = False  # a line that is no reference has a marker

    def feed(self, chunk: str) -> str:
        """Add a chunk and return the text that belongs to the answer for certain, perhaps ""."""
        self._held += chunk
        return self._take(final=False)

    def finish(self) -> str:
        """Return the text held back, unless it is a list of references."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        lines = _LINE.findall(self._shown + self._held)
        first = self._find_list(lines, final=final)
        text, self._held = "".join(lines[:first]), "".join(lines[first:])
        shown = text[len(self._shown) :]
        self._shown = text[text.rfind("\n") + 1 :]
        return shown

    def _find_list(self, lines: Sequence[str], *, final: bool) -> int:
        """Return the index of the first line that may belong to a list at the end."""
        first, is_list = 0, False
        for at, line in enumerate(lines):
            kind = self._classify(line, is_whole=final or line.endswith("\n"))
            if kind in ("blank", "undecided") or (kind == "number" and is_list):
                continue
            is_list = kind == "reference" and self._cites
            if kind == "heading":
                first = at
            elif not is_list:
                first = at + 1
            if kind in ("text", "number"):
                self._cites = self._cites or bool(_MARKER.search(line))
        return first if is_list or not final else len(lines)

    def _classify(self, line: str, *, is_whole: bool) -> _Kind:
        """Return what a line is, as far as its beginning shows if it is not whole."""
        if not _WORD.search(line):
            return "blank"
        number = _NUMBER.match(line)
        if _is_prose(line, number):
            return "text"
        if not is_whole:
            return "undecided"
        if number is None:
            return "heading"
        body = line[number.end() :]
        is_reference = any(record.is_repeated(body) for record in self._records)
        return "reference" if is_reference or _lists_numbers(line, number) else "number"


def _is_prose(line: str, number: re.Match[str] | None) -> bool:
    """Return whether a line, or the beginning of one, is neither a heading nor a reference."""
    if number:
        body = line[number.end() :]
        another = _MARKER.search(body)
        is_cited = another is not None and _has_letter(body[: another.start()])
        return is_cited or len(line) > _LONGEST_REFERENCE
    is_long = len(line) > _LONGEST_HEADING or len(_WORD.findall(line)) > _MOST_HEADING_WORDS
    return is_long or bool(_SENTENCE_END.search(line) or _MARKER.search(line))


def _lists_numbers(line: str, number: re.Match[str]) -> bool:
    """Return whether a line is a label with markers, such as "Sources: [1], [2]"."""
    has_label = any(colon in (number[1] or "") for colon in ":：")
    return has_label and bool(_MARKER.search(line)) and not _has_letter(line[number.end() :])


@dataclass(frozen=True, slots=True)
class _Record:
    """Title and words of a paper's record, casefolded."""

    title: re.Pattern[str]
    words: frozenset[str]

    def is_repeated(self, line: str) -> bool:
        """Return whether a line without its number repeats the record and says nothing else."""
        text = line.casefold()
        words = _WORD.findall(text)
        if len(words) > 1 and self.words.issuperset(words):
            return True
        found = self.title.search(text)
        if found is None:
            return False
        behind = [word for word in _WORD.findall(text, found.end()) if word not in self.words]
        return len(behind) <= _MOST_WORDS_BEHIND or words[-1][-1].isdigit()


def _read_record(paper: Paper) -> _Record:
    title = _WORD.findall(paper.title.casefold())
    record = " ".join([paper.title, *paper.authors, paper.venue or "", str(paper.year or "")])
    is_long = len(" ".join(title)) >= _SHORTEST_TITLE
    # the whole title, and behind it no word of the same sentence
    pattern = r"[\W_]+".join(title) + r"[\W_]*(?:(?<=[^\w ])|\Z)" if is_long else r"(?!)"
    return _Record(re.compile(pattern), frozenset(_WORD.findall(record.casefold())))


def _has_letter(text: str) -> bool:
    return any(letter.isalpha() for letter in text)
