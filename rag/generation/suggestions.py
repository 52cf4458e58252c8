"""Next questions that the papers at hand can answer, proposed by the language model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.citations.markers import remove_markers
from rag.llm.client import ChatModel, Message
from rag.prompts import Prompt, neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.answer import Answer
    from rag.retrieval import Hit

_MOST_PAPERS = 3  # shown to the model
_MOST_QUESTIONS = 3
_LONGEST = 400  # characters of one question
_LIST_SIGN = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def suggest_questions(
    answer: Answer, hits: Sequence[Hit], model: ChatModel, prompt: Prompt
) -> list[str]:
    """Return up to three next questions that the model proposes.

    Args:
        answer: the last one.
        hits: its cited papers, best first.
        model: asked once.
        prompt: named "suggest_questions".

    Raises:
        ModelError: the model gave no reply.
    """
    papers = "\n".join(
        f'<paper number="{n}">\nTitle: {neutral(hit.paper.title)}\n'
        f"Abstract: {neutral(hit.paper.abstract)}\n</paper>"
        for n, hit in enumerate(hits[:_MOST_PAPERS], start=1)
    )
    system, user = prompt.fill(
        question=neutral(answer.asked), answer=neutral(remove_markers(answer.text)), papers=papers
    )
    reply = model.complete([Message("system", system), Message("user", user)])
    lines = [_LIST_SIGN.sub("", line).strip() for line in reply.text.splitlines()]
    return [line for line in lines if line.endswith("?") and len(line) <= _LONGEST][
        :_MOST_QUESTIONS
    ]
