"""Split abstracts into passages, the units that are embedded and searched.

A passage is a run of whole sentences of one abstract. Most abstracts are one passage. A long one
becomes several that share a sentence, so that no embedder cuts off text. Quotes use the same
offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.llm.tokens import count_tokens
from rag.papers import require_papers
from rag.text.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive whole sentences of one abstract.

    Attributes:
        paper_id: id of the paper.
        number: 0, 1, ... in the order of the abstract.
        start: offset of its first character in the abstract.
        end: offset after its last character; `abstract[start:end] == text`.
        text: the sentences; empty only for a paper without an abstract.
        sentences: spans of its sentences, as offsets into the abstract.
    """

    paper_id: str
    number: int
    start: int
    end: int
    text: str
    sentences: tuple[Span, ...]


def split_paper(
    paper: Paper, *, budget_tokens: int = 400, overlap_sentences: int = 1
) -> tuple[Passage, ...]:
    """Pack the sentences of an abstract into passages.

    Args:
        paper: an empty abstract gives one passage with empty text.
        budget_tokens: most tokens (o200k_base) of a passage. A longer sentence is a passage of its
            own, never cut.
        overlap_sentences: sentences that a passage repeats from the one before; fewer if they would
            leave no room for a new sentence.

    Returns:
        at least one passage; together they cover every sentence.
    """
    (paper,) = require_papers([paper])
    spans = sentence_spans(paper.abstract)
    if not spans:
        return (Passage(paper.id, 0, 0, 0, "", ()),)
    costs = [count_tokens(paper.abstract[start:end]) for start, end in spans]
    runs = _pack(costs, budget_tokens, overlap_sentences)
    return tuple(
        _make_passage(paper, number, spans[first:last]) for number, (first, last) in enumerate(runs)
    )


def make_embedder_text(title: str, passage_text: str) -> str:
    """Join title and passage into the text that the embedder reads."""
    return f"{title}\n{passage_text}" if passage_text else title


def _make_passage(paper: Paper, number: int, spans: Sequence[Span]) -> Passage:
    start, end = spans[0][0], spans[-1][1]
    return Passage(paper.id, number, start, end, paper.abstract[start:end], tuple(spans))


def _pack(costs: Sequence[int], budget: int, overlap: int) -> list[Span]:
    """Return runs [first, last) of sentence numbers, within the budget or of one sentence."""
    runs: list[Span] = []
    first = last = 0
    while last < len(costs):
        total = sum(costs[first:last])
        end = last
        while end < len(costs) and (end == first or total + costs[end] <= budget):
            total += costs[end]
            end += 1
        if end == last:  # the overlap leaves no room for a new sentence: drop its oldest one
            first += 1
            continue
        runs.append((first, end))
        first, last = max(end - overlap, first + 1), end
    return runs
