"""Slicing: fixing indices and adding up (or laying side by side) the results, to need less memory.

cotengra chooses the indices. What is counted is all memory of a run: the inputs and the full result
stay whole beside the intermediates of one slice, so slicing cannot go below them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.errors import PlanError
from tensorloom.plan.cost import cost_of, input_elements
from tensorloom.plan.memory import ordered_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.plan.plan import Plan
    from tensorloom.plan.tree import ContractionTree

__all__ = ["sliced_to_fit"]

MOST_SLICES = 2**32
"""Slices beyond which a sliced plan is no help any more."""

REPEATS = 8
"""Slicings that are compared for each target size; seeded, so always the same ones."""


def sliced_to_fit(plan: Plan, most_elements: int) -> Plan:
    """A plan of the same contractions whose peak is at most ``most_elements``.

    The plan itself if it fits; otherwise as few multiply-adds more as cotengra finds. Indices that
    the plan slices stay sliced.

    Raises:
        PlanError: ``inputs-too-big`` if inputs and result alone do not fit, ``too-many-slices`` if
            it would take more than 2^32 slices.
    """
    if plan.cost.peak_elements <= most_elements:
        return plan
    whole = replace(plan.tree, sliced=())
    held = input_elements(whole) + whole.elements(whole.output)
    if not whole.path or held >= most_elements:
        raise PlanError(
            "inputs-too-big",
            f"Inputs and result alone hold {held} elements; the limit is {most_elements}.",
            "Make dimensions smaller, or run it where there is more memory.",
            values={"held": held, "limit": most_elements},
        )
    for sliced in _slicings(plan.tree, most_elements - held):
        tree = replace(whole, sliced=sliced)
        if tree.n_slices > MOST_SLICES:
            break
        tree = replace(tree, path=ordered_path(tree))
        cost = cost_of(tree)
        if cost.peak_elements <= most_elements:
            return replace(plan, tree=tree, cost=cost, proved=False)
    raise PlanError(
        "too-many-slices",
        f"Slicing from {plan.cost.peak_elements} elements at once down to {most_elements} takes "
        f"more than {MOST_SLICES} slices.",
        "Search for a better order, or make dimensions smaller.",
        values={"peak": plan.cost.peak_elements, "limit": most_elements, "slices": MOST_SLICES},
    )


def _slicings(tree: ContractionTree, room: int) -> Iterator[tuple[str, ...]]:
    """Indices to slice for smaller and smaller largest intermediates, starting at ``room``."""
    from tensorloom.plan.cotengra_form import (  # noqa: PLC0415  # 0.4 s, for what few need
        CotengraForm,
    )

    form = CotengraForm(tree)
    found = form.tree(tree.path, tree.sliced)
    largest = int(found.max_size())
    # Several intermediates live at once, so what fits is below the room there is.
    while room >= 1:
        if room < largest:
            yield form.sliced(
                found.slice(target_size=room, max_repeats=REPEATS, minimize="flops", seed=0)
            )
        room //= 2
