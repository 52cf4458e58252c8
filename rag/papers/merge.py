"""Merge several records of one paper into one paper.

A paper keeps the id under which it was first added, because saved answers point to it. Ids that
turn up later become aliases. Equal ids are one paper. Equal titles are one paper only if no other
field disagrees: "Editorial" is the title of many. Used by the readers and by the index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from rag.papers.names import drop_et_al, find_family_name
from rag.papers.paper import (
    make_paper_id,
    make_title_id,
    normalise_arxiv_id,
    normalise_doi,
    normalise_title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers.paper import Paper

FROM_STANDARD_INPUT = "standard input"
FROM_STREAM = "the stream"
_TRANSIENT = frozenset({FROM_STANDARD_INPUT, FROM_STREAM})  # sources that cannot be read again
_ARXIV_DOI = "10.48550/arxiv."
_ANY = object()  # matches every value in the table of namesakes


@dataclass(frozen=True, slots=True)
class Merge:
    """Outcome of adding one record.

    Attributes:
        paper: the paper as the library now holds it.
        status: "new"; "unchanged" (the record adds nothing); "merged" (it adds to a known paper);
            "changed" (the paper's own sources now say something else).
        warning: how conflicting records were resolved, or None.
    """

    paper: Paper
    status: Literal["new", "unchanged", "merged", "changed"]
    warning: str | None = None


class PaperMerger:
    """Collects papers and keeps each one once.

    Papers given at the start are the library as it was: different ids are different papers. Once
    all sources of such a paper have been read again, their current records replace it, merged in
    the order of its sources. Standard input is never read again. Any other record of a known paper
    adds to it: the first title stays, the longer abstract is kept, the longer of two author lists
    that begin alike is kept, empty fields are filled, sources and ids are joined. The cost of
    adding does not grow with the library. Without `by_title`, only an equal id is the same paper.
    """

    def __init__(self, papers: Iterable[Paper] = (), *, by_title: bool = True) -> None:
        self._compares_titles = by_title
        self._papers: dict[int, Paper] = {}  # by place: the number of the paper's first record
        self._by_key: dict[str, int] = {}
        self._by_title: dict[str, int] = {}  # the first paper with that title
        self._namesakes: dict[tuple[object, ...], dict[int, None]] = {}  # the others
        self._next_place = 0
        self._not_read_again: set[int] = set()  # papers whose sources were not all read again
        self._partly_read: dict[int, _Reread] = {}  # of these, the ones read from some
        for paper in papers:
            if paper.id in self._by_key:
                self.add(paper)
            else:
                self._append(paper)
        self._not_read_again.update(self._papers)

    @property
    def papers(self) -> list[Paper]:
        """All papers in the order in which they were first added."""
        return [self._papers[place] for place in sorted(self._papers)]

    def get(self, paper_id: str) -> Paper | None:
        """Return the paper with this id or alias, or None."""
        place = self._by_key.get(paper_id)
        return None if place is None else self._papers.get(place)

    def add(self, paper: Paper) -> Merge:
        """Add one record of a paper."""
        places = self._find_places(paper)
        if places:
            return self._join(places, paper)
        if paper.id in self._by_key:
            paper = replace(paper, id=self._make_free_id(paper))
        self._append(paper)
        return Merge(paper, "new")

    def _append(self, paper: Paper) -> None:
        self._put(self._next_place, paper)
        self._next_place += 1

    def _find_places(self, paper: Paper) -> list[int]:
        """Return where the paper is known: several places if it links several papers."""
        by_title_only = self._compares_titles and paper.id == make_paper_id(paper.title)
        keys = [key for key in list_ids(paper) if not (by_title_only and key == paper.id)]
        places = {self._by_key[key] for key in keys if key in self._by_key}
        if places or not self._compares_titles:
            return sorted(places)
        place = self._find_title(paper)
        if place is None and by_title_only:  # the slug may be an alias of a paper with a new title
            place = self._check_place(self._by_key.get(paper.id), paper)
        return [] if place is None else [place]

    def _find_title(self, paper: Paper) -> int | None:
        title = normalise_title(paper.title)
        if title not in self._by_title:
            return None
        first = self._check_place(self._by_title[title], paper)
        if first is not None:
            return first
        # Namesakes are filed under every pattern of known and unknown traits that they agree with,
        # so that ten thousand editorials need no search.
        wanted = [(_ANY,) if trait is None else (trait, None) for trait in _get_traits(paper)]
        found = [self._namesakes.get((title, *pattern)) for pattern in product(*wanted)]
        return min((next(iter(places)) for places in found if places), default=None)

    def _check_place(self, place: int | None, paper: Paper) -> int | None:
        """Return the place if the paper there can be the same one, else None."""
        known = None if place is None else self._papers.get(place)
        return place if known and _agree(_get_traits(known), _get_traits(paper)) else None

    def _join(self, places: list[int], paper: Paper) -> Merge:
        first, *others = places
        known = self._papers[first]
        reread = self._note_reread(places, paper)
        if reread and reread.is_complete:
            merged, warnings = reread.merge()
        else:
            merged, warnings = merge_records(known, [*map(self._papers.__getitem__, others), paper])
        merged = self._drop_foreign_aliases(merged, places)
        warning = " ".join(warnings) or None
        if merged == known:
            return Merge(known, "unchanged", warning)
        for place in places:
            self._drop(place)
        self._put(first, merged)
        is_edit = reread and reread.explains(paper) and not _only_gained(known, merged)
        return Merge(merged, "changed" if is_edit else "merged", warning)

    def _drop_foreign_aliases(self, paper: Paper, places: list[int]) -> Paper:
        """Return the paper without aliases that lead to other papers."""
        own = (alias for alias in paper.aliases if self._by_key.get(alias, places[0]) in places)
        return replace(paper, aliases=tuple(own))

    def _note_reread(self, places: list[int], paper: Paper) -> _Reread | None:
        """Return what was read again of a library paper, with this record, or None if nothing."""
        place, *others = places
        reread = None
        if not others and place in self._not_read_again and _TRANSIENT.isdisjoint(paper.sources):
            reread = self._partly_read.setdefault(place, _Reread(self._papers[place], {}))
            reread.add(paper)
        if reread is None or reread.is_complete:
            self._not_read_again.difference_update(places)
            for each in places:
                self._partly_read.pop(each, None)
        return reread

    def _put(self, place: int, paper: Paper) -> None:
        self._papers[place] = paper
        for key in list_ids(paper):
            self._by_key.setdefault(key, place)
        if self._by_title.setdefault(normalise_title(paper.title), place) != place:
            for pattern in _list_patterns(paper):
                self._namesakes.setdefault(pattern, {})[place] = None

    def _drop(self, place: int) -> None:
        paper = self._papers.pop(place)
        for key in list_ids(paper):
            if self._by_key.get(key) == place:
                del self._by_key[key]
        for pattern in _list_patterns(paper):
            self._namesakes.get(pattern, {}).pop(place, None)

    def _make_free_id(self, paper: Paper) -> str:
        """Make an id for a namesake. Its hash covers the fields that set it apart."""
        seed = "\n".join(map(str, (normalise_title(paper.title), *_get_traits(paper))))
        ids = (make_title_id(paper.title, seed, digits=digits) for digits in range(6, 65))
        return next(each for each in ids if each not in self._by_key)


class _Reread(NamedTuple):
    """Paper of the library and what its sources say when they are read again.

    Attributes:
        known: the paper as it was.
        records: the new records by their sources.
    """

    known: Paper
    records: dict[tuple[str, ...], Paper]

    @property
    def is_complete(self) -> bool:
        """True once all sources of the paper have been read."""
        return set(self.known.sources) <= {each for names in self.records for each in names}

    def add(self, paper: Paper) -> None:
        before = self.records.get(paper.sources)
        self.records[paper.sources] = merge_records(before, [paper])[0] if before else paper

    def explains(self, paper: Paper) -> bool:
        """Return whether a difference is an edit of the paper's own sources."""
        return self.is_complete or set(paper.sources) <= set(self.known.sources)

    def merge(self) -> tuple[Paper, list[str]]:
        """Replace the known paper by its new records, merged in the order of its sources."""
        known = self.known
        order = {source: number for number, source in enumerate(known.sources)}
        first, *others = sorted(
            self.records.values(),
            key=lambda record: min(
                (order.get(each, len(order)) for each in record.sources), default=0
            ),
        )
        new, warnings = merge_records(first, others)
        return (
            replace(
                new,
                id=known.id,
                sources=_join_unique(known.sources, new.sources),
                aliases=_join_aliases(known, new),
            ),
            warnings,
        )


class _Traits(NamedTuple):
    """Normalised fields that set namesakes apart; None is unknown."""

    doi: str | None
    arxiv_id: str | None
    year: int | None
    author: str | None


def _get_traits(paper: Paper) -> _Traits:
    doi = normalise_doi(paper.doi) if paper.doi else None
    arxiv_id = normalise_arxiv_id(paper.arxiv_id) if paper.arxiv_id else None
    if doi and doi.startswith(_ARXIV_DOI):  # a preprint's DOI does not contradict a publisher's
        arxiv_id = arxiv_id or normalise_arxiv_id(doi.removeprefix(_ARXIV_DOI))
        doi = None
    author = find_family_name(paper.authors[0]) if paper.authors else None
    return _Traits(doi, arxiv_id, paper.year, author)


def list_ids(paper: Paper) -> list[str]:
    """Return all ids under which a paper is known, its DOI and arXiv id among them."""
    traits = _get_traits(paper)
    keys = [paper.id, *paper.aliases]
    keys += [f"doi:{doi}" for doi in [paper.doi and normalise_doi(paper.doi)] if doi]
    keys += [f"arxiv:{traits.arxiv_id}"] if traits.arxiv_id else []
    return list(dict.fromkeys(keys))


def _agree(traits: Iterable[object], others: Iterable[object]) -> bool:
    pairs = zip(traits, others, strict=True)
    return all(one is None or other is None or one == other for one, other in pairs)


def _list_patterns(paper: Paper) -> Iterator[tuple[object, ...]]:
    """Return the title with every choice of traits that agrees with the paper's."""
    return product([normalise_title(paper.title)], *((each, _ANY) for each in _get_traits(paper)))


def _only_gained(known: Paper, merged: Paper) -> bool:
    """Return whether the paper only gained sources and aliases."""
    return replace(merged, sources=known.sources, aliases=known.aliases) == known


def merge_records(known: Paper, records: Iterable[Paper]) -> tuple[Paper, list[str]]:
    """Add records to a paper. Return it with warnings about conflicts and what was kept."""
    warnings: list[str] = []
    for new in records:
        warnings += _find_conflicts(known, new)
        known = replace(
            known,
            abstract=max(known.abstract, new.abstract, key=len),
            authors=_choose_authors(known.authors, new.authors),
            year=known.year or new.year,
            venue=known.venue or new.venue,
            url=known.url or new.url,
            doi=known.doi or new.doi,
            arxiv_id=known.arxiv_id or new.arxiv_id,
            sources=_join_unique(known.sources, new.sources),
            aliases=_join_aliases(known, new),
            metadata={**new.metadata, **known.metadata},
        )
    return known, warnings


def _choose_authors(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Return the new authors if they begin with the known ones and go on, else the known ones.

    Of two equal lists the one that ends with "et al." wins.
    """
    names, new_names = drop_et_al(known), drop_et_al(new)
    goes_on = (len(new_names), len(new)) > (len(names), len(known))
    pairs = zip(names, new_names, strict=False)
    same = (find_family_name(one) == find_family_name(other) for one, other in pairs)
    return new if goes_on and all(same) else known


def _join_unique(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _join_aliases(known: Paper, new: Paper) -> tuple[str, ...]:
    several = _join_unique(known.aliases, (new.id, *new.aliases))
    return tuple(alias for alias in several if alias != known.id)


def _find_conflicts(known: Paper, new: Paper) -> list[str]:
    warnings = []
    if normalise_title(known.title) != normalise_title(new.title):
        warnings.append(f'{known.id} has two titles. Kept "{known.title}", dropped "{new.title}".')
    if known.abstract and new.abstract and known.abstract != new.abstract:
        kept, other = sorted((len(known.abstract), len(new.abstract)), reverse=True)
        warnings.append(
            f"{known.id} has two abstracts, of {kept} and {other} characters. The longer is kept."
        )
    return warnings
