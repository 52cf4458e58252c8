"""Build or update an index, safe against kills, full disks and a second writer.

An update writes new rows to Chroma and to a token segment, block by block. Then it writes the
lexical index and the token table of the new generation. Then it replaces the manifest, which makes
the new generation valid. Only then it deletes files that are no longer used. The next run continues
an interrupted update and embeds only the rows that are missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from rag.embedding import has_token_vectors
from rag.errors import CorpusError, IndexDamaged, IndexMissing, IndexStale
from rag.index import lexical as lexical_files
from rag.index.changes import Intake, plan_changes, update_removal_keys
from rag.index.lexical import LexicalIndex
from rag.index.lock import writer_lock
from rag.index.manifest import FILE_NAME, Manifest, PassageSettings, read_manifest, write_manifest
from rag.index.open import Index, check_fits, describe_embedder
from rag.index.passages import make_embedder_text, split_paper
from rag.index.store import PassageStore, StoredPaper, make_row_id
from rag.index.token_vectors import (
    NO_TOKENS,
    SegmentWriter,
    TokenTable,
    remove_stale_tokens,
    select_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from rag.embedding import Embedder
    from rag.index.token_vectors import PassageTokens, RowTokens
    from rag.papers import Paper
    from rag.readers import Refused

NO_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType({})
_BLOCK_PAPERS = 32  # papers embedded, written and confirmed together


class OnProgress(Protocol):
    """Callback that receives how many papers are embedded, and of how many."""

    def __call__(self, done: int, total: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Result of an update.

    Attributes:
        intake: records that were read, added, changed, merged, removed or refused.
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
    """Add papers to an index. Build the index if there is none.

    Args:
        folder: the index folder, created if missing.
        records: papers to add or update, and records that could not be read.
        embedder: makes the vectors; must be the embedder of the index.
        passages: how to split abstracts; must be the setting of the index.
        remove: ids, aliases or id prefixes of papers to take out before the others are added.
        rebuild: start from scratch, even over a damaged or stale index. The old index stays valid
            until the new one is complete.
        sources: files and folders of the records, each with the column of every mapped field.
            They are stored for a later update or rebuild.
        on_progress: called after each block of papers.
        lock_timeout_s: how long to wait for another writer.

    Raises:
        IndexLocked: another process is writing.
        IndexStale: the index was built with another embedder or other passage settings.
        IndexDamaged: the index cannot be read; rebuild it.
        IndexMissing: the folder holds something other than an index.
        CorpusError: an id to remove fits no paper or several, or there is no paper at all.
        DiskError: the disk is full or read-only.
    """
    with writer_lock(folder, lock_timeout_s):
        is_new = not (folder / FILE_NAME).exists()
        base = _read_base(folder, embedder, passages, rebuild=rebuild)
        old = Index.open(folder) if base.generation and not rebuild else None
        try:
            update = _Update(folder, base, old, embedder, on_progress)
            intake = plan_changes(update.old_papers, records, remove)
            return update.run(intake, sources)
        except CorpusError:
            if is_new:  # no work that another run could complete
                (folder / FILE_NAME).unlink()
            raise
        finally:
            if old:
                old.close()


class _Update:
    """One run of `update_index`, with the lock held and the old generation open."""

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
            raise CorpusError("Found no readable paper. Name files or folders that hold papers.")
        origin = self._update_origin(intake, sources)
        if self._old and not intake.fresh and not intake.removed:
            manifest = self._base.model_copy(update=origin)
            if manifest != self._base:
                write_manifest(self._folder, manifest)
        else:
            manifest = self._write_generation(intake, origin)
        self._clean_up(manifest)
        return IndexReport(intake, manifest.paper_count, manifest.row_count, manifest.generation)

    def _update_origin(
        self, intake: Intake, sources: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        """Return the manifest fields that say where the papers come from."""
        columns = {**self._base.columns, **{name: dict(each) for name, each in sources.items()}}
        return {
            "sources": tuple(dict.fromkeys((*self._base.sources, *sources))),
            "columns": {name: mapping for name, mapping in columns.items() if mapping},
            "removed": update_removal_keys(self._base.removed, self.old_papers, intake),
        }

    def _write_generation(self, intake: Intake, origin: Mapping[str, Any]) -> Manifest:
        generation = self._base.generation + 1
        collection = self._base.collection or f"rows-{generation}"
        plan = [self._split(paper, fresh=paper.id in intake.fresh) for paper in intake.papers]
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
        mark = describe_embedder(self._embedder)
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

    def _split(self, paper: Paper, *, fresh: bool) -> StoredPaper:
        if not fresh:
            return self._stored[paper.id]
        passages = split_paper(paper, **self._base.passages.model_dump())
        rows = tuple(make_row_id(paper, passage.number) for passage in passages)
        return StoredPaper(paper, passages, rows)

    def _stage(
        self,
        plan: Sequence[StoredPaper],
        fresh: frozenset[str],
        store: PassageStore,
        generation: int,
        collection: str,
    ) -> dict[str, RowTokens]:
        """Write the missing rows. Return where the tokens of each row are, in row order."""
        mark = json.dumps(
            [
                collection,
                describe_embedder(self._embedder).model_dump(),
                self._base.passages.model_dump(),
            ]
        )
        segment = SegmentWriter(self._folder / "tokens", generation, mark)
        try:
            self._write_fresh(
                [stored for stored in plan if stored.paper.id in fresh], store, segment
            )
            kept = self._keep_tokens([s for s in plan if s.paper.id not in fresh], segment)
        finally:
            segment.close()
        places = {**segment.written, **kept}
        return {row: places[row] for stored in plan for row in stored.rows}

    def _write_fresh(
        self, papers: Sequence[StoredPaper], store: PassageStore, segment: SegmentWriter
    ) -> None:
        recovered = store.find_present(list(segment.written))
        missing = [stored for stored in papers if not recovered.issuperset(stored.rows)]
        done = len(papers) - len(missing)
        for first in range(0, len(missing), _BLOCK_PAPERS):
            block = missing[first : first + _BLOCK_PAPERS]
            vectors, tokens = embed_papers(block, self._embedder)
            segment.append(tokens)
            store.upsert(block, vectors)
            segment.confirm(tokens)
            done += len(block)
            if self._on_progress:
                self._on_progress(done, len(papers))

    def _keep_tokens(
        self, papers: Sequence[StoredPaper], segment: SegmentWriter
    ) -> dict[str, RowTokens]:
        """Return where the tokens of unchanged rows are.

        If the old segments are mostly unused, move the tokens to the new segment instead.
        """
        if not self._old or not papers:
            return {}
        table, number = self._old.tokens, self._old.row_number
        rows = [row for stored in papers for row in stored.rows]
        kept = {row: table.locate(number[row]) for row in rows}
        if not table.is_wasteful(kept.values()):
            return kept
        for row in rows:
            moved = {row: table.read(number[row])}
            segment.append(moved)
            segment.confirm(moved)
        return {}

    def _clean_up(self, manifest: Manifest) -> None:
        """Delete what the valid generation does not use. Repeating this is safe."""
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
                store.delete([row for row in store.list_ids() if row not in index.row_number])
                index.close()
        finally:
            store.close()


def _read_base(
    folder: Path, embedder: Embedder, passages: PassageSettings, *, rebuild: bool
) -> Manifest:
    """Return the manifest to start from. Write generation 0 if there is none."""
    empty = Manifest(embedder=describe_embedder(embedder), passages=passages)
    try:
        manifest = read_manifest(folder)
    except IndexMissing:
        write_manifest(folder, empty)
        return empty
    except (IndexDamaged, IndexStale):
        if not rebuild:
            raise
        return empty.model_copy(
            update={"generation": lexical_files.find_highest_generation(folder / "lexical")}
        )
    if rebuild or not manifest.generation:
        return empty.model_copy(update={"generation": manifest.generation})
    check_fits(folder, manifest, embedder, passages)
    return manifest


def embed_papers(
    papers: Sequence[StoredPaper], embedder: Embedder
) -> tuple[list[NDArray[np.float32]], dict[str, PassageTokens]]:
    """Embed the passages of papers, in one forward pass each.

    Returns:
        one unit vector per row, in row order, and the tokens by row id, which are empty if the
        embedder gives none.
    """
    pairs = [(stored.paper, passage) for stored in papers for passage in stored.passages]
    texts = [make_embedder_text(paper.title, passage.text) for paper, passage in pairs]
    rows = [row for stored in papers for row in stored.rows]
    if not has_token_vectors(embedder):
        return list(embedder.embed(texts)), dict.fromkeys(rows, NO_TOKENS)
    encodings = list(embedder.encode(texts))
    tokens = [
        select_tokens(paper.title, passage, encoding)
        for (paper, passage), encoding in zip(pairs, encodings, strict=True)
    ]
    return [encoding.vector for encoding in encodings], dict(zip(rows, tokens, strict=True))
