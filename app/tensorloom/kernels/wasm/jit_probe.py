"""Which results prove a generated kernel: one tile of every kind, at the true shape. Pure.

Such a kernel has no smaller shape to be tried on. A tile of each kind runs all of its code; what it
reads and writes is known position by position, so only that must be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.kernels.wasm.jit_shape import shape_of
from tensorloom.kernels.wasm.schedule import exchanged
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, LoopAxis, Side
    from tensorloom.kernels.wasm.jit_candidate import Candidate

__all__ = ["ProbeTile", "probe_tiles", "spans"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProbeTile:
    """One tile: ``out = left @ right.T`` at these places.

    Args:
        ranges: Batch, rows and columns of its record.
        left: Places in the kernel's left operand, row by summed position [elements].
        right: The same for its right operand, column by summed position.
        out: Places in the result, row by column.
    """

    ranges: tuple[int, int, int, int, int, int]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    out: NDArray[np.int64]


def spans(spec: KernelSpec, candidate: Candidate) -> tuple[int, int, int]:
    """Elements that the kernel's left and right operand and its result reach over."""
    seen = exchanged(spec) if candidate.turned else spec
    return seen.reach("left"), seen.reach("right"), seen.reach("out")


def probe_tiles(spec: KernelSpec, candidate: Candidate) -> Iterator[ProbeTile]:
    """The last tile of every kind, in the batch's last item."""
    seen = exchanged(spec) if candidate.turned else spec
    shape = shape_of(seen, candidate)
    size = ITEM_BYTES[spec.dtype]
    item = shape.items - 1
    start = [int(offset) // size for offset in shape.item_table[item]]
    summed = [_positions(seen.contracted, side) for side in ("left", "right")]
    kinds = product(range(len(shape.rows.kinds)), range(len(shape.columns.kinds)))
    for i, j in kinds:
        row, column = shape.rows.starts[i + 1] - 1, shape.columns.starts[j + 1] - 1
        (left, row_out), (right, column_out) = (
            [
                (np.array(offsets) + cut.table[tile, side]) // size
                for side, offsets in enumerate((cut.kinds[kind].operand, cut.kinds[kind].out))
            ]
            for cut, kind, tile in ((shape.rows, i, row), (shape.columns, j, column))
        )
        yield ProbeTile(
            ranges=(item, item + 1, row, row + 1, column, column + 1),
            left=start[0] + left[:, None] + summed[0],
            right=start[1] + right[:, None] + summed[1],
            out=start[2] + row_out[:, None] + column_out,
        )


def _positions(axes: tuple[LoopAxis, ...], side: Side) -> NDArray[np.int64]:
    offsets = np.zeros(1, np.int64)
    for axis in axes:
        steps = np.arange(axis.size, dtype=np.int64) * getattr(axis, side)
        offsets = (offsets[:, None] + steps).ravel()
    return offsets
