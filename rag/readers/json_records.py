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

from rag.papers import normalise_arxiv_id, normalise_doi
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
    if "\\u" in source and _HALF_CHARACTER.search(source) and not fields.is_storable(record):
        return fields.HALF_CHARACTER
    try:
        return _parse_schema(_map_columns(record, columns) if columns else record)
    except FieldError as error:
        return str(error)


def _map_columns(record: Record, columns: Mapping[str, str]) -> Record:
    mapped = {field: record[key] for field, key in columns.items() if key in record}
    return {key: record[key] for key in record if key not in columns.values()} | mapped


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _parse_schema(record: Record) -> RawRecord:
    """Parse a record by the schema that its keys belong to.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    if _get(record, "message", "DOI"):  # Crossref's answer for a single work
        record = record["message"]
    keys = record.keys()
    if any(isinstance(name, str) for name in _list(record, "authors")):
        return parse_own_record(record)  # no service lists its authors as strings
    if "authors_parsed" in keys or {"categories", "update_date"} <= keys:
        return _from_arxiv(record)
    if "paperId" in keys or {"corpusid", "externalids"} <= keys:
        return _from_semantic_scholar(record)
    if keys & {"abstract_inverted_index", "authorships"}:
        return _from_openalex(record)
    return _from_csl(record) if _is_csl(record) else parse_own_record(record)


def _from_arxiv(record: Record) -> RawRecord:
    """Parse arXiv's snapshot: https://www.kaggle.com/datasets/Cornell-University/arxiv."""
    arxiv_id = normalise_arxiv_id(_text(record, "id"))
    parsed = [name for name in _list(record, "authors_parsed") if isinstance(name, list)]
    names = [" ".join(_texts([*name[1:2], *name[:1], *name[2:3]])) for name in parsed]
    if not names:
        names = re.split(r",\s*(?:and\s+)?|\s+and\s+", _text(record, "authors"))
    dois = _text(record, "doi").split()  # a paper may have several
    return RawRecord(
        id="",
        title=take_required(record, "title"),
        abstract=take_text(record, "abstract"),
        authors=fields.read_people(clean_markup(name) for name in names),
        year=_find_arxiv_year(record, arxiv_id),
        venue=_line(record, "journal-ref"),
        doi=fields.find_doi(*dois),
        arxiv_id=arxiv_id,
        metadata=fields.make_details(tags=_text(record, "categories").split()),
        entry_type=PREPRINT,
    )


def _find_arxiv_year(record: Record, arxiv_id: str | None) -> int | None:
    """Return the year of the first version, else that of the id, else of `update_date`."""
    versions = _list(record, "versions")
    created = _find_year(versions[0], "created") if versions else None
    if created is None and arxiv_id and (found := _ARXIV_YEAR.match(arxiv_id)):
        short = int(found[1])
        created = short + (1900 if short > 90 else 2000)  # arXiv began in 1991
    return created or _find_year(record, "update_date")


def _from_semantic_scholar(record: Record) -> RawRecord:
    """Parse https://api.semanticscholar.org/api-docs. Bulk files have lower-case keys."""
    other_ids = record.get("externalIds") or record.get("externalids")
    kinds = _texts(_list(record, "publicationTypes"))
    return RawRecord(
        id="",
        title=take_required(record, "title"),
        abstract=take_text(record, "abstract"),
        authors=_read_people(_list(record, "authors"), "name"),
        year=_find_year(record, "year") or _find_year(record, "publicationDate"),
        venue=_line(record, "venue") or _line(record, "journal", "name"),
        url=fields.find_url(_text(record, "url")),
        doi=normalise_doi(_text(other_ids, "DOI")),
        arxiv_id=normalise_arxiv_id(_text(other_ids, "ArXiv")),
        metadata=fields.make_details(
            tags=_texts(_list(record, "fieldsOfStudy")),
            volume=_detail(record, "journal", "volume"),
            pages="".join(_detail(record, "journal", "pages").split()),
            month=_find_month(_text(record, "publicationDate")),
        ),
        entry_type=next((_TYPES[name] for name in kinds if name in _TYPES), None),
    )


def _from_openalex(record: Record) -> RawRecord:
    """Parse https://docs.openalex.org/api-entities/works/work-object, also with `host_venue`."""
    source = _get(record, "primary_location", "source") or record.get("host_venue")
    page = _text(record, "primary_location", "landing_page_url") or _text(record, "id")
    keywords = _list(record, "keywords")
    kind = _text(record, "type_crossref") or _text(record, "type")
    ends = [_get(record, "biblio", "first_page"), _get(record, "biblio", "last_page")]
    date = _text(record, "publication_date")
    return RawRecord(
        id="",
        title=take_text(record, "title") or take_required(record, "display_name"),
        abstract=_restore_text(record.get("abstract_inverted_index")),
        authors=_read_people(_list(record, "authorships"), "author", "display_name"),
        year=_find_year(record, "publication_year"),
        venue=_line(source, "display_name"),
        url=fields.find_url(page),
        doi=normalise_doi(_text(record, "doi") or _text(record, "ids", "doi")),
        arxiv_id=normalise_arxiv_id(page),
        metadata=fields.make_details(
            tags=(_text(each, "display_name") or _text(each, "keyword") for each in keywords),
            volume=_detail(record, "biblio", "volume"),
            issue=_detail(record, "biblio", "issue"),
            pages="-".join(dict.fromkeys(_texts(ends))),
            publisher=_text(source, "host_organization_name") or _text(source, "publisher"),
            # OpenAlex gives the first of January where only the year is known.
            month="" if date.endswith("-01-01") else _find_month(date),
        ),
        entry_type=_TYPES.get(kind, kind) or None,
        retraction=find_retraction(record),
    )


