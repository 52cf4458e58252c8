"""Paper records, passages and filter keys of an index, in one SQLite file.

Every paper is valid from the generation that added it up to the last one before it was removed. A
reader asks for one generation, so what a writer stages stays invisible until the manifest names the
next one. A row is one passage. Its number is never used again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index.keys import make_keys, make_printable, resolve_prefix
from rag.index.manifest import damage_error, explain_failure
from rag.index.passages import Passage
from rag.papers import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.index.filter import Filter

_LAYOUT = """
CREATE TABLE paper (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, hash TEXT NOT NULL,
    position INTEGER, year INTEGER, record TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER
);
CREATE INDEX paper_year ON paper (year);
CREATE INDEX paper_position ON paper (position);
CREATE INDEX paper_valid ON paper (added, removed);
CREATE INDEX paper_removed ON paper (removed) WHERE removed IS NOT NULL;
CREATE TABLE passage (
    row INTEGER PRIMARY KEY AUTOINCREMENT, paper INTEGER NOT NULL, number INTEGER NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, sentences TEXT NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, tokens INTEGER NOT NULL, starts TEXT NOT NULL
);
CREATE INDEX passage_paper ON passage (paper, number);
CREATE INDEX passage_segment ON passage (segment, offset);
CREATE TABLE key (
    field TEXT, key TEXT, paper INTEGER, PRIMARY KEY (field, key, paper)
) WITHOUT ROWID;
CREATE TABLE segment (number INTEGER PRIMARY KEY, rows INTEGER, tokens INTEGER);
CREATE TRIGGER row_added AFTER INSERT ON passage BEGIN
    INSERT INTO segment VALUES (new.segment, 1, new.tokens) ON CONFLICT (number) DO UPDATE
    SET rows = rows + 1, tokens = tokens + new.tokens;
END;
CREATE TRIGGER row_moved AFTER UPDATE OF segment ON passage BEGIN
    UPDATE segment SET rows = rows - 1, tokens = tokens - old.tokens WHERE number = old.segment;
    INSERT INTO segment VALUES (new.segment, 1, new.tokens) ON CONFLICT (number) DO UPDATE
    SET rows = rows + 1, tokens = tokens + new.tokens;
END;
CREATE TRIGGER row_deleted AFTER DELETE ON passage BEGIN
    UPDATE segment SET rows = rows - 1, tokens = tokens - old.tokens WHERE number = old.segment;
