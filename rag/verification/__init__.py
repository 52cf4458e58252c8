"""Checks of statements against the abstracts they cite, by text comparison or by a model."""

from rag.verification.quotation import (
    Checker,
    Claim,
    Quote,
    TextChecker,
    Verification,
    is_same_sentence,
)
from rag.verification.verdict import VERDICTS, Verdict
from rag.verification.verify import verify

__all__ = [
    "VERDICTS",
    "Checker",
    "Claim",
    "Quote",
    "TextChecker",
    "Verdict",
    "Verification",
    "is_same_sentence",
    "verify",
]
