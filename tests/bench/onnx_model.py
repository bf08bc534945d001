"""ONNX models of a contraction, written byte by byte: one graph per formulation.

Only what a matrix product needs of the format: `MatMul`, `Gemm`, `Einsum`, `Transpose`, `Reshape`,
`Add`, `Sub`. Operands are inputs, never constants, so that nothing can be computed beforehand.
Source: onnx.proto of the ONNX project, field numbers as there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["model"]

OPSET = 17
FLOAT, INT64, DOUBLE = 1, 7, 11
ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_INTS = 2, 3, 7
MATRIX_AXES = 2


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    head = _block(1, name)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, ATTRIBUTE_INT)
    if isinstance(value, str):
        return head + _block(4, value) + _number(20, ATTRIBUTE_TEXT)
    return head + b"".join(_number(8, one) for one in value) + _number(20, ATTRIBUTE_INTS)


def _value(name: str, kind: int, shape: Sequence[int]) -> bytes:
    dims = b"".join(_block(1, _number(1, size)) for size in shape)
    return _block(1, name) + _block(2, _block(1, _number(1, kind) + _block(2, dims)))


class _Graph:
    """Nodes as they are written; every method gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []

    def add(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"v{len(self.nodes)}"
        self.nodes.append(
            b"".join(_block(1, one) for one in inputs)
            + _block(2, name)
            + _block(4, kind)
            + b"".join(_block(5, _attribute(key, value)) for key, value in attributes.items())
        )
        return name

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        name = f"s{len(self.constants)}"
        data = struct.pack(f"<{len(shape)}q", *shape)
        self.constants.append(
            _number(1, len(shape)) + _number(2, INT64) + _block(8, name) + _block(9, data)
        )
        return self.add("Reshape", x, name)

    def permute(self, x: str, perm: Sequence[int] | None) -> str:
        return x if perm is None else self.add("Transpose", x, perm=list(perm))

    def side(self, x: str, part: dict[str, Any]) -> str:
        return self.reshape(self.permute(x, part["perm"]), part["shape"])

    def product(self, x: str, y: str, made: dict[str, Any]) -> str:
        flips = made["left"]["transpose"], made["right"]["transpose"]
        axes = len(made["left"]["shape"])
        if axes == MATRIX_AXES and any(flips):
            return self.add("Gemm", x, y, transA=int(flips[0]), transB=int(flips[1]))
        # A transposition of the last two axes is fused into the product by the library.
        last = [*range(axes - 2), axes - 1, axes - 2]
        x, y = (
            self.permute(z, last if flip else None) for z, flip in zip((x, y), flips, strict=True)
        )
        return self.add("MatMul", x, y)

    def finish(self, x: str, made: dict[str, Any], out: str) -> None:
        shaped = x if "einsum" in made else self.reshape(x, made["shape"])
        perm = made.get("perm")
        if perm is None:
            self.add("Identity", shaped, out=out)
        else:
            self.add("Transpose", shaped, out=out, perm=list(perm))


def model(
    made: dict[str, Any],
    shapes: tuple[Sequence[int], Sequence[int], Sequence[int]],
    dtype: str,
    way: str,
) -> bytes:
    """A model with inputs ``a0 (a1) b0 (b1)`` and outputs ``c0 (c1)``: real and imaginary parts.

    Args:
        made: A formulation.
        shapes: Of both operands and of the result.
        dtype: Of the contraction.
        way: ``1 product``, or ``4 products`` or ``3 products`` for complex numbers.
    """
    graph = _Graph()
    parts = ("0", "1") if dtype.startswith("complex") else ("0",)
    names = [[f"{side}{part}" for part in parts] for side in "ab"]
    x, y = names[::-1] if made.get("swap") else names
    if "einsum" not in made:
        x = [graph.side(one, made["left"]) for one in x]
        y = [graph.side(one, made["right"]) for one in y]

    def product(left: str, right: str) -> str:
        if "einsum" in made:
            return graph.add("Einsum", left, right, equation=made["einsum"])
        return graph.product(left, right, made)

    for part, out in enumerate(_combined(graph, product, x, y, way)):
        graph.finish(out, made, f"c{part}")
    kind = DOUBLE if dtype in {"float64", "complex128"} else FLOAT
    inputs = [_value(name, kind, shapes[side]) for side in (0, 1) for name in names[side]]
    outputs = [_value(f"c{part}", kind, shapes[2]) for part in parts]
    return _model(graph, inputs, outputs)


def _combined(graph: _Graph, product: Any, x: list[str], y: list[str], way: str) -> list[str]:
    if way == "1 product":
        return [product(x[0], y[0])]
    if way == "3 products":
        sums = product(graph.add("Add", *x), graph.add("Add", *y))
        re, im = product(x[0], y[0]), product(x[1], y[1])
        return [graph.add("Sub", re, im), graph.add("Sub", graph.add("Sub", sums, re), im)]
    re = graph.add("Sub", product(x[0], y[0]), product(x[1], y[1]))
    return [re, graph.add("Add", product(x[0], y[1]), product(x[1], y[0]))]


def _model(graph: _Graph, inputs: Iterable[bytes], outputs: Iterable[bytes]) -> bytes:
    body = (
        b"".join(_block(1, node) for node in graph.nodes)
        + _block(2, "contraction")
        + b"".join(_block(5, constant) for constant in graph.constants)
        + b"".join(_block(11, value) for value in inputs)
        + b"".join(_block(12, value) for value in outputs)
    )
    return _number(1, 8) + _block(7, body) + _block(8, _block(1, "") + _number(2, OPSET))
