"""The network of all-MiniLM-L6-v2 as an ONNX graph, written node by node.

`build_minilm.py` makes the bundled model with it. The graph uses onnxruntime's own operators
(domain com.microsoft) for attention, skip + layer normalisation and bias + GELU: with them a
session needs no graph fusion when it is opened, and attention needs about half the memory that the
standard operators take.

Source: Devlin et al. 2019, BERT (https://arxiv.org/abs/1810.04805); six layers, twelve heads, 384
dimensions. The operators: https://onnxruntime.ai/docs/reference/operators/ContribOperators.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LAYERS, HEADS, DIM = 6, 12, 384
EPSILON = 1e-12
CONTRIB = "com.microsoft"


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
