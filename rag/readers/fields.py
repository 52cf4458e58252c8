"""What formats have in common: names, years, addresses, identifiers, keywords.

Called by the format modules, so that one paper exported in two formats comes out the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from rag.papers import ET_AL, join_name, normalise_arxiv_id, normalise_doi
from rag.text.markup import is_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rag.papers import JsonValue


class Found(NamedTuple):
    """What a format says of a paper, not yet cleaned; its fields are those of a `Paper`.

    Its DOI and arXiv id are in their normal forms. It takes a fifth of the time that a paper takes
    to make, and each paper is made only once.
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


NO_TITLE = "the record has no title; add one."

_BEFORE = 20  # lines that may stand before the first record
_ID_CHARS = 200
_LONG_CHARS = 200  # below, splitting a text costs less than looking whether it must be split
_REMEMBERED = 4096  # texts, which take a megabyte or two for a function, and seven at most
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
_WEB_ADDRESS = re.compile(r"https?://(?:[^\s;]++|;(?=[^\s;])(?!;*https?:))++", re.IGNORECASE)
# Begun only at the first of several semicolons: twenty thousand of them would else take seconds.
_BETWEEN_ADDRESSES = re.compile(r"(?<!;);++(?:\s+|\Z|(?=https?:))", re.IGNORECASE)
_ARXIV_NAMED = re.compile(r"(?:arxiv:\s*|10\.48550/arxiv\.)(\S+)", re.IGNORECASE)
_NOBODY = re.compile(r"(?:and )?(?:others|et\.? al\.?)", re.IGNORECASE)
_NOBODY_ENDS = frozenset({"al", " al", ".al", "al.", "ers"})
_ET_AL = re.compile(r",?\s+(?:et\.? al\.?|and others)$", re.IGNORECASE)
_INITIALS = re.compile(r"(?:[^\W\d_](?:\.?[ -]?)){1,4}")
_LOOSE_INITIAL = re.compile(r"\. -(?=[^\W\d_]\.)")  # "J. -L.", as arXiv writes "J.-L."
_GENERATION = re.compile(r"\s*(?:[JS]r\.?|I{2,3}|IV)\s*$")
_FIRM = re.compile(r"\s*(?:Inc|Ltd|LLC|Corp|PLC|GmbH)\.?\s*$", re.IGNORECASE)
_NUMBER_IN_BRACKETS = re.compile(r" ?\(\d+\)")  # Scopus puts its author ids behind the names


def begins(head: str, start: re.Pattern[str]) -> bool:
    """Whether one of the first lines that are not blank matches."""
    lines = [line for line in head.split("\n") if line.strip()][:_BEFORE]
    return any(start.match(line) for line in lines)


def lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines without their ends, from pieces of whole lines."""
    return chain.from_iterable(piece.removesuffix("\n").split("\n") for piece in pieces)


def one_line(text: str) -> str:
    """The text with each run of white space as one space, none at the ends."""
    return text if len(text) > _LONG_CHARS and is_one_line(text) else " ".join(text.split())


def remembered(read: Callable[[str], str]) -> Callable[[str], str]:
    """The function with its last results at hand, for what often comes back in a file.

    This pays where one in four texts has been seen before, as names and venues of a field have.
    Long texts are neither remembered nor likely to come back.
    """
    known = lru_cache(maxsize=_REMEMBERED)(read)
    return lambda text: known(text) if len(text) < _LONG_CHARS else read(text)


def given_first(name: str) -> str:
    """The name with the given name in front, but in Han characters; one without a comma stays.

    Two commas are one that stands in the name of a group: "University of Bath,, Library"; so does
    the comma before "Inc." and the like.

    >>> given_first("King, Jr., Martin"), given_first("King, Martin, Jr."), given_first("Ink, Inc.")
    ('Martin King Jr.', 'Martin King Jr.', 'Ink, Inc.')
    """
    return _turned(one_line(name))


def _turned(name: str) -> str:
    """The name, which is on one line, with the given name in front."""
    if "," not in name:
        return name
    family, _, given = name.partition(",")
    if "," not in given:
        return name if _FIRM.match(given) else join_name(given, family)
    if ",," in name:
        return name.replace(",,", ",")
    rest = given.split(",")
    if _FIRM.match(rest[-1]):
        return name
    if len(rest) == 2 and _GENERATION.match(rest[0]):
        rest.reverse()
    return one_line(" ".join([rest[0], family, *rest[1:]]))


def people(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are written, in order; "others" and "et al." at their end are `ET_AL`.

    >>> people(["J. -L. Šulc", "Ada Lovelace and others"])
    ('J.-L. Šulc', 'Ada Lovelace', 'et al.')
    """
    return _listed(names, _person)


def authors(names: Iterable[str]) -> tuple[str, ...]:
    """The names, given names first, in order; "others" and "et al." at their end are `ET_AL`."""
    return _listed(names, _known_author)


def _listed(names: Iterable[str], read: Callable[[str], str]) -> tuple[str, ...]:
    several = list(names)
    found = tuple(filter(None, map(read, several)))
    while several and not several[-1].strip():
        several.pop()
    return (*found, *left_out(several[-1])) if found else ()


def _person(name: str) -> str:
    """The name on one line; "" if it names nobody."""
    plain = name = one_line(name)
    if name[-3:].lower() in _NOBODY_ENDS:
        plain = "" if _NOBODY.fullmatch(name) else _ET_AL.sub("", name)
    return _LOOSE_INITIAL.sub(".-", plain) if " -" in plain else plain


