"""Tiles of generated kernels: sums in registers, offsets in instructions, results written once.

A *sweep* multiplies one tile of one side with many of the other. Real sums are one vector for each
row and vector of columns. Complex numbers stay interleaved, as they lie in memory: a vector has two
sums, one of products with real parts and one with imaginary parts,

    same  = sum of re(a) * (re b, im b)
    cross = sum of im(a) * (re b, im b)

and the result is ``same + (-im cross, re cross)``, put together once at the end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import load
from tensorloom.kernels.wasm.jit_code import (
    Nest,
    get,
    memory,
    op,
    put,
    read_vector,
    shuffled,
)
from tensorloom.kernels.wasm.jit_dot import Dots
from tensorloom.kernels.wasm.jit_sums import VECTOR_BYTES, TileSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.wasm.assembler import Function, Local, Module
    from tensorloom.kernels.wasm.element import Element
    from tensorloom.kernels.wasm.jit_code import Step
    from tensorloom.kernels.wasm.jit_shape import Level, Tile

__all__ = ["ENTRY_BYTES", "Plan", "define_sweep"]

ENTRY_BYTES = 8
"""A row of a table of tiles: offset in the operand, offset in the result."""

_CONSTANT = b"\xfd\x0c"
_MULTIPLY_ADDS = 48
"""Multiply-adds per turn of the inner loop, about; twice that is written out without a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all tiles of a kernel have in common.

    Args:
        element: Type of the numbers.
        known: Whether all blocks have the last level's number of steps.
        packed: Whether left and right are read from panels.
        inner_rows: Whether a sweep goes through tiles of rows, else of columns.
        adds: Whether there are several blocks, so that results are added up; else the largest
            magnitudes are kept.
        dots: Whether vectors run along the sum.
    """

    element: Element
    known: bool
    packed: tuple[bool, bool]
    inner_rows: bool
    adds: bool
    dots: bool


def define_sweep(
    module: Module, plan: Plan, rows: Tile, columns: Tile, levels: Sequence[Level]
) -> Function:
    """A function that multiplies a tile with those in part of a table.

    Parameters: left, right and result at the tile, first and last entry of the table, whether to
    add, steps of the last level, workspace.

    Args:
        module: Where it goes.
        plan: What all tiles have in common.
        rows: The kind of the tile of rows.
        columns: That of the tile of columns.
        levels: Loops over summed positions, with the strides of what is really read.
    """
    sweep = module.function(None, ("i32",) * 8)
    left, right, out, entry, last, adds, steps, workspace = sweep.parameters
    a, b, c = (sweep.variable(value) for value in (left, right, out))
    tile = (
        Dots(sweep, plan.element, rows, columns) if plan.dots else _Sums(sweep, plan, rows, columns)
    )
    counters = [sweep.local("i32") for _ in levels]
    nest = Nest(levels, None if plan.known else steps, (a, b), counters)
    with sweep.loop() as again:
        # A packed operand goes on where the last tile ended; the other one starts again.
        moving, base, packed = (a, left, 0) if plan.inner_rows else (b, right, 1)
        if not plan.packed[packed]:
            sweep.set(moving, base + load("i32.load", entry))
        standing, start = (b, right) if plan.inner_rows else (a, left)
        sweep.set(standing, start)
        sweep.set(c, out + load("i32.load", entry, 4))
        sweep.write(tile.cleared())
        sweep.write(tile.summed(nest))
        sweep.write(tile.finished())
        if plan.adds:
            with sweep.when(adds):
                sweep.write(tile.added(c))
        else:
            sweep.write(tile.kept(workspace))
        sweep.write(tile.stored(c))
        sweep.set(entry, entry + ENTRY_BYTES)
        sweep.branch(again, entry < last)
    return sweep


class _Sums(TileSums):
    """The sums of one tile and the code that makes them."""

    def __init__(self, function: Function, plan: Plan, rows: Tile, columns: Tile) -> None:
        element = plan.element
        lanes = 16 // element.bytes
        groups = range(0, len(columns.out), lanes)
        size = element.bytes
        self.parts = 2 if element.complex else 1
        self.rows = [size * i for i in range(len(rows.operand))] if plan.packed[0] else rows.operand
        whole = [tuple(16 * number + size * lane for lane in range(lanes)) for number in range(16)]
        self.vectors = [
            whole[at // lanes] if plan.packed[1] else columns.operand[at : at + lanes]
            for at in groups
        ]
        places = [
            [tuple(row + place for place in columns.out[at : at + lanes]) for at in groups]
            for row in rows.out
        ]
        sums = [
            [[function.local("v128") for _ in range(self.parts)] for _ in groups] for _ in rows.out
        ]
        self.right = [function.local("v128") for _ in groups]
        self.factor = function.local("v128")
        super().__init__(element, places, sums, self.factor)

    @property
    def multiply_adds(self) -> int:
        """Instructions per summed position."""
        return len(self.sums) * len(self.right) * self.parts

    def step(self, pointers: tuple[Local, Local]) -> Step:
        """Code that adds the products of one summed position."""
        a, b = pointers
        element, factor = self.element, self.factor
        shape = "f32x4" if element.scalar == "f32" else "f64x2"
        splat = f"v128.load{8 * element.scalar_bytes}_splat"
        fused = op(f"{shape}.relaxed_madd")
        plain = op(f"{shape}.mul") + op(f"{shape}.add")

        def product(vector: Local, total: Local) -> bytes:
            pair = get(factor) + get(vector)
            if element.relaxed:
                return pair + get(total) + fused + put(total)
            return get(total) + pair + plain + put(total)

        products = [
            [
                b"".join(product(v, total[part]) for v, total in zip(self.right, row, strict=True))
                for part in range(self.parts)
            ]
            for row in self.sums
        ]

        def step(left: int, right: int) -> bytes:
            code = [
                read_vector(element, b, vector, tuple(right + at for at in offsets))
                for vector, offsets in zip(self.right, self.vectors, strict=True)
            ]
            for row, at in zip(products, self.rows, strict=True):
                for part, multiplied in enumerate(row):
                    place = left + at + part * element.scalar_bytes
                    code += [get(a), memory(splat, place), put(factor), multiplied]
            return b"".join(code)

        return step

    def summed(self, nest: Nest) -> bytes:
        """Code that adds up the products of all summed positions."""
        unroll = max(1, min(8, _MULTIPLY_ADDS // self.multiply_adds))
        return nest.code(self.step(nest.pointers), unroll, 2 * unroll)

    def finished(self) -> bytes:
        """Complex sums put together."""
        if self.parts == 1:
            return b""
        element = self.element
        shape = "f32x4" if element.scalar == "f32" else "f64x2"
        pair = struct.pack("<ff" if element.scalar == "f32" else "<dd", -1.0, 1.0)
        signs = _CONSTANT + pair * (VECTOR_BYTES // len(pair))
        size = element.scalar_bytes
        turned = shuffled([byte ^ size for byte in range(16)])
        code = b""
        for row in self.sums:
            for same, cross in row:
                code += get(same) + get(cross) + get(cross) + turned + signs
                code += op(f"{shape}.mul") + op(f"{shape}.add") + put(same)
        return code

    def added(self, c: Local) -> bytes:
        """What is in the result added to the sums."""
        code = b""
        for row, places in zip(self.sums, self.places, strict=True):
            for total, place in zip(row, places, strict=True):
                code += read_vector(self.element, c, self.factor, place)
                code += get(total[0]) + get(self.factor) + op(f"{self.shape}.add") + put(total[0])
        return code
