"""Merge several records of one paper into one paper.

A paper keeps the id under which it was first added, because saved answers point to it. Ids that
turn up later become aliases. `rag.papers.compare` says which records are one work. Used by the
readers and by the index.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import TYPE_CHECKING, Literal

from rag.papers.compare import (
    Traits,
    compare,
    describe,
    find_arxiv_id,
    fold_title,
    has_difference,
    has_one_title,
    is_published,
    list_block_keys,
)
from rag.papers.names import drop_et_al, find_family_name
from rag.papers.paper import (
    choose_retraction,
    is_title_id,
    make_title_id,
    normalise_doi,
    normalise_title,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from rag.papers.paper import JsonValue, Paper

FROM_STANDARD_INPUT = "standard input"
FROM_STREAM = "the stream"
_TRANSIENT = frozenset({FROM_STANDARD_INPUT, FROM_STREAM})  # sources that cannot be read again
_MOST_ALIKE = 20  # papers that share a key; more share it by chance ("Editorial")


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What a user said about papers that look alike.

    Attributes:
        is_same: whether they are one work. Else each is another.
        papers: as they were then. Records that are the same as one of them are meant, too.
    """

    is_same: bool
    papers: tuple[Paper, ...]


class PaperMerger:
    """Collects papers and keeps each one once.

    Papers given at the start are the library as it was: different ids are different papers, unless
    a decision unites them. Once all sources of such a paper have been read again, their current
    records replace it, merged in the order of its sources. Standard input is never read again. Any
    other record of a known paper adds to it; see `merge_records`. The cost of adding does not grow
    with the library. Without `by_title`, only an equal id is the same paper.
    """

    def __init__(
        self,
        papers: Iterable[Paper] = (),
        *,
        by_title: bool = True,
        decisions: Iterable[Decision] = (),
    ) -> None:
        self._compares_titles = by_title
        self._papers: dict[int, Paper] = {}  # by place: the number of the paper's first record
        self._traits: dict[int, tuple[Traits, ...]] = {}  # of the paper and of decided ones
        self._by_id: dict[str, int] = {}
        self._alike: dict[Hashable, dict[int, None]] = {}  # places that share a key
        self._apart: set[tuple[int, int]] = set()  # places that a user keeps apart
        self._next_place = 0
        self._not_read_again: set[int] = set()  # papers of the library to which nothing was added
        self._reread: dict[int, _Reread] = {}  # of these, the ones read again
        for paper in papers:
            self._append(paper, (describe(paper),))
        self._not_read_again.update(self._papers)
        for decision in decisions:
            self._apply(decision)

    @property
    def papers(self) -> list[Paper]:
        """All papers in the order in which they were first added."""
        return [self._papers[place] for place in sorted(self._papers)]

    def get(self, paper_id: str) -> Paper | None:
        """Return the paper with this id or alias, or None."""
        place = self._by_id.get(paper_id)
        return None if place is None else self._papers.get(place)

    def add(self, paper: Paper) -> Merge:
        """Add one record of a paper."""
        traits = describe(paper)
        places = self._find_places(paper, traits)
        if places and places[0] in self._papers:
            return self._join(places, paper)
        decided = self._drop(places[0]) if places else ()
        warning = None
        if namesake := self.get(paper.id):
            free = self._make_free_id(paper)
            if traits.own_id:
                warning = (
                    f'Two works have the id {paper.id}: "{namesake.title}" and "{paper.title}". '
                    f"The second is {free} here."
                )
            paper = replace(paper, id=free)
            traits = describe(paper)
        self._append(paper, (traits, *decided))
        if places:
            self._move(places[0], self._next_place - 1)
        return Merge(paper, "new", warning)

    def _append(self, paper: Paper, traits: tuple[Traits, ...]) -> None:
        self._put(self._next_place, paper, traits)
        self._next_place += 1

    def _find_places(self, paper: Paper, traits: Traits) -> list[int]:
        """Return where the paper is known: several places if it links several papers."""
        if not self._compares_titles:
            return sorted({self._by_id[key] for key in list_ids(paper) if key in self._by_id})
        if len(equal := self._alike.get(traits.whole, {})) == 1:
            return [*equal]
        alike = self._list_alike(paper, traits)
        found = [
            place
            for place in alike
            if self._is_same(place, traits) or self._is_renamed(place, paper, traits)
        ]
        if not found:
            return [place for place in alike if self._is_edited(place, paper, traits)][:1]
        nearest = min(found, key=lambda place: (*self._measure(place, traits), place))
        if not self._shares_id(nearest, traits):
            return [nearest]
        linked = (place for place in found if self._shares_id(place, traits))
        return sorted(place for place in linked if not self._is_apart(nearest, place))

    def _is_apart(self, place: int, other: int) -> bool:
        """Return whether papers were decided to be two, by the user or despite a common id."""
        if place == other:
            return False
        has_one_id = any(self._shares_id(place, each) for each in self._traits[other])
        return has_one_id or (place, other) in self._apart

    def _list_alike(self, paper: Paper, traits: Traits) -> list[int]:
        """Return the places that share a key with a record, in order."""
        blocks = (self._alike.get(key, {}) for key in list_block_keys(traits))
        places = set(chain.from_iterable(each for each in blocks if len(each) <= _MOST_ALIKE))
        places.update(self._by_id[key] for key in list_ids(paper) if key in self._by_id)
        return sorted(places)

    def _is_same(self, place: int, traits: Traits) -> bool:
        return any(
            (not traits.names.isdisjoint(each.names) and has_one_title(traits, each))
            or compare(each, traits) == "same"
            for each in self._traits[place]
        )

    def _shares_id(self, place: int, traits: Traits) -> bool:
        known = self._traits[place]
        return any(each.ids & traits.ids or each.names & traits.names for each in known)

    def _measure(self, place: int, traits: Traits) -> tuple[bool, bool, bool]:
        """Return a key that puts the nearest place first: the exact one, then one of that year."""
        known = self._traits[place]
        return (
            all(each.exact != traits.exact for each in known),
            all(each.year != traits.year for each in known),
            all(each.abstract != traits.abstract for each in known),
        )

    def _is_edited(self, place: int, paper: Paper, traits: Traits) -> bool:
        """Return whether a record is a library paper of that title whose own source was edited."""
        return (
            self._awaits(place, paper)
            and not {*paper.sources}.isdisjoint(self._papers[place].sources)
            and self._traits[place][0].title_key == traits.title_key
            and not has_difference(self._traits[place][0], traits)
        )

    def _is_renamed(self, place: int, paper: Paper, traits: Traits) -> bool:
        """Return whether a record is a library paper of that id whose own source was edited.

        Other works may have the id in other sources: many number their records from 1.
        """
        if not self._awaits(place, paper):
            return False
        shared = {*paper.sources} & {*self._papers[place].sources}
        return (
            traits.own_id is not None
            and traits.own_id == self._traits[place][0].own_id
            and (not paper.sources or bool(shared - _TRANSIENT))
        )

    def _awaits(self, place: int, paper: Paper) -> bool:
        """Return whether a place has a library paper not yet read from the source of a record."""
        reread = self._reread.get(place)
        is_read = reread is not None and paper.sources in reread.sources
        return place in self._not_read_again and not is_read

    def _join(self, places: list[int], paper: Paper) -> Merge:
        first, *others = places
        known = self._papers[first]
        reread = self._note_reread(places, paper)
        if reread and reread.is_complete:
            merged, warnings = reread.replace_known(), reread.warnings
        else:
            merged, warnings = merge_records(known, [*map(self._papers.__getitem__, others), paper])
        merged = self._drop_foreign_aliases(merged, places)
        warning = " ".join(warnings) or None
        if merged == known:
            return Merge(known, "unchanged", warning)
        self._replace(places, merged)
        is_edit = reread and reread.explains(paper) and not _only_gained(known, merged)
        return Merge(merged, "changed" if is_edit else "merged", warning)

    def _replace(self, places: list[int], paper: Paper) -> None:
        """Put one paper in place of the papers at some places."""
        decided = [each for place in places for each in self._drop(place)]
        self._put(places[0], paper, (describe(paper), *decided))
        for place in places[1:]:
            self._move(place, places[0])

    def _move(self, old: int, new: int) -> None:
        """Keep what was kept apart from a place apart from its new place."""
        pairs = {tuple(new if each == old else each for each in pair) for pair in self._apart}
        self._apart = {(one, other) for one, other in pairs}

    def _drop_foreign_aliases(self, paper: Paper, places: list[int]) -> Paper:
        """Return the paper without aliases that lead to other papers."""
        own = (alias for alias in paper.aliases if self._by_id.get(alias, places[0]) in places)
        return replace(paper, aliases=tuple(own))

    def _note_reread(self, places: list[int], paper: Paper) -> _Reread | None:
        """Return what was read again of a library paper, with this record, or None if nothing."""
        place, *others = places
        reread = None
        if not others and place in self._not_read_again and _TRANSIENT.isdisjoint(paper.sources):
            reread = self._reread.setdefault(place, _Reread(self._papers[place]))
            reread.add(paper)
        else:
            self._not_read_again.difference_update(places)
            for each in places:
                self._reread.pop(each, None)
        return reread

    def _put(self, place: int, paper: Paper, traits: tuple[Traits, ...]) -> None:
        self._papers[place] = paper
        for key in list_ids(paper):
            self._by_id.setdefault(key, place)
        self._by_id[paper.id] = place  # which may be the DOI of an earlier one, too
        self._file(place, traits)

    def _file(self, place: int, traits: tuple[Traits, ...]) -> None:
        self._traits[place] = traits
        for key in chain.from_iterable(map(list_block_keys, traits)):
            self._alike.setdefault(key, {})[place] = None

    def _drop(self, place: int) -> tuple[Traits, ...]:
        """Forget a place. Return the traits of the decided papers there."""
        traits = self._traits.pop(place)
        for key in chain.from_iterable(map(list_block_keys, traits)):
            self._alike[key].pop(place, None)
        if place not in self._papers:
            return traits
        for key in list_ids(self._papers.pop(place)):
            if self._by_id.get(key) == place:
                del self._by_id[key]
        return traits[1:]

    def _make_free_id(self, paper: Paper) -> str:
        """Make an id for a namesake. Its hash covers the fields that set it apart."""
        doi = normalise_doi(paper.doi) if paper.doi else None
        family = find_family_name(paper.authors[0]) if paper.authors else None
        known = (normalise_title(paper.title), doi, paper.arxiv_id, paper.year, family)
        seeds = ("\n".join(map(str, each)) for each in (known, (*known, paper.abstract)))
        ids = (make_title_id(paper.title, seed, digits=n) for seed in seeds for n in range(6, 65))
        return next(each for each in ids if each not in self._by_id)

    def _apply(self, decision: Decision) -> None:
        """Unite the papers that a user merged, or note that they are kept apart."""
        places = [self._find_decided(paper) for paper in decision.papers]
        if not decision.is_same:
            self._apart.update(chain(*(((a, b), (b, a)) for a, b in combinations(places, 2))))
            return
        several = sorted(
            dict.fromkeys(places), key=lambda place: (place not in self._papers, place)
        )
        known = [self._papers[place] for place in several if place in self._papers]
        if known:
            merged, _ = merge_records(known[0], known[1:])
            self._replace(several, self._drop_foreign_aliases(merged, several))
        else:
            self._file(several[0], tuple(each for place in several for each in self._drop(place)))

    def _find_decided(self, paper: Paper) -> int:
        """Return the place of a decided paper, one without a paper if it is not known yet."""
        traits = describe(paper)
        place = self._by_id.get(paper.id)
        if place is None or compare(self._traits[place][0], traits) == "different":
            same = [p for p in self._alike.get(traits.exact, {}) if self._is_same(p, traits)]
            place = same[0] if same else min(self._traits, default=0) - 1
        self._file(place, (*self._traits.get(place, ()), traits))
        return place


