"""Retrieve one ranked list of papers for a question.

Dense and lexical search find candidates, late interaction scores them, and fusion ranks them. The
same question on the same index gives the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index import Filter
from rag.retrieval.fusion import fuse
from rag.retrieval.late_interaction import score_rows, weight_tokens
from rag.retrieval.mentions import NameIndex, find_ids
from rag.text.terms import LONGEST_QUESTION_CHARS, has_words, lexical_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rag.embedding import Embedder
    from rag.index import Index, Neighbour, StoredPaper
    from rag.index.passages import Passage
    from rag.papers import Paper
    from rag.retrieval.late_interaction import QuestionTokens, RowScore

_LEAST = -1.0  # below every cosine


@dataclass(frozen=True, slots=True)
class StageScore:
    """Score of one stage for one paper (higher is better), and its rank among the candidates."""

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """Sentence of a hit.

    Attributes:
        start: offset in the abstract.
        end: offset after its last character.
        text: `abstract[start:end]`.
        score: relevance to the question, in [-1, 1], higher is better.
        words: idf share of the question's terms that it contains, in [0, 1].
    """

    start: int
    end: int
    text: str
    score: float
    words: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One paper found for a question.

    Attributes:
        rank: 1 is best.
        score: fused score, unbounded; higher is better, 0 is an average candidate.
        paper: the paper.
        passages: its passages, best first.
        sentences: its sentences, best first.
        stages: stage name -> score and rank among the candidates.
        named: whether the question names this paper.
    """

    rank: int
    score: float
    paper: Paper
    passages: tuple[Passage, ...]
    sentences: tuple[ScoredSentence, ...]
    stages: Mapping[str, StageScore]
    named: bool = False


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Papers found for a question.

    Attributes:
        question: the text that was searched for.
        hits: papers, best first.
        terms: the question's stemmed words without stop words.
        notes: sentences for the reader (a stage that did not run, a truncated question).
    """

    question: str
    hits: tuple[Hit, ...]
    terms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    """Question as the stages read it; `tokens` is None if the embedder gives none."""

    text: str
    terms: tuple[str, ...]
    vector: NDArray[np.float32]
    tokens: QuestionTokens | None


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Candidate papers: numbers, ascending, and the scores of every stage, (papers,)."""

    papers: tuple[int, ...]
    stages: Mapping[str, NDArray[np.float64]]
    named: NDArray[np.bool_]
    late: Mapping[int, RowScore]


