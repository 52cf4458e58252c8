"""The check of one statement, for programmers, and the choice of the checker for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.papers import require_papers
from rag.verification.quotation import Claim, TextChecker, Verification

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llama_index.core.llms import LLM

    from rag.llm import ChatModel
    from rag.papers import Paper
    from rag.verification.minicheck import MiniChecker
    from rag.verification.reader import ReaderChecker


def verify(
    statement: str, papers: Sequence[Paper], *, llm: LLM | ChatModel | None = None
) -> Verification:
    """Check one statement against the abstracts it cites, taken together.

    Args:
        statement: one sentence, without citation markers.
        papers: those it cites. Without any, the statement stays "unchecked".
        llm: reads the statement and the abstracts: any LlamaIndex model, or a `ChatModel`. Without
            one, text comparison finds out whether the statement is "quoted".

    Raises:
        SettingsError: an argument has another type.
    """
    if not isinstance(statement, str):
        raise SettingsError(f"statement takes a text, not {type(statement).__name__}.")
    claim = Claim(statement, tuple(require_papers(papers)))
    if llm is None:
        return TextChecker().check([claim])[0]
    from rag.llm import ChatModel, adapt_llm

    model = llm if isinstance(llm, ChatModel) else adapt_llm(llm)
    return make_checker(model).check([claim])[0]


def make_checker(
    model: ChatModel, prompts: Path | None = None, question: str = ""
) -> ReaderChecker | MiniChecker:
    """Return the checker that asks a model.

    Args:
        model: reads.
        prompts: folder with prompt files that replace bundled ones.
        question: that the statements answer. It explains what "it" or "yes" stands for.
    """
    from rag.llm import is_minicheck
    from rag.prompts import load_prompt
    from rag.verification.minicheck import MiniChecker
    from rag.verification.reader import ReaderChecker

    if is_minicheck(model.name):
        return MiniChecker(model)
    return ReaderChecker(model, load_prompt("verify", prompts), question)