@dataclass(slots=True)
class _Reread:
    """Paper of the library and what its sources say when they are read again.

    Attributes:
        known: the paper as it was.
        records: the new records, in the order of its sources.
        sources: those of each record.
        merged: the records as one paper.
        warnings: what the last record led to.
    """

    known: Paper
    records: list[Paper] = field(default_factory=list)
    sources: set[tuple[str, ...]] = field(default_factory=set)
    merged: Paper | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """True once all sources of the paper have been read, but maybe not to their ends."""
        return set(self.known.sources) <= {each for names in self.sources for each in names}

    def add(self, paper: Paper) -> None:
        """Merge a record with those before it, as at the first import."""
        self.sources.add(paper.sources)
        self.records.append(paper)
        if self.merged and self._rank(paper) >= self._rank(self.records[-2]):
            self.merged, self.warnings = merge_records(self.merged, [paper])
        else:
            self.records.sort(key=self._rank)
            self.merged, self.warnings = merge_records(self.records[0], self.records[1:])

    def _rank(self, record: Paper) -> int:
        """Return the number of the first source of the paper that a record is from."""
        known = self.known.sources
        return min(
            (known.index(each) for each in record.sources if each in known), default=len(known)
        )

    def explains(self, paper: Paper) -> bool:
        """Return whether a difference is an edit of the paper's own sources."""
        return not paper.sources or self._rank(paper) < len(self.known.sources)

    def replace_known(self) -> Paper:
        """Return what the records say, with the id and the names of the known paper."""
        known, new = self.known, self.merged or self.known
        return replace(
            new,
            id=known.id,
            sources=_join_unique(known.sources, new.sources),
            aliases=_join_aliases(known, new),
        )


