"""Answers as documents: Markdown with asides, from which every format is made.

An aside is a citation, a reference or a note, which each format writes in its own way. Text of
papers is escaped. Markdown of a model is kept and made harmless, see `rag.exporters.markdown_list`.
`Answer.compose` puts the parts of one answer together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Literal

from rag.citations.markers import split_shown_numbers
from rag.citations.statements import render_markers
from rag.csl import Run, StyledReferences, load_style
from rag.errors import SettingsError
from rag.exporters.markdown_list import (
    FORMULA,
    change_outside_code,
    escape_markdown,
    find_address,
    format_reference,
    link_to_zotero,
    sanitise_markdown,
)
from rag.exporters.values import assign_citation_keys
from rag.verification import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rag.citations.citation import Citation, Statement
    from rag.papers import Paper

_Kind = Literal["citation", "reference", "note", "formula"]

STANDINGS = {
    "changed": "its abstract has changed since it was quoted; unchecked since",
    "gone": "no longer in the library; unchecked since",
}
# An aside in the text of a document, in brackets so that Markdown sees punctuation around it.
ASIDE = re.compile("\\[\ue000(\\d+)\ue001\\]")
_NO_ASIDE = {0xE000: " ", 0xE001: " "}

# https://pandoc.org/MANUAL.html#citation-syntax
_PANDOC_KEY = re.compile(r"\w+(?:[:.#$%&+?<>~/-]\w+)*")
_SAFE_LINK = re.compile(r"(?:https?://|zotero://select/)\S+", re.IGNORECASE)
_STRUCTURE = re.compile(r"[\s-]*")  # between statements that code has put together
_LONGEST_NAMED = 120  # of a statement, where its verdict is told


@dataclass(frozen=True, slots=True)
class Aside:
    """Part of a document that every format writes in its own way.

    Attributes:
        kind: "citation" of one or more papers, "reference" (the start of an entry in the list),
            "note" (a footnote) or "formula".
        runs: its text. A formula has none.
        source: what stands for it in the source of the format that its style is for, such as
            "[@key]" in Markdown; "" for the runs. Of a formula, its TeX.
    """

    kind: _Kind
    runs: tuple[Run, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One or more answers as a text.

    Attributes:
        title: plain text.
        text: Markdown, with a match of `ASIDE` for each aside.
        asides: each by the number in that match.
    """

    title: str
    text: str
    asides: Sequence[Aside]

    @property
    def notes(self) -> list[Aside]:
        """Footnotes, in the order of the text."""
        return [aside for aside in self.asides if aside.kind == "note"]

    @property
    def has_raised_citations(self) -> bool:
        """Whether citations look like the numbers of footnotes, which need letters then."""
        cited = (run for aside in self.asides if aside.kind == "citation" for run in aside.runs)
        return any(run.superscript for run in cited)


