"""One JSON record as a paper, whichever of the known services or programs wrote it.

The schemas are told apart by keys that only they have: arXiv's metadata snapshot, Semantic Scholar,
OpenAlex, CSL-JSON (Zotero, citeproc) and Crossref, and, where none of these fits, Papertrail's own.
Of a foreign record the title and abstract must be texts; another field that is not as its service
documents it counts as missing, and fields without a place in a paper are left out. Any record may
lack its abstract. Keywords, subjects and categories become metadata["tags"].

Called by `rag.readers.json_lines` and `rag.readers.json_array`.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from rag.papers import join_name, normalise_arxiv_id, normalise_doi
from rag.readers import fields
from rag.readers.fields import Found
from rag.readers.own_records import FieldError, own_paper, required, text
from rag.text.markup import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Record: TypeAlias = dict[str, Any]
AS_NAMED: Mapping[str, str] = MappingProxyType({})

_ARXIV_YEAR = re.compile(r"(?:.*/)?(\d\d)\d\d")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_OWN_ID, _OWN_TAGS = "papertrail-id", "papertrail-tags"  # in CSL-JSON that Papertrail wrote
_CSL_TYPES = {
    *("article", "article-journal", "article-magazine", "article-newspaper", "book", "chapter"),
    *("dataset", "document", "manuscript", "paper-conference", "post", "post-weblog", "report"),
    *("software", "speech", "thesis", "webpage"),
}


def paper_or_reason(written: str, columns: Mapping[str, str] = AS_NAMED) -> Found | str:
    """The paper of a JSON object, or why it gives none.

    Args:
        written: the object.
        columns: fields of a paper with the keys under which the record has them.
    """
    try:
        record = json.loads(written, parse_constant=_refuse_constant)
    except RecursionError:
        return "the JSON is nested too deeply."
    except ValueError as error:
        return f"this is not valid JSON: {error}."
    if not isinstance(record, dict):
        return "this is JSON, but no object with title and abstract."
    if "\\u" in written and _HALF_CHARACTER.search(written) and not _is_storable(record):
        return "it holds one half of an escaped character (\\ud800 to \\udfff); mend or remove it."
    if columns:
        named = {field: record[key] for field, key in columns.items() if key in record}
        record = {key: record[key] for key in record if key not in columns.values()} | named
    try:
        return _paper(record)
    except FieldError as error:
        return str(error)


def _is_storable(record: Record) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _paper(record: Record) -> Found:
    """The paper of a record, read by the schema that its keys tell.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    if _dict(record.get("message")).get("DOI"):  # Crossref's answer with a single work
        record = record["message"]
    keys = record.keys()
    if any(isinstance(name, str) for name in _list(record.get("authors"))):
        return own_paper(record)  # no service lists its authors as plain texts
    if "authors_parsed" in keys or {"categories", "update_date"} <= keys:
        return _from_arxiv(record)
    if "paperId" in keys or {"corpusid", "externalids"} <= keys:
        return _from_semantic_scholar(record)
    if keys & {"abstract_inverted_index", "authorships"}:
        return _from_openalex(record)
    if _is_csl(record):
        return _from_csl(record)
    return own_paper(record)


def _from_arxiv(record: Record) -> Found:
    """https://www.kaggle.com/datasets/Cornell-University/arxiv, as arXiv keeps it."""
    arxiv_id = normalise_arxiv_id(_text(record.get("id")))
    parsed = [name for name in _list(record.get("authors_parsed")) if isinstance(name, list)]
    names = [" ".join(_texts([*name[1:2], *name[:1], *name[2:3]])) for name in parsed]
    if not names:
        names = re.split(r",\s*(?:and\s+)?|\s+and\s+", _text(record.get("authors")))
    dois = _text(record.get("doi")).split()  # a paper may have several
    return Found(
        id="",
        title=required(record, "title"),
        abstract=text(record, "abstract"),
        authors=fields.people(clean_markup(name) for name in names),
        year=_arxiv_year(record, arxiv_id),
        venue=_line(record.get("journal-ref")),
        doi=fields.doi(*dois),
        arxiv_id=arxiv_id,
        metadata=fields.tags(_text(record.get("categories")).split()),
    )


def _arxiv_year(record: Record, arxiv_id: str | None) -> int | None:
    """Of the first version, which the id tells too; `update_date` may be years later."""
    versions = [_dict(version) for version in _list(record.get("versions"))]
    created = _year(versions[0].get("created")) if versions else None
    if created is None and arxiv_id and (found := _ARXIV_YEAR.match(arxiv_id)):
        short = int(found[1])
        created = short + (1900 if short > 90 else 2000)  # arXiv began in 1991
    return created or _year(record.get("update_date"))


