"""BibTeX and BibLaTeX, the ACL Anthology's files among them.

bibtexparser reads the entries, one at a time; what begins a line with "@name{" begins an entry
there as here, so an entry that is broken spoils only itself and a file is never held as a whole.
Kept are the @string texts, what an entry may hand down to others, the entries whose `crossref` or
`xdata` points further down, and books and collections without an abstract: those come last.
@proceedings, @periodical and @xdata are no papers and give nothing by themselves; nor does a book
or collection without an abstract that other entries point to.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from bibtexparser.model import DuplicateFieldKeyBlock, Entry, ParsingFailedBlock, String
from bibtexparser.splitter import Splitter

from rag.papers import join_name, normalise_arxiv_id
from rag.readers import fields
from rag.readers.fields import Found
from rag.readers.latex import bare_value, plain_lines, plain_text
from rag.text.markup import with_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bibtexparser.model import Block

NAME = "BibTeX"

logging.getLogger("bibtexparser").addHandler(logging.NullHandler())  # we say it ourselves

_BLOCK = re.compile(r"[ \t]*@\w*[ \t]*[{(]")
_FIRST = re.compile(
    r"^[ \t]*@(?:\w+\s*\{\s*[^\s{}(),=\"]+\s*(?:,|\Z)|(?:string|preamble|comment)\s*[{(]"
    r"|(?:article|book|inproceedings|misc|techreport)\s*\()",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_BEFORE = re.compile(r"```|^\s*[<#{\[]", re.MULTILINE)  # a page that only quotes an entry
_WHOLE_NAME = re.compile(r"\{(?:[^{}\\]|\\[&%$#_])*\}")  # "{Data Group, Inc.}", commas and all
# BibLaTeX's "given=Ada, family=Lovelace", and what stands between its commas.
_NAMED_PARTS = re.compile(r'(?:^|,)\s*"?(?:given|family|prefix|suffix)\s*=', re.IGNORECASE)
_NAMED_PART = re.compile(r'(?:\{(?:[^{}]|\{[^{}]*\})*\}|"[^"]*"|[^,{}"])+')
_NAME_ORDER = ("given", "prefix", "family", "suffix")
_AND = re.compile(r" and(?= )", re.IGNORECASE)
_ESCAPE_BRACE_OR_SEMICOLON = re.compile(r"\\.|[{};]")
_ESCAPE_BRACE_OR_AND = re.compile(rf"\\.|[{{}}]|{_AND.pattern}", re.IGNORECASE)
_ESCAPE_OR_BRACE = re.compile(r"\\([_%&#~{}])|[{}]")
_BEFORE_CHARS = 4000
_MOST_STRING_CHARS = 4_000_000  # of all @string entries of a file
_SHARED = "xdata"  # BibLaTeX's entry of fields that several others have in common
_VOLUMES = frozenset({"proceedings", "mvproceedings", "periodical", _SHARED})
_PARENTS = _VOLUMES | {"book", "mvbook", "collection", "mvcollection", "reference", "mvreference"}
_DATES = frozenset({"year", "date"})
_READ = frozenset(
    {
        *("title", "subtitle", "abstract", "author", "year", "date", "journal", "journaltitle"),
        *("booktitle", "howpublished", "url", "doi", "eprint", "archiveprefix", "eprinttype"),
        *("note", "keywords", "keyword", "crossref", "xdata", "papertrail-id"),
    }
)

Fields = dict[str, str]


def recognises(head: str) -> bool:
    """Whether the text begins with an entry, or with some lines of comment and then one."""
    first = _FIRST.search(head)
    before = head[: first.start()] if first else ""
    return first is not None and len(before) <= _BEFORE_CHARS and not _NOT_BEFORE.search(before)


def read(pieces: Iterable[str]) -> Iterator[tuple[int, Found | str]]:
    """Each entry with the line where it begins; those that depend on later ones come last."""
    parents: dict[str, Fields] = {}
    pointed_to: set[str] = set()
    waiting: list[tuple[int, str, Fields]] = []
    for line, kind, key, known in _entries(pieces):
        if isinstance(known, str):
            yield line, known
            continue
        named = _named_parents(known)
        if not named and kind not in _PARENTS:
            yield line, _paper_or_reason(known)
            continue
        if kind in _PARENTS:
            parents[key] = _inherited(known, parents) if kind == _SHARED else _handed_down(known)
        pointed_to.update(named)
        if kind in _VOLUMES:
            continue
        if any(parent not in parents for parent in named):
            waiting.append((line, "", known))
        elif kind in _PARENTS and not known.get("abstract"):
            waiting.append((line, key, known))
        else:
            yield line, _paper_or_reason(_inherited(known, parents))
    for line, key, known in waiting:
        if not key or key not in pointed_to:
            yield line, _paper_or_reason(_inherited(known, parents))


def _named_parents(known: Fields) -> list[str]:
    """The keys of the entries whose fields this one takes over where it lacks them."""
    if "crossref" not in known and "xdata" not in known:
        return []
    keys = [known.get("crossref", ""), *known.get("xdata", "").split(",")]
    return [key.strip().lower() for key in keys if key.strip()]


def _inherited(known: Fields, parents: Mapping[str, Fields]) -> Fields:
    """The fields with those that its parents hand down; of two parents the first counts."""
    whole = known
    for parent in _named_parents(known):
        handed = parents.get(parent, {})
        if _DATES & whole.keys():  # its own date also counts where the parent's has another name
            handed = {name: handed[name] for name in handed if name not in _DATES}
        whole = handed | whole
    return whole


def _entries(pieces: Iterable[str]) -> Iterator[tuple[int, str, str, Fields | str]]:
    """Each entry's line, kind and key with its fields, or with why it cannot be read."""
    strings: Fields = {}
    for line, block in _blocks(pieces):
        entry = block.ignore_error_block if isinstance(block, DuplicateFieldKeyBlock) else block
        if isinstance(entry, String):
            _keep(entry, strings)
        elif isinstance(entry, Entry):
            known: Fields | str
            try:
                known = _fields(entry, strings)
            except ValueError as error:
                known = f"the entry cannot be read: {error}."
            yield line, entry.entry_type.lower(), entry.key.lower(), known
        elif isinstance(entry, ParsingFailedBlock):
            yield line, "", "", _broken(entry)


