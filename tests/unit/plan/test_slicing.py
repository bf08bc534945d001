"""Slicing a plan until it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tensorloom.errors import PlanError
from tensorloom.plan.cost import cost_of
from tensorloom.plan.find import plan_for
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from tensorloom.plan.plan import Plan

SIZES = (("a", 20), ("b", 20), ("c", 20))


def wide() -> Plan:
    """ab,bc,ca,ab,bc,ca -> abc: 6 * 400 elements of inputs, 8000 of result."""
    ring = (("a", "b"), ("b", "c"), ("c", "a"))
    return plan_for((*ring, *ring), ("a", "b", "c"), SIZES)


def test_a_plan_that_fits_stays() -> None:
    plan = wide()
    assert sliced_to_fit(plan, plan.cost.peak_elements) is plan


def test_a_plan_is_sliced_until_it_fits() -> None:
    plan = wide()
    limit = 2400 + 8000 + 1000
    assert plan.cost.peak_elements > limit
    found = sliced_to_fit(plan, limit)
    assert found.cost.peak_elements <= limit
    assert found.tree.n_slices > 1
    assert found.tree.inputs == plan.tree.inputs
    assert not found.proved


def test_what_is_sliced_stays_sliced() -> None:
    tree = replace(wide().tree, sliced=("b",))
    plan = replace(wide(), tree=tree, cost=cost_of(tree))
    found = sliced_to_fit(plan, plan.cost.peak_elements - 1)
    assert found.cost.peak_elements < plan.cost.peak_elements
    assert set(found.tree.sliced) > {"b"}


def test_inputs_and_result_bound_it_from_below() -> None:
    with pytest.raises(PlanError) as caught:
        sliced_to_fit(wide(), 10_400)
    assert caught.value.code == "inputs-too-big"
    assert (
        caught.value.message == "Inputs and result alone hold 10400 elements; the limit is 10400."
    )
    assert caught.value.values == {"held": 10_400, "limit": 10_400}


def test_a_single_tensor_cannot_be_sliced() -> None:
    plan = plan_for((("a", "a", "b"),), ("b",), SIZES[:2])
    with pytest.raises(PlanError) as caught:
        sliced_to_fit(plan, 8019)
    assert caught.value.code == "inputs-too-big"
    assert caught.value.message == "Inputs and result alone hold 8020 elements; the limit is 8019."


def test_astronomic_slicing_is_refused() -> None:
    # Every two of 14 tensors share an index of dimension 9; each keeps 6 legs.
    n = 14
    inputs = tuple(
        tuple(f"{min(one, other)}-{max(one, other)}" for other in range(n) if other != one)[:6]
        for one in range(n)
    )
    dimensions = tuple(
        (name, 9) for name in dict.fromkeys(name for legs in inputs for name in legs)
    )
    plan = plan_for(inputs, (), dimensions)
    most = 14 * 9**6 + 10
    with pytest.raises(PlanError) as caught:
        sliced_to_fit(plan, most)
    assert caught.value.code == "too-many-slices"
    assert caught.value.message == (
        f"Slicing from {plan.cost.peak_elements} elements at once down to {most} takes more than "
        "4294967296 slices."
    )
