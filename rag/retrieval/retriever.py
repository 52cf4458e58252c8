"""`Retriever`: from a question to one ranked list of papers.

Dense and lexical search give candidates, late interaction reorders them, one fusion ranks them.
Called by the assistant for every question; the same question on the same index gives the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.index import Filter
from rag.retrieval.fusion import fuse
from rag.retrieval.late_interaction import question_tokens, score_rows
from rag.retrieval.mentions import NameIndex, ids_in
from rag.text.terms import LONGEST_QUESTION_CHARS, has_words, lexical_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rag.embedding import Embedder
    from rag.index import Index, StoredPaper
    from rag.index.passages import Passage
    from rag.papers import Paper
    from rag.retrieval.late_interaction import QuestionTokens, RowScore

_LEAST = -1.0  # below every cosine


@dataclass(frozen=True, slots=True)
class StageScore:
    """One stage's view of one paper: its score (higher is better) and rank among candidates."""

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A sentence of a hit.

    Attributes:
        start: offset in the abstract.
        end: offset behind its last character.
        text: `abstract[start:end]`.
        score: how well it meets the question, in [-1, 1], higher is better.
        words: share of the question's idf that its words carry, in [0, 1].
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
        score: fused score, unbounded, higher is better, 0 is an average candidate.
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
    """What retrieval found for a question.

    Attributes:
        question: as it was read.
        hits: papers, best first.
        terms: the question's stemmed words without stop words.
        notes: sentences a reader should know (a stage that could not run, a question cut short).
    """

    question: str
    hits: tuple[Hit, ...]
    terms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    """A question as the stages read it; `tokens` is None where the embedder gives none."""

    text: str
    terms: tuple[str, ...]
    vector: NDArray[np.float32]
    tokens: QuestionTokens | None


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Papers worth a closer look: numbers, ascending, with every stage's scores, each (papers,)."""

    papers: tuple[int, ...]
    stages: Mapping[str, NDArray[np.float64]]
    named: NDArray[np.bool_]
    late: Mapping[int, RowScore]


