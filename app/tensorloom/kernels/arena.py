"""The arena: one block of memory for all intermediates of a program, reused as they die. Pure."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from tensorloom.kernels.program import Program

__all__ = ["place_buffers"]

_ALIGNMENT = 64
"""A cache line; vectors never straddle two."""


def place_buffers(
    program: Program, groups: Collection[tuple[int, int]] = ()
) -> tuple[tuple[int, ...], int]:
    """``(offsets, total)``: where each intermediate lies in the arena, and its size [bytes].

    Inputs and the result lie elsewhere; their offsets are 0. First fit in the order of the
    dispatches; a freed neighbour is merged, so a chain of equal tensors needs two places.

    Args:
        program: Whose buffers.
        groups: Half-open ranges of dispatches that may be replayed once more from their start: what
            was made before one and is read in it stays there until its end.
    """
    ends = {last - 1 for _, last in groups}
    inside = {place: first for first, last in groups for place in range(first, last)}
    made: dict[int, int] = {}
    waiting: list[int] = []
    offsets = [0] * len(program.buffers)
    free: list[tuple[int, int]] = []
    sizes: dict[int, int] = {}
    total = 0
    for place, dispatch in enumerate(program.dispatches):
        made[dispatch.out] = place
        if dispatch.out != program.result:
            wanted = program.buffers[dispatch.out].elements * ITEM_BYTES[program.dtype]
            wanted = -(-wanted // _ALIGNMENT) * _ALIGNMENT
            at = _taken(free, wanted)
            if at is None:
                at = free.pop()[0] if free and sum(free[-1]) == total else total
                total = at + wanted
            offsets[dispatch.out] = at
            sizes[dispatch.out] = wanted
        for buffer in dispatch.frees:
            if made[buffer] < inside.get(place, 0):
                waiting.append(buffer)
            else:
                _give_back(free, offsets[buffer], sizes[buffer])
        if place in ends:
            for buffer in waiting:
                _give_back(free, offsets[buffer], sizes[buffer])
            waiting.clear()
    return tuple(offsets), total


def _taken(free: list[tuple[int, int]], wanted: int) -> int | None:
    """Takes the first free place that is large enough."""
    for number, (start, size) in enumerate(free):
        if size >= wanted:
            if size == wanted:
                del free[number]
            else:
                free[number] = (start + wanted, size - wanted)
            return start
    return None


def _give_back(free: list[tuple[int, int]], start: int, size: int) -> None:
    """Frees a place and merges it with free neighbours."""
    insort(free, (start, size))
    number = free.index((start, size))
    if number + 1 < len(free) and start + size == free[number + 1][0]:
        size += free.pop(number + 1)[1]
        free[number] = (start, size)
    if number and sum(free[number - 1]) == start:
        free[number - 1] = (free[number - 1][0], free[number - 1][1] + size)
        del free[number]
