"""Exact costs of a contraction tree: Python integers throughout, logs are for display.

A step costs the product of the dimensions of all distinct indices of its two operands: lone sums
and diagonals are part of the step that first reads them, as in the kernels. Inputs stay in memory,
whole, from the first step to the last, because results are recomputed from them; an intermediate
lives from the step that makes it to the step that reads it. Under slicing the full result is kept
beside the slices that are added into it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from tensorloom.plan.plan import Cost, StepCost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorloom.plan.tree import ContractionTree

__all__ = ["cost_of", "input_elements"]


def cost_of(tree: ContractionTree) -> Cost:
    """What a tree costs, in total and step by step.

    A network of one tensor has no step: it costs no multiply-adds, and holds its input beside its
    result. The empty network holds the number 1.

    Example:
        >>> from tensorloom.plan.tree import ContractionTree
        >>> matrices = ContractionTree(
        ...     inputs=(("i", "j"), ("j", "k")),
        ...     output=("i", "k"),
        ...     dimensions=(("i", 2), ("j", 3), ("k", 5)),
        ...     path=((0, 1),),
        ... )
        >>> cost_of(matrices).mul_adds, cost_of(matrices).peak_elements
        (30, 31)
    """
    full = dict(tree.dimensions)
    result = _elements(tree.output, full)
    held = input_elements(tree) + (result if tree.sliced else 0)
    steps = _steps(tree, held)
    if not steps:
        made = result if tree.inputs else 1
        return Cost(
            mul_adds=0, largest_elements=made, peak_elements=held + made, write_elements=0, steps=()
        )
    return Cost(
        mul_adds=sum(step.mul_adds for step in steps) * tree.n_slices,
        largest_elements=max(step.elements for step in steps),
        peak_elements=max(step.live_elements for step in steps),
        write_elements=sum(step.elements for step in steps),
        steps=steps,
    )


def input_elements(tree: ContractionTree) -> int:
    """What the inputs hold together, slicing or not [elements]."""
    full = dict(tree.dimensions)
    return sum(_elements(indices, full) for indices in tree.inputs)


def _steps(tree: ContractionTree, held: int) -> tuple[StepCost, ...]:
    """Each step's cost; ``held`` is alive throughout [elements]."""
    sizes = tree.size_of
    made: dict[int, int] = {}
    live = held
    costs = []
    for step in tree.steps:
        elements = _elements(step.out_indices, sizes)
        live += elements
        costs.append(
            StepCost(
                mul_adds=_elements({*step.left_indices, *step.right_indices}, sizes),
                elements=elements,
                live_elements=live,
            )
        )
        live -= made.pop(step.left, 0) + made.pop(step.right, 0)
        made[step.out] = elements
    return tuple(costs)


def _elements(indices: Iterable[str], sizes: Mapping[str, int]) -> int:
    return prod(sizes[name] for name in indices)
