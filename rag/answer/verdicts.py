"""What the verdicts on some statements come to, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.citations.citation import Citation, Statement

_ORDER = (
    "supported",
    "quoted",
    "record",
    "partly",
    "unsupported",
    "contradicted",
    "uncited",
    "unchecked",
)
_WORDS = {"partly": "partly supported"}


def lists_papers(statements: Sequence[Statement]) -> bool:
    """Whether all that they claim is that papers belong in a list."""
    claims = [statement for statement in statements if statement.claim]
    return bool(claims) and all(statement.names_paper for statement in claims)


def verification_line(statements: Sequence[Statement]) -> str:
    """How the statements held, and whether their papers are still as they were."""
    claims = [s for s in statements if s.claim and (s.verdict or s.listed)]
    if not claims:
        return "No statement to verify."
    citations = [citation for statement in statements for citation in statement.citations]
    if lists_papers(statements):
        line = _of_list(sum(s.listed == "fits" for s in claims), len(claims), citations)
    else:
        counts = [(sum(s.verdict == verdict for s in claims), verdict) for verdict in _ORDER]
        first, *rest = [f"{n} {_WORDS.get(verdict, verdict)}" for n, verdict in counts if n]
        count, words = first.split(" ", 1)
        line = f"{count} of {len(claims)} statement{'s' * (len(claims) != 1)} {words}"
        line = "; ".join([line, *rest]) + "."
    lost = len({citation.number for citation in citations if citation.standing != "current"})
    if lost:
        are = "one cited paper has" if lost == 1 else f"{lost} cited papers have"
        line += f" Since then {are} changed or left the library."
    return line


def _of_list(held: int, total: int, citations: Sequence[Citation]) -> str:
    by = " and ".join(dict.fromkeys(citation.by for citation in citations))
    possible = f", {total - held} as possible" if held < total else ""
    return f"{held} listed as fitting{possible}; decided by {by}."
