"""Writer without a language model: the sentences that answer the question best, word for word.

Sentences compete across papers by `sentence_ranking`. The best one comes first, then the others,
paper by paper. A question that names several papers gets sentences from several papers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.answer import Citation, Statement, Text
from rag.citations.resolve import Numbering, render_statement
from rag.generation.abstention import abstain
from rag.generation.draft import Draft, shown_numbers
from rag.generation.sentence_ranking import rank_sentences
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.retrieval import Hit, Retrieval, ScoredSentence
    from rag.retrieval.roles import Roles

_REASON = "a sentence of the abstract"  # the index keeps where each sentence stands
MARGIN = 4.0  # a sentence that is weaker than the best one by more is not shown
MOST_PER_PAPER = 2  # in an answer about several named papers


def write_quotes(
    retrieval: Retrieval,
    roles: Roles,
    history: Sequence[Turn],
    *,
    most: int,
    confidence: float | None,
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the best sentences as text and return the draft.

    Args:
        retrieval: of the question.
        roles: of the sentences found.
        history: earlier turns, whose papers keep their numbers.
        most: most sentences, at least 1.
        confidence: that the library holds an answer, in [0, 1].
    """
    numbering = Numbering(shown_numbers(history))
    text, statements = "", []
    for hit, sentence in choose_sentences(retrieval.question, retrieval.hits, roles, most):
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


def choose_sentences(
    question: str, hits: Sequence[Hit], roles: Roles, most: int
) -> list[tuple[Hit, ScoredSentence]]:
    """Return the sentences to show with their papers: the best one, and the rest paper by paper.

    Args:
        question: that was searched for.
        hits: papers found, best first. If the question names some, only these are quoted.
        roles: of their sentences.
        most: most sentences, at least 1.
    """
    named = [hit for hit in hits if hit.named]
    per_paper = MOST_PER_PAPER if len(named) > 1 else most
    ranked = rank_sentences(question, named or hits, roles)
    chosen: dict[int, list[tuple[Hit, ScoredSentence]]] = {}
    left = most
    for score, hit, sentence in ranked:
        of_paper = chosen.setdefault(hit.rank, [])
        is_close = hit.named or score >= ranked[0][0] - MARGIN
        if left and len(of_paper) < per_paper and is_close:
            of_paper.append((hit, sentence))
            left -= 1
    return [pair for pairs in chosen.values() for pair in pairs]
