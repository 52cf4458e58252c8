"""Does a sentence only say that something is not told? It rests on no sentence then. Pure.

A sentence that denies and goes on to assert ("not stated, but it was trained on 64 GPUs") is no
denial: every clause of it must be about what is told.
"""

from __future__ import annotations

import re

from rag.verification.words import in_english

_DENIAL = re.compile(
    r"\b(?:not|no|n't|never|none|neither|nor|without|cannot|nothing)\b|n't\b", re.IGNORECASE
)
_TELLING = re.compile(
    r"\b(?:stat|mention|report|specif|say|said|describ|discuss|address|provid|giv|contain|includ|"
    r"cover|answer|indicat|disclos|tell|told|list|detail|information|abstracts?|papers?|sources?|"
    r"passages?|library|find|found|hold|present|compar|evaluat|suppl|support)\w*",
    re.IGNORECASE,
)
_ABOUT_TELLING = re.compile(
    r"(?:\b(?:not|never|cannot)|n't)\s+(?:\w+\s+){0,2}?"
    r"(?:stat|mention|report|specif|say|describ|discuss|address|provid|giv|contain|includ|cover|"
    r"answer|indicat|disclos|tell|list|detail|hold|found|find|suppl|present|compar|support|reveal|explain|"
    r"defin|quantif|name|show|determin|clear|available|among)\w*"
    r"|\b(?:no|none|neither|nothing)\b(?:\s+\S+){0,6}?\s+"
    r"(?:stat|mention|report|specif|say|describ|discuss|address|provid|giv|contain|includ|cover|"
    r"answer|abstracts?\b|papers?\b|information|sources?\b|these\b|here\b)\w*"
    r"|\b(?:hold|contain|say|find|found|includ|offer|giv|provid|mention)\w*\s+(?:no|nothing)\b",
    re.IGNORECASE,
)
# where a sentence may turn to something else
_TURN = re.compile(
    r"\s*[;—–]\s*|,?\s+(?:but|though|although|however|while|whereas|yet|except)\b|,\s+which\b|"
    r"^(?:although|though|while|even though|whereas)\b|(?<=[a-z]),\s+(?=(?:it|they|\w*[A-Z]\w*)\s)",
)
_TELLS = re.compile(
    r"\s*,?\s*(?:(?:only|just|instead|merely|rather)\s+)*(?:(?:it|they|he|she|the|these|those|all|both|"
    r"abstracts?|papers?|sources?|texts?|passages?)\s+){1,4}(?:(?:only|just|instead|merely|all)\s+)*"
    r"(?:stat|mention|report|specif|say|said|describ|discuss|address|provid|giv|gave|contain|includ|"
    r"cover|talk|focus|concern|speak|deal|treat|tell)\w*",
    re.IGNORECASE,
)
_FOREIGN_DENIAL = re.compile(
    r"\b(?:nicht|kein\w*|nirgends|pas|aucun\w*|no|ning[uú]n\w*|niet|geen|non|nessun\w*|n[aã]o|"
    r"nenhum\w*|не|нет)\b|[不没未無无]",
    re.IGNORECASE,
)
_FOREIGN_SOURCE = re.compile(
    r"abstract|paper|artikel|article|artículo|artigo|articol|stud|étude|quelle|fuente|fonte|text|"
    r"zusammenfassung|résumé|resum|аннотац|стать|摘要|论文|文献|要旨",
    re.IGNORECASE,
)


def denies(statement: str) -> bool:
    """Whether a statement only says that something is not told.

    >>> denies("The abstracts do not state the learning rate."), denies("It does not use labels.")
    (True, False)
    >>> denies("Its size is not stated, but it was trained on 64 GPUs.")
    False
    """
    if not in_english(statement):
        return bool(_FOREIGN_DENIAL.search(statement) and _FOREIGN_SOURCE.search(statement))
    clauses = [clause for clause in _TURN.split(statement) if clause and len(clause.split()) > 2]
    if not any(_denies(clause) for clause in clauses):
        return False
    return all(_denies(clause) or _TELLS.match(clause) for clause in clauses)


def _denies(clause: str) -> bool:
    return bool(
        _TELLING.search(clause) and _DENIAL.search(clause) and _ABOUT_TELLING.search(clause)
    )
