"""Measuring the native adapter: a peak that arithmetic bounds, copies that copy, nothing left."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.assets import templates
from tensorloom.execute.backend import drive
from tensorloom.execute.gpu.microbench import measured_gpu
from tensorloom.kernels.gpu import micro

if TYPE_CHECKING:
    from tensorloom.execute.gpu.backend import WebGpuBackend

pytestmark = pytest.mark.gpu


def test_every_number_is_found_and_nothing_stays(gpu: WebGpuBackend) -> None:
    async def found() -> object:
        return [step async for step in measured_gpu(gpu.device, perf_counter)][-1]

    before = gpu.device.counts()["buffers"]
    facts, curves = drive(found())  # type: ignore[misc]  # the last step has them
    measured = (
        facts.peak_gflops,
        facts.bytes_per_ms,
        facts.workgroup,
        facts.groups,
        facts.upload_bytes_per_ms,
        facts.readback_bytes_per_ms,
        facts.sums,
        facts.dispatch_ms,
    )
    assert all(number is not None and number > 0 for number in measured)
    assert [curve.name for curve in curves] == ["workgroup", "gpu-load", "gpu-copy"]
    assert gpu.device.counts()["buffers"] == before


def test_arithmetic_is_done_and_not_optimised_away(gpu: WebGpuBackend) -> None:
    """With a sum that is reached the shader says which: the fixed point of ``s f + a``."""
    plan = micro.arithmetic(templates(), chains=2, threads=64, groups=4)
    handle = drive(gpu.device.load(plan))
    try:
        # s -> s / 2 + 1/2 tends to 1: eight numbers side by side then add up to 8.
        for turns, wanted in ((0, 0.0), (100, 2.0)):
            gpu.device.upload(handle, 0, np.array([0.5, 0.5, 8.0, 0.0], np.float32))
            gpu.device.constants(handle, plan.constants([(turns, 0)]))
            drive(gpu.device.submit(handle, 0, 1, wait=True))
            out = np.empty(4, np.float32)
            drive(gpu.device.read(handle, [(1, out)]))
            assert out[0] == wanted
    finally:
        gpu.device.unload(handle)


@pytest.mark.parametrize("shared", [False, True], ids=["through caches", "from workgroup memory"])
def test_numbers_are_read_again_and_not_once(gpu: WebGpuBackend, shared: bool) -> None:  # noqa: FBT001  # parametrized
    """One number that is 1 makes the sum that is looked for, if it is read in that turn."""
    plan = micro.again(templates(), shared=shared, threads=64, groups=1)
    handle = drive(gpu.device.load(plan))
    try:
        numbers = np.zeros(micro.AGAIN_NUMBERS, np.float32)
        # Each turn reads 512 numbers: this one is read in the second.
        numbers[600] = 1.0
        gpu.device.upload(handle, 0, numbers)
        for turns, wanted in ((1, 0.0), (2, 1.0)):
            gpu.device.constants(handle, plan.constants([(turns, 0)]))
            drive(gpu.device.submit(handle, 0, 1, wait=True))
            out = np.zeros(4, np.float32)
            drive(gpu.device.read(handle, [(1, out)]))
            assert out[0] == wanted
    finally:
        gpu.device.unload(handle)


def test_copies_copy_all(gpu: WebGpuBackend) -> None:
    size = 3 * micro.GROUP_BYTES
    plan = micro.copying(templates(), size)
    numbers = np.arange(size // 4, dtype=np.float32)
    handle = drive(gpu.device.load(plan))
    try:
        gpu.device.upload(handle, 0, numbers)
        gpu.device.constants(handle, plan.constants([(0, 0)] * 2))
        drive(gpu.device.submit(handle, 0, 1, wait=True))
        out = np.zeros_like(numbers)
        drive(gpu.device.read(handle, [(1, out)]))
        np.testing.assert_array_equal(out, numbers)
        # And back: the second call copies the other way.
        gpu.device.upload(handle, 0, np.zeros_like(numbers))
        drive(gpu.device.submit(handle, 1, 2, wait=True))
        drive(gpu.device.read(handle, [(0, out)]))
        np.testing.assert_array_equal(out, numbers)
    finally:
        gpu.device.unload(handle)


def test_reads_read_all(gpu: WebGpuBackend) -> None:
    """One number anywhere makes the sum that is looked for, wherever it is."""
    size = 2 * micro.GROUP_BYTES
    plan = micro.reading(templates(), size)
    handle = drive(gpu.device.load(plan))
    try:
        for place in (0, size // 8 + 5, size // 4 - 1):
            numbers = np.zeros(size // 4, np.float32)
            numbers[place] = 1.0
            gpu.device.upload(handle, 0, numbers)
            gpu.device.constants(handle, plan.constants([(0, 0)]))
            drive(gpu.device.submit(handle, 0, 1, wait=True))
            out = np.empty(4, np.float32)
            drive(gpu.device.read(handle, [(1, out)]))
            assert out.sum() == 1.0
    finally:
        gpu.device.unload(handle)
