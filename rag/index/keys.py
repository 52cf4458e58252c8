"""Keys by which papers are found without a search: ids, titles, names, authors, venues, tags.

Names are compared without case, accents and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain, islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from rag.papers import drop_et_al, is_han, join_name
from rag.papers.compare import describe, list_keys
from rag.papers.merge import list_ids
from rag.papers.paper import normalise_title
from rag.readers.zotero.address import LINK_START
from rag.text.folding import fold_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rag.papers import Paper

WHOLE = "="  # stands before the whole name of a venue
RETRACTED = "yes"  # key of retracted papers
_MOST_WORDS = 40  # of a venue, for comparison
_ACRONYM = re.compile(r"\(([A-Z][\w&-]*[A-Z][\w&-]*)\)")
_YEAR_OF_VENUE = re.compile(r"\b(?:19|20)\d\d\b")  # "ICML 2020" also matches "ICML"
_COUNTRIES = frozenset({"USA"})  # not acronyms of venues
_LEAD = re.compile(r"^(.{2,40}?)\s*(?::|--| [-–—] )\s*\S")
# A capital or a digit after the first letter of a word. Others may be ordinary words.
_COINED = re.compile(r"\w[A-Z]|\S[0-9]")
_MOST_NAME_WORDS = 3


def make_keys(paper: Paper) -> set[tuple[str, str]]:
    """Return the keys of a paper as (field, key) pairs.

    Returns:
        the fields are "prefix" (its id in lower case), "id" (ids, aliases, DOI, arXiv id), "title",
        "work" (other keys of the same work), "name" (that the title coins), "author", "venue",
        "source", "tag", "collection", "citation_key" and "retracted".
    """
    keys: dict[str, Iterable[str]] = {
        "prefix": [make_printable(paper.id).casefold()],
        "id": map(make_printable, list_ids(paper)),
        "title": [normalise_title(paper.title)],
        "work": list_keys(describe(paper)),
        "name": list_coined_names(paper.title),
        "author": list_author_keys(drop_et_al(paper.authors)),
        "venue": list_venue_keys(paper.venue or ""),
        "source": map(make_printable, chain(*map(list_source_keys, paper.sources))),
        "tag": map(normalise, list_texts(paper, "tags")),
        "collection": chain(*map(list_collection_keys, list_texts(paper, "collections"))),
        "citation_key": [make_printable(paper.citation_key or "").casefold()],
        "retracted": [RETRACTED] if paper.retraction else [],
    }
    return {(field, key) for field, several in keys.items() for key in several if key}


def list_texts(paper: Paper, name: str) -> list[str]:
    """Return the texts of a field of the paper's metadata."""
    values = paper.metadata.get(name)
    return [*map(str, values)] if isinstance(values, list) else []


def list_source_keys(source: str) -> Iterator[str]:
    """Yield the keys of a file, by path and name, or of an item of Zotero, with its library."""
    yield source
    if source.startswith(LINK_START):
        yield source.rpartition("/")[0] + "/"
    else:
        yield PurePath(source).name


def list_collection_keys(path: str) -> Iterator[str]:
    """Yield the keys of a collection and of those above it, by path and by name.

    >>> list(list_collection_keys("Thesis/Chapter 2"))
    ['thesis', 'chapter 2', 'thesis', 'thesis/chapter 2']
    """
    names = path.split("/")
    paths = ("/".join(names[: number + 1]) for number in range(len(names)))
    yield from map(make_collection_key, chain(names, paths))


def make_collection_key(path: str) -> str:
    """Return the key of the path or name of a collection."""
    return "/".join(filter(None, map(normalise, path.split("/"))))


def list_coined_names(title: str) -> list[str]:
    """Return the names that a title coins, as written: "ELECTRA: ..." or "... (BERT)".

    >>> list_coined_names("ELECTRA: Pre-training Text Encoders as Discriminators")
    ['ELECTRA']
    >>> list_coined_names("Kind: a study of kindness (KIS)")
    ['KIS']
    """
    names = [read_lead(title), *_ACRONYM.findall(title)]
    return [name for name in names if _COINED.search(name) and name.count(" ") < _MOST_NAME_WORDS]


def strip_words(question: str) -> list[str]:
    """Return the words of a question without the signs and the 's around them."""
    return [word.strip("\"'“”‘’.,;:?!()[]").removesuffix("'s") for word in question.split()]


def read_lead(title: str) -> str:
    """Return what stands before the colon or dash of a title, "" without one.

    >>> read_lead("Primer: Searching for Efficient Transformers")
    'Primer'
    """
    lead = _LEAD.match(fold_text(title))
    return lead[1] if lead else ""


def list_possible_names(question: str) -> list[str]:
    """Return the words and short runs of words in a question that have the form of a coined name.

    >>> list_possible_names("Is GPT-3 better than Bert?")
    ['GPT-3', 'Is GPT-3', 'GPT-3 better', 'Is GPT-3 better', 'GPT-3 better than']
    """
    words = strip_words(question)
    runs = (
        " ".join(words[first : first + length])
        for length in range(1, _MOST_NAME_WORDS + 1)
        for first in range(len(words) - length + 1)
    )
    return [run for run in runs if _COINED.search(run)]


def list_author_keys(authors: Iterable[str]) -> Iterator[str]:
    """Yield all names by which authors can be found."""
    for words in (normalise_name(author).split() for author in authors):
        if words:
            for form in _AUTHOR_FORMS:
                yield from form(words)


_AUTHOR_FORMS: tuple[Callable[[list[str]], Iterable[str]], ...] = (
    lambda words: words[-1:],
    lambda words: words[0][:1] if len(words) == 1 and is_han(words[0]) else "",  # family name
    lambda words: [f"{words[0][0]} {words[-1]}"],
    lambda words: [f"{words[0]} {words[-1]}"],
    lambda words: (" ".join(words[start:]) for start in range(len(words))),
)


def list_venue_keys(venue: str) -> Iterator[str]:
    """Yield all keys of a venue: its names, then their words."""
    acronyms = [name for name in _ACRONYM.findall(venue) if len(name) > 2]
    bare = _ACRONYM.sub(" ", venue)
    yearless = _YEAR_OF_VENUE.sub(" ", bare)
    opening = venue.partition("(")[0]  # "BMJ (Clinical research ed.)"
    names = [venue, bare, yearless, opening, *(a for a in acronyms if a not in _COUNTRIES)]
    yield from islice(map(make_whole_key, filter(str.strip, names)), 10)
    yield from split_words(venue)


def make_whole_key(venue: str) -> str:
    """Return the key of a whole name, which no word equals."""
    return WHOLE + " ".join(normalise(venue).split()[:_MOST_WORDS]).removeprefix("the ")


def normalise_name(author: str) -> str:
    """Return a name for comparison, given name first."""
    family, _, given = author.partition(",")
    return normalise(join_name(given, family))


def split_words(text: str) -> list[str]:
    """Return the first words of a text for comparison, each once."""
    return list(dict.fromkeys(normalise(text).split()))[:_MOST_WORDS]


def normalise(text: str) -> str:
    """Keep letters and digits, in lower case without accents, as words with single spaces."""
    folded = unicodedata.normalize("NFKD", fold_text(text).casefold())
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def make_printable(text: str) -> str:
    """Return a path or id as it is stored, with undecodable bytes replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
