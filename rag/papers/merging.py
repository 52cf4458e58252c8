"""How several records of one paper become one paper.

A paper keeps the id it was first met with for ever, because saved answers point to it; ids that
turn up later become aliases. Equal ids are one paper. Equal titles are one paper only while nothing
else speaks against it: "Editorial" is the title of many. Called by the readers and by the index.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from rag.papers.paper import Paper, normal_arxiv_id, normal_doi, normal_title, paper_id, title_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FROM_STANDARD_INPUT = "standard input"
FROM_STREAM = "the stream"
_PASSING = frozenset({FROM_STANDARD_INPUT, FROM_STREAM})  # names of what is never the same twice
_ARXIV_DOI = "10.48550/arxiv."
_NAME_END = re.compile(r"[;,&]| and | et al\b", re.IGNORECASE)
_GENERATIONS = frozenset({"jr", "sr", "ii", "iii", "iv"})


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of a paper that was added.

    Attributes:
        paper: the paper as it now stands in the library.
        status: "new"; "unchanged" (it told nothing new); "merged" (it added to a known paper);
            "changed" (its file was edited and it took the place of what was known).
        warning: what had to be decided between records that differ, or None.
    """

    paper: Paper
    status: Literal["new", "unchanged", "merged", "changed"]
    warning: str | None = None


class PaperMerger:
    """The papers of a library: each once, whatever the number of records of it.

    Papers given at the start are the library as it was: different ids are different papers. When
    one of them is read again from all of its sources, its file has been edited, so the new record
    takes its place; standard input is no file and never edited. Any other further record of a paper
    adds to it: the first title stays, the longer abstract is kept, so is the longer of two lists of
    authors that begin alike, empty fields are filled, sources and ids are united. The cost of
    adding does not grow with the library.
    """

    def __init__(self, papers: Iterable[Paper] = ()) -> None:
        self._papers: dict[int, Paper] = {}  # by place: the number of the paper's first record
        self._by_key: dict[str, int] = {}
        self._by_title: dict[str, int] = {}  # the first paper of that title
        self._namesakes: dict[tuple[object, ...], dict[int, None]] = {}  # the further ones
        self._next_place = 0
        self._not_read_again: set[int] = set()
        for paper in papers:
            if paper.id in self._by_key:
                self.add(paper)
            else:
                self._append(paper)
        self._not_read_again.update(self._papers)

    @property
    def papers(self) -> list[Paper]:
        """All papers, in the order in which they were first seen."""
        return [self._papers[place] for place in sorted(self._papers)]

    def get(self, paper_id: str) -> Paper | None:
        """The paper with this id or alias, or None."""
        place = self._by_key.get(paper_id)
        return None if place is None else self._papers.get(place)

    def add(self, paper: Paper) -> Merge:
        """Takes in one record of a paper."""
        places = self._places_of(paper)
        if places:
            return self._join(places, paper)
        if paper.id in self._by_key:
            paper = replace(paper, id=self._free_id(paper))
        self._append(paper)
        return Merge(paper, "new")

    def _append(self, paper: Paper) -> None:
        self._put(self._next_place, paper)
        self._next_place += 1

    def _places_of(self, paper: Paper) -> list[int]:
        """Where the paper is known, several places if it proves several papers to be one."""
        by_title_only = paper.id == paper_id(paper.title)
        keys = [key for key in _keys(paper) if not (by_title_only and key == paper.id)]
        places = {self._by_key[key] for key in keys if key in self._by_key}
        if places:
            return sorted(places)
        place = self._place_of_title(paper)
        if place is None and by_title_only:  # the slug may be an alias of a paper with a new title
            place = self._agreeing(self._by_key.get(paper.id), paper)
        return [] if place is None else [place]

    def _place_of_title(self, paper: Paper) -> int | None:
        title = normal_title(paper.title)
        if title not in self._by_title:
            return None
        first = self._agreeing(self._by_title[title], paper)
        if first is not None:
            return first
        # Namesakes are filed under every pattern of known and unknown traits that they agree with,
        # so that ten thousand editorials need no search.
        wanted = [(_ANY,) if trait is None else (trait, None) for trait in _traits(paper)]
        found = [self._namesakes.get((title, *pattern)) for pattern in product(*wanted)]
        return min((next(iter(places)) for places in found if places), default=None)

    def _agreeing(self, place: int | None, paper: Paper) -> int | None:
        known = None if place is None else self._papers.get(place)
        return place if known is not None and _agree(_traits(known), _traits(paper)) else None

    def _join(self, places: list[int], paper: Paper) -> Merge:
        first, *others = places
        known = self._papers[first]
        edited = (
            not others
            and first in self._not_read_again
            and _PASSING.isdisjoint(paper.sources)
            and set(known.sources) <= set(paper.sources)
        )
        self._not_read_again.difference_update(places)
        records = [*(self._papers[other] for other in others), paper]
        whole, warnings = (_replaced(known, paper), []) if edited else _united(known, records)
        own = (alias for alias in whole.aliases if self._by_key.get(alias, first) in places)
        whole = replace(whole, aliases=tuple(own))
        warning = " ".join(warnings) or None
        if whole == known:
            return Merge(known, "unchanged", warning)
        for place in places:
            self._drop(place)
        self._put(first, whole)
        gained_only = replace(whole, sources=known.sources, aliases=known.aliases) == known
        return Merge(whole, "changed" if edited and not gained_only else "merged", warning)

    def _put(self, place: int, paper: Paper) -> None:
        self._papers[place] = paper
        for key in _keys(paper):
            self._by_key.setdefault(key, place)
        if self._by_title.setdefault(normal_title(paper.title), place) != place:
            for pattern in _patterns(paper):
                self._namesakes.setdefault(pattern, {})[place] = None

    def _drop(self, place: int) -> None:
        paper = self._papers.pop(place)
        for key in _keys(paper):
            if self._by_key.get(key) == place:
                del self._by_key[key]
        for pattern in _patterns(paper):
            self._namesakes.get(pattern, {}).pop(place, None)

    def _free_id(self, paper: Paper) -> str:
        """An id for a namesake: the hash also takes in what tells it from the others."""
        seed = "\n".join(map(str, (normal_title(paper.title), *_traits(paper))))
        ids = (title_id(paper.title, seed, digits=digits) for digits in range(6, 65))
        return next(each for each in ids if each not in self._by_key)


