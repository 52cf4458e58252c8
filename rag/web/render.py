"""Questions and answers as HTML: pure functions that escape everything from outside.

Called by the conversation's handler. `cards` draws the panel of sources beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rag.answer import Status, Text, Verified
from rag.verification import VERDICTS, choose_level
from rag.web.cards import (
    describe_check,
    find_quote_start,
    format_score,
    make_card_id,
    render_closest,
    render_retraction,
    render_snippet,
    render_warnings,
)
from rag.web.escape import escape, isolate, render_button, render_doing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rag.answer import Answer, AnswerEvent, Citation, Statement
    from rag.verification import ReaderScore

MOST_LISTED = 10  # papers of a list that are shown at once
_MARKER = re.compile(r"\[(\d{1,4})\]")
_SPACE_BEFORE = re.compile(r" +(?=\[\d{1,4}\])")
_DASH_ALONE = re.compile(r"(^|\n)- ?$")
_STRONG = re.compile(r"\*\*(?=\S)([^*\n]{1,300}?\S)\*\*")


def render_welcome(examples: Sequence[str], about: str) -> str:
    """Render an empty conversation: what the page does, and examples to click."""
    buttons = _render_examples(examples)
    group = f'<div class="examples" role="group" aria-label="Example questions">{buttons}</div>'
    return (
        '<section class="welcome"><h2>What do the papers say?</h2>'
        f"<p>{escape(about)} Every sentence of an answer cites the papers it rests on, and you see "
        f"how each citation was checked.</p>{group if buttons else ''}</section>"
    )


def render_turn(
    question: str,
    answer: Answer,
    number: int,
    *,
    suggestions: Sequence[str] = (),
    library: str = "",
) -> str:
    """Render a question and its answer, with verdicts and what can be done with it.

    Next come suggested questions to click. `library` is the title of the one that was asked.
    """
    notes = [f"Asked of the {isolate(library)}"] if library else []
    notes += _describe_reading(answer, number)
    head = "".join(f'<p class="understood">{note}</p>' for note in notes)
    body = _render_answer(answer, number)
    if answer.status == "abstained":
        body = _render_abstention(answer, body, number)
    return _render_article(
        question,
        number,
        f"{head}{body}{_render_warnings(answer)}{_render_facts(answer)}"
        f"{_render_actions(answer, number)}{_render_suggestions(suggestions)}",
    )


@dataclass(slots=True)
class Draft:
    """Answer that is being written."""

    question: str
    number: int  # of its turn, from 1
    status: str = ""  # what is being done
    text: str = ""
    statements: Sequence[Statement] = ()  # once they are checked
    checker: ReaderScore | None = None  # that checked them

    def add(self, event: AnswerEvent) -> None:
        """Take what an event says."""
        if isinstance(event, Status):
            self.status = event.text
        elif isinstance(event, Text):
            self.text += event.delta
        elif isinstance(event, Verified):
            self.statements, self.checker = event.statements, event.checker
            self.text = event.text or self.text


def render_draft(draft: Draft) -> str:
    """Render a turn while it is written. Markers get their verdicts with the statements."""
    text = _DASH_ALONE.sub("", draft.text)  # its words are still to come
    checked = draft.statements
    fits = checked and all(text[s.start : s.end].startswith(s.text) for s in checked)
    body = _render_text(text)
    if fits:
        body = _make_lists(_render_statements(text, checked, draft.number, draft.checker))
    shown = f'<div class="text" dir="auto">{body}</div>' if text else ""
    doing = render_doing(draft.status) if draft.status else ""
    return _render_article(draft.question, draft.number, shown + doing, busy=True)


def render_failure(draft: Draft, sentence: str, *, stopped: bool = False) -> str:
    """Render a turn that was stopped or failed, with the reason."""
    shown = f'<div class="text" dir="auto">{_render_text(draft.text)}</div>' if draft.text else ""
    kind, role = ("stopped", "status") if stopped else ("error", "alert")
    return _render_article(
        draft.question,
        draft.number,
        f'{shown}<p class="note {kind}" role="{role}">{escape(sentence)}</p>'
        f'<div class="actions">{_render_ask_buttons(draft.number)}</div>',
    )


def render_marker(
    statement: Statement, citation: Citation, turn_number: int, checker: ReaderScore | None
) -> str:
    """Render the number that links to a source's card. Colour and sign show the verdict."""
    level, sign, words = describe_check(statement, citation, checker)
    start = find_quote_start(citation)
    mark = "retracted" if citation.paper.retraction else ""
    label = ", ".join(filter(None, [f"Source {citation.number}", mark, words]))
    reason = f": {escape(citation.reason)}" if citation.reason and citation.verdict else ""
    shown = f'<span class="sign">{sign}</span>' if sign and level != "good" else ""
    kind = f"marker {level} {mark}".rstrip()
    return (
        f'<a class="{kind}" href="#{make_card_id(turn_number, citation.number)}" '
        f'data-turn="{turn_number}" data-start="{start}" aria-label="{label}" '
        f'title="{label}{reason}">{citation.number}{shown}</a>'
    )


