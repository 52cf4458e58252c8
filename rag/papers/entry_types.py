"""Types of references under their names in BibTeX, RIS and CSL.

A paper keeps the type that its source names. An exporter translates it if its own format has
another name. The three spellings do not collide, except that CSL calls a preprint an "article",
which is a journal article in BibTeX: a preprint is stored as "preprint".
Sources: https://mirrors.ctan.org/macros/latex/contrib/biblatex/doc/biblatex.pdf (section 2.1),
https://en.wikipedia.org/wiki/RIS_(file_format),
https://docs.citationstyles.org/en/stable/specification.html (appendix III).
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class TypeNames(NamedTuple):
    """Names of one type in each format, and further names that mean the same."""

    bibtex: str
    ris: str
    csl: str
    others: tuple[str, ...] = ()


GENERAL = TypeNames("misc", "GEN", "document")
# Of several rows with one name, the first translates it.
_TYPES = (
    TypeNames("article", "JOUR", "article-journal", ("journal-article", "EJOUR", "JFULL")),
    TypeNames("article", "MGZN", "article-magazine"),
    TypeNames("article", "NEWS", "article-newspaper"),
    TypeNames("misc", "UNPB", "article", ("preprint", "posted-content")),
    TypeNames("inproceedings", "CPAPER", "paper-conference", ("conference", "proceedings-article")),
    TypeNames("proceedings", "CONF", "book", ("mvproceedings", "edited-book")),
    TypeNames("book", "BOOK", "book", ("mvbook", "collection", "monograph", "EBOOK", "EDBOOK")),
    TypeNames("incollection", "CHAP", "chapter", ("book-chapter", "ECHAP")),
    TypeNames("inbook", "CHAP", "chapter", ("suppbook", "book-section")),
    TypeNames("phdthesis", "THES", "thesis", ("thesis", "mastersthesis", "dissertation")),
    TypeNames("techreport", "RPRT", "report", ("report",)),
    TypeNames("unpublished", "UNPB", "manuscript"),
    TypeNames("online", "ELEC", "webpage", ("electronic", "www", "post-weblog")),
    TypeNames("dataset", "DATA", "dataset"),
    TypeNames("software", "COMP", "software"),
    TypeNames("patent", "PAT", "patent"),
    GENERAL,
)
_CSL_NAMES = frozenset(
    {
        *("article-journal", "article-magazine", "article-newspaper", "bill", "book", "broadcast"),
        *("chapter", "classic", "collection", "dataset", "document", "entry", "entry-dictionary"),
        *("entry-encyclopedia", "event", "figure", "graphic", "hearing", "interview", "legal_case"),
        *("legislation", "manuscript", "map", "motion_picture", "musical_score", "pamphlet"),
        *("paper-conference", "patent", "performance", "periodical", "personal_communication"),
        *("post", "post-weblog", "regulation", "report", "review", "review-book", "software"),
        *("song", "speech", "standard", "thesis", "treaty", "webpage"),
    }
)
_NOT_BIBTEX = frozenset(
    {"preprint", "chapter", "document", "webpage", "manuscript", "dissertation"}
)


def translate_type(name: str | None, form: Literal["bibtex", "ris", "csl"]) -> str:
    """Return the name of a type in a format. An unknown type becomes the general one.

    >>> translate_type("inproceedings", "ris"), translate_type("MGZN", "csl")
    ('CPAPER', 'article-magazine')
    >>> translate_type("conference", "bibtex"), translate_type(None, "bibtex")
    ('conference', 'misc')
    """
    if not name:
        return str(getattr(GENERAL, form))
    if _looks_like(name, form):
        return name
    found = next((row for row in _TYPES if name in row[:3] or name in row.others), GENERAL)
    return str(getattr(found, form))


def _looks_like(name: str, form: str) -> bool:
    """Return whether a format may use the name as it is. BibTeX allows any word."""
    if form == "ris":
        return name.isupper()
    if form == "csl":
        return name in _CSL_NAMES
    return name.isascii() and name.isalpha() and name.islower() and name not in _NOT_BIBTEX
