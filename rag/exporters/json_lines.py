"""JSON Lines: one paper a line with all its fields, as `Paper.to_dict` gives them.

The sources are there even where there are none: by them a reader knows that names of authors are
written as they are shown, commas and all.
"""

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
    records = ({**paper.to_dict(), "sources": list(paper.sources)} for paper in papers)
    return (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
