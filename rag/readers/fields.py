"""Read names, years, URLs, identifiers and keywords, in the same way for every format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from rag.papers import ET_AL, join_name, normalise_arxiv_id, normalise_doi
from rag.papers.names import split_name
from rag.text.markup import clean_markup, is_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rag.papers import JsonValue

T = TypeVar("T")


class RawRecord(NamedTuple):
    """Paper as a format module reads it, not yet cleaned. Its fields are those of `Paper`.

    Its DOI and arXiv id are normalised. It takes a fifth of the time of a `Paper` to make, and each
    `Paper` is made only once.
    """

    id: str
    title: str
    abstract: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str | None = None
    url: str | None = None
    doi: str | None = None
    arxiv_id: str | None = None
    sources: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    metadata: Mapping[str, JsonValue] = MappingProxyType({})
    citation_key: str | None = None
    entry_type: str | None = None
    retraction: str | None = None


class PersonName(str):
    """Displayed name of a person whose source separates the family name."""

    __slots__ = ("family",)
    family: str

    def __new__(cls, name: str, family: str) -> Self:
        """Add the family name."""
        made = super().__new__(cls, name)
        made.family = family
        return made


@dataclass(frozen=True, slots=True)
class Note:
    """What the report of an import says of a file, besides its records.

    Attributes:
        text: a sentence or a hint.
        path: the file.
    """

    text: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


NO_TITLE = "the record has no title. Add one."
HALF_CHARACTER = "it contains half of an escaped character (\\ud800 to \\udfff). Fix or remove it."
NO_END = "the record does not end with ER. The file may be cut off; export it again."
OTHER_FORMAT = "from here on the file has records of another format. Split the file here."

_BEFORE = 20  # most lines before the first record
_ID_CHARS = 200
_LONG_CHARS = 200  # below, splitting a text is faster than checking it
_CACHED = 4096  # texts, one or two megabytes per function, seven at most
_STATE = r"(?:available|provided|supplied|specified|applicable|given|listed|found)"
_NOUN = r"(?:abstract|summary|author)s?(?: names?)?"
_TAIL = r"(?: (?:for|in|online|yet)\b.*)?[\W_]*"
_PLACEHOLDER = re.compile(
    r"[-–—.…?*]{0,3}|\W*anonymous\]|[\W_]*(?:"
    r"(?:(?:abstract|n\W{0,3}a|nan|none?|null|undefined|missing|unknown"
    rf"|(?:not?\W|un){_STATE})\b[\W_]*)+"
    rf"|(?:\w+ ){{0,3}}no (?:\w+ )?{_NOUN}(?: (?:is |was )?{_STATE})?{_TAIL}"
    rf"|(?:\w+ )?{_NOUN} (?:is |was )?(?:not |un){_STATE}{_TAIL})",
    re.IGNORECASE | re.DOTALL,
)
# A year alone, or one that starts a date in digits only: 20200315, 202003.
_YEAR = re.compile(
    r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)|\A\s*(?:1[5-9]|20)\d\d(?=(?:0\d|1[0-2])(?:[0-3]\d)?(?!\d))"
)
# Month of a date in digits, or what RIS writes behind the day: "2020///Winter".
_MONTH = re.compile(
    r"\s*(?:\d{4}|(?=/))(?:[-/.](1[0-2]|0?[1-9])(?!\d)|(1[0-2]|0[1-9])[0-3]\d(?!\d)|///\s*(\S.*))"
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_WEB_ADDRESS = re.compile(r"https?://(?:[^\s;]++|;++(?=\S)(?!https?:))++", re.IGNORECASE)
# Starts at the first of several semicolons only, else 20,000 of them would take seconds.
_BETWEEN_ADDRESSES = re.compile(r"(?<!;);++(?:\s+|\Z|(?=https?:))", re.IGNORECASE)
_ARXIV_NAMED = re.compile(r"(?:arxiv:\s*|10\.48550/arxiv\.)(\S+)", re.IGNORECASE)
_ET_AL_ENDS = ("al", "al.", "others")
_ET_AL = re.compile(r"(?:^|,?\s+)(?:(?:and )?et\.? al\.?|and others)$|^others$", re.IGNORECASE)
_INITIALS = re.compile(r"(?:[^\W\d_](?:\.?[ -]?)){1,4}")
_FIRST_NAME = re.compile(r"\s*\S+(?: \S\.?)*")  # and initials
_LOOSE_INITIAL = re.compile(r"\. -(?=[^\W\d_]\.)")  # "J. -L.", as arXiv writes "J.-L."
_GENERATION = re.compile(r"\s*(?:[JS]r\.?|I{2,3}|IV)\s*$")
_FIRM = re.compile(r"\s*(?:Inc|Ltd|LLC|Corp|PLC|GmbH)\.?\s*$", re.IGNORECASE)
# Types, keywords and notes of MEDLINE, Scopus, the Web of Science and EndNote.
_RETRACTED_TYPE = "Retracted Publication"
_RETRACTED = re.compile(
    r"(?:.*; *)?retract(?:ed(?: (?:publication|article|paper))?(?:$|[.:;,])|(?:ed|ion) in\b)",
    re.IGNORECASE,
)
# BibTeX, RIS, MEDLINE, Web of Science.
_RECORD_START = re.compile(
    r"^(?:(@)\w+[ \t]*\{|(TY)\s{0,3}-\s|(PMID) ?- ?\d|(PT) [A-Z]\s*$)", re.MULTILINE
)
_DASHES = re.compile(r"\s*(?:--+|[–—‐‑−])\s*")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
_ONE_NAME = re.compile(r"\s*[^\s,;|&(]*,?[^,;|&(]*")  # written as one name surely is
_BETWEEN_NAMES = re.compile(r"\s*[;|]\s*(?:and |& )?")
_AND = re.compile(",? (?:and|&) ")
_NUMBER_IN_BRACKETS = re.compile(r" ?\(\d+\)")  # Scopus puts author ids after the names


def has_record_start(head: str, start: re.Pattern[str], tag: str) -> bool:
    """Return whether one of the first non-blank lines matches, and no other format comes first.

    Args:
        head: first text of the file.
        start: matches a line that only the format has.
        tag: the one that starts a record of the format.
    """
    lines = [line for line in head.split("\n") if line.strip()]
    _, first = find_record_start(head) or (0, tag)
    return first in {tag, "@"} and any(start.match(line) for line in lines[:_BEFORE])


def find_record_start(text: str) -> tuple[int, str] | None:
    """Return where the first record of a known format starts, and its tag: @, TY, PMID or PT."""
    found = _RECORD_START.search(text)
    return (found.start(), found[found.lastindex or 0]) if found else None


def split_at(
    pieces: Iterable[str], mark: re.Pattern[str]
) -> Iterator[tuple[str, re.Match[str] | None]]:
    r"""Yield the text before each match, with the match, and that behind the last one with None.

    Args:
        pieces: whole lines. A line break is put before the first, so that all lines follow one.
        mark: starts with a line break, which is found ten times faster than the start of a line.

    >>> [text for text, _ in split_at(["a\nb\n", "a\nc\n"], re.compile("\na"))]
    ['', '\nb', '\nc']
    """
    parts: list[str] = []
    for piece in pieces:
        at, text = 0, "\n" + piece.removesuffix("\n")
        for found in mark.finditer(text):
            yield "".join([*parts, text[at : found.start()]]), found
            parts, at = [], found.end()
        parts.append(text[at:])
    yield "".join(parts), None


def collapse_space(text: str) -> str:
    """Replace each run of white space by one space, and strip the ends."""
    if len(text) > _LONG_CHARS and is_one_line(line := text.strip()):
        return line
    return " ".join(text.split())


def cache_short(read: Callable[[str], T]) -> Callable[[str], T]:
    """Cache the last results for short texts, such as names, of which one in four repeats."""
    known = lru_cache(maxsize=_CACHED)(read)
    return lambda text: known(text) if len(text) < _LONG_CHARS else read(text)


def clean_label(text: str) -> str:
    """Clean a name or keyword of tags and entities. Other mark-up is not to be expected.

    >>> clean_label("G&ouml;del"), clean_label("R&D")
    ('Gödel', 'R&D')
    """
    return clean_markup(text) if "<" in text or "&" in text else text


def is_placeholder(value: object) -> bool:
    """Return whether a value only says that there is none.

    >>> [is_placeholder(text) for text in ("[No abstract available]", "n/a", "None of us won.")]
    [True, True, False]
    """
    is_short = isinstance(value, str) and len(value) < _LONG_CHARS and not value[:1].isdigit()
    return is_short and _PLACEHOLDER.fullmatch(str(value)) is not None


def put_given_first(name: str) -> str:
    """Put the given name first, or last in Han characters. A name without a comma stays.

    A double comma is part of a group's name ("University of Bath,, Library"). So is the comma
    before "Inc." and the like.

    >>> [put_given_first(name) for name in ("King, Jr., Martin", "King, Martin, Jr.", "Ink, Inc.")]
    ['Martin King Jr.', 'Martin King Jr.', 'Ink, Inc.']
    """
    if "," not in name:
        return name
    family, _, given = name.partition(",")
    if "," not in given:
        return name if _FIRM.match(given) else join_parts(given, family)
    if ",," in name:
        return name.replace(",,", ",")
    rest = given.split(",")
    if _FIRM.match(rest[-1]):
        return name
    if len(rest) == 2 and _GENERATION.match(rest[0]):
        rest.reverse()
    return PersonName(collapse_space(" ".join([rest[0], family, *rest[1:]])), family.strip())


def join_parts(given: str, family: str, suffix: str = "") -> str:
    """Join the parts of a name. A family name that its words may not tell stays known."""
    name = join_name(given, family)
    if suffix:
        name = f"{name} {suffix}".strip()
    elif name.istitle() and " " not in family and _FIRST_NAME.fullmatch(given):
        return name
    return PersonName(name, collapse_space(family))


def find_family_names(names: Iterable[str]) -> dict[str, JsonValue]:
    """Return the family name of each person whose displayed name does not tell it.

    >>> find_family_names(read_authors(["Chang, Ming Wei", "Lovelace, Ada M."]))
    {'Ming Wei Chang': 'Chang'}
    """
    found: dict[str, JsonValue] = {}
    for each in names:
        if isinstance(each, PersonName):
            name, family = str(clean_label(each)), clean_label(each.family)
            if split_name(name, family) != split_name(name):
                found[name] = family
    return found


def read_people(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names as they are written. A final "others" or "et al." becomes `ET_AL`.

    >>> read_people(["J. -L. Šulc", "Ada Lovelace and others"])
    ('J.-L. Šulc', 'Ada Lovelace', 'et al.')
    """
    return _read_names(names, _clean_name)


