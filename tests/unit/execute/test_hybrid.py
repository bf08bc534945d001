"""Programs cut between two backends give what one backend gives."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chains import chain
from random_networks import equation, random_arrays, random_tree
from tensorloom.errors import Cancelled
from tensorloom.execute.backend import RawResult, drive, no_pulse
from tensorloom.execute.hybrid import parts, run_parts
from tensorloom.execute.numpy_backend import NATIVE_RATES, NumpyBackend
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.kernels.program import Program


class Counting(NumpyBackend):
    """numpy that keeps account of the steps it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        self.steps += len(program.dispatches)
        return await super().run(program, arrays, pulse)


@pytest.mark.parametrize("seed", range(100))
def test_any_placement_gives_the_same_value(seed: int) -> None:
    tree = random_tree(seed)
    program = lower(tree, "complex128")
    n = len(program.dispatches)
    if n == 0:
        pytest.skip("a network without a step is not placed")
    draw = random.Random(seed)
    devices = [draw.randrange(2) for _ in range(n)]
    cut = parts(program, devices)
    arrays = random_arrays(tree, "complex128", seed)
    backends = Counting(), Counting()
    found = drive(run_parts(cut, backends, arrays, no_pulse))
    wanted = np.einsum(equation(tree), *arrays)
    assert found.value.shape == wanted.shape
    np.testing.assert_allclose(found.value, wanted, rtol=1e-12, atol=1e-12)
    assert [backend.steps for backend in backends] == [devices.count(0), devices.count(1)]
    assert sum(part.program.mul_adds for part in cut) == program.mul_adds


def test_exponents_cross_the_border() -> None:
    n = 30
    program = lower(chain([2] * (n + 1)), "float32")
    cut = parts(program, [number % 2 for number in range(n - 1)])
    backends = NumpyBackend(), NumpyBackend()
    found = drive(run_parts(cut, backends, [np.eye(2, dtype=np.float32) * 1e20] * n, no_pulse))
    assert found.log10_scale == pytest.approx(600, abs=1)
    np.testing.assert_allclose(
        found.value * 10.0 ** (found.log10_scale - 600), np.eye(2), rtol=1e-4
    )


def test_connected_steps_of_one_device_are_one_part() -> None:
    program = lower(chain([2] * 5), "float32")
    assert len(parts(program, [1, 1, 1])) == 1
    assert [part.device for part in parts(program, [1, 1, 0])] == [1, 0]


def test_progress_counts_all_parts_and_cancels_between_them() -> None:
    side = 64
    sizes = tuple((name, side) for name in "abcd")
    program = lower(plan_for((("a", "b"), ("b", "c"), ("c", "d")), ("a", "d"), sizes), "float32")
    cut = parts(program, [0, 1])
    arrays = [np.ones((side, side), np.float32)] * 3
    # Rates so low that every row is a piece of its own.
    slow = NumpyBackend(rates=replace(NATIVE_RATES, mul_adds_per_ms=(("float32", "matrix", 1.0),)))
    heard: list[int] = []

    async def pulse(done: int, _slices: object = None) -> None:
        heard.append(done)
        if done > program.mul_adds // 2:
            raise Cancelled("cancelled", "Stopped.")

    with pytest.raises(Cancelled):
        drive(run_parts(cut, (slow, slow), arrays, pulse))
    assert heard == sorted(heard)
    assert len(heard) > side
