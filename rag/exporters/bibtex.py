r"""BibTeX and BibLaTeX: one @misc entry per paper, because the library does not know the kind.

Values are plain text. Commands, formulas and ligatures of TeX are escaped. Only ``doi``, ``url``
and ``eprint`` are verbatim fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.exporters.values import (
    collapse_space,
    find_explicit_id,
    is_group,
    join_tags,
    make_citation_key,
    read_tags,
    split_name,
)
from rag.papers import ET_AL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

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


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield one entry per paper, separated by blank lines."""
    for number, paper in enumerate(papers):
        yield ("\n" if number else "") + format_entry(paper)


def format_entry(paper: Paper) -> str:
    r"""Return one BibTeX entry that ends with a line break.

    >>> from rag.papers import Paper
    >>> print(format_entry(Paper("rates-5-5a1ee1", "Rates & 5%", "")), end="")
    @misc{rates-5-5a1ee1,
      title = {{Rates \& 5\%}},
    }
    """
    title = _escape(paper.title)
    fields = {
        "title": f"{{{title}}}",  # the inner braces keep its upper case
        "author": " and ".join(map(_format_name, paper.authors)),
        "year": str(paper.year or ""),
        "howpublished": _escape(paper.venue),
        "doi": _escape_verbatim(paper.doi),
        "eprint": _escape_verbatim(paper.arxiv_id),
        "archiveprefix": "arXiv" if paper.arxiv_id else "",
        "url": _escape_verbatim(paper.url),
        "keywords": join_tags([_format_tag(tag) for tag in read_tags(paper)]),
        "abstract": _escape(paper.abstract),
        "papertrail-id": _escape(find_explicit_id(paper)),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{make_citation_key(paper)},", *lines, "}"]) + "\n"


def _format_name(author: str) -> str:
    """Return a name. Braces keep the name of a group, or one with a comma or "and", whole.

    BibTeX takes the last word as the family name, which is wrong only for "Jr.".
    """
    if author == ET_AL:
        return "others"
    name = collapse_space(author)
    if _AND.search(name) or is_group(name):
        return f"{{{_escape(name)}}}"
    parts = split_name(name)
    if parts and parts.suffix:
        name = f"{parts.family}, {parts.suffix}, {parts.given}"
    return _escape(name)


def _format_tag(tag: str) -> str:
    """Return a keyword. Braces keep one with a semicolon whole."""
    return f"{{{_escape(tag)}}}" if ";" in tag else _escape(tag)


def _escape(text: str | None) -> str:
    return _LIGATURE.sub(r"\g<0>{}", collapse_space(text).translate(_SPECIAL))


def _escape_verbatim(text: str | None) -> str:
    return collapse_space(text).translate(_VERBATIM)
