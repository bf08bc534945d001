"""Predicted times: from rates to the time of a strategy, reckoned by hand."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution import trees
from tensorloom_worker.execution.contractors import slices_per_task
from tensorloom_worker.execution.costs import (
    TYPICAL,
    Rates,
    measured,
    median_of,
    processor_clock,
    seconds_of,
    wall_seconds,
)
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.execution.runner import Runner, Shared
from tensorloom_worker.execution.strategy import Strategy, strategy_for

if TYPE_CHECKING:
    from conftest import Cluster

PLAIN = Rates(
    call_s=0.0,
    move_s=0.0,
    far_move_s=0.0,
    fresh_s=0.0,
    outer_s=0.0,
    write_s=0.0,
    read_s=0.0,
    add_s=0.0,
    mul_add_s=dict.fromkeys(TYPICAL.mul_add_s, 1e-9),
)
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


def test_measuring_takes_little_memory_beside_jobs() -> None:
    """No plan counts it: the largest move is of 32 MB, there twice."""
    tracemalloc.start()
    try:
        _ = measured("complex128")
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()


def test_a_large_matrix_is_read_from_memory() -> None:
    """Times a vector: a multiply-add each takes less than fetching its number."""
    tree = ContractionTree(
        inputs=(("i", "k"), ("k",)),
        output=("i",),
        dimensions=(("i", 4096), ("k", 1024)),
        path=((0, 1),),
    )
    _, loop = seconds_of(Strategy.of(tree), replace(PLAIN, read_s=3e-9))
    assert loop == pytest.approx(1024 * 4097 * 3e-9)
    small = replace(tree, dimensions=(("i", 64), ("k", 64)))
    _, loop = seconds_of(Strategy.of(small), replace(PLAIN, read_s=3e-9))
    assert loop == pytest.approx(64 * 64 * 1e-9)


def test_adding_a_slice_up_takes_as_long_as_it_is_large() -> None:
    tree = matrices(2, 16, ("i1",))
    adding = replace(PLAIN, add_s=1e-6)
    _, loop = seconds_of(Strategy.of(tree, 0), adding)
    assert loop == pytest.approx(16 * 16 * 16 * 1e-6)


def test_rates_of_reading_and_adding_are_measured() -> None:
    found = measured("float32")
    assert 0 < found.read_s < 1e-7
    assert 0 < found.add_s < 1e-6


def per_task_of(strategy: Strategy) -> int:
    return slices_per_task(strategy, seconds_of(strategy, TYPICAL)[1])


def test_tasks_hold_whole_inner_loops_where_they_can() -> None:
    tree = matrices(12, 40, ("i2", "i5", "i8"))
    per_task = per_task_of(strategy_for(tree, 0))
    assert per_task % 40 == 0 or per_task < 40
    assert 1 <= per_task <= tree.n_slices
    # No clock has a say.
    assert per_task == per_task_of(strategy_for(tree, 0))


def test_a_short_job_is_one_task() -> None:
    tree = matrices(3, 2, ("i1",))
    assert per_task_of(strategy_for(tree)) == 2


@pytest.mark.parametrize(
    ("size", "threads", "slices"), [(8, 1, 8), (2, 1, 8), (1, 4, 2), (4, 4, 4)]
)
def test_what_slices_share_counts_once_for_each_thread(
    size: int, threads: int, slices: int
) -> None:
    strategy = Strategy.of(matrices(4, 8, ("i3",)))
    # A times B is shared; in each slice that times a column of C is 8*8, and an outer product.
    expected = (8**3 + slices * 8 * 8) * 1e-9
    assert wall_seconds(strategy, PLAIN, size, threads) == pytest.approx(expected)


def test_a_thread_more_than_tasks_saves_nothing() -> None:
    strategy = strategy_for(matrices(3, 8, ("i2",)), 0)
    three, four = (wall_seconds(strategy, PLAIN, 3, threads) for threads in (3, 4))
    assert three == four > wall_seconds(strategy, PLAIN, 1, 8)


def test_memory_that_was_never_there_counts_once_for_its_elements() -> None:
    strategy = Strategy.of(matrices(2, 8))
    # Two matrices and their product are there, and four more while that is added up.
    assert strategy.peak_elements == 7 * 64
    more = replace(PLAIN, fresh_s=1e-6)
    expected = 7 * 64 * 1e-6 + 8**3 * 1e-9
    assert wall_seconds(strategy, more, 1, 1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("side", "rate"), [(64, 1e-9), (512, 1e-9), (1024, 4 ** (2 / 3) * 1e-9), (4096, 4e-9)]
)
def test_a_move_that_no_cache_holds_takes_longer(side: int, rate: float) -> None:
    """Between 2^18 and 2^21 elements the logarithm of the rate is straight."""
    tree = ContractionTree(
        inputs=(("a", "b", "k"), ("k", "c")),
        output=("a", "c", "b"),
        dimensions=(("a", side // 4), ("b", 2), ("k", 2), ("c", 2 * side)),
        path=((0, 1),),
    )
    strategy = Strategy.of(tree)
    (call,) = strategy.schedule.calls
    assert call.elements == side**2
    assert call.natural
    _, loop = seconds_of(strategy, replace(PLAIN, move_s=1e-9, far_move_s=4e-9))
    # Axes ``c, a, b`` become ``a, c, b``: runs of two elements.
    share = (1 + 6 / 2) / 7
    assert loop == pytest.approx(2 * side**2 * 1e-9 + side**2 * rate * share)


def test_a_bad_moment_does_not_stay() -> None:
    bad = replace(
        PLAIN,
        call_s=1.0,
        mul_add_s={key: value * 1000 for key, value in PLAIN.mul_add_s.items()},
    )
    found = median_of([bad, PLAIN, PLAIN])
    assert found == PLAIN


def grid(n: int, size: int) -> Problem:
    """A square lattice, closed by nothing."""
    down = {(r, c): f"v{r}_{c}" for r in range(n - 1) for c in range(n)}
    right = {(r, c): f"h{r}_{c}" for r in range(n) for c in range(n - 1)}
    around = (
        (down.get((r - 1, c)), down.get((r, c)), right.get((r, c - 1)), right.get((r, c)))
        for r in range(n)
        for c in range(n)
    )
    return problem([tuple(name for name in names if name) for names in around], size)


def ring(n: int, size: int) -> Problem:
    """Matrices in a ring, each with a bond to the one across."""
    return problem([(f"i{k}", f"i{(k + 1) % n}", f"x{k % (n // 2)}") for k in range(n)], size)


def problem(inputs: list[tuple[str, ...]], size: int) -> Problem:
    names = sorted({name for one in inputs for name in one})
    return Problem(
        inputs=tuple(inputs),
        output=(),
        dimensions=tuple((name, size) for name in names),
        dtype="float64",
    )


@pytest.mark.parametrize(
    ("network", "most"),
    [
        (grid(5, 6), 1 << 22),
        (grid(4, 3), 1 << 20),
        (ring(100, 2), 1 << 20),
        (ring(8, 8), 12_000),
        (ring(10, 8), 1 << 22),
        (problem([(f"i{k}", f"i{k + 1}") for k in range(60)], 128), 1 << 22),
    ],
    ids=["lattice", "small lattice", "many tensors", "slices", "ring", "chain"],
)
def test_a_prediction_is_about_what_it_takes(cluster: Cluster, network: Problem, most: int) -> None:
    # In a process of its own, which has the settings of a worker for BLAS and malloc.
    ratios = [cluster.do(cluster.executor.pool.call(ratio, network, most)) for _ in range(3)]
    # The benchmark asks for twice, of jobs on a worker of their own. Here the process has had its
    # memory before, which is counted as new, and others may be at work.
    assert 1 / 3 < median(ratios) < 3


def ratio(network: Problem, most: int) -> float:
    """Predicted by measured time, both of this moment and the processor's: it may be busy."""
    clock = processor_clock()
    generator = np.random.default_rng(0)
    sizes = dict(network.dimensions)
    arrays = [
        generator.standard_normal([sizes[name] for name in names]) for names in network.inputs
    ]
    tree = trees.fitting(trees.given_tree(network), most).tree
    times = []
    for _ in range(3):
        begun = clock()
        # As for any job, its strategy and calls are found first.
        strategy = strategy_for(tree, most)
        _ = Runner(Shared(strategy, arrays, network.dtype)).run(0, tree.n_slices)
        times.append(clock() - begun)
    return wall_seconds(strategy, measured(network.dtype), tree.n_slices, 1) / median(times)
