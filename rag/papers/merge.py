"""How several records of one paper become one paper.

A paper keeps the id it was first met with for ever, because saved answers point to it; ids that
turn up later become aliases. Equal ids are one paper. Equal titles are one paper only while nothing
else speaks against it: "Editorial" is the title of many. Called by the readers and by the index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from rag.papers.merge_fields import ReadAgain, united
from rag.papers.names import family_name
from rag.papers.paper import normal_arxiv_id, normal_doi, normal_title, paper_id, title_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers.paper import Paper

FROM_STANDARD_INPUT = "standard input"
FROM_STREAM = "the stream"
_PASSING = frozenset({FROM_STANDARD_INPUT, FROM_STREAM})  # names of what is never the same twice
_ARXIV_DOI = "10.48550/arxiv."


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of a paper that was added.

    Attributes:
        paper: the paper as it now stands in the library.
        status: "new"; "unchanged" (it told nothing new); "merged" (it added to a known paper);
            "changed" (a file that it had been read from now tells something else).
        warning: what had to be decided between records that differ, or None.
    """

    paper: Paper
    status: Literal["new", "unchanged", "merged", "changed"]
    warning: str | None = None


class PaperMerger:
    """The papers of a library: each once, whatever the number of records of it.

    Papers given at the start are the library as it was: different ids are different papers. When
    one of them has been read again from all of its sources, what they say now, united in their
    order, takes its place; standard input is no file and never read again. Any other further record
    of a paper adds to it: the first title stays, the longer abstract is kept, so is the longer of
    two lists of authors that begin alike, empty fields are filled, sources and ids are united. The
    cost of adding does not grow with the library.
    """

    def __init__(self, papers: Iterable[Paper] = ()) -> None:
        self._papers: dict[int, Paper] = {}  # by place: the number of the paper's first record
        self._by_key: dict[str, int] = {}
        self._by_title: dict[str, int] = {}  # the first paper of that title
        self._namesakes: dict[tuple[object, ...], dict[int, None]] = {}  # the further ones
        self._next_place = 0
        self._not_read_again: set[int] = set()  # from all of their sources
        self._partly_read: dict[int, ReadAgain] = {}  # of these, the ones read from some
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
        again = self._read_again(places, paper)
        if again and again.is_whole:
            whole, warnings = again.newest()
        else:
            whole, warnings = united(known, [*(self._papers[each] for each in others), paper])
        own = (alias for alias in whole.aliases if self._by_key.get(alias, first) in places)
        whole = replace(whole, aliases=tuple(own))
        warning = " ".join(warnings) or None
        if whole == known:
            return Merge(known, "unchanged", warning)
        for place in places:
            self._drop(place)
        self._put(first, whole)
        gained_only = replace(whole, sources=known.sources, aliases=known.aliases) == known
        edited = again and (again.is_whole or set(paper.sources) <= set(again.known.sources))
        return Merge(whole, "changed" if edited and not gained_only else "merged", warning)

    def _read_again(self, places: list[int], paper: Paper) -> ReadAgain | None:
        """What has been read again of a paper of the library, this record too; None if nothing."""
        place, *others = places
        again = None
        if not others and place in self._not_read_again and _PASSING.isdisjoint(paper.sources):
            again = self._partly_read.setdefault(place, ReadAgain(self._papers[place], {}))
            again.add(paper)
        if again is None or again.is_whole:
            self._not_read_again.difference_update(places)
            for each in places:
                self._partly_read.pop(each, None)
        return again

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
    author = family_name(paper.authors[0]) if paper.authors else None
    return _Traits(doi, arxiv_id, paper.year, author)


def _keys(paper: Paper) -> list[str]:
    """All ids under which the paper is known."""
    traits = _traits(paper)
    keys = [paper.id, *paper.aliases]
    keys += [f"doi:{doi}" for doi in [paper.doi and normal_doi(paper.doi)] if doi]
    keys += [f"arxiv:{traits.arxiv_id}"] if traits.arxiv_id else []
    return list(dict.fromkeys(keys))


def _agree(traits: Iterable[object], others: Iterable[object]) -> bool:
    pairs = zip(traits, others, strict=True)
    return all(one is None or other is None or one == other for one, other in pairs)


def _patterns(paper: Paper) -> Iterator[tuple[object, ...]]:
    """The title with every choice of traits that agrees with the paper's."""
    return product([normal_title(paper.title)], *((trait, _ANY) for trait in _traits(paper)))
