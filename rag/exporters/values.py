"""What the formats of references have in common: keys, ids, and values on one line.

A paper's id is made again from its DOI, arXiv id or title when a reference is read, so it is
written only where that would give another one. Called by the modules of formats.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from rag.papers import make_paper_id, normalise_doi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_NO_KEY = re.compile(r"[^A-Za-z0-9_]+")
_MARKS = frozenset(":./-")  # one of these may stand between two letters of a key
_GENERATIONS = frozenset({"Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV"})
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)+|[A-Z]{1,3}")
_PERSONS_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’.-])*")
_GROUP = re.compile(
    r"\b(?:Academy|Agency|Alliance|Association|Bank|Cent(?:er|re)s?|Collaboration|College|Commission"
    r"|Committee|Company|Consortium|Corp(?:oration)?|Council|Department|Foundation|GmbH|Groups?|Inc"
    r"|Initiative|Institut[eo]?s?|Investigators|Labs?|Laborator(?:y|ies)|LLC|Ltd|Ministry|Nations"
    r"|Network|Office|Organi[sz]ations?|Programme|Project|Research|School|Services?|Society|Team"
    r"|The|Union|Universi\w+|at|for|in|of|on|the)\b"
)


def make_citation_key(paper: Paper) -> str:
    """The paper's id as a key that BibTeX and pandoc take; other ids give other keys.

    Where a character had to go, eight digits of the id's sha256 keep the key apart from others. It
    is the same in every export, because the id of a paper never changes.

    >>> from rag.papers import Paper
    >>> [make_citation_key(Paper(name, "T", "")) for name in ("doi:10.1000/xyz", "b (2)")]
    ['doi:10.1000/xyz', 'b-2-bf341434']
    """
    key = _NO_KEY.sub(lambda run: run[0] if run[0] in _MARKS else "-", paper.id)
    key = key.strip("".join(_MARKS))
    if key and key == paper.id:
        return key
    digits = sha256(paper.id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{key or 'paper'}-{digits}"


def carried_id(paper: Paper) -> str:
    """The paper's id where a reader could make another one of the other fields; else ""."""
    made = make_paper_id(paper.title, doi=paper.doi, arxiv_id=paper.arxiv_id)
    # an address or a venue may tell a DOI or arXiv id that the paper is not known by
    if paper.arxiv_id:
        certain = bool(paper.doi) or not normalise_doi(paper.url or "")
    else:
        certain = bool(paper.doi) or not (paper.url or paper.venue)
    return "" if certain and paper.id == made else paper.id


class NameParts(NamedTuple):
    """A person's name in parts; a part that is not there is empty."""

    family: str
    given: str
    suffix: str


def is_group(name: str) -> bool:
    """Whether a word of the name is one that organisations have and people have not.

    >>> is_group("World Health Organization"), is_group("Ada Lovelace")
    (True, False)
    """
    return _GROUP.search(name) is not None


def name_parts(name: str) -> NameParts | None:
    """The parts of a name where its shape tells them; None where that would be a guess.

    The library holds names as they are shown. Of one given name, initials and a last word, the last
    is the family name with the small words before it; the middle one of three whole words may be
    part of either ("Gabriel García Márquez", "Mary Ann Evans"), unless a "Jr." follows.

    >>> name_parts("Anna M. van den Berg"), name_parts("Gabriel García Márquez")
    (NameParts(family='van den Berg', given='Anna M.', suffix=''), None)
    """
    words = name.split(" ")
    suffix = words.pop() if words[-1] in _GENERATIONS else ""
    if len(words) < 2 or is_group(name) or not all(map(_PERSONS_WORD.fullmatch, words)):
        return None
    start = len(words) - 1
    while start > 1 and words[start - 1].islower():
        start -= 1
    given, family = words[:start], words[start:]
    is_told = bool(suffix) or all(map(_INITIALS.fullmatch, given[1:]))
    is_person = given[0][0].isupper() and family[-1][0].isupper() and not family[-1].isupper()
    if not is_told or not is_person:
        return None
    return NameParts(" ".join(family), " ".join(given), suffix)


def one_line(text: str | None) -> str:
    r"""The text with each run of white space and control characters as one space.

    >>> one_line(" a\r\nER  - b\x00")
    'a ER - b'
    """
    return _BLANK.sub(" ", text or "").strip()


def tags(paper: Paper) -> list[str]:
    """The paper's keywords, where its source had some."""
    several = paper.metadata.get("tags")
    known = several if isinstance(several, list) else []
    return [one_line(tag) for tag in known if isinstance(tag, str) and tag.strip()]


def tags_in_one(known: Sequence[str]) -> str:
    """Keywords in one text, set apart by semicolons; one behind a lone tag keeps it whole.

    >>> tags_in_one(["Models, Biological"]), tags_in_one(["Tea", "Rates"])
    ('Models, Biological;', 'Tea; Rates')
    """
    is_alone = len(known) == 1 and ("," in known[0] or ";" in known[0])
    return known[0] + ";" if is_alone else "; ".join(known)
