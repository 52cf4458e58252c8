"""Questions and answers as HTML: pure functions, in which everything foreign is escaped.

Called by the handlers of the conversation; `cards` draws the panel of sources beside it.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from rag.answer import STANDINGS
from rag.web.cards import NOTHING_TO_VERIFY, card_id, closest_list
from rag.web.escape import isolated, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.answer import Answer, Citation, Statement, Turn

# Verdict -> sign and words; the sign says it to those who see no colours.
SIGNS = {
    "quoted": ("“", "quoted word for word"),
    "supported": ("✓", "supported"),
    "partly": ("~", "partly supported"),
    "unsupported": ("✗", "not supported"),
    "contradicted": ("✗", "contradicted"),
    "record": ("✓", "from the paper's record"),
    "uncited": ("?", "no source is cited"),
    "unchecked": ("·", "unchecked"),
    None: ("·", "unchecked"),
}
QUOTES = "quotes: verbatim sentences, no language model"
_MARKER = re.compile(r"\[(\d{1,4})\]")
_SPACE_BEFORE = re.compile(r" +(?=\[\d{1,4}\])")
_LIST_ITEM = re.compile(r"\n- $")
_DASH_ALONE = re.compile(r"(^|\n)- ?$")
_STRONG = re.compile(r"\*\*(?=\S)([^*\n]{1,300}?\S)\*\*")


def welcome(examples: Sequence[str], about: str) -> str:
    """What an empty conversation shows: what can be asked, and examples to click."""
    buttons = "".join(
        f'<button type="button" class="example" data-act="ask" data-text="{safe(each)}">'
        f"{safe(each)}</button>"
        for each in examples
    )
    tries = f'<div class="examples" role="group" aria-label="Example questions">{buttons}</div>'
    return (
        '<section class="welcome"><h2>What do the papers say?</h2>'
        f"<p>{safe(about)} Every sentence of an answer points to the papers it rests on, and each "
        f"pointer has been checked against the abstract.</p>{tries if buttons else ''}</section>"
    )


def turns(done: Sequence[Turn], libraries: Sequence[str]) -> str:
    """Finished turns, oldest first; the page offers "Retry" for the last one only."""
    return "".join(
        turn(each.question, each.answer, number, library=library)
        for number, (each, library) in enumerate(zip(done, libraries, strict=True), start=1)
    )


def turn(
    question: str,
    answer: Answer,
    number: int,
    *,
    suggestions: Sequence[str] = (),
    library: str = "",
) -> str:
    """A question and its answer, with verdicts and what can be done with it.

    Args:
        question: as the reader put it.
        answer: to it.
        number: of the turn, from 1.
        suggestions: next questions to click.
        library: which one was asked, where that must be told.
    """
    follows = (
        f'<p class="understood">Understood as: {isolated(answer.asked)}</p>'
        if answer.asked != question.strip()
        else ""
    )
    if library:
        follows += f'<p class="understood">Asked of the {isolated(library)}</p>'
    if answer.scope:
        follows += f'<p class="understood">Only papers {isolated(answer.scope)}</p>'
    body = _abstention(answer, number) if answer.status == "abstained" else _said(answer, number)
    return _article(
        question,
        number,
        f"{follows}{body}{_warnings(answer)}{_facts(answer)}"
        f"{_actions(answer, number)}{suggested(suggestions)}",
    )


def writing(
    question: str, number: int, text: str, status: str, statements: Sequence[Statement] = ()
) -> str:
    """A turn while it is written; markers have no verdict before they were checked."""
    text = _DASH_ALONE.sub("", text)  # its words are still to come
    fits = statements and all(text[s.start : s.end].startswith(s.text) for s in statements)
    body = _checked(text, statements, number) if fits else _unchecked(text)
    shown = f'<div class="text" dir="auto">{body}</div>' if text else ""
    doing = f'<p class="doing"><span class="pulse" aria-hidden="true"></span>{safe(status)}</p>'
    return _article(question, number, f"{shown}{doing if status else ''}", busy=True)


def failed(question: str, number: int, text: str, sentence: str, *, stopped: bool = False) -> str:
    """A turn that was stopped or came to nothing, with the sentence that says why."""
    shown = f'<div class="text" dir="auto">{_unchecked(text)}</div>' if text else ""
    kind, role = ("stopped", "status") if stopped else ("error", "alert")
    retry = _button("retry", "Retry", number) + _button(
        "edit", "Edit", number, name="Edit question"
    )
    return _article(
        question,
        number,
        f'{shown}<p class="note {kind}" role="{role}">{safe(sentence)}</p>'
        f'<div class="actions">{retry}</div>',
    )


def suggested(questions: Sequence[str]) -> str:
    """Next questions to click."""
    if not questions:
        return ""
    buttons = "".join(
        f'<button type="button" class="example" data-act="ask" data-text="{safe(each)}">'
        f"{safe(each)}</button>"
        for each in questions
    )
    return (
        '<div class="next" role="group" aria-label="Suggested next questions">'
        f"<span>Next</span>{buttons}</div>"
    )


def _article(question: str, number: int, inside: str, *, busy: bool = False) -> str:
    return (
        f'<article class="turn" id="turn-{number}" data-turn="{number}" '
        f'aria-label="Question {number}"{" aria-busy=true" if busy else ""}>'
        f'<h3 class="question" dir="auto">{safe(question)}</h3>{inside}</article>'
    )


def _said(answer: Answer, number: int) -> str:
    note = ""
    if answer.status == "incomplete":
        reason = safe(answer.reason.rstrip("."))
        note = f'<p class="note weak">This answer is incomplete: {reason}.</p>'
    body = _checked(answer.text, answer.statements, number)
    return f'<div class="text" dir="auto">{body}</div>{note}'


def _abstention(answer: Answer, number: int) -> str:
    return (
        '<div class="abstention"><p class="lead"><span aria-hidden="true">∅</span> Not in these '
        f'papers</p><p dir="auto">{safe(answer.text)}</p>{closest_list(answer.closest, number)}'
        "</div>"
    )


def _checked(text: str, statements: Sequence[Statement], turn_number: int) -> str:
    parts, at, in_list = [], 0, False
    for each in sorted(statements, key=lambda s: s.start):
        if each.start < at:
            continue
        between = text[at : each.start]
        said = _statement(text[each.start : each.end], each, turn_number)
        item = _LIST_ITEM.search(between if at else f"\n{between}")
        if item:
            before = between[: -len("- ")]
            if in_list and before.strip():
                parts += ["</ul>", _plain(before.strip("\n")), "<ul>"]
            elif not in_list:
                parts += [_plain(before.rstrip("\n")), "<ul>"]
            parts.append(f"<li>{said}</li>")
        else:
            parts += ["</ul>", _plain(between.lstrip("\n"))] if in_list else [_plain(between)]
            parts.append(said)
        in_list, at = bool(item), each.end
    rest = text[at:].lstrip("\n") if in_list else text[at:]
    return "".join([*parts, "</ul>" * in_list, _plain(rest)])


def _statement(text: str, statement: Statement, turn_number: int) -> str:
    cited = {citation.number: citation for citation in statement.citations}
    body = _with_markers(text, cited, turn_number, is_claim=statement.claim)
    doubtful = statement.claim and statement.verdict in (
        "partly",
        "unsupported",
        "contradicted",
        "uncited",
    )
    if not doubtful:
        return f"<span>{body}</span>"
    words = SIGNS[statement.verdict][1]
    return f'<span class="statement {statement.verdict}" title="{words}">{body}</span>'


def _with_markers(
    text: str, cited: Mapping[int, Citation], turn_number: int, *, is_claim: bool
) -> str:
    """Escaped text in which the markers of citations are links to their cards."""
    parts, at = [], 0
    text = _SPACE_BEFORE.sub("\N{NO-BREAK SPACE}", text)
    for found in _MARKER.finditer(text):
        citation = cited.get(int(found[1]))
        if citation:
            mark = marker(citation, turn_number, is_claim=is_claim)
            parts += [_plain(text[at : found.start()]), mark]
            at = found.end()
    return "".join([*parts, _plain(text[at:])])


def marker(citation: Citation, turn_number: int, *, is_claim: bool = True) -> str:
    """A small number that links to the source card; colour and sign say the verdict.

    What is listed claims nothing, and has nothing to verify; of a paper that has changed or is gone
    the number says that.
    """
    known = citation.verdict if citation.standing == "current" else None
    verdict = known or "unchecked"
    sign, words = SIGNS[known] if known or is_claim else ("", NOTHING_TO_VERIFY)
    if citation.standing != "current":
        sign, words = citation.standing, STANDINGS[citation.standing]
    start = citation.quotes[0].start if citation.quotes else ""
    label = f"Source {citation.number}, {words}"
    shown = (
        ""
        if known in ("quoted", "supported", "record") or not sign
        else f'<span class="sign">{sign}</span>'
    )
    return (
        f'<a class="marker {verdict}" href="#{card_id(turn_number, citation.number)}" '
        f'data-turn="{turn_number}" data-start="{start}" aria-label="{label}" '
        f'title="{label}: {safe(citation.reason)}">{citation.number}{shown}</a>'
    )


def _unchecked(text: str) -> str:
    """Escaped text whose markers are not checked yet; lines that begin with a dash are a list."""
    parts = []
    for is_list, lines in groupby(text.split("\n"), lambda line: line.startswith("- ")):
        if is_list:
            items = "".join(f"<li>{_with_bare_markers(line[2:])}</li>" for line in lines)
            parts.append(f"<ul>{items}</ul>")
        else:
            parts.append(_with_bare_markers("\n".join(lines).strip("\n")))
    return "".join(parts)


def _with_bare_markers(text: str) -> str:
    spaced = _SPACE_BEFORE.sub("\N{NO-BREAK SPACE}", text)
    return _MARKER.sub(r'<span class="marker unchecked">\1</span>', _plain(spaced))


def _plain(text: str) -> str:
    """Escaped text; what a model writes between double stars is strong."""
    return _STRONG.sub(r"<strong>\1</strong>", safe(text))


def _warnings(answer: Answer) -> str:
    notes = "".join(f'<p class="note weak">{safe(each)}</p>' for each in answer.warnings)
    return f'<div role="note">{notes}</div>' if notes else ""


def _facts(answer: Answer) -> str:
    """One line: how many statements hold, who wrote them, how long it took, what it used."""
    tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
    used = f"{'about ' * answer.usage.estimated}{tokens:,} tokens" if tokens else ""
    parts = [
        "" if answer.status == "abstained" else answer.verification.rstrip("."),
        f"model: {answer.model}" if answer.model else QUOTES,
        answer.took,
        used,
        answer.cost or "",
    ]
    spans = "".join(f"<span>{safe(part)}</span>" for part in parts if part)
    return f'<p class="facts">{spans}</p>'


def _actions(answer: Answer, number: int) -> str:
    copied = safe(answer.to_markdown())
    buttons = [
        f'<button type="button" data-copy="{copied}">Copy</button>',
        f'<button type="button" data-show="{number}">Sources</button>',
        _button("retry", "Retry", number),
        _button("edit", "Edit", number, name="Edit question"),
        _thumb("up", "Good answer", "Good", number),
        _thumb("down", "Bad answer", "Bad", number),
    ]
    return f'<div class="actions">{"".join(buttons)}</div>'


def _button(act: str, label: str, number: int, *, name: str = "") -> str:
    named = f' aria-label="{name}" title="{name}"' if name else ""
    return f'<button type="button" data-act="{act}" data-turn="{number}"{named}>{label}</button>'


def _thumb(thumb: str, label: str, sign: str, number: int) -> str:
    return (
        f'<button type="button" class="thumb" data-thumb="{thumb}" data-turn="{number}" '
        f'aria-label="{label}" title="{label}" aria-pressed="false">{sign}</button>'
    )
