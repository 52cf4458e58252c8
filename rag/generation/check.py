"""Check of a draft: every statement against the papers that it cites.

Text comparison always runs. Where a model wrote the answer, the same model or `check_model` then
reads the cited sentences, unless `check_with_model` is off. What it says replaces what the
comparison found. A model that failed the reader's test is not asked, and answers stay unchecked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer import Status, Verified
from rag.citations.resolve import check_statements, remove_statements
from rag.verification import VERDICTS, TextChecker
from rag.verification.reader_test import read_score
from rag.verification.verify import make_checker

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from rag.answer import AnswerEvent
    from rag.generation.draft import Draft
    from rag.llm import ChatModel
    from rag.settings import Settings
    from rag.verification import Checker


class DraftChecker:
    """Checks drafts, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model

    def check(
        self, question: str, draft: Draft, *, only: Collection[int] | None = None
    ) -> Generator[AnswerEvent, None, Draft]:
        """Yield the statements with their verdicts and return the checked draft.

        Args:
            question: that the statements answer. It tells the model what "it" stands for.
            draft: of the quotes or of the model. Lists and records need no check.
            only: indexes of the statements to check. None checks all.

        Raises:
            ModelRejected: the model refused the call.
        """
        if draft.mode == "quotes":  # the writer took them from the abstract
            yield Verified(draft.statements)
            return draft
        draft = self._compare(draft, only)
        text = draft.text if only is not None else ""  # repaired
        yield Verified(draft.statements, draft.checker, text)
        may_read = draft.checker is not None and draft.checker.tested != "failed"
        if self._model and may_read and any(each.citations for each in draft.statements):
            yield Status("Checking every statement")
            draft = self._read(question, draft, self._model, only)
            yield Verified(draft.statements, draft.checker, text)
        return draft

    def _compare(self, draft: Draft, only: Collection[int] | None) -> Draft:
        """Return the draft as text comparison sees it, with the model that is to check it."""
        score = None
        if self._model and self._settings.check_with_model:
            score = read_score(self._model, self._settings)
        text = TextChecker(score.result) if score and score.tested == "failed" else TextChecker()
        return _check(replace(draft, checker=score), text, only)

    def _read(
        self, question: str, draft: Draft, model: ChatModel, only: Collection[int] | None
    ) -> Draft:
        """Return the draft with the verdicts of a model."""
        reader = make_checker(model, self._settings.prompts, question)
        return replace(
            _check(draft, reader, only),
            usage=draft.usage + reader.usage,
            warnings=(*draft.warnings, *reader.notes),
        )


def _check(draft: Draft, checker: Checker, only: Collection[int] | None) -> Draft:
    """Return the draft with the verdicts of a checker on all statements, or on some.

    Papers of a list have a relevance, and the verdict of the model that chose them.
    """
    statements = enumerate(draft.statements)
    unlisted = [n for n, each in statements if all(c.score is None for c in each.citations)]
    chosen = unlisted if only is None else sorted(only)
    checked = check_statements([draft.statements[n] for n in chosen], checker)
    verdicts = dict(zip(chosen, checked, strict=True))
    kept = (verdicts.get(n, each) for n, each in enumerate(draft.statements))
    return replace(draft, statements=tuple(kept))


def note_unread(draft: Draft) -> Draft:
    """Return a draft with a note if the model's verdict on some statements could not be read."""
    cited = [each for each in draft.statements if each.citations]
    name = draft.checker.name if draft.checker else None
    unread = sum(
        each.verdict == "unchecked" and any(citation.by == name for citation in each.citations)
        for each in cited
    )
    if not unread:
        return draft
    of = f"{unread} of {len(cited)} statement{'s' * (len(cited) != 1)}"
    note = f"The model's check could not be read for {of}."
    return replace(draft, warnings=(*draft.warnings, note))


def remove_unsupported(draft: Draft) -> Draft:
    """Return a draft without the statements that its check found wrong."""
    wrong = [verdict for verdict, kind in VERDICTS.items() if kind.level == "bad"]
    text, statements, count = remove_statements(draft.text, draft.statements, wrong)
    were = "statement was" if count == 1 else "statements were"
    notes = [f"{count} unsupported {were} removed."] if count else []
    return replace(
        draft,
        text=text,
        statements=statements,
        removed=draft.removed + count,
        warnings=(*draft.warnings, *notes),
    )
