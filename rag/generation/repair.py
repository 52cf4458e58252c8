"""Repair of a checked draft, once: the model corrects, cites or withdraws the statements in doubt.

They go back with their verdicts and reasons, and with papers that are searched for anew. What the
model rewrites is checked again. Other statements do not change.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer import Status, Verified
from rag.citations.resolve import (
    MarkerResolver,
    Numbering,
    resolve_statements,
    splice_statements,
)
from rag.citations.statements import escape_bars, is_cell, render_markers
from rag.errors import ModelError, ModelReplyInvalid
from rag.generation.draft import shown_numbers
from rag.generation.llm import render_paper
from rag.llm import Message, is_minicheck
from rag.llm.reply import get_usage
from rag.llm.tokens import count_tokens
from rag.prompts import load_prompt, neutral
from rag.text.terms import has_words

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from rag.answer import AnswerEvent, Statement, Turn
    from rag.generation.check import DraftChecker
    from rag.generation.draft import Draft
    from rag.llm import ChatModel
    from rag.papers import Paper
    from rag.query.plan import Plan
    from rag.retrieval import Hit
    from rag.retrieval.live_index import LiveIndex
    from rag.settings import Settings
    from rag.verification import Verdict

IN_DOUBT = frozenset({"unsupported", "contradicted", "uncited"})
_MORE_PAPERS = 4  # searched for with the statements in doubt
_MOST_STATEMENTS = 20  # that are repaired
_MOST_SENTENCES = 3  # in place of one
_MARGIN_TOKENS = 64
_LINE = re.compile(r"\W*(\d{1,3})\W*?[|:](?:[\s|]|#{1,6}\s)*(.*)")  # no heading, no row
_WITHDRAW = re.compile(r"(?i)\W*withdraw(?:n|s)?\s*(?:[^\w\s].*)?")  # a reason may follow


class Repairer:
    """Repairs drafts with the model that wrote them."""

    def __init__(
        self, library: LiveIndex, checker: DraftChecker, settings: Settings, model: ChatModel | None
    ) -> None:
        self._library = library
        self._checker = checker
        self._settings = settings
        self._model = model

    def repair(
        self, plan: Plan, draft: Draft, history: Sequence[Turn]
    ) -> Generator[AnswerEvent, None, Draft]:
        """Yield what is done and return the draft, its changed statements checked again.

        Args:
            plan: of the question.
            draft: checked.
            history: earlier turns, whose papers keep their numbers.
        """
        doubts = _find_doubts(draft)[:_MOST_STATEMENTS]
        if not (doubts and self._model and self._settings.repair):
            return draft
        yield Status(f"Correcting {len(doubts)} statement{'s' * (len(doubts) != 1)}")
        try:
            hits = self._find_papers(plan, draft, [draft.statements[n].text for n in doubts])
            messages, papers = self._build_prompt(plan, draft, doubts, hits, self._model)
            reply = self._model.complete(messages, prompt="repair")
        except ModelError as error:  # the draft is there, whatever the server says
            note = f"The statements in doubt were not corrected: {error}"
            used = draft.usage + get_usage(error)
            return replace(draft, usage=used, warnings=(*draft.warnings, note))
        draft = replace(draft, usage=draft.usage + reply.usage)
        lines = _read_lines(reply.text, doubts)
        if not lines:
            note = "The statements in doubt were not corrected: the model's reply held no line."
            return replace(draft, warnings=(*draft.warnings, note))
        draft, changed = _apply_lines(draft, lines, papers, shown_numbers(history))
        draft = replace(draft, hits=(*draft.hits, *_list_new_hits(draft, hits)))
        if not changed:  # all withdrawn
            yield Verified(draft.statements, draft.checker, draft.text)
            return draft
        return (yield from self._checker.check(plan.standalone, draft, only=changed))

    def _find_papers(self, plan: Plan, draft: Draft, texts: Sequence[str]) -> list[Hit]:
        """Return the papers that are cited, those found for the doubts, and the rest."""
        ids = {c.paper.id for statement in draft.statements for c in statement.citations}
        more = self._library.retrieve(
            texts[0], k=_MORE_PAPERS, where=plan.where, queries=texts[1:5]
        ).hits
        hits = [hit for hit in draft.hits if hit.paper.id in ids]
        known = {hit.paper.id for hit in hits}
        for hit in (*more, *draft.hits):
            if hit.paper.id not in known:
                hits.append(hit)
                known.add(hit.paper.id)
        return hits

    def _build_prompt(
        self,
        plan: Plan,
        draft: Draft,
        doubts: Sequence[int],
        hits: Sequence[Hit],
        model: ChatModel,
    ) -> tuple[list[Message], list[Paper]]:
        """Return the messages, and the papers in the order of their prompt numbers.

        Raises:
            ModelReplyInvalid: no paper fits into the window.
        """
        prompt = load_prompt("repair", self._settings.prompts)
        numbers = {hit.paper.id: number for number, hit in enumerate(hits, start=1)}
        shell = prompt.fill(papers="", **_render_answer(plan, draft, doubts, numbers))
        left = model.window - model.reserve - sum(map(count_tokens, shell)) - _MARGIN_TOKENS
        blocks: list[str] = []
        papers: list[Paper] = []
        for hit in hits:
            block, cost = render_paper(hit, len(papers) + 1, left)
            if not block:
                break
            blocks.append(block)
            papers.append(hit.paper)
            left -= cost
        if not papers:
            raise ModelReplyInvalid(f"the window of {model.window} tokens is too small for it.")
        numbers = {paper.id: numbers[paper.id] for paper in papers}  # no marker without its paper
        values = _render_answer(plan, draft, doubts, numbers)
        system, user = prompt.fill(papers="\n".join(blocks), **values)
        return [Message("system", system), Message("user", user)], papers


def _find_doubts(draft: Draft) -> list[int]:
    """Return the indexes of the statements that a reader found wrong or without a source.

    A statement without a citation counts only where the reader judged others of the draft: else
    nobody said that it is a claim. A dedicated checker cannot say it.
    """
    if draft.checker is None or draft.checker.tested == "failed":
        return []
    name = draft.checker.name
    judged = any(
        each.by == name and each.verdict != "unchecked"
        for statement in draft.statements
        for each in statement.citations
    )
    wanted = IN_DOUBT if judged and not is_minicheck(name) else IN_DOUBT - {"uncited"}
    return [n for n, each in enumerate(draft.statements) if each.verdict in wanted]


def _list_new_hits(draft: Draft, found: Sequence[Hit]) -> list[Hit]:
    """Return the hits that the draft cites and did not have, ranked behind its own."""
    cited = {c.paper.id for statement in draft.statements for c in statement.citations}
    new = [hit for hit in found if hit.paper.id in cited - {each.paper.id for each in draft.hits}]
    count, least = len(draft.hits), min((hit.score for hit in draft.hits), default=0.0)
    return [
        replace(hit, rank=count + n, score=min(hit.score, least)) for n, hit in enumerate(new, 1)
    ]


def _render_answer(
    plan: Plan, draft: Draft, doubts: Sequence[int], numbers: Mapping[str, int]
) -> dict[str, str]:
    """Return the question, the answer and the doubts as the prompt has them."""
    sentences = [_render_sentence(each, numbers) for each in draft.statements]
    lines = (f"{n + 1}: {sentences[n]} ({_explain(draft.statements[n])})" for n in doubts)
    return {
        "question": neutral(plan.standalone),
        "answer": "\n".join(sentences),
        "doubts": "\n".join(lines),
    }


def _render_sentence(statement: Statement, numbers: Mapping[str, int]) -> str:
    cited = tuple(numbers[c.paper.id] for c in statement.citations if c.paper.id in numbers)
    text = _render_context(statement) + neutral(statement.text)
    return f"{text} {render_markers(cited)}".strip()


def _render_context(statement: Statement) -> str:
    """Return the row and the column of a table cell as the prompt has them."""
    return f"({neutral(statement.context)}) " if statement.context else ""


def _explain(statement: Statement) -> str:
    """Return the verdict of a statement and its reason, on one line."""
    reasons = dict.fromkeys(each.reason for each in statement.citations if each.reason)
    said = "; ".join((*reasons, *statement.warnings))
    return neutral(f"{statement.verdict}: {said}" if said else f"{statement.verdict}")


def _read_lines(text: str, doubts: Sequence[int]) -> dict[int, str]:
    """Return the new text of each statement in doubt by its index, "" where it is withdrawn."""
    lines: dict[int, str] = {}
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        index, sentence = int(match[1]) - 1, match[2].rstrip(" |\\")
        if index in doubts and has_words(sentence):
            lines.setdefault(index, "" if _WITHDRAW.fullmatch(sentence) else sentence)
    return lines


def _apply_lines(
    draft: Draft, lines: Mapping[int, str], papers: Sequence[Paper], known: Mapping[str, int]
) -> tuple[Draft, frozenset[int]]:
    """Return the draft with the new sentences, and the indexes of their statements."""
    cited = {c.paper.id: c for each in draft.statements for c in each.citations}
    numbering = Numbering({**known, **{name: each.number for name, each in cited.items()}})
    parts: dict[int, tuple[str, tuple[Statement, ...]]] = {}
    for index, line in lines.items():
        old = draft.statements[index]
        sentence = line.removeprefix(_render_context(old))
        if is_cell(draft.text, old.start):
            sentence = escape_bars(sentence)
        parts[index] = _resolve_sentence(sentence, papers, numbering, old.context)
    text, statements, changed = splice_statements(draft.text, draft.statements, parts)
    withdrawn = sum(not new for _, new in parts.values())
    were = "statement was" if withdrawn == 1 else "statements were"
    notes = [f"{withdrawn} {were} withdrawn because no paper backs them."] if withdrawn else []
    draft = replace(
        draft,
        text=text,
        statements=statements,
        removed=draft.removed + withdrawn,
        warnings=(*draft.warnings, *notes),
    )
    return draft, changed


def _resolve_sentence(
    line: str, papers: Sequence[Paper], numbering: Numbering, context: str
) -> tuple[str, tuple[Statement, ...]]:
    """Return a new sentence as readers see it, and its statements, which are claims in any form."""
    resolver = MarkerResolver(papers, numbering)
    resolver.feed(line)
    resolver.finish()
    shown = {numbering.numbers[p.id]: p for p in papers if p.id in numbering.numbers}
    sentence, found = resolve_statements(resolver.pieces, shown)
    claims: list[Statement] = []
    for each in found[:_MOST_SENTENCES]:
        verdict: Verdict = "unchecked" if each.citations else "uncited"
        claims.append(replace(each, verdict=verdict, claim=True, context=context))
    return sentence[: claims[-1].end] if claims else "", tuple(claims)
