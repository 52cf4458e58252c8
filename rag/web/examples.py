"""Example questions that the page offers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper
    from rag.serving.library_pool import LibraryPool

_EXAMPLES = 4
_BUNDLED_EXAMPLES = (
    "How can a byte-level model skip tokens it does not need?",
    "How is ELECTRA trained?",
    "Can 3D scene graphs guide vision-language pre-training?",
    "Which methods make fine-tuning need less memory?",
)
_NAME = re.compile(r"([A-Z][\w.+-]*[A-Z0-9][\w.+-]*)\s*:\s")


def list_examples(pool: LibraryPool, name: str | None) -> tuple[str, ...]:
    """Return example questions for an open library. An empty one has none."""
    return _BUNDLED_EXAMPLES if pool.is_bundled(name) else make_examples(pool.get_papers(name))


def make_examples(papers: Sequence[Paper]) -> tuple[str, ...]:
    """Return up to four questions about papers. Prefers titles that begin with a name.

    >>> from rag.papers import Paper
    >>> make_examples([Paper("a", "ZORP: Sparse Attention", "We propose ZORP.")])
    ('What is ZORP?',)
    """
    usable = [paper for paper in papers if paper.abstract and len(paper.title) <= 120]
    named = [paper for paper in usable if _NAME.match(paper.title)]
    pool = named if len(named) >= _EXAMPLES else usable
    step = max(1, len(pool) // _EXAMPLES)
    return tuple(map(_make_example, pool[::step][:_EXAMPLES]))


def _make_example(paper: Paper) -> str:
    name = _NAME.match(paper.title)
    return f"What is {name[1]}?" if name else f"What does “{paper.title}” find?"
