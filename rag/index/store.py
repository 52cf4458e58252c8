"""Store the pooled vector and year of each row in Chroma. No other module uses Chroma.

The id of an entry is the row's number, which finds its text in the records. Chroma gets no text: it
would index every three characters of it, which writes more than all other files of an index
together. Rows that a killed update left stay until a later update deletes them, so callers drop
rows that are not valid.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, cast

import chromadb
import chromadb.config
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.errors import ChromaError, NotFoundError

from rag.index.manifest import damage_error, explain_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from chromadb.api import ClientAPI
    from chromadb.api.client import Client
    from chromadb.api.types import Embeddings
    from numpy.typing import NDArray

    Block = tuple[Sequence[int], Sequence[int | None], NDArray[np.float32]]

# Clients of one folder share a system that Chroma counts references to, but not atomically: one
# thread could close it just after another has opened it.
_CLIENTS = threading.Lock()
_COLLECTION = "rows"
_BATCH = 2000  # rows per call: larger ones write no less
_SYNC_ROWS = 1000  # Chroma writes its whole graph each time it has so many new rows
_SYNCS = 4  # so many times, at most, while many rows are written


class PassageStore:
    """Chroma collection of rows. Distances are cosine; Chroma computes no vectors."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open the collection.

        Args:
            folder: of Chroma.
            create: create the collection if it is missing.

        Raises:
            IndexDamaged: the collection is missing or does not use cosine.
            DiskError: the disk is full or read-only.
        """
        self._folder = folder
        if not create and not folder.is_dir():
            raise damage_error(folder.parent.parent, "its vectors are missing")
        self._open(create=create)
        if self._get_setting("space") != "cosine":
            raise damage_error(folder.parent.parent, "its vectors do not use cosine")

    def _open(self, *, create: bool) -> None:
        with self._map_errors(writing=create):
            with _CLIENTS:
                self._client = _open_client(str(self._folder))
            try:
                self._collection = self._client.get_collection(_COLLECTION, embedding_function=None)
            except NotFoundError:
                if not create:
                    raise
                self._collection = self._client.create_collection(
                    _COLLECTION,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine", "sync_threshold": _SYNC_ROWS}},
                )

    def _get_setting(self, name: str) -> Any:
        return (self._collection.configuration.get("hnsw") or {}).get(name)

    def close(self) -> None:
        """Close the client."""
        with _CLIENTS:
            cast("Client", self._client).close()  # missing in the declared type

    def count(self) -> int:
        """Return the number of rows, including those that are not valid."""
        with self._map_errors():
            return self._collection.count()

    def find_missing(self, rows: Sequence[int]) -> list[int]:
        """Return those of the rows that the collection lacks."""
        held: set[str] = set()
        for first in range(0, len(rows), _BATCH):
            with self._map_errors():
                ids = [str(row) for row in rows[first : first + _BATCH]]
                held.update(self._collection.get(ids=ids, include=[])["ids"])
        return [row for row in rows if str(row) not in held]

    def fill(self, blocks: Iterable[Block], count: int) -> None:
        """Write blocks of rows.

        Args:
            blocks: rows with their years and vectors, shape (rows, dim).
            count: number of all rows. Chroma writes its whole graph each time that a number of
                new rows is reached, so this number grows with `count` until the last block.
        """
        self._set_sync_rows(max(_SYNC_ROWS, count // _SYNCS))
        waiting: Block | None = None
        for block in blocks:
            if waiting:
                self._upsert(*waiting)
            waiting = block
        self._set_sync_rows(_SYNC_ROWS)
        if waiting:
            self._upsert(*waiting)

    def _upsert(
        self, rows: Sequence[int], years: Sequence[int | None], vectors: NDArray[np.float32]
    ) -> None:
        for first in range(0, len(rows), _BATCH):
            last = first + _BATCH
            with self._map_errors(writing=True):
                self._collection.upsert(
                    ids=[str(row) for row in rows[first:last]],
                    metadatas=[{"year": year or 0} for year in years[first:last]],
                    embeddings=cast("Embeddings", vectors[first:last]),
                )

    def _set_sync_rows(self, rows: int) -> None:
        """Set after how many new rows Chroma writes its graph. It reads this when it opens."""
        if self._get_setting("sync_threshold") == rows:
            return
        with self._map_errors(writing=True):
            self._collection.modify(configuration={"hnsw": {"sync_threshold": rows}})
        self.close()
        self._open(create=False)

    def search(self, vector: NDArray[np.float32], count: int) -> list[int]:
        """Return the rows nearest to a unit vector, best first.

        Args:
            vector: shape (dim,).
            count: number of rows wanted. The graph is searched at least that widely.
        """
        with self._map_errors():
            page = self._collection.query(
                query_embeddings=cast("Embeddings", [vector]),
                n_results=count,
                include=[],
            )
        return [int(row) for row in page["ids"][0]]

    def delete(self, rows: Sequence[int]) -> None:
        """Delete rows. Unknown ones are ignored."""
        for first in range(0, len(rows), _BATCH):
            with self._map_errors(writing=True):
                self._collection.delete(ids=[str(row) for row in rows[first : first + _BATCH]])

    @contextlib.contextmanager
    def _map_errors(self, *, writing: bool = False) -> Iterator[None]:
        """Map errors of Chroma and SQLite."""
        try:
            yield
        except (ChromaError, sqlite3.Error, OSError, ValueError) as error:
            raise explain_failure(self._folder, error, writing=writing) from error


def _open_client(folder: str) -> ClientAPI:
    """Open a folder. Chroma would hand out a client that could not start, as on a full disk."""
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    try:
        return chromadb.PersistentClient(folder, settings=settings)
    except Exception:
        if folder not in SharedSystemClient._identifier_to_refcount:  # noqa: SLF001 - no other way
            SharedSystemClient._identifier_to_system.pop(folder, None)  # noqa: SLF001
        raise
