"""One line that sums up the verdicts of an answer, and names who gave them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rag.verification import VERDICTS
from rag.verification.verdict import READER_VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.citations.citation import Citation, Statement
    from rag.verification import ReaderScore

_WORDS = {"partly": "partly supported"}


def summarize_verdicts(
    statements: Sequence[Statement], *, writer: str | None, checker: ReaderScore | None
) -> str:
    """Return how the statements hold, who checked them, and whether papers have changed since.

    Args:
        statements: of an answer. Without a claim there is nothing to sum up.
        writer: model that wrote the answer, None for quotes.
        checker: model that checked it, if one did.
    """
    claims = [s for s in statements if s.claim and (s.verdict or s.listed)]
    if not claims:
        return "No statement to check."
    citations = [citation for statement in statements for citation in statement.citations]
    readers = _name_readers(claims)
    described = _describe_claims(claims, readers, writer)
    is_told = checker and (readers or checker.tested == "failed")
    tested = f" ({checker.result})" if checker and is_told else ""
    return f"{described}{tested}.{_describe_losses(citations)}"


def _describe_claims(claims: Sequence[Statement], readers: str, writer: str | None) -> str:
    if claims[0].listed:
        return f"{_count_entries(claims)}; decided by {readers or 'relevance'}"
    if claims[0].verdict == "record":
        return f"{len(claims)} read from the records"
    counted = _count_verdicts(claims, "statement" if writer else "sentence")
    by = "the model that wrote it" if readers == writer else readers
    return f"{counted}; checked by {by}" if readers else counted


def _name_readers(claims: Sequence[Statement]) -> str:
    """Return who decided. A reader whose reply was of no use decided nothing."""
    by_reader = [
        citation.by
        for claim in claims
        for citation in claim.citations
        if citation.verdict and citation.by not in ("text", "record")
        if claim.listed or {claim.verdict, citation.verdict}.intersection(READER_VERDICTS)
    ]
    return " and ".join(dict.fromkeys(by_reader))


def _count_entries(entries: Sequence[Statement]) -> str:
    fitting = sum(entry.listed == "fits" for entry in entries)
    possible = len(entries) - fitting
    return f"{fitting} listed as fitting" + (f", {possible} as possible" if possible else "")


def _count_verdicts(claims: Sequence[Statement], noun: str) -> str:
    counts = Counter(claim.verdict for claim in claims)
    said = [(counts[verdict], _WORDS.get(verdict, verdict)) for verdict in VERDICTS]
    (count, words), *rest = [each for each in said if each[0]]
    first = f"{count} of {len(claims)} {noun}{'s' * (len(claims) != 1)} {words}"
    return "; ".join([first, *(f"{number} {word}" for number, word in rest)])


def _describe_losses(citations: Sequence[Citation]) -> str:
    lost = len({citation.number for citation in citations if citation.standing != "current"})
    if not lost:
        return ""
    papers = "one cited paper has" if lost == 1 else f"{lost} cited papers have"
    return f" Since then {papers} changed or left the library."
