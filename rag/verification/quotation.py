"""The values of a check: verdict, quotes, reason, and who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

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
        quotes: the one to three sentences it was checked against, nearest abstracts first.
        reason: one clause for the reader.
        by: the check that gave the verdict: "verbatim", "offline", or a model's name.
        likelihood: of support, in [0, 1], where a check has a figure for it.
        contradicted: whether an unsupported statement is known to say the opposite.
    """

    verdict: Verdict | None
    quotes: tuple[Quote, ...]
    reason: str
    by: str
    likelihood: float | None = None
    contradicted: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, without citation markers, and the papers it is said to rest on."""

    statement: str
    papers: tuple[Paper, ...]


class Verifier(Protocol):
    """Anything that checks claims."""

    def verify(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order."""
        ...


def verbatim(claim: Claim) -> Verification | None:
    """The certain case: the statement stands word for word in a cited abstract."""
    wanted = claim.statement.strip()
    quotes = tuple(
        Quote(paper.id, start, start + len(wanted), wanted)
        for paper in claim.papers
        if wanted and (start := paper.abstract.find(wanted)) >= 0
    )
    if not quotes:
        return None
    return Verification("supported", quotes, "word for word", "verbatim", 1.0)
