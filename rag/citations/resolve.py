"""Resolve the markers of a reply into numbered citations, and check its statements.

Papers in a prompt have prompt numbers. Readers see shown numbers, in order of first use, stable
over a conversation. Prompt numbers never reach a reader, nor does a number that no paper has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, repeat
from typing import TYPE_CHECKING

from rag.citations.citation import Citation, Statement
from rag.citations.markers import Marker, MarkerReader, split_markers
from rag.citations.references import ReferenceFilter
from rag.citations.statements import (
    find_contexts,
    render_markers,
    split_row,
    split_statements,
)
from rag.verification import Claim, Verification

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rag.papers import Paper
    from rag.verification import Checker, Verdict


Part = tuple[str, tuple["Statement", ...]]  # text, and its statements with offsets in it
_CELL_END = re.compile(r" *\|")
_SHOWN = re.compile(r"\[(\d{1,7})\]")
_ITEM_SIGN = re.compile(r"\n[ \t]*(?:[-*•]|\d+[.)])[ \t]*$")  # of a list
MOST_CHECKED = 200  # claims of one answer
_TOO_MANY = Verification("unchecked", reason="the answer is too long to be checked whole")


class Numbering:
    """Shown numbers of papers, assigned in order of first use and then kept.

    Attributes:
        numbers: paper id -> shown number, from 1.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        """Continue after the papers that have numbers already."""
        self.numbers = dict(known or {})

    def assign(self, paper: Paper) -> int:
        """Return the paper's shown number, from 1."""
        return self.numbers.setdefault(paper.id, max(self.numbers.values(), default=0) + 1)


def render_statement(text: str, citations: Iterable[Citation]) -> str:
    """Return a statement as readers see it, with its markers.

    >>> render_statement("It works.", [])
    'It works.'
    """
    markers = render_markers(tuple(citation.number for citation in citations))
    return f"{text} {markers}" if markers else text


class MarkerResolver:
    """Turns the markers of a reply into shown ones while it streams, without a list of references.

    Attributes:
        pieces: resolved so far: text, and tuples with the shown numbers of one marker.
        unknown: markers, as written, that name no paper of the prompt. They are not shown.
    """

    def __init__(self, papers: Sequence[Paper], numbering: Numbering) -> None:
        """Take the papers in the order of their prompt numbers, from 1."""
        self.pieces: list[str | tuple[int, ...]] = []
        self.unknown: list[str] = []
        self._papers = papers
        self._numbering = numbering
        self._references = ReferenceFilter(papers)
        self._reader = MarkerReader()
        self._space = ""

    def feed(self, chunk: str) -> str:
        """Add a chunk and return text to show. A marker in it is never cut in two."""
        return self._resolve(self._reader.feed(self._references.feed(chunk)))

    def finish(self) -> str:
        """Return the text held back."""
        rest = self._reader.feed(self._references.finish())
        return self._resolve([*rest, *self._reader.finish()])

    def _resolve(self, found: list[str | Marker]) -> str:
        text = ""
        for piece in found:
            if isinstance(piece, str):
                text += self._resolve_text(piece)
            else:
                text += self._resolve_marker(piece)
        return text

    def _resolve_text(self, piece: str) -> str:
        # Blanks wait. If the next marker is left out, they are left out with it.
        whole = self._space + piece
        body = whole.rstrip(" ")
        self._space = whole[len(body) :]
        if body:
            self.pieces.append(body)
        return body

    def _resolve_marker(self, marker: Marker) -> str:
        known = [n for n in marker.numbers if n <= len(self._papers)]
        if len(known) < len(marker.numbers) or marker.invalid:
            self.unknown.append(marker.raw)
        if not known:
            self._space = ""
            return ""
        found = dict.fromkeys(self._numbering.assign(self._papers[n - 1]) for n in known)
        before = self.pieces[-1] if self.pieces else ""
        numbers = tuple(n for n in found if isinstance(before, str) or n not in before)
        if not numbers:  # another sentence of the paper that was cited right before
            self._space = ""
            return ""
        space, self._space = self._space, ""
        self.pieces += [space, numbers] if space else [numbers]
        return space + render_markers(numbers)


def resolve_statements(
    pieces: Sequence[str | tuple[int, ...]], papers: Mapping[int, Paper]
) -> tuple[str, tuple[Statement, ...]]:
    """Return the shown text of a reply and its statements, not yet checked.

    Args:
        pieces: of a `MarkerResolver`.
        papers: shown number -> paper.
    """
    text, parsed = split_statements(list(pieces))
    statements = []
    for each in parsed:
        citations = tuple(Citation(n, papers[n], (), "unchecked", "", "text") for n in each.numbers)
        verdict: Verdict = "unchecked" if citations else "uncited"
        statement = Statement(
            each.text, each.start, each.end, citations, verdict, context=each.context
        )
        claims = each.claim or bool(citations)  # a heading that cites a paper claims something
        statements.append(statement if claims else replace(statement, verdict=None, claim=False))
    return text, tuple(statements)


def check_statements(statements: Sequence[Statement], checker: Checker) -> tuple[Statement, ...]:
    """Return the statements with the verdicts of a checker on them and on their citations.

    Args:
        statements: what claims nothing by its form, such as a heading, stays as it is.
        checker: is asked about each claim with all its papers and, with several, with each. It may
            find that one without a citation claims nothing. Otherwise that one stays "uncited".
    """
    claims = [claim for statement in statements for claim in _list_claims(statement)]
    verifications = chain(checker.check(claims[:MOST_CHECKED]), repeat(_TOO_MANY))
    return tuple(_apply_verdicts(statement, verifications) for statement in statements)


