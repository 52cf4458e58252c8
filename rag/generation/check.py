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
    from collections.abc import Generator

    from rag.answer import AnswerEvent
    from rag.generation.draft import Draft
    from rag.llm import ChatModel
    from rag.settings import Settings


class DraftChecker:
    """Checks drafts, with a language model where there is one."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model

    def check(self, question: str, draft: Draft) -> Generator[AnswerEvent, None, Draft]:
        """Yield the statements with their verdicts and return the checked draft.

        Args:
            question: that the statements answer. It tells the model what "it" stands for.
            draft: of the quotes or of the model. Lists and records need no check.

        Raises:
            ModelRejected: the model refused the call.
        """
        if draft.mode == "quotes":  # the writer took them from the abstract
            yield Verified(draft.statements)
            return draft
        model = self._model if self._settings.check_with_model else None
        score = read_score(model, self._settings) if model else None
        text = TextChecker(score.result) if score and score.tested == "failed" else TextChecker()
        draft = replace(draft, statements=check_statements(draft.statements, text), checker=score)
        yield Verified(draft.statements, score)
        cites = any(statement.citations for statement in draft.statements)
        if model and score and score.tested != "failed" and cites:
            yield Status("Checking every statement")
            reader = make_checker(model, self._settings.prompts, question)
            draft = replace(
                draft,
                statements=check_statements(draft.statements, reader),
                usage=draft.usage + reader.usage,
                warnings=(*draft.warnings, *reader.notes),
            )
            yield Verified(draft.statements, score)
        if self._settings.unsupported == "remove":
            draft = _remove_unsupported(draft)
            yield Verified(draft.statements, score)
        return draft


def _remove_unsupported(draft: Draft) -> Draft:
    wrong = [verdict for verdict, kind in VERDICTS.items() if kind.level == "bad"]
    text, statements, count = remove_statements(draft.text, draft.statements, wrong)
    were = "statement was" if count == 1 else "statements were"
    notes = [f"{count} unsupported {were} removed."] if count else []
    return replace(draft, text=text, statements=statements, warnings=(*draft.warnings, *notes))
