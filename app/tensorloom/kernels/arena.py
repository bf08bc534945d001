"""The arena: one block of memory for all intermediates of a program, reused as they die. Pure."""

from __future__ import annotations

from bisect import insort
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.program import Program

__all__ = ["MOST_FUSED", "place_buffers", "small_runs"]

MOST_FUSED = 16_384
"""Multiply-adds up to which a step is small: its operands fit the first cache."""

_ALIGNMENT = 64
"""A cache line; vectors never straddle two."""

_LOOSE = 1.01
"""Size over what is alive at once from which better places are looked for."""

_SMALL = 1 << 18
"""Size up to which holes do not matter [bytes]."""

_MOST_PACKED = 4000
"""Intermediates up to which they are: it takes the square of their number."""


def small_runs(program: Program, most: int = MOST_FUSED) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of consecutive dispatches that are small, each as long as possible.

    None is partly in the prologue.

    Args:
        program: Where they are.
        most: Multiply-adds up to which a dispatch is small.
    """
    small = [spec.mul_adds <= most for spec in program.kernels]
    kinds = (
        (small[dispatch.kernel], place < program.prologue)
        for place, dispatch in enumerate(program.dispatches)
    )
    runs = []
    first = 0
    for (is_small, _), run in groupby(kinds):
        last = first + len(list(run))
        if is_small:
            runs.append((first, last))
        first = last
    return tuple(runs)


class _Life(NamedTuple):
    """An intermediate: its buffer, its size [bytes], and the dispatches during which it lives."""

    buffer: int
    size: int
    start: int
    stop: int


def _size(life: _Life) -> int:
    return life.size


def _area(life: _Life) -> int:
    return life.size * (life.stop - life.start)


def place_buffers(
    program: Program, runs: Sequence[tuple[int, int]] | None = None
) -> tuple[tuple[int, ...], int]:
    """``(offsets, total)``: where each intermediate lies in the arena, and its size [bytes].

    Inputs and the result lie elsewhere; their offsets are 0. First fit in the order of the
    dispatches comes first; a freed neighbour is merged, so a chain of equal tensors needs two
    places. Where that leaves holes, the largest are placed first, and the best is taken.

    Args:
        program: Whose buffers.
        runs: Ranges of dispatches that may be replayed once more from their start: what was made
            before one and is read in it stays there until its end. By default ``small_runs``, which
            are fused.
    """
    lives = _lives(program, small_runs(program) if runs is None else runs)
    best = _first_fit(lives, len(program.dispatches))
    if best[1] > _SMALL and len(lives) <= _MOST_PACKED:
        least = _LOOSE * _most_alive(lives, len(program.dispatches))
        for urgency in (_size, _area):
            if best[1] > least:
                order = sorted(lives, key=urgency, reverse=True)
                best = min(best, _packed(order), key=itemgetter(1))
    places, total = best
    offsets = [0] * len(program.buffers)
    for buffer, start in places.items():
        offsets[buffer] = start
    return tuple(offsets), total


def _lives(program: Program, runs: Sequence[tuple[int, int]]) -> list[_Life]:
    """The intermediates in the order in which they are made."""
    item = ITEM_BYTES[program.dtype]
    n_dispatches = len(program.dispatches)
    run_of = {place: run for run in runs for place in range(*run)}
    made = {dispatch.out: place for place, dispatch in enumerate(program.dispatches)}
    stops = dict.fromkeys(made, n_dispatches)
    for place, dispatch in enumerate(program.dispatches):
        first, last = run_of.get(place, (place, place + 1))
        for buffer in dispatch.frees:
            stops[buffer] = last if made[buffer] < first else place + 1
    return [
        _Life(
            buffer,
            -(-program.buffers[buffer].elements * item // _ALIGNMENT) * _ALIGNMENT,
            start,
            stops[buffer],
        )
        for buffer, start in made.items()
        if buffer != program.result
    ]


def _most_alive(lives: Sequence[_Life], n_dispatches: int) -> int:
    """The most that lives at once [bytes]: no arena is smaller."""
    changes = [0] * (n_dispatches + 1)
    for life in lives:
        changes[life.start] += life.size
        changes[life.stop] -= life.size
    return int(np.cumsum(changes).max(initial=0))


def _first_fit(lives: Sequence[_Life], n_dispatches: int) -> tuple[dict[int, int], int]:
    """Each where there is room when it is made."""
    ends: list[list[_Life]] = [[] for _ in range(n_dispatches + 1)]
    for life in lives:
        ends[life.stop].append(life)
    places: dict[int, int] = {}
    free: list[tuple[int, int]] = []
    total = reached = 0
    for life in lives:
        for place in range(reached, life.start + 1):
            for ended in ends[place]:
                _give_back(free, places[ended.buffer], ended.size)
        reached = life.start + 1
        at = _taken(free, life.size)
        if at is None:
            at = free.pop()[0] if free and sum(free[-1]) == total else total
            total = at + life.size
        places[life.buffer] = at
    return places, total


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


def _packed(order: Sequence[_Life]) -> tuple[dict[int, int], int]:
    """Each at the lowest place that is free for all of its life, in this order."""
    starts = np.array([life.start for life in order])
    stops = np.array([life.stop for life in order])
    places: dict[int, int] = {}
    total = 0
    for number, life in enumerate(order):
        met = (starts[:number] < life.stop) & (stops[:number] > life.start)
        at = 0
        for low, size in sorted(
            (places[order[other].buffer], order[other].size)
            for other in np.flatnonzero(met).tolist()
        ):
            if low - at >= life.size:
                break
            at = max(at, low + size)
        places[life.buffer] = at
        total = max(total, at + life.size)
    return places, total
