"""JSON Lines: one paper a line with all its fields, as `Paper.to_dict` gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper

NAME = "JSON Lines"
ENDINGS: tuple[str, ...] = (".jsonl", ".ndjson")


def pieces(papers: Iterable[Paper]) -> Iterator[str]:
    """One line a paper."""
    return (json.dumps(paper.to_dict(), ensure_ascii=False) + "\n" for paper in papers)
