"""What of a GPU matters for choosing and writing kernels: limits, and whether it is simulated."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GpuLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """Limits of a device; the defaults are those that every WebGPU device has.

    Args:
        largest_tile: Most rows and columns of a register tile; 4 on GPUs, 8 on software adapters,
            which want few long invocations.
        split: Whether workgroup memory and barriers are worth using; they are not on the CPU.
        min_groups: Workgroups needed to keep the device busy.
        most_iterations: Longest loop of one invocation; longer sums are split. Mesa's llvmpipe
            silently leaves loops after 65,535 iterations (seen in 22.3).
        small_mul_adds: Kernels up to this work are not worth a text of their own: compiling one
            takes 20 to 80 ms.
        software: Whether the adapter computes on the CPU.
        workgroup_threads: Most invocations of one workgroup.
        workgroup_bytes: Most workgroup memory of one workgroup [bytes].
        subgroup: Invocations that run in step, where the device offers subgroups of one fixed
            size; 0 otherwise.
        half: Whether shaders may store 16-bit numbers (``shader-f16``).
        matrices: Whether the experimental subgroup matrices are offered, 8 x 8 in float32.
    """

    largest_tile: int = 4
    split: bool = True
    min_groups: int = 64
    most_iterations: int = 60_000
    small_mul_adds: int = 1 << 15
    software: bool = False
    workgroup_threads: int = 256
    workgroup_bytes: int = 16_384
    subgroup: int = 0
    half: bool = False
    matrices: bool = False
