"""Possible duplicates of a library, and what its user says about them.

A decision is kept in the manifest with the papers as they were. So it holds for their records
whenever these are read again, and for new records of the same works. The functions take settings
whose `index` names the library, and its embedder.
"""

from __future__ import annotations

from itertools import chain, combinations
from typing import TYPE_CHECKING, NamedTuple

from rag.errors import CorpusError, SettingsError
from rag.index import Filter, Index
from rag.index.build import DecisionChange
from rag.index.rereading import is_read_from
from rag.library import read_records, read_sources, require_library, update_library
from rag.papers import Decision, Paper, PaperMerger
from rag.papers.compare import describe
from rag.papers.duplicates import Duplicate, find_duplicates, make_finder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.embedding import Embedder
    from rag.settings import Settings


class _Library(NamedTuple):
    """Papers of a library, those that the user names, and what the user said before."""

    papers: list[Paper]
    named: list[Paper]
    decisions: list[Decision]


def list_duplicates(settings: Settings, embedder: Embedder) -> list[Duplicate]:
    """Return the pairs of papers that may be one work and are not decided about.

    Raises:
        IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be read.
    """
    library = _read_library(settings, embedder)
    return find_duplicates(library.papers, library.decisions)


def list_decisions(settings: Settings, embedder: Embedder) -> list[Decision]:
    """Return what the user said about papers, the oldest first."""
    return _read_library(settings, embedder).decisions


def merge_papers(names: Sequence[str], *, settings: Settings, embedder: Embedder) -> Paper:
    """Merge papers for good. Return the paper, with the id of the one that the library had first.

    Args:
        names: ids, aliases or id prefixes of at least two papers.
        settings: their `index` names the library.
        embedder: embedder of the library.

    Raises:
        CorpusError: a name fits no paper or several, or all fit one.
        IndexLocked, IndexStale, IndexDamaged, DiskError: the index cannot be written.
    """
    papers, named, decisions = _read_library(settings, embedder, names)
    if len(named) < 2:
        raise CorpusError(f"{' and '.join(names)} are one paper already. Name another one, too.")
    find = make_finder(papers)
    kept: list[Decision] = []
    faces: dict[str, tuple[Paper, ...]] = {paper.id: (paper,) for paper in named}
    for decision in decisions:
        ids = {papers[place].id for place in map(find, decision.papers) if place is not None}
        if decision.is_same and not ids.isdisjoint(faces):
            faces |= dict.fromkeys(ids, decision.papers)
        elif decision.is_same or not ids <= set(faces):
            kept.append(decision)
    united = dict.fromkeys(chain.from_iterable(faces.values()))
    now = [*kept, Decision(is_same=True, papers=tuple(united))]
    _decide(decisions, now, settings, embedder)
    return _read_library(settings, embedder, [named[0].id]).named[0]


def separate_papers(names: Sequence[str], *, settings: Settings, embedder: Embedder) -> list[Paper]:
    """Keep papers apart for good, or take a merged paper apart. Return the papers.

    What `merge_papers` made becomes the papers that it was. Another paper becomes one for each
    different record in its sources, which are read again.

    Args:
        names: ids, aliases or id prefixes of several papers, or of one.
        settings: their `index` names the library.
        embedder: embedder of the library.

    Raises:
        CorpusError: a name fits no paper or several, or one paper has only one record.
        IndexLocked, IndexStale, IndexDamaged, DiskError: the index cannot be written.
    """
    papers, named, decisions = _read_library(settings, embedder, names)
    if len(named) > 1:
        _decide(decisions, [*decisions, *_keep_apart(named)], settings, embedder)
        return named
    find, (paper,) = make_finder(papers), named
    place = papers.index(paper)
    merged = [d for d in decisions if d.is_same and place in map(find, d.papers)]
    records = [each for decision in merged for each in decision.papers]
    records = records or _read_again(paper, settings, embedder)
    if len(records) < 2:
        raise CorpusError(f"{paper.id} was read from one record. There is nothing to separate.")
    kept = [decision for decision in decisions if decision not in merged]
    now = [*kept, *_keep_apart(records)]
    _decide(decisions, now, settings, embedder, records, remove=paper.id)
    after = _read_library(settings, embedder).papers
    places = {make_finder(after)(record) for record in records}
    return [after[place] for place in sorted(place for place in places if place is not None)]


def _read_library(settings: Settings, embedder: Embedder, names: Iterable[str] = ()) -> _Library:
    index = Index.open(require_library(settings, embedder.name))
    try:
        papers = list(index.papers())
        ids = [index.resolve_id(name) for name in names]
        named = {paper.id: paper for each in ids for paper in index.papers(Filter(ids=(each,)))}
        decisions = [decision.load() for decision in index.manifest.decisions]
    finally:
        index.close()
    return _Library(papers, sorted(named.values(), key=papers.index), decisions)


def _keep_apart(papers: Iterable[Paper]) -> list[Decision]:
    return [Decision(is_same=False, papers=pair) for pair in combinations(papers, 2)]


def _decide(
    before: Sequence[Decision],
    after: Sequence[Decision],
    settings: Settings,
    embedder: Embedder,
    records: Sequence[Paper] = (),
    *,
    remove: str = "",
) -> None:
    if settings.index is None:
        raise SettingsError("Name the library to write with --index NAME or --index PATH/.")
    update_library(
        records,
        settings=settings,
        embedder=embedder,
        remove=[remove] if remove else [],
        decisions=DecisionChange(before, list(dict.fromkeys(after))),
    )


def _read_again(paper: Paper, settings: Settings, embedder: Embedder) -> list[Paper]:
    """Return the different records of a paper in the recorded sources that it was read from."""
    sources = {
        source: columns
        for source, columns in read_sources(settings, embedder.name).items()
        if any(is_read_from(each, source) for each in paper.sources)
    }
    own: dict[object, Paper] = {}
    for record in read_records(sources, settings):
        merger = PaperMerger()
        merger.add(paper)
        if isinstance(record, Paper) and merger.add(record).status != "new":
            own.setdefault(describe(record).exact, record)
    return list(own.values())
