"""Keys by which a manuscript cites a paper: the user's own, else one made of the paper's id."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.papers.paper import Paper

_NEVER_IN_KEY = re.compile(r"[{},%#\\\"~=\x00-\x1f\x7f-\x9f]|^\s|\s$")
_MADE_ID = re.compile(r"^(?:doi|arxiv):|-[0-9a-f]{6,}$")
_NO_KEY = re.compile(r"[^A-Za-z0-9_]+")
_MARKS = frozenset(":./-")  # allowed once between two letters of a key


def make_citation_key(paper: Paper) -> str:
    """Return the paper's own citation key, else the one made of its id.

    >>> from rag.papers import Paper
    >>> make_citation_key(Paper("doi:10.1000/xyz", "T", "", citation_key="li2020"))
    'li2020'
    """
    own = paper.citation_key or ""
    return own if own and not _NEVER_IN_KEY.search(own) else make_key_of_id(paper.id)


def list_other_keys(paper: Paper) -> list[str]:
    """Return further keys that records of the paper had, without ids made of its fields."""
    return [
        alias
        for alias in paper.aliases
        if paper.citation_key and not (_NEVER_IN_KEY.search(alias) or _MADE_ID.search(alias))
    ]


def make_key_of_id(identity: str) -> str:
    """Make a unique key that BibTeX and pandoc accept.

    If a character has to be replaced, eight digits of the id's sha256 follow.

    >>> make_key_of_id("doi:10.1000/xyz"), make_key_of_id("b (2)")
    ('doi:10.1000/xyz', 'b-2-bf341434')
    """
    key = _NO_KEY.sub(lambda run: run[0] if run[0] in _MARKS else "-", identity)
    key = key.strip("".join(_MARKS))
    if key and key == identity:
        return key
    digits = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{key or 'paper'}-{digits}"
