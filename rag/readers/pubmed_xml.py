"""PubMed XML, as PubMed saves, efetch answers and the yearly baseline is published.

Its elements: https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html. A few articles are
held at a time. Entries for books (PubmedBookArticle) are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.papers import ET_AL, join_name
from rag.readers import fields
from rag.readers.fields import Found
from rag.readers.xml_records import raw_text_of, records, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

NAME = "PubMed XML"

_ROOT = re.compile(r"<(?:!DOCTYPE\s+)?Pubmed(?:Article|BookArticle)(?:Set)?[\s>]")


def recognises(head: str) -> bool:
    """Whether it is XML with a set of PubMed's articles."""
    return head.lstrip().startswith("<") and _ROOT.search(head) is not None


def read(lines: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each article with its first line, and the paper or the reason why it gives none."""
    for line, found in records(lines, ("PubmedArticle", "PubmedBookArticle"), "<PubmedArticleSet>"):
        yield line, found if isinstance(found, str) else _paper_or_reason(found)


def _paper_or_reason(record: Element) -> Found | str:
    citation = record.find("MedlineCitation")
    article = None if citation is None else citation.find("Article")
    if citation is None or article is None:
        return "the record is no journal article; books are not read."
    title = _first_text(article, "ArticleTitle", "VernacularTitle")
    if not title:
        return fields.NO_TITLE
    journal = article.find("Journal")
    pmid = citation.findtext("PMID", "").strip()
    keywords = map(raw_text_of, _each(citation, "KeywordList", "Keyword"))
    subjects = map(_subject, _each(citation, "MeshHeadingList", "MeshHeading"))
    ids = _ids(record, article)
    return Found(
        id="",
        title=fields.without_stop(title),
        abstract=" ".join(filter(None, map(_part, _each(article, "Abstract", "AbstractText")))),
        authors=_authors(article),
        year=_year(article, journal),
        venue=_first_text(journal, "Title", "ISOAbbreviation") or None,
        url=fields.pubmed_address(pmid),
        doi=fields.doi(*ids),
        arxiv_id=fields.arxiv_id(*ids),
        metadata=({"pmid": pmid} if pmid else {}) | fields.tags((*keywords, *subjects)),
    )


def _each(parent: Element, several: str, one: str) -> list[Element]:
    """The elements inside the lists of that name, in a tenth of the time that a path takes."""
    found = []
    for group in parent.findall(several):
        found += group.findall(one)
    return found


def _first_text(parent: Element | None, *tags: str) -> str:
    """The text of the first of these elements that has one; "" if none has."""
    if parent is not None:
        for tag in tags:
            if text := text_of(parent.find(tag)):
                return text
    return ""


def _part(part: Element) -> str:
    """One part of a structured abstract, behind its label."""
    label, text = part.get("Label", "").strip(), raw_text_of(part).strip()
    return f"{label}: {text}" if label and text else text


def _authors(article: Element) -> tuple[str, ...]:
    """The names; a list that says it is not complete leaves others out."""
    names = [_name(each) for each in _each(article, "AuthorList", "Author")]
    is_cut = any(group.get("CompleteYN") == "N" for group in article.findall("AuthorList"))
    return fields.people([*names, ET_AL] if is_cut else names)


def _name(author: Element) -> str:
    """A full name, not yet on one line; or that of a group."""
    given = author.findtext("ForeName", "") or author.findtext("Initials", "")
    name = join_name(given, author.findtext("LastName", ""))
    if suffix := author.findtext("Suffix"):
        name = f"{name} {suffix}".strip()
    return name or text_of(author.find("CollectiveName"))


def _year(article: Element, journal: Element | None) -> int | None:
    """Of the issue; MedlineDate is free text ("1998 Dec-1999 Jan"), its first year counts."""
    issue = None if journal is None else journal.find("JournalIssue")
    printed = None if issue is None else issue.find("PubDate")
    if printed is not None and (found := _year_of(printed)):
        return found
    return next(filter(None, map(_year_of, article.findall("ArticleDate"))), None)


def _year_of(date: Element) -> int | None:
    return fields.year(date.findtext("Year", ""), date.findtext("MedlineDate", ""))


def _subject(heading: Element) -> str:
    """A subject heading with its qualifiers, as MEDLINE writes it: "Tea/chemistry"."""
    return "/".join(map(text_of, heading))


def _ids(record: Element, article: Element) -> list[str]:
    """The article's own DOIs; those in its list of references stand deeper."""
    given = [
        text_of(each)
        for each in article.findall("ELocationID")
        if each.get("EIdType") == "doi" and each.get("ValidYN", "Y") == "Y"
    ]
    data = record.find("PubmedData")
    ids = [] if data is None else _each(data, "ArticleIdList", "ArticleId")
    return given + [text_of(each) for each in ids if each.get("IdType") == "doi"]
