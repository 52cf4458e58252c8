"""Lexical index: BM25 over stemmed words, by bm25s.

Each generation has its own, in its own folder, with the list of valid row ids. Document i of the
lexical index is row i of that list.
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
    """Scores rows by BM25 for the words of a question."""

    def __init__(self, rows: Sequence[str], titles: Sequence[str], scorer: Any) -> None:
        """Wrap a bm25s scorer, or None for a library without a single word."""
        self.rows = tuple(rows)
        self.titles = tuple(titles)
        self._scorer = scorer

    @classmethod
    def build(
        cls, rows: Sequence[str], titles: Sequence[str], texts: Sequence[str]
    ) -> LexicalIndex:
        """Index the text of each row. `titles` has one entry per paper."""
        import bm25s

        terms = [lexical_terms(text) for text in texts]
        if not any(terms):
            return cls(rows, titles, None)
        scorer = bm25s.BM25()
        scorer.index(terms, show_progress=False)
        return cls(rows, titles, scorer)

    @classmethod
    def load(cls, folder: Path, generation: int, rows_sha256: str) -> LexicalIndex:
        """Load the lexical index of a generation.

        Raises:
            IndexDamaged: a file is missing, or the row list does not match the manifest.
        """
        import bm25s

        place = folder / str(generation)
        try:
            content = (place / "rows.json").read_bytes()
            if hashlib.sha256(content).hexdigest() != rows_sha256:
                raise damage_error(folder.parent, "the row list does not match the manifest")
            listed = json.loads(content)
            has_words = (place / "params.index.json").exists()
            scorer = bm25s.BM25.load(place, mmap=True) if has_words else None
        except (OSError, ValueError, KeyError) as error:
            raise damage_error(folder.parent, f"{error}") from error
        return cls(listed["rows"], listed["titles"], scorer)

    def save(self, folder: Path, generation: int) -> str:
        """Write the files of a generation. Return the digest of its row list."""
        place = folder / str(generation)
        listed = {"rows": self.rows, "titles": self.titles}
        content = json.dumps(listed, ensure_ascii=False).encode()
        with map_disk_errors(folder):
            shutil.rmtree(place, ignore_errors=True)  # left by an interrupted run
            place.mkdir(parents=True)
            (place / "rows.json").write_bytes(content)
            if self._scorer is not None:
                self._scorer.save(place, show_progress=False)
        return hashlib.sha256(content).hexdigest()

    def score(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Return the BM25 of every row, shape (rows,), higher is better, 0 if no term occurs."""
        if self._scorer is None or not terms:
            return np.zeros(len(self.rows), dtype=np.float32)
        return np.asarray(self._scorer.get_scores(list(terms)), dtype=np.float32)

    def score_coverage(self, terms: Sequence[str]) -> NDArray[np.float64]:
        """Return the idf share of the terms that each row has, in [0, 1], shape (rows,)."""
        several = list(dict.fromkeys(terms))
        covered = np.zeros(len(self.rows))
        if several:
            idf = self.compute_idf(several)
            for term, share in zip(several, (idf / idf.sum()).tolist(), strict=True):
                covered += share * (self.score([term]) > 0)
        return covered

    def compute_idf(self, terms: Sequence[str]) -> NDArray[np.float32]:
        """Return the idf of each term, shape (terms,), positive. Unknown terms are rarest.

        Source: Robertson and Zaragoza 2009, with Lucene's + 1 inside the logarithm.
        """
        held = np.array([self._count_rows(term) for term in terms], dtype=np.float64)
        return np.log1p((len(self.rows) - held + 0.5) / (held + 0.5)).astype(np.float32)

    def _count_rows(self, term: str) -> int:
        if self._scorer is None or term not in self._scorer.vocab_dict:
            return 0
        column = self._scorer.vocab_dict[term]
        pointer = self._scorer.scores["indptr"]
        return int(pointer[column + 1] - pointer[column])


def remove_stale(folder: Path, generation: int) -> None:
    """Delete the files of all other generations."""
    with map_disk_errors(folder):
        for place in folder.iterdir():
            if place.name != str(generation):
                shutil.rmtree(place)


def find_highest_generation(folder: Path) -> int:
    """Return the highest generation with files in a folder, or 0 if there is none."""
    names = [path.name for path in folder.glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)
