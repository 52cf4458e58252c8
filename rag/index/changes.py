"""What an update takes in: new records merged with the papers an index already has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import CorpusError
from rag.papers import Paper, PaperMerger, make_paper_id
from rag.papers.names import find_family_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.readers import Refused


@dataclass(frozen=True, slots=True)
class Intake:
    """The library as it shall be, and how it came about.

    Attributes:
        papers: all papers, those that were there before first.
        fresh: ids whose text or fields are new, so that their rows must be written.
        met: ids of the papers that some record was of.
        read: records that were readable papers.
        added: ids that were not there before, each once.
        changed: ids that a newer version of the same source replaced.
        merged: for each id that met further records of the same paper, how many.
        unchanged: records that brought nothing new.
        removed: ids taken out.
        without_abstract: ids that are found by their title only.
        refused: records that could not be read.
        warnings: sentences about what was decided on the way.
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
    without_abstract: tuple[str, ...]
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]


def plan_changes(
    papers: Sequence[Paper], records: Iterable[Paper | Refused], remove: Sequence[str] = ()
) -> Intake:
    """Merges records into the papers of an index.

    Args:
        papers: those that the index has.
        records: papers to add, and what could not be read.
        remove: ids or aliases to take out first.

    Raises:
        CorpusError: an id to remove is not in the index.
    """
    removed = _resolve(papers, remove)
    merger = PaperMerger(paper for paper in papers if paper.id not in removed)
    by_status: dict[str, list[str]] = {"new": [], "changed": [], "merged": [], "unchanged": []}
    refused: list[Refused] = []
    warnings: list[str] = []
    for record in records:
        if not isinstance(record, Paper):
            refused.append(record)
            continue
        merge = merger.add(record)
        by_status[merge.status].append(merge.paper.id)
        if merge.warning:
            warnings.append(merge.warning)
    final = tuple(merger.papers)
    known = _ids(final)  # a later record may have shown two papers to be one
    came = {status: [known.get(each, each) for each in ids] for status, ids in by_status.items()}
    before = {known.get(paper.id) for paper in papers}
    _count_as_unchanged(came, {paper.id for paper in papers if merger.get(paper.id) == paper})
    fresh = frozenset(came["new"] + came["changed"] + came["merged"])
    return Intake(
        papers=final,
        fresh=fresh,
        met=frozenset().union(*came.values()),
        read=sum(map(len, came.values())),
        added=tuple(dict.fromkeys(each for each in came["new"] if each not in before)),
        changed=tuple(came["changed"]),
        merged=Counter(came["merged"]),
        unchanged=len(came["unchanged"]),
        removed=tuple(removed),
        without_abstract=tuple(p.id for p in final if p.id in fresh and not p.abstract),
        refused=tuple(refused),
        warnings=tuple(warnings),
    )


def still_removed(known: Sequence[str], before: Iterable[Paper], intake: Intake) -> tuple[str, ...]:
    """Return the removal keys of papers that were taken out, now or earlier, and are not back."""
    if not known and not intake.removed:
        return ()
    gone = (
        each for paper in before if paper.id in intake.removed for each in list_removal_keys(paper)
    )
    back = frozenset(each for paper in intake.papers for each in list_removal_keys(paper))
    return tuple(dict.fromkeys(each for each in (*known, *gone) if each not in back))


def list_removal_keys(paper: Paper) -> tuple[str, ...]:
    """What a record is known by to be one of a removed paper: its ids, and its title with more.

    A title alone does not do, nor an id that is made of it: "Editorial" is the title of many.
    """
    made = make_paper_id(paper.title)
    first = find_family_name(paper.authors[0]) if paper.authors else None
    ids = (each for each in (paper.id, *paper.aliases) if each != made)
    return (*ids, f"{made} {paper.year or ''} {first or ''}")


def _count_as_unchanged(came: dict[str, list[str]], ids: set[str]) -> None:
    """Where one record of a file took back what the one before it had changed, nothing changed."""
    for status in ("changed", "merged"):
        came["unchanged"] += [each for each in came[status] if each in ids]
        came[status] = [each for each in came[status] if each not in ids]


def _ids(papers: Iterable[Paper]) -> dict[str, str]:
    """Each id and alias with the id of its paper."""
    return {name: paper.id for paper in papers for name in (paper.id, *paper.aliases)}


def _resolve(papers: Sequence[Paper], remove: Sequence[str]) -> list[str]:
    known = _ids(papers)
    unknown = [name for name in remove if name not in known]
    if unknown:
        raise CorpusError(
            f"No paper with the id {unknown[0]} is in the index; `rag papers list` shows the ids."
        )
    return list(dict.fromkeys(known[name] for name in remove))
