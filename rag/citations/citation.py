"""The values of a cited text: a statement, and its citations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.verification import Quote, Verdict

StatementVerdict = Literal["supported", "weak", "unsupported", "uncited"]
Standing = Literal["current", "changed", "gone"]


@dataclass(frozen=True, slots=True)
class Citation:
    """One statement's pointer to one paper.

    Attributes:
        number: as readers see it, 1, 2, ... in order of first use.
        paper: the paper cited.
        quotes: the sentences of its abstract that the citation rests on.
        verdict: how well they support the statement; None where no check could tell.
        reason: why, in one clause.
        by: the check that gave the verdict.
        standing: of a saved citation, whether the library has since lost the paper ("gone") or
            the sentence that is quoted ("changed"); its verdict is that of the time it was given.
    """

    number: int
    paper: Paper
    quotes: tuple[Quote, ...]
    verdict: Verdict | None
    reason: str
    by: str
    standing: Standing = "current"

    def to_dict(self) -> dict[str, Any]:
        """The citation as plain JSON values."""
        return {
            "number": self.number,
            "paper": self.paper.id,
            "title": self.paper.title,
            "quotes": [
                {"start": quote.start, "end": quote.end, "text": quote.text}
                for quote in self.quotes
            ],
            "verdict": self.verdict,
            "reason": self.reason,
            "by": self.by,
            "standing": self.standing,
        }


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer.

    Attributes:
        text: without citation markers.
        start: offset of its first character in the answer's text.
        end: offset behind its last character there, markers included.
        citations: in order of use.
        verdict: "uncited" without a citation; None where no check could tell.
        claim: whether it says anything that needs support; a heading or "the abstracts do not
            state ..." does not.
    """

    text: str
    start: int
    end: int
    citations: tuple[Citation, ...]
    verdict: StatementVerdict | None
    claim: bool = True

    @property
    def names_paper(self) -> bool:
        """Whether it is the title of the paper that it cites, as in a list."""
        return [citation.paper.title for citation in self.citations] == [self.text]

    def to_dict(self) -> dict[str, Any]:
        """The statement as plain JSON values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "verdict": self.verdict,
            "claim": self.claim,
            "citations": [citation.to_dict() for citation in self.citations],
        }
