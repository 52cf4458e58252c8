"""Retrieve one ranked list of papers for a question.

Dense and lexical search find candidates, late interaction scores them, and fusion ranks them. The
same question on the same index gives the same list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.embedding import encode_question
from rag.index.keys import list_possible_names, read_lead, strip_words
from rag.retrieval.fusion import NAME_BONUS, fuse
from rag.retrieval.late_interaction import NOTHING, score_rows, weight_tokens
from rag.retrieval.mentions import find_ids
from rag.text.folding import fold_text
from rag.text.terms import (
    CODED_NAME,
    FEW_OTHER_WORDS,
    LONGEST_QUESTION_CHARS,
    has_words,
    lexical_terms,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from rag.embedding import Embedder, Encoding
    from rag.index import Filter, Index, StoredPaper
    from rag.index.passages import Passage
    from rag.index.records import RowTable
    from rag.index.token_vectors import StoredVectors
    from rag.papers import Paper
    from rag.retrieval.late_interaction import QuestionTokens, TokenScores

FEW_TERMS = 2  # of a question that is about a name and little else
MOST_READ = 30  # rows with a word, searched for a title that begins with it
FEW_ROWS = 10  # a name that more rows have may be an ordinary word


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
        query: the further query that found it, "" if the question alone found it among the first.
        coverage: idf share of the question's terms that title and abstract contain, in [0, 1].
    """

    rank: int
    score: float
    paper: Paper
    passages: tuple[Passage, ...]
    sentences: tuple[ScoredSentence, ...]
    stages: Mapping[str, StageScore]
    named: bool = False
    coverage: float = 0.0
    query: str = ""


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
    """Question as the stages read it.

    Attributes:
        shares: idf of each term, as a share of them all.
        tokens: None if the embedder gives none.
    """

    text: str
    terms: tuple[str, ...]
    shares: Mapping[str, float]
    vector: NDArray[np.float32]
    tokens: QuestionTokens | None

    def compute_overlap(self, terms: Iterable[str]) -> float:
        """Return the idf share of the question's terms that a text has, in [0, 1]."""
        held = set(terms)
        return sum(share for term, share in self.shares.items() if term in held)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Candidate papers.

    Attributes:
        papers: their numbers, ascending, shape (papers,).
        rows: all their rows.
        stages: stage name -> score of each paper's best row, shape (papers,).
        fused: fused score of each paper for the question and each further query, shape
            (1 + queries, papers).
        late: token scores of the rows; None without token vectors.
        by_id: whether the question holds an id of each paper, shape (papers,).
        by_name: whether it holds a name that the title coins, shape (papers,).
        by_mention: whether it asks for a rare name that the paper has, shape (papers,).
    """

    papers: NDArray[np.int64]
    rows: RowTable
    stages: Mapping[str, NDArray[np.float64]]
    fused: NDArray[np.float64]
    late: TokenScores | None
    by_id: NDArray[np.bool_]
    by_name: NDArray[np.bool_]
    by_mention: NDArray[np.bool_]


class Retriever:
    """Searches one opened index with the embedder it was built with."""

    def __init__(self, index: Index, embedder: Embedder, *, candidates: int = 100) -> None:
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

    def retrieve(
        self,
        question: str,
        *,
        k: int = 8,
        where: Filter | None = None,
        queries: Sequence[str] = (),
        candidates: int | None = None,
        encodings: Sequence[Encoding] = (),
    ) -> Retrieval:
        """Return the best papers, with the terms of the question and notes.

        Args:
            question: any text; without a letter or digit it finds nothing.
            k: number of papers; fewer are returned if the library or the filter has fewer.
            where: restricts the papers.
            queries: other words for the question. All of them together weigh as much as it does.
            candidates: rows of each first stage; None takes the default.
            encodings: of `clean_question(question)` and the queries, if they are known already.
        """
        notes = []
        text = clean_question(question)
        if len(question.strip()) > LONGEST_QUESTION_CHARS and text:
            notes.append(
                f"Only the first {LONGEST_QUESTION_CHARS} characters of the question count."
            )
        if not text or not self._index.manifest.row_count:
            return Retrieval(text, ())
        texts = (text, *queries)
        encodings = encodings or [encode_question(self._embedder, each) for each in texts]
        asked = [self._weigh(*each) for each in zip(texts, encodings, strict=True)]
        found = self._collect_candidates(asked, where, max(candidates or self._candidates, k))
        if found is None:
            notes.append("No paper in the library matches the filter.")
            return Retrieval(text, (), asked[0].terms, tuple(notes))
        if asked[0].tokens is None:
            notes.append("This embedder gives no token vectors, so late interaction did not run.")
        return Retrieval(text, self._rank(asked, found, k), asked[0].terms, tuple(notes))

    def _weigh(self, text: str, encoding: Encoding) -> _Question:
        """Return the question with the weights of its terms and tokens."""
        terms = tuple(lexical_terms(text))
        idf = self._index.lexical.compute_idf(terms)
        shares: dict[str, float] = {}
        for term, share in zip(terms, (idf / idf.sum()).tolist(), strict=True):
            shares[term] = shares.get(term, 0.0) + share
        tokens = weight_tokens(encoding, self._index)
        return _Question(text, terms, shares, encoding.vector, tokens)

    def _collect_candidates(
        self, asked: Sequence[_Question], where: Filter | None, count: int
    ) -> _Candidates | None:
        """Run the first stages for the question and its queries, and score all that they find."""
        index = self._index
        selection = index.select(where)
        found: list[int] = []
        for each in asked:
            found += index.find_nearest(each.vector, count, selection)
            found += index.find_words(each.terms, count, selection)
        by_id, by_name = self._find_named(asked[0].text, where)
        by_mention = self._find_mentions(asked[0].text, where)
        found += index.records.list_rows([*by_id, *by_name, *by_mention])
        if not found:
            return None
        rows = index.records.load_rows(found)
        vectors = index.read_vectors(rows)
        papers, first = np.unique(rows.paper, return_index=True)
        scored = [self._score_papers(each, rows, vectors, first) for each in asked]
        stages, late = scored[0]
        return _Candidates(
            papers,
            rows,
            stages,
            np.stack([fuse(each) for each, _ in scored]),
            late,
            np.isin(papers, list(by_id)),
            np.isin(papers, list(by_name)),
            np.isin(papers, list(by_mention)),
        )

    def _score_papers(
        self,
        question: _Question,
        rows: RowTable,
        vectors: Sequence[StoredVectors],
        first: NDArray[np.intp],
    ) -> tuple[Mapping[str, NDArray[np.float64]], TokenScores | None]:
        """Return the stages' scores of papers, of which `first` holds the first rows."""
        late = score_rows(question.tokens, vectors) if question.tokens else None
        scores: dict[str, NDArray[np.floating]] = {
            "lexical": self._index.score_words(question.terms, rows.row),
            "dense": np.array([row.pooled for row in vectors]) @ question.vector,
        }
        if late:
            scores |= {"tokens": late.tokens, "window": late.window}
        stages = {
            name: np.maximum.reduceat(of_rows.astype(np.float64), first)
            for name, of_rows in scores.items()
        }
        return stages, late

    def _find_named(self, text: str, where: Filter | None) -> tuple[set[int], set[int]]:
        """Return the papers that a question names by id, and by a name that a title coins."""
        index = self._index
        by_id = index.find_by_key("id", find_ids(text), where)
        by_name = index.find_by_key("name", list_possible_names(text), where)
        return by_id, by_name | self._find_leads(text, where)

    def _find_leads(self, text: str, where: Filter | None) -> set[int]:
        """Return the papers whose title begins with a word of the question, as in "Primer: ...".

        The word has a capital, or the question is about little else, so that "what is electra?"
        names ELECTRA.
        """
        is_bare = len(set(lexical_terms(text))) <= FEW_TERMS
        words = {word.casefold() for word in strip_words(text) if is_bare or word[:1].isupper()}
        found: set[int] = set()
        for word in sorted(words):
            if terms := lexical_terms(word):
                rows, _ = self._index.lexical.search(terms, MOST_READ)
                papers = self._read_papers(rows.tolist(), where)
                found |= {n for n, paper in papers if read_lead(paper.title).casefold() == word}
        return found

    def _read_papers(self, rows: Sequence[int], where: Filter | None) -> list[tuple[int, Paper]]:
        """Return the papers of valid rows, with their numbers."""
        valid = self._index.records.filter_rows(rows, where)
        numbers = np.unique(self._index.records.load_rows(sorted(valid)).paper).tolist()
        stored = self._index.records.load_papers(numbers)
        return [(number, each.paper) for number, each in zip(numbers, stored, strict=True)]

    def _find_mentions(self, text: str, where: Filter | None) -> set[int]:
        """Return the papers that have a rare name of a question of few other words, as written."""
        index = self._index
        found: set[int] = set()
        names = dict.fromkeys(CODED_NAME.findall(text))
        others = set(lexical_terms(CODED_NAME.sub(" ", text)))
        for name in names if len(others) <= FEW_OTHER_WORDS else ():
            terms = lexical_terms(name)
            if not terms or min(map(index.lexical.count_rows, terms)) > FEW_ROWS:
                continue
            papers = self._read_papers(index.lexical.find_all(terms).tolist(), where)
            found |= {
                n for n, paper in papers if name in fold_text(f"{paper.title} {paper.abstract}")
            }
        return found

    def _rank(self, asked: Sequence[_Question], candidates: _Candidates, k: int) -> tuple[Hit, ...]:
        alone, *others = candidates.fused
        fused = (alone + np.mean(others, axis=0)) / 2 if others else alone
        fused = fused + NAME_BONUS * (candidates.by_name | candidates.by_mention)
        ids = self._index.records.load_ids(candidates.papers.tolist())
        names = [ids[paper] for paper in candidates.papers.tolist()]
        order = sorted(
            range(len(names)), key=lambda i: (not candidates.by_id[i], -fused[i], names[i])
        )[:k]
        ranks = {name: _rank_scores(scores) for name, scores in candidates.stages.items()}
        queries = _name_queries([each.text for each in asked[1:]], candidates.fused, k)
        stored = self._index.records.load_papers([int(candidates.papers[i]) for i in order])
        hits = []
        for rank, (i, found) in enumerate(zip(order, stored, strict=True), start=1):
            sentences, coverage = self._score_sentences(found, candidates, asked[0])
            stages = {
                name: StageScore(float(scores[i]), int(ranks[name][i]))
                for name, scores in candidates.stages.items()
            }
            hits.append(
                Hit(
                    rank=rank,
                    score=float(fused[i]),
                    paper=found.paper,
                    passages=_order_passages(found, candidates),
                    sentences=sentences,
                    stages=stages,
                    coverage=coverage,
                    named=bool(candidates.by_id[i] or candidates.by_name[i]),
                    query=queries[i],
                )
            )
        return tuple(hits)

    def _score_sentences(
        self, stored: StoredPaper, candidates: _Candidates, question: _Question
    ) -> tuple[tuple[ScoredSentence, ...], float]:
        """Return sentences, best first, and the coverage of the whole paper.

        A sentence in two passages counts with its better score.
        """
        best: dict[tuple[int, int], float] = {}
        for passage, row, place in zip(stored.passages, stored.rows, stored.places, strict=True):
            scores = [NOTHING] * len(passage.sentences)
            if candidates.late:
                at = int(np.flatnonzero(candidates.rows.row == row)[0])
                scores = candidates.late.score_sentences(at, place.starts)
            for span, score in zip(passage.sentences, scores, strict=True):
                best[span] = max(best.get(span, NOTHING), score)
        sentences = []
        terms = set(lexical_terms(stored.paper.title))
        for span, score in best.items():
            text = stored.paper.abstract[slice(*span)]
            found = lexical_terms(text)
            terms.update(found)
            words = question.compute_overlap(found)
            # without token vectors only the words count
            shown = score if question.tokens else words
            sentences.append(ScoredSentence(*span, text, shown, words))
        sentences.sort(key=lambda sentence: (-sentence.score, sentence.start))
        return tuple(sentences), question.compute_overlap(terms)