def list_ids(paper: Paper) -> list[str]:
    """Return all ids under which a paper is known, its DOI and arXiv id among them.

    If its id was made of its title, another paper may have its DOI. Then its aliases have its own.
    """
    keys = [paper.id, *paper.aliases]
    if not is_title_id(paper.id, paper.title):
        doi, arxiv_id = normalise_doi(paper.doi or ""), find_arxiv_id(paper)
        keys += [f"doi:{doi}"] if doi else []
        keys += [f"arxiv:{arxiv_id}"] if arxiv_id else []
    return list(dict.fromkeys(keys))


def _only_gained(known: Paper, merged: Paper) -> bool:
    """Return whether the paper only gained sources and aliases."""
    return replace(merged, sources=known.sources, aliases=known.aliases) == known


def merge_records(known: Paper, records: Iterable[Paper]) -> tuple[Paper, list[str]]:
    """Add records to a paper. Return it with warnings about conflicts and what was kept.

    The first id and title stay, and the longer abstract. A journal's details win over those of a
    preprint, else the first ones, and empty fields are filled. The longer of two author lists that
    begin alike is kept. Of marks of a retraction the first that names the notice stays. Other ids
    and citation keys become aliases.
    """
    warnings: list[str] = []
    for new in records:
        warnings += _find_conflicts(known, new)
        is_journal = is_published(new) and not is_published(known)
        one, other = (new, known) if is_journal else (known, new)
        known = replace(
            known,
            abstract=max(known.abstract, new.abstract, key=len),
            authors=_choose_authors(known.authors, new.authors),
            year=one.year or other.year,
            venue=one.venue or other.venue,
            url=one.url or other.url,
            doi=one.doi or other.doi,
            arxiv_id=known.arxiv_id or new.arxiv_id or _find_lost_arxiv_id(known, new),
            sources=_join_unique(known.sources, new.sources),
            aliases=_join_aliases(known, new),
            metadata=join_metadata(other.metadata, one.metadata),
            citation_key=known.citation_key or new.citation_key,
            entry_type=one.entry_type or other.entry_type,
            retraction=choose_retraction(known.retraction, new.retraction),
        )
    return known, warnings


