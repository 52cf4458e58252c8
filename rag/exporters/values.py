"""Citation keys, ids, names and details as the export formats write them.

A reader derives a paper's id from its DOI, arXiv id or title, so the id is written only if that
would give a different one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from rag.papers import make_paper_id, normalise_doi
from rag.papers.citation_key import make_citation_key, make_key_of_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rag.papers import Paper

_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
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


def assign_citation_keys(papers: Iterable[Paper]) -> Iterator[tuple[str, Paper]]:
    """Yield each paper after its citation key.

    Of several papers with one key, as BibTeX compares keys without case, the first has it. Each
    other has the key made of its id.
    """
    taken: set[str] = set()
    for paper in papers:
        key = make_citation_key(paper)
        if key.lower() in taken:
            key = make_key_of_id(paper.id)
        taken.add(key.lower())
        yield key, paper


def find_explicit_id(paper: Paper) -> str:
    """Return the paper's id if a reader could derive a different one from its fields, else ""."""
    made = make_paper_id(paper.title, doi=paper.doi, arxiv_id=paper.arxiv_id)
    # A URL or a venue may contain a DOI or arXiv id that the paper's own fields lack.
    if paper.arxiv_id:
        certain = bool(paper.doi) or not normalise_doi(paper.url or "")
    else:
        certain = bool(paper.doi) or not (paper.url or paper.venue)
    return "" if certain and paper.id == made else paper.id


class NameParts(NamedTuple):
    """Parts of a person's name; a missing part is ""."""

    family: str
    given: str
    suffix: str


def is_group(name: str) -> bool:
    """Return whether a word of the name is typical of organisations.

    >>> is_group("World Health Organization"), is_group("Ada Lovelace")
    (True, False)
    """
    return _GROUP.search(name) is not None


def split_name(name: str) -> NameParts | None:
    """Split a displayed name into its parts, or None if that would be a guess.

    After one given name and initials, the last word is the family name, with the lower-case words
    before it. The middle one of three whole words may belong to either ("Gabriel García Márquez",
    "Mary Ann Evans"), unless "Jr." follows.

    >>> split_name("Anna M. van den Berg"), split_name("Gabriel García Márquez")
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
    is_clear = bool(suffix) or all(map(_INITIALS.fullmatch, given[1:]))
    if not is_clear or not _is_capitalised(given[0], family[-1]):
        return None
    return NameParts(" ".join(family), " ".join(given), suffix)


def _is_capitalised(given: str, family: str) -> bool:
    return given[0].isupper() and family[0].isupper() and not family.isupper()


def collapse_space(text: str | None) -> str:
    r"""Replace each run of white space and control characters by one space.

    >>> collapse_space(" a\r\nER  - b\x00")
    'a ER - b'
    """
    return _BLANK.sub(" ", text or "").strip()


def read_details(paper: Paper, name: Literal["tags", "editors", "collections"]) -> list[str]:
    """Return the paper's tags, editors or collections, or [] if its source has none."""
    found = paper.metadata.get(name)
    several = found if isinstance(found, list) else []
    return [collapse_space(text) for text in several if isinstance(text, str) and text.strip()]


def read_detail(
    paper: Paper, name: Literal["volume", "issue", "pages", "publisher", "month"]
) -> str:
    """Return a detail of the paper, or "" if its source has none."""
    found = paper.metadata.get(name)
    return collapse_space(str(found)) if isinstance(found, str | int) else ""


def join_tags(tags: Sequence[str]) -> str:
    """Join tags by semicolons. A semicolon after a single tag keeps it whole.

    >>> join_tags(["Models, Biological"]), join_tags(["Tea", "Rates"])
    ('Models, Biological;', 'Tea; Rates')
    """
    is_alone = len(tags) == 1 and ("," in tags[0] or ";" in tags[0])
    return tags[0] + ";" if is_alone else "; ".join(tags)
