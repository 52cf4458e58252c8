"""Open one generation of an index for reading.

An opened index never changes. `Index.is_current` tells a long-running program that a newer
generation is on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import IndexMissing, IndexStale
from rag.index.changes import resolve_prefix
from rag.index.filter import Filter
from rag.index.lexical import LexicalIndex
from rag.index.manifest import EmbedderInfo, Manifest, PassageSettings, damage_error, read_manifest
from rag.index.store import PassageStore, StoredPaper, parse_paper_id
from rag.index.token_vectors import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.embedding import Embedder

_FIELDS = {"years": "year", "authors": "authors", "venues": "venue"}
_PAPERS_AT_ONCE = 500


def describe_embedder(embedder: Embedder) -> EmbedderInfo:
    """Return what the manifest stores about an embedder."""
    return EmbedderInfo(
        name=embedder.name, dim=embedder.dim, token_dim=getattr(embedder, "token_dim", 0)
    )


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Row near a vector: its number and the cosine in [-1, 1], higher is nearer."""

    row: int
    cosine: float


class Index:
    """Reads one generation of an index.

    Attributes:
        folder: the index folder.
        manifest: of the opened generation.
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
        """Open the generation that the manifest names.

        Raises:
            IndexMissing: there is no index, or its first build is unfinished.
            IndexStale: the layout is another version's.
            IndexDamaged: files are missing or inconsistent.
            DiskError: a file cannot be read.
        """
        manifest = read_manifest(folder)
        if manifest.generation == 0:
            raise IndexMissing(
                f"The first build of the index at {folder} is unfinished. "
                f"Run the same `rag index` command again to complete it."
            )
        generation = manifest.generation
        lexical = LexicalIndex.load(folder / "lexical", generation, manifest.rows_sha256)
        tokens = TokenTable.load(folder / "tokens", generation, manifest.embedder.token_dim)
        store = PassageStore(folder, manifest.collection)
        if store.count() < manifest.row_count or len(lexical.rows) != manifest.row_count:
            raise damage_error(
                folder,
                f"{store.count()} passages are stored, but the manifest lists {manifest.row_count}",
            )
        return cls(folder, manifest, store, lexical, tokens)

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    def is_current(self) -> bool:
        """Return whether this is the newest generation on disk."""
        return read_manifest(self.folder).generation == self.manifest.generation

    def check_fits(self, embedder: Embedder, passages: PassageSettings | None = None) -> None:
        """Check that questions are embedded the way the papers were.

        Raises:
            IndexStale: the embedder or the passage settings differ.
        """
        check_fits(self.folder, self.manifest, embedder, passages)

    @property
    def rows(self) -> tuple[str, ...]:
        """Row ids by row number. Rows of one paper are adjacent."""
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
        return tuple(dict.fromkeys(map(parse_paper_id, self.rows)))

    @cached_property
    def paper_number(self) -> NDArray[np.int64]:
        """Number of each row's paper in `paper_ids`; shape (rows,)."""
        number = {identity: i for i, identity in enumerate(self.paper_ids)}
        return np.array([number[parse_paper_id(row)] for row in self.rows], dtype=np.int64)

    def read(self, paper_numbers: Iterable[int]) -> list[StoredPaper]:
        """Read papers with their passages, in the order given."""
        wanted = list(paper_numbers)
        rows = [self.rows[row] for paper in wanted for row in self.paper_rows[paper]]
        stored = self._store.read(rows)
        return [stored[self.paper_ids[paper]] for paper in wanted]

    def all_papers(self, where: Filter | None = None) -> list[StoredPaper]:
        """Read every paper that matches a filter, in row order."""
        if where is None:
            return list(self._store.read(self.rows).values())
        return self.read(self.papers_matching(where))

    def papers_matching(self, where: Filter | None) -> list[int]:
        """Return the numbers of the papers that match a filter, ascending."""
        rows = self.match_rows(where) if where else None
        if rows is None:
            return list(range(len(self.paper_ids)))
        return sorted(set(self.paper_number[rows].tolist()))

    def match_rows(self, where: Filter) -> NDArray[np.bool_] | None:
        """Return whether each row matches a filter, shape (rows,), or None for no restriction."""
        rows = self._store.match_rows(where)
        if rows is None:
            return None
        return np.array([row in rows for row in self.rows], dtype=np.bool_)

    @cached_property
    def fields(self) -> frozenset[str]:
        """Which of years, authors and venues any paper has."""
        found: set[str] = set()
        for first in range(0, len(self.paper_ids), _PAPERS_AT_ONCE):
            for stored in self.read(range(first, len(self.paper_ids))[:_PAPERS_AT_ONCE]):
                found |= {name for name, field in _FIELDS.items() if getattr(stored.paper, field)}
            if len(found) == len(_FIELDS):
                break
        return frozenset(found)

    def resolve_id(self, prefix: str) -> str:
        """Resolve an id, an alias or an unambiguous prefix of an id.

        Raises:
            CorpusError: no paper matches, or several do.
        """
        if prefix.strip() and self.papers_matching(Filter(ids=(prefix,))):
            return prefix
        return resolve_prefix(prefix, self.paper_ids)

    def holds(self, where: Filter) -> bool:
        """Return whether any paper matches a filter."""
        return self._store.has_match(where)

    def find_nearest(
        self, vector: NDArray[np.float32], count: int, *, where: Filter | None = None
    ) -> list[Neighbour]:
        """Return the rows nearest to a unit vector, best first. All rows give an exact search.

        Raises:
            IndexDamaged: far fewer rows are found than there are, so vector files are missing.
        """
        if not self.rows:
            return []
        leftovers = max(0, self._store.count() - len(self.rows))  # of an unfinished update
        found = self._store.find_nearest(
            vector, min(count, len(self.rows)) + leftovers, where=where
        )
        known = [
            Neighbour(self.row_number[row], cosine)
            for row, cosine in found
            if row in self.row_number
        ]
        if where is None and 2 * len(known) < min(count, len(self.rows)):
            raise damage_error(self.folder, "vector files are missing")
        return known[:count]

    @cached_property
    def paper_rows(self) -> list[list[int]]:
        """Row numbers of each paper, in the order of its passages."""
        rows: list[list[int]] = [[] for _ in self.paper_ids]
        for row, paper in enumerate(self.paper_number.tolist()):
            rows[paper].append(row)
        return rows


def check_fits(
    folder: Path, manifest: Manifest, embedder: Embedder, passages: PassageSettings | None
) -> None:
    """Check an embedder and passage settings; see `Index.check_fits`."""
    pairs = (
        ("embedder", manifest.embedder, describe_embedder(embedder)),
        ("passages", manifest.passages, passages or manifest.passages),
    )
    differences = [
        f"{name} {_list_fields(was)}, now {_list_fields(now)}"
        for name, was, now in pairs
        if was != now
    ]
    if differences:
        raise IndexStale(
            f"The index at {folder} was built with different settings "
            f"({'; '.join(differences)}). Use those settings, or rebuild it with "
            f"`rag index --rebuild --index {folder}`."
        )


def _list_fields(settings: EmbedderInfo | PassageSettings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.model_dump().items())
