"""The panel of sources as HTML: one card for each cited paper, and what was found beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.answer import STANDINGS
from rag.exporters import export_papers
from rag.papers import ET_AL
from rag.web.escape import isolated, safe, safe_address, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.answer import Answer, Citation, Statement, Turn
    from rag.papers import Paper
    from rag.retrieval import Hit

_VERDICTS = {
    "quoted": "“ quoted",
    "supported": "✓ supported",
    "partly": "~ partly supported",
    "unsupported": "✗ unsupported",
    "contradicted": "✗ contradicted",
    "record": "✓ record",
    "unchecked": "· unchecked",
    None: "· unchecked",
}
NOTHING_TO_VERIFY = "nothing to verify"  # of a paper that is listed and of which nothing is claimed
_SAID_CHARS = 60  # of a statement beside its verdict
EMPTY = '<p class="hint">The papers behind an answer appear here.</p>'


def card_id(turn: int, number: int) -> str:
    """The id of a source's card."""
    return f"turn-{turn}-source-{number}"


def panel(done: Sequence[Turn]) -> str:
    """The sources of all turns; only those of the last are visible at first."""
    sections = [
        section(each.answer, number, is_shown=number == len(done))
        for number, each in enumerate(done, start=1)
    ]
    return "".join(sections) or EMPTY


def closest_list(closest: Sequence[Hit], turn: int) -> str:
    """The papers nearest to a question that they do not answer."""
    if not closest:
        return ""
    items = "".join(f"<li>{_title(hit.paper)}{_best_sentence(hit)}</li>" for hit in closest)
    return (
        f'<p class="label">Closest papers</p><ul class="closest" id="closest-{turn}">{items}</ul>'
    )


def plain_citation(paper: Paper) -> str:
    """A paper as one line of a reference list, with what the library knows of it.

    >>> from rag.papers import Paper
    >>> plain_citation(Paper("a", "On Rates", "", authors=("Ada Clark", "Bo Li"), year=2021))
    'Ada Clark and Bo Li (2021). On Rates.'
    """
    *first, last = paper.authors or ("",)
    names = f"{', '.join(first)}{', ' if last == ET_AL else ' and '}{last}" if first else last
    year = f"({paper.year})" if paper.year else ""
    head = " ".join(part for part in (names, year) if part).removesuffix(".")
    address = f"https://doi.org/{paper.doi}" if paper.doi else paper.url
    if not address and paper.arxiv_id:
        address = f"https://arxiv.org/abs/{paper.arxiv_id}"
    parts = (head, paper.title.rstrip("."), paper.venue or "", address or "")
    return ". ".join(part for part in parts if part) + ("" if address else ".")


def paper_address(paper: Paper) -> str:
    """Where the paper lies, as an attribute shows it; "" where the library does not know."""
    if paper.url:
        return safe_address(paper.url)
    if paper.doi:
        return safe_address(f"https://doi.org/{paper.doi}")
    return safe_address(f"https://arxiv.org/abs/{paper.arxiv_id}") if paper.arxiv_id else ""


def section(answer: Answer, turn: int, *, is_shown: bool = True) -> str:
    """The sources of one turn."""
    cards = "".join(
        _card(paper, number, turn, _citing(answer, number))
        for number, paper in answer.sources.items()
    )
    cited = {paper.id for paper in answer.sources.values()}
    others = [] if answer.is_list else [h for h in answer.hits if h.paper.id not in cited]
    none = "" if cards else '<p class="hint">This answer cites no paper.</p>'
    hidden = "" if is_shown else " hidden"
    return (
        f'<section data-turn="{turn}" aria-label="Sources of answer {turn}"{hidden}>'
        f'<header><h2 class="label">Sources <span>of answer {turn}</span></h2>'
        f'<a class="back" href="#turn-{turn}">Back to the answer</a></header>'
        f"{cards}{none}{_folded(others)}</section>"
    )


def _citing(answer: Answer, number: int) -> list[tuple[Statement, Citation]]:
    return [(s, c) for s in answer.statements for c in s.citations if c.number == number]


