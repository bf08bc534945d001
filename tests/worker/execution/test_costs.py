"""Predicted times: from rates to the time of a strategy, reckoned by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution.costs import TYPICAL, Rates, measured, seconds_of
from tensorloom_worker.execution.executor import slices_per_task
from tensorloom_worker.execution.strategy import Strategy, strategy_for

PLAIN = Rates(call_s=0.0, move_s=0.0, outer_s=0.0, mul_add_s=dict.fromkeys(TYPICAL.mul_add_s, 1e-9))
"""A nanosecond per multiply-add, and nothing else counts."""


def matrices(n: int, size: int, sliced: tuple[str, ...] = ()) -> ContractionTree:
    names = [f"i{k}" for k in range(n + 1)]
    return ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, size) for name in names),
        path=tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1)),
        sliced=sliced,
    )


def test_what_every_slice_does_counts_for_every_slice() -> None:
    once, loop = seconds_of(Strategy.of(matrices(2, 8)), PLAIN)
    assert (once, loop) == (0.0, pytest.approx(8**3 * 1e-9))
    tree = matrices(3, 8, ("i2",))
    _, plain = seconds_of(Strategy.of(tree, 0), PLAIN)
    # In each slice A times a column of B is 8*8; its outer product with a row of C costs nothing.
    assert plain == pytest.approx(8 * (8 * 8 * 1e-9))


def test_a_table_counts_once() -> None:
    tree = matrices(4, 8, ("i3",))
    strategy = strategy_for(tree)
    once, _ = seconds_of(strategy, PLAIN)
    assert once == pytest.approx(strategy.table_mul_adds * 1e-9)
    assert strategy.tables


def test_a_rate_between_two_sizes_lies_between_their_rates() -> None:
    rates = measured("float64")
    low, high = min(rates.mul_add_s.values()), max(rates.mul_add_s.values())
    for size in (3, 20, 100, 1000):
        _, loop = seconds_of(Strategy.of(matrices(2, size)), rates)
        assert low * size**3 <= loop <= high * size**3 + 20 * rates.call_s + 1e-3


def test_tasks_hold_whole_inner_loops_where_they_can() -> None:
    tree = matrices(12, 40, ("i2", "i5", "i8"))
    per_task = slices_per_task(strategy_for(tree, 0))
    assert per_task % 40 == 0 or per_task < 40
    assert 1 <= per_task <= tree.n_slices
    # No clock has a say.
    assert per_task == slices_per_task(strategy_for(tree, 0))


def test_a_short_job_is_one_task() -> None:
    tree = matrices(3, 2, ("i1",))
    assert slices_per_task(strategy_for(tree)) == 2
