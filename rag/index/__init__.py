"""The index on disk: build, update, open.

`manifest` says what is valid, `store` holds passages and pooled vectors in Chroma, `tokens` token
vectors, `lexical` BM25; `reader` opens one generation, `writer` makes the next.
"""

from rag.index.filters import Filter
from rag.index.manifest import Manifest, PassageMark, read_manifest
from rag.index.merging import Intake
from rag.index.reader import Index, Neighbour
from rag.index.store import StoredPaper
from rag.index.writer import IndexReport, OnProgress, update_index

__all__ = [
    "Filter",
    "Index",
    "IndexReport",
    "Intake",
    "Manifest",
    "Neighbour",
    "OnProgress",
    "PassageMark",
    "StoredPaper",
    "read_manifest",
    "update_index",
]
