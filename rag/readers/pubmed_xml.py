"""PubMed XML, as PubMed saves, efetch answers and the yearly baseline is published.

Its elements: https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html. A few articles are
held at a time. Entries for books (PubmedBookArticle) are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.papers import Paper
from rag.readers import fields
from rag.readers.xml_records import records, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

NAME = "PubMed XML"

_ROOT = re.compile(r"<(?:!DOCTYPE\s+)?Pubmed(?:Article|BookArticle)(?:Set)?[\s>]")


def recognises(head: str) -> bool:
    """Whether it is XML with a set of PubMed's articles."""
    return head.lstrip().startswith("<") and _ROOT.search(head) is not None


def read(lines: Iterable[str]) -> Iterator[tuple[int, Paper | str]]:
    """Each article with its first line, and the paper or the reason why it gives none."""
    for line, found in records(lines, ("PubmedArticle", "PubmedBookArticle"), "<PubmedArticleSet>"):
        yield line, found if isinstance(found, str) else _paper_or_reason(found)


def _paper_or_reason(record: Element) -> Paper | str:
    article = record.find("MedlineCitation/Article")
    if article is None:
        return "the record is no journal article; books are not read."
    title = text_of(article.find("ArticleTitle")) or text_of(article.find("VernacularTitle"))
    if not title:
        return fields.NO_TITLE
    journal = article.find("Journal/Title")
    if journal is None:
        journal = article.find("Journal/ISOAbbreviation")
    pmid = text_of(record.find("MedlineCitation/PMID"))
    keywords = map(text_of, record.iterfind("MedlineCitation/KeywordList/Keyword"))
    names = map(_name, article.iterfind("AuthorList/Author"))
    return Paper(
        id="",
        title=title,
        abstract=" ".join(filter(None, map(_part, article.iterfind("Abstract/AbstractText")))),
        authors=fields.people(names),
        year=_year(article),
        venue=text_of(journal) or None,
        doi=_doi(record, article),
        metadata={**({"pmid": pmid} if pmid else {}), **fields.tags(keywords)},
    )


def _part(part: Element) -> str:
    """One part of a structured abstract, behind its label."""
    label, text = part.get("Label", "").strip(), text_of(part)
    return f"{label}: {text}" if label and text else text


def _name(author: Element) -> str:
    given = text_of(author.find("ForeName")) or text_of(author.find("Initials"))
    family, suffix = text_of(author.find("LastName")), text_of(author.find("Suffix"))
    name = " ".join(filter(None, (given, family, suffix)))
    return name or text_of(author.find("CollectiveName"))


def _year(article: Element) -> int | None:
    """Of the issue; MedlineDate is free text ("1998 Dec-1999 Jan"), its first year counts."""
    issue = "Journal/JournalIssue/PubDate/"
    paths = (issue + "Year", issue + "MedlineDate", "ArticleDate/Year")
    return fields.year(*(text_of(article.find(path)) for path in paths))


def _doi(record: Element, article: Element) -> str | None:
    """The article's own; those in its list of references stand deeper."""
    given = [
        each
        for each in article.iterfind("ELocationID[@EIdType='doi']")
        if each.get("ValidYN", "Y") == "Y"
    ]
    given += record.iterfind("PubmedData/ArticleIdList/ArticleId[@IdType='doi']")
    return fields.doi(*map(text_of, given))
