"""The shape of a generated kernel: groups of axes cut into tiles with offsets known beforehand.

A tile covers a few positions of a group of axes. Their offsets relative to the first one are baked
into the code; where that one lies is read from a table, a row per tile. Tiles with the same
relative offsets are one *kind* and share their code; the table is sorted by kind. So tiles fit any
sizes exactly (257 rows are 41 tiles of six and one of five, or so), may span several axes, and
nothing is rounded up to whole tiles in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from tensorloom.kernels.wasm.element import Element

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, LoopAxis
    from tensorloom.kernels.wasm.jit_candidate import Candidate

__all__ = ["Cut", "Level", "Shape", "Tile", "shape_of"]

Axis = tuple[int, int, int]
"""Size, then strides in the operand and the result [bytes]; for summed axes, in both operands."""

Level = tuple[int, int, int]
"""A loop over summed positions: number of steps, then how far each step moves left and right."""

_PERIOD = 64
"""Positions up to which tiles may span axes: more kinds of tiles are more code."""

_KINDS = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """Offsets of a tile's positions relative to its lowest one [bytes].

    Args:
        operand: In the operand.
        out: In the result.
    """

    operand: tuple[int, ...]
    out: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A group of axes cut into tiles.

    Args:
        kinds: The different tiles.
        starts: First tile of each kind, and last the number of all.
        table: Offset of each tile in the operand and in the result [bytes].
    """

    kinds: tuple[Tile, ...]
    starts: tuple[int, ...]
    table: NDArray[np.int64]

    @property
    def lanes(self) -> int:
        """Positions of the largest tile."""
        return max(len(kind.operand) for kind in self.kinds)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A spec seen through a candidate.

    Args:
        rows: Tiles of rows.
        columns: Tiles of columns.
        batch: Offsets of each item in left, right and result [bytes].
        levels: Loops over summed positions, innermost first; a block has them all, the last one's
            number of steps is the block's own.
        blocks: For each block its offsets in left and right and the steps of the last level.
    """

    rows: Cut
    columns: Cut
    batch: NDArray[np.int64]
    levels: tuple[Level, ...]
    blocks: NDArray[np.int64]

    @property
    def inner(self) -> int:
        """Summed positions of one step of the last level."""
        return prod(level[0] for level in self.levels[:-1])

    @property
    def steps(self) -> int | None:
        """Steps of the last level where all blocks agree."""
        counts = {int(count) for count in self.blocks[:, 2]}
        return counts.pop() if len(counts) == 1 else None

    @property
    def depth(self) -> int:
        """Most summed positions of a block."""
        return self.inner * int(self.blocks[:, 2].max())


def shape_of(spec: KernelSpec, candidate: Candidate) -> Shape:
    """The shape of a spec, already turned, for a candidate; its parts are kept for others."""
    element = Element(spec.dtype, relaxed=True)
    size = element.bytes
    rows = [(axis.size, size * axis.left, size * axis.out) for axis in _row_order(spec, candidate)]
    columns = [(axis.size, size * axis.right, size * axis.out) for axis in reversed(spec.columns)]
    levels, blocks = _blocks(_summed(spec, size, candidate), candidate.depth)
    return Shape(
        rows=_cut(tuple(rows), candidate.rows, even=True),
        columns=_cut(tuple(columns), candidate.columns, even=False),
        batch=_items(spec.batch, size),
        levels=levels,
        blocks=blocks,
    )


@lru_cache(maxsize=64)
def _items(axes: tuple[LoopAxis, ...], size: int) -> NDArray[np.int64]:
    """Offsets of each item of the batch in left, right and result [bytes]."""
    sides: tuple[Literal["left", "right", "out"], ...] = ("left", "right", "out")
    columns = [
        _positions([(axis.size, size * getattr(axis, side)) for axis in reversed(axes)])
        for side in sides
    ]
    return np.stack(columns, axis=1)


def _row_order(spec: KernelSpec, candidate: Candidate) -> list[LoopAxis]:
    """Row axes, innermost first: as the result lies, or as the left operand where sums are long.

    Rows far apart in the operand fight for the same cache lines.
    """
    axes = list(reversed(spec.rows))
    along = any(axis.left == 1 and axis.size >= candidate.rows for axis in axes)
    if along and spec.extents[3] >= _LONG:
        axes.sort(key=lambda axis: axis.left)
    return axes


_LONG = 16


def _summed(spec: KernelSpec, size: int, candidate: Candidate) -> tuple[Axis, ...]:
    """The summed axes, innermost first: blocks read whole cache lines of both operands.

    The vectors of dot products run along the axis that is contiguous in both, also where another
    one stands still in one of them.
    """

    def reach(axis: LoopAxis) -> tuple[bool, int, int, int]:
        runs = candidate.family == "dot" and axis.left == axis.right == 1
        return not runs, min(axis.left, axis.right), max(axis.left, axis.right), axis.left

    order = sorted(spec.contracted, key=reach)
    return tuple((axis.size, size * axis.left, size * axis.right) for axis in order)


def _positions(axes: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Offsets of all positions of axes given as size and stride, innermost first."""
    offsets = np.zeros(1, np.int64)
    for size, stride in axes:
        offsets = (np.arange(size)[:, None] * stride + offsets).ravel()
    return offsets


