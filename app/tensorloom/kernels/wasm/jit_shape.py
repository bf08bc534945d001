"""The shape of a generated kernel: groups of axes cut into tiles with offsets known beforehand.

A tile covers a few positions of a group of axes. Their offsets relative to the first one are baked
into the code; where that one lies is read from a table, a row per tile. Tiles with the same
relative offsets are one *kind* and share their code; the table is sorted by kind. So tiles fit any
sizes exactly (257 rows are 41 tiles of six and one of five, or so), may span several axes, and
nothing is rounded up to whole tiles in memory.

Kinds and counts are plain numbers, all that a ranking of candidates asks for; tables are made when
somebody reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from math import ceil, prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, LoopAxis
    from tensorloom.kernels.wasm.jit_candidate import Candidate

__all__ = ["Blocks", "Cut", "Level", "Shape", "Tile", "shape_of"]

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


@dataclass(frozen=True, eq=False)
class Cut:
    """A group of axes cut into tiles.

    Args:
        kinds: The different tiles.
        starts: First tile of each kind, and last the number of all.
        firsts: Offsets of the tiles of each kind in the operand and in the result, within the axes
            that tiles span [bytes].
        outer: The other axes, innermost first.
    """

    kinds: tuple[Tile, ...]
    starts: tuple[int, ...]
    firsts: tuple[tuple[Sequence[int], Sequence[int]], ...]
    outer: tuple[Axis, ...]

    @cached_property
    def lanes(self) -> int:
        """Positions of the largest tile."""
        return max(len(kind.operand) for kind in self.kinds)

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """Offset of each tile in the operand and in the result [bytes]."""
        outside = _both(self.outer)
        inside = [np.array(firsts, np.int64).T for firsts in self.firsts]
        return np.concatenate([_sums(outside, offsets) for offsets in inside])


@dataclass(frozen=True, eq=False)
class Blocks:
    """The summed positions in parts.

    Args:
        axis: The axis that is cut: its size, and its strides in left and right [bytes].
        step: Steps of a block along it; the last one has what is left.
        outer: Axes around it, innermost first.
    """

    axis: Axis
    step: int
    outer: tuple[Axis, ...] = ()

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return ceil(self.axis[0] / self.step) * prod(axis[0] for axis in self.outer)

    @cached_property
    def steps(self) -> int:
        """Steps of all of them together."""
        return self.axis[0] * prod(axis[0] for axis in self.outer)

    @property
    def alike(self) -> bool:
        """Whether all have as many steps."""
        return self.axis[0] % self.step == 0

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """For each block its offsets in left and right [bytes] and its steps."""
        size, left, right = self.axis
        starts = np.arange(0, size, self.step)
        counts = np.minimum(self.step, size - starts)
        outside = np.pad(_both(self.outer[::-1]), ((0, 0), (0, 1)))
        return _sums(outside, np.stack([starts * left, starts * right, counts], axis=1))


@dataclass(frozen=True, eq=False)
class Shape:
    """A spec seen through a candidate.

    Args:
        rows: Tiles of rows.
        columns: Tiles of columns.
        batch: Axes of the batch.
        item_bytes: Size of an element [bytes].
        levels: Loops over summed positions, innermost first; a block has them all, the last one's
            number of steps is the block's own.
        blocks: What the summed positions are cut into.
    """

    rows: Cut
    columns: Cut
    batch: tuple[LoopAxis, ...]
    item_bytes: int
    levels: tuple[Level, ...]
    blocks: Blocks

    @cached_property
    def items(self) -> int:
        """Items of the batch."""
        return prod(axis.size for axis in self.batch)

    @property
    def item_table(self) -> NDArray[np.int64]:
        """Offsets of each item of the batch in left, right and result [bytes]."""
        return _items(self.batch, self.item_bytes)

    @cached_property
    def inner(self) -> int:
        """Summed positions of one step of the last level."""
        return prod(level[0] for level in self.levels[:-1])

    @property
    def steps(self) -> int | None:
        """Steps of the last level where all blocks agree."""
        return self.blocks.step if self.blocks.alike else None

    @cached_property
    def depth(self) -> int:
        """Most summed positions of a block."""
        return self.inner * self.blocks.step


def shape_of(spec: KernelSpec, candidate: Candidate) -> Shape:
    """The shape of a spec, already turned, for a candidate; its parts are kept for others."""
    size = ITEM_BYTES[spec.dtype]
    rows = [(axis.size, size * axis.left, size * axis.out) for axis in _row_order(spec, candidate)]
    columns = [(axis.size, size * axis.right, size * axis.out) for axis in reversed(spec.columns)]
    levels, blocks = _blocks(_summed(spec, size, candidate), candidate.depth)
    return Shape(
        rows=_cut(tuple(rows), candidate.rows, even=True),
        columns=_cut(tuple(columns), candidate.columns, even=False),
        batch=spec.batch,
        item_bytes=size,
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


def _both(axes: tuple[Axis, ...]) -> NDArray[np.int64]:
    """Offsets of all positions of axes on both of their sides, innermost first."""
    sides = [_positions([(axis[0], axis[side]) for axis in axes]) for side in (1, 2)]
    return np.stack(sides, axis=1)


def _sums(outside: NDArray[np.int64], inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row of the one with all rows of the other added to it."""
    return (outside[:, None, :] + inside[None, :, :]).reshape(-1, inside.shape[1])


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
    pieces = _pieces(prod(axis[0] for axis in inner), wanted, even=even)
    firsts = _alike(inner[0], pieces) if spanned == 1 else _compared(inner, pieces)
    around = prod(axis[0] for axis in outer)
    counts = [around * len(operand) for operand, _ in firsts.values()]
    starts = tuple(accumulate(counts, initial=0))
    return Cut(tuple(firsts), starts, tuple(firsts.values()), outer)


