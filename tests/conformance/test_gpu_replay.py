"""Plans that stay on the device: runs again, new values, lost devices, nothing left behind."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
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
from tensorloom.errors import Cancelled, UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu import replay as gpu_replay
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.model.recipe import DType

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu() -> WebGpuBackend:
    native = pytest.importorskip("tensorloom.execute.gpu.native")
    pytest.importorskip("wgpu", reason="the package wgpu is not installed")
    try:
        return drive(native.make())
    except UnsupportedKernel as error:
        pytest.skip(error.message)


TREE = ContractionTree(
    inputs=(("i", "k"), ("k", "j")),
    output=("i", "j"),
    dimensions=(("i", 9), ("k", 40), ("j", 7)),
    path=((0, 1),),
)


def _run(gpu: WebGpuBackend, seed: int, tree: ContractionTree = TREE) -> None:
    arrays = random_arrays(tree, "float32", seed)
    program = lower(tree, "float32")
    found = drive(gpu.run(program, arrays, no_pulse))
    wanted = reference(equation(tree), arrays, "float32")
    assert_close(found.value, wanted, tolerance(program, wanted))


def test_many_runs_keep_one_plan_and_take_new_values(gpu: WebGpuBackend) -> None:
    for seed in range(200):
        _run(gpu, seed)
    assert gpu.device.counts()["plans"] == 1
    assert gpu.device.counts()["buffers"] == 6
    gpu.release()
    assert [gpu.device.counts()[name] for name in ("plans", "buffers", "bytes")] == [0, 0, 0]


def test_runs_at_once_each_get_their_own_value(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_replay, "SUBMIT_MS", 0.0)
    names = "abcdef"
    tree = ContractionTree(
        inputs=tuple(pairwise(names)),
        output=("a", "f"),
        dimensions=tuple((name, 5) for name in names),
        path=((0, 1), (5, 2), (6, 3), (7, 4)),
    )
    program = lower(tree, "float32")
    given = [random_arrays(tree, "float32", seed) for seed in (1, 2)]

    async def pulse(_done: int, _slices: object = None) -> None:
        await asyncio.sleep(0)

    async def both() -> list[RawResult]:
        return await asyncio.gather(*(gpu.run(program, arrays, pulse) for arrays in given))

    for arrays, found in zip(given, asyncio.run(both()), strict=True):
        wanted = reference(equation(tree), arrays, "float32")
        assert_close(found.value, wanted, tolerance(program, wanted))


def test_many_different_plans_stay_bounded(gpu: WebGpuBackend) -> None:
    for seed in range(90):
        tree = random_tree(seed)
        if lower(tree, "float32").dispatches:
            arrays = random_arrays(tree, "float32", seed)
            drive(gpu.run(lower(tree, "float32"), arrays, no_pulse))
    assert gpu.device.counts()["plans"] <= 64
    assert gpu.loaded.total_bytes <= gpu.loaded.most_bytes


def test_measuring_leaves_nothing_on_the_device(gpu: WebGpuBackend) -> None:
    _run(gpu, 0)
    before = gpu.loaded.keys()

    async def once() -> None:
        if len(gpu.loaded.keys() - before) > 1:
            raise Cancelled("superseded", "Somebody wants something.")

    with pytest.raises(Cancelled):
        drive(gpu.measure(pause=once))
    assert gpu.loaded.keys() == before


def test_a_lost_device_comes_back_with_the_right_number(gpu: WebGpuBackend) -> None:
    _run(gpu, 1)
    gpu.device.lose()  # type: ignore[attr-defined]  # the native one
    _run(gpu, 2)
    assert gpu.device.counts()["plans"] == 1


def cancelling(n: int) -> tuple[ContractionTree, list[NDArray[Any]]]:
    """A sum of products over a sliced index: large ones that cancel, small ones between."""
    tree = ContractionTree(
        inputs=(("s", "i"), ("s", "i")),
        output=("i",),
        dimensions=(("s", n), ("i", 5)),
        path=((0, 1),),
        sliced=("s",),
    )
    generator = np.random.default_rng(3)
    large, small = generator.uniform(2e7, 4e7, n // 3), generator.uniform(0.1, 0.9, n // 3)
    column = np.stack([large, small, -large], axis=1).ravel()
    weights = np.ones(5)
    return tree, [
        np.outer(column, weights).astype("float32"),
        np.ones((n, 5), "float32"),
    ]


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_sums_of_slices_keep_what_rounding_takes(gpu: WebGpuBackend, dtype: DType) -> None:
    tree, arrays = cancelling(60)
    if dtype == "complex64":
        arrays[1] = arrays[1] * np.complex64(1j)
        arrays[0] = arrays[0].astype(dtype)
    found = drive(gpu.run(lower(tree, dtype), arrays, no_pulse)).value
    exact = math.fsum(arrays[0][:, 0].real.astype(float))
    plain = np.add.accumulate(arrays[0][:, 0].real)[-1]
    assert abs(plain - exact) > 0.1 * abs(exact) > 0
    assert found.shape == (5,)
    np.testing.assert_allclose(found / arrays[1][0, 0], exact, rtol=1e-6)