def _keep(entry: String, strings: Fields) -> None:
    """Notes a @string; one that multiplies others without bound is none."""
    with suppress(ValueError):
        value = bare_value(entry.value, strings)
        if len(value) + sum(map(len, strings.values())) <= _MOST_STRING_CHARS:
            strings[entry.key.lower()] = value


def _blocks(pieces: Iterable[str]) -> Iterator[tuple[int, Block]]:
    """What bibtexparser finds between one line that begins an entry and the next."""
    first = 1
    part: list[str] = []
    for number, line in enumerate(fields.lines(pieces), 1):
        if part and "@" in line and _BLOCK.match(line):
            yield from _split(first, part)
            first, part = number, []
        part.append(line)
    yield from _split(first, part)


def _split(first: int, part: list[str]) -> Iterator[tuple[int, Block]]:
    text = "\n".join([*part, ""])
    if "@" in text:
        for block in Splitter(text).split().blocks:
            yield first + (block.start_line or 0), block


def _fields(entry: Entry, strings: Fields) -> Fields:
    known: Fields = {}
    for field in entry.fields:  # of a name that comes twice, BibTeX takes the first
        name = field.key.lower()
        if name in _READ and name not in known:
            known[name] = bare_value(str(field.value), strings)
    return known


def _handed_down(parent: Fields) -> Fields:
    """What papers take over from the volume that they point to."""
    named = {name: parent[name] for name in _DATES if parent.get(name)}
    return {**named, "booktitle": parent.get("booktitle") or parent.get("title", "")}