class Retriever:
    """Searches one opened index with the embedder it was made with."""

    def __init__(self, index: Index, embedder: Embedder, *, candidates: int = 200) -> None:
        """Wires an index to its embedder.

        Args:
            index: opened.
            embedder: the one the index was made with.
            candidates: rows that dense and lexical search each hand on.

        Raises:
            IndexStale: the index was made with another embedder.
        """
        index.check_fits(embedder)
        self._index = index
        self._embedder = embedder
        self._candidates = candidates
        self._names = NameIndex(index.titles)

    def search(self, question: str, *, k: int = 8, where: Filter | None = None) -> list[Hit]:
        """The `k` best papers, fewer where the library or the filter has fewer.

        Args:
            question: any text; one without a letter or digit is empty and finds nothing.
            k: papers wanted.
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
        """Like `search`, with all that was seen on the way; `candidates` in place of its own."""
        notes = []
        text = question.strip() if has_words(question) else ""
        if len(text) > LONGEST_QUESTION_CHARS:
            text = text[:LONGEST_QUESTION_CHARS]
            notes.append(f"Only the first {LONGEST_QUESTION_CHARS} characters were read.")
        if not text or not self._index.rows:
            return Retrieval(text, ())
        read = self._read(text)
        found = self._candidates_for(read, where, candidates or self._candidates)
        if not found.papers:
            notes.append("The filter lets no paper of this library through.")
            return Retrieval(text, (), read.terms, tuple(notes))
        if read.tokens is None:
            notes.append("This embedder gives no token vectors: late interaction was left out.")
        return Retrieval(text, self._rank(read, found, k), read.terms, tuple(notes))

    def _read(self, text: str) -> _Question:
        terms = tuple(lexical_terms(text))
        encode = getattr(self._embedder, "encode", None)
        if encode is None:
            return _Question(text, terms, self._embedder.embed([text])[0], None)
        encoding = next(iter(encode([text])))
        return _Question(text, terms, encoding.vector, question_tokens(encoding, self._index))

    def _candidates_for(self, question: _Question, where: Filter | None, count: int) -> _Candidates:
        """First stages: the papers worth a closer look, with every stage's score of them."""
        index = self._index
        allowed = index.matching(where) if where else None
        near = index.nearest(question.vector, count, where=where)
        lexical = index.lexical.scores(question.terms)
        if allowed is not None:
            lexical = np.where(allowed, lexical, 0.0)
        named = self._named(question.text, allowed)
        best = np.argsort(-lexical, kind="stable")[:count]
        found = {*(n.row for n in near), *best[lexical[best] > 0].tolist()}
        papers = sorted({*named, *index.paper_number[sorted(found)].tolist()})
        rows = [row for paper in papers for row in index.rows_of_paper[paper]]
        # a row that dense search did not hand on is at most as near as the last one it did
        dense = np.full(len(index.rows), min((n.cosine for n in near), default=0.0))
        dense[[n.row for n in near]] = [n.cosine for n in near]
        stages = {
            "lexical": lexical[rows].astype(np.float64),
            "coverage": index.lexical.coverage(question.terms)[rows],
            "dense": dense[rows],
        }
        late = score_rows(question.tokens, index, rows) if question.tokens else ()
        if late:
            stages["tokens"] = np.array([score.tokens for score in late])
            stages["window"] = np.array([score.window for score in late])
        return _Candidates(
            tuple(papers),
            {name: self._best_of_paper(papers, rows, scores) for name, scores in stages.items()},
            np.isin(papers, named),
            dict(zip(rows, late, strict=False)),
        )

    def _named(self, text: str, allowed: NDArray[np.bool_] | None) -> list[int]:
        """Papers that the question names, by id, title or the name of what they present."""
        rows_of = self._index.rows_of_paper
        ids = ids_in(text)
        by_id = self._index.papers_matching(Filter(ids=ids)) if ids else []
        return [
            paper
            for paper in dict.fromkeys([*by_id, *self._names.named_in(text)])
            if allowed is None or allowed[rows_of[paper]].any()
        ]

    def _best_of_paper(
        self, papers: Sequence[int], rows: Sequence[int], scores: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A paper is as good as its best passage; shape (papers,)."""
        best = np.full(len(papers), -np.inf)
        np.maximum.at(best, np.searchsorted(papers, self._index.paper_number[rows]), scores)
        return best

    def _rank(self, question: _Question, candidates: _Candidates, k: int) -> tuple[Hit, ...]:
        fused = fuse(candidates.stages)
        ids = [self._index.paper_ids[paper] for paper in candidates.papers]
        order = sorted(range(len(ids)), key=lambda i: (not candidates.named[i], -fused[i], ids[i]))[
            :k
        ]
        ranks = {name: _ranks(scores) for name, scores in candidates.stages.items()}
        stored = self._index.read([candidates.papers[i] for i in order])
        return tuple(
            Hit(
                rank=rank,
                score=float(fused[i]),
                paper=found.paper,
                passages=self._passages(found, candidates),
                sentences=self._sentences(found, candidates, question),
                stages={
                    name: StageScore(float(scores[i]), int(ranks[name][i]))
                    for name, scores in candidates.stages.items()
                },
                named=bool(candidates.named[i]),
            )
            for rank, (i, found) in enumerate(zip(order, stored, strict=True), start=1)
        )

    def _passages(self, stored: StoredPaper, candidates: _Candidates) -> tuple[Passage, ...]:
        late = candidates.late
        rows = [self._index.row_number[row] for row in stored.rows]
        scores = [late[row].tokens if row in late else 0.0 for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (-scores[i], i))
        return tuple(stored.passages[i] for i in order)

    def _sentences(
        self, stored: StoredPaper, candidates: _Candidates, question: _Question
    ) -> tuple[ScoredSentence, ...]:
        """Sentences best first; one that two passages share counts with its better score."""
        best: dict[tuple[int, int], float] = {}
        for passage, row in zip(stored.passages, stored.rows, strict=True):
            late = candidates.late.get(self._index.row_number[row])
            scores = late.sentences if late else [_LEAST] * len(passage.sentences)
            for span, score in zip(passage.sentences, scores, strict=True):
                best[span] = max(best.get(span, _LEAST), score)
        sentences = []
        for span, score in best.items():
            text = stored.paper.abstract[slice(*span)]
            words = self._overlap(question.terms, text)
            # without token vectors the words alone decide
            shown = score if question.tokens else words
            sentences.append(ScoredSentence(*span, text, shown, words))
        return tuple(sorted(sentences, key=lambda sentence: (-sentence.score, sentence.start)))

    def _overlap(self, terms: Sequence[str], text: str) -> float:
        """Share of the question's idf that a text's words carry: without token vectors."""
        if not terms:
            return 0.0
        held = set(lexical_terms(text))
        weights = self._index.lexical.term_idf(terms)
        met = np.array([term in held for term in terms])
        return float(weights[met].sum() / weights.sum())


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each score, 1 for the highest; equal scores in the order of their papers."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
