"""The index on disk: build, update, open.

`manifest` says what is valid, `store` holds passages and pooled vectors in Chroma, `tokens` token
vectors, `lexical` BM25; `reader` opens one generation, `writer` makes the next.
"""

from rag.index.build import IndexReport, OnProgress, update_index
from rag.index.changes import Intake
from rag.index.filter import Filter
from rag.index.manifest import Manifest, PassageSettings, read_manifest
from rag.index.open import Index, Neighbour
from rag.index.store import StoredPaper

__all__ = [
    "Filter",
    "Index",
    "IndexReport",
    "Intake",
    "Manifest",
    "Neighbour",
    "OnProgress",
    "PassageSettings",
    "StoredPaper",
    "read_manifest",
    "update_index",
]
