r"""BibTeX and BibLaTeX: one @misc entry a paper, because the library does not tell the kind.

Values are plain text: what TeX would read as a command, a formula or a ligature is written so that
it stands there as it does in the library. Only ``doi``, ``url`` and ``eprint`` are verbatim fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.exporters.values import (
    carried_id,
    is_group,
    make_citation_key,
    name_parts,
    one_line,
    tags,
    tags_in_one,
)
from rag.papers import ET_AL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

NAME = "BibTeX"
ENDINGS: tuple[str, ...] = (".bib",)

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\textbraceleft{}",  # an escaped brace would still have to be balanced
        "}": r"\textbraceright{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
_LIGATURE = re.compile(r"([-`'<>])(?=\1)|[?!](?=`)")
_AND = re.compile(r",|\band\b|^(?:others|et al\.?)$", re.IGNORECASE)
_VERBATIM = str.maketrans({"{": r"\{", "}": r"\}", "\\": "%5C"})  # no address has a backslash


def pieces(papers: Iterable[Paper]) -> Iterator[str]:
    """One entry a paper, set apart by blank lines."""
    for number, paper in enumerate(papers):
        yield ("\n" if number else "") + bibtex_entry(paper)


def bibtex_entry(paper: Paper) -> str:
    r"""One BibTeX entry, ended by a line break.

    >>> from rag.papers import Paper
    >>> print(bibtex_entry(Paper("rates-5-5a1ee1", "Rates & 5%", "")), end="")
    @misc{rates-5-5a1ee1,
      title = {{Rates \& 5\%}},
    }
    """
    title = _escaped(paper.title)
    fields = {
        "title": f"{{{title}}}",  # the inner braces keep its upper case
        "author": " and ".join(map(_name, paper.authors)),
        "year": str(paper.year or ""),
        "howpublished": _escaped(paper.venue),
        "doi": _verbatim(paper.doi),
        "eprint": _verbatim(paper.arxiv_id),
        "archiveprefix": "arXiv" if paper.arxiv_id else "",
        "url": _verbatim(paper.url),
        "keywords": tags_in_one([_tag(tag) for tag in tags(paper)]),
        "abstract": _escaped(paper.abstract),
        "papertrail-id": _escaped(carried_id(paper)),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{make_citation_key(paper)},", *lines, "}"]) + "\n"


def _name(author: str) -> str:
    """A name, kept whole by braces if it is a group's or has a comma or an "and".

    BibTeX takes the last word for the family name, which is wrong of a "Jr." only.
    """
    if author == ET_AL:
        return "others"
    name = one_line(author)
    if _AND.search(name) or is_group(name):
        return f"{{{_escaped(name)}}}"
    known = name_parts(name)
    if known and known.suffix:
        name = f"{known.family}, {known.suffix}, {known.given}"
    return _escaped(name)


def _tag(tag: str) -> str:
    """A keyword, kept whole by braces if it holds what sets keywords apart."""
    return f"{{{_escaped(tag)}}}" if ";" in tag else _escaped(tag)


def _escaped(text: str | None) -> str:
    return _LIGATURE.sub(r"\g<0>{}", one_line(text).translate(_SPECIAL))


def _verbatim(text: str | None) -> str:
    return one_line(text).translate(_VERBATIM)
