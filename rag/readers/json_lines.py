"""JSON Lines: one JSON object a line with a title and an abstract.

Also what the bundled library is kept in. `id, authors, year, venue, url, doi, arxiv_id, sources,
aliases` are read where they are of the right type; every other field becomes metadata.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from rag.papers import Paper, normal_arxiv_id, normal_doi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "JSON Lines"

_OBJECT = re.compile(r'\s*\{\s*"')
_WEB_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_ID_CHARS = 200


class _FieldError(Exception):
    """A field is missing or of the wrong type; the message is the reason to refuse the record."""


def recognises(head: str) -> bool:
    """Whether most of the first lines begin an object; a list of objects is not JSON Lines."""
    lines = [line for line in head.split("\n") if line.strip()][:4]
    objects = sum(_OBJECT.match(line) is not None for line in lines)
    return not head.lstrip().startswith("[") and 0 < len(lines) <= 2 * objects


def read(lines: Iterable[str]) -> Iterator[tuple[int, Paper | str]]:
    """Each line that is not blank, with its paper or the reason why it has none."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _paper_or_reason(line)


def _paper_or_reason(line: str) -> Paper | str:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError:
        return "the JSON is nested too deeply."
    except ValueError as error:
        return f"this is not valid JSON: {error}."
    if not isinstance(record, dict):
        return "this is JSON, but no object with title and abstract."
    try:
        return _paper(record)
    except _FieldError as error:
        return str(error)


def _paper(record: dict[str, Any]) -> Paper:
    """The paper of a record.

    Raises:
        _FieldError: a field is missing or of the wrong type.
    """
    rest = dict(record)
    return Paper(
        id=_taken_id(rest),
        title=_required(rest, "title"),
        abstract=_required(rest, "abstract"),
        authors=_several(rest, "authors"),
        year=_year(rest),
        venue=_text(rest, "venue") or None,
        url=_web_address(rest),
        doi=_normal(rest, "doi"),
        arxiv_id=_normal(rest, "arxiv_id"),
        sources=_several(rest, "sources"),
        aliases=_several(rest, "aliases"),
        metadata=_metadata(rest),
    )


def _required(rest: dict[str, Any], name: str) -> str:
    text = _text(rest, name)
    if not text:
        raise _FieldError(f'the field "{name}" is missing or empty.')
    return text


def _text(rest: dict[str, Any], name: str) -> str:
    """Takes a text out of the record; "" where there is none."""
    text = rest.pop(name, None)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise _FieldError(f'the field "{name}" must be a text, not {json.dumps(text)[:40]}.')
    return text.strip()


def _several(rest: dict[str, Any], name: str) -> tuple[str, ...]:
    """Takes a list of texts out of the record; one text counts as a list of one."""
    several = rest.pop(name, None) or []
    if isinstance(several, str):
        several = [several]
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise _FieldError(f'the field "{name}" must be a list of texts.')
    return tuple(one.strip() for one in several if one.strip())


def _year(rest: dict[str, Any]) -> int | None:
    year = rest.pop("year", None)
    if year is None or year == "":
        return None
    written = str(year).strip().removesuffix(".0")  # tables with gaps make 2017.0 of 2017
    if isinstance(year, bool) or not re.fullmatch(r"[0-9]{3,4}", written):
        raise _FieldError(f'the field "year" must be a year, not {json.dumps(year)[:40]}.')
    return int(written)


def _web_address(rest: dict[str, Any]) -> str | None:
    address = _text(rest, "url")
    return address if _WEB_ADDRESS.fullmatch(address) else None


def _taken_id(rest: dict[str, Any]) -> str:
    """The record's own id if it can serve as one; else "", and it stays among the metadata."""
    given = rest.pop("id", None)
    if isinstance(given, str) and len(given) <= _ID_CHARS and given.isprintable():
        return given.strip()
    if given is not None:
        rest["id"] = given
    return ""


def _normal(rest: dict[str, Any], name: str) -> str | None:
    """Takes out a DOI or arXiv id in its plain form; what is none stays among the metadata."""
    text = _text(rest, name)
    known = (normal_doi if name == "doi" else normal_arxiv_id)(text)
    if text and known is None:
        rest[name] = text
    return known


def _metadata(rest: dict[str, Any]) -> dict[str, Any]:
    inner = rest.pop("metadata", None) or {}
    if not isinstance(inner, dict):
        raise _FieldError('the field "metadata" must be an object.')
    return {**rest, **inner}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
