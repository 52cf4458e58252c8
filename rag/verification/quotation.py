"""The values of a check: a verdict, its quotes, the reason, and who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

Verdict = Literal[
    "quoted",
    "supported",
    "partly",
    "unsupported",
    "contradicted",
    "record",
    "unchecked",
    "uncited",
]


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
    """One statement's verdict.

    Attributes:
        verdict: "unchecked" where no check could decide.
        quotes: the one to three sentences that the statement was checked against.
        reason: one clause for the reader.
        warnings: such as "figure not found: 14.2".
        by: who gave the verdict: "text", or the name of a model.
        likelihood: of support, in [0, 1], where a check has one.
    """

    verdict: Verdict
    quotes: tuple[Quote, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()
    by: str = "text"
    likelihood: float | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, without citation markers, and the papers it is said to rest on."""

    statement: str
    papers: tuple[Paper, ...]


class Checker(Protocol):
    """Checks claims against the abstracts of their papers."""

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return one verification for each claim, in order."""
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
    return Verification("quoted", quotes, "word for word", likelihood=1.0)
