"""Does this abstract support this statement?

Every citation of an answer passes through here before a reader sees it. Three checks stand behind
one interface: word for word (certain), offline (fitted, always on), and by the model that wrote the
answer where there is one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rag.verification.quotation import Checker, Claim, Quote, Verdict, Verification, verbatim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

__all__ = ["Checker", "Claim", "Quote", "Verdict", "Verification", "verbatim", "verify"]


def verify(
    statement: str, papers: Sequence[Paper], *, verifier: Checker | None = None
) -> Verification:
    """Checks one statement against the abstracts it cites, taken together.

    Args:
        statement: one sentence, without citation markers.
        papers: those it cites; without any, nothing can be verified.
        verifier: None takes the offline check with the bundled embedder.
    """
    claim = Claim(statement, tuple(papers))
    return verbatim(claim) or (verifier or _shared()).check([claim])[0]


@cache
def _shared() -> Checker:
    from rag.embedding.minilm import load_minilm
    from rag.verification.offline import OfflineVerifier

    return OfflineVerifier(load_minilm)
