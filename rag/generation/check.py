"""Check of a draft: every statement against the papers that it cites.

Text comparison always runs. Where a model wrote the answer, the same model then reads the cited
sentences, unless `check_with_model` is off. What it says replaces what the comparison found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer import Status, Verified
from rag.citations.resolve import check_statements, remove_statements
from rag.prompts import load_prompt
from rag.verification import VERDICTS, TextChecker
from rag.verification.reader import ReaderChecker

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
        draft = replace(draft, statements=check_statements(draft.statements, TextChecker()))
        yield Verified(draft.statements)
        cites = any(statement.citations for statement in draft.statements)
        if draft.mode == "model" and self._model and self._settings.check_with_model and cites:
            yield Status("Checking every statement")
            prompt = load_prompt("verify", self._settings.prompts)
            reader = ReaderChecker(self._model, prompt, question)
            draft = replace(
                draft,
                statements=check_statements(draft.statements, reader),
                usage=draft.usage + reader.usage,
                warnings=(*draft.warnings, *reader.notes),
            )
            yield Verified(draft.statements)
        if draft.mode == "model" and self._settings.unsupported == "remove":
            draft = _remove_unsupported(draft)
            yield Verified(draft.statements)
        return draft


def _remove_unsupported(draft: Draft) -> Draft:
    wrong = [verdict for verdict, kind in VERDICTS.items() if kind.level == "bad"]
    text, statements, count = remove_statements(draft.text, draft.statements, wrong)
    were = "statement was" if count == 1 else "statements were"
    notes = [f"{count} unsupported {were} removed."] if count else []
    return replace(draft, text=text, statements=statements, warnings=(*draft.warnings, *notes))