def _card(
    paper: Paper, number: int, turn: int, citing: Sequence[tuple[Statement, Citation]]
) -> str:
    verdicts = "".join(_verdict(statement, citation) for statement, citation in citing)
    return (
        f'<article class="card" id="{card_id(turn, number)}" tabindex="-1" '
        f'aria-label="Source {number}"><header><span class="number">{number}</span>'
        f"<h3>{_title(paper)}</h3></header>{_byline(paper)}"
        f'<ul class="verdicts">{verdicts}</ul>'
        f"{_abstract(paper, [citation for _, citation in citing])}{_copies(paper)}</article>"
    )


def _title(paper: Paper) -> str:
    address = paper_address(paper)
    title = f'<bdi class="title">{safe(paper.title)}</bdi>'
    if not address:
        return title
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">{title}</a>'


def _byline(paper: Paper) -> str:
    names = ", ".join(map(isolated, paper.authors[:4])) + " et al." * (len(paper.authors) > 4)
    parts = [names, *(isolated(part) for part in (paper.year, paper.venue) if part)]
    shown = " · ".join(part for part in parts if part)
    return f'<p class="byline">{shown}</p>' if shown else ""


def _verdict(statement: Statement, citation: Citation) -> str:
    """What the check found for one statement; a click shows where the abstract says it."""
    start = citation.quotes[0].start if citation.quotes else ""
    kind, held = citation.verdict or "unchecked", _VERDICTS[citation.verdict]
    reason = f" {isolated(citation.reason)}" if citation.reason else ""
    if citation.standing != "current":
        kind, reason = "unchecked", ""
        held = f"{citation.standing}: {STANDINGS[citation.standing]}"
    elif not (citation.verdict or statement.claim):
        held = NOTHING_TO_VERIFY
    quote = citation.quotes[0].text if statement.names_paper and citation.quotes else statement.text
    said = safe(shortened(quote, _SAID_CHARS))
    return (
        f'<li class="{kind}"><button type="button" data-quote="{start}">'
        f"<strong>{held}</strong>{reason}: “<bdi>{said}</bdi>”</button></li>"
    )


def _abstract(paper: Paper, citations: Iterable[Citation]) -> str:
    """The abstract with the supporting sentences marked, each at its offset."""
    if not paper.abstract:
        quotes = dict.fromkeys(q.text for c in citations for q in c.quotes)
        shown = "".join(f"<blockquote>{safe(text)}</blockquote>" for text in quotes)
        return f'<div class="abstract">{shown}<p class="hint">The abstract is not here.</p></div>'
    spans = {
        (q.start, q.end)
        for citation in citations
        for q in citation.quotes
        if paper.abstract[q.start : q.end] == q.text
    }
    parts, at = [], 0
    for start, end in sorted(spans):
        if start < at:
            continue
        parts.append(safe(paper.abstract[at:start]))
        parts.append(f'<mark data-start="{start}">{safe(paper.abstract[start:end])}</mark>')
        at = end
    parts.append(safe(paper.abstract[at:]))
    return (
        '<div class="abstract" dir="auto" tabindex="0" role="group" aria-label="Abstract">'
        f"{''.join(parts)}</div>"
    )


def _copies(paper: Paper) -> str:
    forms = (("BibTeX", export_papers([paper], "bibtex")), ("Plain", plain_citation(paper)))
    buttons = "".join(
        f'<button type="button" data-copy="{safe(text)}" aria-label="Copy citation as {name}">'
        f"{name}</button>"
        for name, text in forms
    )
    return f'<p class="copies"><span>Copy citation</span>{buttons}</p>'


def _folded(hits: Sequence[Hit]) -> str:
    """Papers that were found and not cited."""
    if not hits:
        return ""
    items = "".join(f"<li>{_title(hit.paper)}{_best_sentence(hit)}</li>" for hit in hits)
    return (
        f'<details class="others"><summary>Retrieved but not cited ({len(hits)})</summary>'
        f"<ul>{items}</ul></details>"
    )


def _best_sentence(hit: Hit) -> str:
    if not hit.sentences:
        return ""
    return f'<p class="snippet" dir="auto">{safe(shortened(hit.sentences[0].text, 220))}</p>'
