"""Build or update an index, safe against kills, full disks and a second writer.

An update reads only the papers that its records may change, and writes only what is new. It stages
new rows block by block, completes the generation, then replaces the manifest, which makes it valid.
Only then does it delete what is no longer used. The next run continues an interrupted update and
embeds only the rows that are missing.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from rag.errors import (
    CorpusError,
    DiskError,
    IndexDamaged,
    IndexLocked,
    IndexMissing,
    IndexStale,
)
from rag.index.changes import (
    Intake,
    Related,
    find_related,
    plan_changes,
    update_removal_keys,
)
from rag.index.embed import embed_blocks
from rag.index.lock import writer_lock
from rag.index.manifest import (
    DATA_PREFIXES,
    FILE_NAME,
    OLD_FOLDERS,
    RECORDS,
    SCHEMA,
    Manifest,
    PassageSettings,
    StoredDecision,
    map_disk_errors,
    read_manifest,
    write_manifest,
)
from rag.index.open import check_fits, describe_embedder
from rag.index.records import Records
from rag.index.rereading import find_rereading
from rag.index.token_vectors import RecordShape
from rag.index.writer import DataWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rag.embedding import Embedder
    from rag.index.embed import Block
    from rag.index.rereading import Rereading
    from rag.papers import Decision, Paper
    from rag.readers import Record

T = TypeVar("T")
NO_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType({})
_BLOCK_PAPERS = 32  # papers staged together


class OnProgress(Protocol):
    """Callback that receives how many papers are embedded, and of how many."""

    def __call__(self, done: int, total: int) -> None: ...  # noqa: D102


class DecisionChange(NamedTuple):
    """What a user said about papers before and now."""

    before: Sequence[Decision]
    after: Sequence[Decision]


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Result of an update.

    Attributes:
        intake: records that were read, added, changed, merged or refused, and papers that went.
        papers: number of papers in the index now.
        passages: number of passages in the index now.
        generation: of the index now; unchanged if there was nothing to do.
    """

    intake: Intake
    papers: int
    passages: int
    generation: int


def update_index(
    folder: Path,
    records: Iterable[Record],
    embedder: Embedder,
    *,
    passages: PassageSettings,
    remove: Sequence[str] = (),
    rebuild: bool = False,
    sources: Mapping[str, Mapping[str, str]] = NO_SOURCES,
    forget: Collection[str] = (),
    by_title: bool = True,
    decisions: DecisionChange | None = None,
    on_progress: OnProgress | None = None,
    lock_timeout_s: float = 0.0,
    workers: int = 1,
    make_embedder: Callable[[], Embedder] | None = None,
) -> IndexReport:
    """Add papers to an index. Build the index if there is none.

    Args:
        folder: the index folder, created if missing.
        records: papers to add or update, and records that could not be read.
        embedder: makes the vectors; must be the embedder of the index.
        passages: how to split abstracts; must be the setting of the index.
        remove: names of papers to take out before the others are added; see `Index.resolve_id`.
        rebuild: start from scratch, even over a damaged or stale index. The old index stays valid
            until the new one is complete.
        sources: files, folders and Zotero addresses of the records, each with the column of every
            mapped field. They are stored for a later update or rebuild. Papers of a Zotero library
            are removed if all of its stored sources are read and none has them any more.
        forget: stored sources that are no longer stored.
        by_title: whether records that are one work by their fields are one paper. Else only
            records with one id are.
        decisions: what the user says about papers now.
        on_progress: called after each block of papers.
        lock_timeout_s: how long to wait for another writer.
        workers: processes that embed; 1 embeds in this one.
        make_embedder: makes the embedder in another process. Needed for more than one worker.

    Raises:
        IndexLocked: another process is writing, or has changed the decisions.
        IndexStale: the index was built with another embedder or other passage settings.
        IndexDamaged: the index cannot be read; rebuild it.
        IndexMissing: the folder holds something other than an index.
        CorpusError: a name to remove fits no paper or several, or there is no paper at all.
        DiskError: the disk is full or read-only.
    """
    with writer_lock(folder, lock_timeout_s):
        is_new = not (folder / FILE_NAME).exists()
        base = _read_base(folder, embedder, passages, rebuild=rebuild)
        try:
            embed = partial(
                embed_blocks,
                settings=base.passages,
                embedder=embedder,
                workers=workers,
                make_embedder=make_embedder,
            )
            return _Update(folder, base, embed, on_progress).run(
                records, remove, sources, decisions, forget=forget, by_title=by_title
            )
        except CorpusError:
            if is_new:  # no work that another run could complete
                (folder / FILE_NAME).unlink()
            raise