END;
CREATE TABLE mark (text TEXT NOT NULL);
"""
_VALID = "paper.added <= {0} AND (paper.removed IS NULL OR paper.removed > {0})"
_BUSY_S = 60.0  # how long a reader waits for a commit, and a commit for readers
_KEYS_AT_ONCE = 20_000  # papers whose keys are written in one transaction


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vectors of a row are.

    Attributes:
        segment: number of the segment.
        offset: of the row's record in the segment, in bytes.
        tokens: number of stored tokens; 0 if the embedder gives none.
        starts: index of the first token of each sentence. Tokens before it are the title's.
    """

    segment: int
    offset: int
    tokens: int
    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredPaper:
    """Paper with its passages, and the row number and place of each."""

    paper: Paper
    passages: tuple[Passage, ...]
    rows: tuple[int, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows of some papers, in columns of shape (rows,), int64; rows of one paper are adjacent."""

    row: NDArray[np.int64]
    paper: NDArray[np.int64]
    segment: NDArray[np.int64]
    offset: NDArray[np.int64]
    tokens: NDArray[np.int64]


class Records:
    """Reads and writes the records of one data folder. Threads may share it."""

    def __init__(self, path: Path, generation: int, *, create: bool = False) -> None:
        """Open the file.

        Args:
            path: of the SQLite file.
            generation: whose papers are read.
            create: create the file if it is missing.

        Raises:
            IndexDamaged: the file is missing or is no database.
            DiskError: the disk is full or read-only.
        """
        self._path = path
        self._valid = _VALID.format(int(generation))
        # a reader must be able to undo a commit that a kill cut short
        self._mode = "rwc" if create else "rw" if os.access(path, os.W_OK) else "ro"
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        with self.map_errors():
            if create and not self._run("SELECT name FROM sqlite_master LIMIT 1").fetchall():
                self._connection.executescript(f"BEGIN; {_LAYOUT} COMMIT;")
            self._run("SELECT text FROM mark").fetchall()

    def close(self) -> None:
        """Close the file in every thread."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    @property
    def _connection(self) -> sqlite3.Connection:
        """Connection of this thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._mode != "rwc" and not self._path.exists():
                raise damage_error(self._path.parent.parent, f"{self._path.name} is missing")
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={self._mode}",
                uri=True,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    def _run(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    @contextlib.contextmanager
    def map_errors(self) -> Iterator[None]:
        """Map errors of SQLite: a full or read-only disk is not a damaged index."""
        try:
            yield
        except sqlite3.Error as error:
            raise explain_failure(self._path, error) from error

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the file inside the block, whatever a writer commits meanwhile."""
        with self.map_errors():
            self._run("BEGIN")
            try:
                self._run("SELECT text FROM mark").fetchall()  # takes the lock
                yield
            finally:
                self._run("ROLLBACK")  # nothing was written

    # --- Reading ------------------------------------------------------------------------------

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers match a filter."""
        condition, values = self._match(where)
        return int(self._run(f"SELECT count(*) FROM paper WHERE {condition}", values).fetchone()[0])

    def holds(self, where: Filter) -> bool:
        """Return whether any paper matches a filter."""
        condition, values = self._match(where)
        found = self._run(f"SELECT 1 FROM paper WHERE {condition} LIMIT 1", values)
        return found.fetchone() is not None

    def count_papers(self, rows: Sequence[int], where: Filter | None) -> int:
        """Return how many papers that match a filter have one of the rows."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT count(DISTINCT passage.paper) FROM json_each(?) AS asked "
            "JOIN passage ON passage.row = asked.value "
            f"JOIN paper ON paper.number = passage.paper WHERE {condition}",
            (json.dumps(rows), *values),
        )
        return int(found.fetchone()[0])

    def iter_papers(self, where: Filter | None = None, limit: int | None = None) -> Iterator[Paper]:
        """Yield the first papers that match a filter, or all, in the order of the library."""
        condition, values = self._match(where)
        found = self._run(
            f"SELECT record FROM paper WHERE {condition} ORDER BY position LIMIT ?",
            (*values, -1 if limit is None else limit),
        ).fetchall()
        for (record,) in found:
            yield _parse_record(record)

    def select_rows(self, where: Filter, limit: int) -> NDArray[np.int64] | None:
        """Return the rows that match a filter, ascending; None if they are more than `limit`."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT row FROM passage WHERE paper IN "
            f"(SELECT number FROM paper WHERE {condition} LIMIT {limit + 1}) LIMIT {limit + 1}",
            values,
        ).fetchall()
        if len(found) > limit:
            return None
        return np.sort(np.array([row for (row,) in found], dtype=np.int64))

    def filter_rows(self, rows: Sequence[int], where: Filter | None) -> set[int]:
        """Return those of the rows that are valid and match a filter."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT passage.row FROM json_each(?) AS asked "
            "JOIN passage ON passage.row = asked.value "
            f"JOIN paper ON paper.number = passage.paper WHERE {condition}",
            (json.dumps(list(rows)), *values),
        )
        return {row for (row,) in found}

    def filter_papers(self, papers: Sequence[int], where: Filter) -> set[int]:
        """Return those of the papers that are valid and match a filter."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT number FROM paper WHERE number IN (SELECT value FROM json_each(?)) "
            f"AND {condition}",
            (json.dumps(list(papers)), *values),
        )
        return {number for (number,) in found}

    def load_rows(self, rows: Sequence[int]) -> RowTable:
        """Return all rows of the papers that these rows belong to, in row order by paper."""
        found = self._run(
            "SELECT row, paper, segment, offset, tokens FROM passage WHERE paper IN "
            "(SELECT paper FROM passage WHERE row IN (SELECT value FROM json_each(?))) "
            "ORDER BY paper, number",
            (json.dumps(list(rows)),),
        ).fetchall()
        return RowTable(*np.array(found, dtype=np.int64).reshape(-1, 5).T)

    def load_all_rows(self) -> RowTable:
        """Return all valid rows."""
        found = self._run(
            "SELECT row, paper, segment, offset, tokens FROM passage "
            f"JOIN paper ON paper.number = passage.paper WHERE {self._valid} ORDER BY row"
        ).fetchall()
        return RowTable(*np.array(found, dtype=np.int64).reshape(-1, 5).T)

    def load_ids(self, papers: Sequence[int]) -> dict[int, str]:
        """Return the id of each paper by its number."""
        found = self._run(
            "SELECT number, id FROM paper WHERE number IN (SELECT value FROM json_each(?))",
            (json.dumps(list(papers)),),
        )
        return dict(found.fetchall())

    def load_papers(self, papers: Sequence[int]) -> dict[int, StoredPaper]:
        """Return papers with their passages by number."""
        wanted = json.dumps(list(papers))
        records = self._run(
            "SELECT number, record FROM paper WHERE number IN (SELECT value FROM json_each(?))",
            (wanted,),
        ).fetchall()
        passages: dict[int, list[tuple[Passage, int, Place]]] = {}
        known = {number: _parse_record(record) for number, record in records}
        for fields in self._run(
            "SELECT * FROM passage WHERE paper IN (SELECT value FROM json_each(?)) "
            "ORDER BY paper, number",
            (wanted,),
        ):
            if fields[1] in known:
                passages.setdefault(fields[1], []).append(_parse_passage(known[fields[1]], fields))
        return {
            number: StoredPaper(paper, *zip(*passages[number], strict=True))
            for number, paper in known.items()
        }

    def find_papers(self, field: str, keys: Iterable[str]) -> list[int]:
        """Return the numbers of the valid papers that have one of the keys in a field."""
        found = self._run(
            "SELECT DISTINCT paper.number FROM key JOIN paper ON paper.number = key.paper "
            "WHERE key.field = ? AND key.key IN (SELECT value FROM json_each(?)) "
            f"AND {self._valid} ORDER BY paper.position",
            (field, json.dumps(list(keys))),
        )
        return [number for (number,) in found]

    def list_fields(self) -> frozenset[str]:
        """Return which of years, authors and venues any paper has."""
        asked = {
            "years": "SELECT 1 FROM paper WHERE year BETWEEN -9999 AND 9999",
            "authors": "SELECT 1 FROM key JOIN paper ON number = paper WHERE field = 'author'",
            "venues": "SELECT 1 FROM key JOIN paper ON number = paper WHERE field = 'venue'",
        }
        return frozenset(
            name
            for name, sql in asked.items()
            if self._run(f"{sql} AND {self._valid} LIMIT 1").fetchone()
        )

    def resolve_id(self, prefix: str) -> str:
        """Resolve an id, an alias or an unambiguous prefix of an id.

        Raises:
            CorpusError: no paper matches, or several do.
        """
        prefix = make_printable(prefix)
        if prefix.strip() and self.find_papers("id", [prefix]):
            return prefix
        folded = prefix.strip().casefold()
        found = self._run(
            "SELECT paper.id FROM key JOIN paper ON paper.number = key.paper "
            "WHERE key.field = 'prefix' AND key.key >= ? AND key.key < ? "
            f"AND {self._valid} LIMIT 1000",
            (folded, folded + "\U0010ffff"),
        )
        return resolve_prefix(prefix, [each for (each,) in found])

    def _match(self, where: Filter | None) -> tuple[str, list[object]]:
        if where is None:
            return self._valid, []
        condition, values = where.to_sql()
        return f"{self._valid} AND {condition}", values

    # --- Writing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Commit the block as one transaction, or nothing of it."""
        with self.map_errors():
            self._run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._run("ROLLBACK")
                raise
            self._run("COMMIT")

    def read_mark(self) -> str:
        """Return the mark of the staged rows, "" if none was written."""
        found = self._run("SELECT text FROM mark").fetchone()
        return found[0] if found else ""

    def write_mark(self, mark: str) -> None:
        """Note how the staged rows are made: a run with another mark must not use them."""
        with self.writing():
            self._run("DELETE FROM mark")
            self._run("INSERT INTO mark VALUES (?)", (mark,))

    def list_staged(self, generation: int) -> dict[tuple[str, str], int]:
        """Return the numbers of the papers that a generation adds, by id and content hash."""
        found = self._run("SELECT id, hash, number FROM paper WHERE added = ?", (generation,))
        return {(identity, digest): number for identity, digest, number in found}

    def load_placed(self, papers: Sequence[int]) -> list[tuple[Paper, int, int]]:
        """Return papers with their number and position, in the order of the library."""
        found = self._run(
            "SELECT record, number, position FROM paper WHERE number IN "
            "(SELECT value FROM json_each(?)) ORDER BY position",
            (json.dumps(list(papers)),),
        )
        return [(_parse_record(record), number, position) for record, number, position in found]

    def stage(
        self,
        papers: Iterable[tuple[Paper, Sequence[Passage], Sequence[Place]]],
        generation: int,
    ) -> None:
        """Write papers that a generation will add, as one transaction."""
        with self.writing():
            for paper, passages, places in papers:
                number = self._run(
                    "INSERT INTO paper (id, hash, year, record, added) VALUES (?, ?, ?, ?, ?)",
                    (
                        paper.id,
                        paper.content_hash,
                        paper.year,
                        json.dumps(paper.to_dict()),
                        generation,
                    ),
                ).lastrowid
                self._connection.executemany(
                    "INSERT INTO passage (paper, number, start, end, sentences, segment, offset, "
                    "tokens, starts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            number,
                            passage.number,
                            passage.start,
                            passage.end,
                            json.dumps(passage.sentences),
                            place.segment,
                            place.offset,
                            place.tokens,
                            json.dumps(place.starts),
                        )
                        for passage, place in zip(passages, places, strict=True)
                    ],
                )

    def write_keys(self, generation: int) -> None:
        """Write the filter keys of the papers that a generation adds."""
        numbers = [
            n for (n,) in self._run("SELECT number FROM paper WHERE added = ?", (generation,))
        ]
        for first in range(0, len(numbers), _KEYS_AT_ONCE):
            block = numbers[first : first + _KEYS_AT_ONCE]
            records = self._run(
                "SELECT number, record FROM paper WHERE added = ? AND number BETWEEN ? AND ?",
                (generation, block[0], block[-1]),
            )
            # in the order of the index, so that each of its pages is written once
            keys = sorted(
                (field, key, number)
                for number, record in records
                for field, key in make_keys(_parse_record(record))
            )
            with self.writing():
                self._connection.executemany("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", keys)

    def finish(
        self, generation: int, removed: Iterable[int], positions: Iterable[tuple[int, int]]
    ) -> None:
        """Set the positions of added papers, and mark papers that a generation removes.

        Args:
            generation: the one being written.
            removed: numbers of papers that it no longer has.
            positions: (position, number) of added papers that take another's place.
        """
        with self.writing():
            self._run("UPDATE paper SET removed = NULL WHERE removed = ?", (generation,))
            self._connection.executemany(
                "UPDATE paper SET removed = ? WHERE number = ?",
                [(generation, number) for number in removed],
            )
            self._run("UPDATE paper SET position = number WHERE added = ?", (generation,))
            self._connection.executemany(
                "UPDATE paper SET position = ? WHERE number = ?", list(positions)
            )

    def list_rows(self, papers: Sequence[int]) -> list[int]:
        """Return the rows of papers."""
        found = self._run(
            "SELECT row FROM passage WHERE paper IN (SELECT value FROM json_each(?)) ORDER BY row",
            (json.dumps(list(papers)),),
        )
        return [row for (row,) in found]

    def list_all(self, generation: int) -> list[int]:
        """Return the numbers of all papers that a generation has."""
        found = self._run(f"SELECT number FROM paper WHERE {_VALID.format(int(generation))}")
        return [number for (number,) in found]

    def list_removed(self, generation: int) -> list[int]:
        """Return the papers that are valid neither in a generation nor later."""
        found = self._run("SELECT number FROM paper WHERE removed <= ?", (generation,))
        return [number for (number,) in found]

    def delete(self, papers: Sequence[int]) -> None:
        """Delete papers with their passages and keys."""
        records = self._run(
            "SELECT number, record FROM paper WHERE number IN (SELECT value FROM json_each(?))",
            (json.dumps(list(papers)),),
        ).fetchall()
        keys = [
            (field, key, number)
            for number, record in records
            for field, key in make_keys(_parse_record(record))
        ]
        numbers = [(number,) for number in papers]
        with self.writing():
            self._connection.executemany(
                "DELETE FROM key WHERE field = ? AND key = ? AND paper = ?", keys
            )
            self._connection.executemany("DELETE FROM passage WHERE paper = ?", numbers)
            self._connection.executemany("DELETE FROM paper WHERE number = ?", numbers)

    def measure_segments(self) -> dict[int, tuple[int, int]]:
        """Return the number of rows and tokens in use of each segment."""
        found = self._run("SELECT number, rows, tokens FROM segment ORDER BY number").fetchall()
        return {number: (rows, tokens) for number, rows, tokens in found}

    def list_segment_ends(self) -> list[tuple[int, int, int]]:
        """Return (segment, offset, tokens) of the last record in use of each segment."""
        ends = []
        for number, (rows, _) in self.measure_segments().items():
            if rows:
                ends += self._run(
                    "SELECT segment, offset, tokens FROM passage WHERE segment = ? "
                    "ORDER BY offset DESC LIMIT 1",
                    (number,),
                ).fetchall()
        return ends

    def list_places(self, segments: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """Return (row, segment, offset, tokens) of all rows in segments, in file order."""
        return self._run(
            "SELECT row, segment, offset, tokens FROM passage WHERE segment IN "
            "(SELECT value FROM json_each(?)) ORDER BY segment, offset",
            (json.dumps(list(segments)),),
        ).fetchall()

    def move_rows(self, places: Iterable[tuple[int, int, int]]) -> None:
        """Set (segment, offset) of rows: tuples of segment, offset and row."""
        with self.writing():
            self._connection.executemany(
                "UPDATE passage SET segment = ?, offset = ? WHERE row = ?", list(places)
            )


def _parse_record(record: str) -> Paper:
    return Paper.from_dict(json.loads(record))


def _parse_passage(
    paper: Paper, fields: tuple[int, int, int, int, int, str, int, int, int, str]
) -> tuple[Passage, int, Place]:
    row, _, number, start, end, sentences, segment, offset, tokens, starts = fields
    spans = tuple((first, last) for first, last in json.loads(sentences))
    passage = Passage(paper.id, number, start, end, paper.abstract[start:end], spans)
    return passage, row, Place(segment, offset, tokens, tuple(json.loads(starts)))
