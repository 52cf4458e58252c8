"""Building and updating an index, safe against kills, full disks and a second writer.

Order of an update: new rows go to Chroma and to a token segment, block by block; then the lexical
index and the token table of the new generation are written; then the manifest is replaced, which
makes the new generation the valid one; only then what it no longer names is deleted. An update that
was stopped half-way is taken up by the next run, which embeds only what is still missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from rag.errors import CorpusError, IndexDamaged, IndexMissing, IndexStale
from rag.index import lexical as lexical_files
from rag.index.changes import Intake, plan_changes, still_removed
from rag.index.encode import embedded
from rag.index.lexical import LexicalIndex
from rag.index.lock import writer_lock
from rag.index.manifest import FILE_NAME, Manifest, PassageSettings, read_manifest, write_manifest
from rag.index.open import Index, check_fits, embedder_mark
from rag.index.passages import make_embedder_text, split_paper
from rag.index.segments import RowTokens, SegmentWriter
from rag.index.store import PassageStore, StoredPaper, row_id
from rag.index.token_vectors import TokenTable, remove_stale_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rag.embedding import Embedder
    from rag.papers import Paper
    from rag.readers import Refused

NO_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType({})
_BLOCK_PAPERS = 32  # papers that are embedded, written and confirmed together


class OnProgress(Protocol):
    """Called as papers are embedded: how many are done, of how many."""

    def __call__(self, done: int, total: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an update did.

    Attributes:
        intake: what was read, added, changed, merged, removed, refused.
        papers: in the index now.
        passages: in the index now.
        generation: of the index now; unchanged when there was nothing to do.
    """

    intake: Intake
    papers: int
    passages: int
    generation: int


def update_index(
    folder: Path,
    records: Iterable[Paper | Refused],
    embedder: Embedder,
    *,
    passages: PassageSettings,
    remove: Sequence[str] = (),
    rebuild: bool = False,
    sources: Mapping[str, Mapping[str, str]] = NO_SOURCES,
    on_progress: OnProgress | None = None,
    lock_timeout_s: float = 0.0,
) -> IndexReport:
    """Adds papers to an index, which is made if it is not there.

    Args:
        folder: the index folder; made where missing, refused where it holds something else.
        records: papers to add or update, and what could not be read.
        embedder: gives the vectors; must be the one of the index.
        passages: how abstracts are cut; must be as the index has it.
        remove: ids of papers to take out before the others are added.
        rebuild: start from nothing, also over a damaged or stale index; the old index stays valid
            until the new one is complete.
        sources: names of the places the records come from, each with the columns that were mapped
            by field; kept for a later update or rebuild.
        on_progress: told after each block of papers.
        lock_timeout_s: how long to wait for another writer.

    Raises:
        IndexLocked: another process is writing.
        IndexStale: the index was made with another embedder or passage setting.
        IndexDamaged: the index cannot be read; rebuild it.
        IndexMissing: the folder holds something that is no index.
        CorpusError: an id to remove is unknown, or there is no paper at all.
        DiskError: the disk is full, read-only or refuses.
    """
    with writer_lock(folder, lock_timeout_s):
        is_new = not (folder / FILE_NAME).exists()
        base = _base(folder, embedder, passages, rebuild=rebuild)
        old = Index.open(folder) if base.generation and not rebuild else None
        try:
            update = _Update(folder, base, old, embedder, on_progress)
            intake = plan_changes(update.old_papers, records, remove)
            return update.run(intake, sources)
        except CorpusError:
            if is_new:  # nothing was begun that another run could complete
                (folder / FILE_NAME).unlink()
            raise
        finally:
            if old:
                old.close()


