"""Compact form of a model's prompt: the best sentences of a few papers, each with a number.

A small model loses its way in whole abstracts. It reads a sixth of the tokens here, and the number
to cite stands right before what it cites. Several numbers name one paper. Nothing tells
it that it may refuse, because it then refuses whatever it reads. `may_answer` decides that first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rag.citations.markers import remove_markers
from rag.citations.resolve import splice_statements
from rag.citations.statements import split_statements
from rag.errors import SettingsError
from rag.generation.decision import abstention_model
from rag.generation.sentence_ranking import rank_sentences
from rag.llm import Message
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.answer import Statement
    from rag.citations.resolve import Part
    from rag.generation.abstention import Assessment
    from rag.papers import Paper
    from rag.query.plan import Plan
    from rag.retrieval import Hit, ScoredSentence
    from rag.retrieval.roles import Roles

_PAPERS = 4
_SENTENCES = 20  # of all papers together
_FEWEST_COPIED = 5  # words; a shorter sentence may be the same by chance
DOUBT = "The papers may not answer this question. Read what they say before you rely on the answer."
NOT_ASKED = "The model was not asked, because no paper seems to answer this question."
_MARGIN_TOKENS = 64  # models count a little differently


@dataclass(frozen=True, slots=True)
class FilledPrompt:
    """A prompt that fits the model's window.

    Attributes:
        messages: to send.
        papers: by prompt number, from 1.
        label: of what has the numbers.
    """

    messages: tuple[Message, ...]
    papers: tuple[Paper, ...]
    label: Literal["paper", "sentence"] = "paper"


def fill_compact(
    plan: Plan, hits: Sequence[Hit], *, roles: Roles, window: int, prompt: Prompt
) -> FilledPrompt:
    """Return the prompt. Its papers are those of the numbered sentences.

    Args:
        plan: of the question.
        hits: papers, best first.
        roles: of their sentences.
        window: tokens for the prompt.
        prompt: with the variables sentences, question.

    Raises:
        SettingsError: not a single paper fits.
    """
    question = neutral(plan.standalone)
    shell = prompt.fill(sentences="", question=question)
    left = window - sum(map(count_tokens, shell)) - _MARGIN_TOKENS
    lines: list[str] = []
    papers: list[Paper] = []
    for hit in hits:
        best = _choose_best(plan.standalone, hit, roles, _SENTENCES // len(hits))
        block = _render_sentences(hit, best, len(papers) + 1)
        left -= sum(count_tokens(line) + 1 for line in block)
        if left < 0:
            break
        lines += block
        papers += [hit.paper] * (len(block) - 1)
    if not papers:
        raise SettingsError(
            f"A window of {window} tokens has no room for a sentence beside the question. Set "
            "chat_window to what the model can read, or ask a shorter question."
        )
    system, user = prompt.fill(sentences="\n".join(lines), question=question)
    return FilledPrompt(
        (Message("system", system), Message("user", user)), tuple(papers), "sentence"
    )


def may_answer(found: Assessment) -> bool:
    """Return whether to ask a small model, which does not refuse by itself.

    It is asked from half of the fitted threshold on. Below the whole one its answer gets `DOUBT`.
    """
    least = abstention_model().threshold / 2
    return found.answerable or (found.confidence is not None and found.confidence >= least)


def choose_papers(hits: Sequence[Hit]) -> list[Hit]:
    """Return the papers that a small model reads: those that the question names, else the best."""
    return ([hit for hit in hits if hit.named] or [*hits])[:_PAPERS]


def _choose_best(question: str, hit: Hit, roles: Roles, most: int) -> list[ScoredSentence]:
    """Return the best sentences of a paper in reading order."""
    best = [sentence for _, _, sentence in rank_sentences(question, [hit], roles)][:most]
    return sorted(best, key=lambda sentence: sentence.start)


def _render_sentences(hit: Hit, sentences: Sequence[ScoredSentence], first: int) -> list[str]:
    """Return a line with the title of a paper, and one for each sentence with its number."""
    year = f" ({hit.paper.year})" if hit.paper.year else ""
    numbered = enumerate((neutral(each.text) for each in sentences), start=first)
    return [
        f"Paper: {neutral(hit.paper.title)}{year}",
        *(f"[{number}] {text}" for number, text in numbered),
    ]


def remove_copies(
    text: str, statements: Sequence[Statement], instructions: str
) -> tuple[str, tuple[Statement, ...], int]:
    """Remove what a model copied from its instructions.

    Args:
        text: of the reply, as shown.
        statements: of it.
        instructions: the system message, with its example.

    Returns:
        the text, its statements, and how many sentences were copied.
    """
    said = {each.text for each in split_statements([remove_markers(instructions)])[1]}
    copied: dict[int, Part] = {
        index: ("", ())
        for index, each in enumerate(statements)
        if len(each.text.split()) >= _FEWEST_COPIED and each.text in said
    }
    text, left, _ = splice_statements(text, statements, copied)
    return text, left, len(copied)
