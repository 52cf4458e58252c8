"""From what was found to an answer: which writer, what is checked, when to abstain.

The assistant hands over a question and its retrieval; what comes back is a stream of events whose
last one holds the whole answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag.answer import Answer, AnswerEvent, Statement, Status, Text, Verified
from rag.citations.resolve import (
    Numbering,
    checked_statements,
    cite,
    joined,
    shown,
    without_unsupported,
)
from rag.errors import ModelError, ModelRejected
from rag.generation.abstention import judge
from rag.generation.llm import Writing, write
from rag.generation.quotes import choose_sentences
from rag.llm import ChatModel, make_chat_model
from rag.llm.cost import compute_cost
from rag.llm.reply import NO_USAGE
from rag.prompts import load_prompt
from rag.verification.reader import ReaderChecker

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from llama_index.core.llms import LLM

    from rag.answer import Turn
    from rag.index import Filter
    from rag.llm.reply import Usage
    from rag.papers import Paper
    from rag.retrieval import Retrieval
    from rag.settings import Settings
    from rag.verification import Checker, Claim, Verification

PROMPTS = ("answer", "condense_question", "verify", "select_papers", "suggest_questions")
CLOSEST_PAPERS = 3  # that an abstention shows


def checked_chat_model(settings: Settings, llm: LLM | None) -> ChatModel | None:
    """The model, after the files that its answers need were read once: a bad one costs no call."""
    model = (
        make_chat_model(settings) if llm is None else ChatModel(llm, window=settings.chat_window)
    )
    if model:
        for name in PROMPTS:
            load_prompt(name, settings.prompts)
    if settings.prices:
        compute_cost(NO_USAGE, "", settings.prices)
    return model


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way to an answer.

    Attributes:
        question: as the reader put it.
        text: as it was searched for.
        history: earlier turns, oldest first.
        usage: spent so far.
        warnings: so far.
        where: the papers that it is asked of; None for all.
        refused: why it cannot be answered; empty where it can.
    """

    question: str
    text: str
    history: tuple[Turn, ...] = ()
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    where: Filter | None = None
    refused: str = ""


class Answerer:
    """Writes answers, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None, offline: Checker) -> None:
        """Wires the writer and the checks."""
        self._settings = settings
        self._model = model
        self._offline = offline

    def answer(self, asked: Asked, retrieval: Retrieval) -> Generator[AnswerEvent, None, Answer]:
        """Events as the answer is written; returns the answer."""
        judgement = judge(
            retrieval, least=self._settings.confidence, with_model=self._model is not None
        )
        base = Answer(
            question=asked.question,
            asked=asked.text,
            text="",
            statements=(),
            hits=retrieval.hits,
            status="abstained",
            mode="model" if self._model else "extractive",
            model=self._model.name if self._model else None,
            reason=judgement.reason,
            confidence=judgement.confidence,
            scope=str(asked.where or ""),
            usage=asked.usage,
            warnings=(*asked.warnings, *retrieval.notes),
        )
        if not judgement.answerable:
            text = f"The library does not seem to hold an answer: {judgement.reason}"
            yield Text(text)
            return replace(base, text=text, closest=retrieval.hits[:CLOSEST_PAPERS])
        if self._model is None:
            return (yield from self._extractive(asked, base, retrieval))
        try:
            return (yield from self._with_model(asked, base, self._model))
        except ModelRejected:
            raise
        except ModelError as error:
            warning = f"{error} These are verbatim sentences instead."
            fallen = replace(
                base, mode="extractive", model=None, warnings=(*base.warnings, warning)
            )
            yield Status("The model did not answer; choosing verbatim sentences instead")
            return (yield from self._extractive(asked, fallen, retrieval))

    def refuse(self, asked: Asked) -> Generator[AnswerEvent, None, Answer]:
        """An abstention from a question that asks for nothing but what cannot be done."""
        text = f"The library does not seem to hold an answer: {asked.refused}"
        yield Text(text)
        return Answer(
            question=asked.question,
            asked=asked.text,
            text=text,
            statements=(),
            hits=(),
            status="abstained",
            mode="extractive",
            reason=asked.refused,
            scope=str(asked.where or ""),
            usage=asked.usage,
            warnings=asked.warnings,
        )

    def _extractive(
        self, asked: Asked, base: Answer, retrieval: Retrieval
    ) -> Generator[AnswerEvent, None, Answer]:
        statements: list[Statement] = []
        follows = asked.text != asked.question.strip()
        seen = frozenset(s.text for turn in asked.history for s in turn.answer.statements)
        drafts = choose_sentences(
            retrieval, self._settings.sentences, seen=seen if follows else frozenset()
        )
        for statement in cite(drafts, Numbering(shown_numbers(asked.history))):
            space = " " if statements else ""
            statements.append(statement)
            yield Text(space + shown(statement.text, statement.citations))
        if not statements:  # papers without an abstract
            reason = "only the titles of the papers that were found are known."
            text = f"The library does not seem to hold an answer: {reason}"
            yield Text(text)
            return replace(base, text=text, reason=reason, closest=base.hits[:CLOSEST_PAPERS])
        found = tuple(statements)
        yield Verified(found)
        return replace(base, text=joined(found), statements=found, status="answered", reason="")

    def _with_model(
        self, asked: Asked, base: Answer, model: ChatModel
    ) -> Generator[AnswerEvent, None, Answer]:
        yield Status(f"Writing with {model.name}")
        numbering = Numbering(shown_numbers(asked.history))
        writing, filled = write(
            asked.text,
            base.hits,
            asked.history,
            model=model,
            prompt=load_prompt("answer", self._settings.prompts),
            reserve=self._settings.chat_reserve,
            numbering=numbering,
        )
        for text in writing:
            yield Text(text)
        notes = _notes(writing, filled.left_out)
        by_number = {
            numbering.of(paper): paper for paper in _cited(writing, filled.papers, numbering)
        }
        yield Status("Checking every statement")
        offline = _Remembering(self._offline)
        text, statements = checked_statements(writing.resolver.pieces, by_number, offline)
        usage = base.usage + writing.reply.usage
        if self._settings.check_with_model and any(s.citations for s in statements):
            yield Verified(statements)
            prompt = load_prompt("verify", self._settings.prompts)
            checker = ReaderChecker(model, prompt, offline, asked.text)
            text, statements = checked_statements(writing.resolver.pieces, by_number, checker)
            usage += checker.usage
            notes += checker.notes
        if self._settings.unsupported == "remove":
            text, statements, count = without_unsupported(text, statements)
            notes += [f"{count} unsupported statements were taken out."] if count else []
        text, statements = _trimmed(text, statements)
        yield Verified(statements)
        answer = replace(
            base,
            text=text,
            statements=statements,
            status="answered",
            reason="",
            usage=usage,
            warnings=(*base.warnings, *notes),
        )
        return _finished(answer, writing.reply.broken)


class _Remembering:
    """A checker that checks the same claims once."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._found: dict[tuple[str, ...], Verification] = {}

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        keys = [(claim.statement, *(paper.id for paper in claim.papers)) for claim in claims]
        new = {k: c for k, c in zip(keys, claims, strict=True) if k not in self._found}
        self._found.update(zip(new, self._checker.check(list(new.values())), strict=True))
        return [self._found[key] for key in keys]


