"""Kernels chosen by what was measured of a GPU: modelled ones measure as what they are made of.

What a kernel takes on them is ``ModelledGpu.kernel_ms``, workgroup by workgroup; the chooser has
its own, coarser model, and knows of them what the micro-benchmarks have found.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import pytest

from modelled_gpu import ModelledGpu
from published_devices import NAMED
from published_rules import gpu_survivors
from tensorloom.execute.backend import drive
from tensorloom.execute.gpu.microbench import measured_gpu
from tensorloom.execute.known_device import gpu_speeds
from tensorloom.kernels.gpu.limits import GpuLimits, GpuSpeeds
from tensorloom.kernels.gpu.space import default_candidate, gpu_candidates, survey, why_not
from tensorloom.kernels.program import KernelSpec, LoopAxis

if TYPE_CHECKING:
    from tensorloom.kernels.gpu.candidate import GpuCandidate

SHAPES = (
    (2048, 2048, 2048),
    (512, 512, 512),
    (256, 256, 256),
    (257, 193, 311),
    (8192, 64, 64),
    (64, 64, 8192),
    (1024, 1024, 8),
    (384, 768, 768),
    (4096, 128, 512),
)

GPUS = {
    "large": ModelledGpu(
        peak_gflops=20_000.0,
        processors=64,
        full_threads=64,
        nearest_bytes_per_ms=1e10,
        shared_bytes_per_ms=1e10,
        dispatch_ms=0.004,
    ),
    "slow caches": ModelledGpu(
        peak_gflops=4000.0,
        full_threads=64,
        nearest_bytes_per_ms=1.5e9,
        shared_bytes_per_ms=8e9,
        dispatch_ms=0.004,
    ),
    "few registers": ModelledGpu(
        peak_gflops=500.0,
        processors=8,
        full_threads=64,
        registers=16,
        nearest_bytes_per_ms=5e8,
        shared_bytes_per_ms=2e8,
        dispatch_ms=0.004,
    ),
    "wide processors": ModelledGpu(
        peak_gflops=2000.0,
        processors=16,
        full_threads=128,
        registers=32,
        nearest_bytes_per_ms=2e9,
        shared_bytes_per_ms=2e9,
        dispatch_ms=0.004,
    ),
    "small": ModelledGpu(
        peak_gflops=100.0,
        processors=4,
        full_threads=64,
        nearest_bytes_per_ms=5e7,
        shared_bytes_per_ms=2e7,
        dispatch_ms=0.004,
    ),
}


def _matrices(rows: int, columns: int, contracted: int) -> KernelSpec:
    return KernelSpec(
        dtype="float32",
        rows=(LoopAxis(size=rows, left=contracted, right=0, out=columns),),
        columns=(LoopAxis(size=columns, left=0, right=1, out=1),),
        contracted=(LoopAxis(size=contracted, left=1, right=columns, out=0),),
    )


def _measured(gpu: ModelledGpu) -> GpuLimits:
    """The limits of a device after it was measured."""

    async def last() -> GpuSpeeds:
        found = [step async for step in measured_gpu(gpu, gpu.clock)][-1]
        assert found is not None
        return gpu_speeds(found[0])

    return replace(gpu.limits, speeds=drive(last()))


def _share(gpu: ModelledGpu, spec: KernelSpec, chosen: GpuCandidate, known: GpuLimits) -> float:
    """Time of the best kernel over that of the chosen one, on this device."""
    able = {
        verdict.candidate
        for limits in (gpu.limits, known)
        for verdict in survey(spec, limits)
        if not verdict.by_limit and verdict.candidate.family != "small"
    }
    best = min(gpu.kernel_ms(spec, candidate) for candidate in able)
    return best / gpu.kernel_ms(spec, chosen)


def _mean(shares: list[float]) -> float:
    return prod(shares) ** (1 / len(shares))


@pytest.mark.parametrize("name", GPUS)
def test_the_first_kernel_of_a_measured_gpu_is_about_the_best(name: str) -> None:
    gpu = GPUS[name]
    known = _measured(gpu)
    before, after, walked = [], [], []
    for shape in SHAPES:
        spec = _matrices(*shape)
        before.append(_share(gpu, spec, default_candidate(spec, gpu.limits), known))
        after.append(_share(gpu, spec, default_candidate(spec, known), known))
        walked.append(_share(gpu, spec, gpu_candidates(spec, known)[0], known))
    assert _mean(before) < 0.9
    assert _mean(after) > 0.95
    assert min(after) > 0.7
    # The search begins with what the model expects to be best, too.
    assert _mean(walked) > 0.9


@pytest.mark.parametrize(
    ("name", "family"), [("slow caches", "shared"), ("small", "registers"), ("large", "registers")]
)
def test_workgroup_memory_is_used_where_it_is_faster_than_the_cache(name: str, family: str) -> None:
    assert default_candidate(_matrices(512, 512, 512), _measured(GPUS[name])).family == family


@pytest.mark.parametrize(("registers", "most"), [(16, 16), (32, 16), (64, 64)])
def test_tiles_are_as_large_as_registers_hold(registers: int, most: int) -> None:
    gpu = ModelledGpu(
        full_threads=64, registers=registers, nearest_bytes_per_ms=3e8, shared_bytes_per_ms=2e8
    )
    known = _measured(gpu)
    assert known.speeds.sums == registers
    chosen = default_candidate(_matrices(2048, 2048, 2048), known)
    assert chosen.rows * chosen.columns == most
    cuts = {verdict.candidate.text: verdict.cut for verdict in survey(_matrices(*SHAPES[0]), known)}
    spilling = f"64 sums per invocation where {registers} fit in registers"
    assert cuts["registers 8x8/8x8"] == ("" if registers == 64 else spilling)


@pytest.mark.parametrize("sums", [4, 8])
def test_tiles_of_16_sums_are_tried_on_every_gpu_but_last(sums: int) -> None:
    """A GPU that seemed to hold fewer may have been in use while it was measured."""
    spec, known = _matrices(1024, 1024, 1024), replace(GpuLimits(), speeds=GpuSpeeds(sums=sums))
    verdicts = survey(spec, known)
    tried = [verdict.candidate for verdict in verdicts if not verdict.cut]
    assert {"registers 4x4/8x8", "shared 4x4/8x8 k8"} <= {one.text for one in tried}
    ruled_out = [one.candidate for one in verdicts if "fit in registers" in one.cut]
    assert min(one.rows * one.columns for one in ruled_out) > 16
    fits = [one.rows * one.columns <= sums for one in tried]
    assert fits == sorted(fits, reverse=True)
    assert 0 < sum(fits) < len(fits)


def test_workgroups_are_as_large_as_keeps_lanes_busy() -> None:
    shape = _matrices(512, 512, 512)
    assert default_candidate(shape, GpuLimits()).threads == 64
    assert default_candidate(shape, _measured(GPUS["wide processors"])).threads == 128


def test_a_small_gpu_wants_fewer_workgroups() -> None:
    spec = _matrices(64, 64, 512)
    text, small = "registers 4x4/8x8", _measured(GPUS["small"])
    cuts = {
        name: {verdict.candidate.text: verdict.cut for verdict in survey(spec, limits)}[text]
        for name, limits in (("any", GpuLimits()), ("small", small))
    }
    assert cuts == {"any": "4 workgroups where the device wants 64", "small": ""}


def test_long_sums_are_cut_for_the_first_answer_where_processors_would_idle() -> None:
    spec = _matrices(64, 64, 8192)
    chosen = default_candidate(spec, _measured(GPUS["slow caches"]))
    assert chosen.splits > 1
    # Parts of a sum would be stored in 16 bits.
    halved = default_candidate(spec, _measured(GPUS["slow caches"]), half=True)
    assert why_not(spec, halved, GpuLimits(), half=True) == ""


def test_what_was_not_measured_is_as_before() -> None:
    unknown = replace(GpuLimits(), speeds=GpuSpeeds(groups=None, sums=None))
    for shape in SHAPES:
        spec = _matrices(*shape)
        assert survey(spec, unknown) == survey(spec, GpuLimits())


def test_simulated_gpus_stay_as_they_are() -> None:
    """Their model has measured numbers of its own, and others work on their cores."""
    simulated = GpuLimits(software=True, largest_tile=8, split=False, min_groups=4, subgroup=4)
    speeds = GpuSpeeds(groups=64, threads=256, sums=8, mul_adds_per_ms=1.0, loads_per_ms=1e6)
    known = replace(simulated, speeds=speeds)
    for shape in SHAPES:
        spec = _matrices(*shape)
        assert survey(spec, known) == survey(spec, simulated)
        assert default_candidate(spec, known) == default_candidate(spec, simulated)


def test_the_published_rules_agree_where_they_know_the_device() -> None:
    """On a device like it, the tile is one of those that an RTX-class GPU's record keeps."""
    gpu = NAMED["RTX-class GPU"].gpu
    assert gpu is not None
    tiles = {(kept.mr, kept.nr) for kept in gpu_survivors(gpu).kept}
    chosen = default_candidate(_matrices(2048, 2048, 2048), _measured(GPUS["large"]))
    assert (chosen.rows, chosen.columns) in tiles
