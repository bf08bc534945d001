"""Slices: where each slice of a program starts in the inputs and in the full result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.program import Program

__all__ = ["Slice", "result_axes", "slices_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One choice of values of the sliced indices.

    Args:
        starts: Offset of the first element in each buffer; 0 for what dispatches make [elements].
        out: Offset in the full result at which this slice's result is added [elements].
    """

    starts: tuple[int, ...]
    out: int


def slices_of(program: Program, start: int = 0, end: int | None = None) -> Iterator[Slice]:
    """Slices in order, the last sliced index running fastest; one if nothing is sliced.

    Args:
        program: Whose slices.
        start: Number of the first one.
        end: One behind the last; all of them by default.
    """
    for number in range(start, program.n_slices if end is None else end):
        starts = [0] * len(program.buffers)
        out, rest = 0, number
        for axis in reversed(program.slices):
            rest, value = divmod(rest, axis.size)
            for buffer, stride in axis.inputs:
                starts[buffer] += value * stride
            out += value * (axis.output or 0)
        yield Slice(starts=tuple(starts), out=out)


def result_axes(program: Program) -> tuple[tuple[int, int], ...]:
    """``(size, stride)`` in the full result of each axis that one slice's result has [elements].

    In C order of the slice's result; axes of size 1 are left out.
    """
    sliced = {axis.output for axis in program.slices if axis.output is not None}
    axes = []
    stride = 1
    for size in reversed(program.shape):
        if size > 1 and stride not in sliced:
            axes.append((size, stride))
        stride *= size
    return tuple(reversed(axes))
