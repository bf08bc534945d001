"""Offset tables: any order of strided axes becomes a list of byte offsets, block by block.

Kernels address rows, columns and summed positions through such tables (block-scatter), so they
know nothing of axes, and permuted operands cost no transpose.

Source: Matthews, "High-Performance Tensor Contraction without Transposition" (TBLIS), section 4.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import apply, i32, load, select
from tensorloom.kernels.wasm.layout import AXIS_BYTES

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Local, Module

__all__ = ["contiguous", "define_fill", "smaller"]


def define_fill(module: Module) -> Function:
    """A function that writes offsets of positions ``start .. start + count`` of an axis group.

    Parameters: table, first axis, number of axes (at least 1), offset of the stride within an axis,
    start, count (at least 1), scratch for counters.
    """
    fill = module.function(None, ("i32",) * 7)
    table, axes, _, field, _, left, counters = fill.parameters
    offset = _decoded(fill)
    stride = fill.variable(load("i32.load", axes + field))
    size = fill.variable(load("i32.load", axes))
    run = fill.variable(size - load("i32.load", counters))
    end = fill.local("i32")
    axis, counter = fill.local("i32"), fill.local("i32")
    with fill.block() as done, fill.loop() as runs:
        fill.set(run, select(run < left, run, left))
        fill.set(left, left - run)
        fill.set(end, table + (run << 2))
        with fill.loop() as again:
            fill.store("i32.store", table, offset)
            fill.set(offset, offset + stride)
            fill.set(table, table + 4)
            fill.branch(again, table < end)
        fill.branch(done, left.equals(0))
        # The innermost axis is through: carry into the next ones.
        fill.set(offset, offset - size * stride)
        fill.set(axis, axes)
        fill.set(counter, counters)
        with fill.block() as carried, fill.loop() as carry:
            fill.set(axis, axis + AXIS_BYTES)
            fill.set(counter, counter + 4)
            fill.set(offset, offset + load("i32.load", axis + field))
            fill.set(run, load("i32.load", counter) + 1)
            fill.store("i32.store", counter, run)
            fill.branch(carried, run < load("i32.load", axis))
            fill.store("i32.store", counter, i32(0))
            fill.set(offset, offset - run * load("i32.load", axis + field))
            fill.branch(carry)
        fill.set(run, size)
        fill.branch(runs)
    return fill


def _decoded(fill: Function) -> Local:
    """Sets the counters to the position ``start``; a variable with its offset."""
    _, axes, n_axes, field, start, _, counters = fill.parameters
    offset = fill.local("i32")
    axis, counter = fill.variable(axes), fill.variable(counters)
    digit, size = fill.local("i32"), fill.local("i32")
    end = fill.variable(axes + n_axes * AXIS_BYTES)
    with fill.counting(axis, end, AXIS_BYTES):
        fill.set(size, load("i32.load", axis))
        fill.set(digit, apply("i32.rem_u", start, size))
        fill.set(start, apply("i32.div_u", start, size))
        fill.store("i32.store", counter, digit)
        fill.set(offset, offset + digit * load("i32.load", axis + field))
        fill.set(counter, counter + 4)
    return offset


def contiguous(table: Expression, count: int, step: int) -> Expression:
    """1 where ``count`` neighbouring entries of a table are each ``step`` after the one before."""
    entries = [load("i32.load", table, 4 * number) for number in range(count)]
    flags = [(b - a).equals(step) for a, b in pairwise(entries)]
    result = flags[0] if flags else i32(1)
    for flag in flags[1:]:
        result = result & flag
    return result


def smaller(a: Expression, b: Expression) -> Expression:
    """The smaller of two sizes."""
    return select(a < b, a, b)
