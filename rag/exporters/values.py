"""Citation keys, ids, names and details as the export formats write them.

A reader derives a paper's id from its DOI, arXiv id or title, so the id is written only if that
would give a different one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from rag.papers import make_paper_id, normalise_doi
from rag.papers.citation_key import make_citation_key, make_key_of_id
from rag.papers.names import NameParts, split_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rag.papers import Paper

_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


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


def collapse_space(text: str | None) -> str:
    r"""Replace each run of white space and control characters by one space.

    >>> collapse_space(" a\r\nER  - b\x00")
    'a ER - b'
    """
    return _BLANK.sub(" ", text or "").strip()


def split_name_in(paper: Paper, name: str) -> NameParts | None:
    """Split the name of an author or editor where its source does, else like `split_name`."""
    known = paper.metadata.get("family_names")
    family = known.get(name) if isinstance(known, dict) else None
    return split_name(name, family if isinstance(family, str) else "")


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
