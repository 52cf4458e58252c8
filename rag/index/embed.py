"""Embed the passages of papers, in this process or in several."""

from __future__ import annotations

import signal
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

from rag.embedding import has_token_vectors
from rag.index.passages import make_embedder_text, split_paper
from rag.index.token_vectors import pool_only, select_tokens
from rag.text.folding import fold_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rag.embedding import Embedder
    from rag.index.manifest import PassageSettings
    from rag.index.passages import Passage
    from rag.index.token_vectors import RowVectors
    from rag.papers import Paper

    Block = list[tuple[Paper, tuple[Passage, ...], list[RowVectors]]]

_AHEAD = 2  # blocks that wait for each process
_embedder: Embedder | None = None  # of a worker process


def embed_block(papers: Sequence[Paper], settings: PassageSettings, embedder: Embedder) -> Block:
    """Split papers into passages and embed them. Return both for each paper."""
    split = [split_paper(paper, **settings.model_dump()) for paper in papers]
    pairs = [(p, each) for p, passages in zip(papers, split, strict=True) for each in passages]
    texts = [make_embedder_text(paper.title, passage.text) for paper, passage in pairs]
    if has_token_vectors(embedder):
        vectors = [
            select_tokens(paper.title, passage, encoding)
            for (paper, passage), encoding in zip(pairs, embedder.encode(texts), strict=True)
        ]
    else:
        vectors = [pool_only(vector) for vector in embedder.embed(list(map(fold_text, texts)))]
    rest = iter(vectors)
    return [
        (paper, passages, [next(rest) for _ in passages])
        for paper, passages in zip(papers, split, strict=True)
    ]


def embed_blocks(
    blocks: Sequence[Sequence[Paper]],
    *,
    settings: PassageSettings,
    embedder: Embedder,
    workers: int = 1,
    make_embedder: Callable[[], Embedder] | None = None,
) -> Iterator[Block]:
    """Embed blocks of papers. Yield them in order.

    Args:
        blocks: of papers.
        settings: how to split abstracts.
        embedder: of this process.
        workers: number of processes; 1 embeds here.
        make_embedder: called in every process, so it must be picklable; None embeds here.
    """
    if workers == 1 or make_embedder is None:
        for block in blocks:
            yield embed_block(block, settings, embedder)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(make_embedder,),
    )
    first, later = blocks[: _AHEAD * workers], blocks[_AHEAD * workers :]
    try:
        waiting = deque(pool.submit(_embed, block, settings) for block in first)
        for block in later:
            yield waiting.popleft().result()
            waiting.append(pool.submit(_embed, block, settings))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(make_embedder: Callable[[], Embedder]) -> None:
    global _embedder  # noqa: PLW0603 - a process has one
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work
    _embedder = make_embedder()


def _embed(papers: Sequence[Paper], settings: PassageSettings) -> Block:
    assert _embedder is not None  # noqa: S101 - made when the process started
    return embed_block(papers, settings, _embedder)
