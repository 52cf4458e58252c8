"""Index on disk: build, update and open it.

`manifest` says which generation is valid. `records` reads papers and filter keys, `record_writer`
writes them. `store` holds passages and pooled vectors in Chroma, `token_vectors` the vectors of
tokens, `lexical` BM25. `open` reads one generation, `build` and `writer` write the next.
"""

from rag.index.build import IndexReport, OnProgress, update_index
from rag.index.changes import Intake
from rag.index.filter import Filter
from rag.index.manifest import Manifest, PassageSettings, read_manifest
from rag.index.open import Index
from rag.index.records import StoredPaper

__all__ = [
    "Filter",
    "Index",
    "IndexReport",
    "Intake",
    "Manifest",
    "OnProgress",
    "PassageSettings",
    "StoredPaper",
    "read_manifest",
    "update_index",
]
