"""One JSON record as a paper, whichever of the known services or programs wrote it.

The schemas are told apart by keys that only they have: arXiv's metadata snapshot, Semantic Scholar,
OpenAlex, CSL-JSON (Zotero, citeproc) and, where none of these fits, Papertrail's own. Of a foreign
record the title and abstract must be texts; another field that is not as its service documents it
counts as missing, and fields without a place in a paper are left out. Only a foreign record may
lack its abstract, or one that a library wrote. Keywords, subjects and categories become
metadata["tags"].

Called by `rag.readers.json_lines` and `rag.readers.json_array`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from rag.papers import Paper, normal_arxiv_id, normal_doi
from rag.readers import json_fields as fields
from rag.readers.fields import carried_id
from rag.text import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterable

Record: TypeAlias = dict[str, Any]

_YEAR = re.compile(r"\b[12]\d{3}\b")
_ARXIV_YEAR = re.compile(r"(?:.*/)?(\d\d)\d\d")
_OWN_ID = "papertrail-id"  # in CSL-JSON that Papertrail wrote
_AND_OTHERS = {"et al", "and others", "others"}
_CSL_TYPES = {
    *("article", "article-journal", "article-magazine", "article-newspaper", "book", "chapter"),
    *("dataset", "document", "manuscript", "paper-conference", "post", "post-weblog", "report"),
    *("software", "speech", "thesis", "webpage"),
}


def paper_or_reason(text: str) -> Paper | str:
    """The paper of a JSON object, or why it gives none."""
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        return "the JSON is nested too deeply."
    except ValueError as error:
        return f"this is not valid JSON: {error}."
    if not isinstance(record, dict):
        return "this is JSON, but no object with title and abstract."
    try:
        return _paper(record)
    except fields.FieldError as error:
        return str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _paper(record: Record) -> Paper:
    """The paper of a record, read by the schema that its keys tell.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    keys = record.keys()
    if any(isinstance(name, str) for name in _list(record.get("authors"))):
        return _own(record)  # no service lists its authors as plain texts
    if "authors_parsed" in keys or {"categories", "update_date"} <= keys:
        return _from_arxiv(record)
    if "paperId" in keys or {"corpusid", "externalids"} <= keys:
        return _from_semantic_scholar(record)
    if keys & {"abstract_inverted_index", "authorships"}:
        return _from_openalex(record)
    if _is_csl(record):
        return _from_csl(record)
    return _own(record)


def _own(record: Record) -> Paper:
    rest = dict(record)
    is_kept = record.get("abstract") == "" and "id" in record
    return Paper(
        id=fields.taken_id(rest),
        title=fields.required(rest, "title"),
        # only a record with an id, which a library wrote, may say that there is no abstract
        abstract=(fields.text if is_kept else fields.required)(rest, "abstract"),
        authors=fields.several(rest, "authors"),
        year=fields.year(rest),
        venue=fields.text(rest, "venue") or None,
        url=fields.web_address(rest),
        doi=fields.normal(rest, "doi"),
        arxiv_id=fields.normal(rest, "arxiv_id"),
        sources=fields.several(rest, "sources"),
        aliases=fields.several(rest, "aliases"),
        metadata=fields.metadata(rest),
    )


def _from_arxiv(record: Record) -> Paper:
    """https://www.kaggle.com/datasets/Cornell-University/arxiv, as arXiv keeps it."""
    arxiv_id = normal_arxiv_id(_text(record.get("id")))
    parsed = [name for name in _list(record.get("authors_parsed")) if isinstance(name, list)]
    names = [" ".join(_texts([*name[1:2], *name[:1], *name[2:3]])) for name in parsed]
    if not names:
        names = re.split(r",\s*(?:and\s+)?|\s+and\s+", _text(record.get("authors")))
    dois = _text(record.get("doi")).split()  # a paper may have several
    return Paper(
        id="",
        title=fields.required(record, "title"),
        abstract=fields.text(record, "abstract"),
        authors=_names(clean_markup(name) for name in names),
        year=_arxiv_year(record, arxiv_id),
        venue=_line(record.get("journal-ref")),
        doi=normal_doi(dois[0]) if dois else None,
        arxiv_id=arxiv_id,
        metadata=_tags(_text(record.get("categories")).split()),
    )


def _arxiv_year(record: Record, arxiv_id: str | None) -> int | None:
    """Of the first version, which the id tells too; `update_date` may be years later."""
    versions = [_dict(version) for version in _list(record.get("versions"))]
    created = _year(versions[0].get("created")) if versions else None
    if created is None and arxiv_id and (found := _ARXIV_YEAR.match(arxiv_id)):
        short = int(found[1])
        created = short + (1900 if short > 90 else 2000)  # arXiv began in 1991
    return created or _year(record.get("update_date"))