class Composer:
    """Writes the parts of an answer as Markdown with asides.

    Attributes:
        is_document: whether the parts get headings and every verdict is told. Else they are short,
            to be pasted.
        asides: so far.
        keys: shown number -> citation key.
    """

    def __init__(
        self,
        style: str | Path,
        asides: list[Aside],
        sources: Mapping[int, Paper],
        *,
        is_document: bool,
        with_footnotes: bool = False,
    ) -> None:
        r"""Choose the citations.

        Args:
            style: "numeric" cites by [1], "pandoc" by [@key] and "latex" by \cite{key} as in the
                BibTeX entry, others are styles of `rag.csl`.
            asides: of the document. Those of this answer are added.
            sources: shown number -> cited paper.
            is_document: see above.
            with_footnotes: whether quotes become notes. Else they stand below their reference.

        Raises:
            SettingsError: there is no such style, or it is not for documents.
        """
        if is_document and style in ("pandoc", "latex"):
            raise SettingsError(
                f"Markers for {style} are to be pasted, not for documents. Choose another style."
            )
        self.is_document = is_document
        self._style = style
        self.asides = asides
        self._sources = sources
        self._with_footnotes = with_footnotes
        keyed = assign_citation_keys(sources.values())
        self.keys = {number: key for number, (key, _) in zip(sources, keyed, strict=True)}
        self._styled = None
        if style not in ("numeric", "pandoc", "latex"):
            self._styled = StyledReferences(load_style(style), sources)
        first = self._styled.cite(list(sources)[:1]) if self._styled and sources else ()
        self._is_raised = any(run.superscript for run in first)

    def write_title(self, question: str) -> str:
        """Return the question above its answer."""
        shown = escape_markdown(question)
        return f"# {shown}" if self.is_document else f"**{shown}**"

    def write_prose(self, text: str, statements: Iterable[Statement]) -> str:
        """Return a model's text with other citations. What looks like one in code stays."""
        shown, at = "", 0
        for statement in sorted(statements, key=lambda each: each.end):
            shown += text[at : statement.end].translate(_NO_ASIDE)
            shown += self._write_note(statement, after=shown)
            at = statement.end
        shown += text[at:].translate(_NO_ASIDE)
        prose = ""
        numbers: tuple[int, ...] = ()
        for piece in [*split_shown_numbers(shown, self._sources), ""]:
            if isinstance(piece, int):
                numbers = (*numbers, piece)
            else:
                prose = self._cite(prose, numbers) + piece
                numbers = ()
        return change_outside_code(sanitise_markdown(prose), self._put_formulas)

    def write_statements(self, text: str, statements: Iterable[Statement]) -> str:
        """Return a text that code put together of sentences and titles of papers."""
        shown, at = "", 0
        for statement in statements:
            between = text[at : statement.start]
            shown += between if _STRUCTURE.fullmatch(between) else f" {escape_markdown(between)} "
            numbers = tuple(citation.number for citation in statement.citations)
            said = escape_markdown(statement.text)
            said = f"“{said}”" if statement.verdict == "quoted" else said
            shown = self._cite(f"{shown}{said} ", numbers).rstrip(" ")
            shown += self._write_note(statement, after=shown)
            at = statement.end
        return (shown + escape_markdown(text[at:])).strip()

    def write_sources(self, citations: Sequence[Citation], *, with_quotes: bool) -> list[str]:
        """Return the references, each with its standing and what is quoted of it."""
        parts = ["## References"] if self.is_document and self._sources else []
        for number, reference in self._list_references():
            own = [citation for citation in citations if citation.number == number]
            parts.append(reference)
            standings = dict.fromkeys(STANDINGS.get(citation.standing) for citation in own)
            parts += [f"*({standing})*" for standing in standings if standing]
            if with_quotes and not self._with_footnotes:
                quotes = dict.fromkeys(quote.text for each in own for quote in each.quotes)
                quoted = "\n>\n".join(f"> {escape_markdown(quote)}" for quote in quotes)
                parts += filter(None, [quoted])
        return parts

    def write_checks(self, statements: Iterable[Statement], summary: str, mode: str) -> list[str]:
        """Return the verdicts in words and their summary. A short text has only the doubts.

        Where all is quoted or read from records, the summary says it.
        """
        summary = f"*{summary} Mode: {escape_markdown(mode)}.*"
        judged = [each for each in statements if each.claim and each.verdict]
        if self.is_document:
            is_copied = all(s.verdict in ("quoted", "record") for s in judged)
            verdicts = "" if is_copied else "\n".join(map(self._write_verdict, judged))
            return ["## How this was checked", summary, *filter(None, [verdicts])]
        doubts = _find_doubts(judged)
        lines = "\n".join(map(self._write_doubt, doubts))
        return ["In doubt:", lines, summary] if doubts else [summary]

    def list_doubts(self, statements: Iterable[Statement]) -> list[str]:
        """Return a line of plain text for each statement that is not supported."""
        lines = []
        for statement in _find_doubts(statements):
            reasons = (f"[{self.keys[c.number]}] {c.reason}" for c in statement.reasoned_citations)
            notes = "; ".join([*reasons, *statement.warnings])
            said = f"{statement.verdict}: “{statement.named_text}”"
            lines.append(f"{said} ({notes})" if notes else said)
        return lines

    def _write_doubt(self, statement: Statement) -> str:
        reasons = [
            self._cite("", (citation.number,)) + f" {escape_markdown(citation.reason)}"
            for citation in statement.reasoned_citations
        ]
        notes = "; ".join([*reasons, *map(escape_markdown, statement.warnings)])
        said = f"- {statement.verdict}: “{escape_markdown(statement.named_text)}”"
        return f"{said} ({notes})" if notes else said

    def _write_verdict(self, statement: Statement) -> str:
        judges = dict.fromkeys(citation.by for citation in statement.citations)
        names = [f"by {escape_markdown(by)}" for by in judges if by not in ("text", "record")]
        meaning = VERDICTS[statement.verdict].meaning if statement.verdict else ""
        text = shorten(statement.named_text, _LONGEST_NAMED, placeholder=" …")
        reasons = [
            self._cite(f"{escape_markdown(citation.reason)} ", (citation.number,))
            for citation in statement.reasoned_citations
        ]
        notes = "; ".join([*reasons, *map(escape_markdown, statement.warnings)])
        said = f"- **{' '.join([meaning, *names])}**: “{escape_markdown(text)}”"
        return f"{said} – {notes}" if notes else said

    def _list_references(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the reference of each source, in the order of the style.

        Only plain references link to Zotero. Others are to be handed in as they are.
        """
        if self._styled is None:
            for number, paper in self._sources.items():
                label = self._put("reference", *self._mark((number,)))
                yield number, f"{label} {format_reference(paper)}{link_to_zotero(paper)}"
            return
        for number, label, runs in self._styled.references():
            paper = self._sources[number]
            address = "" if any(run.url for run in runs) else find_address(paper)
            notice = paper.retraction_mark  # the style marks the title only
            mark = f" *({escape_markdown(notice)})*" if notice not in ("", "retracted") else ""
            shown = (Run(f"{label} "), *runs) if label else runs
            link = f" <{address}>" if address else ""
            yield number, self._put("reference", shown) + link + mark

    def _write_note(self, statement: Statement, *, after: str) -> str:
        """Return a note with the quotes that a statement rests on, or "" if it is itself one."""
        quoting = [citation for citation in statement.citations if citation.quotes]
        if statement.verdict == "quoted" or not quoting or not self._with_footnotes:
            return ""
        runs: list[Run] = []
        for citation in quoting:
            if len(statement.citations) > 1:
                runs += [*self._mark((citation.number,))[0], Run(" ")]
            runs += [Run(f"“{quote.text}” ") for quote in citation.quotes]
        note = self._put("note", (*runs[:-1], Run(runs[-1].text.rstrip())))
        is_adjacent = self._is_raised and after.endswith("]")
        return self._put("citation", (Run(", ", superscript=True),)) + note if is_adjacent else note

    def _cite(self, text: str, numbers: tuple[int, ...]) -> str:
        """Return a text with a citation at its end. A raised one has no space before it."""
        if not numbers:
            return text
        runs, source = self._mark(numbers)
        text = text.rstrip(" ") if self._is_raised else text
        return text + self._put("citation", runs, source)

    def _mark(self, numbers: tuple[int, ...]) -> tuple[tuple[Run, ...], str]:
        """Return the runs and the source of a citation."""
        if self._styled:
            return self._styled.cite(numbers), ""
        keys = [self.keys[number] for number in numbers]
        if self._style == "latex":
            return (Run(f"[{', '.join(keys)}]"),), f"\\cite{{{','.join(keys)}}}"
        shown = render_markers(numbers)
        if self._style == "pandoc":
            shown = f"[{'; '.join(map(_format_key, keys))}]"
        return (Run(shown),), shown

    def _put_formulas(self, prose: str) -> str:
        def put(found: re.Match[str]) -> str:
            is_mixed = ASIDE.search(found[0])  # two prices with a citation between them
            return found[0] if is_mixed else self._put("formula", (), found[0])

        return FORMULA.sub(put, prose)

    def _put(self, kind: _Kind, runs: tuple[Run, ...], source: str = "") -> str:
        safe = (run if is_safe_link(run.url) else run._replace(url="") for run in runs)
        self.asides.append(Aside(kind, tuple(safe), source))
        return f"[\ue000{len(self.asides) - 1}\ue001]"


def _find_doubts(statements: Iterable[Statement]) -> list[Statement]:
    judged = (each for each in statements if each.claim)
    return [s for s in judged if s.verdict and not VERDICTS[s.verdict].holds]


def is_safe_link(address: str) -> bool:
    """Return whether to follow an address can do no more than open a page or Zotero."""
    return _SAFE_LINK.fullmatch(address) is not None


def write_titles(papers: Iterable[Paper]) -> str:
    """Return a list of titles, with the mark of a retracted paper."""
    named = (
        f"{paper.title} ({paper.retraction_mark})" if paper.retraction else paper.title
        for paper in papers
    )
    return "\n".join(f"- {escape_markdown(each)}" for each in named)


def _format_key(key: str) -> str:
    """Return "@key", with the braces that pandoc wants around a key of other characters."""
    return f"@{key}" if _PANDOC_KEY.fullmatch(key) else f"@{{{key}}}"
