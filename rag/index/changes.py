"""Changes of an update: new records merged with the papers of the index that they may change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from rag.index.keys import make_printable
from rag.index.rereading import Rereading
from rag.papers import Paper, PaperMerger, make_paper_id
from rag.papers.compare import describe, list_keys
from rag.papers.duplicates import find_duplicates, make_finder
from rag.papers.merge import list_ids
from rag.papers.names import find_family_name
from rag.papers.paper import normalise_title
from rag.readers.fields import Note
from rag.readers.zotero.address import LINK_START, is_address

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from rag.index.records import Records
    from rag.papers import Decision, Merge
    from rag.papers.duplicates import Duplicate
    from rag.readers import Record, Refused

_NOTHING_REREAD = Rereading()


@dataclass(frozen=True, slots=True)
class Intake:
    """Library after an update, and how each record changed it.

    Attributes:
        papers: the papers of the index that the records may change, then the new ones.
        fresh: ids whose text or fields are new, so that their rows must be written.
        met: ids of the papers for which a record was read.
        read: number of records read as papers. Each is counted once among `added`, `changed`,
            `merged` and `unchanged`.
        added: ids that are new, each for its first record.
        changed: ids whose own sources now say something else, each for its first such record.
        merged: for each id to which other records were merged, how many.
        unchanged: number of records that added nothing.
        removed: ids taken out because the user said so.
        gone: papers that the Zotero library they were read from no longer has.
        without_abstract: fresh ids without an abstract, found by their title only.
        refused: records that could not be read.
        duplicates: pairs of papers that may be one work, one of them fresh.
        warnings: notes on files, then how conflicts were resolved, in sentences.
    """

    papers: tuple[Paper, ...]
    fresh: frozenset[str]
    met: frozenset[str]
    read: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    merged: Mapping[str, int]
    unchanged: int
    removed: tuple[str, ...]
    gone: tuple[Paper, ...]
    without_abstract: tuple[str, ...]
    refused: tuple[Refused, ...]
    duplicates: tuple[Duplicate, ...]
    warnings: tuple[str, ...]

    @property
    def unread(self) -> tuple[str, ...]:
        """Zotero addresses that could not be read, so that their libraries lose no paper."""
        paths = dict.fromkeys(refused.path for refused in self.refused if refused.line is None)
        return tuple(each for each in paths if is_address(each) and LINK_START not in each)


@dataclass(frozen=True, slots=True)
class Related:
    """Papers of an index that an update may change.

    Attributes:
        papers: in the order of the library.
        places: number and position of each, by id.
        removed: ids of those to take out.
    """

    papers: tuple[Paper, ...] = ()
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def find_related(
    index: Records,
    records: Iterable[Record],
    remove: Sequence[str],
    *,
    by_title: bool,
    decisions: Sequence[Decision] = (),
    rereading: Rereading,
) -> Related:
    """Return the papers that may be the work of a record, are decided about, or may go.

    Args:
        index: records of the valid generation.
        records: to be added.
        remove: names of papers to take out; see `Records.resolve_id`.
        by_title: whether titles count, or ids only.
        decisions: what the user said about papers.
        rereading: Zotero libraries that are read as a whole; all of their papers may go.

    Raises:
        CorpusError: a name fits no paper, or several.
    """
    papers = [record for record in records if isinstance(record, Paper)]
    named = list(map(index.resolve_id, remove))
    removed = index.find_papers("id", named)
    gone = [paper for paper, _, _ in index.load_placed(removed)]
    ids = dict.fromkeys(
        make_printable(name)
        for name in chain(
            (paper.id for decision in decisions for paper in decision.papers),
            *map(list_ids, papers),
        )
    )
    numbers = {*removed, *index.find_papers("id", ids)}
    numbers.update(*(index.find_start("source", start) for start in rereading.libraries))
    if by_title:
        titles = dict.fromkeys(normalise_title(paper.title) for paper in papers)
        works = dict.fromkeys(chain(*(list_keys(describe(paper)) for paper in (*papers, *gone))))
        numbers.update(index.find_papers("title", titles), index.find_papers("work", works))
    found = index.load_placed(sorted(numbers))
    several = tuple(paper for paper, _, _ in found)
    known = {make_printable(name): each for name, each in _map_ids(several).items()}
    return Related(
        several,
        {paper.id: (number, position) for paper, number, position in found},
        tuple(dict.fromkeys(known[name] for name in named)),
    )


def plan_changes(
    papers: Sequence[Paper],
    records: Sequence[Record],
    remove: Sequence[str] = (),
    *,
    by_title: bool,
    decisions: Sequence[Decision] = (),
    rereading: Rereading = _NOTHING_REREAD,
) -> Intake:
    """Merge records into the papers of an index.

    Args:
        papers: those of the index that the records may change.
        records: papers to add, and records that could not be read.
        remove: ids of papers to take out first.
        by_title: whether records are compared by their fields. Else only an equal id counts.
        decisions: what the user said about papers.
        rereading: Zotero libraries that are read as a whole. What only they describe is made anew.
    """
    before = {paper.id: paper for paper in papers if paper.id not in remove}
    read = [record for record in records if isinstance(record, Paper)]
    notes = [record for record in records if isinstance(record, Note)]
    refused = [record for record in records if not isinstance(record, Paper | Note)]
    make_merger = partial(PaperMerger, by_title=by_title, decisions=decisions)
    merger, merges, anew = _merge(read, [*before.values()], rereading, make_merger)
    final = tuple(merger.papers)
    fresh = frozenset(paper.id for paper in final if before.get(paper.id) != paper)
    known = _map_ids(final)
    lost = [paper for paper in before.values() if paper.id in anew and paper.id not in known]
    renamed = _find_renamed(lost, final, before)
    ids = _group_by_status(merges, known, before, fresh, edited={*anew, *renamed.values()})
    met = frozenset().union(*ids.values())
    unlinked = [each for each in before if each in fresh and each not in met]
    return Intake(
        papers=final,
        fresh=fresh,
        met=met,
        read=len(merges),
        added=tuple(ids["new"]),
        changed=(*ids["changed"], *unlinked),
        merged=Counter(ids["merged"]),
        unchanged=len(ids["unchanged"]),
        removed=tuple(remove),
        gone=tuple(paper for paper in lost if paper.id not in renamed),
        without_abstract=tuple(p.id for p in final if p.id in fresh and not p.abstract),
        refused=tuple(refused),
        duplicates=tuple(_find_fresh_duplicates(final, fresh, decisions) if by_title else ()),
        warnings=(*map(str, notes), *filter(None, (merge.warning for merge in merges))),
    )


def _merge(
    records: Sequence[Paper],
    papers: Sequence[Paper],
    rereading: Rereading,
    make_merger: Callable[[Iterable[Paper]], PaperMerger],
) -> tuple[PaperMerger, list[Merge], frozenset[str]]:
    """Merge records, and return the ids of the papers that were left out and made anew.

    A paper of files that an item of Zotero joins is made anew too, as all its records are there:
    the item may be read before the files.
    """
    anew = frozenset(paper.id for paper in papers if rereading.replaces(paper))
    while True:
        kept = [paper for paper in papers if paper.id not in anew]
        merger = make_merger(map(rereading.drop_lost_links, kept))
        merges = [*map(merger.add, records)]
        joined = {
            paper.id
            for paper in kept
            if (now := merger.get(paper.id)) and rereading.has_item(now) and rereading.covers(paper)
        }
        if not joined:
            return merger, merges, anew
        anew |= joined


def _find_renamed(
    lost: Iterable[Paper], papers: Iterable[Paper], before: Container[str]
) -> dict[str, str]:
    """Map ids that are gone to the new ids of the same items of Zotero.

    An id is made of fields, so it changes with them.
    """
    new = {link: each.id for each in papers if each.id not in before for link in _list_links(each)}
    return {each.id: new[link] for each in lost for link in _list_links(each) if link in new}


def _list_links(paper: Paper) -> list[str]:
    return [source for source in paper.sources if source.startswith(LINK_START)]


def _find_fresh_duplicates(
    papers: Sequence[Paper], fresh: frozenset[str], decisions: Iterable[Decision]
) -> Iterator[Duplicate]:
    for pair in find_duplicates(papers, decisions) if fresh else ():
        if pair.first.id in fresh or pair.second.id in fresh:
            yield pair


def _group_by_status(
    merges: Iterable[Merge],
    known: Mapping[str, str],
    before: Container[str],
    fresh: Container[str],
    edited: Container[str],
) -> dict[str, list[str]]:
    """Return the paper id of each record by the status of its merge.

    A later record may undo the one before it, or join a new paper to another one. Then the paper
    has not changed, or is not new. The first record of a paper that is made anew has changed it.
    """
    ids: dict[str, list[str]] = {"new": [], "changed": [], "merged": [], "unchanged": []}
    counted: set[str] = set()
    for merge in merges:
        paper = known.get(merge.paper.id, merge.paper.id)
        status = merge.status if paper in fresh else "unchanged"
        if status == "new" and paper in edited:
            status = "changed"
        if paper in counted or (status == "new" and paper in before):
            status = "unchanged" if status == "unchanged" else "merged"
        if status in ("new", "changed"):
            counted.add(paper)
        ids[status].append(paper)
    return ids


def update_removal_keys(
    known: Sequence[str],
    before: Iterable[Paper],
    intake: Intake,
    decisions: Sequence[Decision],
) -> tuple[str, ...]:
    """Return the removal keys of papers that were taken out, now or earlier, and are not back."""
    if not known and not intake.removed:
        return ()
    gone = [paper for paper in before if paper.id in intake.removed]
    kept = intake.papers
    back = {*_list_united_keys(kept, decisions), *chain(*(describe(each).ids for each in kept))}
    keys = chain(known, _list_united_keys(gone, decisions))
    return tuple(dict.fromkeys(key for key in keys if key not in back))


def _list_united_keys(papers: Sequence[Paper], decisions: Iterable[Decision]) -> Iterator[str]:
    """Return the removal keys of papers, and of all that the user merged into them."""
    find = make_finder(papers)
    united = (
        decision.papers
        for decision in decisions
        if decision.is_same and any(find(paper) is not None for paper in decision.papers)
    )
    return chain.from_iterable(map(list_removal_keys, chain(papers, *united)))


def list_removal_keys(paper: Paper) -> tuple[str, ...]:
    """Return keys that identify records of a removed paper: its ids, and its title with more.

    A title alone is not enough, nor an id made of it: "Editorial" is the title of many.
    """
    made = make_paper_id(paper.title)
    first = find_family_name(paper.authors[0]) if paper.authors else None
    ids = (each for each in (paper.id, *paper.aliases) if each != made)
    return (*ids, f"{made} {paper.year or ''} {first or ''}")


def _map_ids(papers: Iterable[Paper]) -> dict[str, str]:
    """Map each id, alias, DOI and arXiv id to the id of its paper, the first one that has it."""
    several = list(papers)
    known = {name: paper.id for paper in reversed(several) for name in list_ids(paper)}
    return known | {paper.id: paper.id for paper in several}
