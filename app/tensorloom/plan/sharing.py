"""What slices share: steps below which no index is sliced are the same in every slice.

A program does them once and keeps what they make (``kernels.lower``), unless that takes much more
memory. Costs of a tree (``plan.cost``) count every slice anew; here is what a program really does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.plan.plan import Plan

__all__ = ["MOST_KEPT", "Work", "rank", "work_of"]

MOST_KEPT = 1.1
"""Peak memory up to which shared steps are done once, over the peak without: whoever slices wants
to save memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the program of a plan does, all slices together.

    Args:
        mul_adds: Multiply-adds, those of shared steps once.
        peak_elements: Most elements alive at once, inputs and result included [elements].
    """

    mul_adds: int
    peak_elements: int


def work_of(plan: Plan) -> Work:
    """What a plan costs as it is run; without slices the same as ``plan.cost``.

    Example:
        >>> from tensorloom.plan.cost import cost_of
        >>> from tensorloom.plan.plan import Plan
        >>> from tensorloom.plan.tree import ContractionTree
        >>> tree = ContractionTree(
        ...     inputs=(("i", "j"), ("j", "k"), ("k", "l")),
        ...     output=("i", "l"),
        ...     dimensions=(("i", 2), ("j", 10), ("k", 3), ("l", 5)),
        ...     path=((0, 1), (2, 3)),
        ...     sliced=("l",),
        ... )
        >>> plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
        >>> plan.cost.mul_adds, work_of(plan).mul_adds
        (330, 90)
    """
    tree, cost = plan.tree, plan.cost
    anew = Work(mul_adds=cost.mul_adds, peak_elements=cost.peak_elements)
    full = dict(tree.dimensions)
    cut = {name for name in tree.sliced if full[name] > 1}
    if not cut or not tree.path:
        return anew
    varies = {number for number, names in enumerate(tree.inputs) if not cut.isdisjoint(names)}
    first = len(tree.inputs)
    once, each = [], []
    for step, own in zip(tree.steps, cost.steps, strict=True):
        if step.left in varies or step.right in varies:
            varies.add(step.out)
            each.append((step, own))
        else:
            once.append((step, own))
    if not once:
        return anew
    held = cost.steps[0].live_elements - cost.steps[0].elements
    made: dict[int, int] = {}
    live = peak = held
    for steps, is_shared in ((once, True), (each, False)):
        for step, own in steps:
            live += own.elements
            peak = max(peak, live)
            made[step.out] = own.elements
            # What the shared steps leave to the others lasts for all slices.
            live -= sum(
                made[operand]
                for operand in (step.left, step.right)
                if operand >= first and (is_shared or operand in varies)
            )
    if peak > MOST_KEPT * cost.peak_elements:
        return anew
    shared = sum(own.mul_adds for _, own in once)
    rest = sum(own.mul_adds for _, own in each)
    return Work(mul_adds=shared + tree.n_slices * rest, peak_elements=peak)


def rank(plan: Plan, most_elements: int | None) -> tuple[bool, int]:
    """Smaller for better plans: those that fit come before those that do not, then less work.

    Args:
        plan: What is compared.
        most_elements: Memory; ``None`` for any amount [elements].
    """
    work = work_of(plan)
    return most_elements is not None and work.peak_elements > most_elements, work.mul_adds
