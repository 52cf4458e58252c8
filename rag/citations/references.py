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
_LONGEST_MARKER = 20  # characters
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
        self._held = ""
        self._in_line = False  # the beginning of the first line was returned
        self._before = ""  # end of the text returned
        self._cites = False  # the text returned has a marker

    def feed(self, chunk: str) -> str:
        """Add a chunk and return the text that belongs to the answer for certain, perhaps ""."""
        self._held += chunk
        return self._take(final=False)

    def finish(self) -> str:
        """Return the text held back, unless it is a list of references."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        lines = _LINE.findall(self._held)
        held_from, is_list = 0, False
        for at, line in enumerate(lines):
            goes_on = at == 0 and self._in_line
            is_whole = final or line.endswith("\n")
            kind = "text" if goes_on else self._classify(line, is_whole=is_whole)
            if kind in ("blank", "undecided") or (kind == "number" and is_list):
                continue
            is_list = kind == "reference" and self._cites
            if not is_list:
                held_from = at if kind == "heading" else at + 1
            if kind in ("text", "number"):
                whole = self._before + line if goes_on else line
                self._cites = self._cites or bool(_MARKER.search(whole))
        if final and not is_list:
            held_from = len(lines)
        shown, self._held = "".join(lines[:held_from]), "".join(lines[held_from:])
        self._in_line = not shown.endswith("\n") if shown else self._in_line
        self._before = (self._before + shown)[-_LONGEST_MARKER:]
        return shown

    def _classify(self, line: str, *, is_whole: bool) -> _Kind:
        """Return what a line is, as far as its beginning shows if it is not whole."""
        if not _WORD.search(line):
            return "blank"
        number = _NUMBER.match(line)
        if number is None:
            return "text" if not _is_heading(line) else "heading" if is_whole else "undecided"
        rest = line[number.end() :]
        said = rest[: another.start()] if (another := _MARKER.search(rest)) else ""
        if len(line) > _LONGEST_REFERENCE or not _has_no_word(said):
            return "text"
        if not is_whole:
            return "undecided"
        label = number[1] or ""
        is_bare = (":" in label or "：" in label) and _MARKER.search(line) and _has_no_word(rest)
        is_reference = is_bare or any(record.is_repeated(rest) for record in self._records)
        return "reference" if is_reference else "number"


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
        behind = (
            [w for w in _WORD.findall(text, found.end()) if w not in self.words] if found else []
        )
        few = len(behind) <= _MOST_WORDS_BEHIND
        return found is not None and (few or words[-1][-1].isdigit())


def _read_record(paper: Paper) -> _Record:
    title = _WORD.findall(paper.title.casefold())
    record = " ".join([paper.title, *paper.authors, paper.venue or "", str(paper.year or "")])
    is_long = len(" ".join(title)) >= _SHORTEST_TITLE
    # the whole title, and behind it no word of the same sentence
    pattern = r"[\W_]+".join(title) + r"[\W_]*(?<=[^\w ])" if is_long else r"(?!)"
    return _Record(re.compile(pattern), frozenset(_WORD.findall(record.casefold())))


def _is_heading(line: str) -> bool:
    """Return whether a line is short and holds neither a sentence nor a marker."""
    is_short = len(line) <= _LONGEST_HEADING and len(_WORD.findall(line)) <= _MOST_HEADING_WORDS
    return is_short and not _SENTENCE_END.search(line) and not _MARKER.search(line)


def _has_no_word(text: str) -> bool:
    """Return whether a text holds numbers and signs only."""
    return not any(letter.isalpha() for letter in text)
