"""Read the fields of a Zotero item as a paper.

https://api.zotero.org/schema lists item types, their fields and creators, and CSL's names of types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rag.papers import normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag.papers import JsonValue

_TITLE = ("title", "nameOfAct", "caseName", "subject")
_DATE = ("date", "dateDecided", "issueDate", "dateEnacted")
_VENUE = (
    *("publicationTitle", "proceedingsTitle", "bookTitle", "encyclopediaTitle", "dictionaryTitle"),
    *("blogTitle", "forumTitle", "websiteTitle", "programTitle", "sessionTitle"),
    *("conferenceName", "meetingName", "reporter", "code", "journalAbbreviation"),
)
_PUBLISHER = (
    *("publisher", "university", "institution", "repository", "company", "label", "distributor"),
    *("studio", "network"),
)
# Creators in the place of authors, each of one or a few types.
_MAIN_CREATORS = (
    *("artist", "cartographer", "creator", "director", "interviewee", "inventor", "performer"),
    *("podcaster", "presenter", "programmer", "sponsor"),
)
# Types that CSL calls otherwise. `rag.papers.entry_types` knows the others.
_CSL_TYPES = {
    "artwork": "graphic", "audioRecording": "song", "blogPost": "post-weblog",
    "case": "legal_case", "dictionaryEntry": "entry-dictionary", "email": "personal_communication",
    "encyclopediaArticle": "entry-encyclopedia", "film": "motion_picture", "forumPost": "post",
    "instantMessage": "personal_communication", "letter": "personal_communication",
    "podcast": "broadcast", "presentation": "speech", "radioBroadcast": "broadcast",
    "statute": "legislation", "tvBroadcast": "broadcast", "videoRecording": "motion_picture",
}  # fmt: skip
_PHD = re.compile(r"ph\.?\s?d|doctor", re.IGNORECASE)


def read_item(
    item: Mapping[str, Any], link: str, collections: Mapping[str, str]
) -> RawRecord | str:
    """Read the fields of an item, or return the reason for refusal.

    A field with an unexpected type counts as missing.

    Args:
        item: its fields.
        link: that opens it in Zotero.
        collections: path of each collection, by key.
    """
    if not _first(item, *_TITLE):
        return fields.NO_TITLE
    if not fields.is_storable(item):
        return fields.HALF_CHARACTER
    return _make_record(item, link, collections)


def _make_record(item: Mapping[str, Any], link: str, collections: Mapping[str, str]) -> RawRecord:
    extra = _read_extra(_first(item, "extra"))
    doi, url = _first(item, "DOI") or extra.get("doi", ""), _first(item, "url")
    pmid = _first(item, "PMID") or extra.get("pmid", "")
    return RawRecord(
        id="",
        title=_first(item, *_TITLE),
        abstract=_first(item, "abstractNote"),
        authors=_read_people(item, "author") or _read_people(item, *_MAIN_CREATORS),
        year=fields.find_year(*_texts(item, _DATE)),
        venue=fields.collapse_space(_first(item, *_VENUE)) or None,
        url=fields.find_url(url) or fields.make_pubmed_url(pmid),
        doi=fields.find_doi(doi, url),
        arxiv_id=_find_arxiv_id(item, extra.get("arxiv", "")),
        sources=(link,),
        metadata={
            **_read_details(item, pmid),
            **_read_paths(item, collections),
        },
        citation_key=_first(item, "citationKey") or extra.get("citation key"),
        entry_type=_find_type(item),
        retraction=fields.find_retraction(keywords=list_tags(item)),
    )


def _read_extra(text: str) -> dict[str, str]:
    r"""Return the fields that users and programs write as lines of "Extra", by lower-case name.

    >>> _read_extra("Citation Key: li2020\nSeen twice.")
    {'citation key': 'li2020'}
    """
    rows = [line.partition(":") for line in reversed(text.splitlines())]
    return {name.strip().lower(): text.strip() for name, _, text in rows if text.strip()}


def _find_arxiv_id(item: Mapping[str, Any], named: str) -> str | None:
    texts = _texts(item, ("archiveID", "DOI", "url", "publicationTitle"))
    return normalise_arxiv_id(named) or fields.find_arxiv_id(*texts)


def _read_details(item: Mapping[str, Any], pmid: str) -> dict[str, JsonValue]:
    return fields.make_details(
        pmid=pmid,
        tags=list_tags(item),
        volume=_first(item, "volume", "codeVolume", "reporterVolume"),
        issue=_first(item, "issue"),
        pages=_first(item, "pages", "codePages", "firstPage"),
        publisher=_first(item, *_PUBLISHER),
        editors=_read_people(item, "editor"),
        month=fields.find_month(*_texts(item, _DATE)),
    )


def _read_paths(item: Mapping[str, Any], collections: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return metadata with the paths of the item's collections, or {} if it is in none."""
    paths = {collections[key] for key in list_collections(item) if key in collections}
    return {"collections": [*sorted(paths)]} if paths else {}


def list_tags(item: Mapping[str, Any]) -> list[str]:
    """Return the tags of an item."""
    return [_text(_dict(each).get("tag")) for each in _list(item.get("tags"))]


def list_collections(item: Mapping[str, Any]) -> list[str]:
    """Return the keys of the collections that an item is in."""
    return [key for key in _list(item.get("collections")) if isinstance(key, str)]


def _find_type(item: Mapping[str, Any]) -> str | None:
    kind, degree = _first(item, "itemType"), _first(item, "thesisType")
    if kind != "thesis":
        return _CSL_TYPES.get(kind, kind) or None
    if "master" in degree.lower():
        return "mastersthesis"
    return "phdthesis" if _PHD.search(degree) else kind


def _read_people(item: Mapping[str, Any], *roles: str) -> tuple[str, ...]:
    """Return the names of the creators with one of the roles."""
    people = [_dict(each) for each in _list(item.get("creators"))]
    return fields.read_people(
        _read_name(each) for each in people if each.get("creatorType") in roles
    )


def _read_name(person: Mapping[str, Any]) -> str:
    """Return the name of a creator. A suffix stands behind the first name: "J. K., Jr."."""
    first, last = _text(person.get("firstName")), _text(person.get("lastName"))
    if first and last:
        return fields.put_given_first(f"{last}, {first}")
    return _text(person.get("name")) or last or first


def _first(item: Mapping[str, Any], *names: str) -> str:
    """Return the first of the fields that holds a text, else ""."""
    return next(iter(_texts(item, names)), "")


def _texts(item: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    return [text for name in names if (text := _text(item.get(name)))]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