def shown_numbers(history: Sequence[Turn]) -> dict[str, int]:
    """Paper id -> the number that readers of a conversation know it by."""
    return {p.id: number for turn in history for number, p in turn.answer.sources.items()}


def _cited(writing: Writing, papers: Sequence[Paper], numbering: Numbering) -> list[Paper]:
    used = {n for piece in writing.resolver.pieces if not isinstance(piece, str) for n in piece}
    known: Mapping[str, int] = numbering.numbers
    return [paper for paper in papers if known.get(paper.id) in used]


def _trimmed(text: str, statements: Sequence[Statement]) -> tuple[str, tuple[Statement, ...]]:
    """A text without blanks around it, and its statements where they stand then."""
    blanks = len(text) - len(text.lstrip())
    moved = (replace(s, start=s.start - blanks, end=s.end - blanks) for s in statements)
    return text.strip(), tuple(moved)


def _notes(writing: Writing, left_out: int) -> list[str]:
    notes = []
    if writing.resolver.unknown:
        unknown = ", ".join(dict.fromkeys(writing.resolver.unknown))
        notes.append(f"The model cited {unknown}, which no paper has; the markers were left out.")
    if left_out:
        notes.append(f"{left_out} of the papers found did not fit into the model's window.")
    return notes


def _finished(answer: Answer, broken: str) -> Answer:
    """The answer with its status: incomplete, an abstention of the model, or answered."""
    statements = answer.statements
    if broken:
        return replace(answer, status="incomplete", reason=broken)
    if not any(letter.isalnum() for letter in answer.text):
        return _emptied(answer)
    if any(statement.citations for statement in statements):
        return answer
    if any(statement.claim for statement in statements):
        note = "The model cited no paper, so nothing in this answer could be checked."
        return replace(answer, warnings=(*answer.warnings, note))
    return replace(
        answer,
        status="abstained",
        reason="the model found no answer in the papers it was given.",
        closest=answer.hits[:CLOSEST_PAPERS],
    )


def _emptied(answer: Answer) -> Answer:
    """An answer of which nothing is left to show: every statement was taken out, or none came."""
    taken_out = any("taken out" in warning for warning in answer.warnings)
    reason = (
        "nothing that the model wrote is supported by the papers it cited."
        if taken_out
        else "the model's reply holds no statement."
    )
    return replace(
        answer,
        text=f"There is no answer that can be shown: {reason}",
        status="abstained",
        reason=reason,
        closest=answer.hits[:CLOSEST_PAPERS],
    )
