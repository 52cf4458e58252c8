"""The lexical index: BM25 over stemmed words, by bm25s.

Built anew for each generation, in a folder of its own, together with the list of row ids that the
generation vouches for: document i of the lexical index is row i of that list.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.index.manifest import damage_error, map_disk_errors
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class LexicalIndex:
    """BM25 scores of rows for the words of a question."""

    def __init__(self, rows: Sequence[str], titles: Sequence[str], scorer: Any) -> None:
        """Wraps a bm25s scorer; None stands for a library without a single word."""
        self.rows = tuple(rows)
        self.titles = tuple(titles)
        self._scorer = scorer

    @classmethod
    def build(
        cls, rows: Sequence[str], titles: Sequence[str], texts: Sequence[str]
    ) -> LexicalIndex:
        """Indexes the text of each row; `titles` has one entry a paper, kept beside the rows."""
        import bm25s

        terms = [lexical_terms(text) for text in texts]
        if not any(terms):
            return cls(rows, titles, None)
        scorer = bm25s.BM25()
        scorer.index(terms, show_progress=False)
        return cls(rows, titles, scorer)

    @classmethod
    def load(cls, folder: Path, generation: int, rows_sha256: str) -> LexicalIndex:
        """Reads the lexical index of a generation.

        Raises:
            IndexDamaged: a file is missing or the row list is not the manifest's.
        """
        import bm25s

        place = folder / str(generation)
        try:
            content = (place / "rows.json").read_bytes()
            if hashlib.sha256(content).hexdigest() != rows_sha256:
                raise damage_error(folder.parent, "the row list is not the manifest's")
            listed = json.loads(content)
            has_words = (place / "params.index.json").exists()
            scorer = bm25s.BM25.load(place, mmap=True) if has_words else None
        except (OSError, ValueError, KeyError) as error:
            raise damage_error(folder.parent, f"{error}") from error
        return cls(listed["rows"], listed["titles"], scorer)

    def save(self, folder: Path, generation: int) -> str:
        """Writes the files of a generation and returns the digest of its row list."""
        place = folder / str(generation)
        listed = {"rows": self.rows, "titles": self.titles}
        content = json.dumps(listed, ensure_ascii=False).encode()
        with map_disk_errors(folder):
            shutil.rmtree(place, ignore_errors=True)  # what an interrupted run left
            place.mkdir(parents=True)
            (place / "rows.json").write_bytes(content)
            if self._scorer is not None:
                self._scorer.save(place, show_progress=False)
        return hashlib.sha256(content).hexdigest()

    def scores(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """BM25 of every row, shape (rows,), higher is better, 0 where no term occurs."""
        if self._scorer is None or not terms:
            return np.zeros(len(self.rows), dtype=np.float32)
        return np.asarray(self._scorer.get_scores(list(terms)), dtype=np.float32)

    def coverage(self, terms: Sequence[str]) -> NDArray[np.float64]:
        """Share of the terms' idf that each row's words carry, in [0, 1], shape (rows,)."""
        several = list(dict.fromkeys(terms))
        covered = np.zeros(len(self.rows))
        if several:
            idf = self.term_idf(several)
            for term, share in zip(several, (idf / idf.sum()).tolist(), strict=True):
                covered += share * (self.scores([term]) > 0)
        return covered

    def term_idf(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Rarity of each term among the rows, shape (terms,), positive; unknown terms are rarest.

        Source: Robertson and Zaragoza 2009, with Lucene's + 1 inside the logarithm.
        """
        held = np.array([self._rows_with(term) for term in terms], dtype=np.float64)
        return np.log1p((len(self.rows) - held + 0.5) / (held + 0.5)).astype(np.float32)

    def _rows_with(self, term: str) -> int:
        if self._scorer is None or term not in self._scorer.vocab_dict:
            return 0
        column = self._scorer.vocab_dict[term]
        pointer = self._scorer.scores["indptr"]
        return int(pointer[column + 1] - pointer[column])


def remove_stale(folder: Path, generation: int) -> None:
    """Deletes the files of every other generation."""
    with map_disk_errors(folder):
        for place in folder.iterdir():
            if place.name != str(generation):
                shutil.rmtree(place)


def highest_generation(folder: Path) -> int:
    """Of the generations whose files lie in a folder; 0 where there are none."""
    names = [path.name for path in folder.glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)
