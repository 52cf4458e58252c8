"""Headings above quoted sentences, as the writer puts them and a saved file has them."""

from __future__ import annotations

BEST_MATCHES = "Best matches in this library"
BEST_MATCH = "Best match:"  # before the best sentence
CLOSEST = "Closest:"  # before it where there is no clear answer
NO_CLEAR_ANSWER = "No clear answer in this library."


def describe_matches(*, is_answer: bool, reason: str = "") -> str:
    """Return the line above quoted sentences.

    Args:
        is_answer: whether they seem to answer the question.
        reason: why they do not, as a sentence; "" if that is not known.

    >>> describe_matches(is_answer=False)
    'No clear answer in this library. Closest sentences:'
    """
    if is_answer:
        return BEST_MATCHES
    return " ".join(filter(None, [NO_CLEAR_ANSWER, reason, "Closest sentences:"]))
