"""An answer as Markdown: its text with numbers or pandoc's citations, its sources, its doubts.

What comes from papers is escaped, what a model wrote keeps its form and loses its force; see
`rag.exporters.markdown_list`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from rag.citations.markers import MarkerReader
from rag.citations.statements import render_markers
from rag.errors import SettingsError
from rag.exporters.markdown_list import escape_markdown, format_reference, sanitise_markdown
from rag.exporters.values import make_citation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rag.answer.answer import Answer
    from rag.citations.citation import Statement
    from rag.papers import Paper

    Marks = Callable[[tuple[int, ...]], str]

CiteStyle = Literal["numeric", "pandoc"]
CITE_STYLES: tuple[str, ...] = get_args(CiteStyle)
STANDINGS = {
    "changed": "its abstract has changed since it was quoted; unchecked since",
    "gone": "no longer in the library; unchecked since",
}

_HELD = ("supported", "quoted", "record")
_SHOWN = re.compile(r"\[(\d{1,7})\]")
_STRUCTURE = re.compile(r"[\s-]*")  # between statements that code has put together


def answer_markdown(answer: Answer, cite_style: str) -> str:
    """The answer with its sources, what they say, and why a statement is not supported.

    Args:
        answer: of any status.
        cite_style: "numeric" marks a paper by [1], "pandoc" by [@key] as its BibTeX entry has it.

    Raises:
        SettingsError: there is no such style.
    """
    marks = _marks(answer.sources, cite_style)
    parts = [f"**{escape_markdown(answer.question)}**"]
    if answer.asked != answer.question.strip():
        parts.append(f"*Understood as: {escape_markdown(answer.asked)}*")
    if answer.scope:
        parts.append(f"*Only papers {escape_markdown(answer.scope)}.*")
    parts.append(_text(answer, marks))
    if answer.status == "incomplete":
        parts.append(f"*This answer is incomplete: {escape_markdown(answer.reason.rstrip('.'))}.*")
    if answer.closest:
        titles = (f"- {escape_markdown(hit.paper.title)}" for hit in answer.closest)
        return "\n\n".join([*parts, "Closest papers:", "\n".join(titles)]) + "\n"
    for number, paper in answer.sources.items():
        parts += _source(answer, number, paper, marks)
    doubts = [_doubt(s, marks) for s in answer.statements if s.claim and s.verdict not in _HELD]
    parts += ["Not supported:", "\n".join(doubts)] if doubts else []
    parts.append(f"*{answer.verification} Mode: {escape_markdown(answer.model or answer.mode)}.*")
    return "\n\n".join(parts) + "\n"


def _marks(sources: Mapping[int, Paper], cite_style: str) -> Marks:
    """What gives the markers of some shown numbers."""
    if cite_style not in CITE_STYLES:
        raise SettingsError(
            f"There is no citation style {cite_style!r}; known are {', '.join(CITE_STYLES)}."
        )
    if cite_style == "numeric":
        return render_markers
    keys = {number: make_citation_key(paper) for number, paper in sources.items()}
    return lambda numbers: f"[{'; '.join(f'@{keys[n]}' for n in numbers)}]" if numbers else ""


def _text(answer: Answer, marks: Marks) -> str:
    if answer.mode == "model" and not any(map(_is_title, answer.statements)):
        return sanitise_markdown(_marked(answer.text, answer.sources, marks))
    if not answer.statements:
        return escape_markdown(answer.text)
    return _joined(answer, marks).strip()


def _is_title(statement: Statement) -> bool:
    """Whether a statement is an entry of a list, which code makes for a model too."""
    return any(statement.text == citation.paper.title for citation in statement.citations)


def _joined(answer: Answer, marks: Marks) -> str:
    """A text that code put together of sentences and titles of papers."""
    text, at = "", 0
    for statement in answer.statements:
        between = answer.text[at : statement.start]
        text += between if _STRUCTURE.fullmatch(between) else f" {escape_markdown(between)} "
        markers = marks(tuple(citation.number for citation in statement.citations))
        text += f"{escape_markdown(statement.text)} {markers}".rstrip()
        at = statement.end
    return text + escape_markdown(answer.text[at:])


def _marked(text: str, sources: Mapping[int, Paper], marks: Marks) -> str:
    """A model's text with other markers; what looks like one in code and formulas stays."""
    shown = ""
    numbers: tuple[int, ...] = ()
    for piece in _pieces(text, sources):
        if isinstance(piece, int):
            numbers = (*numbers, piece)
        else:
            shown += marks(numbers) + piece
            numbers = ()
    return shown + marks(numbers)


def _pieces(text: str, sources: Mapping[int, Paper]) -> Iterator[str | int]:
    """Text, and the number of each marker."""
    reader = MarkerReader()
    for piece in (*reader.feed(text), *reader.finish()):
        raw = piece if isinstance(piece, str) else piece.raw
        marker = None if isinstance(piece, str) else _SHOWN.match(raw)
        if marker is None or int(marker[1]) not in sources:
            yield raw
            continue
        yield int(marker[1])
        if rest := raw[marker.end() :]:  # what a page would take for the target of a link
            yield " " + rest


def _source(answer: Answer, number: int, paper: Paper, marks: Marks) -> list[str]:
    """A source's reference, what became of it, and the sentences that were quoted."""
    citations = [citation for citation in answer.citations if citation.number == number]
    parts = [f"{marks((number,))} {format_reference(paper)}"]
    standings = dict.fromkeys(STANDINGS.get(citation.standing) for citation in citations)
    parts += [f"*({standing})*" for standing in standings if standing]
    quotes = dict.fromkeys(quote.text for citation in citations for quote in citation.quotes)
    return (
        [*parts, "\n>\n".join(f"> {escape_markdown(quote)}" for quote in quotes)]
        if quotes
        else parts
    )


def _doubt(statement: Statement, marks: Marks) -> str:
    """A list item that says how a statement failed, and why for each paper that it cites."""
    reasons = "; ".join(
        f"{marks((c.number,))} {escape_markdown(c.reason)}" for c in statement.citations
    )
    verdict = statement.verdict or "unchecked"
    return f"- {verdict}: “{escape_markdown(statement.text)}”" + (
        f" ({reasons})" if reasons else ""
    )