def join_metadata(
    first: Mapping[str, JsonValue], second: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Join metadata. The second wins where both have a value, but family names are united."""
    joined = {**first, **second}
    one, other = first.get("family_names"), second.get("family_names")
    if isinstance(one, dict) and isinstance(other, dict):
        joined["family_names"] = {**one, **other}
    return joined


def _find_lost_arxiv_id(known: Paper, new: Paper) -> str | None:
    """Return the arXiv id of the DOI that is not kept, if it is one of arXiv."""
    has_two = bool(known.doi and new.doi and known.doi != new.doi)
    return (find_arxiv_id(known) or find_arxiv_id(new)) if has_two else None


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
    several = _join_unique(known.aliases, (new.id, *new.aliases, new.citation_key or new.id))
    own = {known.id, known.citation_key or new.citation_key}
    return tuple(alias for alias in several if alias not in own)


def _find_conflicts(known: Paper, new: Paper) -> list[str]:
    warnings = []
    if fold_title(known.title) != fold_title(new.title):
        warnings.append(f'{known.id} has two titles. Kept "{known.title}", dropped "{new.title}".')
    if known.abstract and new.abstract and known.abstract != new.abstract:
        kept, other = sorted((len(known.abstract), len(new.abstract)), reverse=True)
        warnings.append(
            f"{known.id} has two abstracts, of {kept} and {other} characters. The longer is kept."
        )
    return warnings
