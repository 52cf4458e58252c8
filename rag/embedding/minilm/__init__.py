"""The bundled embedder, all-MiniLM-L6-v2: no key, no download, no PyTorch.

`encoder` turns texts into pooled and token vectors. `weights` opens the model's files, which are in
`rag/data/minilm`.
"""

from rag.embedding.minilm.encoder import Encoding, MiniLM, load_minilm, normalize_rows

__all__ = ["Encoding", "MiniLM", "load_minilm", "normalize_rows"]
