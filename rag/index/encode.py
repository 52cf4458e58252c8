"""From the passages of new papers to their vectors and tokens, one forward pass each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.embedding import has_token_vectors
from rag.index.passages import make_embedder_text
from rag.index.segments import NO_TOKENS, PassageTokens, passage_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from rag.embedding import Embedder
    from rag.index.store import StoredPaper


def embedded(
    papers: Sequence[StoredPaper], embedder: Embedder
) -> tuple[list[NDArray[np.float32]], dict[str, PassageTokens]]:
    """Vectors and tokens of the papers' rows.

    Returns:
        one unit vector a row, in the order of the rows, and each row id's tokens; without tokens
        where the embedder gives none.
    """
    pairs = [(stored.paper, passage) for stored in papers for passage in stored.passages]
    texts = [make_embedder_text(paper.title, passage.text) for paper, passage in pairs]
    rows = [row for stored in papers for row in stored.rows]
    if not has_token_vectors(embedder):
        return list(embedder.embed(texts)), dict.fromkeys(rows, NO_TOKENS)
    encodings = list(embedder.encode(texts))
    tokens = [
        passage_tokens(paper.title, passage, encoding)
        for (paper, passage), encoding in zip(pairs, encodings, strict=True)
    ]
    return [encoding.vector for encoding in encodings], dict(zip(rows, tokens, strict=True))