@lru_cache(maxsize=256)
def _cut(axes: tuple[Axis, ...], wanted: int, *, even: bool) -> Cut:
    """Tiles of about ``wanted`` positions; candidates share them.

    Args:
        axes: Innermost first.
        wanted: Most positions of a tile.
        even: Whether tiles share what does not divide; else one is smaller.
    """
    axes = axes or ((1, 0, 0),)
    spanned = 1
    period = axes[0][0]
    while (
        period % wanted
        and period < 2 * wanted
        and spanned < len(axes)
        and period * axes[spanned][0] <= _PERIOD
    ):
        period *= axes[spanned][0]
        spanned += 1
    for count in range(spanned, 0, -1):
        made = _tiles(axes, count, wanted, even=even)
        if len(made.kinds) <= _KINDS:
            return made
    return made


def _tiles(axes: tuple[Axis, ...], spanned: int, wanted: int, *, even: bool) -> Cut:
    """Tiles within the first ``spanned`` axes, repeated over the others."""
    inner, outer = axes[:spanned], axes[spanned:]
    starts, sizes = _pieces(prod(axis[0] for axis in inner), wanted, even=even)
    outside = [_positions([(axis[0], axis[side]) for axis in outer]) for side in (1, 2)]
    tables: dict[Tile, list[NDArray[np.int64]]] = {}
    if spanned == 1:
        # All tiles of a size are alike: no need to look at each.
        _, *strides = inner[0]
        for size in sorted(set(sizes.tolist()), reverse=True):
            steps = range(size)
            alike = Tile(*(tuple(stride * step for step in steps) for stride in strides))
            at = starts[sizes == size]
            tables[alike] = [np.stack([at * stride for stride in strides], axis=1)]
    else:
        offsets = [_positions([(axis[0], axis[side]) for axis in inner]) for side in (1, 2)]
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            # Relative to the lowest: offsets in instructions are never negative.
            first = [int(values[start : start + size].min()) for values in offsets]
            here = Tile(
                *(
                    tuple((values[start : start + size] - base).tolist())
                    for values, base in zip(offsets, first, strict=True)
                )
            )
            tables.setdefault(here, []).append(np.array([first], np.int64))
    return _gathered(tables, np.stack(outside, axis=1))


def _gathered(tables: dict[Tile, list[NDArray[np.int64]]], outside: NDArray[np.int64]) -> Cut:
    ends, parts = [0], []
    for rows in tables.values():
        inside = np.concatenate(rows)
        parts.append((outside[:, None, :] + inside[None, :, :]).reshape(-1, 2))
        ends.append(ends[-1] + len(parts[-1]))
    return Cut(tuple(tables), tuple(ends), np.concatenate(parts))


def _pieces(total: int, wanted: int, *, even: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and sizes of pieces of at most ``wanted``."""
    if even:
        count = ceil(total / wanted)
        low, larger = divmod(total, count)
        sizes = np.full(count, low, np.int64)
        sizes[:larger] += 1
    else:
        sizes = np.full(ceil(total / wanted), wanted, np.int64)
        sizes[-1] = total - wanted * (len(sizes) - 1)
    return np.cumsum(sizes) - sizes, sizes


@lru_cache(maxsize=64)
def _blocks(summed: tuple[Axis, ...], wanted: int) -> tuple[tuple[Level, ...], NDArray[np.int64]]:
    """Summed axes as loops, and the blocks they are cut into."""
    axes = _joined([axis for axis in summed if axis[0] > 1]) or [(1, 0, 0)]
    total = prod(axis[0] for axis in axes)
    if not wanted or 2 * total <= 3 * wanted:
        return tuple(axes), np.array([[0, 0, axes[-1][0]]], np.int64)
    inner, at = 1, 0
    while inner * axes[at][0] <= wanted:
        inner *= axes[at][0]
        at += 1
    size, left, right = axes[at]
    step = max(1, wanted // inner)
    step = ceil(size / ceil(size / step))
    step = -(-step // 4) * 4 if inner == 1 else step
    cuts = [
        (start * left, start * right, min(step, size - start)) for start in range(0, size, step)
    ]
    outer = axes[at + 1 :]
    blocks = [
        [
            begin_left + sum(i * axis[1] for i, axis in zip(place, outer, strict=True)),
            begin_right + sum(i * axis[2] for i, axis in zip(place, outer, strict=True)),
            count,
        ]
        for place in product(*(range(axis[0]) for axis in outer))
        for begin_left, begin_right, count in cuts
    ]
    return (*axes[:at], (step, left, right)), np.array(blocks, np.int64)


def _joined(axes: list[Axis]) -> list[Axis]:
    """Neighbouring axes that step like one made one; innermost first."""
    joined: list[Axis] = []
    for size, left, right in axes:
        if joined:
            inner = joined[-1]
            if (left, right) == (inner[0] * inner[1], inner[0] * inner[2]):
                joined[-1] = (inner[0] * size, inner[1], inner[2])
                continue
        joined.append((size, left, right))
    return joined
