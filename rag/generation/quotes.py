"""Writer without a language model: the sentences that answer the question best, word for word.

Sentences compete across papers by `sentence_ranking`. The best one comes first, then the others,
paper by paper. A question that names several papers gets sentences from several papers. Where the
library seems to hold no answer, the closest sentences are shown, and the heading says so. They also
stand behind the words of a model that found no answer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from rag.answer import Text
from rag.answer.headings import (
    BEST_MATCH,
    CLOSEST,
    QUOTED_INSTEAD,
    TITLE_ONLY,
    describe_matches,
)
from rag.generation.abstention import CLOSEST_PAPERS, abstain
from rag.generation.draft import Draft, shown_numbers
from rag.generation.sentence_ranking import rank_sentences
from rag.generation.text_builder import TextBuilder
from rag.verification import Quote

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.generation.abstention import Assessment
    from rag.retrieval import Hit, Retrieval, ScoredSentence
    from rag.retrieval.roles import Roles

MARGIN = 10.0  # a sentence that is weaker than the best one by more is not shown
MOST_PER_PAPER = 2  # in an answer about several named papers


def write_quotes(
    retrieval: Retrieval,
    roles: Roles,
    history: Sequence[Turn],
    *,
    most: int,
    found: Assessment,
    explain: Callable[[Sequence[str]], str],
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the best sentences as text and return the draft.

    Args:
        retrieval: of the question.
        roles: of the sentences found.
        history: earlier turns, whose papers keep their numbers.
        most: most sentences, at least 1.
        found: whether they seem to answer the question. If not, the draft abstains.
        explain: returns why the sentences do not answer it, or "".
    """
    chosen = choose_sentences(retrieval.question, retrieval.hits, roles, most)
    if not chosen:  # papers without an abstract
        reason = "Only the titles of the papers found are known."
        return (yield from abstain(retrieval.hits, reason, found.confidence))
    reason = "" if found.answerable else explain([sentence.text for _, sentence in chosen])
    if not retrieval.hits[0].sentences:  # what was found says nothing of the others
        found, reason = replace(found, answerable=False), TITLE_ONLY
    builder = TextBuilder(shown_numbers(history))
    builder.add_paragraph(describe_matches(is_answer=found.answerable, reason=reason))
    best = BEST_MATCH if found.answerable else CLOSEST
    _add_chosen(builder, chosen, best)
    yield Text(builder.text)
    is_named = any(hit.named for hit in retrieval.hits)
    return Draft(
        builder.text,
        tuple(builder.statements),
        hits=retrieval.hits,
        status="answered" if found.answerable else "abstained",
        reason=reason,
        closest=() if found.answerable and is_named else _find_closest(retrieval.hits, chosen),
        confidence=found.confidence,
    )


def add_quotations(
    retrieval: Retrieval, roles: Roles, draft: Draft, history: Sequence[Turn], *, most: int
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the best sentences behind the text of a model that found no answer; return the draft.

    Args:
        retrieval: of the question.
        roles: of the sentences found.
        draft: an abstention of a model.
        history: earlier turns, whose papers keep their numbers.
        most: most sentences, at least 1.
    """
    chosen = choose_sentences(retrieval.question, retrieval.hits, roles, most)
    if not chosen:
        return draft
    builder = TextBuilder(shown_numbers(history))
    if draft.statements:
        builder.add_reply(draft)
    else:  # a reply without a word of its own
        builder.add_paragraph(draft.text)
    builder.add_paragraph(QUOTED_INSTEAD)
    _add_chosen(builder, chosen, CLOSEST)
    yield Text(builder.text.removeprefix(draft.text))
    return replace(
        draft,
        text=builder.text,
        statements=tuple(builder.statements),
        closest=_find_closest(retrieval.hits, chosen),
    )


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


def _add_chosen(
    builder: TextBuilder, chosen: Sequence[tuple[Hit, ScoredSentence]], label: str
) -> None:
    """Add sentences under their papers, the first one behind a label."""
    for place, (_, pairs) in enumerate(groupby(chosen, key=lambda pair: pair[0].rank)):
        hits, sentences = zip(*pairs, strict=True)
        paper = hits[0].paper
        quotes = [Quote(paper.id, each.start, each.end, each.text) for each in sentences]
        builder.add_quotes(paper, quotes, label="" if place else label)


def _find_closest(
    hits: Sequence[Hit], chosen: Sequence[tuple[Hit, ScoredSentence]]
) -> tuple[Hit, ...]:
    """Return the nearest papers that are not quoted."""
    quoted = {hit.rank for hit, _ in chosen}
    return tuple(hit for hit in hits if hit.rank not in quoted)[:CLOSEST_PAPERS]
