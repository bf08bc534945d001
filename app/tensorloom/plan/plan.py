"""A plan: the tree that was chosen, how it was found, and what it costs exactly.

Made by ``plan.find``; read by ``kernels.lower`` and by the view. Costs are exact integers; logs are
for display. ``mul_adds`` counts multiply-add pairs: FLOP are 2x that for real and 8x for complex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tensorloom.plan.tree import ContractionTree

__all__ = ["Cost", "Finder", "Plan", "StepCost"]

Finder = Literal["optimal", "greedy", "random-greedy", "annealed", "reconfigured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """One step within one slice.

    Args:
        mul_adds: Product of the dimensions of all indices involved.
        elements: Size of what is made [elements].
        live_elements: Everything alive while the step runs, inputs included [elements].
    """

    mul_adds: int
    elements: int
    live_elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a whole tree costs; ``mul_adds`` includes all slices, the other numbers are per slice.

    Args:
        mul_adds: Total over steps and slices.
        largest_elements: Largest intermediate or result [elements].
        peak_elements: Largest sum of live tensors, inputs included [elements].
        write_elements: Sum of all intermediates [elements].
        steps: The same, step by step in execution order.
    """

    mul_adds: int
    largest_elements: int
    peak_elements: int
    write_elements: int
    steps: tuple[StepCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A tree with its cost.

    Args:
        tree: Which tensors meet, and which indices are sliced.
        cost: What that costs.
        finder: Who found it.
        proved: Whether no cheaper tree exists (in multiply-adds).
    """

    tree: ContractionTree
    cost: Cost
    finder: Finder
    proved: bool = False
