"""Find which sources an update reads from end to end, and the papers that these alone describe.

Files only ever add to a library: a paper whose file is gone stays. A Zotero library is followed:
what it no longer has goes. So once it was read as a whole, its papers are made anew from the
records, as if the index had not had them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.papers import Paper
from rag.readers.fields import Note
from rag.readers.zotero.address import LINK_START, is_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from rag.readers import Record


@dataclass(frozen=True, slots=True)
class Rereading:
    """Sources that an update reads.

    Attributes:
        libraries: starts of the links to items, one for each Zotero library that was read before,
            and of which all recorded parts are read now.
        links: links to the items that were read.
        places: files and folders that are read.
        refused: files that cannot be read.
    """

    libraries: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()
    places: frozenset[Path] = frozenset()
    refused: frozenset[str] = frozenset()

    def replaces(self, paper: Paper) -> bool:
        """Return whether a paper has an item of the Zotero libraries, and all else is read too."""
        return self.has_item(paper) and self.covers(paper)

    def has_item(self, paper: Paper) -> bool:
        """Return whether one of the sources of a paper is an item of the Zotero libraries."""
        return any(source.startswith(self.libraries) for source in paper.sources)

    def covers(self, paper: Paper) -> bool:
        """Return whether all sources of a paper are read."""
        return all(map(self._is_read, paper.sources))

    def _is_read(self, source: str) -> bool:
        if source.startswith(LINK_START):
            return source.startswith(self.libraries)
        path = Path(source)
        return source not in self.refused and is_within(path, self.places) and path.is_file()

    def drop_lost_links(self, paper: Paper) -> Paper:
        """Return a paper without links to items that the Zotero libraries no longer have."""
        kept = tuple(
            source
            for source in paper.sources
            if not source.startswith(self.libraries) or source in self.links
        )
        return paper if kept == paper.sources else replace(paper, sources=kept)


def find_rereading(
    records: Sequence[Record],
    sources: Iterable[str],
    recorded: Iterable[str],
    forgotten: Iterable[str] = (),
) -> Rereading:
    """Return what an update reads.

    Args:
        records: all that was read. A source that failed gave a refusal without a line.
        sources: files, folders and Zotero addresses they are from.
        recorded: sources of the index.
        forgotten: sources that were recorded until now.
    """
    read, known = frozenset(sources), [*filter(is_address, recorded)]
    papers = (record for record in records if isinstance(record, Paper))
    refusals = (record for record in records if not isinstance(record, Paper | Note))
    refused = frozenset(refusal.path for refusal in refusals if refusal.line is None)
    unread = {_find_start(each) for each in known if each not in read or each in refused}
    starts = dict.fromkeys(map(_find_start, (*known, *filter(is_address, forgotten))))
    return Rereading(
        tuple(start for start in starts if start not in unread),
        frozenset(source for paper in papers for source in paper.sources),
        frozenset(Path(source) for source in read if not is_address(source)),
        refused,
    )


def is_read_from(source: str, place: str) -> bool:
    """Return whether a source of a paper belongs to a recorded source of its library."""
    if is_address(place):
        return source.startswith(_find_start(place))
    return is_within(Path(source), {Path(place)})


def _find_start(address: str) -> str:
    return parse_address(address).link_start


def is_within(path: Path, places: Container[Path]) -> bool:
    """Return whether a path is one of some files and folders, or below one."""
    return any(each in places for each in (path, *path.parents))
