"""Store passages and their pooled vectors in Chroma. No other module uses Chroma.

A row is one passage. Its id contains the paper's content hash, so a changed paper gets new rows and
the old ones stay until a new manifest no longer lists them. The first row of a paper holds the
paper's record. The abstract is restored from the passages by their offsets.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import chromadb
import chromadb.config
from chromadb.errors import ChromaError, NotFoundError

from rag.errors import DiskError
from rag.index.filter import Filter, make_filter_fields
from rag.index.manifest import damage_error
from rag.index.passages import Passage
from rag.papers import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from chromadb.api.client import Client
    from chromadb.api.types import Embeddings
    from numpy.typing import NDArray

# Clients of one folder share a system that Chroma counts references to, but not atomically: one
# thread could close it just after another has opened it.
_CLIENTS = threading.Lock()
_READ_BATCH = 5000  # ids per read, below SQLite's limit on bound variables


def make_row_id(paper: Paper, number: int) -> str:
    """Return the row id of a passage. It changes with the paper's content."""
    return f"{paper.id}#{paper.content_hash}#{number}"


def parse_paper_id(row: str) -> str:
    """Return the paper id inside a row id."""
    return row.rsplit("#", 2)[0]


@dataclass(frozen=True, slots=True)
class StoredPaper:
    """Paper with its passages and the row id of each."""

    paper: Paper
    passages: tuple[Passage, ...]
    rows: tuple[str, ...]