class _Update:
    """One run of `update_index`, after the lock was taken and the old generation opened."""

    def __init__(
        self,
        folder: Path,
        base: Manifest,
        old: Index | None,
        embedder: Embedder,
        on_progress: OnProgress | None,
    ) -> None:
        self._folder = folder
        self._base = base
        self._old = old
        self._embedder = embedder
        self._on_progress = on_progress
        self._stored = {stored.paper.id: stored for stored in old.all_papers()} if old else {}

    @property
    def old_papers(self) -> list[Paper]:
        return [stored.paper for stored in self._stored.values()]

    def run(self, intake: Intake, sources: Mapping[str, Mapping[str, str]]) -> IndexReport:
        if not (intake.papers or intake.removed or self._base.removed):
            raise CorpusError("No paper could be read, so there is nothing to index.")
        columns = {each: dict(mapped) for each, mapped in sources.items()}
        columns = {
            each: mapped for each, mapped in (self._base.columns | columns).items() if mapped
        }
        origin = {
            "sources": tuple(dict.fromkeys((*self._base.sources, *sources))),
            "columns": columns,
            "removed": still_removed(self._base.removed, self.old_papers, intake),
        }
        if self._old and not intake.fresh and not intake.removed:
            manifest = self._base.model_copy(update=origin)
            if manifest != self._base:
                write_manifest(self._folder, manifest)
        else:
            manifest = self._write_generation(intake, origin)
        self._clean_up(manifest)
        return IndexReport(intake, manifest.paper_count, manifest.row_count, manifest.generation)

    def _write_generation(self, intake: Intake, origin: Mapping[str, Any]) -> Manifest:
        generation = self._base.generation + 1
        collection = self._base.collection or f"rows-{generation}"
        plan = [self._plan(paper, fresh=paper.id in intake.fresh) for paper in intake.papers]
        store = PassageStore(self._folder, collection, create=True)
        try:
            places = self._stage(plan, intake.fresh, store, generation, collection)
        finally:
            store.close()
        rows = list(places)
        texts = [
            make_embedder_text(stored.paper.title, passage.text)
            for stored in plan
            for passage in stored.passages
        ]
        titles = [stored.paper.title for stored in plan]
        lexical = LexicalIndex.build(rows, titles, texts)
        digest = lexical.save(self._folder / "lexical", generation)
        tokens = self._folder / "tokens"
        mark = embedder_mark(self._embedder)
        TokenTable.build(tokens, list(places.values()), mark.token_dim).save(generation)
        manifest = Manifest(
            generation=generation,
            collection=collection,
            embedder=mark,
            passages=self._base.passages,
            paper_count=len(plan),
            row_count=len(rows),
            rows_sha256=digest,
            **origin,
        )
        write_manifest(self._folder, manifest)
        return manifest

    def _plan(self, paper: Paper, *, fresh: bool) -> StoredPaper:
        if not fresh:
            return self._stored[paper.id]
        cut = self._base.passages
        passages = split_paper(
            paper, budget_tokens=cut.budget_tokens, overlap_sentences=cut.overlap_sentences
        )
        rows = tuple(row_id(paper, passage.number) for passage in passages)
        return StoredPaper(paper, passages, rows)

    def _stage(
        self,
        plan: Sequence[StoredPaper],
        fresh: frozenset[str],
        store: PassageStore,
        generation: int,
        collection: str,
    ) -> dict[str, RowTokens]:
        """Writes what is not written yet; returns where each row's tokens are, in row order."""
        mark = json.dumps(
            [
                collection,
                embedder_mark(self._embedder).model_dump(),
                self._base.passages.model_dump(),
            ]
        )
        segment = SegmentWriter(self._folder / "tokens", generation, mark)
        try:
            self._write_fresh(
                [stored for stored in plan if stored.paper.id in fresh], store, segment
            )
            kept = self._carry_over([s for s in plan if s.paper.id not in fresh], segment)
        finally:
            segment.close()
        known = {**segment.written, **kept}
        return {row: known[row] for stored in plan for row in stored.rows}

    def _write_fresh(
        self, papers: Sequence[StoredPaper], store: PassageStore, segment: SegmentWriter
    ) -> None:
        recovered = store.present(list(segment.written))
        missing = [stored for stored in papers if not recovered.issuperset(stored.rows)]
        done = len(papers) - len(missing)
        for first in range(0, len(missing), _BLOCK_PAPERS):
            block = missing[first : first + _BLOCK_PAPERS]
            vectors, tokens = embedded(block, self._embedder)
            segment.append(tokens)
            store.upsert(block, vectors)
            segment.confirm(tokens)
            done += len(block)
            if self._on_progress:
                self._on_progress(done, len(papers))

    def _carry_over(
        self, papers: Sequence[StoredPaper], segment: SegmentWriter
    ) -> dict[str, RowTokens]:
        """Where the tokens of unchanged rows are; moved to the new segment when much is waste."""
        if not self._old or not papers:
            return {}
        table, number = self._old.tokens, self._old.row_number
        rows = [row for stored in papers for row in stored.rows]
        kept = {row: table.row(number[row]) for row in rows}
        if not table.is_wasteful(kept.values()):
            return kept
        for row in rows:
            moved = {row: table.raw(number[row])}
            segment.append(moved)
            segment.confirm(moved)
        return {}

    def _clean_up(self, manifest: Manifest) -> None:
        """Deletes what the valid generation does not name; harmless to repeat."""
        lexical_files.remove_stale(self._folder / "lexical", manifest.generation)
        table = TokenTable.load(
            self._folder / "tokens", manifest.generation, manifest.embedder.token_dim
        )
        remove_stale_tokens(self._folder / "tokens", manifest.generation, table.segments)
        store = PassageStore(self._folder, manifest.collection)
        try:
            store.drop_other_collections()
            if store.count() != manifest.row_count:
                index = Index.open(self._folder)
                store.delete([row for row in store.all_ids() if row not in index.row_number])
                index.close()
        finally:
            store.close()


def _base(
    folder: Path, embedder: Embedder, passages: PassageSettings, *, rebuild: bool
) -> Manifest:
    """The manifest to go on from; generation 0 is written where nothing was there."""
    empty = Manifest(embedder=embedder_mark(embedder), passages=passages)
    try:
        manifest = read_manifest(folder)
    except IndexMissing:
        write_manifest(folder, empty)
        return empty
    except (IndexDamaged, IndexStale):
        if not rebuild:
            raise
        return empty.model_copy(
            update={"generation": lexical_files.highest_generation(folder / "lexical")}
        )
    if rebuild or not manifest.generation:
        return empty.model_copy(update={"generation": manifest.generation})
    check_fits(folder, manifest, embedder, passages)
    return manifest
