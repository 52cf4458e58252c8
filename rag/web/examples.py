"""Four example questions that the library at hand can answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper
    from rag.web.library_pool import LibraryPool

COUNT = 4
_BUNDLED = (
    "How can a byte-level model skip tokens it does not need?",
    "How is ELECTRA trained?",
    "Can 3D scene graphs guide vision-language pre-training?",
    "Which methods make fine-tuning need less memory?",
)
_NAME = re.compile(r"([A-Z][\w.+-]*[A-Z0-9][\w.+-]*)\s*:\s")


def examples_of(pool: LibraryPool, name: str | None) -> tuple[str, ...]:
    """Example questions for an open library; none for an empty one."""
    if pool.is_bundled(name):
        return _BUNDLED
    return from_titles(pool.papers(name))


def from_titles(papers: Sequence[Paper]) -> tuple[str, ...]:
    """Questions about papers from all over a library; those whose title names something first.

    >>> from rag.papers import Paper
    >>> from_titles([Paper("a", "ZORP: Sparse Attention", "We propose ZORP.")])
    ('What is ZORP?',)
    """
    usable = [paper for paper in papers if paper.abstract and len(paper.title) <= 120]
    named = [paper for paper in usable if _NAME.match(paper.title)]
    pool = named if len(named) >= COUNT else usable
    step = max(1, len(pool) // COUNT)
    return tuple(map(_question, pool[::step][:COUNT]))


def _question(paper: Paper) -> str:
    named = _NAME.match(paper.title)
    return f"What is {named[1]}?" if named else f"What does “{paper.title}” find?"
