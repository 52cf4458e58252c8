"""BibTeX and BibLaTeX, including the files of the ACL Anthology.

bibtexparser reads one entry at a time. An entry starts at "@name{" at the start of a line, so a
broken one affects only itself, and no file is held as a whole. Kept in memory are @string texts,
fields that other entries can inherit, entries whose `crossref` or `xdata` points further down, and
books and collections without an abstract. The last two are yielded at the end. @proceedings,
@periodical and @xdata are not papers. Nor is a book or collection without an abstract that other
entries point to.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from bibtexparser.model import (
    DuplicateFieldKeyBlock,
    Entry,
    ImplicitComment,
    ParsingFailedBlock,
    String,
)
from bibtexparser.splitter import Splitter

from rag.papers import ET_AL, normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import RawRecord
from rag.readers.latex import has_next_field, to_plain_text, unquote_value
from rag.text.tex import convert_tex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bibtexparser.model import Block

logging.getLogger("bibtexparser").addHandler(
    logging.NullHandler()
)  # we report its errors ourselves

_BREAK = re.compile(r"\n(?=[ \t]*@\w*[ \t]*[{(])")  # before an entry
_FIRST = re.compile(
    r"^[ \t]*@(?:\w+\s*\{\s*[^\s{}(),=\"]+\s*(?:,|\Z)"
    r"|\w+\s*\{(?:[^=\n]*[,\n])?\s*[\w-]+\s*=\s*[{\"\w]"  # any other key or none, and a field
    r"|(?:string|preamble|comment)\s*[{(]|(?:article|book|inproceedings|misc|techreport)\s*\()",
    re.IGNORECASE | re.MULTILINE,
)
# The start of an entry, its key and the sign after it: "=" if the key is missing (EndNote).
_HEAD = re.compile(
    r"^([ \t]*@(?!string|preamble|comment)\w+\s*[{(]\s*)"
    r"((?:\{[^{}\n]*\}|[^,=\n{}]|,(?!\s*[^\s=,{}]+\s*=))*)(\s*,|=)?",
    re.IGNORECASE | re.MULTILINE,
)
# A page that only quotes an entry, or records with tags.
_NOT_BEFORE = re.compile(
    r"```|^\s*[<#{\[]|^\s*[A-Z][A-Z\d]  - |^PMID ?- ?\d|^PT [A-Z]\s*$", re.MULTILINE
)
_WHOLE_NAME = re.compile(r"\{(?:[^{}\\]|\\[&%$#_])*\}")  # "{Data Group, Inc.}", commas and all
# BibLaTeX's "given=Ada, family=Lovelace", and the parts between its commas.
_NAMED_PARTS = re.compile(r'(?:^|,)\s*"?(?:given|family|prefix|suffix)\s*=', re.IGNORECASE)
_NAMED_PART = re.compile(r'(?:\{(?:[^{}]|\{[^{}]*\})*\}|"[^"]*"|[^,{}"])+')
_NAME_ORDER = ("given", "prefix", "family", "suffix")
_AND = re.compile(r" and(?= )", re.IGNORECASE)
_ESCAPE_BRACE_OR_SEMICOLON = re.compile(r"\\.|[{};]")
_ESCAPE_BRACE_OR_AND = re.compile(rf"\\.|&#?\w+;|[{{}};]|{_AND.pattern}", re.IGNORECASE)
_LINK = re.compile(r"\\(?:href|url|path|nolinkurl|detokenize)\b")
_ESCAPE_OR_BRACE = re.compile(r"\\([_%&#~{}])|[{}]")
_NOT_IN_KEY = re.compile(r'[{}",]')
_BEFORE_CHARS = 4000
_MOST_STRING_CHARS = 4_000_000  # of all @string entries of a file
_SHARED = "xdata"  # BibLaTeX's entry of fields that several entries share
_VOLUMES = frozenset({"proceedings", "mvproceedings", "periodical", _SHARED})
_PARENTS = _VOLUMES | {"book", "mvbook", "collection", "mvcollection", "reference", "mvreference"}
_DATES = frozenset({"year", "date", "month"})
_PUBLISHERS = ("publisher", "school", "institution", "organization")
_INHERITED = (*_DATES, *_PUBLISHERS, "editor", "volume")  # besides the title as booktitle
_READ = frozenset(
    {
        *("title", "subtitle", "abstract", "author", "year", "date", "journal", "journaltitle"),
        *("booktitle", "howpublished", "url", "doi", "eprint", "archiveprefix", "eprinttype"),
        *("note", "keywords", "keyword", "crossref", "xdata", "papertrail-id", "pages"),
        *("number", "issue", "ids", "papertrail-retraction", *_INHERITED),
    }
)

Fields = dict[str, str]


class _Entry(NamedTuple):
    kind: str
    key: str
    known: Fields


def recognises(head: str) -> bool:
    """Return whether the text starts with an entry, possibly after lines of comment."""
    first = _FIRST.search(head)
    before = head[: first.start()] if first else ""
    return first is not None and len(before) <= _BEFORE_CHARS and not _NOT_BEFORE.search(before)


def read(pieces: Iterable[str]) -> Iterator[tuple[int, RawRecord | str]]:
    """Yield the line of each entry with its record or the reason for refusal.

    Entries that depend on later ones come last.
    """
    parents: dict[str, Fields] = {}
    pointed_to: set[str] = set()
    waiting: list[tuple[int, str, _Entry]] = []
    for line, entry in _read_entries(pieces):
        if isinstance(entry, str):
            yield line, entry
            continue
        key = entry.key.lower()
        own_parents = _list_parents(entry.known)
        pointed_to.update(own_parents)
        if entry.kind in _PARENTS:
            parents[key] = _get_inheritable(entry, parents)
        if entry.kind in _VOLUMES:
            continue
        has_all = parents.keys() >= set(own_parents)
        if has_all and not _is_bare_book(entry):
            yield line, _parse_record(entry, _inherit(entry.known, parents))
        else:
            waiting.append((line, key if has_all else "", entry))
    for line, key, entry in waiting:
        if key not in pointed_to:
            yield line, _parse_record(entry, _inherit(entry.known, parents))


def _is_bare_book(entry: _Entry) -> bool:
    return entry.kind in _PARENTS and not entry.known.get("abstract")


def _list_parents(known: Fields) -> list[str]:
    """Return the keys of the entries from which this one inherits missing fields."""
    if "crossref" not in known and "xdata" not in known:
        return []
    keys = [known.get("crossref", ""), *known.get("xdata", "").split(",")]
    return [key.strip().lower() for key in keys if key.strip()]


def _inherit(known: Fields, parents: Mapping[str, Fields]) -> Fields:
    """Add the fields inherited from parents. The first of two parents wins."""
    whole = known
    for parent in _list_parents(known):
        handed = parents.get(parent, {})
        if "year" in whole or "date" in whole:  # wins even if the parent's has another name
            handed = {name: handed[name] for name in handed if name not in _DATES}
        whole = handed | whole
    return whole


def _read_entries(pieces: Iterable[str]) -> Iterator[tuple[int, _Entry | str]]:
    """Yield each entry's line with the entry or the reason for refusal."""
    strings: Fields = {}
    for line, block in _split_blocks(pieces):
        entry = block.ignore_error_block if isinstance(block, DuplicateFieldKeyBlock) else block
        if isinstance(entry, String):
            _store_string(entry, strings)
        elif isinstance(entry, Entry):
            try:
                known = _read_fields(entry, strings)
            except ValueError as error:
                yield line, f"cannot read the entry: {error}."
            else:
                yield line, _Entry(entry.entry_type.lower(), entry.key, known)
        elif isinstance(entry, ParsingFailedBlock):
            yield line, _describe_error(entry)
        elif isinstance(entry, ImplicitComment):
            yield from _refuse_others(line, entry.comment)