def clean_question(question: str) -> str:
    """Return the text that is searched for; "" without a letter or digit."""
    return fold_text(question).strip()[:LONGEST_QUESTION_CHARS] if has_words(question) else ""


def _order_passages(stored: StoredPaper, candidates: _Candidates) -> tuple[Passage, ...]:
    """Return the passages of a paper, best first."""
    if candidates.late is None:
        return stored.passages
    tokens = dict(zip(candidates.rows.row.tolist(), candidates.late.tokens.tolist(), strict=True))
    order = sorted(range(len(stored.rows)), key=lambda i: (-tokens[stored.rows[i]], i))
    return tuple(stored.passages[i] for i in order)


def _name_queries(queries: Sequence[str], fused: NDArray[np.float64], k: int) -> list[str]:
    """Return the best query for each paper that the question alone does not rank among the first.

    Args:
        queries: besides the question.
        fused: scores for the question and each query, shape (1 + queries, papers).
        k: number of first papers. For these it returns "".
    """
    papers = fused.shape[1]
    if not queries:
        return [""] * papers
    best = np.argmax(fused[1:], axis=0).tolist()
    ranks = _rank_scores(fused[0])
    return [queries[best[i]] if ranks[i] > k else "" for i in range(papers)]


def _rank_scores(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank of each score, 1 for the highest. Equal scores keep their order."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks
