"""Keeping libraries: which there are, one brought up to date from its sources, one deleted.

Called by the command and by `rag info`.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag.errors import CorpusError, IndexMissing, IndexStale, RagError, SettingsError
from rag.index import read_manifest
from rag.index.lock import LOCK_NAME, writer_lock
from rag.index.manifest import FILE_NAME, disk_errors
from rag.index.merging import marks
from rag.libraries import index_folder, recorded_sources, update_library

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.index import IndexReport, OnProgress
    from rag.models import Embedder
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.settings import Settings

_OWN_NAMES = frozenset({FILE_NAME, f"{FILE_NAME}.new", LOCK_NAME, "chroma", "lexical", "tokens"})


@dataclass(frozen=True, slots=True)
class Library:
    """A library in the user's data folder.

    Attributes:
        name: as `--index` takes it.
        folder: where it lies.
        size_bytes: of all its files.
        papers: how many it has; 0 where it cannot be used.
        generation: how often it was written; 0 where it cannot be used.
        sources: the files and folders it was read from.
        problem: why it cannot be used; empty where it can.
    """

    name: str
    folder: Path
    size_bytes: int
    papers: int = 0
    generation: int = 0
    sources: tuple[str, ...] = ()
    problem: str = ""

    @property
    def summary(self) -> str:
        """How large it is, or why it cannot be used."""
        size = f"{self.size_bytes / 1e6:.1f} MB"
        if self.problem:
            return f"{size}; {self.problem}"
        papers = f"{self.papers} paper{'s' * (self.papers != 1)}"
        return f"{papers}, generation {self.generation}, {size}"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What reading the recorded sources again did.

    Attributes:
        update: what changed.
        missing: sources that are not there any more; their papers are kept.
        vanished: ids of papers that their files no longer hold; they are kept too.
        left_out: ids of papers that the sources hold and that were removed from the library.
    """

    update: IndexReport
    missing: tuple[str, ...]
    vanished: tuple[str, ...]
    left_out: tuple[str, ...]


def libraries(settings: Settings) -> list[Library]:
    """The libraries in the user's data folder, by name; of no folder there are none."""
    try:
        folders = sorted((settings.data_dir / "libraries").iterdir())
    except OSError:
        return []
    return [_library(each) for each in folders if not each.name.startswith(".") and each.is_dir()]


def _library(folder: Path) -> Library:
    size = sum(_size(path) for path in folder.rglob("*"))
    try:
        manifest = read_manifest(folder)
    except RagError as error:
        return Library(folder.name, folder, size, problem=str(error))
    if not manifest.generation:
        return Library(folder.name, folder, size, problem="It was begun and never finished.")
    return Library(
        folder.name, folder, size, manifest.paper_count, manifest.generation, manifest.sources
    )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() else 0
    except OSError:  # it was just deleted
        return 0


def update_from_sources(
    settings: Settings,
    embedder: Embedder,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    on_progress: OnProgress | None = None,
) -> SourceReport:
    """Reads the recorded sources of a library again and takes in what is new in them.

    No paper is ever taken out: neither those of a source that has gone nor those that a file no
    longer holds; one that was removed stays out. A source that cannot be read is refused and the
    others are taken in.

    Args:
        settings: name the library.
        embedder: must be the one of the library.
        columns: fields with their columns, instead of those that are recorded; see `iter_papers`.
        on_progress: told after each block of papers.

    Raises:
        CorpusError: no source is recorded, or all have gone.
        IndexMissing, IndexLocked, IndexStale, IndexDamaged, DiskError: as `update_library`.
    """
    sources = recorded_sources(settings, embedder.name)
    missing = tuple(source for source in sources if not Path(source).exists())
    present = {
        source: columns or recorded for source, recorded in sources.items() if source not in missing
    }
    if not present:
        raise CorpusError(
            f"All sources of the library have gone, such as {missing[0]}; its papers are kept. "
            "Name the files to read now.",
            path=missing[0],
        )
    removed = frozenset(_removed(settings, embedder.name))
    left_out: dict[str, None] = {}
    update = update_library(
        _without(_records(present), removed, left_out),
        settings=settings,
        embedder=embedder,
        sources=present,
        on_progress=on_progress,
    )
    papers = update.intake.papers
    return SourceReport(
        update, missing, tuple(_vanished(papers, update.intake.met, present)), tuple(left_out)
    )


def _removed(settings: Settings, embedder_name: str) -> tuple[str, ...]:
    try:
        return read_manifest(index_folder(settings, embedder_name)).removed
    except IndexMissing:  # the bundled library before its first use
        return ()


def _without(
    records: Iterable[Paper | Refused], removed: frozenset[str], left_out: dict[str, None]
) -> Iterator[Paper | Refused]:
    """The records but for those of removed papers, whose ids are put into `left_out`."""
    from rag.readers import Refused

    for record in records:
        if isinstance(record, Refused) or removed.isdisjoint(marks(record)):
            yield record
        else:
            left_out[record.id] = None


def _records(sources: Mapping[str, Mapping[str, str]]) -> Iterator[Paper | Refused]:
    """The records of all sources; one that cannot be read does not keep back the others."""
    from rag.readers import Refused, iter_papers

    for source, columns in sources.items():
        try:
            yield from iter_papers(source, columns=columns)
        except CorpusError as error:
            yield Refused(source, None, str(error))


def _vanished(
    papers: Sequence[Paper], met: frozenset[str], sources: Iterable[str]
) -> Iterator[str]:
    """Ids of the papers that were not met though all their files were read."""
    places = {Path(source) for source in sources}
    known: dict[str, bool] = {}
    for paper in papers:
        if not paper.sources or paper.id in met:
            continue
        for file in paper.sources:
            if file not in known:
                path = Path(file)
                known[file] = not places.isdisjoint((path, *path.parents))
        if all(known[file] for file in paper.sources):
            yield paper.id


def library_to_delete(settings: Settings, named: str) -> Library:
    """The library that a name or path means, if it may be deleted.

    Raises:
        IndexMissing: there is no library, or the folder holds something else.
        SettingsError: the name cannot be one, or it means the bundled library.
    """
    folder = index_folder(settings.model_copy(update={"index": named}), "")
    if (settings.cache_dir / "bundled").resolve() in folder.resolve().parents:
        raise SettingsError("The bundled library is not deleted; it would be indexed again.")
    if not (folder / FILE_NAME).is_file():
        raise IndexMissing(
            f"There is no library at {folder}; `rag index list` shows those that are there."
        )
    with suppress(IndexStale):  # an older layout may go too
        read_manifest(folder)
    foreign = sorted({path.name for path in folder.iterdir()} - _OWN_NAMES)
    if foreign or folder.is_symlink():
        what = f"holds {foreign[0]}, which is no part of an index" if foreign else "is a link"
        raise IndexMissing(f"{folder} {what}; nothing was deleted.")
    return _library(folder)


def delete_library(library: Library) -> None:
    """Deletes a library: in one step it is gone, then its files are.

    What an interrupted run left behind goes with the next library of that name.

    Raises:
        IndexLocked: another process is writing it.
        DiskError: the disk refuses.
    """
    folder = library.folder
    aside = f".{folder.name}.deleted-"
    with writer_lock(folder, 0.0), disk_errors(folder):
        folder.rename(folder.with_name(aside + token_hex(4)))
    with disk_errors(folder):
        for left in folder.parent.iterdir():
            if left.name.startswith(aside):
                shutil.rmtree(left)
