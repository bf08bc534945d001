"""Slices contracted by the runner against einsum: layouts, tables, what is kept, exponents."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from tensorloom.errors import Cancelled
from tensorloom.execute.casting import cast_arrays
from tensorloom.execute.scaling import finished
from tensorloom.kernels.lower import lower
from tensorloom.model.document import DTYPES
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution import schedule
from tensorloom_worker.execution.runner import Runner, Shared, assembled
from tensorloom_worker.execution.strategy import Strategy, strategy_for
from tensorloom_worker.execution.sums import Sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.model.recipe import DType

SEEDS = range(150)


def shared_of(tree: ContractionTree, dtype: DType, most: int | None, seed: int) -> Shared:
    arrays, _ = cast_arrays(random_arrays(tree, dtype, seed), dtype)
    return Shared(strategy_for(tree, most), arrays, dtype)


def result_of(shared: Shared, *cuts: int) -> NDArray[Any]:
    """The whole result, its slices run in tasks that end at the cuts."""
    schedule = shared.schedule
    per_block = schedule.n_slices // schedule.n_blocks
    total = Sum((schedule.n_blocks, *schedule.block_shape), shared.dtype)
    start = 0
    for end in (*cuts, schedule.n_slices):
        # A runner of its own: a task must not need what another one has left.
        part = Runner(shared).run(start, end)
        total.merge(part, slice(start // per_block, (end - 1) // per_block + 1))
        start = end
    raw = finished(total.value(), total.exponent or 0, shared.dtype)
    assert raw.log10_scale == 0
    return assembled(schedule, raw.value)


@pytest.mark.parametrize("most", [None, 0], ids=["with tables", "without"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_slices_add_up_to_what_einsum_gives(dtype: DType, most: int | None) -> None:
    for seed in SEEDS:
        tree = random_tree(seed, sliced=True)
        if not tree.path:
            tree = replace(tree, sliced=())
        wanted = reference(equation(tree), random_arrays(tree, dtype, seed), dtype)
        found = result_of(shared_of(tree, dtype, most, seed))
        allowed = tolerance(lower(tree, dtype), wanted)
        assert_close(found, wanted, allowed)


def chain(n: int, size: int, sliced: tuple[str, ...]) -> ContractionTree:
    """A closed chain of matrices, contracted from the left."""
    names = [f"i{number}" for number in range(n)]
    return ContractionTree(
        inputs=tuple((names[number], names[(number + 1) % n]) for number in range(n)),
        output=(),
        dimensions=tuple((name, size) for name in names),
        path=tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1)),
        sliced=sliced,
    )


def test_tasks_of_any_length_give_the_same_bits_as_their_slices_one_by_one() -> None:
    tree = chain(6, 3, ("i1", "i3", "i4"))
    shared = shared_of(tree, "float64", 0, 0)
    ranges = [(0, 27), (5, 6), (7, 19)]
    for start, end in ranges:
        whole = Runner(shared).run(start, end)
        one = Sum((1,), "float64")
        for number in range(start, end):
            value, exponent = Runner(shared).slice_value(number)
            one.add(value, exponent, 0)
        assert whole.partial() == one.partial()


def test_what_a_runner_did_before_changes_no_bit() -> None:
    shared = shared_of(chain(7, 3, ("i2", "i3", "i5")), "complex64", 0, 1)
    busy = Runner(shared)
    fresh = Runner(shared).run(4, 11)
    for start, end in ((20, 27), (0, 3), (9, 10)):
        _ = busy.run(start, end)
    again = busy.run(4, 11)
    assert again.partial() == fresh.partial()


def test_a_runner_that_was_stopped_goes_on_with_the_same_bits() -> None:
    shared = shared_of(chain(600, 3, ("i2", "i3", "i599")), "complex64", 0, 1)
    wanted = Runner(shared).run(3, 9)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 7:
            raise Cancelled("cancelled", "Nobody waits.")

    stopped = Runner(shared)
    with pytest.raises(Cancelled):
        _ = stopped.run(3, 9, look)
    # In the midst of a slice: nothing of it is kept.
    assert stopped._digits is None
    assert stopped.bytes == 0
    assert stopped.run(3, 9).partial() == wanted.partial()


def test_a_branch_without_sliced_indices_is_made_once() -> None:
    # (A B)(C D): only the bond between the pairs is sliced on one side.
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")),
        output=(),
        dimensions=(("a", 4), ("b", 5), ("c", 6), ("d", 7)),
        path=((0, 1), (2, 3), (4, 5)),
        sliced=("d",),
    )
    strategy = strategy_for(tree)
    assert [table.inputs for table in strategy.tables] == [(0, 1)]
    # A B once: 4*5*6. In each of 7 slices C D: 6*4, and its trace with A B: 4*6.
    assert strategy.mul_adds == 4 * 5 * 6 + 7 * (6 * 4 + 4 * 6)
    assert Strategy.of(tree, 0).mul_adds == 7 * (4 * 5 * 6 + 6 * 4 + 4 * 6)


def test_a_table_holds_every_value_of_its_sliced_indices() -> None:
    tree = replace(chain(4, 5, ()), sliced=("i1", "i3"), path=((0, 1), (2, 3), (4, 5)))
    strategy = strategy_for(tree)
    # Each pair carries one of the two sliced indices only, so both are made once, whole.
    assert [table.inputs for table in strategy.tables] == [(0, 1), (2, 3)]
    assert all(len(table.tree.output) == 3 for table in strategy.tables)
    value = result_of(Shared(strategy, random_arrays(tree, "float64", 3), "float64"))
    assert value == pytest.approx(
        np.einsum("ab,bc,cd,da->", *random_arrays(tree, "float64", 3)), rel=1e-13
    )


def test_what_is_kept_stays_within_the_memory() -> None:
    tree = chain(12, 8, ("i2", "i5", "i8", "i10"))
    free = strategy_for(tree)
    for most in (free.peak_elements, 1400, 1100):
        tight = strategy_for(tree, most)
        assert tight.peak_elements <= most
        assert tight.mul_adds >= free.mul_adds


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("power", [-30, 30])
def test_long_products_neither_overflow_nor_vanish(dtype: DType, power: int) -> None:
    tree = chain(60, 4, ("i7",))
    arrays = [(array * 10.0**power).astype(dtype) for array in random_arrays(tree, dtype, 5)]
    shared = Shared(strategy_for(tree), arrays, dtype)
    total = Runner(shared).run(0, 4)
    raw = finished(total.value(), total.exponent or 0, dtype)
    plain = [np.asarray(array, "complex128") / 10.0**power for array in arrays]
    product = np.eye(4, dtype=complex)
    scale = 0.0
    for array in plain:
        product = product @ array
        largest = np.abs(product).max()
        product, scale = product / largest, scale + np.log10(largest)
    wanted = np.trace(product)
    found = complex(raw.value.reshape(())) * 10 ** (raw.log10_scale - scale - 60 * power)
    # 60 products of 4 terms, cancelling a little.
    allowed = 240 * 20 * np.finfo(dtype).eps
    assert abs(found - wanted) <= allowed * abs(wanted) * 10


def test_a_zero_or_infinite_input_is_no_trouble() -> None:
    tree = chain(4, 3, ("i1",))
    arrays = random_arrays(tree, "float64", 6)
    zero = [np.zeros_like(arrays[0]), *arrays[1:]]
    assert result_of(Shared(strategy_for(tree), zero, "float64")) == 0
    infinite = [np.full_like(arrays[0], np.inf), *arrays[1:]]
    assert not np.isfinite(result_of(Shared(strategy_for(tree), infinite, "float64")))


def test_a_result_with_sliced_indices_is_put_together() -> None:
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "c"), ("c", "d")),
        output=("d", "a"),
        dimensions=(("a", 3), ("b", 4), ("c", 5), ("d", 2)),
        path=((0, 1), (3, 2)),
        sliced=("c", "a", "d"),
    )
    arrays = random_arrays(tree, "complex128", 7)
    shared = Shared(strategy_for(tree, 0), arrays, "complex128")
    wanted = np.einsum("ab,bc,cd->da", *arrays)
    for cuts in ((), (1,), (7, 8, 21), tuple(range(1, 30))):
        np.testing.assert_allclose(result_of(shared, *cuts), wanted, rtol=1e-13)


@pytest.mark.parametrize(
    ("inputs", "output", "sizes"),
    [
        ((("a", "b", "k"), ("k", "c", "d")), ("a", "c", "b", "d"), (16, 256, 16, 32, 2)),
        ((("a", "k", "b"), ("c", "k", "d")), ("c", "a", "b", "d"), (32, 128, 32, 32, 2)),
        ((("h", "a", "k"), ("k", "c", "h")), ("a", "h", "c"), (256, 8, 512, 4)),
        ((("a", "b", "k"), ("k", "c", "d")), ("c", "a", "d", "b"), (11, 11, 97, 101, 2)),
        ((("a", "b"), ("c", "d")), ("d", "b", "c", "a"), (16, 64, 33, 31)),
        ((("h", "a", "k"), ("k", "c", "h")), ("a", "h", "c"), (1021, 2, 1031, 3)),
        ((("g", "h", "a", "k"), ("k", "h", "g")), ("h", "a", "g"), (2, 509, 1031, 3)),
    ],
    ids=[
        "rows",
        "columns first",
        "batch",
        "few rows",
        "outer",
        "few in a batch",
        "small",
    ],
)
def test_a_large_product_is_moved_in_parts(
    inputs: tuple[tuple[str, ...], ...], output: tuple[str, ...], sizes: tuple[int, ...]
) -> None:
    """So it is there once: planned for are the operands and the result."""
    names = sorted({name for indices in inputs for name in indices})
    tree = ContractionTree(
        inputs=inputs,
        output=output,
        dimensions=tuple(zip(names, sizes, strict=True)),
        path=((0, 1),),
    )
    arrays = random_arrays(tree, "float64", 0)
    shared = Shared(Strategy.of(tree), arrays, "float64")
    (call,) = shared.schedule.calls
    assert call.parts
    exact = reference(equation(tree), arrays, "float64")
    peaks = []
    # Threads of a cluster that other tests share allocate beside it at times.
    for _ in range(3):
        tracemalloc.start()
        try:
            value, exponent = Runner(shared).slice_value(0)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert exponent == 0
        assert_close(value, exact, tolerance(lower(tree, "float64"), exact))
    size = call.elements * 8
    assert size < min(peaks) < 1.3 * size


def test_a_long_product_is_made_in_parts_between_which_it_can_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "PART_ELEMENTS", 1 << 12)
    monkeypatch.setattr(schedule, "PART_MUL_ADDS", 1 << 20)
    tree = ContractionTree(
        inputs=(("a", "k"), ("k", "b")),
        output=("a", "b"),
        dimensions=(("a", 330), ("k", 256), ("b", 300)),
        path=((0, 1),),
    )
    arrays = random_arrays(tree, "complex64", 0)
    shared = Shared(Strategy.of(tree), arrays, "complex64")
    looks: list[None] = []
    value, _ = Runner(shared).slice_value(0, lambda: looks.append(None))
    # One before the slice, one before the call; 64 of 330 rows and of 300 columns at a time.
    assert len(looks) == 2 + 6 * 5
    exact = reference(equation(tree), arrays, "complex64")
    assert_close(value, exact, tolerance(lower(tree, "complex64"), exact))


@pytest.mark.parametrize("summed", [1, 16], ids=["outer", "matmul"])
@pytest.mark.parametrize("rows", [11 * 11, 16 * 16])
def test_a_product_that_is_moved_for_its_reader_is_there_once(rows: int, summed: int) -> None:
    side = math.isqrt(rows)
    tree = ContractionTree(
        inputs=(("a", "b", "k"), ("k", "c", "d"), ("c", "a", "m")),
        output=("d", "b", "m"),
        dimensions=(("a", side), ("b", side), ("c", 64), ("d", 512), ("k", summed), ("m", 2)),
        path=((0, 1), (3, 2)),
    )
    strategy = Strategy.of(tree)
    assert strategy.schedule.calls[0].parts
    arrays = random_arrays(tree, "float64", 0)
    tracemalloc.start()
    try:
        _ = Runner(Shared(strategy, arrays, "float64")).run(0, 1)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1.1 * strategy.peak_elements * 8
