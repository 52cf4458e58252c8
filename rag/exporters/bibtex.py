r"""BibTeX and BibLaTeX: one entry per paper, @misc if its type is unknown.

Values are plain text. Commands, formulas and ligatures of TeX are escaped. Only ``doi``, ``url``
and ``eprint`` are verbatim fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.exporters.values import (
    assign_citation_keys,
    collapse_space,
    find_explicit_id,
    join_tags,
    read_detail,
    read_details,
    split_name_in,
)
from rag.papers import ET_AL
from rag.papers.citation_key import list_other_keys, make_citation_key
from rag.papers.entry_types import translate_type
from rag.papers.names import is_group, split_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

_VENUE_FIELDS = {
    "article": "journal",
    **dict.fromkeys(("inproceedings", "conference", "incollection", "inbook"), "booktitle"),
}
_PUBLISHER_FIELDS = {
    **dict.fromkeys(("phdthesis", "mastersthesis", "thesis"), "school"),
    **dict.fromkeys(("techreport", "report"), "institution"),
}
_MONTHS = {  # macros that every style defines
    str(number): name
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
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
    for number, (key, paper) in enumerate(assign_citation_keys(papers)):
        yield ("\n" if number else "") + format_entry(paper, key)


def format_entry(paper: Paper, key: str = "") -> str:
    r"""Return one BibTeX entry that ends with a line break.

    Args:
        paper: the paper.
        key: citation key; by default its own, or one made of its id.

    >>> from rag.papers import Paper
    >>> print(format_entry(Paper("rates-5-5a1ee1", "Rates & 5%", "")), end="")
    @misc{rates-5-5a1ee1,
      title = {{Rates \& 5\%}},
    }
    """
    kind = translate_type(paper.entry_type, "bibtex")
    title = escape_latex(paper.title)
    fields = {
        "title": f"{{{title}}}",  # the inner braces keep its upper case
        "author": _format_names(paper, paper.authors),
        "editor": _format_names(paper, read_details(paper, "editors")),
        "year": str(paper.year or ""),
        _VENUE_FIELDS.get(kind, "howpublished"): escape_latex(paper.venue),
        "volume": escape_latex(read_detail(paper, "volume")),
        "number": escape_latex(read_detail(paper, "issue")),
        "pages": escape_latex(read_detail(paper, "pages")).replace("-", "--"),
        _PUBLISHER_FIELDS.get(kind, "publisher"): escape_latex(read_detail(paper, "publisher")),
        "doi": _escape_verbatim(paper.doi),
        "eprint": _escape_verbatim(paper.arxiv_id),
        "archiveprefix": "arXiv" if paper.arxiv_id else "",
        "url": _escape_verbatim(paper.url),
        "keywords": join_tags([_format_tag(tag) for tag in read_details(paper, "tags")]),
        "abstract": escape_latex(paper.abstract),
        "ids": ", ".join(list_other_keys(paper)),  # BibLaTeX's other keys of an entry
        "papertrail-id": escape_latex(find_explicit_id(paper)),
        "papertrail-retraction": escape_latex(paper.retraction),
        "papertrail-zotero": paper.zotero_link or "",
    }
    values = {name: f"{{{value}}}" for name, value in fields.items() if value}
    if month := read_detail(paper, "month"):
        values["month"] = _MONTHS.get(month, f"{{{escape_latex(month)}}}")
    lines = [f"  {name} = {value}," for name, value in values.items()]
    return "\n".join([f"@{kind}{{{key or make_citation_key(paper)},", *lines, "}"]) + "\n"


def _format_names(paper: Paper, names: Iterable[str]) -> str:
    return " and ".join(_format_name(paper, name) for name in names)


def _format_name(paper: Paper, author: str) -> str:
    """Return a name. Braces keep the name of a group, or one with a comma or "and", whole.

    BibTeX takes the last word as the family name, with the lower-case words before it. Commas say
    where that is wrong.
    """
    if author == ET_AL:
        return "others"
    name = collapse_space(author)
    if _AND.search(name) or is_group(name):
        return f"{{{escape_latex(name)}}}"
    parts = split_name_in(paper, name)
    if parts and (parts.suffix or parts != split_name(name)):
        name = ", ".join(filter(None, (parts.family, parts.suffix, parts.given)))
    return escape_latex(name)


def _format_tag(tag: str) -> str:
    """Return a keyword. Braces keep one with a semicolon whole."""
    return f"{{{escape_latex(tag)}}}" if ";" in tag else escape_latex(tag)


def escape_latex(text: str | None) -> str:
    r"""Return a text on one line with the signs escaped that mean something to LaTeX.

    >>> print(escape_latex("R&D: 5%"))
    R\&D: 5\%
    """
    return _LIGATURE.sub(r"\g<0>{}", collapse_space(text).translate(_SPECIAL))


def _escape_verbatim(text: str | None) -> str:
    return collapse_space(text).translate(_VERBATIM)
