"""Citations in forms that small models use, read where a reply has no marker in brackets.

A form is read only where it can mean nothing else. Others stay text, and the statement uncited:
"1." and "2." before two lines may count the lines, "(4)" may be a figure of the sentence.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rag.citations.citation import Citation
from rag.citations.markers import remove_markers
from rag.citations.resolve import render_statement, splice_statements
from rag.text.numbers import read_quantities
from rag.verification import Claim, TextChecker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.citations.citation import Statement
    from rag.citations.resolve import Numbering, Part
    from rag.papers import Paper

_NUMBERS = r"\d{1,3}(?:(?:\s*,|\s+and|\s*&)\s*\d{1,3})*"
_NAMED = {
    "paper": re.compile(rf"\(?\bpapers?\s+({_NUMBERS})\b(?!\.\d)\)?", re.IGNORECASE),
    "sentence": re.compile(rf"\(?\b(?:sentences?\s+|s)({_NUMBERS})\b(?!\.\d)\)?", re.IGNORECASE),
}
_ROUND = re.compile(rf"\(({_NUMBERS})\)")
_ROUND_AT_END = re.compile(rf"\(({_NUMBERS})\)(?=[.!?]?(?:\s*$|\s+[^\Wa-z]))", re.MULTILINE)
_LINE_NUMBER = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+(?=\S)", re.MULTILINE)
_LINE_MARKER = re.compile(r"^[ \t]*\[(\d{1,3})\][ \t]+(?=\S)", re.MULTILINE)
_DIGITS = re.compile(r"\d+")


def bracket_numbers(
    text: str, papers: Sequence[Paper], label: Literal["paper", "sentence"] = "paper"
) -> str:
    r"""Return a reply with its citations in square brackets.

    Args:
        text: of a reply. One with a marker in brackets stays as it is, but of numbered sentences,
            [1], [2], ... at the start of every line count the lines and are left out.
        papers: by their number in the prompt, from 1.
        label: of what the prompt numbers.

    >>> from rag.papers import Paper
    >>> papers = (Paper("a", "A", "It is new."), Paper("b", "B", "It is old."))
    >>> bracket_numbers("It is old (Paper 2).", papers)
    'It is old [2].'
    >>> bracket_numbers("1. It is new.\n2. It is old.", papers)
    '1. It is new.\n2. It is old.'
    """
    if label == "sentence" and _counts_lines(_LINE_MARKER, text):
        return _LINE_MARKER.sub("", text)
    if remove_markers(text) != text:
        return text
    if _NAMED[label].search(text):
        forms = [_NAMED[label]]
    else:
        forms = [
            *([_ROUND_AT_END] if _are_markers(text, papers) else []),
            *([_LINE_NUMBER] if _are_chosen(text) else []),
        ]
    for form in forms[:1]:
        numbers = {int(n) for found in form.finditer(text) for n in _DIGITS.findall(found[1])}
        if all(0 < number <= len(papers) for number in numbers):
            return form.sub(_bracket, text)
    return text


def _bracket(found: re.Match[str]) -> str:
    marker = f"[{', '.join(_DIGITS.findall(found[1]))}]"
    return f"{marker} " if found[0].endswith((" ", "\t")) else marker


def _are_markers(text: str, papers: Sequence[Paper]) -> bool:
    """Return whether numbers in round brackets end sentences and are no figures of the papers."""
    found = _ROUND_AT_END.findall(text)
    if not found or len(found) < len(_ROUND.findall(text)):
        return False
    numbers = {int(number) for each in found for number in _DIGITS.findall(each)}
    cited = [papers[number - 1] for number in numbers if 0 < number <= len(papers)]
    figures = {each.value for p in cited for each in read_quantities(f"{p.title}. {p.abstract}")}
    return figures.isdisjoint(numbers)


def _are_chosen(text: str) -> bool:
    """Return whether the numbers before lines do not count the lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    is_everywhere = len(_LINE_NUMBER.findall(text)) == len(lines)
    return is_everywhere and not _counts_lines(_LINE_NUMBER, text, least=1)


def _counts_lines(form: re.Pattern[str], text: str, *, least: int = 2) -> bool:
    """Return whether the numbers at the start of all lines, at least so many, are 1, 2, 3, ..."""
    numbers = [int(number) for number in form.findall(text)]
    lines = [line for line in text.splitlines() if line.strip()]
    is_whole = len(numbers) == len(lines) >= least
    return is_whole and numbers == list(range(1, len(numbers) + 1))


def cite_quotations(
    text: str, statements: Sequence[Statement], papers: Sequence[Paper], numbering: Numbering
) -> tuple[str, tuple[Statement, ...]]:
    """Cite the paper of each statement without a citation that is a sentence of one abstract.

    Args:
        text: of a reply, as shown.
        statements: of it.
        papers: of the prompt.
        numbering: that the reply uses.
    """
    unequal = list({paper.id: paper for paper in papers}.values())
    parts: dict[int, Part] = {}
    for index, each in enumerate(statements):
        claims = [Claim(each.text, (paper,)) for paper in unequal if not each.citations]
        checked = zip(unequal, TextChecker().check(claims), strict=False)
        found = [paper for paper, result in checked if result.verdict == "quoted"]
        if len(found) == 1:
            number = numbering.assign(found[0])
            cited = (Citation(number, found[0], (), "unchecked", "", "text"),)
            shown = render_statement(each.text, cited)
            new = replace(
                each, start=0, end=len(shown), citations=cited, verdict="unchecked", claim=True
            )
            parts[index] = (shown, (new,))
    text, quoted, _ = splice_statements(text, statements, parts)
    return text, quoted
