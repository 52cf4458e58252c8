"""The bundled embedder, all-MiniLM-L6-v2: no key, no download, no PyTorch.

`encoder` reads texts into pooled and token vectors; `files` opens the model's files, which lie in
`rag/data/minilm`.
"""

from rag.embedding.minilm.encoder import Encoding, MiniLM, load_minilm, normalize_rows

__all__ = ["Encoding", "MiniLM", "load_minilm", "normalize_rows"]
