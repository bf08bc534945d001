"""How blocks cover a kernel's outputs: workgroups, and work done beyond the edges. Pure counts."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import KernelSpec

__all__ = ["padded_work", "workgroups"]


def _block(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> tuple[int, int]:
    """``(rows, columns)`` of outputs per workgroup; lanes hold numbers, two per complex output."""
    rows, columns = candidate.block(limits.subgroup)
    if candidate.family == "lanes" and spec.dtype == "complex64":
        columns //= 2
    return rows, max(1, columns)


def _extents(spec: KernelSpec, candidate: GpuCandidate) -> tuple[int, int, int, int]:
    """``(batch, rows, columns, products)`` as a candidate cuts them; a line has columns alone."""
    batch, rows, columns, contracted = spec.extents
    if candidate.family == "line":
        return 1, 1, batch * rows * columns, contracted
    return batch, rows, columns, contracted


def workgroups(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> int:
    """Workgroups that a candidate dispatches."""
    batch, rows, columns, _ = _extents(spec, candidate)
    if candidate.family == "small":
        return ceil(batch * rows * columns / 64)
    block = _block(spec, candidate, limits)
    return batch * ceil(rows / block[0]) * ceil(columns / block[1]) * candidate.splits


def padded_work(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> int:
    """Multiply-adds done, those of lanes beyond the edges included."""
    batch, rows, columns, contracted = _extents(spec, candidate)
    if candidate.family == "small":
        return spec.mul_adds
    block = _block(spec, candidate, limits)
    covered = ceil(rows / block[0]) * block[0] * ceil(columns / block[1]) * block[1]
    return batch * covered * contracted