def remove_statements(
    text: str, statements: Sequence[Statement], verdicts: Collection[Verdict]
) -> tuple[str, tuple[Statement, ...], int]:
    """Return a text without the statements of some verdicts, those left, and how many went.

    Cells of a table whose row or column loses its name are no longer checked.
    """
    gone = {n: ("", ()) for n, each in enumerate(statements) if each.verdict in verdicts}
    text, left, changed = splice_statements(text, statements, gone)
    checked = tuple(_uncheck(each) if n in changed else each for n, each in enumerate(left))
    return text, checked, len(gone)


def splice_statements(
    text: str, statements: Sequence[Statement], parts: Mapping[int, Part]
) -> tuple[str, tuple[Statement, ...], frozenset[int]]:
    """Put new text in the place of some statements. Tables keep their cells.

    Args:
        text: of the answer.
        statements: of it, in order.
        parts: by index of the statement that each replaces. One without statements removes it, and
            its list item with it.

    Returns:
        the new text, its statements, and the indexes of the new ones and of the cells whose row or
        column has a new name.
    """
    kept: list[Statement] = []
    changed: set[int] = set()
    spliced, at = "", 0
    for index, statement in enumerate(statements):
        start, end = statement.start, statement.end
        gap, at = text[at:start], end
        shown, new = parts.get(index, (text[start:end], (_move(statement, -start),)))
        before, behind = split_row(text, start, end) if index in parts else ("", "")
        if not new:
            spliced += _close_gap(statement, gap + before, text[at:]) + behind
            continue
        spliced += gap + before
        if index in parts:
            changed.update(range(len(kept), len(kept) + len(new)))
        kept += [_move(each, len(spliced)) for each in new]
        spliced += shown + behind
    spliced += text[at:]
    contexts = find_contexts(spliced)
    named = [replace(each, context=contexts.get(each.start, each.context)) for each in kept]
    changed.update(n for n, each in enumerate(named) if each.context != kept[n].context)
    return spliced, tuple(named), frozenset(changed)


def _close_gap(statement: Statement, gap: str, after: str) -> str:
    """Return what is left of the text before a statement that is removed.

    A cell of a table that it was alone in gets a dash.
    """
    if "\n" not in gap and "|" not in gap:  # within a line, or a cell of a table
        return ""
    if statement.context and gap.rstrip(" ").endswith("|") and _CELL_END.match(after):
        return f"{gap}–"
    return _ITEM_SIGN.sub("", gap) if after[:1] in ("", "\n") else gap


def _move(statement: Statement, by: int) -> Statement:
    return replace(statement, start=statement.start + by, end=statement.end + by)


def _uncheck(statement: Statement) -> Statement:
    """Return a table cell without its verdict."""
    reason = "the name of its row or column was removed"
    citations = tuple(
        Citation(each.number, each.paper, (), "unchecked", reason, "text")
        for each in statement.citations
    )
    verdict = "unchecked" if citations else statement.verdict
    return replace(statement, citations=citations, verdict=verdict, warnings=())


def close_gaps(
    text: str, statements: Sequence[Statement], known: Collection[int]
) -> tuple[str, tuple[Statement, ...]]:
    """Return a text and its statements with numbers that follow one another again.

    Args:
        text: of the answer, from which statements may have gone.
        statements: of it, in order.
        known: numbers of earlier turns, which stay.
    """
    cited = {citation.number for each in statements for citation in each.citations}
    first = max(known, default=0) + 1
    numbers = {old: new for new, old in enumerate(sorted(cited - set(known)), start=first)}
    if all(old == new for old, new in numbers.items()):
        return text, tuple(statements)
    shown, at = "", 0
    moved = []
    for each in statements:
        shown += text[at : each.start]
        start, at = len(shown), each.end
        shown += _renumber(text[each.start : at], numbers)
        citations = tuple(
            replace(c, number=numbers.get(c.number, c.number)) for c in each.citations
        )
        moved.append(replace(each, start=start, end=len(shown), citations=citations))
    return shown + text[at:], tuple(moved)


def _renumber(text: str, numbers: Mapping[int, int]) -> str:
    """Return a text whose markers have new numbers."""
    return "".join(
        piece
        if isinstance(piece, str)
        else _SHOWN.sub(lambda found: f"[{numbers.get(int(found[1]), found[1])}]", piece.raw)
        for piece in split_markers(text)
    )


def _list_claims(statement: Statement) -> list[Claim]:
    papers = tuple(citation.paper for citation in statement.citations)
    sources = [papers, *((paper,) for paper in papers)] if len(papers) > 1 else [papers]
    claims = [Claim(statement.text, each, statement.context) for each in sources]
    return claims if statement.claim else []


def _apply_verdicts(statement: Statement, verifications: Iterator[Verification]) -> Statement:
    checks = [next(verifications) for _ in _list_claims(statement)]
    if not statement.citations:
        is_claim = all(check.claim for check in checks)
        return statement if is_claim else replace(statement, verdict=None, claim=False)
    citations = tuple(
        replace(
            citation,
            quotes=tuple(q for q in check.quotes if q.paper_id == citation.paper.id),
            verdict=check.verdict,
            reason=check.reason,
            by=check.by,
            warnings=check.warnings if len(checks) == 1 else (),  # several papers share the figures
        )
        for citation, check in zip(statement.citations, checks[1:] or checks, strict=True)
    )
    return replace(
        statement, citations=citations, verdict=checks[0].verdict, warnings=checks[0].warnings
    )
