"""Lexical index: BM25 over stemmed words, by tantivy.

It keeps words in segments of its own and merges them as it grows. Rows that a killed update left
stay in it until a later update deletes them, so callers drop rows that are not valid.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tantivy

from rag.index.manifest import explain_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_HEAP_BYTES = 64_000_000


class LexicalIndex:
    """Scores rows by BM25 for the words of a question. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Open the words of an index.

        Raises:
            IndexDamaged: files are missing or unreadable.
            DiskError: the disk cannot be read.
        """
        self._folder = folder
        self._links: tempfile.TemporaryDirectory[str] | None = None
        with _map_errors(folder):
            self._index = tantivy.Index.open(str(self._make_readable(folder)))
            self._searcher = self._index.searcher()
        self._schema = _make_schema()

    @property
    def row_count(self) -> int:
        """Number of rows, including those that are not valid."""
        return int(self._searcher.num_docs)

    def close(self) -> None:
        """Close the files."""
        if self._links:
            self._links.cleanup()

    def search(
        self, terms: Sequence[str], limit: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the best rows for the terms, and their BM25; higher is better, above 0.

        Args:
            terms: a term that occurs twice counts twice.
            limit: most rows to return.
            rows: score only these; None scores all.
        """
        query = self._make_query(terms, rows)
        if query is None or limit < 1:
            return np.zeros(0, np.int64), np.zeros(0)
        hits = self._searcher.search(query, limit=limit, count=False).hits
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        return np.array(found, dtype=np.int64), np.array([score for score, _ in hits])

    def find_all(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Return every row that holds all the terms, in no order. No terms give no rows."""
        must = tantivy.Occur.Must
        query = tantivy.Query.boolean_query([(must, self._match(term)) for term in set(terms)])
        limit = max(1, self.row_count)
        hits = self._searcher.search(query, limit=limit, count=False).hits
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        return np.array(found, dtype=np.int64)

    def count_rows(self, term: str) -> int:
        """Return how many rows hold a term, including those that are not valid."""
        return int(self._searcher.doc_freq("words", term))

    def compute_idf(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Return the idf of each term, shape (terms,), positive; highest for an unknown term.

        Source: Robertson and Zaragoza 2009, with Lucene's + 1 inside the logarithm.
        """
        held = np.array([self._searcher.doc_freq("words", term) for term in terms], dtype=float)
        held = np.minimum(held, self.row_count)
        idf: NDArray[np.float32] = np.log1p((self.row_count - held + 0.5) / (held + 0.5))
        return idf.astype(np.float32)

    def _make_query(
        self, terms: Sequence[str], rows: NDArray[np.int64] | None
    ) -> tantivy.Query | None:
        if not terms or (rows is not None and not len(rows)):
            return None
        wanted = tantivy.Query.boolean_query(
            [(tantivy.Occur.Should, self._match(term)) for term in terms]
        )
        if rows is None:
            return wanted
        among = tantivy.Query.term_set_query(self._schema, "row", rows.tolist())
        free = tantivy.Query.const_score_query(among, 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, free)]
        )

    def _match(self, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "words", term, index_option="freq")

    def _make_readable(self, folder: Path) -> Path:
        """Return the folder, or where it is read-only a folder of links to its files.

        tantivy locks a file even to read.
        """
        if os.access(folder, os.W_OK) or not folder.is_dir():
            return folder
        self._links = tempfile.TemporaryDirectory(prefix="papertrail-words-")
        for path in folder.iterdir():
            if not path.name.endswith(".lock"):
                (Path(self._links.name) / path.name).symlink_to(path.absolute())
        return Path(self._links.name)


def update_words(
    folder: Path,
    rows: Iterable[tuple[int, Sequence[str]]],
    removed: Sequence[int],
    *,
    create: bool = False,
) -> None:
    """Delete rows, then write the terms of rows.

    Args:
        folder: of the words.
        rows: numbers with terms. Those that a killed update may have written are among `removed`.
        removed: numbers of rows to delete.
        create: begin without words if there are none.

    Raises:
        IndexDamaged: files are missing or unreadable.
        DiskError: the disk is full or read-only.
    """
    with _map_errors(folder, writing=True):
        if create:
            folder.mkdir(parents=True, exist_ok=True)
            index = tantivy.Index(_make_schema(), str(folder), reuse=True)
        else:
            index = tantivy.Index.open(str(folder))
        index.reload()
        writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        # `delete_documents_by_term` takes a number as signed, which matches no row
        gone = tantivy.Query.term_set_query(_make_schema(), "row", list(removed))
        writer.delete_documents_by_query(gone)
        for row, terms in rows:
            document = tantivy.Document()
            document.add_unsigned("row", row)
            document.add_text("words", " ".join(terms))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()


def _make_schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    return builder.build()


@contextlib.contextmanager
def _map_errors(folder: Path, *, writing: bool = False) -> Iterator[None]:
    """Map errors of tantivy."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise explain_failure(folder, error, writing=writing) from error
