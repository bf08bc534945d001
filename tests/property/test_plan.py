"""Plans over random networks: costs are what happens, every tree gives the same tensor."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import equation, random_arrays, random_tree
from replay import replay
from tensorloom.errors import PlanError
from tensorloom.plan.cost import cost_of, input_elements
from tensorloom.plan.find import plan_for
from tensorloom.plan.improve import improve
from tensorloom.plan.memory import ordered_path
from tensorloom.plan.sharing import rank
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from tensorloom.plan.tree import ContractionTree

SEEDS = range(250)
FEW = range(1000, 1040)


def every_path(n: int) -> list[tuple[tuple[int, int], ...]]:
    """All orders of pairwise contractions of ``n`` tensors."""
    paths: list[tuple[tuple[int, int], ...]] = []

    def go_on(live: tuple[int, ...], path: tuple[tuple[int, int], ...]) -> None:
        if len(live) < 2:
            paths.append(path)
        for pair in itertools.combinations(live, 2):
            rest = tuple(number for number in live if number not in pair)
            go_on((*rest, n + len(path)), (*path, pair))

    go_on(tuple(range(n)), ())
    return paths


@pytest.mark.parametrize("sliced", [False, True])
def test_costs_are_what_happens(sliced: bool) -> None:  # noqa: FBT001  # a parametrized case
    for seed in SEEDS:
        tree = random_tree(seed, sliced=sliced)
        if not tree.path:
            continue
        arrays = random_arrays(tree, "float64", seed)
        happened, cost = replay(tree, arrays), cost_of(tree)
        counted = (happened.terms, happened.most_elements, happened.written)
        assert counted == (cost.mul_adds, cost.peak_elements, cost.write_elements), tree
        np.testing.assert_allclose(
            happened.value, np.einsum(equation(tree), *arrays), rtol=1e-9, atol=1e-9
        )


def test_plans_found_at_once_give_the_same_tensor() -> None:
    for seed in SEEDS:
        tree = random_tree(seed)
        plan = plan_for(tree.inputs, tree.output, tree.dimensions)
        assert plan.cost.mul_adds <= cost_of(tree).mul_adds or not plan.proved
        if plan.tree.path:
            arrays = random_arrays(tree, "float64", seed)
            np.testing.assert_allclose(
                replay(plan.tree, arrays).value,
                np.einsum(equation(tree), *arrays),
                rtol=1e-9,
                atol=1e-9,
            )


def test_a_proved_plan_is_the_cheapest_of_all() -> None:
    proved = 0
    for seed in SEEDS:
        tree = random_tree(seed)
        plan = plan_for(tree.inputs, tree.output, tree.dimensions)
        if not plan.proved or len(tree.inputs) > 5:
            continue
        proved += 1
        costs = (
            cost_of(replace(tree, path=path)).mul_adds for path in every_path(len(tree.inputs))
        )
        assert plan.cost.mul_adds == min(costs), tree
    assert proved > 50


def test_ordering_reaches_the_least_peak_of_all_depth_first_orders() -> None:
    for seed in FEW:
        tree = random_tree(seed)
        ordered = replace(tree, path=ordered_path(tree))
        assert cost_of(ordered).mul_adds == cost_of(tree).mul_adds
        assert cost_of(ordered).peak_elements == min(
            cost_of(replace(tree, path=path)).peak_elements for path in depth_first(tree)
        )


def depth_first(tree: ContractionTree) -> list[tuple[tuple[int, int], ...]]:
    """Every depth-first order of the steps of a tree."""
    n = len(tree.inputs)
    orders = []
    for swaps in itertools.product([False, True], repeat=len(tree.path)):
        path: list[tuple[int, int]] = []

        def made(
            number: int, *, path: list[tuple[int, int]] = path, swaps: tuple[bool, ...] = swaps
        ) -> int:
            if number < n:
                return number
            pair = tree.path[number - n]
            first, second = pair[::-1] if swaps[number - n] else pair
            path.append((made(first), made(second)))
            return n + len(path) - 1

        if tree.path:
            made(n + len(tree.path) - 1)
        orders.append(tuple(path))
    return orders


def test_sums_over_slices_equal_the_whole() -> None:
    cut = 0
    for seed in SEEDS:
        tree = random_tree(seed)
        plan = plan_for(tree.inputs, tree.output, tree.dimensions)
        held = input_elements(tree) + tree.elements(tree.output)
        limit = held + max(1, (plan.cost.peak_elements - held) // 3)
        try:
            sliced = sliced_to_fit(plan, limit)
        except PlanError:
            continue  # inputs or slices too many: unit tests say when
        assert sliced.cost.peak_elements <= limit
        if not sliced.tree.sliced:
            continue
        cut += 1
        arrays = random_arrays(tree, "float64", seed)
        np.testing.assert_allclose(
            replay(sliced.tree, arrays).value,
            np.einsum(equation(tree), *arrays),
            rtol=1e-9,
            atol=1e-9,
        )
    assert cut > 30


def test_trees_of_a_search_give_the_same_tensor() -> None:
    better = 0
    for seed in FEW:
        tree = random_tree(seed)
        plan = plan_for(tree.inputs, tree.output, tree.dimensions)
        # The worst tree as the one to beat, so that there is something to find.
        worst = max(
            every_path(min(len(tree.inputs), 5)) if len(tree.inputs) <= 5 else [tree.path],
            key=lambda path: cost_of(replace(tree, path=path)).mul_adds,
        )
        start = replace(tree, path=worst)
        to_beat = replace(plan, tree=start, cost=cost_of(start), proved=False)
        if not worst:
            continue
        arrays = random_arrays(tree, "float64", seed)
        wanted = np.einsum(equation(tree), *arrays)
        for progress in itertools.islice(improve(to_beat, seed=seed), 30):
            if progress.path:
                better += 1
                found = replace(tree, path=progress.path)
                assert cost_of(found).mul_adds == progress.mul_adds
                np.testing.assert_allclose(
                    replay(found, arrays).value, wanted, rtol=1e-9, atol=1e-9
                )
    assert better > 10


def test_slices_of_a_search_give_the_same_tensor() -> None:
    cut = 0
    for seed in FEW:
        tree = random_tree(seed)
        plan = replace(plan_for(tree.inputs, tree.output, tree.dimensions), proved=False)
        held = input_elements(tree) + tree.elements(tree.output)
        limit = held + max(1, (plan.cost.peak_elements - held) // 3)
        if not tree.path or plan.cost.peak_elements <= limit:
            continue
        arrays = random_arrays(tree, "float64", seed)
        wanted = np.einsum(equation(tree), *arrays)
        for progress in itertools.islice(improve(plan, seed=seed, most_elements=limit), 150):
            if progress.path and progress.sliced:
                cut += 1
                sliced = replace(tree, path=progress.path, sliced=progress.sliced)
                found = replace(plan, tree=sliced, cost=cost_of(sliced))
                assert rank(found, limit) == (False, progress.mul_adds)
                np.testing.assert_allclose(
                    replay(sliced, arrays).value, wanted, rtol=1e-9, atol=1e-9
                )
    assert cut > 5
