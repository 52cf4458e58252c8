"""Find papers that may be one work, for the user to decide.

Papers are compared only with those that share an identifier, a title, an author and year or an
abstract, and within such a group only with their neighbours in order of title. So the cost grows
with the number of papers, not of pairs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from rag.papers.compare import compare, describe, explain, list_block_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from rag.papers.compare import Traits
    from rag.papers.merge import Decision
    from rag.papers.paper import Paper

_NEIGHBOURS = 6  # in a group, with which a paper is compared
_MOST_TITLED = 5  # papers of one title; more share it by chance ("Editorial")
_ABSTRACT_CHARS = 80


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two papers that may be one work.

    Attributes:
        first: the one that the library had first.
        second: the other.
        reason: what they share, and what sets them apart.
    """

    first: Paper
    second: Paper
    reason: str


def find_duplicates(papers: Sequence[Paper], decisions: Iterable[Decision] = ()) -> list[Duplicate]:
    """Return the pairs of papers that may be one work, in the order of the papers.

    Args:
        papers: of a library.
        decisions: what the user said; papers that are kept apart are left out.
    """
    traits = [describe(paper) for paper in papers]
    titles = Counter(each.title_key for each in traits)
    apart = _find_apart(papers, decisions)
    found = []
    for first, second in sorted(_find_neighbours(traits) - apart):
        one, other = traits[first], traits[second]
        is_common = one.title_key == other.title_key and titles[one.title_key] > _MOST_TITLED
        if is_common and one.ids.isdisjoint(other.ids):
            continue
        if compare(one, other) != "different":
            found.append(Duplicate(papers[first], papers[second], explain(one, other)))
    return found


def _find_neighbours(traits: Sequence[Traits]) -> set[tuple[int, int]]:
    """Return the places of papers that are near each other in a group."""
    groups: dict[Hashable, list[int]] = {}
    for place in sorted(range(len(traits)), key=lambda place: traits[place].title_key):
        for key in {*_list_group_keys(traits[place])}:
            groups.setdefault(key, []).append(place)
    return {
        (min(place, other), max(place, other))
        for several in groups.values()
        for number, place in enumerate(several)
        for other in several[number + 1 : number + 1 + _NEIGHBOURS]
    }


def _list_group_keys(traits: Traits) -> Iterator[Hashable]:
    yield from list_block_keys(traits)
    if traits.family and traits.year:
        yield traits.family, traits.year
        if traits.is_preprint:
            yield traits.family, traits.year + 1
    if traits.abstract:
        yield traits.abstract[:_ABSTRACT_CHARS]


def make_finder(papers: Sequence[Paper]) -> Callable[[Paper], int | None]:
    """Return a function that finds the place of a decided paper among the papers of today."""
    places: dict[Hashable, int] = {}
    for place, paper in enumerate(papers):
        for name in (describe(paper).whole, *paper.aliases):
            places.setdefault(name, place)
    places |= {paper.id: place for place, paper in enumerate(papers)}
    return lambda paper: places.get(describe(paper).whole, places.get(paper.id))


def _find_apart(papers: Sequence[Paper], decisions: Iterable[Decision]) -> set[tuple[int, int]]:
    """Return the places of papers that the user keeps apart."""
    several = [decision.papers for decision in decisions if not decision.is_same]
    if not several:
        return set()
    find = make_finder(papers)
    places = (sorted({place for place in map(find, each) if place is not None}) for each in several)
    return {pair for each in places for pair in combinations(each, 2)}