def _alike(
    axis: Axis, pieces: list[tuple[int, int, int]]
) -> dict[Tile, tuple[Sequence[int], Sequence[int]]]:
    """Tiles along one axis, where all of a size are alike: no need to look at each."""
    _, *strides = axis
    found: dict[Tile, tuple[Sequence[int], Sequence[int]]] = {}
    for start, count, size in pieces:
        operand, out = (tuple(stride * step for step in range(size)) for stride in strides)
        firsts = [_steps(stride * start, count, stride * size) for stride in strides]
        found[Tile(operand, out)] = firsts[0], firsts[1]
    return found


def _steps(start: int, count: int, step: int) -> Sequence[int]:
    """So many numbers, equally far apart."""
    return range(start, start + count * step, step) if step else (start,) * count


def _compared(
    axes: tuple[Axis, ...], pieces: list[tuple[int, int, int]]
) -> dict[Tile, tuple[Sequence[int], Sequence[int]]]:
    """Tiles across some axes of few positions."""
    offsets = []
    for side in (1, 2):
        made = [0]
        for axis in axes:
            made = [axis[side] * step + offset for step in range(axis[0]) for offset in made]
        offsets.append(made)
    found: dict[Tile, tuple[list[int], list[int]]] = {}
    for start, count, size in pieces:
        for at in range(start, start + count * size, size):
            parts = [values[at : at + size] for values in offsets]
            # Relative to the lowest: offsets in instructions are never negative.
            first = [min(part) for part in parts]
            operand, out = (
                tuple(offset - base for offset in part)
                for part, base in zip(parts, first, strict=True)
            )
            for known, base in zip(
                found.setdefault(Tile(operand, out), ([], [])), first, strict=True
            ):
                known.append(base)
    return dict(found)


def _pieces(total: int, wanted: int, *, even: bool) -> list[tuple[int, int, int]]:
    """Pieces of at most ``wanted``, larger ones first: start, number and size of those alike."""
    if even:
        count = ceil(total / wanted)
        size, larger = divmod(total, count)
        pieces = [(0, larger, size + 1), (larger * (size + 1), count - larger, size)]
    else:
        whole, rest = divmod(total, wanted)
        pieces = [(0, whole, wanted), (whole * wanted, 1 if rest else 0, rest)]
    return [piece for piece in pieces if piece[1]]


@lru_cache(maxsize=64)
def _blocks(summed: tuple[Axis, ...], wanted: int) -> tuple[tuple[Level, ...], Blocks]:
    """Summed axes as loops, and the blocks they are cut into."""
    axes = _joined([axis for axis in summed if axis[0] > 1]) or [(1, 0, 0)]
    total = prod(axis[0] for axis in axes)
    if not wanted or 2 * total <= 3 * wanted:
        return tuple(axes), Blocks(axis=axes[-1], step=axes[-1][0])
    inner, at = 1, 0
    while inner * axes[at][0] <= wanted:
        inner *= axes[at][0]
        at += 1
    size, left, right = axes[at]
    step = max(1, wanted // inner)
    step = ceil(size / ceil(size / step))
    step = min(size, -(-step // 4) * 4) if inner == 1 else step
    blocks = Blocks(axis=axes[at], step=step, outer=tuple(axes[at + 1 :]))
    return (*axes[:at], (step, left, right)), blocks


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
