"""How long a candidate should take: good enough to order candidates, not to predict durations.

Simulated GPUs (SwiftShader): invocations run four at a time in vector registers. Measured on the
machine of docs/benchmarks.md, per four invocations: a load 30 cycles where the four read one number
or neighbours, 60 otherwise; a broadcast 7; a multiply-add 4 with the loop's traffic for its sum;
compiling takes a millisecond and a half per sum.
GPUs: the largest of arithmetic, loads through the cache and loads from workgroup memory at their
measured speeds (``limits.speeds``), longer where processors or lanes idle; compiling 20 ms.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.families import hands_along_sum, in_line
from tensorloom.kernels.gpu.padding import padded_work, workgroups

if TYPE_CHECKING:
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["modelled_ms", "trial_ms"]

WIDTH = 4
CYCLES_PER_MS = 3.5e6
LOAD, GATHER, BROADCAST, MULTIPLY_ADD = 30.0, 55.0, 7.0, 4.0
STORE, DIGIT = 60.0, 20.0
START = 900.0
COMPILE_MS, COMPILE_MS_PER_SUM = 8.0, 1.5


def modelled_ms(
    spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits, *, with_compile: bool = False
) -> float:
    """Relative duration of a candidate [ms], about right on simulated GPUs.

    Args:
        spec: What to compute.
        candidate: How.
        limits: Of the device.
        with_compile: Whether to count compiling it once.
    """
    if not limits.software:
        # There compiling takes about as long whatever the tile.
        return _hardware_ms(spec, candidate, limits)
    ms = _simulated_ms(spec, candidate, limits)
    return ms + _compile_ms(spec, candidate, limits) / ANSWERS if with_compile else ms


def _compile_ms(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> float:
    """From text to pipeline on a simulated GPU [ms]."""
    along = candidate.family == "lanes" and hands_along_sum(spec, limits.subgroup)
    per_sum = COMPILE_MS_PER_SUM if along else 0.7 * COMPILE_MS_PER_SUM
    return COMPILE_MS + per_sum * candidate.rows * candidate.columns


TRIAL_RUNS, TRIAL_MS = 5, 25.0
"""Runs of a trial, and what arrays, waiting and the check take beside them."""


def trial_ms(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> float:
    """What trying a candidate should take, compiling included [ms]."""
    ms = modelled_ms(spec, candidate, limits)
    if not limits.software:
        return TRIAL_MS + HARDWARE_COMPILE_MS + TRIAL_RUNS * ms
    return TRIAL_MS + _compile_ms(spec, candidate, limits) + TRIAL_RUNS * ms


HARDWARE_COMPILE_MS = 20.0


ANSWERS = 4
"""Runs over which compiling is spread when it is weighed against running."""


def _neighbours(axes: tuple[LoopAxis, ...], side: str) -> float:
    """Cycles of a load in which lanes differ along these axes."""
    inner = axes[-1] if axes else None
    if inner is None or getattr(inner, side) == 0:
        return LOAD
    return LOAD if getattr(inner, side) == 1 and inner.size >= WIDTH else GATHER


def _simulated_ms(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> float:
    """Cycles of all groups of four invocations over two cores' speed."""
    complex_ = 2 if spec.dtype == "complex64" else 1
    contracted = spec.extents[3]
    groups = workgroups(spec, candidate, limits)
    if candidate.family == "small":
        per_product = 3 * GATHER + 30.0 * len(spec.contracted)
        return _spread(groups * 16, contracted * per_product * complex_ + 400.0, groups, limits)
    rows, columns = candidate.rows, candidate.columns
    sums = rows * columns
    if candidate.family == "lanes":
        right = columns * (_neighbours(spec.columns, "right") + 5.0 * (complex_ - 1))
        along = hands_along_sum(spec, limits.subgroup)
        load = LOAD if along else _neighbours(spec.rows, "left")
        left = rows * complex_ * (load / WIDTH + BROADCAST)
        fma = MULTIPLY_ADD * (0.55 if along else 1.0)
        per_product = left + right + fma * sums * complex_
        tail = STORE * sums + START
        turns = ceil(contracted / candidate.splits)
        return _spread(groups, turns * per_product + tail, groups, limits)
    bundles = max(1, candidate.threads // WIDTH)
    if candidate.family == "line":
        per_bundle = columns * _line_cycles(spec) + START
        return _spread(groups * bundles, per_bundle, groups, limits)
    wide = candidate.across >= WIDTH
    left_load = LOAD if wide else GATHER
    right_load = _neighbours(spec.columns, "right") if wide else GATHER
    per_product = rows * left_load + (0 if spec.unary else columns * right_load)
    if complex_ == 2:  # noqa: PLR2004  # (re, im) apart: never neighbours
        per_product = 2 * (rows * left_load + (0 if spec.unary else columns * GATHER))
    per_product += MULTIPLY_ADD * sums * complex_ * complex_
    turns = ceil(contracted / (candidate.across if candidate.family == "dot" else candidate.splits))
    if candidate.family == "dot":
        turns += 8 * sums
    barriers = 400.0 if candidate.family == "shared" else 0.0
    per_bundle = turns * (per_product + barriers) + STORE * sums * complex_ + START
    return _spread(groups * bundles, per_bundle, groups, limits)


def _line_cycles(spec: KernelSpec) -> float:
    """Of four outputs of a line: their sums, where they lie and storing them."""
    parts = 2 if spec.dtype == "complex64" else 1
    kept = in_line(spec).columns
    sides = ("left",) if spec.unary else ("left", "right")
    loads = sum(GATHER if parts > 1 else _neighbours(kept, side) for side in sides)
    per_product = parts * loads + MULTIPLY_ADD * parts * parts
    digits = DIGIT * (len(kept) - 1) * (len(sides) + 1)
    return spec.extents[3] * per_product + digits + STORE * parts


def _spread(bundles: float, cycles: float, groups: int, limits: GpuLimits) -> float:
    """Duration on two cores; one is idle where there is one workgroup [ms]."""
    cores = min(2, groups)
    uneven = ceil(groups / cores) * cores / groups if groups < 4 * limits.wanted_groups else 1.0
    return bundles * cycles * uneven / cores / CYCLES_PER_MS


def _hardware_ms(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> float:
    """The slowest of arithmetic and loads, longer where processors or lanes idle."""
    speeds = limits.speeds
    work = padded_work(spec, candidate, limits)
    # A complex product is four real ones of twice two numbers.
    real, numbers = (4, 2) if spec.dtype == "complex64" else (1, 1)
    arithmetic_ms = real * work / speeds.mul_adds_per_ms
    if candidate.family == "small":
        return 4 * (arithmetic_ms + numbers * 2 * work / speeds.loads_per_ms)
    own = numbers * _loads(spec, work, *candidate.reuse)
    longest = max(arithmetic_ms, own / speeds.loads_per_ms)
    if candidate.family in {"shared", "matrix"}:
        once = numbers * _loads(spec, work, *candidate.block(limits.subgroup))
        handed_ms = own / speeds.shared_loads_per_ms
        longest = max(arithmetic_ms, once / speeds.loads_per_ms + handed_ms)
    groups = workgroups(spec, candidate, limits)
    threads = limits.subgroup if candidate.family == "lanes" else candidate.threads
    idle = max(1.0, limits.wanted_groups / groups) * max(1.0, (speeds.threads or 1) / threads)
    return idle * longest + speeds.dispatch_ms * (candidate.splits > 1)


def _loads(spec: KernelSpec, work: int, rows: int, columns: int) -> float:
    """Elements loaded where each one serves a tile's rows or columns."""
    return work / rows + (0 if spec.unary else work / columns)