_ANY = object()  # in the table of namesakes: whatever it is


class _Traits(NamedTuple):
    """What tells namesakes apart, in one spelling; None is unknown."""

    doi: str | None
    arxiv_id: str | None
    year: int | None
    author: str | None


def _traits(paper: Paper) -> _Traits:
    doi = normal_doi(paper.doi) if paper.doi else None
    arxiv_id = normal_arxiv_id(paper.arxiv_id) if paper.arxiv_id else None
    if doi and doi.startswith(_ARXIV_DOI):  # the DOI of a preprint speaks against no publisher's
        arxiv_id = arxiv_id or normal_arxiv_id(doi.removeprefix(_ARXIV_DOI))
        doi = None
    author = _family_name(paper.authors[0]) if paper.authors else None
    return _Traits(doi, arxiv_id, paper.year, author)


def _keys(paper: Paper) -> list[str]:
    """All ids under which the paper is known."""
    traits = _traits(paper)
    keys = [paper.id, *paper.aliases]
    keys += [f"doi:{doi}" for doi in [paper.doi and normal_doi(paper.doi)] if doi]
    keys += [f"arxiv:{traits.arxiv_id}"] if traits.arxiv_id else []
    return list(dict.fromkeys(keys))


def _family_name(author: str) -> str | None:
    """The last word of the name, or the one before the comma, without accents and case."""
    name = unicodedata.normalize("NFKD", _NAME_END.split(author, maxsplit=1)[0]).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in name if not unicodedata.combining(c)))
    names = [word for word in words if word not in _GENERATIONS]
    return names[-1] if names else None


def _agree(traits: Iterable[object], others: Iterable[object]) -> bool:
    pairs = zip(traits, others, strict=True)
    return all(one is None or other is None or one == other for one, other in pairs)


def _patterns(paper: Paper) -> Iterator[tuple[object, ...]]:
    """The title with every choice of traits that agrees with the paper's."""
    return product([normal_title(paper.title)], *((trait, _ANY) for trait in _traits(paper)))


def _replaced(known: Paper, new: Paper) -> Paper:
    return replace(
        new,
        id=known.id,
        sources=tuple(dict.fromkeys((*known.sources, *new.sources))),
        aliases=_aliases(known, new),
    )


def _united(known: Paper, records: Iterable[Paper]) -> tuple[Paper, list[str]]:
    """The known paper with what the records add, and what had to be decided."""
    warnings: list[str] = []
    for new in records:
        warnings += _differences(known, new)
        known = replace(
            known,
            abstract=max(known.abstract, new.abstract, key=len),
            authors=_fuller(known.authors, new.authors),
            year=known.year or new.year,
            venue=known.venue or new.venue,
            url=known.url or new.url,
            doi=known.doi or new.doi,
            arxiv_id=known.arxiv_id or new.arxiv_id,
            sources=tuple(dict.fromkeys((*known.sources, *new.sources))),
            aliases=_aliases(known, new),
            metadata={**new.metadata, **known.metadata},
        )
    return known, warnings


def _fuller(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """The known authors, or the new ones if these begin with the same and go on."""
    pairs = zip(known, new, strict=False)
    is_begun = len(new) > len(known) and all(map(_agree_on_name, pairs))
    return new if is_begun else known


def _agree_on_name(names: tuple[str, str]) -> bool:
    return _family_name(names[0]) == _family_name(names[1])


def _aliases(known: Paper, new: Paper) -> tuple[str, ...]:
    several = dict.fromkeys((*known.aliases, new.id, *new.aliases))
    return tuple(alias for alias in several if alias != known.id)


def _differences(known: Paper, new: Paper) -> list[str]:
    warnings = []
    if normal_title(known.title) != normal_title(new.title):
        warnings.append(
            f'{known.id} has two titles; "{known.title}" is kept, "{new.title}" is not.'
        )
    if known.abstract and new.abstract and known.abstract != new.abstract:
        kept, other = sorted((len(known.abstract), len(new.abstract)), reverse=True)
        warnings.append(
            f"{known.id} has two abstracts, of {kept} and {other} characters; the longer is kept."
        )
    return warnings
