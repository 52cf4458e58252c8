"""The panel of sources as HTML: a card for each cited paper, and papers found beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rag.answer import STANDINGS
from rag.exporters import export_papers
from rag.papers import ET_AL
from rag.verification import VERDICTS, choose_level
from rag.web.escape import escape, escape_url, isolate, render_button, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.answer import Answer, Citation, Statement, Turn
    from rag.papers import Paper
    from rag.retrieval import Hit
    from rag.verification import ReaderScore

EMPTY = '<p class="hint">The papers behind an answer appear here.</p>'
_STATEMENT_CHARS = 60  # beside its verdict


def make_card_id(turn: int, number: int) -> str:
    """Return the id of a source's card."""
    return f"turn-{turn}-source-{number}"


def describe_check(
    statement: Statement, citation: Citation, checker: ReaderScore | None
) -> tuple[str, str, str]:
    """Return the CSS class, sign and words of a citation's verdict by a checker.

    A saved citation whose paper has changed or is gone says that instead. Without a verdict none is
    due: the class is "open", and an entry of a list shows its score.
    """
    if citation.standing != "current":
        return "open", citation.standing, STANDINGS[citation.standing]
    if citation.verdict is None:
        words = "nothing to check"
        if citation.score is not None:
            words = f"relevance {format_score(citation.score)}"
        return "open", "", words
    verdict = statement.choose_verdict(citation) or "unchecked"
    said = statement.describe_verdict(citation)
    words = VERDICTS[verdict].meaning if said == verdict else said
    return choose_level(verdict, checker), VERDICTS[verdict].sign, words


def find_quote_start(citation: Citation) -> int | str:
    """Return the offset of the first quote of the abstract, or "" without one."""
    return next((quote.start for quote in citation.quotes if quote.field == "abstract"), "")


def format_score(score: float) -> str:
    """Return a score with two decimals, rounded down so that none seems to reach a threshold.

    >>> format_score(0.6499)
    '0.64'
    """
    return f"{math.floor(score * 100 + 1e-9) / 100:.2f}"


def render_warnings(warnings: Sequence[str]) -> str:
    """Render the warnings of a statement, such as "figure not found: 14.2"."""
    return "".join(f' <span class="warning">⚠ {isolate(each)}</span>' for each in warnings)


def render_panel(turns: Sequence[Turn]) -> str:
    """Render the sources of all turns. At first only those of the last are visible."""
    sections = [
        render_section(turn.answer, number, is_shown=number == len(turns))
        for number, turn in enumerate(turns, start=1)
    ]
    return "".join(sections) or EMPTY


def render_section(answer: Answer, turn: int, *, is_shown: bool = True) -> str:
    """Render the sources of one turn."""
    cards = "".join(
        _render_card(paper, number, turn, answer) for number, paper in answer.sources.items()
    )
    cited = {paper.id for paper in answer.sources.values()}
    others = [] if answer.kind == "list" else [h for h in answer.hits if h.paper.id not in cited]
    none = "" if cards else '<p class="hint">This answer cites no paper.</p>'
    hidden = "" if is_shown else " hidden"
    return (
        f'<section data-turn="{turn}" aria-label="Sources of answer {turn}"{hidden}>'
        f'<header><h2 class="label">Sources <span>of answer {turn}</span></h2>'
        f'<a class="back" href="#turn-{turn}">Back to the answer</a></header>'
        f"{cards}{none}{_render_others(others)}</section>"
    )


def render_closest(closest: Sequence[Hit], turn: int) -> str:
    """Render the papers that are closest to a question without an answer."""
    if not closest:
        return ""
    return (
        f'<p class="label">Closest papers</p><ul class="closest" id="closest-{turn}">'
        f"{_render_hits(closest)}</ul>"
    )


def format_citation(paper: Paper) -> str:
    """Return a paper as one line of a reference list.

    >>> from rag.papers import Paper
    >>> format_citation(Paper("a", "On Rates", "", authors=("Ada Clark", "Bo Li"), year=2021))
    'Ada Clark and Bo Li (2021). On Rates.'
    """
    year = f"({paper.year})" if paper.year else ""
    head = f"{_join_authors(paper)} {year}".strip().removesuffix(".")
    url = (f"https://doi.org/{paper.doi}" if paper.doi else paper.url) or _get_arxiv_url(paper)
    parts = (head, paper.title.rstrip("."), paper.venue or "", url)
    return ". ".join(part for part in parts if part) + ("" if url else ".")


def _join_authors(paper: Paper) -> str:
    *first, last = paper.authors or ("",)
    return f"{', '.join(first)}{', ' if last == ET_AL else ' and '}{last}" if first else last


def _get_arxiv_url(paper: Paper) -> str:
    return f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else ""


def _find_citations(answer: Answer, number: int) -> list[tuple[Statement, Citation]]:
    return [(s, c) for s in answer.statements for c in s.citations if c.number == number]


