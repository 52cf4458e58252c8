"""Parse one JSON record in the schema of any known service or program.

Each schema has keys of its own: arXiv's metadata snapshot, Semantic Scholar, OpenAlex, CSL-JSON
(Zotero, citeproc) and Crossref. Everything else is read as Papertrail's own schema. The title and
abstract of a foreign record must be strings. Any other field with an unexpected type counts as
missing, and fields that a paper does not have are ignored. The abstract is optional. Keywords,
subjects and categories become metadata["tags"].
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from rag.papers import join_name, normalise_arxiv_id, normalise_doi
from rag.papers.entry_types import PREPRINT
from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.own_records import (
    FieldError,
    find_retraction,
    parse_own_record,
    take_required,
    take_text,
)
from rag.text.markup import clean_markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Record: TypeAlias = dict[str, Any]
AS_NAMED: Mapping[str, str] = MappingProxyType({})

_ARXIV_YEAR = re.compile(r"(?:.*/)?(\d\d)\d\d")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
# In CSL-JSON written by Papertrail.
_OWN_ID, _OWN_TAGS, _OWN_RETRACTION = "papertrail-id", "papertrail-tags", "papertrail-retraction"
_KEY = re.compile(r"(?!\S*://)(?=.*[^\W\d_])[^\s{},\"\\%#~]+(?: [^\s{},\"\\%#~]+)*")
_RETRACTIONS = {"retraction", "partial_retraction", "withdrawal", "removal"}  # of Crossref
# Types of Semantic Scholar, and of OpenAlex where it does not give Crossref's.
_TYPES = {
    "JournalArticle": "article", "Conference": "inproceedings", "BookSection": "incollection",
    "Book": "book", "Dataset": "dataset", "review": "article", "letter": "article",
}  # fmt: skip
# CSL's names that mean another type in BibTeX or in BibLaTeX.
_CSL_NAMES = {"article": PREPRINT, "thesis": "phdthesis", "report": "techreport"}
_CSL_TYPES = {
    *("article", "article-journal", "article-magazine", "article-newspaper", "book", "chapter"),
    *("dataset", "document", "manuscript", "paper-conference", "post", "post-weblog", "report"),
    *("software", "speech", "thesis", "webpage"),
}


def parse_record(source: str, columns: Mapping[str, str] = AS_NAMED) -> RawRecord | str:
    """Parse a JSON object into a record, or return the reason for refusal.

    Args:
        source: the object as JSON.
        columns: the record's key of each mapped field.
    """
    try:
        record = json.loads(source, parse_constant=_refuse_constant)
    except RecursionError:
        return "the JSON is nested too deeply."
    except ValueError as error:
        return f"this is not valid JSON: {error}."
    if not isinstance(record, dict):
        return "this is JSON, but not an object with a title and an abstract."
    if "\\u" in source and _HALF_CHARACTER.search(source) and not _is_storable(record):
        return "it contains half of an escaped character (\\ud800 to \\udfff). Fix or remove it."
    try:
        return _parse_schema(_map_columns(record, columns) if columns else record)
    except FieldError as error:
        return str(error)


def _map_columns(record: Record, columns: Mapping[str, str]) -> Record:
    mapped = {field: record[key] for field, key in columns.items() if key in record}
    return {key: record[key] for key in record if key not in columns.values()} | mapped


def _is_storable(record: Record) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _parse_schema(record: Record) -> RawRecord:
    """Parse a record by the schema that its keys belong to.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    if _dict(record.get("message")).get("DOI"):  # Crossref's answer for a single work
        record = record["message"]
    keys = record.keys()
    if any(isinstance(name, str) for name in _list(record.get("authors"))):
        return parse_own_record(record)  # no service lists its authors as strings
    if "authors_parsed" in keys or {"categories", "update_date"} <= keys:
        return _from_arxiv(record)
    if "paperId" in keys or {"corpusid", "externalids"} <= keys:
        return _from_semantic_scholar(record)
    if keys & {"abstract_inverted_index", "authorships"}:
        return _from_openalex(record)
    if _is_csl(record):
        return _from_csl(record)
    return parse_own_record(record)


