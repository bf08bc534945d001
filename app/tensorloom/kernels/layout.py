"""Layouts: in which order the axes of each intermediate lie, chosen for the step that reads it.

A kernel is fastest where its columns are contiguous in the right operand and in the result, and
where whole groups of axes fuse into one loop. Going from the result backwards, each step knows the
layout of what it makes and wishes for layouts of what it reads; inputs lie as they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tensorloom.plan.tree import ContractionTree, Step

__all__ = ["Operand", "Wish", "order_operands", "wish_layouts"]

Wish = tuple[str, ...]
"""Index names in C order: the last one has stride 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A buffer seen through the strides of its indices.

    Args:
        buffer: Its number in the program.
        strides: Stride by index name, size-1 and sliced indices left out [elements].
    """

    buffer: int
    strides: Mapping[str, int]


def order_operands(left: Operand, right: Operand, out: Wish) -> tuple[Operand, Operand]:
    """The two operands, swapped if need be: the result's unit stride is then a column's.

    If the last axis belongs to both or to none, the operand with more axes of its own is the right
    one: columns are what kernels vectorise.
    """
    for name in reversed(out):
        in_left, in_right = name in left.strides, name in right.strides
        if in_left != in_right:
            return (right, left) if in_left else (left, right)
    return left, right


def wish_layouts(
    tree: ContractionTree, output: Wish, sizes: Mapping[str, int]
) -> Mapping[int, Wish]:
    """Layout of every number that a step makes; for inputs, how they would like to be read.

    Args:
        tree: What meets when.
        output: Layout of the result.
        sizes: Dimension of the indices that count: neither sliced nor of size 1.

    Returns:
        Layout by SSA number. An input's is used only where it is summed beforehand.
    """
    wishes: dict[int, Wish] = {len(tree.inputs) + len(tree.path) - 1: output}
    for step in reversed(tree.steps):
        wishes[step.left], wishes[step.right] = _read(step, wishes[step.out], sizes, tree)
    return wishes


def _read(
    step: Step, out: Wish, sizes: Mapping[str, int], tree: ContractionTree
) -> tuple[Wish, Wish]:
    """Layouts in which a step likes to read its operands."""
    left = dict.fromkeys(name for name in step.left_indices if name in sizes)
    right = dict.fromkeys(name for name in step.right_indices if name in sizes)
    # The order of the summed indices must agree on both sides to fuse; an input cannot change its.
    lead, other = (left, right) if step.left < len(tree.inputs) else (right, left)
    shared = [name for name in lead if name in other and name not in out]
    return _layout(left, right, out, shared), _layout(right, left, out, shared)


def _layout(own: Collection[str], other: Collection[str], out: Wish, shared: Iterable[str]) -> Wish:
    """Batch, then summed, then free axes if the result's unit stride is ours, else free, summed."""
    kept = [name for name in out if name in own]
    batch = [name for name in kept if name in other]
    free = [name for name in kept if name not in other]
    lone = [name for name in own if name not in other and name not in out]
    summed = [*shared, *lone]
    if out and out[-1] in batch:
        # The result runs along a batch axis: so should everything that is read.
        return (*summed, *kept)
    if free and free[-1] == next((name for name in reversed(out) if name not in batch), None):
        return (*batch, *summed, *free)
    return (*batch, *free, *summed)