class PassageStore:
    """Chroma collection of rows. Distances are cosine; Chroma computes no vectors."""

    def __init__(self, folder: Path, collection: str, *, create: bool = False) -> None:
        """Open a collection.

        Args:
            folder: the index folder, with Chroma in `chroma/`.
            collection: name in the manifest.
            create: create the collection if it is missing.

        Raises:
            IndexDamaged: the collection is missing or does not use cosine.
            DiskError: the disk is full or read-only.
        """
        self._folder = folder
        with self._map_errors():
            with _CLIENTS:
                self._client = chromadb.PersistentClient(
                    str(folder / "chroma"),
                    settings=chromadb.config.Settings(anonymized_telemetry=False),
                )
            try:
                self._collection = self._client.get_collection(collection, embedding_function=None)
            except NotFoundError:
                if not create:
                    raise
                self._collection = self._client.create_collection(
                    collection,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine"}},
                )
        if (self._collection.configuration.get("hnsw") or {}).get("space") != "cosine":
            raise damage_error(self._folder, "its vectors do not use cosine")

    def close(self) -> None:
        """Close the client."""
        with _CLIENTS:
            cast("Client", self._client).close()  # missing in the declared type

    def count(self) -> int:
        """Return the number of rows, including those that no manifest lists."""
        with self._map_errors():
            return self._collection.count()

    def upsert(self, papers: Sequence[StoredPaper], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Write all passages of papers, with one vector per passage in order."""
        rows = [
            _make_row(row, stored, passage)
            for stored in papers
            for row, passage in zip(stored.rows, stored.passages, strict=True)
        ]
        step = self._client.get_max_batch_size()
        for first in range(0, len(rows), step):
            ids, texts, fields = zip(*rows[first : first + step], strict=True)
            with self._map_errors():
                self._collection.upsert(
                    ids=list(ids),
                    documents=list(texts),
                    metadatas=list(fields),
                    embeddings=cast("Embeddings", list(vectors[first : first + step])),
                )

    def read(self, rows: Sequence[str]) -> dict[str, StoredPaper]:
        """Read papers by id, in row order.

        Args:
            rows: all row ids of the papers.

        Raises:
            IndexDamaged: a row is missing or unreadable.
        """
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for first in range(0, len(rows), _READ_BATCH):
            with self._map_errors():
                page = self._collection.get(
                    ids=list(rows[first : first + _READ_BATCH]), include=["documents", "metadatas"]
                )
            for identity, text, fields in zip(
                page["ids"], page["documents"] or (), page["metadatas"] or (), strict=True
            ):
                found[identity] = (text, dict(fields))
        if missing := len(set(rows)) - len(found):
            raise damage_error(self._folder, f"{missing} of {len(rows)} passages are missing")
        by_paper: dict[str, list[str]] = {}
        for row in rows:
            by_paper.setdefault(parse_paper_id(row), []).append(row)
        try:
            return {
                paper: _restore(ids, [found[row] for row in ids]) for paper, ids in by_paper.items()
            }
        except (KeyError, ValueError, TypeError) as error:
            raise damage_error(self._folder, "a row is unreadable") from error

    def find_present(self, rows: Sequence[str]) -> set[str]:
        """Return those of the row ids that the collection holds."""
        held: set[str] = set()
        for first in range(0, len(rows), _READ_BATCH):
            with self._map_errors():
                page = self._collection.get(ids=list(rows[first : first + _READ_BATCH]), include=[])
            held.update(page["ids"])
        return held

    def list_ids(self) -> list[str]:
        """Return every row id of the collection."""
        with self._map_errors():
            return list(self._collection.get(include=[])["ids"])

    def match_rows(self, where: Filter) -> set[str] | None:
        """Return the ids of rows that match a filter, or None if it restricts nothing."""
        condition = where.to_where()
        rows = self._select_rows(where)
        if condition is None:
            return None if rows is None else set(rows)
        with self._map_errors():
            found = set(self._collection.get(where=condition, include=[])["ids"])
        return found if rows is None else found.intersection(rows)

    def has_match(self, where: Filter) -> bool:
        """Return whether a row matches a filter without ids."""
        with self._map_errors():
            return bool(self._collection.get(where=where.to_where(), limit=1, include=[])["ids"])

    def find_nearest(
        self, vector: NDArray[np.float32], count: int, *, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """Find the rows nearest to a vector.

        Args:
            vector: shape (dim,), unit length.
            count: number of rows wanted. The graph is searched at least that widely, so asking for
                all rows is an exact search.
            where: restricts the rows.

        Returns:
            (row id, cosine) pairs; cosine in [-1, 1], higher is nearer, best first.
        """
        condition = where.to_where() if where else None
        rows = self._select_rows(where) if where else None
        if rows == []:
            return []
        with self._map_errors():
            page = self._collection.query(
                query_embeddings=cast("Embeddings", [vector]),
                ids=rows,
                n_results=count if rows is None else min(count, len(rows)),
                where=condition,
                include=["distances"],
            )
        distances = page["distances"] or [[]]
        return [
            (row, 1.0 - distance)
            for row, distance in zip(page["ids"][0], distances[0], strict=True)
        ]

    def _select_rows(self, where: Filter) -> list[str] | None:
        """Return the rows of the papers whose ids a filter lists, or None if it lists none."""
        if where.ids is None:
            return None
        rows: list[str] = []
        for condition in where.id_conditions():
            with self._map_errors():
                rows += self._collection.get(where=condition, include=[])["ids"]
        return rows

    def delete(self, rows: Sequence[str]) -> None:
        """Delete rows. Unknown ids are ignored."""
        for first in range(0, len(rows), _READ_BATCH):
            with self._map_errors():
                self._collection.delete(ids=list(rows[first : first + _READ_BATCH]))

    def drop_other_collections(self) -> None:
        """Delete every other collection of this folder."""
        with self._map_errors():
            for other in self._client.list_collections():
                if other.name != self._collection.name:
                    self._client.delete_collection(other.name)

    @contextlib.contextmanager
    def _map_errors(self) -> Iterator[None]:
        """Map errors of Chroma and SQLite. Their message decides between disk and damage."""
        try:
            yield
        except (ChromaError, sqlite3.Error, OSError, ValueError) as error:
            text = str(error).lower()
            if any(sign in text for sign in ("disk is full", "readonly", "read-only", "i/o error")):
                raise DiskError(
                    f"Cannot use {self._folder}: {error}. Free some space, make it writable, "
                    "or choose another folder with --index."
                ) from error
            raise damage_error(self._folder, f"database error: {error}") from error


def _make_row(row: str, stored: StoredPaper, passage: Passage) -> tuple[str, str, dict[str, Any]]:
    fields: dict[str, Any] = {
        "start": passage.start,
        "sentences": " ".join(f"{start}:{end}" for start, end in passage.sentences),
        **make_filter_fields(stored.paper),
    }
    if passage.number == 0:
        record = stored.paper.to_dict()
        if _join_passages(stored.passages) == stored.paper.abstract:
            record.pop("abstract", None)
        fields["record"] = json.dumps(record, ensure_ascii=False)
    return row, passage.text, fields


def _restore(rows: Sequence[str], parts: Sequence[tuple[str, dict[str, Any]]]) -> StoredPaper:
    record = json.loads(parts[0][1]["record"])
    passages = tuple(
        Passage(
            record["id"],
            number,
            field["start"],
            field["start"] + len(text),
            text,
            _parse_spans(field),
        )
        for number, (text, field) in enumerate(parts)
    )
    paper = Paper.from_dict({"abstract": _join_passages(passages), **record})
    return StoredPaper(paper, passages, tuple(rows))


def _join_passages(passages: Iterable[Passage]) -> str:
    """Restore the abstract from its passages. A gap between two was white space."""
    abstract = ""
    for passage in passages:
        abstract = abstract[: passage.start].ljust(passage.start) + passage.text
    return abstract


def _parse_spans(field: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    pairs = (pair.split(":") for pair in field["sentences"].split())
    return tuple((int(start), int(end)) for start, end in pairs)
