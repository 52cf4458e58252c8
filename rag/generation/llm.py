"""The writer with a language model: prompt, budget, and the reply with its markers resolved.

Papers are numbered for the prompt, delimited and declared to be data; what in them could pass for a
delimiter, a marker or a speaker's tag is made harmless. The model's window is filled with whole
passages only, best paper first, after a part of it has gone to the conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.citations.markers import remove_markers
from rag.citations.resolve import MarkerResolver, Numbering
from rag.errors import SettingsError
from rag.llm.client import ChatModel, Message
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, neutral

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.answer import Turn
    from rag.llm.reply import Reply
    from rag.papers import Paper
    from rag.retrieval import Hit

HISTORY_SHARE = 0.25  # of the window, at most, goes to the conversation
_MARGIN_TOKENS = 64  # models count a little otherwise than we do


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt that fits the model.

    Attributes:
        messages: to send.
        papers: in the order of their prompt numbers, from 1.
        left_out: hits that did not fit.
    """

    messages: tuple[Message, ...]
    papers: tuple[Paper, ...]
    left_out: int


class Writing:
    """An answer as it is written: iterate it for text that can be shown.

    Attributes:
        resolver: pieces and unknown markers.
        reply: the model's reply, with usage and whether it is whole.
    """

    def __init__(self, reply: Reply, papers: Sequence[Paper], numbering: Numbering) -> None:
        self.reply = reply
        self._papers = papers
        self._numbering = numbering
        self.resolver = MarkerResolver(papers, numbering)

    def __iter__(self) -> Iterator[str]:
        chunks = iter(self.reply)
        try:
            for chunk in chunks:
                if text := self.resolver.feed(chunk):
                    yield text
        finally:
            self.reply.close()
        if text := self.resolver.finish():
            yield text
        if self.reply.restarted:  # what was shown was thought: only what stands behind counts
            self.resolver = MarkerResolver(self._papers, self._numbering)
            self.resolver.feed(self.reply.text)
            self.resolver.finish()


def write(
    question: str,
    hits: Sequence[Hit],
    history: Sequence[Turn],
    *,
    model: ChatModel,
    prompt: Prompt,
    reserve: int,
    numbering: Numbering,
) -> tuple[Writing, Filled]:
    """Asks the model; returns when its reply has begun.

    Args:
        question: understandable alone.
        hits: papers, best first.
        history: earlier turns, oldest first.
        model: asked.
        prompt: named "answer".
        reserve: tokens of the window kept for the reply.
        numbering: gives the shown numbers.

    Raises:
        SettingsError: the window is too small for a single passage.
        ModelError: the model gave no reply.
    """
    filled = fill(question, hits, history, window=model.window - reserve, prompt=prompt)
    return Writing(model.reply(filled.messages), filled.papers, numbering), filled


def fill(
    question: str, hits: Sequence[Hit], history: Sequence[Turn], *, window: int, prompt: Prompt
) -> Filled:
    """The prompt with as many papers as fit.

    Args:
        question: of the reader.
        hits: papers, best first.
        history: earlier turns, oldest first; the newest ones are kept.
        window: tokens for the prompt.
        prompt: with the variables papers, question, conversation.

    Raises:
        SettingsError: not a single passage fits.
    """
    conversation = conversation_block(history, int(window * HISTORY_SHARE))
    shell = prompt.fill(papers="", question=neutral(question), conversation=conversation)
    left = window - sum(map(count_tokens, shell)) - _MARGIN_TOKENS
    blocks: list[str] = []
    papers: list[Paper] = []
    for hit in hits:
        block, cost = _paper_block(hit, len(papers) + 1, left)
        if block:
            blocks.append(block)
            papers.append(hit.paper)
            left -= cost
    if not papers:
        raise SettingsError(
            f"A window of {window} tokens holds no passage beside the question; set chat_window to "
            "what the model can read, or ask a shorter question."
        )
    system, user = prompt.fill(
        papers="\n".join(blocks), question=neutral(question), conversation=conversation
    )
    messages = (Message("system", system), Message("user", user))
    return Filled(messages, tuple(papers), len(hits) - len(papers))


def conversation_block(history: Sequence[Turn], budget: int) -> str:
    """The newest turns that fit, oldest first, without markers; "" without any."""
    turns: list[str] = []
    for turn in reversed(history):
        asked, said = neutral(turn.question), neutral(remove_markers(turn.answer.text))
        text = f"Reader: {asked}\nAnswer: {said}"
        budget -= count_tokens(text) + 2
        if budget < 0:
            break
        turns.insert(0, text)
    return "<conversation>\n" + "\n".join(turns) + "\n</conversation>\n" if turns else ""


def _paper_block(hit: Hit, number: int, budget: int) -> tuple[str, int]:
    """One paper as the prompt shows it, with the best passages that fit; "" where none does."""
    head = f'<paper number="{number}">\nTitle: {neutral(hit.paper.title)}\nAbstract: '
    cost = count_tokens(head) + 6
    chosen = []
    for passage in hit.passages:
        tokens = count_tokens(neutral(passage.text))
        if cost + tokens <= budget:
            chosen.append(passage)
            cost += tokens
    if not chosen:
        return "", 0
    chosen.sort(key=lambda passage: passage.start)
    whole = len(chosen) == len(hit.passages)
    text = hit.paper.abstract if whole else " ... ".join(passage.text for passage in chosen)
    return f"{head}{neutral(text)}\n</paper>", cost