def _render_examples(questions: Sequence[str]) -> str:
    return "".join(render_button(each, kind="example", act="ask", text=each) for each in questions)


def _render_suggestions(questions: Sequence[str]) -> str:
    if not questions:
        return ""
    return (
        '<div class="next" role="group" aria-label="Suggested next questions">'
        f"<span>Next</span>{_render_examples(questions)}</div>"
    )


def _render_article(question: str, number: int, inside: str, *, busy: bool = False) -> str:
    return (
        f'<article class="turn" id="turn-{number}" data-turn="{number}" '
        f'aria-label="Question {number}"{" aria-busy=true" if busy else ""}>'
        f'<h3 class="question" dir="auto">{escape(question)}</h3>{inside}</article>'
    )


def _describe_reading(answer: Answer, number: int) -> list[str]:
    """Render how the question was read and which papers were asked.

    A question that was not asked as it stands can be asked again so.
    """
    is_read = answer.asked != answer.question.strip()
    notes = [f"Understood as: {isolate(answer.asked)}"] if is_read else []
    notes += [f"Only papers {isolate(answer.scope)}"] if answer.scope else []
    if is_read or answer.narrowed:
        title = "Ask again as you wrote it. The new answer replaces this one"
        button = render_button(
            "Ask as written", title=title, act="retry", turn=number, written="yes"
        )
        notes[-1 if answer.narrowed else 0] += f" {button}"
    return notes


def _render_answer(answer: Answer, number: int) -> str:
    note = ""
    if answer.status == "incomplete":
        reason = escape(answer.reason.rstrip("."))
        note = f'<p class="note weak">This answer is incomplete: {reason}.</p>'
    own, quoted = answer.split_quotations()
    html = _render_statements(*own, number, answer.checker)
    html += _render_statements(*quoted, number, answer.checker, with_headings=True)
    body = _make_lists(html, most=MOST_LISTED if answer.kind == "list" else None)
    return f'<div class="text" dir="auto">{body}</div>{note}'


def _render_abstention(answer: Answer, body: str, number: int) -> str:
    """Render an abstention. Without quoted sentences the closest papers follow its text."""
    lead = '<p class="lead"><span aria-hidden="true">∅</span> Not in these papers</p>'
    closest = "" if answer.is_quoted else render_closest(answer.closest, number)
    shown = lead if answer.mode == "model" else ""
    return f'<div class="abstention">{shown}{body}{closest}</div>'


def _render_statements(
    text: str,
    statements: Sequence[Statement],
    turn_number: int,
    checker: ReaderScore | None,
    *,
    with_headings: bool = False,
) -> str:
    """Render a text with its statements, an entry of a list with its score and sentence.

    With headings, what cites nothing is one.
    """
    parts, at = [], 0
    for each in sorted(statements, key=lambda s: s.start):
        if each.start < at:
            continue
        parts.append(_render_plain(text[at : each.start]))
        said = text[each.start : each.end].replace("\n", " ")  # a line is an item of a list
        if with_headings and not each.citations and not each.verdict:
            parts.append(f"<strong>{escape(said)}</strong>")
        else:
            parts.append(_render_statement(said, each, turn_number, checker) + _render_entry(each))
        at = each.end
    return "".join([*parts, _render_plain(text[at:])])


