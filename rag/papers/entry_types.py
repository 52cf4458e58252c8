"""Types of references under their names in BibTeX, RIS and CSL.

A paper keeps the BibTeX name of its type. If another format has a finer one ("MGZN" of RIS), it
keeps that. An exporter translates the type into the names of its format.
Sources: https://mirrors.ctan.org/macros/latex/contrib/biblatex/doc/biblatex.pdf (section 2.1),
https://en.wikipedia.org/wiki/RIS_(file_format),
https://docs.citationstyles.org/en/stable/specification.html (appendix III).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

TypeFormat: TypeAlias = Literal["bibtex", "ris", "csl"]
PREPRINT = "preprint"  # which CSL calls an "article", as BibTeX calls a journal article


class _Type(NamedTuple):
    """Names of one type in each format, and how services and other programs call it.

    The other names are in lower case, without spaces and hyphens.
    """

    bibtex: str
    ris: str
    csl: str
    others: tuple[str, ...] = ()


_GENERAL = _Type("misc", "GEN", "document", ("generic", "other"))
# Of several rows with one name, the first translates it.
_TYPES = (
    _GENERAL,
    _Type("article", "JOUR", "article-journal", ("journalarticle",)),
    _Type("article", "EJOUR", "article-journal"),
    _Type("article", "JFULL", "article-journal"),
    _Type("article", "MGZN", "article-magazine", ("magazinearticle",)),
    _Type("article", "NEWS", "article-newspaper", ("newspaperarticle",)),
    _Type("inproceedings", "CPAPER", "paper-conference", ("conferencepaper", "proceedingsarticle")),
    _Type("conference", "CPAPER", "paper-conference"),
    _Type("inproceedings", "CONF", "paper-conference", ("conferenceproceedings",)),
    _Type("book", "BOOK", "book", ("editedbook", "monograph")),
    _Type("book", "EBOOK", "book"),
    _Type("collection", "EDBOOK", "book"),
    _Type("incollection", "CHAP", "chapter", ("bookchapter", "booksection")),
    _Type("inbook", "CHAP", "chapter"),
    _Type("phdthesis", "THES", "thesis", ("dissertation",)),
    _Type("mastersthesis", "THES", "thesis"),
    _Type("thesis", "THES", "thesis"),
    _Type("techreport", "RPRT", "report"),
    _Type("report", "RPRT", "report"),
    _Type("unpublished", "UNPB", "manuscript"),
    _Type("misc", "UNPB", PREPRINT, ("postedcontent",)),
    _Type("online", "ELEC", "webpage"),
    _Type("dataset", "DATA", "dataset"),
    _Type("software", "COMP", "software", ("computerprogram",)),
    _Type("patent", "PAT", "patent"),
)
# CSL's other types. A paper keeps these names.
_CSL_ONLY = frozenset(
    {
        *("bill", "broadcast", "classic", "entry", "entry-dictionary", "entry-encyclopedia"),
        *("event", "figure", "graphic", "hearing", "interview", "legal_case", "legislation", "map"),
        *("motion_picture", "musical_score", "pamphlet", "performance", "personal_communication"),
        *("post", "post-weblog", "regulation", "review-book", "song", "speech", "standard"),
        "treaty",
    }
)
# BibTeX's entries that are no papers.
_NO_PAPERS = frozenset(
    {"comment", "mvproceedings", "periodical", "preamble", "proceedings", "string", "xdata"}
)
_RIS_NAME, _BIBTEX_NAME = re.compile(r"[A-Z]{3,6}\d?"), re.compile(r"[a-z]+")
_JOINT = re.compile(r"[\s_-]+")


def normalise_type(name: str | None) -> str | None:
    """Return the type of a reference as a paper keeps it, or None if it is the general one.

    >>> [normalise_type(name) for name in ("CPAPER", "MGZN", "article-journal", "Journal Article")]
    ['inproceedings', 'MGZN', 'article', 'article']
    >>> normalise_type("misc"), normalise_type("GEN"), normalise_type("suppbook")
    (None, None, 'suppbook')
    """
    name = " ".join((name or "").split())
    row, form = _find_row(name)
    if not name or row is _GENERAL:
        return None
    if row is None or form == "bibtex":
        return name
    if row.bibtex == _GENERAL.bibtex:
        return row.csl
    is_exact = form is None or translate_type(row.bibtex, form) == name
    return row.bibtex if is_exact else name


def translate_type(name: str | None, form: TypeFormat) -> str:
    """Return the name of a paper's type in a format. An unknown type becomes the general one.

    >>> translate_type("inproceedings", "ris"), translate_type("MGZN", "csl")
    ('CPAPER', 'article-magazine')
    >>> translate_type("conference", "bibtex"), translate_type(None, "bibtex")
    ('conference', 'misc')
    """
    row, own_form = _find_row(name or "")
    if name == PREPRINT and form == "csl":
        return "article"
    if name and own_form == form:
        return name
    return str(getattr(row or _GENERAL, form))


@lru_cache(maxsize=1024)
def _find_row(name: str) -> tuple[_Type | None, TypeFormat | None]:
    """Return the row of a type and the format that spells it so. BibTeX allows any word."""
    column: TypeFormat
    for column in ("bibtex", "ris", "csl"):
        if row := next((row for row in _TYPES if name == getattr(row, column)), None):
            return row, column
    if name in _CSL_ONLY:
        return None, "csl"
    same = _JOINT.sub("", name).lower()
    if row := next((row for row in _TYPES if same in row.others), None):
        return row, None
    if _RIS_NAME.fullmatch(name):
        return None, "ris"
    is_entry = _BIBTEX_NAME.fullmatch(name) and name not in _NO_PAPERS
    return None, "bibtex" if is_entry else None