def _from_semantic_scholar(record: Record) -> Paper:
    """https://api.semanticscholar.org/api-docs; its bulk files write keys in lower case."""
    other_ids = _dict(record.get("externalIds") or record.get("externalids"))
    journal = _dict(record.get("journal"))
    return Paper(
        id="",
        title=fields.required(record, "title"),
        abstract=fields.text(record, "abstract"),
        authors=_names(_dict(each).get("name") for each in _list(record.get("authors"))),
        year=_year(record.get("year")) or _year(record.get("publicationDate")),
        venue=_line(record.get("venue")) or _line(journal.get("name")),
        url=fields.web_address({"url": _text(record.get("url"))}),
        doi=normal_doi(_text(other_ids.get("DOI"))),
        arxiv_id=normal_arxiv_id(_text(other_ids.get("ArXiv"))),
        metadata=_tags(_list(record.get("fieldsOfStudy"))),
    )


def _from_openalex(record: Record) -> Paper:
    """https://docs.openalex.org/api-entities/works/work-object; older files have `host_venue`."""
    place = _dict(record.get("primary_location"))
    source = _dict(place.get("source")) or _dict(record.get("host_venue"))
    people = [_dict(_dict(each).get("author")) for each in _list(record.get("authorships"))]
    doi = _text(record.get("doi")) or _text(_dict(record.get("ids")).get("doi"))
    page = _text(place.get("landing_page_url")) or _text(record.get("id"))
    keywords = [_dict(each) for each in _list(record.get("keywords"))]
    return Paper(
        id="",
        title=fields.text(record, "title") or fields.required(record, "display_name"),
        abstract=_in_order(record.get("abstract_inverted_index")),
        authors=_names(person.get("display_name") for person in people),
        year=_year(record.get("publication_year")),
        venue=_line(source.get("display_name")),
        url=fields.web_address({"url": page}),
        doi=normal_doi(doi),
        arxiv_id=normal_arxiv_id(page),
        metadata=_tags(each.get("display_name") or each.get("keyword") for each in keywords),
    )


def _in_order(index: object) -> str:
    """The text of an inverted index, which says at which places each word stands.

    >>> _in_order({"rates": [1, 3], "Higher": [0], "beat": [2]})
    'Higher rates beat rates'
    """
    places = [
        (place, word)
        for word, several in _dict(index).items()
        for place in _list(several)
        if isinstance(place, int)
    ]
    return " ".join(word for _, word in sorted(places))


def _is_csl(record: Record) -> bool:
    author = _list(record.get("author"))
    return (
        isinstance(record.get("issued"), dict)
        or "container-title" in record
        or any(_dict(one).keys() & {"family", "given", "literal"} for one in author)
        or _OWN_ID in _dict(record.get("custom"))
        or ("abstract" not in record and _text(record.get("type")) in _CSL_TYPES)
    )


def _from_csl(record: Record) -> Paper:
    """https://docs.citationstyles.org/en/stable/specification.html, appendices III and IV."""
    issued = _dict(record.get("issued"))
    dates = _list(issued.get("date-parts"))
    first = _list(dates[0]) if dates else []
    written = _text(issued.get("literal")) or _text(issued.get("raw"))
    container = record.get("container-title")
    keywords = re.split(r"[,;]", _text(record.get("keyword")))
    address = _text(record.get("URL"))
    return Paper(
        id=carried_id(_dict(record.get("custom")).get(_OWN_ID)),
        title=fields.required(record, "title"),
        abstract=fields.text(record, "abstract"),
        authors=_names(_csl_name(_dict(each)) for each in _list(record.get("author"))),
        year=_year(first[0] if first else written),
        venue=_line(container[0] if isinstance(container, list) and container else container),
        url=fields.web_address({"url": address}),
        doi=normal_doi(_text(record.get("DOI"))),
        arxiv_id=normal_arxiv_id(_text(record.get("number"))) or normal_arxiv_id(address),
        metadata=_tags(keywords),
    )


def _csl_name(name: Record) -> str:
    parts = ("given", "dropping-particle", "non-dropping-particle", "family", "suffix")
    return _text(name.get("literal")) or " ".join(_texts(name.get(part) for part in parts))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _line(value: object) -> str | None:
    return " ".join(_text(value).split()) or None


def _texts(values: Iterable[object]) -> list[str]:
    return [text for value in values if (text := _line(value))]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _names(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(name for name in _texts(values) if name.rstrip(".").lower() not in _AND_OTHERS)


def _tags(values: Iterable[object]) -> dict[str, Any]:
    tags = list(dict.fromkeys(_texts(values)))
    return {"tags": tags} if tags else {}


def _year(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = _YEAR.search(str(value)[:100]) if not isinstance(value, int) or value < 3000 else None
    return int(found[0]) if found else None