class _Update:
    """One run of `update_index`, with the lock held."""

    def __init__(
        self,
        folder: Path,
        base: Manifest,
        embed: Callable[[Sequence[Sequence[Paper]]], Iterator[Block]],
        on_progress: OnProgress | None,
    ) -> None:
        self._folder = folder
        self._base = base
        self._embed = embed
        self._on_progress = on_progress
        # a base without data is an empty start: of a first build or a rebuild
        self._data = folder / (base.data or f"data-{base.generation + 1}")

    def run(
        self,
        records: Iterable[Record],
        remove: Sequence[str],
        sources: Mapping[str, Mapping[str, str]],
        change: DecisionChange | None,
        *,
        forget: Collection[str],
        by_title: bool,
    ) -> IndexReport:
        several = list(records)
        decisions = [decision.load() for decision in self._base.decisions]
        if change and decisions != list(change.before):
            raise IndexLocked(
                "Another process decided about papers of this library meanwhile. Run the command "
                "again."
            )
        decisions = list(change.after) if change else decisions
        recorded = [source for source in self._base.sources if source not in forget]
        rereading = find_rereading(several, sources, recorded, forget)
        related = self._find_related(several, remove, decisions, rereading, by_title=by_title)
        intake = plan_changes(
            related.papers,
            several,
            related.removed,
            by_title=by_title,
            decisions=decisions,
            rereading=rereading,
        )
        if not (intake.papers or self._base.data):
            advice = "Found no readable paper. Name files or folders that hold papers."
            raise CorpusError(next(iter(intake.warnings), advice))
        columns = {name: self._base.columns.get(name, {}) for name in recorded}
        origin = self._update_origin(intake, related, {**columns, **sources}, decisions)
        if self._base.data and not (intake.fresh or intake.removed or intake.gone):
            manifest = self._base.model_copy(update=origin)
            if manifest != self._base:
                write_manifest(self._folder, manifest)
        else:
            manifest = self._write_generation(intake, related, origin)
        return IndexReport(intake, manifest.paper_count, manifest.row_count, manifest.generation)

    def _find_related(
        self,
        records: Sequence[Record],
        remove: Sequence[str],
        decisions: Sequence[Decision],
        rereading: Rereading,
        *,
        by_title: bool,
    ) -> Related:
        if not self._base.data:
            if remove:
                raise CorpusError(f"No paper can be removed from a new index: {remove[0]}.")
            return Related()
        reader = Records(self._data / RECORDS, self._base.generation)
        try:
            return find_related(
                reader,
                records,
                remove,
                by_title=by_title,
                decisions=decisions,
                rereading=rereading,
            )
        finally:
            reader.close()

    def _update_origin(
        self,
        intake: Intake,
        related: Related,
        sources: Mapping[str, Mapping[str, str]],
        decisions: Sequence[Decision],
    ) -> dict[str, Any]:
        """Return the manifest fields that say where the papers come from, and what was decided."""
        return {
            "sources": tuple(sources),
            "columns": {name: dict(columns) for name, columns in sources.items() if columns},
            "removed": update_removal_keys(self._base.removed, related.papers, intake, decisions),
            "decisions": tuple(map(StoredDecision.store, decisions)),
        }

    def _write_generation(
        self, intake: Intake, related: Related, origin: Mapping[str, Any]
    ) -> Manifest:
        base = self._base
        generation = base.generation + 1
        described = base.embedder
        writer = DataWriter(
            self._data,
            base.generation if base.data else 0,
            generation,
            RecordShape(described.dim, described.token_dim),
            base.model_dump_json(include={"embedder", "passages"}),
        )
        try:
            self._stage(writer, intake, related)
            kept = {paper.id for paper in intake.papers} - intake.fresh
            removed = [number for each, (number, _) in related.places.items() if each not in kept]
            positions = {each: position for each, (_, position) in related.places.items()}
            rows = writer.finish(removed, positions)
            manifest = Manifest(
                generation=generation,
                data=self._data.name,
                build=base.build or token_hex(8),
                embedder=described,
                passages=base.passages,
                paper_count=base.paper_count + len(intake.fresh) - len(removed),
                row_count=base.row_count + rows,
                **origin,
            )
            write_manifest(self._folder, manifest)
            with contextlib.suppress(DiskError):  # the index is valid; a later update cleans up
                writer.purge()
                self._delete_other_data()
        finally:
            writer.close()
        return manifest

    def _stage(self, writer: DataWriter, intake: Intake, related: Related) -> None:
        """Stage the papers that are missing. Embed those whose text is new."""
        fresh = [paper for paper in intake.papers if paper.id in intake.fresh]
        keys = {(paper.id, paper.content_hash): paper for paper in fresh}
        writer.drop_staged(frozenset(keys))
        missing = [paper for key, paper in keys.items() if key not in writer.staged]
        known = {(p.title, p.abstract): related.places[p.id][0] for p in related.papers}
        texts = [(paper, known.get((paper.title, paper.abstract))) for paper in missing]
        for copies in _split([(paper, number) for paper, number in texts if number is not None]):
            writer.stage_copies(copies)
        new = [paper for paper, number in texts if number is None]
        done = len(fresh) - len(new)
        if self._on_progress and fresh:
            self._on_progress(done, len(fresh))
        for block in self._embed(_split(new)):
            writer.stage(block)
            done += len(block)
            if self._on_progress:
                self._on_progress(done, len(fresh))

    def _delete_other_data(self) -> None:
        """Delete the folders of other generations and layouts."""
        with map_disk_errors(self._folder):
            for path in self._folder.iterdir():
                ours = path.name.startswith(DATA_PREFIXES) or path.name in OLD_FOLDERS
                if ours and path != self._data:
                    shutil.rmtree(path)


