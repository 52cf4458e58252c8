"""What an update takes in: new records merged with the papers an index already has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import CorpusError
from rag.papers import Paper, PaperMerger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.readers import Refused


@dataclass(frozen=True, slots=True)
class Intake:
    """The library as it shall be, and how it came about.

    Attributes:
        papers: all papers, those that were there before first.
        fresh: ids whose text or fields are new, so that their rows must be written.
        met: ids of the papers that some record was of.
        read: records that were readable papers.
        added: ids that were not there before.
        changed: ids that a newer version of the same source replaced.
        merged: ids that met another record of the same paper.
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
    merged: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    without_abstract: tuple[str, ...]
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]


def take_in(
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
    fresh = frozenset(by_status["new"] + by_status["changed"] + by_status["merged"])
    return Intake(
        papers=final,
        fresh=fresh,
        met=frozenset().union(*by_status.values()),
        read=sum(map(len, by_status.values())),
        added=tuple(by_status["new"]),
        changed=tuple(by_status["changed"]),
        merged=tuple(by_status["merged"]),
        unchanged=len(by_status["unchanged"]),
        removed=tuple(removed),
        without_abstract=tuple(p.id for p in final if p.id in fresh and not p.abstract),
        refused=tuple(refused),
        warnings=tuple(warnings),
    )


def _resolve(papers: Sequence[Paper], remove: Sequence[str]) -> list[str]:
    known = {name: paper.id for paper in papers for name in (paper.id, *paper.aliases)}
    unknown = [name for name in remove if name not in known]
    if unknown:
        raise CorpusError(
            f"No paper with the id {unknown[0]} is in the index; `rag papers list` shows the ids."
        )
    return list(dict.fromkeys(known[name] for name in remove))