def read_authors(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, given names first. A final "others" or "et al." becomes `ET_AL`."""
    return _read_names(names, read_author)


def _read_names(names: Iterable[str], read: Callable[[str], str]) -> tuple[str, ...]:
    several = [name for name in names if name.strip()]
    found = tuple(filter(None, map(read, several)))
    return (*found, ET_AL) if found and has_et_al(several[-1]) else found


def has_et_al(name: str) -> bool:
    """Return whether the last name of a list says that others are omitted."""
    name = name.strip()
    return name.lower().endswith(_ET_AL_ENDS) and _ET_AL.search(name) is not None


def _clean_name(name: str) -> str:
    """Return the name on one line, or "" if it is only "et al."."""
    line = collapse_space(name)
    plain = _ET_AL.sub("", line) if has_et_al(line) else line
    plain = _LOOSE_INITIAL.sub(".-", plain) if " -" in plain else plain
    return PersonName(plain, name.family) if isinstance(name, PersonName) else plain


@cache_short
def read_author(name: str) -> str:
    """Return the name on one line, given name first, or "" if it is only "et al."."""
    return put_given_first(_clean_name(name))


def split_names(text: str, *, single: bool) -> list[str]:
    """Split a text into names.

    Semicolons or bars separate names, else "and", else commas. A comma may also precede the given
    name of a single person. `single`: the text should hold one name, so it is split at "and" or at
    a comma only if the parts are names of people.

    >>> split_names("A. Turing, E. Noether", single=False)
    ['A. Turing', 'E. Noether']
    >>> split_names("Turing, Alan", single=False)
    ['Turing, Alan']
    >>> split_names("Vogt, V., Mohr, M., et al.", single=False)
    ['Vogt, V.', 'Mohr, M.', 'et al.']
    >>> split_names("Vogt V, Mohr M", single=True), split_names("Health and Care", single=True)
    (['Vogt V', 'Mohr M'], ['Health and Care'])
    """
    if single and " and " not in text and _ONE_NAME.fullmatch(text):
        return [text]
    text = _NUMBER_IN_BRACKETS.sub("", collapse_space(unescape(text)))
    several = _BETWEEN_NAMES.split(text)
    if len(several) > 1:
        return [name for part in several for name in _split_at_and(part, single=True)]
    return [
        name
        for part in _split_at_and(text, single=single)
        for name in _pair_initials(part) or _split_commas(part, single=single)
    ]


def split_lines_of_names(lines: Sequence[str]) -> list[str]:
    """Split lines that should hold one name each, but may hold several."""
    if " and " not in "\n".join(lines) and all(map(_ONE_NAME.fullmatch, lines)):
        return list(lines)
    return [name for line in lines for name in split_names(line, single=True)]


def _split_at_and(text: str, *, single: bool) -> list[str]:
    parts = _AND.split(text)
    return parts if not single or 2 * sum(map(_is_person, parts)) > len(parts) else [text]


def _is_person(name: str) -> bool:
    """Return whether a text is written like the name of a person, not of a group."""
    words = name.split()
    are_two = len(words) == 2 and not any(word[0].islower() for word in words)
    return "," in name or are_two or _has_initial(name)


def _has_initial(name: str) -> bool:
    """Return whether a name of several words starts or ends with initials: "J. Doe", "Doe JM"."""
    words = name.split()
    ends = (words[0], words[-1]) if len(words) > 1 else ()
    return any(word.isupper() and _INITIALS.fullmatch(word) for word in ends)


def _pair_initials(text: str) -> list[str]:
    """Split names that have initials after a comma, or [] for other lists ("UN, WHO, EU, FAO")."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    rest = [parts.pop()] if len(parts) % 2 and has_et_al(parts[-1]) else []
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2 or len(pairs) + len(rest) < 2 or not all(map(_has_initials, pairs)):
        return []
    return [", ".join(pair) for pair in pairs] + rest


def _has_initials(pair: tuple[str, str]) -> bool:
    family, given = pair
    are_capitals = given.isupper() and ("." in given or not family.isupper())
    return are_capitals and bool(_INITIALS.fullmatch(given))


def _split_commas(text: str, *, single: bool) -> list[str]:
    """Split a list of names at its commas. A single name stays whole."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    people = parts[:-1] if parts and has_et_al(parts[-1]) else parts
    if single:
        are_names = all(map(_has_initial, people))
    else:
        are_names = len(parts) > 2 or all(" " in part for part in parts)
    return parts if are_names else [text]


@lru_cache(maxsize=_CACHED)
def find_year(*texts: str) -> int | None:
    """Return the first year from 1500 to 2099 in the first text that has one.

    >>> find_year("", "in press", "12 Mar 2019"), find_year("20190312"), find_year("no. 20190312")
    (2019, 2019, None)
    """
    for text in texts:
        if text and (found := _YEAR.search(text)):
            return int(found[0])
    return None


@lru_cache(maxsize=_CACHED)
def find_month(*dates: str) -> str:
    """Return the month in the first date that has one, in digits or as a word, else "".

    >>> [find_month(date) for date in ("2020", "2020/03//", "20200315", "12 Mar", "2020///Winter")]
    ['', '03', '03', 'Mar', 'Winter']
    """
    for date in dates:
        if found := _MONTH.match(date):
            return str(next(filter(None, found.groups())))
        for word in _WORD.findall(date):
            if isinstance(parse_month(word), int):
                return str(word)
    return ""


def find_url(*texts: str) -> str | None:
    """Return the first http or https URL that a text starts with."""
    for text in texts:
        if found := _WEB_ADDRESS.match(text.strip()):
            return found[0]
    return None


def split_urls(texts: Iterable[str]) -> list[str]:
    """Split texts into URLs, which semicolons separate."""
    found = []
    for text in texts:
        parts = _BETWEEN_ADDRESSES.split(text) if ";" in text else [text]
        found += [part.strip() for part in parts if part.strip()]
    return found


def find_note(name: str, notes: Iterable[str]) -> str:
    """Return the text after a name and a colon in the first note that has one, else "".

    >>> find_note("arXiv", ["Read twice.", "arXiv: 1706.03762"])
    '1706.03762'
    """
    said = (note.partition(": ") for note in notes)
    return next((text.strip() for first, _, text in said if first == name and text.strip()), "")


def find_retraction(*marks: str, keywords: Iterable[str] = ()) -> str | None:
    """Return the first text by which a source marks a paper as retracted, or None.

    A notice ("Retraction of Publication") is not itself retracted. Of the keywords only PubMed's
    name of the type counts: papers on retractions have others, such as "retracted article".

    >>> find_retraction("Article", "Retracted Publication"), find_retraction("Retracted eyelids")
    ('Retracted Publication', None)
    """
    for text in marks:
        if ("etract" in text or "ETRACT" in text) and _RETRACTED.match(
            mark := collapse_space(text)
        ):
            return mark
    return _RETRACTED_TYPE if _RETRACTED_TYPE in map(collapse_space, keywords) else None


def drop_full_stop(title: str) -> str:
    """Drop the full stop that PubMed adds to each title.

    >>> drop_full_stop("Tea."), drop_full_stop("Tea?"), drop_full_stop("Tea...")
    ('Tea', 'Tea?', 'Tea...')
    """
    return title if title.endswith("..") else title.removesuffix(".")


def make_pubmed_url(pmid: str) -> str | None:
    """Return the page of an article at PubMed, or None if the text is not a number."""
    return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if pmid.isascii() and pmid.isdigit() else None


def parse_own_id(value: object) -> str:
    """Return the id that one of our exports contains, or "" if it cannot be an id."""
    is_id = isinstance(value, str) and len(value) <= _ID_CHARS and value.isprintable()
    return str(value).strip() if is_id else ""


def is_storable(record: Mapping[str, object]) -> bool:
    """Return whether a JSON object has no half characters, which UTF-8 cannot write."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def find_doi(*texts: str) -> str | None:
    """Return the first DOI among texts."""
    for text in texts:
        if text and (known := normalise_doi(text)):
            return known
    return None


def find_arxiv_id(*texts: str) -> str | None:
    """Return the first arXiv id in a URL, a DOI or after "arXiv:".

    >>> find_arxiv_id("10.1000/x", "arXiv preprint arXiv:1706.03762v7"), find_arxiv_id("1706.03762")
    ('1706.03762', None)
    """
    for text in texts:
        if "arxiv" not in text.lower():
            continue
        named = _ARXIV_NAMED.search(text)
        if known := normalise_arxiv_id(named[1] if named else find_url(text) or ""):
            return known
    return None


def make_details(
    *,
    pmid: str = "",
    tags: Iterable[str] = (),
    volume: str = "",
    issue: str = "",
    pages: str = "",
    publisher: str = "",
    editors: Iterable[str] = (),
    month: str = "",
) -> dict[str, JsonValue]:
    """Return metadata with the details of a reference that are known, under their common names.

    >>> make_details(volume="9", pages="1735--1780", month="nov", tags=["Tea", " ", "Tea"])
    {'volume': '9', 'pages': '1735-1780', 'month': 11, 'tags': ['Tea']}
    """
    known: dict[str, JsonValue] = {"pmid": pmid} if pmid else {}
    texts = (("volume", volume), ("issue", issue), ("pages", pages), ("publisher", publisher))
    for name, text in texts:
        if text and not is_placeholder(line := collapse_space(text)):
            known[name] = _DASHES.sub("-", line) if name == "pages" else line
    if people := list(editors):
        known["editors"] = [*map(str, people)]
        if families := find_family_names(people):
            known["family_names"] = families
    if month and not is_placeholder(month):
        known["month"] = parse_month(collapse_space(month))
    keywords = dict.fromkeys(clean_label(collapse_space(text)) for text in tags)
    keywords.pop("", None)
    if keywords:
        known["tags"] = [*keywords]
    return known


def join_pages(start: str, end: str) -> str:
    """Return the pages from start to end. The start may hold both.

    >>> join_pages("17", "29"), join_pages("17-29", "29"), join_pages("e17", "")
    ('17-29', '17-29', 'e17')
    """
    is_whole = not end or start.endswith(f"-{end}")
    return start if is_whole else f"{start}-{end}".lstrip("-")


def parse_month(text: str) -> int | str:
    """Return the number of a month in digits or in English, else the text.

    >>> parse_month("03"), parse_month("Sept."), parse_month("Winter")
    (3, 9, 'Winter')
    """
    if text.isdecimal():
        return int(text) if 1 <= int(text) <= 12 else text
    word = text.rstrip(".").lower()
    matches = [n for n, name in enumerate(_MONTHS, 1) if len(word) > 2 and name.startswith(word)]
    return matches[0] if matches else text


def split_keywords(text: str) -> list[str]:
    """Split a text into keywords at semicolons, else at bars, else at commas."""
    sign = next((sign for sign in ";|" if sign in text), ",")
    return text.split(sign) if text else []
