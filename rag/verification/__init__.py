"""Checks of statements against the abstracts they cite, by text comparison or by a model."""

from rag.verification.quotation import Checker, Claim, Quote, TextChecker, Verdict, Verification
from rag.verification.verify import verify

__all__ = [
    "Checker",
    "Claim",
    "Quote",
    "TextChecker",
    "Verdict",
    "Verification",
    "verify",
]
