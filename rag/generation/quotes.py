"""Writer without a language model: the sentences that meet the question best, word for word.

Sentences compete across papers: how well the sentence meets the question, how well its paper does,
and how much of the question's rarer words it holds. The best few are shown paper by paper, best
paper first, in the order of each abstract. A question that names several papers gets sentences
from several papers.

The weights were chosen on the development questions: `evidence_shown` of `rag eval run` says how
often a sentence with the evidence is shown.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rag.answer import Citation, Statement, Text
from rag.citations.resolve import Numbering, render_statement
from rag.generation.abstention import abstain
from rag.generation.draft import Draft, shown_numbers
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.retrieval import Hit, Retrieval, ScoredSentence

PAPER_WEIGHT = 0.06  # for each unit that the paper's fused score lies below the best paper's
WORD_WEIGHT = 0.1  # for the share of the question's idf that the sentence's words carry
MARGIN = 0.25  # weaker sentences than the best one by more are not shown
FEWEST = 2
_REASON = "a sentence of the abstract"  # the index keeps where each sentence stands
MOST_PER_PAPER = 2  # in an answer about several named papers


def write_quotes(
    retrieval: Retrieval, history: Sequence[Turn], *, most: int, confidence: float | None
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the best sentences as text and return the draft.

    Args:
        retrieval: of the question.
        history: earlier turns, whose papers keep their numbers.
        most: most sentences, at least 1.
        confidence: that the library holds an answer, in [0, 1].
    """
    numbering = Numbering(shown_numbers(history))
    text, statements = "", []
    for hit, sentence in choose_sentences(retrieval.hits, most):
        quote = Quote(hit.paper.id, sentence.start, sentence.end, sentence.text)
        citation = Citation(
            numbering.assign(hit.paper), hit.paper, (quote,), "quoted", _REASON, "text"
        )
        shown = render_statement(sentence.text, (citation,))
        space = " " if text else ""
        start = len(text) + len(space)
        yield Text(space + shown)
        text += space + shown
        statements.append(Statement(sentence.text, start, len(text), (citation,), "quoted"))
    if not statements:  # papers without an abstract
        reason = "only the titles of the papers found are known."
        return (yield from abstain(retrieval.hits, reason, confidence))
    return Draft(text, tuple(statements), hits=retrieval.hits, confidence=confidence)


def choose_sentences(hits: Sequence[Hit], most: int) -> list[tuple[Hit, ScoredSentence]]:
    """Return the sentences to show with their papers, in reading order.

    Args:
        hits: papers found, best first.
        most: most sentences, at least 1. Fewer are shown where the rest is much weaker.
    """
    per_paper = MOST_PER_PAPER if sum(hit.named for hit in hits) > 1 else most
    chosen: list[tuple[float, Hit, ScoredSentence]] = []
    counts: Counter[int] = Counter()
    for score, hit, sentence in _rank_sentences(hits):
        if len(chosen) == most or (
            len(chosen) >= FEWEST and score < chosen[0][0] - MARGIN and not hit.named
        ):
            break
        if counts[hit.rank] < per_paper:
            counts[hit.rank] += 1
            chosen.append((score, hit, sentence))
    chosen.sort(key=lambda item: (item[1].rank, item[2].start))
    return [(hit, sentence) for _, hit, sentence in chosen]


def _rank_sentences(hits: Sequence[Hit]) -> list[tuple[float, Hit, ScoredSentence]]:
    """Return every sentence of the hits with its score, best first, ties in the order of hits."""
    named = any(hit.named for hit in hits)
    scored = [
        (
            sentence.score
            + PAPER_WEIGHT * min(0.0, hit.score - hits[0].score) * (not hit.named)
            + WORD_WEIGHT * sentence.words,
            hit,
            sentence,
        )
        for hit in hits
        if hit.named or not named
        for sentence in hit.sentences
    ]
    return sorted(scored, key=lambda item: (-item[0], item[1].rank, item[2].start))
