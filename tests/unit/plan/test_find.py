"""Plans found at once, kept while only sizes change, and taken over from elsewhere."""

from __future__ import annotations

import pytest

from tensorloom.errors import PlanError
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.tensor import Tensor
from tensorloom.plan.find import plan_for, quick, recosted, with_path


def network(text: str, **sizes: int) -> Network:
    operands, output = text.split("->")
    groups = operands.split(",") if operands != "nothing" else []
    used = dict.fromkeys("".join(groups))
    return Network(
        tensors=tuple(
            Tensor(id=f"t{place}", name="T", indices=tuple(names))
            for place, names in enumerate(groups)
        ),
        indices=tuple(Index(name=name, dimension=sizes.get(name, 2)) for name in used),
        output=tuple(output),
    )


CHAIN = network("ij,jk,kl->il", i=10, j=2, k=10, l=3)


def test_the_best_order_of_a_chain() -> None:
    # (ij,jk) first: 200 + 300; (jk,kl) first: 60 + 60.
    found = quick(CHAIN)
    assert found.tree.path == ((1, 2), (0, 3))
    assert (found.cost.mul_adds, found.finder, found.proved) == (120, "optimal", True)


def test_an_outer_product_that_pays() -> None:
    # a_i, b_j, M_ijk: i,j->ij costs 4 and then 4 * 50; by i first: 4 * 50 + 2 * 50.
    found = quick(network("i,j,ijk->k", k=50))
    assert found.cost.mul_adds == 4 + 200
    assert found.proved


@pytest.mark.parametrize(
    ("text", "n_steps", "mul_adds"),
    [
        ("nothing->", 0, 0),
        ("->", 0, 0),
        ("iij->j", 0, 0),
        ("ij,jk->ik", 1, 8),
        (",->", 1, 1),
        (",,,->", 3, 3),
        ("ij,ij,kl,kl->", 3, 9),  # parts apart: 4 + 4 + 1
        ("ia,ib,ic->i", 2, 12),  # a hyperindex in the output: ia,ib: 2*2*2, i,ic: 2*2
        ("ij,ij->", 1, 4),  # parallel bonds
        ("ii,i->", 1, 2),  # a self-loop
    ],
)
def test_odd_networks_have_plans(text: str, n_steps: int, mul_adds: int) -> None:
    found = quick(network(text))
    assert (len(found.tree.path), found.cost.mul_adds) == (n_steps, mul_adds)


def test_dimension_one_everywhere() -> None:
    found = quick(network("ij,jk,kl,lm->im", i=1, j=1, k=1, l=1, m=1))
    assert (found.cost.mul_adds, found.proved) == (3, True)


def test_lone_sums_are_not_proved() -> None:
    found = quick(network("xij,jk,kl->il", x=3))
    assert (found.finder, found.proved) == ("optimal", False)


def test_more_than_eight_tensors_are_not_proved() -> None:
    text = ",".join("abcdefghij"[place : place + 2] for place in range(9)) + "->"
    found = quick(network(text))
    assert (found.finder, found.proved) == ("optimal", False)


def test_many_tensors_are_greedy_and_the_same_every_time() -> None:
    inputs = tuple((f"i{place}", f"i{place + 1}", f"j{place % 7}") for place in range(60))
    names = dict.fromkeys(name for names in inputs for name in names)
    dimensions = tuple((name, 2) for name in names)
    first, second = (plan_for(inputs, (), dimensions) for _ in range(2))
    assert (first.finder, first.proved) == ("greedy", False)
    assert first == second


def test_sizes_change_and_the_tree_stays() -> None:
    plan = quick(CHAIN)
    bigger = network("ij,jk,kl->il", i=10, j=20, k=10, l=3)
    found = recosted(plan, bigger)
    assert found is not None
    assert found.tree.path == plan.tree.path
    assert found.cost.mul_adds == 20 * 10 * 3 + 10 * 20 * 3
    assert not found.proved


def test_same_sizes_give_the_same_plan() -> None:
    plan = quick(CHAIN)
    assert recosted(plan, CHAIN) is plan


def test_two_tensors_stay_proved() -> None:
    found = recosted(quick(network("ij,jk->ik")), network("ij,jk->ik", j=9))
    assert found is not None
    assert (found.proved, found.cost.mul_adds) == (True, 36)


@pytest.mark.parametrize("text", ["ij,jk,kl->i", "ij,jk,kl->li", "ij,jk,lk->il", "ij,jk->ik"])
def test_other_structures_are_not_recosted(text: str) -> None:
    assert recosted(quick(CHAIN), network(text, i=10, j=2, k=10, l=3)) is None


def test_a_path_from_elsewhere() -> None:
    found = with_path(CHAIN, [[0, 1], [3, 2]], finder="annealed")
    assert (found.cost.mul_adds, found.finder, found.proved) == (500, "annealed", False)


def test_a_sliced_path_from_elsewhere() -> None:
    found = with_path(CHAIN, [[1, 2], [0, 3]], finder="greedy", sliced=("k",))
    assert found.tree.n_slices == 10
    assert found.cost.mul_adds == 10 * (6 + 60)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([[0, 1]], "The path leaves 2 tensors apart."),
        ([[0, 1], [3, 7]], "Step 4 joins 3 and 7, not both free."),
        ([[0, 1, 2]], "A step joins 3 tensors, not two."),
        ([[0, 0], [1, 2]], "Step 3 joins 0 and 0, not both free."),
    ],
)
def test_paths_that_are_no_trees(path: list[list[int]], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        with_path(CHAIN, path, finder="greedy")
    assert (caught.value.code, caught.value.message) == ("bad-path", message)


def test_a_proved_plan_of_fewer_tensors_is_never_worse_than_greedy() -> None:
    ring = network("ab,bc,cd,de,ef,fa->", a=5, b=2, c=7, d=3, e=4, f=2)
    plan = quick(ring)
    other = with_path(ring, [[0, 1], [6, 2], [7, 3], [8, 4], [9, 5]], finder="greedy")
    assert plan.cost.mul_adds <= other.cost.mul_adds
