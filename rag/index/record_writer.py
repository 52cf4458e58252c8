"""Write paper records, passages and filter keys of an index into its SQLite file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

from rag.index.keys import make_keys
from rag.index.records import VALID, Records, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rag.index.passages import Passage
    from rag.index.records import Place
    from rag.papers import Paper

_LAYOUT = """
CREATE TABLE paper (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, hash TEXT NOT NULL,
    position INTEGER, year INTEGER, record TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER
);
CREATE INDEX paper_year ON paper (year, added, removed);
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
_KEYS_AT_ONCE = 20_000  # papers whose keys are written in one transaction
# In kibibytes: a transaction that fits in it keeps readers out only while it commits.
_CACHE = -65_536


class RecordWriter(Records):
    """Reads the valid generation and writes the next one. The caller holds the writer lock."""

    def _prepare(self) -> None:
        """Create the file if it is missing."""
        with self._map_errors():
            if not self._run("SELECT name FROM sqlite_master LIMIT 1"):
                self._connection.executescript(f"BEGIN; {_LAYOUT} COMMIT;")
        super()._prepare()

    def _connect(self, mode: str = "rwc") -> sqlite3.Connection:
        connection = super()._connect(mode)
        connection.execute(f"PRAGMA cache_size = {_CACHE}")
        return connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Commit the block as one transaction, or nothing of it."""
        with self._map_errors():
            self._run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            self._run("COMMIT")

    def read_mark(self) -> str:
        """Return the mark of the staged rows, "" if none was written."""
        return "".join(text for (text,) in self._run("SELECT text FROM mark"))

    def write_mark(self, mark: str) -> None:
        """Note how the staged rows are made: a run with another mark must not use them."""
        with self.writing():
            self._run("DELETE FROM mark")
            self._run("INSERT INTO mark VALUES (?)", (mark,))

    def list_staged(self, generation: int) -> dict[tuple[str, str], int]:
        """Return the numbers of the papers that a generation adds, by id and content hash."""
        found = self._run("SELECT id, hash, number FROM paper WHERE added = ?", (generation,))
        return {(identity, digest): number for identity, digest, number in found}

    def stage(
        self,
        papers: Iterable[tuple[Paper, Sequence[Passage], Sequence[Place]]],
        generation: int,
    ) -> None:
        """Write papers that a generation will add, as one transaction."""
        with self.writing():
            for paper, passages, places in papers:
                ((number,),) = self._run(
                    "INSERT INTO paper (id, hash, year, record, added) VALUES (?, ?, ?, ?, ?) "
                    "RETURNING number",
                    (
                        paper.id,
                        paper.content_hash,
                        paper.year,
                        json.dumps(paper.to_dict()),
                        generation,
                    ),
                )
                self._run("UPDATE paper SET position = number WHERE number = ?", (number,))
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
            with self.writing():
                records = self._connection.execute(
                    "SELECT number, record FROM paper WHERE added = ? AND number BETWEEN ? AND ?",
                    (generation, block[0], block[-1]),
                )
                # in the order of the index, so that each of its pages is written once
                keys = sorted(
                    (field, key, number)
                    for number, record in records
                    for field, key in make_keys(parse_record(record))
                )
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
            self._run(
                "UPDATE paper SET position = number WHERE added = ? AND position != number",
                (generation,),
            )
            self._connection.executemany(
                "UPDATE paper SET position = ? WHERE number = ?", list(positions)
            )

    def list_all(self, generation: int) -> list[int]:
        """Return the numbers of all papers that a generation has."""
        found = self._run(f"SELECT number FROM paper WHERE {VALID.format(int(generation))}")
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
        )
        keys = [
            (field, key, number)
            for number, record in records
            for field, key in make_keys(parse_record(record))
        ]
        numbers = [(number,) for number in papers]
        with self.writing():
            self._connection.executemany(
                "DELETE FROM key WHERE field = ? AND key = ? AND paper = ?", keys
            )
            self._connection.executemany("DELETE FROM passage WHERE paper = ?", numbers)
            self._connection.executemany("DELETE FROM paper WHERE number = ?", numbers)

    def list_places(self, segments: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """Return (row, segment, offset, tokens) of all rows in segments, in file order."""
        return self._run(
            "SELECT row, segment, offset, tokens FROM passage WHERE segment IN "
            "(SELECT value FROM json_each(?)) ORDER BY segment, offset",
            (json.dumps(list(segments)),),
        )

    def move_rows(self, places: Iterable[tuple[int, int, int]]) -> None:
        """Set (segment, offset) of rows: tuples of segment, offset and row."""
        with self.writing():
            self._connection.executemany(
                "UPDATE passage SET segment = ?, offset = ? WHERE row = ?", list(places)
            )
