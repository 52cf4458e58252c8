"""Find the ids of papers in a question."""

from __future__ import annotations

import re

_ARXIV_ID = re.compile(
    r"(?<![\w./-])(\d{4}\.\d{4,5}|[a-z-]{2,20}(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?(?![\w/])"
)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>?]{0,200}[^\s\"'<>?.,;:)\]]")
_OWN_ID = re.compile(r"(?<![\w/-])[a-z0-9-]{1,60}-[0-9a-f]{6,64}(?![\w-])")


def find_ids(question: str) -> tuple[str, ...]:
    """Return everything in a question that has the form of a paper id.

    >>> find_ids("Does 2003.10555v1 cite doi:10.1000/XYZ, or electra-pre-training-0a1b2c?")
    ('arxiv:2003.10555', 'doi:10.1000/xyz', 'electra-pre-training-0a1b2c')
    """
    arxiv = [f"arxiv:{match[1].lower()}" for match in _ARXIV_ID.finditer(question)]
    dois = [f"doi:{match[0].lower()}" for match in _DOI.finditer(question)]
    own = [match[0] for match in _OWN_ID.finditer(question)]
    return tuple(dict.fromkeys([*arxiv, *dois, *own]))
