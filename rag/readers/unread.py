"""Name the formats that are not read, and say what to export instead.

Their text must not reach `rag.readers.listing_page`, which would take it for titles and abstracts.
"""

from __future__ import annotations

import re

_EXPORT = "Export the papers as BibTeX, RIS or CSV instead"
_MANAGER = "Add the paper to a reference manager, and export BibTeX or RIS from there"
_ONE_TAG = r"(?:%\w|[A-Z][A-Z\d])(?: {0,2}-|:)? .*\n(?:[ \t]++.*\n)*"

# How a file starts, its format, and what to do instead.
_STARTS = [
    (re.compile(start, re.MULTILINE), name, instead)
    for start, name, instead in (
        ("%PDF-", "a PDF file", _MANAGER),
        (r"\{\\rtf|ÐÏ\x11|(?s:PK\x03\x04.*word/)", "a document", _MANAGER),
        (r"(?s:PK\x03\x04.*xl/)", "a workbook", "Save its sheet as CSV"),
        ("SQLite format 3", "a database, as of Zotero or EndNote", _EXPORT),
        (r"\d{5}[acdnp][a-z][a-z ]{3}\d{7}", "MARC", _EXPORT),
        (r"%[0-9A-Z] ", "EndNote's tagged format (.enw)", _EXPORT),
        (r"RT .*\n(?:SR|ID|A1|T1) ", "RefWorks' tagged format", _EXPORT),
        (r"1[.:] (?s:.*)^PMID: \d", "PubMed's text format", "Save it in format PubMed (.nbib)"),
        (r"Scopus\s*\nEXPORT DATE", "Scopus' text format", _EXPORT),
        (
            r"(?:.*\n){0,20}?(?:<1>|RECORD 1|Record #?1 of .*)\s*\n",
            "a text format of Ovid, Embase or Cochrane",
            _EXPORT,
        ),
        (rf"(?:.*\n){{0,20}}?(?:{_ONE_TAG}){{4}}", "tagged text of an unknown kind", _EXPORT),
    )
]
_ROOT = re.compile(
    r"(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>\s*)*<(?:[\w.-]+:)?([A-Za-z][\w.-]*)[\s/>]",
    re.DOTALL | re.IGNORECASE,
)
_XML = {
    "html": ("a web page", "Download the citations of its papers as BibTeX or RIS"),
    "xml": ("EndNote XML", "In EndNote, export with the style RefMan (RIS) or BibTeX"),
    "records": ("EndNote XML", "In EndNote, export with the style RefMan (RIS) or BibTeX"),
    "article": ("the full text of a paper (JATS)", _MANAGER),
    "rdf": ("RDF, as of Zotero", _EXPORT),
}


def explain_unread(head: str) -> str:
    """Return why a file that starts with this text is not read, or "" if its format is unknown.

    >>> explain_unread("<html>")
    'this is a web page, which is not read. Download the citations of its papers as BibTeX or RIS.'
    """
    head = head.lstrip()
    found = next((row[1:] for row in _STARTS if row[0].match(head)), None)
    if root := None if found else _ROOT.match(head):
        known = _XML.get(root[1].lower())
        found = known or (f"XML with the root <{root[1]}>", _EXPORT)
    return f"this is {found[0]}, which is not read. {found[1]}." if found else ""
