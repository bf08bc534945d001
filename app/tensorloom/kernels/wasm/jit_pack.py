"""Packing for generated kernels: a tile's elements side by side, summed position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import apply, i32
from tensorloom.kernels.wasm.jit_code import Nest, get, memory, put, shuffled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.wasm.assembler import Function, Local, Module
    from tensorloom.kernels.wasm.element import Element
    from tensorloom.kernels.wasm.jit_code import Step
    from tensorloom.kernels.wasm.jit_shape import Level

__all__ = ["define_pack", "joined_levels", "panel_levels"]

_MOVES = ((16, "v128"), (8, "f64"), (4, "f32"))
_UNROLL = 4
_SQUARE = 4
"""Single-precision numbers in a vector: they are transposed by fours."""


def panel_levels(levels: Sequence[Level], side: int, panel: int) -> tuple[Level, ...]:
    """The loops with one operand's strides, left 1 or right 2, and those in a panel.

    Args:
        levels: Innermost first.
        side: Which operand.
        panel: Bytes of one summed position in the panel.
    """
    made: list[Level] = []
    for level in levels:
        made.append((level[0], level[side], panel))
        panel *= level[0]
    return tuple(made)


def joined_levels(levels: Sequence[Level], *, known: bool) -> tuple[Level, ...]:
    """The loops with neighbours that step like one made one; a last count that varies stays."""
    made: list[Level] = []
    for number, (count, first, second) in enumerate(levels):
        free = known or number < len(levels) - 1
        if made and free:
            inner = made[-1]
            if (first, second) == (inner[0] * inner[1], inner[0] * inner[2]):
                made[-1] = (count * inner[0], inner[1], inner[2])
                continue
        made.append((count, first, second))
    return tuple(made)


def define_pack(
    module: Module,
    element: Element,
    offsets: Sequence[int],
    levels: Sequence[Level],
    *,
    known: bool,
) -> Function:
    """A function that packs a tile.

    Parameters: the operand at the tile, the panel, steps of the last level (not read if known).

    Args:
        module: Where it goes.
        element: Type of the numbers.
        offsets: Those of the tile's elements in the operand [bytes].
        levels: Loops: steps, strides in the operand and in the panel.
        known: Whether all blocks have the last level's number of steps.
    """
    pack = module.function(None, ("i32",) * 3)
    source, target, steps = pack.parameters
    counters = [pack.local("i32") for _ in levels]
    pointers = source, target
    copy = _copy(pointers, offsets, element.bytes)
    count, stride, panel = levels[0]
    apart = len(offsets) >= _SQUARE and offsets[1] - offsets[0] != element.bytes
    if not (stride == element.bytes == _SQUARE and len(levels) == 1 and apart):
        nest = Nest(levels, None if known else steps, pointers, counters)
        pack.write(nest.code(copy, _UNROLL, _UNROLL))
        return pack
    # The operand runs along the summed axis: squares are read along it and written across.
    squares, single = pack.local("i32"), pack.local("i32")
    pack.set(squares, i32(count // _SQUARE) if known else apply("i32.shr_u", steps, i32(2)))
    pack.set(single, i32(count % _SQUARE) if known else steps & (_SQUARE - 1))
    vectors = [pack.local("v128") for _ in range(_SQUARE)]
    halves = [pack.local("v128") for _ in range(_SQUARE)]
    step = _square(pointers, offsets, panel, (vectors, halves))
    square = (1, _SQUARE * stride, _SQUARE * panel)
    pack.write(Nest((square,), squares, pointers, counters).code(step, 1, 1))
    pack.write(Nest(((1, stride, panel),), single, pointers, counters).code(copy, 1, 1))
    return pack


def _copy(pointers: tuple[Local, Local], offsets: Sequence[int], size: int) -> Step:
    """Moves a tile's elements of one summed position, as many at a time as lie side by side."""
    source, target = (get(pointer) for pointer in pointers)
    moves: list[tuple[str, int, int]] = []
    at = 0
    while at < len(offsets):
        run = 1
        while at + run < len(offsets) and offsets[at + run] == offsets[at] + size * run:
            run += 1
        n_bytes, name = next(move for move in _MOVES if size <= move[0] <= size * run)
        moves.append((name, offsets[at], at * size))
        at += n_bytes // size

    def step(read: int, written: int) -> bytes:
        return b"".join(
            target
            + source
            + memory(f"{name}.load", offset + read)
            + memory(f"{name}.store", place + written)
            for name, offset, place in moves
        )

    return step


def _square(
    pointers: tuple[Local, Local],
    offsets: Sequence[int],
    panel: int,
    spare: tuple[list[Local], list[Local]],
) -> Step:
    """Transposes squares of single-precision numbers; what is left over goes one by one."""
    source, target = pointers
    vectors, halves = spare
    whole = len(offsets) // _SQUARE * _SQUARE

    def step(read: int, written: int) -> bytes:
        code = b""
        for at in range(0, whole, _SQUARE):
            for vector, offset in zip(vectors, offsets[at : at + _SQUARE], strict=True):
                code += get(source) + memory("v128.load", offset + read) + put(vector)
            code += _transpose(vectors, halves)
            for k, vector in enumerate(vectors):
                place = written + k * panel + at * _SQUARE
                code += get(target) + get(vector) + memory("v128.store", place)
        for at in range(whole, len(offsets)):
            for k in range(_SQUARE):
                code += get(target) + get(source)
                code += memory("f32.load", offsets[at] + read + 4 * k)
                code += memory("f32.store", written + k * panel + 4 * at)
        return code

    return step


def _lanes(numbers: Sequence[int]) -> bytes:
    return shuffled([4 * number + byte for number in numbers for byte in range(4)])


_LOW, _HIGH = _lanes((0, 4, 1, 5)), _lanes((2, 6, 3, 7))
_FIRST, _SECOND = _lanes((0, 1, 4, 5)), _lanes((2, 3, 6, 7))


def _transpose(vectors: list[Local], halves: list[Local]) -> bytes:
    a, b, c, d = (get(vector) for vector in vectors)
    code = a + b + _LOW + put(halves[0]) + a + b + _HIGH + put(halves[1])
    code += c + d + _LOW + put(halves[2]) + c + d + _HIGH + put(halves[3])
    for row, (half, picked) in enumerate(((0, _FIRST), (0, _SECOND), (1, _FIRST), (1, _SECOND))):
        code += get(halves[half]) + get(halves[half + 2]) + picked + put(vectors[row])
    return code