def _split(several: Sequence[T]) -> list[Sequence[T]]:
    """Return blocks of papers."""
    starts = range(0, len(several), _BLOCK_PAPERS)
    return [several[first : first + _BLOCK_PAPERS] for first in starts]


def _read_base(
    folder: Path, embedder: Embedder, passages: PassageSettings, *, rebuild: bool
) -> Manifest:
    """Return the manifest to start from. Write generation 0 if there is none.

    One of layout 3 names the data folder that holds its converted content.
    """
    empty = Manifest(embedder=describe_embedder(embedder), passages=passages)
    try:
        manifest = read_manifest(folder)
    except IndexMissing:
        write_manifest(folder, empty)
        return empty
    except (IndexDamaged, IndexStale):
        if not rebuild:
            raise
        return empty.model_copy(update={"generation": _find_highest_generation(folder)})
    if rebuild or not manifest.generation:
        kept = {"generation": manifest.generation, "decisions": manifest.decisions}
        return empty.model_copy(update=kept)
    check_fits(folder, manifest, embedder, passages)
    if manifest.schema_version != SCHEMA:
        from rag.index.convert import convert_old_layout

        data = convert_old_layout(folder, manifest)
        manifest = manifest.model_copy(
            update={"schema_version": SCHEMA, "data": data.name, "collection": ""}
        )
    return manifest


def _find_highest_generation(folder: Path) -> int:
    """Return the highest number of a data folder, or of a generation of an older layout."""
    names = [path.name.rpartition("-")[2] for path in folder.glob("*-*")]
    names += [path.name for path in folder.glob("lexical/*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)
