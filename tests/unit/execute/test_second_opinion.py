"""Measured errors: repetitions with other roundings, against errors known by construction."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import ExecutionError
from tensorloom.execute.backend import RawResult, drive, no_pulse
from tensorloom.execute.error_bound import error_bound
from tensorloom.execute.error_bound_measured import measured
from tensorloom.execute.gradient_bounds import bounds_of
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.execute.second_opinion import TRIALS, largest_difference
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.kernels.program import Program

PLAN = plan_for((("i",), ("i",)), (), (("i", 3),))
PROGRAM = lower(PLAN, "float32")
BACKEND = NumpyBackend()


def contracted(arrays: Sequence[NDArray[Any]]) -> RawResult:
    return drive(
        BACKEND.run(PROGRAM, [np.asarray(array, np.float32) for array in arrays], no_pulse)
    )


def difference(arrays: Sequence[NDArray[Any]]) -> float:
    calls = []

    async def replay(again: Sequence[NDArray[Any]]) -> RawResult:
        calls.append(again)
        return await BACKEND.run(PROGRAM, again, no_pulse)

    found = drive(largest_difference(PROGRAM, arrays, contracted(arrays), replay))
    assert len(calls) in {0, TRIALS}
    return found


def test_without_cancellation_a_few_roundings_differ() -> None:
    assert difference([np.array([0.1, 0.2, 0.3]), np.array([0.7, 0.6, 0.5])]) < 8 * 2.0**-24


def test_what_cancels_shows() -> None:
    # 1e-4 is left of 0.3: roundings of 2^-24 of that are 2e-4 of it.
    found = difference([np.array([0.1, 0.2, -0.2999]), np.ones(3)])
    assert 1e-5 < found < 1e-2


def test_the_clock_has_no_say_in_the_bound() -> None:
    arrays = [np.array([0.1, 0.2, -0.2999]), np.ones(3)]
    choice = prepare(PLAN, backends={"numpy": BACKEND}, dtype="float32")
    ticks = count(0.0, 1000.0)
    quick = drive(run(choice, arrays))
    slow = drive(run(choice, arrays, clock=lambda: next(ticks)))
    assert slow.ms == 1e6
    assert slow.error_bound == quick.error_bound < 0.1


def test_a_zero_has_no_certain_digit() -> None:
    assert difference([np.array([1.0, 0.0, -1.0]), np.ones(3)]) == 1.0


def test_results_far_beyond_the_range_are_compared_at_their_scale() -> None:
    n = 40
    sizes = tuple((f"i{number}", 2) for number in range(n + 1))
    inputs = tuple((f"i{number}", f"i{number + 1}") for number in range(n))
    plan = plan_for(inputs, ("i0", f"i{n}"), sizes)
    arrays = [np.array([[1e30, -2e29], [3e29, 1e30]])] * n
    choice = prepare(plan, backends={"numpy": BACKEND}, dtype="float32")
    first = drive(run(choice, arrays))
    assert first.log10_scale > 1000

    async def replay(again: Sequence[NDArray[Any]]) -> RawResult:
        return await BACKEND.run(choice.attempts[0].program, again, no_pulse)

    raw = RawResult(value=first.value, log10_scale=first.log10_scale)
    found = drive(largest_difference(choice.attempts[0].program, arrays, raw, replay))
    assert found < 1e-5


def test_a_run_measures_its_error_where_averages_say_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A long product of random matrices is far smaller than its average: nothing cancels in it.
    n = 200
    draw = np.random.default_rng(0)
    sizes = tuple((f"i{number}", 2) for number in range(n + 1))
    plan = plan_for(tuple((f"i{k}", f"i{k + 1}") for k in range(n)), ("i0", f"i{n}"), sizes)
    arrays = [draw.normal(size=(2, 2)) for _ in range(n)]
    choice = prepare(plan, backends={"numpy": BACKEND}, dtype="float32")
    assert drive(run(choice, arrays)).error_bound < 1e-2
    monkeypatch.setattr("tensorloom.execute.second_opinion.MOST_WORK", 0)
    assert drive(run(choice, arrays)).error_bound == pytest.approx(1.0)


@pytest.mark.parametrize("narrow", [np.float32, np.float16, np.int8])
def test_arrays_of_a_narrow_type_are_repeated_in_the_one_computed_in(narrow: type) -> None:
    # The same numbers in either type give the same run, so the same error.
    n = 200
    draw = np.random.default_rng(0)
    sizes = tuple((f"i{number}", 2) for number in range(n + 1))
    plan = plan_for(tuple((f"i{k}", f"i{k + 1}") for k in range(n)), ("i0", f"i{n}"), sizes)
    arrays = [(5 * draw.normal(size=(2, 2))).astype(narrow) for _ in range(n)]
    choice = prepare(plan, backends={"numpy": BACKEND}, dtype="float64")
    wide = drive(run(choice, [array.astype(np.float64) for array in arrays]))
    found = drive(run(choice, arrays))
    assert np.array_equal(found.value, wide.value)
    assert found.error_bound == wide.error_bound < 1e-10


@pytest.mark.parametrize("runs", [1, 7])
def test_a_plan_of_many_runs_takes_so_many_times_the_work(
    monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    # One call of 3 multiply-adds, for each slice.
    monkeypatch.setattr("tensorloom.execute.second_opinion.STEP_WORK", 100)
    whole = plan_for((("s", "i"), ("s", "i")), (), (("s", runs), ("i", 3)))
    plan = replace(whole, tree=replace(whole.tree, sliced=("s",)))
    (attempt,) = prepare(
        plan, backends={"numpy": BACKEND}, dtype="float32", lowering=lambda *_: PROGRAM
    ).attempts
    given = (np.array([0.1, 0.2, -0.2999]), np.ones(3))

    def value() -> int:
        return drive(measured(1.0, attempt, given, contracted(given), []))[1]

    def gradient() -> int:
        async def again(_cast: object) -> list[RawResult]:
            return [contracted(given)]

        seeded = (*given, np.ones(()))
        return drive(bounds_of(attempt, seeded, (), [contracted(given)], again))[1]

    for repeated in (value, gradient):
        monkeypatch.setattr("tensorloom.execute.second_opinion.MOST_WORK", 103 * runs)
        assert repeated() > 0
        monkeypatch.setattr("tensorloom.execute.second_opinion.MOST_WORK", 103 * runs - 1)
        assert repeated() == 0


def test_a_repetition_at_quite_another_scale_tells_that_nothing_is_certain() -> None:
    first = RawResult(value=np.array(1.0), log10_scale=-900.0)

    async def replay(_again: Sequence[NDArray[Any]]) -> RawResult:
        return RawResult(value=np.array(1.0))

    program = lower(PLAN, "float64")
    assert drive(largest_difference(program, [np.ones(3), np.ones(3)], first, replay)) == 1.0


class Narrow(NumpyBackend):
    """One whose runs leave its range from the second on."""

    runs = 0

    async def run(self, program: Program, arrays: Any, pulse: Pulse) -> RawResult:
        self.runs += 1
        if self.runs > 1:
            raise ExecutionError("f16-range", "A tensor left the range.", "Choose WebGPU.")
        return await super().run(program, arrays, pulse)


def test_a_repetition_beyond_the_range_leaves_the_bound_from_averages() -> None:
    arrays = [np.array([0.1, 0.2, -0.2999]), np.ones(3)]
    backend = Narrow()
    choice = prepare(PLAN, backends={"numpy": backend}, dtype="float32")
    found = drive(run(choice, arrays))
    assert backend.runs == 2
    assert found.value == pytest.approx(1e-4, rel=1e-2)
    assert found.error_bound == error_bound(
        PLAN.tree, PROGRAM, arrays, contracted(arrays), ("numpy",)
    )


@pytest.mark.parametrize("given", [np.float64, np.float32])
def test_memory_of_repetitions_is_said(given: type) -> None:
    n = 100_000
    plan = plan_for((("a", "i"), ("a",)), ("i",), (("a", 2), ("i", n)))
    row = np.random.default_rng(0).normal(size=n)
    arrays = [np.stack([row, -row * (1 + 1e-6)]).astype(given), np.ones(2)]
    choice = prepare(plan, backends={"numpy": BACKEND}, dtype="float64")
    drive(run(choice, arrays))
    tracemalloc.start()
    found = drive(run(choice, arrays))
    most = tracemalloc.get_traced_memory()[1] + arrays[0].nbytes
    tracemalloc.stop()
    assert most > 1.5 * choice.attempts[0].peak_bytes
    assert most == pytest.approx(found.peak_bytes, rel=0.15)
