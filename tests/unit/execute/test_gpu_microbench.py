"""Measuring a GPU whose speeds are known: what is found is what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelled_gpu import ModelledGpu
from tensorloom.errors import DeviceLost
from tensorloom.execute.backend import drive
from tensorloom.execute.gpu.microbench import measured_gpu
from tensorloom.kernels.gpu.limits import GpuLimits

if TYPE_CHECKING:
    from tensorloom.execute.gpu.microbench import Found


async def steps(gpu: ModelledGpu) -> tuple[Found, int]:
    """What is found at the end, and in how many steps."""
    found = [step async for step in measured_gpu(gpu, gpu.clock)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] is not None
    return found[-1], len(found)


def test_finds_what_the_device_is_made_of() -> None:
    # The micro-benchmark of many workgroups has 64 threads in each.
    gpu = ModelledGpu(full_threads=64)
    (facts, curves), _ = drive(steps(gpu))
    assert facts.peak_gflops == pytest.approx(1000, rel=0.02)
    assert facts.bytes_per_ms == pytest.approx(1e8, rel=0.02)
    assert facts.groups == 32
    assert facts.upload_bytes_per_ms == pytest.approx(5e6, rel=0.02)
    assert facts.readback_bytes_per_ms == pytest.approx(5e6, rel=0.02)
    assert facts.cached_bytes_per_ms == pytest.approx(1e9, rel=0.02)
    assert facts.shared_bytes_per_ms == pytest.approx(2e9, rel=0.02)
    assert facts.sums == 64
    assert (facts.adapter, facts.max_invocations) == ("modelled one", 512)
    assert [curve.name for curve in curves] == ["workgroup", "gpu-load", "gpu-copy"]
    copies = dict(curves[2].points)
    assert copies[1 << 20] == pytest.approx(4e8, rel=0.02)
    assert copies[128 << 20] == pytest.approx(1e8, rel=0.02)
    # More workgroups than twice what fills it are not tried but to see that.
    assert [x for x, _ in curves[1].points] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert gpu.counts() == {"plans": 0}


@pytest.mark.parametrize(("full", "most"), [(128, 512), (32, 256), (256, 1024)])
def test_finds_how_many_threads_suffice(full: int, most: int) -> None:
    gpu = ModelledGpu(full_threads=full, limits=GpuLimits(workgroup_threads=most))
    (facts, curves), _ = drive(steps(gpu))
    assert facts.workgroup == full
    assert curves[0].knee == full
    assert max(x for x, _ in curves[0].points) == most


@pytest.mark.parametrize("speed", [5.0, 1e5], ids=["simulated", "a large one"])
def test_is_short_on_slow_and_fast_devices(speed: float) -> None:
    gpu = ModelledGpu(
        peak_gflops=speed,
        processors=2 if speed < 100 else 128,
        full_threads=64,
        bytes_per_ms=4e6 if speed < 100 else 3e9,
        is_software=speed < 100,
    )
    (facts, _), _ = drive(steps(gpu))
    assert facts.peak_gflops == pytest.approx(speed, rel=0.1)
    assert gpu.longest_ms < 120
    assert gpu.now_ms < 2500


@pytest.mark.parametrize("registers", [8, 16, 32, 64])
def test_finds_how_many_sums_registers_hold(registers: int) -> None:
    (facts, _), _ = drive(steps(ModelledGpu(registers=registers)))
    assert facts.sums == registers


class InUse(ModelledGpu):
    """A GPU that others use while the first curve is measured, but for its first point."""

    async def timed(self, handle: int, times: int) -> float:
        spent = await super().timed(handle, times)
        return 3 * spent if 2 <= self.loads <= 5 else spent


def test_sums_that_others_made_slow_for_a_while_fit_all_the_same() -> None:
    (facts, _), _ = drive(steps(InUse()))
    assert facts.sums == 64
    assert facts.peak_gflops == pytest.approx(1000, rel=0.02)


def test_finds_what_a_call_costs() -> None:
    (facts, _), _ = drive(steps(ModelledGpu(dispatch_ms=0.005)))
    assert facts.dispatch_ms == pytest.approx(0.005, rel=0.05)


def test_a_simulated_gpu_is_not_asked_for_its_workgroup_memory() -> None:
    (facts, _), _ = drive(steps(ModelledGpu(is_software=True)))
    assert facts.cached_bytes_per_ms is facts.shared_bytes_per_ms is None
    assert facts.dispatch_ms is not None


def test_what_is_refused_stays_unknown() -> None:
    gpu = ModelledGpu(refused=("copies", "reads"))
    (facts, curves), _ = drive(steps(gpu))
    assert facts.cached_bytes_per_ms is facts.shared_bytes_per_ms is facts.dispatch_ms is None
    assert facts.bytes_per_ms is facts.upload_bytes_per_ms is facts.readback_bytes_per_ms is None
    assert facts.peak_gflops == pytest.approx(1000, rel=0.02)
    assert [curve.name for curve in curves] == ["workgroup", "gpu-load"]
    nothing = ModelledGpu(refused=("WGSL", "//"))
    (facts, curves), _ = drive(steps(nothing))
    assert facts.peak_gflops is facts.workgroup is facts.groups is facts.sums is None
    assert curves == ()


def test_a_lost_device_ends_it() -> None:
    with pytest.raises(DeviceLost):
        drive(steps(ModelledGpu(lost_at=3)))
