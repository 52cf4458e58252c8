"""Papertrail's own JSON records, with what is wrong said in a sentence.

What a paper has no field for becomes its metadata. Called by `rag.readers.json_records`, which also
takes the texts of foreign records here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rag.papers import normalise_arxiv_id, normalise_doi
from rag.readers import fields
from rag.readers.fields import Found


class FieldError(Exception):
    """A field is missing or of the wrong type; the message is the reason to refuse the record."""


def own_paper(record: dict[str, Any]) -> Found:
    """The paper of a record.

    Raises:
        FieldError: a field is missing or of the wrong type.
    """
    rest = dict(record)
    return Found(
        id=_taken_id(rest),
        title=required(rest, "title"),
        abstract=text(rest, "abstract"),
        authors=_authors(rest),
        year=_year(rest),
        venue=text(rest, "venue") or None,
        url=fields.web_address(text(rest, "url")),
        doi=_normal(rest, "doi"),
        arxiv_id=_normal(rest, "arxiv_id"),
        sources=_several(rest, "sources"),
        aliases=_several(rest, "aliases"),
        metadata=_metadata(rest),
    )


def required(rest: dict[str, Any], name: str) -> str:
    """Takes a text that may not be empty.

    Raises:
        FieldError: it is missing, empty or no text.
    """
    found = text(rest, name)
    if not found:
        raise FieldError(f'the field "{name}" is missing or empty.')
    return found


def text(rest: dict[str, Any], name: str) -> str:
    """Takes a text out of the record; "" where there is none."""
    found = rest.pop(name, None)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise FieldError(f'the field "{name}" must be a text, not {json.dumps(found)[:40]}.')
    return found.strip()


def _several(rest: dict[str, Any], name: str) -> tuple[str, ...]:
    """Takes a list of texts out of the record; one text counts as a list of one."""
    given = rest.pop(name, None) or []
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise FieldError(f'the field "{name}" must be a list of texts.')
    return tuple(one.strip() for one in several if one.strip())


def _authors(rest: dict[str, Any]) -> tuple[str, ...]:
    """Takes the authors; a comma turns a name round, but for what Papertrail wrote itself.

    Only its own records tell their sources.
    """
    given = rest.get("authors")
    if isinstance(given, str):
        rest["authors"] = fields.names_in(given, single=False)
    names = _several(rest, "authors")
    return fields.people(names) if "sources" in rest else fields.authors(names)


def _year(rest: dict[str, Any]) -> int | None:
    """Takes the year, of three or four digits; None where there is none."""
    given = rest.pop("year", None)
    if given is None or given == "":
        return None
    written = str(given).strip().removesuffix(".0")  # tables with gaps make 2017.0 of 2017
    if isinstance(given, bool) or not re.fullmatch(r"[0-9]{3,4}", written):
        raise FieldError(f'the field "year" must be a year, not {json.dumps(given)[:40]}.')
    return int(written)


def _taken_id(rest: dict[str, Any]) -> str:
    """The record's own id if it can serve as one; else "", and it stays among the metadata."""
    given = rest.pop("id", None)
    known = fields.carried_id(given)
    if not known and given not in (None, ""):
        rest["id"] = given
    return known


def _normal(rest: dict[str, Any], name: str) -> str | None:
    """Takes out a DOI or arXiv id in its plain form; what is none stays among the metadata."""
    found = text(rest, name)
    known = (normalise_doi if name == "doi" else normalise_arxiv_id)(found)
    if found and known is None:
        rest[name] = found
    return known


def _metadata(rest: dict[str, Any]) -> dict[str, Any]:
    """What is left of the record, joined with its own object of metadata."""
    inner = rest.pop("metadata", None) or {}
    if not isinstance(inner, dict):
        raise FieldError('the field "metadata" must be an object.')
    return {**rest, **inner}