def _refuse_others(first: int, comment: str) -> Iterator[tuple[int, str]]:
    """Refuse records of another format in a text outside entries."""
    start, tag = fields.find_record_start(comment) or (0, "@")
    if tag != "@":
        yield first + comment.count("\n", 0, start), fields.OTHER_FORMAT


def _store_string(entry: String, strings: Fields) -> None:
    """Store a @string. Ignore one that makes the total too long."""
    with suppress(ValueError):
        value = unquote_value(entry.value, strings)
        if len(value) + sum(map(len, strings.values())) <= _MOST_STRING_CHARS:
            strings[entry.key.lower()] = value


def _split_blocks(pieces: Iterable[str]) -> Iterator[tuple[int, Block]]:
    """Parse the text from one line that starts an entry to the next."""
    line = 0
    for text, _ in fields.split_at(pieces, _BREAK):
        for block in Splitter(_HEAD.sub(_fix_head, f"{text}\n", count=1)).split().blocks:
            yield line + (block.start_line or 0), block
        line += text.count("\n") + 1


def _fix_head(head: re.Match[str]) -> str:
    """Put a comma after the key, and before the fields if there is none. Drop signs in the key."""
    start, key, sign = head.groups()
    return f"{start},{key}=" if sign == "=" else start + _NOT_IN_KEY.sub("", key).rstrip() + ","


def _read_fields(entry: Entry, strings: Fields) -> Fields:
    known: Fields = {}
    for field in entry.fields:  # of a name that comes twice, BibTeX takes the first
        name = field.key.lower()
        if has_next_field(str(field.value)):
            raise ValueError(f"a comma is missing after {name}")
        if name in _READ and name not in known:
            known[name] = unquote_value(str(field.value), strings)
    return known


def _get_inheritable(entry: _Entry, parents: Mapping[str, Fields]) -> Fields:
    """Return the fields that entries inherit from this one."""
    kind, _, known = entry
    if kind == _SHARED:
        return _inherit(known, parents)
    own = {name: known[name] for name in _INHERITED if known.get(name)}
    return {**own, "booktitle": known.get("booktitle") or known.get("title", "")}


def _describe_error(block: ParsingFailedBlock) -> str:
    why = fields.collapse_space(str(getattr(block.error, "abort_reason", block.error))).rstrip(".")
    return f"cannot read the entry ({why[:200]}). Check its braces; the file may be cut off."