def _make_lists(html: str, most: int | None = None) -> str:
    """Return a text with its lines that begin with a dash as lists.

    Args:
        html: escaped.
        most: items of one list that are shown at once; the others are folded. None shows all.
    """
    parts = []
    for is_list, group in groupby(html.split("\n"), lambda line: line.startswith("- ")):
        lines = list(group)
        if not is_list:
            parts.append("\n".join(lines).strip("\n"))
            continue
        items = [f"<li>{line[2:]}</li>" for line in lines]
        parts.append(f"<ul>{''.join(items[:most])}</ul>")
        if rest := items[len(items[:most]) :]:
            parts.append(
                f'<details class="more"><summary>{len(rest)} more</summary>'
                f"<ul>{''.join(rest)}</ul></details>"
            )
    return "".join(parts)


def _render_statement(
    text: str, statement: Statement, turn_number: int, checker: ReaderScore | None
) -> str:
    cited = {citation.number: citation for citation in statement.citations}

    def link(marker: re.Match[str]) -> str:
        citation = cited.get(int(marker[1]))
        if citation is None:
            return marker[0]
        return render_marker(statement, citation, turn_number, checker)

    body = _render_markers(text, link) + render_warnings(statement.warnings)
    verdict = statement.verdict if statement.claim else None
    level = choose_level(verdict, checker) if verdict else "open"
    if verdict is None or level not in ("weak", "bad"):
        return f"<span>{body}</span>"
    return f'<span class="statement {level}" title="{VERDICTS[verdict].meaning}">{body}</span>'


def _render_entry(statement: Statement) -> str:
    """Render the best sentence of an entry of a list, and its relevance if that decided."""
    if statement.listed is None or not statement.citations:
        return ""
    citation = statement.citations[0]
    score = ""
    if citation.score is not None and citation.by == "text":
        shown = format_score(citation.score)
        score = f' <span class="score" title="Relevance from 0 to 1">{shown}</span>'
    mark = render_retraction(citation.paper)
    return score + mark + "".join(render_snippet(quote.text) for quote in citation.quotes[:1])


def _render_markers(text: str, link: str | Callable[[re.Match[str]], str]) -> str:
    """Escape a text and replace its markers by links."""
    return _MARKER.sub(link, _render_plain(_SPACE_BEFORE.sub("\N{NO-BREAK SPACE}", text)))


def _render_text(text: str) -> str:
    """Escape a text whose markers are not checked yet."""
    return _make_lists(_render_markers(text, r'<span class="marker open">\1</span>'))


def _render_plain(text: str) -> str:
    """Escape a text. What a model writes between double stars is strong."""
    return _STRONG.sub(r"<strong>\1</strong>", escape(text))


def _render_warnings(answer: Answer) -> str:
    notes = "".join(f'<p class="note weak">{escape(each)}</p>' for each in answer.warnings)
    return f'<div role="note">{notes}</div>' if notes else ""


def _render_facts(answer: Answer) -> str:
    """Render one line: how statements hold, who wrote them, how long it took, what it used."""
    tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
    used = f"{'about ' * answer.usage.estimated}{tokens:,} tokens" if tokens else ""
    parts = [
        "" if answer.status == "abstained" else answer.verification.rstrip("."),
        f"model: {answer.model}" if answer.model else "quotes, no language model",
        answer.duration,
        used,
        answer.cost or "",
    ]
    spans = "".join(f"<span>{escape(part)}</span>" for part in parts if part)
    return f'<p class="facts">{spans}</p>'


def _render_actions(answer: Answer, number: int) -> str:
    copy = render_button("Copy", copy=answer.to_markdown())
    sources = render_button("Sources", show=number)
    thumbs = "".join(
        render_button(
            word,
            label=f"{word} answer",
            title=f"{word} answer",
            kind="thumb",
            state=' aria-pressed="false"',
            thumb=thumb,
            turn=number,
        )
        for thumb, word in (("up", "Good"), ("down", "Bad"))
    )
    return f'<div class="actions">{copy}{sources}{_render_ask_buttons(number)}{thumbs}</div>'


def _render_ask_buttons(number: int) -> str:
    name = "Edit question"
    return render_button("Retry", act="retry", turn=number) + render_button(
        "Edit", label=name, title=name, act="edit", turn=number
    )
