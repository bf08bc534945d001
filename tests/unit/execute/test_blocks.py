"""Maxima and sums block by block: those of whole arrays, without a copy of their size."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.execute.backend import RawResult, SlicesDone, drive, no_pulse
from tensorloom.execute.blocks import BLOCK, blocks, largest_of, square_sum
from tensorloom.execute.error_bound import error_bound
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.execute.second_opinion import TRIALS, largest_difference
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for
from tensorloom.plan.tree import ContractionTree
from tensorloom.view.records import partial_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.kernels.program import Program

SIDE = 1 << 11
"""A square of it has 2^22 elements."""


def outer(n: int) -> ContractionTree:
    return ContractionTree(
        inputs=(("i",), ("j",)),
        output=("i", "j"),
        dimensions=(("i", n), ("j", n)),
        path=((0, 1),),
    )


def dot(n: int) -> ContractionTree:
    return ContractionTree(
        inputs=(("i",), ("i",)), output=(), dimensions=(("i", n),), path=((0, 1),)
    )


def peak_of(call: Callable[[], object]) -> int:
    """Most bytes that a call holds at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def arrays() -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(0)
    real = draw.standard_normal((3, BLOCK // 2 + 7))
    return {
        "contiguous": real,
        "transposed": real.T,
        "reversed": real[:, ::-1],
        "strided": real[:, ::2],
        "single": real.astype(np.float32),
        "complex": (real + 1j * real[::-1]).astype(np.complex64).T,
        "integers": (100 * real).astype(np.int32),
        "truths": real > 0,
        "number": np.asarray(-3.0),
        "nothing": np.zeros((0, 4)),
    }


@pytest.mark.parametrize("name", arrays())
def test_blocks_give_what_the_whole_gives(name: str) -> None:
    array = arrays()[name]
    whole = array.astype(np.complex128)
    assert sum(block.size for (block,) in blocks(array)) == array.size
    assert all(block.size <= BLOCK for (block,) in blocks(array))
    assert largest_of(block for (block,) in blocks(array)) == pytest.approx(
        np.abs(whole).max(initial=0), rel=1e-6
    )
    assert square_sum(array) == pytest.approx((np.abs(whole) ** 2).sum(), rel=1e-12)


def test_blocks_of_two_arrays_belong_together() -> None:
    array = arrays()["contiguous"]
    other = np.asfortranarray(array)
    assert all((left == right).all() for left, right in blocks(array, other))
    assert sum(left.size for left, _ in blocks(array, other)) == array.size


def test_what_is_no_number_shows_in_a_maximum_and_in_a_sum() -> None:
    array = np.ones(3 * BLOCK)
    array[BLOCK + 1] = np.nan
    assert np.isnan(largest_of(block for (block,) in blocks(array)))
    assert np.isnan(square_sum(array))


def test_squares_of_single_precision_stay_in_range() -> None:
    assert square_sum(np.full(4, 1e30, np.float32)) == pytest.approx(4e60)
    assert square_sum(np.full(4, 1e200)) == float("inf")


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_a_bound_takes_no_memory_like_the_result(dtype: Any) -> None:
    given = [np.linspace(-1, 1, SIDE).astype(dtype)] * 2
    raw = RawResult(value=np.outer(*given))
    program = lower(outer(SIDE), dtype)
    peak = peak_of(lambda: error_bound(outer(SIDE), program, given, raw, ["numpy"]))
    assert peak < raw.value.nbytes / 4


@pytest.mark.parametrize("size", [1.0, 1e-200])
def test_a_bound_takes_no_memory_like_the_inputs(size: float) -> None:
    given = [np.linspace(-size, size, SIDE**2), np.ones(SIDE**2)]
    raw = RawResult(value=np.asarray(size))
    program = lower(dot(SIDE**2), "float64")
    peak = peak_of(lambda: error_bound(dot(SIDE**2), program, given, raw, ["numpy"]))
    assert peak < given[0].nbytes / 4


def test_the_record_of_a_value_takes_no_memory_like_it() -> None:
    raw = RawResult(value=np.ones((SIDE, SIDE), np.float32))

    async def so_far() -> RawResult:
        return raw

    slices = SlicesDone(done=1, of=2, so_far=so_far)
    assert partial_json(slices, raw)["norm"] == SIDE
    assert peak_of(lambda: partial_json(slices, raw)) < raw.value.nbytes / 4


def test_a_repetition_takes_one_copy_of_the_inputs() -> None:
    n = 1 << 20
    given = [np.linspace(-1, 1, n), np.ones(n)]
    program, backend = lower(dot(n), "float64"), NumpyBackend()

    async def replay(again: Sequence[NDArray[Any]]) -> RawResult:
        return await backend.run(program, again, no_pulse)

    first = RawResult(value=np.asarray(1e-12))
    peak = peak_of(lambda: drive(largest_difference(program, given, first, replay)))
    assert peak < 1.25 * sum(array.nbytes for array in given)


def test_a_repetition_compares_results_without_copies() -> None:
    given = [np.linspace(-1, 1, SIDE)] * 2
    value = np.outer(*given)

    async def replay(again: Sequence[NDArray[Any]]) -> RawResult:
        return RawResult(value=np.outer(*again))

    program, first = lower(outer(SIDE), "float64"), RawResult(value=value)
    peak = peak_of(lambda: drive(largest_difference(program, given, first, replay)))
    assert peak < 1.25 * value.nbytes


class Counting(NumpyBackend):
    """Counts its runs."""

    runs = 0

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        self.runs += 1
        return await super().run(program, arrays, pulse)


def test_nothing_is_repeated_where_it_would_not_fit() -> None:
    n = 1000
    plan = plan_for((("i",), ("i",)), (), (("i", n),))
    given = [np.linspace(-1, 1, n), np.ones(n)]
    bytes_needed = lower(plan.tree, "float64").peak_bytes
    found = []
    for limit in (bytes_needed, 2 * bytes_needed):
        backend = Counting(limit_bytes=limit)
        result = drive(run(prepare(plan, backends={"numpy": backend}, dtype="float64"), given))
        found.append((backend.runs, result.error_bound))
    (once, averaged), (repeated, _) = found
    assert (once, repeated) == (1, 1 + TRIALS)
    assert averaged == 1.0


@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_the_least_integer_is_large(dtype: str) -> None:
    """Its magnitude is no integer of its type."""
    least = np.iinfo(dtype).min
    assert largest_of([np.array([0, least], dtype)]) == -float(least)
