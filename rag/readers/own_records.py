"""Parse Papertrail's own JSON records.

Keys without a field in a paper become metadata. `rag.readers.json_records` uses some functions too.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rag.papers import normalise_arxiv_id, normalise_doi
from rag.readers import fields
from rag.readers.fields import RawRecord


class FieldError(Exception):
    """Missing field or wrong type; the message is the reason for refusal."""


def parse_own_record(record: dict[str, Any]) -> RawRecord:
    """Parse a record.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    rest = dict(record)
    address = take_text(rest, "url")
    elsewhere = "" if "sources" in rest else address  # an export of ours has what is known
    return RawRecord(
        id=_take_id(rest),
        title=take_required(rest, "title"),
        abstract=take_text(rest, "abstract"),
        authors=_take_authors(rest),
        year=_take_year(rest),
        venue=take_text(rest, "venue") or None,
        url=fields.find_url(address),
        doi=_take_identifier(rest, "doi") or fields.find_doi(elsewhere),
        arxiv_id=_take_identifier(rest, "arxiv_id") or fields.find_arxiv_id(elsewhere),
        sources=_take_list(rest, "sources"),
        aliases=_take_list(rest, "aliases"),
        citation_key=_take_string(rest, "citation_key"),
        entry_type=_take_string(rest, "entry_type"),
        retraction=_take_string(rest, "retraction") or find_retraction(rest),
        metadata=_take_metadata(rest),
    )


def take_required(rest: dict[str, Any], name: str) -> str:
    """Take a non-empty text out of the record.

    Raises:
        FieldError: it is missing, empty or not a string.
    """
    found = take_text(rest, name)
    if not found:
        raise FieldError(f'the field "{name}" is missing or empty.')
    return found


def take_text(rest: dict[str, Any], name: str) -> str:
    """Take a text out of the record, or "" if there is none."""
    found = rest.pop(name, None)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise FieldError(f'the field "{name}" must be a string, not {json.dumps(found)[:40]}.')
    return found.strip()


def _take_string(rest: dict[str, Any], name: str) -> str | None:
    """Take a text out of the record. Leave a value of another type in the metadata."""
    return take_text(rest, name) or None if isinstance(rest.get(name), str) else None


def find_retraction(record: dict[str, Any]) -> str | None:
    """Return the mark of a record that is retracted by the field of OpenAlex."""
    return "Retracted" if record.get("is_retracted") is True else None


def _take_list(rest: dict[str, Any], name: str) -> tuple[str, ...]:
    """Take a list of strings out of the record. One string counts as a list of one."""
    given = rest.pop(name, None) or []
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise FieldError(f'the field "{name}" must be a list of strings.')
    return tuple(one.strip() for one in several if one.strip())


def _take_authors(rest: dict[str, Any]) -> tuple[str, ...]:
    """Take the authors. A comma separates the family name, except in Papertrail's own exports.

    Only these have sources.
    """
    given = rest.get("authors")
    if isinstance(given, str):
        rest["authors"] = fields.split_names(given, single=False)
    names = _take_list(rest, "authors")
    return fields.read_people(names) if "sources" in rest else fields.read_authors(names)


def _take_year(rest: dict[str, Any]) -> int | None:
    """Take the year, of three or four digits, or None if there is none."""
    given = rest.pop("year", None)
    if given is None or given == "":
        return None
    year = str(given).strip().removesuffix(".0")  # tables with gaps turn 2017 into 2017.0
    if isinstance(given, bool) or not re.fullmatch(r"[0-9]{3,4}", year):
        raise FieldError(f'the field "year" must be a year, not {json.dumps(given)[:40]}.')
    return int(year)


def _take_id(rest: dict[str, Any]) -> str:
    """Take the id. If it is not usable, return "" and leave it in the metadata."""
    given = rest.pop("id", None)
    known = fields.parse_own_id(given)
    if not known and given not in (None, ""):
        rest["id"] = given
    return known


def _take_identifier(rest: dict[str, Any], name: str) -> str | None:
    """Take a DOI or arXiv id, normalised. Leave an invalid one in the metadata."""
    found = take_text(rest, name)
    known = (normalise_doi if name == "doi" else normalise_arxiv_id)(found)
    if found and known is None:
        rest[name] = found
    return known


def _take_metadata(rest: dict[str, Any]) -> dict[str, Any]:
    """Return the rest of the record, joined with its object of metadata."""
    inner = rest.pop("metadata", None) or {}
    if not isinstance(inner, dict):
        raise FieldError('the field "metadata" must be an object.')
    return {**rest, **inner}