def _broken(block: ParsingFailedBlock) -> str:
    why = fields.one_line(str(getattr(block.error, "abort_reason", block.error))).rstrip(".")
    return f"the entry cannot be read ({why[:200]}); check its braces, the file may be cut off."


def _paper_or_reason(known: Fields) -> Found | str:
    def text(*names: str) -> str:
        for name in names:
            if name in known and (found := plain_text(with_tags(known[name]))):
                return found
        return ""

    def raw(name: str) -> str:
        value = known.get(name, "").strip()
        return _ESCAPE_OR_BRACE.sub(r"\1", value).strip() if _has_tex(value) else value

    title, subtitle = text("title"), text("subtitle")
    if not title:
        return fields.NO_TITLE
    url, doi, eprint = raw("url"), raw("doi"), raw("eprint")
    is_arxiv = (raw("archiveprefix") or raw("eprinttype")).lower() == "arxiv"
    venue = text("journal", "journaltitle", "booktitle")
    if not venue and "://" not in known.get("howpublished", ""):
        venue = text("howpublished")
    return Found(
        id=fields.carried_id(text("papertrail-id")),
        title=f"{title}: {subtitle}" if subtitle else title,
        abstract=plain_lines(with_tags(known.get("abstract", ""))).strip(),
        authors=_authors(known.get("author", "")),
        year=fields.year(raw("year"), raw("date")),
        venue=venue or None,
        url=fields.web_address(url),
        doi=fields.doi(doi, url),
        arxiv_id=(normalise_arxiv_id(eprint) if is_arxiv else None)
        or fields.arxiv_id(eprint, url, doi, venue, raw("note")),
        metadata=fields.tags(_keywords(known.get("keywords") or known.get("keyword", ""))),
    )


def _authors(names: str) -> tuple[str, ...]:
    names = fields.one_line(names)
    tex = _has_tex(names) or "=" in names
    several = list(_set_apart(names, _ESCAPE_BRACE_OR_AND)) if tex else _AND.split(names)
    found = tuple(filter(None, map(_known_author, several)))
    last = several[-1]
    if tex and not _WHOLE_NAME.fullmatch(last):
        last = plain_text(last)
    return (*found, *fields.left_out(last)) if found else ()


def _has_tex(value: str) -> bool:
    return "\\" in value or "{" in value or "}" in value


def _keywords(value: str) -> list[str]:
    """The keywords; a semicolon in braces sets none apart, where others do."""
    parts = list(_set_apart(value, _ESCAPE_BRACE_OR_SEMICOLON)) if "{" in value else []
    if len(parts) > 1 and any(";" in part for part in parts):
        return list(map(plain_text, parts))
    return fields.keywords(plain_text(value))


def _set_apart(text: str, marks: re.Pattern[str]) -> Iterator[str]:
    r"""What stands, on one line, between the marks of separation that no brace holds.

    bibtexparser's own function loses a command right behind an "and", as that of ``\O{}ystein``.
    """
    start = depth = 0
    for mark in marks.finditer(text):
        if mark[0] in {"{", "}"}:
            depth = max(0, depth + (1 if mark[0] == "{" else -1))
        elif depth == 0 and mark[0][0] != "\\":
            yield text[start : mark.start()].strip()
            start = mark.end()
    yield text[start:].strip()


def _author(name: str) -> str:
    if "=" in name and _NAMED_PARTS.search(name):
        parts = (part.strip(' "').partition("=") for part in _NAMED_PART.findall(name))
        known = {key.strip().lower(): plain_text(value.strip(' "')) for key, _, value in parts}
        given, *family = (known.get(part, "") for part in _NAME_ORDER)
        return join_name(given, " ".join(filter(None, family)))
    plain = plain_text(name)
    return plain if _WHOLE_NAME.fullmatch(name) else fields.author(plain)


_known_author = fields.remembered(_author)