def _from_arxiv(record: Record) -> RawRecord:
    """Parse arXiv's snapshot: https://www.kaggle.com/datasets/Cornell-University/arxiv."""
    arxiv_id = normalise_arxiv_id(_text(record.get("id")))
    parsed = [name for name in _list(record.get("authors_parsed")) if isinstance(name, list)]
    names = [" ".join(_texts([*name[1:2], *name[:1], *name[2:3]])) for name in parsed]
    if not names:
        names = re.split(r",\s*(?:and\s+)?|\s+and\s+", _text(record.get("authors")))
    dois = _text(record.get("doi")).split()  # a paper may have several
    return RawRecord(
        id="",
        title=take_required(record, "title"),
        abstract=take_text(record, "abstract"),
        authors=fields.read_people(clean_markup(name) for name in names),
        year=_find_arxiv_year(record, arxiv_id),
        venue=_line(record.get("journal-ref")),
        doi=fields.find_doi(*dois),
        arxiv_id=arxiv_id,
        metadata=fields.make_tags(_text(record.get("categories")).split()),
        entry_type=PREPRINT,
    )


def _find_arxiv_year(record: Record, arxiv_id: str | None) -> int | None:
    """Return the year of the first version, else that of the id, else of `update_date`."""
    versions = [_dict(version) for version in _list(record.get("versions"))]
    created = _find_year(versions[0].get("created")) if versions else None
    if created is None and arxiv_id and (found := _ARXIV_YEAR.match(arxiv_id)):
        short = int(found[1])
        created = short + (1900 if short > 90 else 2000)  # arXiv began in 1991
    return created or _find_year(record.get("update_date"))


def _from_semantic_scholar(record: Record) -> RawRecord:
    """Parse https://api.semanticscholar.org/api-docs. Bulk files have lower-case keys."""
    other_ids = _dict(record.get("externalIds") or record.get("externalids"))
    journal = _dict(record.get("journal"))
    kinds = _texts(_list(record.get("publicationTypes")))
    return RawRecord(
        id="",
        title=take_required(record, "title"),
        abstract=take_text(record, "abstract"),
        authors=_read_people(_dict(each).get("name") for each in _list(record.get("authors"))),
        year=_find_year(record.get("year")) or _find_year(record.get("publicationDate")),
        venue=_line(record.get("venue")) or _line(journal.get("name")),
        url=fields.find_url(_text(record.get("url"))),
        doi=normalise_doi(_text(other_ids.get("DOI"))),
        arxiv_id=normalise_arxiv_id(_text(other_ids.get("ArXiv"))),
        metadata={
            **fields.make_details(
                volume=_detail(journal.get("volume")),
                pages="".join(_detail(journal.get("pages")).split()),
                month=_find_month(record.get("publicationDate")),
            ),
            **fields.make_tags(_texts(_list(record.get("fieldsOfStudy")))),
        },
        entry_type=next((_TYPES[name] for name in kinds if name in _TYPES), None),
    )


def _from_openalex(record: Record) -> RawRecord:
    """Parse https://docs.openalex.org/api-entities/works/work-object, also with `host_venue`."""
    place = _dict(record.get("primary_location"))
    source = _dict(place.get("source")) or _dict(record.get("host_venue"))
    people = [_dict(_dict(each).get("author")) for each in _list(record.get("authorships"))]
    doi = _text(record.get("doi")) or _text(_dict(record.get("ids")).get("doi"))
    page = _text(place.get("landing_page_url")) or _text(record.get("id"))
    keywords = [_dict(each) for each in _list(record.get("keywords"))]
    return RawRecord(
        id="",
        title=take_text(record, "title") or take_required(record, "display_name"),
        abstract=_restore_text(record.get("abstract_inverted_index")),
        authors=_read_people(person.get("display_name") for person in people),
        year=_find_year(record.get("publication_year")),
        venue=_line(source.get("display_name")),
        url=fields.find_url(page),
        doi=normalise_doi(doi),
        arxiv_id=normalise_arxiv_id(page),
        metadata={
            **_read_openalex_details(record, source),
            **fields.make_tags(
                _texts(each.get("display_name") or each.get("keyword") for each in keywords)
            ),
        },
        entry_type=_find_openalex_type(record),
        retraction=find_retraction(record),
    )


def _find_openalex_type(record: Record) -> str | None:
    kind = _text(record.get("type_crossref") or record.get("type"))
    return _TYPES.get(kind, kind) or None


def _read_openalex_details(record: Record, source: Record) -> dict[str, Any]:
    details, date = _dict(record.get("biblio")), _text(record.get("publication_date"))
    ends = [details.get("first_page"), details.get("last_page")]
    return fields.make_details(
        volume=_detail(details.get("volume")),
        issue=_detail(details.get("issue")),
        pages="-".join(dict.fromkeys(_texts(ends))),
        publisher=_text(source.get("host_organization_name") or source.get("publisher")),
        # OpenAlex gives the first of January where only the year is known.
        month="" if date.endswith("-01-01") else _find_month(date),
    )