def left_out(last: str) -> tuple[str, ...]:
    """`ET_AL` where the last name of a list says that others are left out; else nothing."""
    if last.rstrip()[-3:].lower() not in _NOBODY_ENDS:
        return ()
    last = one_line(last)
    return (ET_AL,) if _NOBODY.fullmatch(last) or _ET_AL.search(last) else ()


def author(name: str) -> str:
    """The name on one line, the given name first; "" if it names nobody."""
    return _turned(_person(name))


_known_author = remembered(author)


def names_in(text: str, *, single: bool) -> list[str]:
    """The names that stand in one text; `single` says that a comma never stands between two.

    Without a semicolon or "and", commas either set names of several words apart or turn the only
    name round.

    >>> names_in("A. Turing, E. Noether", single=False), names_in("Turing, Alan", single=False)
    (['A. Turing', ' E. Noether'], ['Turing, Alan'])
    >>> names_in("Vogt, V., Mohr, M., et al.", single=False)
    ['Vogt, V.', 'Mohr, M.', 'et al.']
    """
    text = _NUMBER_IN_BRACKETS.sub("", one_line(text))
    if re.search(r"[;|]", text):
        return re.split(r"[;|]", text)
    parts = re.split(",? (?:and|&) ", text)
    return [name for part in parts for name in _turned_in(part) or _by_commas(part, single=single)]


def _turned_in(text: str) -> list[str]:
    """Names with initials behind a comma each; [] if it is no such list, as "UN, WHO, EU, FAO"."""
    parts = [part for part in map(str.strip, text.split(",")) if part]
    rest = [parts.pop()] if len(parts) % 2 and left_out(parts[-1]) else []
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2 or len(pairs) + len(rest) < 2 or not all(map(_has_initials, pairs)):
        return []
    return [", ".join(pair) for pair in pairs] + rest


def _has_initials(pair: tuple[str, str]) -> bool:
    family, given = pair
    are_capitals = given.isupper() and ("." in given or not family.isupper())
    return are_capitals and bool(_INITIALS.fullmatch(given))


def _by_commas(text: str, *, single: bool) -> list[str]:
    parts = [text] if single else text.split(",")
    are_names = len(parts) > 2 or all(" " in part.strip() for part in parts)
    return parts if are_names else [text]


def year(*texts: str) -> int | None:
    """The first year from 1500 to 2099 that stands in the first text that has one.

    >>> year("", "in press", "12 Mar 2019")
    2019
    """
    for text in texts:
        if text and (found := _YEAR.search(text)):
            return int(found[0])
    return None


def web_address(*texts: str) -> str | None:
    """The first http or https address that a text begins with."""
    for text in texts:
        if found := _WEB_ADDRESS.match(text.strip()):
            return found[0]
    return None


def addresses(texts: Iterable[str]) -> list[str]:
    """Addresses, of which several may stand in one text, set apart by semicolons."""
    found = []
    for text in texts:
        parts = _BETWEEN_ADDRESSES.split(text) if ";" in text else [text]
        found += [part.strip() for part in parts if part.strip()]
    return found


def noted(name: str, notes: Iterable[str]) -> str:
    """What stands behind a name and a colon in the first note that begins so; "" without one.

    >>> noted("arXiv", ["Read twice.", "arXiv: 1706.03762"])
    '1706.03762'
    """
    said = (note.partition(": ") for note in notes)
    return next((text.strip() for first, _, text in said if first == name and text.strip()), "")


def without_stop(title: str) -> str:
    """The title without the full stop that PubMed ends each with, which is not the paper's.

    >>> without_stop("Tea."), without_stop("Tea?"), without_stop("Tea...")
    ('Tea', 'Tea?', 'Tea...')
    """
    return title if title.endswith("..") else title.removesuffix(".")


def pubmed_address(pmid: str) -> str | None:
    """The page of an article at PubMed; None if the text is no number of one."""
    return f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/" if pmid.isascii() and pmid.isdigit() else None


def carried_id(value: object) -> str:
    """The id that one of our exports carries; "" for what can be none."""
    is_id = isinstance(value, str) and len(value) <= _ID_CHARS and value.isprintable()
    return str(value).strip() if is_id else ""


def doi(*texts: str) -> str | None:
    """The first DOI among texts."""
    for text in texts:
        if text and (known := normalise_doi(text)):
            return known
    return None


def arxiv_id(*texts: str) -> str | None:
    """The first arXiv id that is said to be one: by an address, a DOI or "arXiv:" before it.

    >>> arxiv_id("10.1000/x", "arXiv preprint arXiv:1706.03762v7"), arxiv_id("1706.03762")
    ('1706.03762', None)
    """
    for text in texts:
        if "arxiv" not in text.lower():
            continue
        named = _ARXIV_NAMED.search(text)
        address = web_address(text)
        known = normalise_arxiv_id(named[1].rstrip(".,;]")) if named else None
        known = known or (normalise_arxiv_id(address) if address else None)
        if known:
            return known
    return None


def tags(texts: Iterable[str]) -> dict[str, JsonValue]:
    """Metadata with the keywords, each once and in order; {} if there are none."""
    several = dict.fromkeys(map(one_line, texts))
    several.pop("", None)
    return {"tags": list(several)} if several else {}


def keywords(text: str) -> list[str]:
    """Keywords that stand in one text: set apart by semicolons, else by commas."""
    return text.split(";" if ";" in text else ",") if text else []
