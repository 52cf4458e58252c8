"""Write small ONNX files without the onnx package, which the tests do not need otherwise.

Source of the field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

FLOAT, INT32, INT64 = 1, 6, 7
TYPES = {"float32": FLOAT, "int32": INT32, "int64": INT64}


@dataclass
class Graph:
    """Nodes and constants of a graph as it grows; `write` returns the file's bytes."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        parts = [text(1, name) for name in inputs]
        parts += [text(2, output), text(4, kind)]
        parts += [block(5, attribute(*each)) for each in attributes.items()]
        self.nodes.append(block(1, *parts))
        return output

    def constant(self, name: str, values: Any) -> str:
        array = np.ascontiguousarray(values)
        dims = [number(1, length) for length in np.shape(values)]
        kind = number(2, TYPES[array.dtype.name])
        self.constants.append(block(5, *dims, kind, text(8, name), block(9, array.tobytes())))
        return name

    def write(self, inputs: dict[str, int], outputs: dict[str, list[str | int]]) -> bytes:
        """Return the model. Inputs are named by type, outputs by shape."""
        asked = [value(11, name, kind, ["batch", "pieces"]) for name, kind in inputs.items()]
        given = [value(12, name, FLOAT, shape) for name, shape in outputs.items()]
        graph = block(7, *self.nodes, text(2, "test"), *self.constants, *asked, *given)
        return number(1, 8) + graph + block(8, text(1, ""), number(2, 17))


def value(key: int, name: str, kind: int, shape: list[str | int]) -> bytes:
    dims = [block(1, number(1, each) if isinstance(each, int) else text(2, each)) for each in shape]
    return block(key, text(1, name), block(2, block(1, number(1, kind), block(2, *dims))))


def attribute(name: str, content: Any) -> bytes:
    """Encode an attribute: a whole number, several, or a fraction."""
    if isinstance(content, list):
        return text(1, name) + b"".join(number(8, each) for each in content) + number(20, 7)
    if isinstance(content, float):
        return text(1, name) + tag(2, 5) + np.float32(content).tobytes() + number(20, 1)
    return text(1, name) + number(3, content) + number(20, 2)


def block(key: int, *parts: bytes) -> bytes:
    return tag(key, 2) + varint(sum(map(len, parts))) + b"".join(parts)


def text(key: int, content: str) -> bytes:
    return block(key, content.encode())


def number(key: int, content: int) -> bytes:
    return tag(key, 0) + varint(content % 2**64)


def tag(key: int, kind: int) -> bytes:
    return varint(key << 3 | kind)


def varint(content: int) -> bytes:
    """Encode seven bits a byte, the lowest first; all but the last have the high bit."""
    result = bytearray()
    while content > 127:
        result.append(content & 127 | 128)
        content >>= 7
    return bytes([*result, content])