def _restore_text(index: object) -> str:
    """Restore a text from its inverted index, which lists the positions of each word.

    >>> _restore_text({"rates": [1, 3], "Higher": [0], "beat": [2]})
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


def _from_csl(record: Record) -> RawRecord:
    """Parse CSL-JSON, or a work of Crossref, which has lists for single values.

    https://docs.citationstyles.org/en/stable/specification.html, appendices III and IV;
    https://api.crossref.org/swagger-ui/index.html.
    """
    issued = _dict(record.get("issued"))
    date = _take_first(_list(issued.get("date-parts")))
    text = _text(issued.get("literal")) or _text(issued.get("raw"))
    custom = _dict(record.get("custom"))
    keywords = _texts(_list(custom.get(_OWN_TAGS))) or fields.split_keywords(
        _text(record.get("keyword"))
    )
    keywords += _texts(_list(record.get("subject")))
    doi, address = _text(record.get("DOI")), _text(record.get("URL"))
    kind = _text(record.get("type"))
    title, subtitle = (
        _take_first(record.get("title")),
        _line(_take_first(_list(record.get("subtitle")))),
    )
    whole = take_required({"title": title}, "title")
    return RawRecord(
        id=fields.parse_own_id(custom.get(_OWN_ID)),
        title=f"{whole}: {subtitle}" if subtitle and subtitle not in whole else whole,
        abstract=take_text(record, "abstract"),
        authors=_read_csl_names(record.get("author")),
        year=_find_year(_take_first(date) if date else text),
        venue=_line(_take_first(record.get("container-title"))),
        url=fields.find_url(address),
        doi=normalise_doi(doi),
        arxiv_id=normalise_arxiv_id(_text(record.get("number")))
        or fields.find_arxiv_id(doi, address),
        metadata={**_read_csl_details(record, issued), **fields.make_tags(keywords)},
        citation_key=_find_key(record.get("citation-key"), record.get("id")),
        entry_type=_CSL_NAMES.get(kind, kind) or None,
        retraction=_text(custom.get(_OWN_RETRACTION)) or _find_crossref_retraction(record),
    )


def _read_csl_details(record: Record, issued: Record) -> dict[str, Any]:
    date = _list(_take_first(_list(issued.get("date-parts"))))
    return fields.make_details(
        volume=_detail(record.get("volume")),
        issue=_detail(record.get("issue")),
        pages=_detail(record.get("page") or record.get("article-number")),
        publisher=_text(record.get("publisher")),
        editors=_read_csl_names(record.get("editor")),
        month=_detail(date[1]) if len(date) > 1 else _text(issued.get("season")),
    )


def _find_crossref_retraction(record: Record) -> str | None:
    """Return the notice by which a work of Crossref was retracted.

    A notice itself names the work that it retracts as "update-to".
    """
    own = [_dict(each) for each in _list(record.get("update-to"))]
    notices = [
        *(_dict(each) for each in _list(record.get("updated-by"))),
        *(
            each
            for each in own
            if _text(each.get("DOI")).lower() == _text(record.get("DOI")).lower()
        ),
    ]
    for notice in notices:
        if _text(notice.get("type")).lower() in _RETRACTIONS:
            return f"Retracted in: {_text(notice.get('DOI'))}"
    return None


def _find_key(*values: object) -> str | None:
    """Return the first text that can be a citation key. Zotero's ids are addresses."""
    return next((key for value in values if _KEY.fullmatch(key := _text(value))), None)


def _read_csl_names(names: object) -> tuple[str, ...]:
    return _read_people(_join_csl_name(_dict(each)) for each in _list(names))


def _join_csl_name(name: Record) -> str:
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


def _detail(value: object) -> str:
    """Return a text or a number as text."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else _text(value)


def _find_month(date: object) -> str:
    """Return the month of a date like "2019-03-12", or ""."""
    return "".join(_text(date).split("-")[1:2])


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _take_first(value: object) -> object:
    """Return the first of a list, None for an empty one, or a value that is not a list."""
    return next(iter(value), None) if isinstance(value, list) else value


def _dict(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _read_people(values: Iterable[object]) -> tuple[str, ...]:
    return fields.read_people(_texts(values))


def _find_year(value: object) -> int | None:
    is_plain = isinstance(value, int | str) and not isinstance(value, bool)
    return fields.find_year(str(value)[:100]) if is_plain else None