def _render_card(paper: Paper, number: int, turn: int, answer: Answer) -> str:
    citing = _find_citations(answer, number)
    verdicts = "".join(_render_verdict(each, citation, answer.checker) for each, citation in citing)
    return (
        f'<article class="card" id="{make_card_id(turn, number)}" tabindex="-1" '
        f'aria-label="Source {number}"><header><span class="number">{number}</span>'
        f"<h3>{_render_title(paper)}</h3></header>{render_retraction(paper)}{_render_byline(paper)}"
        f'{_render_zotero_link(paper)}<ul class="verdicts">{verdicts}</ul>'
        f"{_render_abstract(paper, [citation for _, citation in citing])}"
        f"{_render_copy_buttons(paper)}</article>"
    )


def render_retraction(paper: Paper) -> str:
    """Render the mark of a retracted paper, "" for any other."""
    mark = paper.retraction_mark
    return f'<p class="retracted">{isolate(mark)}</p>' if mark else ""


def render_link(paper: Paper, html: str, *, otherwise: str = "") -> str:
    """Render a link to a paper, or something else if the library has no address of it."""
    address = paper.url or (f"https://doi.org/{paper.doi}" if paper.doi else _get_arxiv_url(paper))
    url = escape_url(address)
    if not url:
        return otherwise
    return f'<a href="{url}" target="_blank" rel="noopener noreferrer">{html}</a>'


def _render_title(paper: Paper) -> str:
    title = f'<bdi class="title">{escape(paper.title)}</bdi>'
    return render_link(paper, title, otherwise=title)


def _render_byline(paper: Paper) -> str:
    names = ", ".join(map(isolate, paper.authors[:4])) + " et al." * (len(paper.authors) > 4)
    parts = [names, *(isolate(part) for part in (paper.year, paper.venue) if part)]
    byline = " · ".join(part for part in parts if part)
    return f'<p class="byline">{byline}</p>' if byline else ""


def _render_zotero_link(paper: Paper) -> str:
    link = paper.zotero_link
    return f'<p class="byline"><a href="{escape(link)}">Open in Zotero</a></p>' if link else ""


def _render_verdict(statement: Statement, citation: Citation, checker: ReaderScore | None) -> str:
    """Render the verdict on one statement. A click shows the quote in the abstract."""
    start = find_quote_start(citation)
    level, sign, words = describe_check(statement, citation, checker)
    reason, shown = "", f"{sign}: {words}" if sign else words
    if citation.verdict and citation.standing == "current":
        shown = f"{sign} {statement.describe_verdict(citation)}"
        reason = f" {isolate(citation.reason)}" if citation.reason else ""
    text = (
        citation.quotes[0].text
        if statement.names_paper and citation.quotes
        else statement.named_text
    )
    return (
        f'<li class="{level}"><button type="button" data-quote="{start}" title="{words}">'
        f"<strong>{shown}</strong>{reason}{render_warnings(citation.warnings)}: "
        f"“<bdi>{escape(shorten(text, _STATEMENT_CHARS))}</bdi>”</button></li>"
    )


def _render_abstract(paper: Paper, citations: Iterable[Citation]) -> str:
    """Render the abstract with the quoted sentences marked, each at its offset."""
    if not paper.abstract:
        texts = dict.fromkeys(q.text for c in citations for q in c.quotes if q.field == "abstract")
        quotes = "".join(f"<blockquote>{escape(text)}</blockquote>" for text in texts)
        return f'<div class="abstract">{quotes}<p class="hint">The abstract is not here.</p></div>'
    spans = {
        (q.start, q.end)
        for citation in citations
        for q in citation.quotes
        if q.field == "abstract" and q.stands_in(paper)
    }
    parts, at = [], 0
    for start, end in sorted(spans):
        if start < at:
            continue
        parts.append(escape(paper.abstract[at:start]))
        parts.append(f'<mark data-start="{start}">{escape(paper.abstract[start:end])}</mark>')
        at = end
    parts.append(escape(paper.abstract[at:]))
    return (
        '<div class="abstract" dir="auto" tabindex="0" role="group" aria-label="Abstract">'
        f"{''.join(parts)}</div>"
    )


def _render_copy_buttons(paper: Paper) -> str:
    forms = (("BibTeX", export_papers([paper], "bibtex")), ("Plain", format_citation(paper)))
    buttons = "".join(
        render_button(name, label=f"Copy citation as {name}", copy=text) for name, text in forms
    )
    return f'<p class="copies"><span>Copy citation</span>{buttons}</p>'


def _render_others(hits: Sequence[Hit]) -> str:
    """Render the papers that were retrieved and not cited, folded."""
    if not hits:
        return ""
    return (
        f'<details class="others"><summary>Retrieved but not cited ({len(hits)})</summary>'
        f"<ul>{_render_hits(hits)}</ul></details>"
    )


def _render_hits(hits: Sequence[Hit]) -> str:
    return "".join(
        f"<li>{_render_title(hit.paper)}{render_retraction(hit.paper)}"
        f"{render_snippet(hit.sentences[0].text) if hit.sentences else ''}</li>"
        for hit in hits
    )


def render_snippet(sentence: str) -> str:
    """Render a paper's best sentence, cut to 220 characters."""
    return f'<p class="snippet" dir="auto">{escape(shorten(sentence, 220))}</p>'