def _parse_record(entry: _Entry, known: Fields) -> RawRecord | str:
    """Parse an entry with its own and inherited fields."""
    text, raw = partial(_read_text, known), partial(_read_raw, known)
    title, subtitle = text("title"), text("subtitle")
    if not title:
        return fields.NO_TITLE
    url, doi, eprint = raw("url"), raw("doi"), raw("eprint")
    is_arxiv = (raw("archiveprefix") or raw("eprinttype")).lower() == "arxiv"
    keywords = _split_keywords(known.get("keywords") or known.get("keyword", ""))
    venue = text("journal", "journaltitle", "booktitle")
    if not venue and "://" not in known.get("howpublished", ""):
        venue = text("howpublished")
    return RawRecord(
        id=fields.parse_own_id(text("papertrail-id")),
        title=f"{title}: {subtitle}" if subtitle else title,
        abstract=convert_tex(known.get("abstract", "")).strip(),
        authors=_read_names(known.get("author", "")),
        year=fields.find_year(raw("year"), raw("date")),
        venue=venue or None,
        url=fields.find_url(url),
        doi=fields.find_doi(doi, url),
        arxiv_id=(normalise_arxiv_id(eprint) if is_arxiv else None)
        or fields.find_arxiv_id(eprint, url, doi, venue, raw("note")),
        metadata=fields.make_details(
            tags=keywords,
            volume=text("volume"),
            issue=text("number", "issue"),
            pages=text("pages"),
            publisher=text(*_PUBLISHERS),
            editors=_read_names(known.get("editor", "")),
            month=text("month") or fields.find_month(raw("date")),
        ),
        aliases=tuple(key for each in raw("ids").split(",") if (key := each.strip())),
        citation_key=entry.key or None,
        entry_type=entry.kind,
        retraction=text("papertrail-retraction")
        or fields.find_retraction(text("note"), keywords=keywords),
    )


_to_text_cached = fields.cache_short(to_plain_text)


def _read_text(known: Fields, *names: str) -> str:
    """Return the first field that has a text, without TeX, or ""."""
    for name in names:
        if name in known and (found := _to_text_cached(known[name])):
            return found
    return ""


def _read_raw(known: Fields, name: str) -> str:
    """Return a field that holds no prose, such as an address, without braces and escapes."""
    value = known[name].strip() if name in known else ""
    if not _has_tex(value):
        return value
    value = _LINK.sub("", value).replace("}{", "} {")  # address and text of href
    return _ESCAPE_OR_BRACE.sub(r"\1", value).strip()


def _read_names(names: str) -> tuple[str, ...]:
    """Split a list of names at "and", or at semicolons as some programs write them."""
    if not names:
        return ()
    names = fields.collapse_space(names)
    tex = _has_tex(names) or "=" in names or ";" in names
    several = list(_split_outside_braces(names, _ESCAPE_BRACE_OR_AND)) if tex else _AND.split(names)
    while len(several) > 1 and not several[-1]:
        several.pop()
    found = tuple(chain.from_iterable(map(_read_name, several)))
    last = several[-1]
    if tex and not _WHOLE_NAME.fullmatch(last):
        last = to_plain_text(last)
    return (*found, ET_AL) if found and fields.has_et_al(last) else found


def _has_tex(value: str) -> bool:
    return "\\" in value or "{" in value or "}" in value


def _split_keywords(value: str) -> list[str]:
    """Split keywords. A semicolon in braces does not separate if another one does."""
    parts = list(_split_outside_braces(value, _ESCAPE_BRACE_OR_SEMICOLON)) if "{" in value else []
    if len(parts) > 1 and any(";" in part for part in parts):
        return list(map(to_plain_text, parts))
    return fields.split_keywords(to_plain_text(value))


def _split_outside_braces(text: str, marks: re.Pattern[str]) -> Iterator[str]:
    r"""Yield the parts between separators that are outside braces.

    bibtexparser's own function loses a command right after "and", such as ``\O{}ystein``.
    """
    start = depth = 0
    for mark in marks.finditer(text):
        if mark[0] in {"{", "}"}:
            depth = max(0, depth + (1 if mark[0] == "{" else -1))
        elif depth == 0 and mark[0][0] not in "\\&":
            yield text[start : mark.start()].strip()
            start = mark.end()
    yield text[start:].strip()


@fields.cache_short
def _read_name(name: str) -> tuple[str, ...]:
    """Return the name, given name first, or the several names between commas."""
    if "=" in name and _NAMED_PARTS.search(name):
        parts = (part.strip(' "').partition("=") for part in _NAMED_PART.findall(name))
        known = {key.strip().lower(): to_plain_text(value.strip(' "')) for key, _, value in parts}
        given, prefix, family, suffix = (known.get(part, "") for part in _NAME_ORDER)
        several = [fields.join_parts(given, f"{prefix} {family}".strip(), suffix)]
    elif _WHOLE_NAME.fullmatch(name):
        several = [to_plain_text(name)]
    else:
        plain = fields.split_names(to_plain_text(name), single=True)
        several = list(map(fields.read_author, plain))
    return tuple(filter(None, several))
