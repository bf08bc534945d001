"""Plans that stay on the device: runs again, new values, lost devices, nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.execute.gpu.backend import WebGpuBackend

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
    assert gpu.device.counts()["buffers"] == 5
    gpu.release()
    assert [gpu.device.counts()[name] for name in ("plans", "buffers", "bytes")] == [0, 0, 0]


def test_many_different_plans_stay_bounded(gpu: WebGpuBackend) -> None:
    for seed in range(90):
        tree = random_tree(seed)
        if lower(tree, "float32").dispatches:
            arrays = random_arrays(tree, "float32", seed)
            drive(gpu.run(lower(tree, "float32"), arrays, no_pulse))
    assert gpu.device.counts()["plans"] <= 64
    assert gpu.loaded.total_bytes <= gpu.loaded.most_bytes


def test_a_lost_device_comes_back_with_the_right_number(gpu: WebGpuBackend) -> None:
    _run(gpu, 1)
    gpu.device.lose()  # type: ignore[attr-defined]  # the native one
    _run(gpu, 2)
    assert gpu.device.counts()["plans"] == 1