class Retriever:
    """Searches one opened index with the embedder it was built with."""

    def __init__(self, index: Index, embedder: Embedder, *, candidates: int = 200) -> None:
        """Connect an index with its embedder.

        Args:
            index: an opened index.
            embedder: the embedder that the index was built with.
            candidates: number of rows that dense and lexical search each pass on.

        Raises:
            IndexStale: the index was built with another embedder.
        """
        index.check_fits(embedder)
        self._index = index
        self._embedder = embedder
        self._candidates = candidates
        self._names = NameIndex(index.titles)

    def search(self, question: str, *, k: int = 8, where: Filter | None = None) -> list[Hit]:
        """Return the `k` best papers, fewer if the library or the filter has fewer.

        Args:
            question: any text; without a letter or digit it finds nothing.
            k: number of papers.
            where: restricts the papers.
        """
        return list(self.retrieve(question, k=k, where=where).hits)

    def retrieve(
        self,
        question: str,
        *,
        k: int = 8,
        where: Filter | None = None,
        candidates: int | None = None,
    ) -> Retrieval:
        """Return hits, terms and notes. `candidates` overrides the default."""
        notes = []
        text = question.strip() if has_words(question) else ""
        if len(text) > LONGEST_QUESTION_CHARS:
            text = text[:LONGEST_QUESTION_CHARS]
            notes.append(
                f"Only the first {LONGEST_QUESTION_CHARS} characters of the question count."
            )
        if not text or not self._index.rows:
            return Retrieval(text, ())
        asked = self._read_question(text)
        found = self._collect_candidates(asked, where, candidates or self._candidates)
        if not found.papers:
            notes.append("No paper in the library matches the filter.")
            return Retrieval(text, (), asked.terms, tuple(notes))
        if asked.tokens is None:
            notes.append("This embedder gives no token vectors, so late interaction did not run.")
        return Retrieval(text, self._rank(asked, found, k), asked.terms, tuple(notes))

    def _read_question(self, text: str) -> _Question:
        terms = tuple(lexical_terms(text))
        encode = getattr(self._embedder, "encode", None)
        if encode is None:
            return _Question(text, terms, self._embedder.embed([text])[0], None)
        encoding = next(iter(encode([text])))
        return _Question(text, terms, encoding.vector, weight_tokens(encoding, self._index))

    def _collect_candidates(
        self, question: _Question, where: Filter | None, count: int
    ) -> _Candidates:
        """Run the first stages, then score their papers by every stage."""
        index = self._index
        allowed = index.match_rows(where) if where else None
        near = index.find_nearest(question.vector, count, where=where)
        lexical = index.lexical.score(question.terms)
        if allowed is not None:
            lexical = np.where(allowed, lexical, 0.0)
        best = np.argsort(-lexical, kind="stable")[:count]
        found = sorted({*(n.row for n in near), *best[lexical[best] > 0].tolist()})
        named = self._find_named(question.text, allowed)
        papers = sorted({*named, *index.paper_number[found].tolist()})
        rows = [row for paper in papers for row in index.paper_rows[paper]]
        late = score_rows(question.tokens, index, rows) if question.tokens else ()
        stages = {
            "lexical": lexical[rows].astype(np.float64),
            "coverage": index.lexical.score_coverage(question.terms)[rows],
            "dense": self._fill_cosines(near)[rows],
            **_list_late_stages(late),
        }
        return _Candidates(
            tuple(papers),
            {name: self._score_papers(papers, rows, scores) for name, scores in stages.items()},
            np.isin(papers, named),
            dict(zip(rows, late, strict=False)),
        )

    def _fill_cosines(self, near: Sequence[Neighbour]) -> NDArray[np.float64]:
        """Return a cosine for every row. A row that was not found gets the lowest one found."""
        cosines = np.full(len(self._index.rows), min((n.cosine for n in near), default=0.0))
        cosines[[n.row for n in near]] = [n.cosine for n in near]
        return cosines

    def _find_named(self, text: str, allowed: NDArray[np.bool_] | None) -> list[int]:
        """Return the papers that the question names by id, title or name."""
        rows = self._index.paper_rows
        ids = find_ids(text)
        by_id = self._index.papers_matching(Filter(ids=ids)) if ids else []
        return [
            paper
            for paper in dict.fromkeys([*by_id, *self._names.find_papers(text)])
            if allowed is None or allowed[rows[paper]].any()
        ]

    def _score_papers(
        self, papers: Sequence[int], rows: Sequence[int], scores: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the score of each paper's best passage, shape (papers,)."""
        best = np.full(len(papers), -np.inf)
        np.maximum.at(best, np.searchsorted(papers, self._index.paper_number[rows]), scores)
        return best

    def _rank(self, question: _Question, candidates: _Candidates, k: int) -> tuple[Hit, ...]:
        fused = fuse(candidates.stages)
        ids = [self._index.paper_ids[paper] for paper in candidates.papers]
        order = sorted(range(len(ids)), key=lambda i: (not candidates.named[i], -fused[i], ids[i]))
        order = order[:k]
        ranks = {name: _rank_scores(scores) for name, scores in candidates.stages.items()}
        stored = self._index.read([candidates.papers[i] for i in order])
        return tuple(
            Hit(
                rank=rank,
                score=float(fused[i]),
                paper=found.paper,
                passages=self._order_passages(found, candidates),
                sentences=self._score_sentences(found, candidates, question),
                stages={
                    name: StageScore(float(scores[i]), int(ranks[name][i]))
                    for name, scores in candidates.stages.items()
                },
                named=bool(candidates.named[i]),
            )
            for rank, (i, found) in enumerate(zip(order, stored, strict=True), start=1)
        )

    def _order_passages(self, stored: StoredPaper, candidates: _Candidates) -> tuple[Passage, ...]:
        late = candidates.late
        rows = [self._index.row_number[row] for row in stored.rows]
        scores = [late[row].tokens if row in late else 0.0 for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (-scores[i], i))
        return tuple(stored.passages[i] for i in order)

    def _score_sentences(
        self, stored: StoredPaper, candidates: _Candidates, question: _Question
    ) -> tuple[ScoredSentence, ...]:
        """Return sentences, best first. One in two passages counts with its better score."""
        best: dict[tuple[int, int], float] = {}
        for passage, row in zip(stored.passages, stored.rows, strict=True):
            late = candidates.late.get(self._index.row_number[row])
            scores = late.sentences if late else [_LEAST] * len(passage.sentences)
            for span, score in zip(passage.sentences, scores, strict=True):
                best[span] = max(best.get(span, _LEAST), score)
        sentences = []
        for span, score in best.items():
            text = stored.paper.abstract[slice(*span)]
            words = self._compute_overlap(question.terms, text)
            # without token vectors only the words count
            shown = score if question.tokens else words
            sentences.append(ScoredSentence(*span, text, shown, words))
        return tuple(sorted(sentences, key=lambda sentence: (-sentence.score, sentence.start)))

    def _compute_overlap(self, terms: Sequence[str], text: str) -> float:
        """Return the idf share of the terms that a text contains, in [0, 1]."""
        if not terms:
            return 0.0
        words = set(lexical_terms(text))
        weights = self._index.lexical.compute_idf(terms)
        found = np.array([term in words for term in terms])
        return float(weights[found].sum() / weights.sum())


def _list_late_stages(late: Sequence[RowScore]) -> dict[str, NDArray[np.float64]]:
    if not late:
        return {}
    return {
        "tokens": np.array([score.tokens for score in late]),
        "window": np.array([score.window for score in late]),
    }


def _rank_scores(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank of each score, 1 for the highest. Equal scores keep their order."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
