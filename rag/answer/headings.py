"""Headings above quoted sentences, as the writer puts them and a saved file has them."""

from __future__ import annotations

import re

BEST_MATCHES = "Best matches in this library"
BEST_MATCH = "Best match:"  # before the best sentence
CLOSEST = "Closest:"  # before it where there is no clear answer
NO_CLEAR_ANSWER = "No clear answer in this library."
QUOTED_INSTEAD = "Closest sentences of the papers, quoted, not the model's words:"
NO_NUMBER = "None of the closest sentences has a number."
TITLE_ONLY = "Of the closest paper only the title is known."
ABSENT = "in no title or abstract."  # ends a reason that names words
_ABSENT = re.compile(
    r"(?:“\S{1,60}”(?:, | and )?){1,3}(?:\d+ more words?)? "
    rf"(?:occurs?|is an author here and occurs) {re.escape(ABSENT)}"
)


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


def is_reason(text: str) -> bool:
    """Return whether a text has the form of a reason for quotes without a clear answer.

    >>> is_reason("“Yoruba” occurs in no title or abstract."), is_reason("Bees cure cancer.")
    (True, False)
    """
    return text in ("", NO_NUMBER, TITLE_ONLY) or _ABSENT.fullmatch(text) is not None
