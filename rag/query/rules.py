"""Phrasings that are recognised without a language model; docs/questions.md prints them.

Called by `rag.query.plan`.
"""

from __future__ import annotations

import re

from rag.text.terms import lexical_terms

_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_POINTERS = (
    r"\[\d{1,3}\]|\bpaper \d{1,3}\b|\b(?:it|its|they|them|their|he|she|his|her)\b|"
    r"\b(?:this|these|those|(?<!which )ones?|else|tell me more)\b|"
    r"\b(?:do|does|did|is|was|of|on|in|with|than|for|about|like) that\b|"
    r"\bthat (?:one|paper|study|work|method|model|approach|result)\b|"
    r"\bthe (?:same|others?|former|latter|last|authors?|papers?|study|method|model|approach|"
    rf"results?|{'|'.join(_ORDINALS)})\b"
)
_REFERENCE = re.compile(_POINTERS, re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][\w-]*[A-Z0-9]\w*|(?<=[a-z,] )[A-Z][\w-]+")
_SUBJECT_TERMS = 6  # content words that make a subject, however many pronouns stand among them
_FEW_TERMS = 5  # of a question that goes on with the last one, such as "and on smaller models?"
_GOES_ON = re.compile(
    r"\s*(?:and|or|but|so|then|also|(?:what|how) about|why|yes|no|ok(?:ay)?|more|else)\b",
    re.IGNORECASE,
)
_OF_THESE = re.compile(
    r"\s*(?:and )?(?:which|what|how many|are any|any|list|show)(?: ones)? of "
    r"(?:these|those|them)\b",
    re.IGNORECASE,
)
_POINTED = re.compile(
    rf"\[(\d{{1,3}})\]|\bpaper (\d{{1,3}})\b|\bthe ({'|'.join(_ORDINALS)})\b", re.IGNORECASE
)


def is_follow_up(question: str) -> bool:
    """Return whether a question refers back and has no subject of its own.

    >>> [is_follow_up(q) for q in ("why?", "What is it good for?", "How does ELECTRA train?")]
    [True, True, False]
    """
    terms = len(lexical_terms(question))
    if terms == 0:
        return True
    has_subject = terms >= _SUBJECT_TERMS or _NAME.search(question) is not None
    return not has_subject and _REFERENCE.search(question) is not None


def may_follow_up(question: str) -> bool:
    """Return whether a question may lean on the conversation, so that a model should complete it.

    >>> [may_follow_up(q) for q in ("What about BERT?", "How does ELECTRA train?")]
    [True, False]
    """
    goes_on = _GOES_ON.match(question) and len(lexical_terms(question)) <= _FEW_TERMS
    return bool(goes_on or is_follow_up(question))


def asks_of_last_papers(question: str) -> bool:
    """Return whether a question asks among the papers of the last answer ("which of these ...")."""
    return _OF_THESE.match(question) is not None


def find_pointed_numbers(question: str, last: tuple[int, ...]) -> list[int]:
    """Return the shown numbers that a question points to.

    Args:
        question: such as "and [2]?" or "what does the second one say?".
        last: numbers that the last answer cites, in order; ordinals count among them.
    """
    found = []
    for number, paper, ordinal in _POINTED.findall(question):
        place = _ORDINALS.index(ordinal.lower()) if ordinal else 0
        if ordinal and place < len(last):
            found.append(last[place])
        elif not ordinal:
            found.append(int(number or paper))
    return found
