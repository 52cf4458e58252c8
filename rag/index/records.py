"""Read paper records, passages and filter keys of an index from its SQLite file.

Every paper is valid from the generation that added it up to the last one before it was removed. A
reader asks for one generation, so what a writer stages stays invisible until the manifest names the
next one. A row is one passage. Its number is never used again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import textwrap
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.errors import CorpusError
from rag.index.keys import make_printable
from rag.index.manifest import damage_error, explain_failure
from rag.index.passages import Passage
from rag.papers import Paper
from rag.papers.paper import normalise_arxiv_id, normalise_doi, normalise_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rag.index.filter import Filter

VALID = "paper.added <= {0} AND (paper.removed IS NULL OR paper.removed > {0})"
_MOST_SUGGESTED = 5  # papers of a name that fits several
_BUSY_S = 60.0  # how long a reader waits for a commit, and a commit for readers


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
    """Reads the records of one data folder. Threads may share it."""

    def __init__(self, path: Path, generation: int) -> None:
        """Open the file.

        Args:
            path: of the SQLite file.
            generation: whose papers are read.

        Raises:
            IndexDamaged: the file is missing or is no database.
            DiskError: the disk cannot be read.
        """
        self._path = path
        self._valid = VALID.format(int(generation))
        self._local = threading.local()  # holds the connection of a snapshot
        self._opened: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._prepare()

    def _prepare(self) -> None:
        """Check that the file can be read."""
        if not self._path.exists():
            raise damage_error(self._path.parent.parent, f"{self._path.name} is missing")
        self._run("SELECT text FROM mark")

    def close(self) -> None:
        """Close the file."""
        while self._opened:
            self._opened.pop().close()

    @cached_property
    def _shared(self) -> sqlite3.Connection:
        """Connection of all reads outside a snapshot. SQLite lets threads share it."""
        return self._connect()

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = getattr(self._local, "connection", None) or self._shared
        return connection

    def _connect(self, mode: str = "") -> sqlite3.Connection:
        """Open a connection. Without a mode, a file that can be written is opened so.

        A reader must be able to undo a commit that a kill cut short.
        """
        mode = mode or ("rw" if os.access(self._path, os.W_OK) else "ro")
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        self._opened.append(connection)
        return connection

    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Run a statement. Return its rows.

        Raises:
            IndexDamaged: the file cannot be read.
            DiskError: the disk is full or read-only.
        """
        with self._map_errors():
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _map_errors(self) -> Iterator[None]:
        """Map errors of SQLite: a full or read-only disk is not a damaged index."""
        try:
            yield
        except sqlite3.Error as error:
            raise explain_failure(self._path, error) from error

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the file inside the block, whatever a writer commits meanwhile."""
        with self._map_errors():
            try:
                connection = self._idle.pop()
            except IndexError:  # as many snapshots at once as never before
                connection = self._connect()
            self._local.connection = connection
            try:
                connection.execute("BEGIN")
                self._run("SELECT text FROM mark")  # takes the lock
                yield
            finally:
                self._local.connection = None
                connection.rollback()  # nothing was written
                self._idle.append(connection)

    def count(self, where: Filter | None = None) -> int:
        """Return how many papers match a filter."""
        condition, values = self._match(where)
        return int(self._run(f"SELECT count(*) FROM paper WHERE {condition}", values)[0][0])

    def holds(self, where: Filter) -> bool:
        """Return whether any paper matches a filter."""
        condition, values = self._match(where)
        return bool(self._run(f"SELECT 1 FROM paper WHERE {condition} LIMIT 1", values))

    def count_papers(self, rows: Sequence[int], where: Filter | None) -> int:
        """Return how many papers that match a filter have one of the rows."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT count(DISTINCT passage.paper) FROM json_each(?) AS asked "
            "JOIN passage ON passage.row = asked.value "
            f"JOIN paper ON paper.number = passage.paper WHERE {condition}",
            (json.dumps(rows), *values),
        )
        return int(found[0][0])

    def iter_papers(
        self, where: Filter | None = None, limit: int | None = None, order: str = ""
    ) -> Iterator[Paper]:
        """Yield the first papers that match a filter, or all; see `Index.papers`."""
        condition, values = self._match(where)
        by = {"": "", "oldest": "year, ", "newest": "year DESC, "}[order]
        found = self._run(
            f"SELECT record FROM paper WHERE {condition} ORDER BY {by}position LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        for (record,) in found:
            yield parse_record(record)

    def select_rows(self, where: Filter) -> NDArray[np.int64]:
        """Return the rows of papers that match a filter, ascending, shape (rows,)."""
        condition, values = self._match(where)
        found = self._run(
            "SELECT row FROM passage WHERE paper IN "
            f"(SELECT number FROM paper WHERE {condition}) ORDER BY row",
            values,
        )
        return np.array([row for (row,) in found], dtype=np.int64)

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
        )
        return RowTable(*np.array(found, dtype=np.int64).reshape(-1, 5).T)

    def load_all_rows(self) -> RowTable:
        """Return all valid rows."""
        found = self._run(
            "SELECT row, paper, segment, offset, tokens FROM passage "
            f"JOIN paper ON paper.number = passage.paper WHERE {self._valid} ORDER BY row"
        )
        return RowTable(*np.array(found, dtype=np.int64).reshape(-1, 5).T)

    def load_ids(self, papers: Sequence[int]) -> dict[int, str]:
        """Return the id of each paper by its number."""
        found = self._run(
            "SELECT number, id FROM paper WHERE number IN (SELECT value FROM json_each(?))",
            (json.dumps(list(papers)),),
        )
        return dict(found)

    def load_papers(self, papers: Sequence[int]) -> list[StoredPaper]:
        """Return papers with their passages, in the order given."""
        wanted = json.dumps(list(papers))
        records = self._run(
            "SELECT number, record FROM paper WHERE number IN (SELECT value FROM json_each(?))",
            (wanted,),
        )
        passages: dict[int, list[tuple[Passage, int, Place]]] = {}
        known = {number: parse_record(record) for number, record in records}
        for fields in self._run(
            "SELECT * FROM passage WHERE paper IN (SELECT value FROM json_each(?)) "
            "ORDER BY paper, number",
            (wanted,),
        ):
            if fields[1] in known:
                passages.setdefault(fields[1], []).append(_parse_passage(known[fields[1]], fields))
        return [
            StoredPaper(known[number], *zip(*passages[number], strict=True)) for number in papers
        ]

    def load_placed(self, papers: Sequence[int]) -> list[tuple[Paper, int, int]]:
        """Return papers with their number and position, in the order of the library."""
        found = self._run(
            "SELECT record, number, position FROM paper WHERE number IN "
            "(SELECT value FROM json_each(?)) ORDER BY position",
            (json.dumps(list(papers)),),
        )
        return [(parse_record(record), number, position) for record, number, position in found]

    def find_papers(self, field: str, keys: Iterable[str]) -> list[int]:
        """Return the numbers of the valid papers that have one of the keys in a field."""
        found = self._run(
            "SELECT DISTINCT paper.number FROM key JOIN paper ON paper.number = key.paper "
            "WHERE key.field = ? AND key.key IN (SELECT value FROM json_each(?)) "
            f"AND {self._valid} ORDER BY paper.position",
            (field, json.dumps(list(keys))),
        )
        return [number for (number,) in found]

    def find_start(self, field: str, start: str) -> list[int]:
        """Return the numbers of the valid papers that have a key with this start in a field."""
        found = self._run(
            "SELECT DISTINCT paper.number FROM key JOIN paper ON paper.number = key.paper "
            "WHERE key.field = ? AND key.key >= ? AND key.key < ? "
            f"AND {self._valid} ORDER BY paper.position",
            (field, start, start + "\U0010ffff"),
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
            name for name, sql in asked.items() if self._run(f"{sql} AND {self._valid} LIMIT 1")
        )

    def resolve_id(self, name: str) -> str:
        """Resolve an id, alias, DOI, arXiv id, citation key, id prefix or words of a title.

        The first of these that any paper has decides.

        Raises:
            CorpusError: no paper matches, or several do.
        """
        name = make_printable(name).strip()
        if not name:
            raise CorpusError("The paper id is empty. Give an id that `rag papers list` shows.")
        if self.find_papers("id", [name]):
            return name
        spelled = (f"doi:{normalise_doi(name)}", f"arxiv:{normalise_arxiv_id(name)}")
        found = (
            self.find_papers("id", spelled)
            or self.find_papers("citation_key", [name.casefold()])
            or self._find_prefix(name)
            or self.find_papers("title", [normalise_title(name)])
            or self._find_title_words(name)
        )
        ids = self.load_ids(found)
        if len(ids) == 1:
            return ids[found[0]]
        raise CorpusError(self._explain_ambiguity(name, found))

    def _find_prefix(self, name: str) -> list[int]:
        """Return the papers whose ids begin so. `rag papers list` cuts ids with an ellipsis."""
        return self.find_start("prefix", name.removesuffix("…").casefold())

    def _find_title_words(self, name: str) -> list[int]:
        """Return the papers whose titles have words that begin with all of these words."""
        words = normalise_title(name).split()
        starts = [f" {word}" if word.isascii() else word for word in words]  # Chinese has no spaces
        has_all = " AND ".join(["instr(' ' || key.key, ?)"] * len(starts))
        found = self._run(
            "SELECT paper.number FROM key JOIN paper ON paper.number = key.paper "
            f"WHERE key.field = 'title' AND {has_all or 0} AND {self._valid} "
            "ORDER BY paper.position",
            starts,
        )
        return [number for (number,) in found]

    def _explain_ambiguity(self, name: str, numbers: Sequence[int]) -> str:
        """Return why a name does not stand for one paper, with the first papers that fit."""
        if not numbers:
            return (
                f"No paper has the id, DOI, citation key or title words {name!r:.80}. "
                "`rag papers list` shows the ids."
            )
        papers = self.load_placed(numbers[:_MOST_SUGGESTED])
        shown = ", ".join(
            f"{paper.id} ({textwrap.shorten(paper.title, 50, placeholder='…')})"
            for paper, *_ in papers
        )
        more = f" and {len(numbers) - len(papers)} more" if len(numbers) > len(papers) else ""
        return f"{name!r:.80} fits {len(numbers)} papers. Give the id of one: {shown}{more}."

    def list_rows(self, papers: Sequence[int]) -> list[int]:
        """Return the rows of papers."""
        found = self._run(
            "SELECT row FROM passage WHERE paper IN (SELECT value FROM json_each(?)) ORDER BY row",
            (json.dumps(list(papers)),),
        )
        return [row for (row,) in found]

    def measure_segments(self) -> dict[int, tuple[int, int]]:
        """Return the number of rows and tokens in use of each segment."""
        found = self._run("SELECT number, rows, tokens FROM segment ORDER BY number")
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
                )
        return ends

    def _match(self, where: Filter | None) -> tuple[str, list[object]]:
        if where is None:
            return self._valid, []
        condition, values = where.to_sql()
        return f"{self._valid} AND {condition}", values


def parse_record(record: str) -> Paper:
    """Return the paper of a stored record."""
    return Paper.from_dict(json.loads(record))


def _parse_passage(
    paper: Paper, fields: tuple[int, int, int, int, int, str, int, int, int, str]
) -> tuple[Passage, int, Place]:
    row, _, number, start, end, sentences, segment, offset, tokens, starts = fields
    spans = tuple((first, last) for first, last in json.loads(sentences))
    passage = Passage(paper.id, number, start, end, paper.abstract[start:end], spans)
    return passage, row, Place(segment, offset, tokens, tuple(json.loads(starts)))
