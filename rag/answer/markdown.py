"""Parts of an answer as Markdown: text with numbers or pandoc citations, sources, doubts.

Text of papers is escaped. Markdown of a model is kept and made harmless, see
`rag.exporters.markdown_list`. `Answer.to_markdown` puts the parts together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from rag.citations.markers import split_shown_numbers
from rag.citations.statements import render_markers
from rag.errors import SettingsError
from rag.exporters.markdown_list import escape_markdown, format_reference, sanitise_markdown
from rag.exporters.values import assign_citation_keys
from rag.verification import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.citations.citation import Citation, Statement
    from rag.papers import Paper

CiteStyle = Literal["numeric", "pandoc"]
CITE_STYLES: tuple[str, ...] = get_args(CiteStyle)
STANDINGS = {
    "changed": "its abstract has changed since it was quoted; unchecked since",
    "gone": "no longer in the library; unchecked since",
}

# https://pandoc.org/MANUAL.html#citation-syntax
_PANDOC_KEY = re.compile(r"\w+(?:[:.#$%&+?<>~/-]\w+)*")
_STRUCTURE = re.compile(r"[\s-]*")  # between statements that code has put together


class MarkdownWriter:
    """Renders the parts of one answer with one style of citation."""

    def __init__(self, sources: Mapping[int, Paper], cite_style: str) -> None:
        """Choose the markers.

        Args:
            sources: shown number -> cited paper.
            cite_style: "numeric" marks a paper by [1], "pandoc" by [@key] as in its BibTeX entry.

        Raises:
            SettingsError: there is no such style.
        """
        if cite_style not in CITE_STYLES:
            raise SettingsError(
                f"There is no citation style {cite_style!r}. Use {' or '.join(CITE_STYLES)}."
            )
        self._sources = sources
        keys = assign_citation_keys(sources.values())
        self._keys = (
            {number: _format_key(key) for number, (key, _) in zip(sources, keys, strict=True)}
            if cite_style == "pandoc"
            else None
        )

    def render_prose(self, text: str) -> str:
        """Return a model's text with other markers. What looks like one in code stays."""
        shown = ""
        numbers: tuple[int, ...] = ()
        for piece in split_shown_numbers(text, self._sources):
            if isinstance(piece, int):
                numbers = (*numbers, piece)
            else:
                shown += self._mark(numbers) + piece
                numbers = ()
        return sanitise_markdown(shown + self._mark(numbers))

    def render_statements(self, text: str, statements: Sequence[Statement]) -> str:
        """Return a text that code put together of sentences and titles of papers."""
        shown, at = "", 0
        for statement in statements:
            between = text[at : statement.start]
            shown += between if _STRUCTURE.fullmatch(between) else f" {escape_markdown(between)} "
            markers = self._mark(tuple(citation.number for citation in statement.citations))
            shown += f"{escape_markdown(statement.text)} {markers}".rstrip()
            at = statement.end
        return (shown + escape_markdown(text[at:])).strip()

    def render_source(
        self, number: int, citations: Sequence[Citation], *, with_quotes: bool = True
    ) -> list[str]:
        """Return the paragraphs of a source: its reference, its standing and what is quoted."""
        own = [citation for citation in citations if citation.number == number]
        parts = [f"{self._mark((number,))} {format_reference(self._sources[number])}"]
        standings = dict.fromkeys(STANDINGS.get(citation.standing) for citation in own)
        parts += [f"*({standing})*" for standing in standings if standing]
        if not with_quotes:
            return parts
        quotes = dict.fromkeys(quote.text for citation in own for quote in citation.quotes)
        quoted = "\n>\n".join(f"> {escape_markdown(quote)}" for quote in quotes)
        return [*parts, quoted] if quotes else parts

    def render_doubts(self, statements: Sequence[Statement]) -> list[str]:
        """Return the section of claims that nothing supports, or an empty list."""
        doubts = [s for s in statements if s.claim and s.verdict and not VERDICTS[s.verdict].holds]
        return ["Not supported:", "\n".join(map(self._render_doubt, doubts))] if doubts else []

    def _render_doubt(self, statement: Statement) -> str:
        reasons = [
            f"{self._mark((citation.number,))} {escape_markdown(citation.reason)}"
            for citation in statement.citations
        ]
        notes = "; ".join([*reasons, *map(escape_markdown, statement.warnings)])
        said = f"- {statement.verdict}: “{escape_markdown(statement.named_text)}”"
        return f"{said} ({notes})" if notes else said

    def _mark(self, numbers: tuple[int, ...]) -> str:
        if self._keys is None or not numbers:
            return render_markers(numbers)
        return f"[{'; '.join(self._keys[number] for number in numbers)}]"


def _format_key(key: str) -> str:
    """Return "@key", with the braces that pandoc wants around a key of other characters."""
    return f"@{key}" if _PANDOC_KEY.fullmatch(key) else f"@{{{key}}}"


def render_titles(papers: Iterable[Paper]) -> str:
    """Return a list of titles, with the mark of a retracted paper."""
    named = (
        f"{paper.title} ({paper.retraction_mark})" if paper.retraction else paper.title
        for paper in papers
    )
    return "\n".join(f"- {escape_markdown(each)}" for each in named)
