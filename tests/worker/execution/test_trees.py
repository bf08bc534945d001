"""Trees that are searched for, and cut until they fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dask_jobs import cubic

from tensorloom.errors import Cancelled, PlanError
from tensorloom.plan.find import plan_for
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution import searching, trees
from tensorloom_worker.execution.contractors import slices_per_task
from tensorloom_worker.execution.costs import TYPICAL, seconds_of, wall_seconds
from tensorloom_worker.execution.planning import Patience
from tensorloom_worker.execution.problem import Problem, tree_with
from tensorloom_worker.execution.strategy import strategy_for


@pytest.mark.parametrize(("n", "size", "most"), [(60, 4, 2**20), (100, 2, 2**12)])
def test_trees_are_annealed_with_their_slices(n: int, size: int, most: int) -> None:
    tree = cubic(n, size)
    greedy = trees.fitting(plan_for(tree.inputs, tree.output, tree.dimensions).tree, most)
    found = [trees.candidate(one, most) for one in searching.better_trees(tree, most, 1.0, seed=0)]
    assert all(one.peak_elements <= most for one in found)
    work = [one.mul_adds for one in found]
    assert work == sorted(work, reverse=True)
    # 70 and 800 times less on a quiet machine.
    assert 10 * work[-1] < greedy.mul_adds


class Looks(Patience):
    """Ends after so many looks, by the clock or because nobody waits."""

    def __init__(self, looks: int) -> None:
        super().__init__(60.0)
        self.looks = looks
        self.given_up = False

    def look(self) -> None:
        self.looks -= 1
        if self.looks < 0 and self.given_up:
            raise Cancelled("cancelled", "Nobody waits.")
        if self.looks < 0:
            raise TimeoutError


def test_a_slicing_that_takes_too_long_ends_with_the_best_so_far() -> None:
    tree, most = cubic(24, 2), 2**10
    whole = Looks(10**9)
    best = trees.fitting(tree, most, whole)
    needed = 10**9 - whole.looks
    found = trees.fitting(tree, most, Looks(needed - 1))
    assert found.peak_elements <= most
    assert found.mul_adds >= best.mul_adds
    with pytest.raises(PlanError) as caught:
        trees.fitting(tree, most, Looks(3))
    assert caught.value.code == "planning-too-long"
    assert caught.value.message == "Planning took longer than 60 s."


def test_a_slicing_that_nobody_waits_for_ends_at_once() -> None:
    patience = Looks(3)
    patience.given_up = True
    with pytest.raises(Cancelled):
        trees.fitting(cubic(24, 2), 2**10, patience)
    assert patience.looks == -1


def test_a_tree_that_could_not_be_sliced_in_time_is_left_for_one_that_could() -> None:
    tree, most = cubic(24, 2), 2**10
    small = trees.fitting(tree, most).tree
    best, refusal = trees.best_of([tree, small], most, Looks(3))
    assert (best, refusal) == (small, None)
    none, refusal = trees.best_of([tree], most, Looks(3))
    assert none is None
    assert refusal is not None
    assert refusal.code == "planning-too-long"


def test_a_tree_is_cut_until_all_threads_have_work_if_that_ends_sooner() -> None:
    tree = cubic(20, 4)
    alone = trees.candidate(tree, 0).mul_adds

    def seconds(cut: ContractionTree) -> float:
        """Each slice takes its part of the work, three threads one each at a time."""
        return trees.candidate(cut, 0).mul_adds / min(3, cut.n_slices)

    spread = trees.spread(tree, 3, seconds, Patience())
    assert spread.n_slices >= 3
    assert seconds(spread) < alone
    # Where slices do more work than the threads save, one thread does it all.
    assert trees.spread(tree, 3, lambda cut: float(cut.n_slices), Patience()) == tree
    assert trees.spread(tree, 1, seconds, Patience()) == tree


def test_one_large_product_is_no_work_for_several_threads() -> None:
    """Cut along any index it is thousands of products with a vector, each through all memory,
    however fast such a product is where a cache holds the matrix."""
    rates = replace(TYPICAL, mul_add_s=dict.fromkeys(TYPICAL.mul_add_s, 3e-11))
    tree = ContractionTree(
        inputs=(("k", "a"), ("k", "b")),
        output=("a", "b"),
        dimensions=(("a", 6000), ("b", 6000), ("k", 6000)),
        path=((0, 1),),
    )

    def seconds(cut: ContractionTree) -> float:
        strategy = strategy_for(cut, 1 << 40)
        each = slices_per_task(strategy, seconds_of(strategy, TYPICAL)[1])
        return wall_seconds(strategy, rates, each, 2)

    assert trees.spread(tree, 2, seconds, Patience()) == tree


def test_a_tree_beyond_floats_takes_too_many_slices() -> None:
    """Half of a ring first: nothing is summed until 120 indices of 1,000 are open."""
    n = 120
    order = [*range(0, n, 2), *range(1, n, 2)]
    tree = ContractionTree(
        inputs=tuple((f"i{k}", f"i{(k + 1) % n}") for k in range(n)),
        output=(),
        dimensions=tuple((f"i{k}", 1000) for k in range(n)),
        path=(
            (order[0], order[1]),
            *((n + step, other) for step, other in enumerate(order[2:])),
        ),
    )
    with pytest.raises(PlanError) as caught:
        trees.fitting(tree, 2**30)
    assert caught.value.code == "too-many-slices"
    assert caught.value.message.startswith("Slicing from 1e+300 elements at once down to")


def test_a_network_beyond_floats_is_searched_in_vain() -> None:
    start = cubic(300, 10**9)
    assert list(searching.better_trees(start, 2**30, 1.0, seed=0)) == []


def test_slices_that_a_page_needed_are_left_out_where_there_is_room() -> None:
    tree = cubic(20, 3)
    problem = Problem(
        inputs=tree.inputs, output=(), dimensions=tree.dimensions, dtype="float64", batch=None
    )
    cut = tree_with(tree, ("i0", "i8"))
    most = trees.candidate(tree_with(tree, ()), 2**60).peak_elements
    assert trees.whole_where_it_fits(problem, cut, most).sliced == ()
    assert trees.whole_where_it_fits(problem, cut, most - 1) is cut
