"""What slices share, against numbers counted by hand."""

from __future__ import annotations

import pytest

from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.sharing import Work, rank, work_of
from tensorloom.plan.tree import ContractionTree


def plan(size: int, sliced: tuple[str, ...] = ("s",)) -> Plan:
    """``sum_s (c_s d_s . cd) (a b . ab)``: the outer product of a and b is the same for every s."""
    tree = ContractionTree(
        inputs=(("a",), ("b",), ("c", "s"), ("d", "s"), ("c",), ("d",), ("a",), ("b",)),
        output=(),
        dimensions=(("a", size), ("b", size), ("c", 20), ("d", 20), ("s", 3), ("one", 1)),
        path=((2, 3), (8, 4), (9, 5), (0, 1), (11, 10), (12, 6), (13, 7)),
        sliced=sliced,
    )
    return Plan(tree=tree, cost=cost_of(tree), finder="greedy")


def test_what_is_the_same_in_every_slice_counts_once() -> None:
    # Per slice 400 + 400 + 20 for c and d, 25 for the outer product, 25 + 25 + 5 with it.
    # Inputs hold 180 and the result 1; ab (25) lasts beside cd (400) and d (20).
    assert plan(5).cost.mul_adds == 3 * 900
    assert work_of(plan(5)) == Work(mul_adds=25 + 3 * 875, peak_elements=181 + 25 + 420)


def test_what_would_take_a_tenth_more_memory_is_done_in_every_slice() -> None:
    # Inputs hold 200; 100 beside 621 is too much.
    found = plan(10)
    assert found.cost.peak_elements == 201 + 420
    assert work_of(found) == Work(mul_adds=3 * 1130, peak_elements=621)


@pytest.mark.parametrize("sliced", [(), ("one",)])
def test_without_slices_it_is_the_cost(sliced: tuple[str, ...]) -> None:
    found = plan(5, sliced)
    assert work_of(found).mul_adds == found.cost.mul_adds
    assert work_of(found).peak_elements == found.cost.peak_elements


def test_what_fits_comes_first_then_less_work() -> None:
    whole, cut = plan(5, ()), plan(5, ("c",))
    assert rank(whole, None) < rank(cut, None) == (False, 25 + 20 * 155)
    most = work_of(cut).peak_elements
    assert rank(cut, most) == (False, 3125)
    assert rank(whole, most) == (True, 1700)
    assert rank(cut, most) < rank(whole, most)
    assert rank(whole, most - 1) < rank(cut, most - 1)
