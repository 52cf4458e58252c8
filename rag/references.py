"""A paper as a reference: BibTeX, with the fields the library has and no invented ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.papers import Paper

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def bibtex_entry(paper: Paper) -> str:
    r"""One BibTeX entry, ended by a line break.

    >>> from rag.papers import Paper
    >>> print(bibtex_entry(Paper("a-1", "Rates & 5%", "We ...")), end="")
    @misc{a-1,
      title = {{Rates \& 5\%}},
    }
    """
    fields = {
        "title": f"{{{_escaped(paper.title)}}}",
        "author": " and ".join(map(_escaped, paper.authors)),
        "year": str(paper.year or ""),
        "howpublished": _escaped(paper.venue or ""),
        "doi": paper.doi or "",
        "eprint": paper.arxiv_id or "",
        "archiveprefix": "arXiv" if paper.arxiv_id else "",
        "url": paper.url or "",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{citation_key(paper)},", *lines, "}"]) + "\n"


def citation_key(paper: Paper) -> str:
    """The paper's id without the characters that BibTeX does not take in a key."""
    return re.sub(r"[^A-Za-z0-9:._/-]+", "-", paper.id).strip("-")


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