def _restore_text(index: object) -> str:
    """Restore a text from its inverted index, which lists the positions of each word.

    >>> _restore_text({"rates": [1, 3], "Higher": [0], "beat": [2]})
    'Higher rates beat rates'
    """
    several = index.items() if isinstance(index, dict) else ()
    places = [
        (place, word) for word, found in several for place in _list(found) if isinstance(place, int)
    ]
    return " ".join(word for _, word in sorted(places))


def _is_csl(record: Record) -> bool:
    return (
        isinstance(record.get("issued"), dict)
        or "container-title" in record
        or any(
            _get(one, part) is not None
            for one in _list(record, "author")
            for part in ("family", "given", "literal")
        )
        or _get(record, "custom", _OWN_ID) is not None
        or ("abstract" not in record and _text(record, "type") in _CSL_TYPES)
    )


def _from_csl(record: Record) -> RawRecord:
    """Parse CSL-JSON, or a work of Crossref, which has lists for single values.

    https://docs.citationstyles.org/en/stable/specification.html, appendices III and IV;
    https://api.crossref.org/swagger-ui/index.html.
    """
    date = _take_first(_get(record, "issued", "date-parts"))
    year, month = (*date, None, None)[:2] if isinstance(date, list) else (date, None)
    keywords = _texts(_list(record, "custom", _OWN_TAGS)) or fields.split_keywords(
        _text(record, "keyword")
    )
    doi, address, kind = _text(record, "DOI"), _text(record, "URL"), _text(record, "type")
    title = take_required({"title": _take_first(record.get("title"))}, "title")
    subtitle = _line(_take_first(_list(record, "subtitle")))
    return RawRecord(
        id=fields.parse_own_id(_get(record, "custom", _OWN_ID)),
        title=f"{title}: {subtitle}" if subtitle and subtitle not in title else title,
        abstract=take_text(record, "abstract"),
        authors=_read_csl_names(record, "author"),
        year=_find_year(year)
        if date
        else _find_year(record, "issued", "literal") or _find_year(record, "issued", "raw"),
        venue=_line(_take_first(record.get("container-title"))),
        url=fields.find_url(address),
        doi=normalise_doi(doi),
        arxiv_id=normalise_arxiv_id(_text(record, "number")) or fields.find_arxiv_id(doi, address),
        metadata=fields.make_details(
            tags=[*keywords, *_texts(_list(record, "subject"))],
            volume=_detail(record, "volume"),
            issue=_detail(record, "issue"),
            pages=_detail(record, "page") or _detail(record, "article-number"),
            publisher=_text(record, "publisher"),
            editors=_read_csl_names(record, "editor"),
            month=_detail(month) or _text(record, "issued", "season"),
        ),
        citation_key=_find_key(_text(record, "citation-key"), _text(record, "id")),
        entry_type=_CSL_NAMES.get(kind, kind) or None,
        retraction=_text(record, "custom", _OWN_RETRACTION) or _find_crossref_retraction(record),
    )


def _find_crossref_retraction(record: Record) -> str | None:
    """Return the notice by which a work of Crossref was retracted.

    A notice itself names the work that it retracts as "update-to".
    """
    doi = _text(record, "DOI").lower()
    own = [each for each in _list(record, "update-to") if _text(each, "DOI").lower() == doi]
    for notice in (*_list(record, "updated-by"), *own):
        if _text(notice, "type").lower() in _RETRACTIONS:
            return f"Retracted in: {_text(notice, 'DOI')}"
    return None


def _find_key(*texts: str) -> str | None:
    """Return the first text that can be a citation key. Zotero's ids are addresses."""
    return next(filter(_KEY.fullmatch, texts), None)


def _read_csl_names(record: Record, role: str) -> tuple[str, ...]:
    return fields.read_people(map(_join_csl_name, _list(record, role)))


def _join_csl_name(name: object) -> str:
    whole = _text(name, "literal") or _text(name, "name")
    given, family = (
        " ".join(_texts(_get(name, part) for part in parts))
        for parts in (("given", "dropping-particle"), ("non-dropping-particle", "family"))
    )
    return whole or fields.join_parts(given, family, _text(name, "suffix"))


def _get(value: object, *path: str) -> Any:
    """Return the value under a path of keys, None if there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object, *path: str) -> str:
    found = _get(value, *path)
    return found.strip() if isinstance(found, str) else ""


def _line(value: object, *path: str) -> str | None:
    return fields.collapse_space(_text(value, *path)) or None


def _texts(values: Iterable[object]) -> list[str]:
    return [line for line in map(_line, values) if line]


def _list(value: object, *path: str) -> list[Any]:
    found = _get(value, *path)
    return found if isinstance(found, list) else []


def _take_first(value: object) -> object:
    """Return the first of a list, None for an empty one, or a value that is not a list."""
    return next(iter(value), None) if isinstance(value, list) else value


def _detail(value: object, *path: str) -> str:
    """Return a text or a number as text."""
    found = _get(value, *path)
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return str(found) if is_number else _text(found)


def _find_month(date: str) -> str:
    """Return the month of a date like "2019-03-12", or ""."""
    return "".join(date.split("-")[1:2])


def _find_year(value: object, *path: str) -> int | None:
    return fields.find_year(_detail(value, *path)[:100])


def _read_people(people: list[Any], *path: str) -> tuple[str, ...]:
    return fields.read_people(_text(each, *path) for each in people)
