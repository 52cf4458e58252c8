"""From sentences with the papers they rest on to statements with checked, numbered citations.

Numbers are given in order of first use; each citation is verified before anyone sees it. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.answer import Citation, Statement
from rag.verification import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence as a writer made it, and the papers it says it rests on."""

    text: str
    papers: tuple[Paper, ...]


def cite(drafts: Iterable[Draft]) -> Iterator[Statement]:
    """Numbers and verifies drafts one by one; offsets are those of `joined` text.

    Yields:
        statements in order; each text is followed by its markers, statements by a space.
    """
    numbers: dict[str, int] = {}
    position = 0
    for draft in drafts:
        citations = []
        for paper in draft.papers:
            number = numbers.setdefault(paper.id, len(numbers) + 1)
            found = verify(draft.text, [paper])
            citations.append(
                Citation(number, paper, found.quotes, found.verdict, found.reason, found.by)
            )
        together = verify(draft.text, draft.papers)
        length = len(shown(draft.text, citations))
        yield Statement(
            draft.text,
            position,
            position + length,
            tuple(citations),
            together.verdict if citations else "uncited",
        )
        position += length + 1


def joined(statements: Iterable[Statement]) -> str:
    """The text of an answer: statements with their markers, separated by spaces."""
    return " ".join(shown(statement.text, statement.citations) for statement in statements)


def shown(text: str, citations: Iterable[Citation]) -> str:
    """A statement as readers see it.

    >>> shown("It works.", [])
    'It works.'
    """
    markers = "".join(f"[{citation.number}]" for citation in citations)
    return f"{text} {markers}" if markers else text
