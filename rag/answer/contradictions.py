"""Contradictions in answers that come from a file, which would mislead their readers.

The text of an answer shows its statements and nothing else, apart from list numbers and a model's
code. Every verdict comes from someone who can give it. Called when a saved conversation is read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer.headings import (
    BEST_MATCH,
    CLOSEST,
    NO_CLEAR_ANSWER,
    describe_matches,
    is_reason,
)
from rag.citations.markers import Marker, remove_markers, split_markers
from rag.citations.resolve import render_statement
from rag.citations.statements import split_statements
from rag.llm import is_minicheck
from rag.verification import VERDICTS, is_same_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.answer.answer import Answer
    from rag.citations.citation import Citation, Statement

_ABSTENTIONS = (
    NO_CLEAR_ANSWER,
    "There is no answer ",
    "The library does not seem to hold an answer: ",  # until version 0.2
)
_LIST_NUMBER = re.compile(r"(?m)^[\s>]*\d{1,3}[.)]")


def refuse_contradictions(answers: Sequence[Answer]) -> None:
    """Raise ValueError for the first contradiction in the answers of a conversation."""
    cited = {(c.number, c.paper.id): c.paper for answer in answers for c in answer.citations}
    if len(dict(cited)) < len(cited):
        raise ValueError("one number stands for two papers")
    unmerged = [paper.id for paper in cited.values() if not paper.aliases]
    if len(set(unmerged)) < len(unmerged):
        raise ValueError("one paper has two numbers")
    for number, answer in enumerate(answers, start=1):
        for problem in _find_problems(answer):
            raise ValueError(f"answer {number}: {problem}")


def mark_uncited(answer: Answer) -> Answer:
    """Return an answer whose claims without a citation or a verdict are "uncited".

    Where a reader has checked the answer, it has decided what is a claim. The headings above quoted
    sentences claim nothing.
    """
    is_bare = answer.status == "abstained" and (answer.mode == "model" or not answer.is_quoted)
    if answer.kind != "answer" or answer.checker or is_bare:
        return answer
    headings = _list_headings(answer) if answer.is_quoted else ()
    pieces = [p if isinstance(p, str) else p.numbers for p in split_markers(answer.text)]
    claims = [part for part in split_statements(pieces)[1] if part.claim]

    def mark(statement: Statement) -> Statement:
        is_claim = any(c.start < statement.end and statement.start < c.end for c in claims)
        if statement.text in headings or not is_claim or statement.citations or statement.verdict:
            return statement
        return replace(statement, claim=True, verdict="uncited")

    return replace(answer, statements=tuple(map(mark, answer.statements)))


def _find_heading_problems(answer: Answer) -> Iterator[str]:
    """Yield what is wrong above quoted sentences: a heading, a reason or a label."""
    is_answer = answer.status != "abstained"
    if answer.mode == "model":
        if any(citation.verdict != "quoted" for citation in answer.citations):
            yield "an abstention cites papers"
    elif answer.statements[0].text != describe_matches(is_answer=is_answer, reason=answer.reason):
        yield "its heading is not that of its status"
    elif not is_reason(answer.reason):
        yield "its reason is none that quotes can have"
    other_label = CLOSEST if is_answer else BEST_MATCH
    if any(each.text == other_label for each in answer.statements):
        yield "its best sentence has the label of another status"


def _list_headings(answer: Answer) -> tuple[str, ...]:
    """Return what stands above and before quoted sentences: headings and papers."""
    is_answer = answer.status != "abstained"
    heading = describe_matches(is_answer=is_answer, reason=answer.reason)
    return heading, BEST_MATCH, CLOSEST, *(paper.reference for paper in answer.sources.values())


def shows_statement(text: str, statement: Statement) -> bool:
    """Return whether a text has a statement at its place. Markers and markup do not count."""
    shown = _letters(remove_markers(text[statement.start : statement.end]))
    return shown == _letters(statement.text)


def _find_problems(answer: Answer) -> Iterator[str]:
    for citation in answer.citations:
        yield from _find_citation_problems(citation)
    for statement in answer.statements:
        if statement.citations:
            yield from _find_cited_problems(statement, answer)
        elif statement.verdict != ("uncited" if statement.claim else None):
            yield f"a statement without a citation is {statement.verdict}"
    if answer.status == "abstained" and answer.citations and not answer.is_quoted:
        yield "an abstention cites papers"
    if answer.is_quoted:
        yield from _find_heading_problems(answer)
    is_reply = answer.mode == "model" and answer.kind == "answer"
    yield from _find_reply_problems(answer) if is_reply else _find_text_problems(answer)


def _find_cited_problems(statement: Statement, answer: Answer) -> Iterator[str]:
    verdict, citations = statement.verdict, statement.citations
    may_be = {
        "answer": verdict not in (None, "record") and not statement.listed,
        "list": verdict != "record" and bool(statement.listed),
        "metadata": verdict == "record",
    }
    if not may_be[answer.kind] or verdict == "uncited" or not statement.claim:
        yield f"a statement with a citation has the verdict {verdict or 'none'}"
    if len(citations) == 1 and citations[0].verdict != verdict:
        yield "a statement and its citation have different verdicts"
    if not _may_be_quoted(statement):
        yield "a quoted statement is not the sentence that it quotes"


def _may_be_quoted(statement: Statement) -> bool:
    quotes = [quote.text for citation in statement.citations for quote in citation.quotes]
    repeats = any(is_same_sentence(statement.text, quote) for quote in quotes)
    return repeats or statement.verdict != "quoted"


def _find_citation_problems(citation: Citation) -> Iterator[str]:
    verdict, by = citation.verdict, citation.by
    if any(not 0 < quote.end - quote.start == len(quote.text) for quote in citation.quotes):
        yield "a quote is not as long as its place"
    if verdict in ("quoted", "supported") and not (citation.quotes or is_minicheck(by)):
        yield f"a citation that is {verdict} quotes nothing"
    giver = by if by in ("text", "record") else "reader"
    if verdict and VERDICTS[verdict].given_by not in (giver, "anyone"):
        yield f"the verdict {verdict} cannot come from {by}"


def _find_reply_problems(answer: Answer) -> Iterator[str]:
    """Yield what the text of a model shows beside its statements, or lacks of them."""
    markers = [piece for piece in split_markers(answer.text) if isinstance(piece, Marker)]
    numbers = {number for marker in markers for number in marker.numbers}
    if answer.statements and numbers != set(answer.sources):
        yield "the markers of its text are not those of its citations"
    if not all(shows_statement(answer.text, each) for each in answer.statements):
        yield "its text does not have its statements"
    if any(_letters(part.text) for part in split_statements([_find_rest(answer)])[1]):
        yield "its text shows more than its statements"


def _find_text_problems(answer: Answer) -> Iterator[str]:
    """Yield the same for a text that code put together."""
    shown = [answer.text[each.start : each.end] for each in answer.statements]
    if shown != [render_statement(each.text, each.citations) for each in answer.statements]:
        yield "its text does not have its statements"
    if any(map(str.isalnum, _find_rest(answer))):
        yield "its text shows more than its statements"


def _find_rest(answer: Answer) -> str:
    """Return what a text shows beside its statements and the numbers of list items."""
    is_bare = answer.status == "abstained" and not answer.statements
    if is_bare and answer.text.startswith(_ABSTENTIONS) and answer.text.endswith(answer.reason):
        return ""
    rest, at = "", 0
    for statement in answer.statements:
        rest += answer.text[at : statement.start] + "…"
        at = statement.end
    return _LIST_NUMBER.sub("", rest + answer.text[at:])


def _letters(text: str) -> list[str]:
    return [letter for letter in text if letter.isalnum()]
