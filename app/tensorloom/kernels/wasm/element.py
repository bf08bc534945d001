"""Element types as WASM kernels see them: bytes, lanes, and the instructions that multiply and add.

One idea carries all four types: a tile row is always two vectors, thirty-two bytes. Real types put
their columns side by side; complex types keep the real parts in the first vector and the imaginary
parts in the second, so complex arithmetic runs at full vector speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tensorloom.kernels.wasm.assembler import Expression, apply, f32, f64, load, shuffle

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Function
    from tensorloom.model.recipe import DType

__all__ = ["ROW_BYTES", "Element", "WasmFeatures"]

ROW_BYTES = 32
"""Bytes of one tile row: two vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmFeatures:
    """What the engine can do, found by trying.

    Args:
        simd: 128-bit vectors.
        relaxed_simd: Fused multiply-add among them.
    """

    simd: bool = True
    relaxed_simd: bool = True


@dataclass(frozen=True, slots=True)
class Element:
    """The element type of a kernel on an engine.

    Args:
        dtype: Element type.
        relaxed: Whether fused multiply-add may be used.
    """

    dtype: DType
    relaxed: bool

    @property
    def complex(self) -> bool:
        """Whether an element is two scalars."""
        return self.dtype.startswith("complex")

    @property
    def scalar(self) -> Literal["f32", "f64"]:
        """Type of a real or imaginary part."""
        return "f32" if self.dtype in ("float32", "complex64") else "f64"

    @property
    def scalar_bytes(self) -> int:
        """Size of a real or imaginary part [bytes]."""
        return 4 if self.scalar == "f32" else 8

    @property
    def bytes(self) -> int:
        """Size of an element [bytes]."""
        return self.scalar_bytes * (2 if self.complex else 1)

    @property
    def lanes(self) -> int:
        """Scalars in a vector."""
        return 16 // self.scalar_bytes

    @property
    def columns(self) -> int:
        """Elements in a tile row."""
        return ROW_BYTES // self.bytes

    @property
    def rows(self) -> int:
        """Most tile rows whose sums stay in registers.

        Two accumulators per row, two vectors of the right operand and one of the left make 15, what
        x86-64 engines have; without fused multiply-add the product needs one more.
        """
        return 6 if self.relaxed else 5

    @property
    def mover(self) -> str:
        """Prefix of the load and store that move one whole element."""
        return {4: "f32", 8: "f64", 16: "v128"}[self.bytes]

    def zero(self) -> Expression:
        """A scalar zero."""
        return f32(0.0) if self.scalar == "f32" else f64(0.0)

    def vector(self, name: str, *operands: Expression) -> Expression:
        """The vector instruction of that name for this element's scalars."""
        shape = "f32x4" if self.scalar == "f32" else "f64x2"
        return apply(f"{shape}.{name}", *operands)

    def splat(self, address: Expression, offset: int = 0) -> Expression:
        """The scalar in memory in every lane."""
        return load(f"v128.load{self.scalar_bytes * 8}_splat", address, offset)

    def multiply_add(self, a: Expression, b: Expression, c: Expression) -> Expression:
        """``c + a * b`` by lanes."""
        if self.relaxed:
            return self.vector("relaxed_madd", a, b, c)
        return self.vector("add", c, self.vector("mul", a, b))

    def multiply_subtract(self, a: Expression, b: Expression, c: Expression) -> Expression:
        """``c - a * b`` by lanes."""
        if self.relaxed:
            return self.vector("relaxed_nmadd", a, b, c)
        return self.vector("sub", c, self.vector("mul", a, b))

    def evens(self, first: Expression, second: Expression) -> Expression:
        """Lanes 0, 2, ... of both vectors: the real parts of interleaved numbers."""
        return self._lanes(first, second, range(0, 2 * self.lanes, 2))

    def odds(self, first: Expression, second: Expression) -> Expression:
        """Lanes 1, 3, ... of both vectors: the imaginary parts."""
        return self._lanes(first, second, range(1, 2 * self.lanes, 2))

    def interleaved(self, first: Expression, second: Expression, half: int) -> Expression:
        """Half 0 or 1 of the lanes of both vectors taken in turn: parts back to numbers."""
        start = half * self.lanes // 2
        pairs = range(start, start + self.lanes // 2)
        return self._lanes(first, second, [n for i in pairs for n in (i, i + self.lanes)])

    def swapped(self, vector: Expression) -> Expression:
        """Neighbouring lanes exchanged: (im, re) of each interleaved number."""
        return self._lanes(vector, vector, [lane ^ 1 for lane in range(self.lanes)])

    def twice(self, vector: Expression, part: int) -> Expression:
        """The real (0) or imaginary (1) part of each interleaved number in both its lanes."""
        return self._lanes(vector, vector, [lane // 2 * 2 + part for lane in range(self.lanes)])

    def _lanes(self, first: Expression, second: Expression, lanes: range | list[int]) -> Expression:
        size = self.scalar_bytes
        return shuffle(first, second, [n * size + byte for n in lanes for byte in range(size)])

    def load_row(
        self, function: Function, address: Expression, offset: int = 0
    ) -> list[Expression]:
        """The two vectors of a tile row whose elements lie side by side in memory."""
        first = function.variable(load("v128.load", address, offset))
        second = function.variable(load("v128.load", address, offset + 16))
        if not self.complex:
            return [first, second]
        return [self.evens(first, second), self.odds(first, second)]
