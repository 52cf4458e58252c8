"""`Index`: one opened generation of an index, for reading.

Opened by the retriever and the writer. It never changes; `is_current` tells a long-running program
when a newer generation is on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import CorpusError, IndexMissing, IndexStale
from rag.index.filter import Filter
from rag.index.lexical import LexicalIndex
from rag.index.manifest import EmbedderInfo, Manifest, PassageSettings, damage_error, read_manifest
from rag.index.store import PassageStore, StoredPaper, paper_of
from rag.index.token_vectors import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding import Embedder


def embedder_mark(embedder: Embedder) -> EmbedderInfo:
    """What the manifest remembers of an embedder."""
    return EmbedderInfo(
        name=embedder.name, dim=embedder.dim, token_dim=getattr(embedder, "token_dim", 0)
    )


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row near a vector: its number and the cosine in [-1, 1], higher is nearer."""

    row: int
    cosine: float


class Index:
    """A readable index.

    Attributes:
        folder: where it lies.
        manifest: what the opened generation holds.
        lexical: BM25 over the rows.
        tokens: token vectors of the rows.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        store: PassageStore,
        lexical: LexicalIndex,
        tokens: TokenTable,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.lexical = lexical
        self.tokens = tokens
        self._store = store

    @classmethod
    def open(cls, folder: Path) -> Index:
        """Opens the generation that the manifest names.

        Raises:
            IndexMissing: nothing there, or nothing was ever finished.
            IndexStale: an older layout.
            IndexDamaged: files are missing or do not add up.
            DiskError: the disk refuses.
        """
        manifest = read_manifest(folder)
        if manifest.generation == 0:
            raise IndexMissing(
                f"The index at {folder} was begun and never finished; "
                f"run the same `rag index` command again to complete it."
            )
        generation = manifest.generation
        lexical = LexicalIndex.load(folder / "lexical", generation, manifest.rows_sha256)
        tokens = TokenTable.load(folder / "tokens", generation, manifest.embedder.token_dim)
        store = PassageStore(folder, manifest.collection)
        if store.count() < manifest.row_count or len(lexical.rows) != manifest.row_count:
            raise damage_error(
                folder,
                f"{store.count()} passages are stored, the manifest vouches for "
                f"{manifest.row_count}",
            )
        return cls(folder, manifest, store, lexical, tokens)

    def close(self) -> None:
        """Lets go of the files."""
        self._store.close()

    def is_current(self) -> bool:
        """Whether no newer generation is on disk."""
        return read_manifest(self.folder).generation == self.manifest.generation

    def check_fits(self, embedder: Embedder, passages: PassageSettings | None = None) -> None:
        """Makes sure that questions are read the way the papers were.

        Raises:
            IndexStale: another embedder or other passage settings, with the difference.
        """
        check_fits(self.folder, self.manifest, embedder, passages)

    @property
    def rows(self) -> tuple[str, ...]:
        """Row ids by row number; rows of one paper stand together."""
        return self.lexical.rows

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles in the order of `paper_ids`."""
        return self.lexical.titles

    @cached_property
    def row_number(self) -> dict[str, int]:
        """Row number by row id."""
        return {row: number for number, row in enumerate(self.rows)}

    @cached_property
    def paper_ids(self) -> tuple[str, ...]:
        """Paper ids in the order of their rows."""
        return tuple(dict.fromkeys(map(paper_of, self.rows)))

    @cached_property
    def paper_number(self) -> NDArray[np.int64]:
        """For each row, the number of its paper in `paper_ids`; shape (rows,)."""
        number = {identity: i for i, identity in enumerate(self.paper_ids)}
        return np.array([number[paper_of(row)] for row in self.rows], dtype=np.int64)

    def read(self, paper_numbers: Iterable[int]) -> list[StoredPaper]:
        """Papers with their passages, in the order asked for."""
        wanted = list(paper_numbers)
        rows = [self.rows[row] for paper in wanted for row in self.rows_of_paper[paper]]
        stored = self._store.read(rows)
        return [stored[self.paper_ids[paper]] for paper in wanted]

    def all_papers(self, where: Filter | None = None) -> list[StoredPaper]:
        """Every paper that a filter lets through, in the order of the rows."""
        if where is None:
            return list(self._store.read(self.rows).values())
        return self.read(self.papers_matching(where))

    def papers_matching(self, where: Filter | None) -> list[int]:
        """Numbers of the papers that a filter lets through, ascending."""
        rows = self.matching(where) if where else None
        if rows is None:
            return list(range(len(self.paper_ids)))
        return sorted(set(self.paper_number[rows].tolist()))

    def matching(self, where: Filter) -> NDArray[np.bool_] | None:
        """Which rows a filter lets through, shape (rows,); None where it restricts nothing."""
        rows = self._store.matching(where)
        if rows is None:
            return None
        return np.array([row in rows for row in self.rows], dtype=np.bool_)

    def resolve_id(self, beginning: str) -> str:
        """The paper id that an id, an alias or a beginning of one id means.

        Raises:
            CorpusError: it means no paper, or several.
        """
        if not beginning.strip():
            raise CorpusError("Give the id of a paper, as `rag papers list` shows it.")
        if self.papers_matching(Filter(ids=(beginning,))):
            return beginning
        folded = beginning.casefold()
        found = [each for each in self.paper_ids if each.casefold().startswith(folded)]
        if len(found) == 1:
            return found[0]
        said = (
            f"begins the ids of {len(found)} papers, such as {found[0]}"
            if found
            else "is no paper's id"
        )
        raise CorpusError(
            f"{beginning} {said}; give the id of a paper, as `rag papers list` shows it."
        )

    def holds(self, where: Filter) -> bool:
        """Whether any paper passes a filter."""
        return self._store.holds(where)

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, where: Filter | None = None
    ) -> list[Neighbour]:
        """The rows nearest to a unit vector, best first; exact when `count` reaches all rows.

        Raises:
            IndexDamaged: far fewer rows came back than are there: vector files are missing.
        """
        if not self.rows:
            return []
        leftovers = max(0, self._store.count() - len(self.rows))  # of an unfinished update
        found = self._store.nearest(vector, min(count, len(self.rows)) + leftovers, where=where)
        known = [
            Neighbour(self.row_number[row], cosine)
            for row, cosine in found
            if row in self.row_number
        ]
        if where is None and 2 * len(known) < min(count, len(self.rows)):
            raise damage_error(self.folder, "vector files are missing")
        return known[:count]

    @cached_property
    def rows_of_paper(self) -> list[list[int]]:
        """For each paper, its row numbers in the order of its passages."""
        rows: list[list[int]] = [[] for _ in self.paper_ids]
        for row, paper in enumerate(self.paper_number.tolist()):
            rows[paper].append(row)
        return rows


def check_fits(
    folder: Path, manifest: Manifest, embedder: Embedder, passages: PassageSettings | None
) -> None:
    """See `Index.check_fits`."""
    pairs = [("embedder", manifest.embedder, embedder_mark(embedder))]
    differences = [
        f"{name} {_words(was)}, now {_words(now)}" for name, was, now in pairs if was != now
    ]
    if passages is not None and passages != manifest.passages:
        differences.append(f"passages {_words(manifest.passages)}, now {_words(passages)}")
    if differences:
        raise IndexStale(
            f"The index at {folder} was made otherwise ({'; '.join(differences)}); use the same "
            f"settings or rebuild it with `rag index --rebuild --index {folder}`."
        )


def _words(mark: EmbedderInfo | PassageSettings) -> str:
    return ", ".join(f"{name} {value}" for name, value in mark.model_dump().items())