def _from_semantic_scholar(record: Record) -> Found:
    """https://api.semanticscholar.org/api-docs; its bulk files write keys in lower case."""
    other_ids = _dict(record.get("externalIds") or record.get("externalids"))
    journal = _dict(record.get("journal"))
    return Found(
        id="",
        title=required(record, "title"),
        abstract=text(record, "abstract"),
        authors=_people(_dict(each).get("name") for each in _list(record.get("authors"))),
        year=_year(record.get("year")) or _year(record.get("publicationDate")),
        venue=_line(record.get("venue")) or _line(journal.get("name")),
        url=fields.web_address(_text(record.get("url"))),
        doi=normalise_doi(_text(other_ids.get("DOI"))),
        arxiv_id=normalise_arxiv_id(_text(other_ids.get("ArXiv"))),
        metadata=fields.tags(_texts(_list(record.get("fieldsOfStudy")))),
    )


def _from_openalex(record: Record) -> Found:
    """https://docs.openalex.org/api-entities/works/work-object; older files have `host_venue`."""
    place = _dict(record.get("primary_location"))
    source = _dict(place.get("source")) or _dict(record.get("host_venue"))
    people = [_dict(_dict(each).get("author")) for each in _list(record.get("authorships"))]
    doi = _text(record.get("doi")) or _text(_dict(record.get("ids")).get("doi"))
    page = _text(place.get("landing_page_url")) or _text(record.get("id"))
    keywords = [_dict(each) for each in _list(record.get("keywords"))]
    return Found(
        id="",
        title=text(record, "title") or required(record, "display_name"),
        abstract=_in_order(record.get("abstract_inverted_index")),
        authors=_people(person.get("display_name") for person in people),
        year=_year(record.get("publication_year")),
        venue=_line(source.get("display_name")),
        url=fields.web_address(page),
        doi=normalise_doi(doi),
        arxiv_id=normalise_arxiv_id(page),
        metadata=fields.tags(
            _texts(each.get("display_name") or each.get("keyword") for each in keywords)
        ),
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


def _from_csl(record: Record) -> Found:
    """CSL-JSON, and the works of Crossref, which are the same with lists for single values.

    https://docs.citationstyles.org/en/stable/specification.html, appendices III and IV;
    https://api.crossref.org/swagger-ui/index.html.
    """
    issued = _dict(record.get("issued"))
    date = _first(_list(issued.get("date-parts")))
    written = _text(issued.get("literal")) or _text(issued.get("raw"))
    custom = _dict(record.get("custom"))
    keywords = _texts(_list(custom.get(_OWN_TAGS))) or fields.keywords(_text(record.get("keyword")))
    keywords += _texts(_list(record.get("subject")))
    doi, address = _text(record.get("DOI")), _text(record.get("URL"))
    title, subtitle = _first(record.get("title")), _line(_first(_list(record.get("subtitle"))))
    whole = required({"title": title}, "title")
    return Found(
        id=fields.carried_id(custom.get(_OWN_ID)),
        title=f"{whole}: {subtitle}" if subtitle and subtitle not in whole else whole,
        abstract=text(record, "abstract"),
        authors=_people(_csl_name(_dict(each)) for each in _list(record.get("author"))),
        year=_year(_first(date) if date else written),
        venue=_line(_first(record.get("container-title"))),
        url=fields.web_address(address),
        doi=normalise_doi(doi),
        arxiv_id=normalise_arxiv_id(_text(record.get("number"))) or fields.arxiv_id(doi, address),
        metadata=fields.tags(keywords),
    )


def _csl_name(name: Record) -> str:
    parts = ("dropping-particle", "non-dropping-particle", "family", "suffix")
    whole = _text(name.get("literal")) or _text(name.get("name"))
    family = " ".join(_texts(name.get(part) for part in parts))
    return whole or join_name(_text(name.get("given")), family)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _line(value: object) -> str | None:
    return " ".join(_text(value).split()) or None


def _texts(values: Iterable[object]) -> list[str]:
    return [line for value in values if (line := _line(value))]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: object) -> object:
    """The first of a list, None of an empty one; anything else is itself."""
    return next(iter(value), None) if isinstance(value, list) else value


def _dict(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _people(values: Iterable[object]) -> tuple[str, ...]:
    return fields.people(_texts(values))


def _year(value: object) -> int | None:
    is_plain = isinstance(value, int | str) and not isinstance(value, bool)
    return fields.year(str(value)[:100]) if is_plain else None
