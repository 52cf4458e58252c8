"""Does this abstract support this statement?

Every citation of an answer passes through here before a reader sees it. So far one check exists:
is the statement, word for word, in the abstract? It is certain where it says yes, and where it says
no it gives no verdict at all: "not verified" is not "unsupported".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

Verdict = Literal["supported", "weak", "unsupported"]


@dataclass(frozen=True, slots=True)
class Quote:
    """Where an abstract says it.

    Attributes:
        paper_id: whose abstract.
        start: offset in the abstract.
        end: offset behind the last character.
        text: `abstract[start:end]`, verbatim.
    """

    paper_id: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found.

    Attributes:
        verdict: None where no check could tell.
        quotes: the sentences it rests on; empty without support.
        reason: one clause for the reader.
        by: the check that gave the verdict.
    """

    verdict: Verdict | None
    quotes: tuple[Quote, ...]
    reason: str
    by: str


def verify(statement: str, papers: Sequence[Paper]) -> Verification:
    """Checks one statement against the abstracts it cites.

    Args:
        statement: one sentence, without citation markers.
        papers: those it cites; without any, nothing can be verified.
    """
    wanted = statement.strip()
    quotes = tuple(
        Quote(paper.id, start, start + len(wanted), wanted)
        for paper in papers
        if wanted and (start := paper.abstract.find(wanted)) >= 0
    )
    if quotes:
        return Verification("supported", quotes, "verbatim in the abstract", "verbatim")
    return Verification(None, (), "not a verbatim sentence; not verified", "verbatim")
