"""JSON Lines: one paper per line with all fields of `Paper.to_dict`.

Sources are written even if there are none. They tell the reader that a comma in an author's name
does not separate the family name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rag.papers import Paper


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield one line per paper."""
    records = ({**paper.to_dict(), "sources": list(paper.sources)} for paper in papers)
    return (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
