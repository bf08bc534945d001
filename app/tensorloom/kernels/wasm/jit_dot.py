"""Tiles of dot products: vectors run along a summed axis that is contiguous in both operands.

Where rows and columns are few and sums are long, nothing is splat and nothing gathered: each vector
that is loaded takes part in a whole row or column of products. Small tiles have several sums for
each product, so that none waits for itself; vectors are added up across only in the end. Complex
products are

    same  = sum of (re a re b, im a im b)
    cross = sum of (re a im b, im a re b)

and the result is ``same[0] - same[1]``, ``cross[0] + cross[1]``.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.jit_code import Nest, advance, get, memory, op, put, shuffled
from tensorloom.kernels.wasm.jit_sums import VECTOR_BYTES, ZERO, TileSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tensorloom.kernels.wasm.assembler import Function, Local
    from tensorloom.kernels.wasm.element import Element
    from tensorloom.kernels.wasm.jit_code import Step
    from tensorloom.kernels.wasm.jit_shape import Tile

__all__ = ["Dots"]

_WAITING = 8
"""Multiply-adds that an engine has under way: two each cycle, four cycles each."""

_UNROLL = 8


class Dots(TileSums):
    """The dot products of one tile.

    Args:
        function: Whose registers they are.
        element: Type of the numbers.
        rows: The tile of rows.
        columns: The tile of columns.
    """

    def __init__(self, function: Function, element: Element, rows: Tile, columns: Tile) -> None:
        self.parts = 2 if element.complex else 1
        self.rows, self.columns = rows.operand, columns.operand
        self.copies = max(1, _WAITING // (len(self.rows) * len(self.columns) * self.parts))
        sums = [
            [[function.local("v128") for _ in range(self.parts * self.copies)] for _ in columns.out]
            for _ in rows.out
        ]
        places = [[(row + column,) for column in columns.out] for row in rows.out]
        self.right = [[function.local("v128") for _ in range(self.parts)] for _ in columns.out]
        super().__init__(element, places, sums, function.local("v128"))

    def summed(self, nest: Nest) -> bytes:
        """Code that adds up the products of all summed positions: by vectors, then the rest."""
        (count, left, right), *outer = nest.levels
        size = self.element.bytes
        assert left == right == size
        vectors, rest = divmod(count, VECTOR_BYTES // size)
        code = b""
        if vectors:
            level = (vectors, VECTOR_BYTES, VECTOR_BYTES)
            code += self._nested(nest, [level, *outer], size=VECTOR_BYTES, start=0)
        if rest:
            back = [-steps * stride for steps, *strides in outer[-1:] for stride in strides]
            # The pointers have moved by the last level, which is not always the first.
            back = back or [-vectors * VECTOR_BYTES] * 2
            if vectors:
                for pointer, by in zip(nest.pointers, back, strict=True):
                    code += advance(pointer, by)
            start = vectors * VECTOR_BYTES
            code += self._nested(nest, [(rest, size, size), *outer], size=size, start=start)
        return code

    def _nested(
        self, nest: Nest, levels: Sequence[tuple[int, int, int]], *, size: int, start: int
    ) -> bytes:
        loops = Nest(levels, None, nest.pointers, nest.counters)
        step = self._step(nest.pointers, size, start)
        return loops.code(step, _UNROLL, _UNROLL)

    def _step(self, pointers: tuple[Local, Local], size: int, start: int) -> Step:
        """Code that adds the products of some numbers side by side."""
        turns: Iterator[int] = cycle(range(self.copies))
        turned = shuffled([byte ^ self.element.scalar_bytes for byte in range(VECTOR_BYTES)])

        def step(left: int, right: int) -> bytes:
            copy = next(turns) * self.parts
            code = b""
            for vectors, at in zip(self.right, self.columns, strict=True):
                code += _read(pointers[1], right + start + at, size) + put(vectors[0])
                if self.parts > 1:
                    code += get(vectors[0]) + get(vectors[0]) + turned + put(vectors[1])
            for row, at in zip(self.sums, self.rows, strict=True):
                code += _read(pointers[0], left + start + at, size) + put(self.spare)
                for sums, vectors in zip(row, self.right, strict=True):
                    for part, vector in enumerate(vectors):
                        code += self._product(vector, sums[copy + part])
            return code

        return step

    def _product(self, vector: Local, total: Local) -> bytes:
        pair = get(self.spare) + get(vector)
        if self.element.relaxed:
            return pair + get(total) + op(f"{self.shape}.relaxed_madd") + put(total)
        multiplied = pair + op(f"{self.shape}.mul")
        return get(total) + multiplied + op(f"{self.shape}.add") + put(total)

    def finished(self) -> bytes:
        """Each product added up, in the first lanes of its first sum."""
        code = b""
        for row in self.sums:
            for sums in row:
                for part in range(self.parts):
                    code += get(sums[part])
                    for copy in sums[part + self.parts :: self.parts]:
                        code += get(copy) + op(f"{self.shape}.add")
                    code += put(sums[part])
                    code += self._across(sums[part], 2 * self.element.scalar_bytes)
                code += self._together(sums) if self.parts > 1 else b""
                if self.parts == 1:
                    code += self._across(sums[0], self.element.scalar_bytes)
        return code

    def _across(self, total: Local, distance: int) -> bytes:
        """Adds what lies a distance apart in a vector."""
        if distance >= VECTOR_BYTES:
            return b""
        other = shuffled([(byte + distance) % VECTOR_BYTES for byte in range(VECTOR_BYTES)])
        return get(total) * 2 + other + get(total) + op(f"{self.shape}.add") + put(total)

    def _together(self, sums: Sequence[Local]) -> bytes:
        """Complex sums put together: real part, imaginary part."""
        size = self.element.scalar_bytes
        same, cross = sums[0], sums[1]
        first = [byte % size for byte in range(VECTOR_BYTES)]
        second = [byte + size for byte in first]
        real = get(same) * 2 + shuffled(first) + get(same) * 2 + shuffled(second)
        code = real + op(f"{self.shape}.sub") + put(same)
        code += self._across(cross, size)
        pair = [byte % size + VECTOR_BYTES * (byte // size % 2) for byte in range(VECTOR_BYTES)]
        return code + get(same) + get(cross) + shuffled(pair) + put(same)

    def added(self, c: Local) -> bytes:
        """Dot products are made in one go."""
        raise NotImplementedError(c)


def _read(pointer: Local, offset: int, size: int) -> bytes:
    """Loads some bytes; the others are zero."""
    if size == VECTOR_BYTES:
        return get(pointer) + memory("v128.load", offset)
    return get(pointer) + ZERO + memory(f"v128.load{8 * size}_lane", offset) + b"\0"
