"""Checks of statements against the abstracts they cite, by text comparison or by a model."""

from rag.verification.quotation import (
    Checker,
    Claim,
    Quote,
    TextChecker,
    Verification,
    is_same_sentence,
)
from rag.verification.verdict import VERDICTS, ReaderScore, Verdict, choose_level
from rag.verification.verify import verify

__all__ = [
    "VERDICTS",
    "Checker",
    "Claim",
    "Quote",
    "ReaderScore",
    "TextChecker",
    "Verdict",
    "Verification",
    "choose_level",
    "is_same_sentence",
    "verify",
]
