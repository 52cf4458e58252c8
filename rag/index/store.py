"""Passages and their pooled vectors in Chroma; the only module that knows Chroma.

A row is one passage. Its id holds the paper's content hash, so a changed paper gets new rows and
the old ones stay until a new manifest no longer names them. The first row of a paper carries the
paper's record; the abstract is put together again from its passages, which share exact offsets.
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
from rag.index.filter import Filter, filter_fields
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

# Clients of one folder share what lies below them. Chroma counts them, but not in one step with
# taking it up or letting it go: one thread could close what another has just opened.
_CLIENTS = threading.Lock()
_READ_BATCH = 5000  # ids per read, below SQLite's limit on bound variables


def row_id(paper: Paper, number: int) -> str:
    """Id of a paper's passage; it changes with the paper's content."""
    return f"{paper.id}#{paper.content_hash}#{number}"


def paper_of(row: str) -> str:
    """The paper id inside a row id."""
    return row.rsplit("#", 2)[0]


@dataclass(frozen=True, slots=True)
class StoredPaper:
    """A paper as the index holds it: its passages, and the row id of each."""

    paper: Paper
    passages: tuple[Passage, ...]
    rows: tuple[str, ...]


class PassageStore:
    """One Chroma collection of rows (cosine; vectors are given, never computed by Chroma)."""

    def __init__(self, folder: Path, collection: str, *, create: bool = False) -> None:
        """Opens a collection.

        Args:
            folder: the index folder; Chroma lies in `chroma/` below it.
            collection: name in the manifest.
            create: make it where it is missing.

        Raises:
            IndexDamaged: the collection is not there or compares vectors in another way.
            DiskError: the disk is full, read-only or refuses.
        """
        self._folder = folder
        with self._errors():
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
            raise damage_error(self._folder, "its vectors are not compared by cosine")

    def close(self) -> None:
        """Lets go of the files."""
        with _CLIENTS:
            cast("Client", self._client).close()  # the declared type leaves it out

    def count(self) -> int:
        """Rows in the collection, vouched for or not."""
        with self._errors():
            return self._collection.count()

    def upsert(self, papers: Sequence[StoredPaper], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Writes all passages of some papers, one vector for each passage in order."""
        rows = [
            _row(row, stored, passage)
            for stored in papers
            for row, passage in zip(stored.rows, stored.passages, strict=True)
        ]
        step = self._client.get_max_batch_size()
        for first in range(0, len(rows), step):
            ids, texts, fields = zip(*rows[first : first + step], strict=True)
            with self._errors():
                self._collection.upsert(
                    ids=list(ids),
                    documents=list(texts),
                    metadatas=list(fields),
                    embeddings=cast("Embeddings", list(vectors[first : first + step])),
                )

    def read(self, rows: Sequence[str]) -> dict[str, StoredPaper]:
        """Papers by id, in the order of their rows.

        Args:
            rows: row ids; all rows of each paper wanted.

        Raises:
            IndexDamaged: a row is missing or unreadable.
        """
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for first in range(0, len(rows), _READ_BATCH):
            with self._errors():
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
            by_paper.setdefault(paper_of(row), []).append(row)
        try:
            return {
                paper: _restore(ids, [found[row] for row in ids]) for paper, ids in by_paper.items()
            }
        except (KeyError, ValueError, TypeError) as error:
            raise damage_error(self._folder, "a row cannot be read") from error

    def present(self, rows: Sequence[str]) -> set[str]:
        """Those of the row ids that the collection holds."""
        held: set[str] = set()
        for first in range(0, len(rows), _READ_BATCH):
            with self._errors():
                page = self._collection.get(ids=list(rows[first : first + _READ_BATCH]), include=[])
            held.update(page["ids"])
        return held

    def all_ids(self) -> list[str]:
        """Every row id of the collection."""
        with self._errors():
            return list(self._collection.get(include=[])["ids"])

    def matching(self, where: Filter) -> set[str] | None:
        """Row ids that a filter lets through; None where it restricts nothing."""
        condition = where.to_where()
        rows = self._rows_with_ids(where)
        if condition is None:
            return None if rows is None else set(rows)
        with self._errors():
            found = set(self._collection.get(where=condition, include=[])["ids"])
        return found if rows is None else found.intersection(rows)

    def holds(self, where: Filter) -> bool:
        """Whether a row passes a filter that names no ids."""
        with self._errors():
            return bool(self._collection.get(where=where.to_where(), limit=1, include=[])["ids"])

    def nearest(
        self, vector: NDArray[np.float32], count: int, *, where: Filter | None = None
    ) -> list[tuple[str, float]]:
        """The rows nearest to a vector.

        Args:
            vector: shape (dim,), unit length.
            count: how many; the graph is searched at least that widely, so asking for all rows is
                an exact search.
            where: restricts the rows.

        Returns:
            (row id, cosine) pairs; cosine in [-1, 1], higher is nearer, best first.
        """
        condition = where.to_where() if where else None
        rows = self._rows_with_ids(where) if where else None
        if rows == []:
            return []
        with self._errors():
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

    def _rows_with_ids(self, where: Filter) -> list[str] | None:
        """Rows of the papers that a filter names; None where it names none."""
        if where.ids is None:
            return None
        rows: list[str] = []
        for condition in where.id_conditions():
            with self._errors():
                rows += self._collection.get(where=condition, include=[])["ids"]
        return rows

    def delete(self, rows: Sequence[str]) -> None:
        """Deletes rows; unknown ids are passed over."""
        for first in range(0, len(rows), _READ_BATCH):
            with self._errors():
                self._collection.delete(ids=list(rows[first : first + _READ_BATCH]))

    def drop_other_collections(self) -> None:
        """Deletes every collection of this folder but this one."""
        with self._errors():
            for other in self._client.list_collections():
                if other.name != self._collection.name:
                    self._client.delete_collection(other.name)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Maps what Chroma and SQLite raise; messages of theirs decide between disk and damage."""
        try:
            yield
        except (ChromaError, sqlite3.Error, OSError, ValueError) as error:
            text = str(error).lower()
            if any(sign in text for sign in ("disk is full", "readonly", "read-only", "i/o error")):
                raise DiskError(
                    f"{self._folder} cannot be used: {error}; free some space, make it writable, "
                    "or choose another place with --index."
                ) from error
            raise damage_error(self._folder, f"its database says: {error}") from error


def _row(row: str, stored: StoredPaper, passage: Passage) -> tuple[str, str, dict[str, Any]]:
    fields: dict[str, Any] = {
        "start": passage.start,
        "sentences": " ".join(f"{start}:{end}" for start, end in passage.sentences),
        **filter_fields(stored.paper),
    }
    if passage.number == 0:
        record = stored.paper.to_dict()
        if _assemble(stored.passages) == stored.paper.abstract:
            record.pop("abstract", None)
        fields["record"] = json.dumps(record, ensure_ascii=False)
    return row, passage.text, fields


def _restore(rows: Sequence[str], parts: Sequence[tuple[str, dict[str, Any]]]) -> StoredPaper:
    record = json.loads(parts[0][1]["record"])
    passages = tuple(
        Passage(
            record["id"], number, field["start"], field["start"] + len(text), text, _spans(field)
        )
        for number, (text, field) in enumerate(parts)
    )
    paper = Paper.from_dict({"abstract": _assemble(passages), **record})
    return StoredPaper(paper, passages, tuple(rows))


def _assemble(passages: Iterable[Passage]) -> str:
    """The abstract from its passages; a gap between two can only have been white space."""
    abstract = ""
    for passage in passages:
        abstract = abstract[: passage.start].ljust(passage.start) + passage.text
    return abstract


def _spans(field: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    pairs = (pair.split(":") for pair in field["sentences"].split())
    return tuple((int(start), int(end)) for start, end in pairs)
