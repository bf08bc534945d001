"""What of a GPU matters for choosing and writing kernels: limits and speeds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["GpuLimits", "GpuSpeeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpeeds:
    """What was measured of a GPU and decides between kernels; what was not is typical or ``None``.

    Args:
        groups: Workgroups at once from which more bring nothing.
        threads: Threads of a workgroup below which lanes idle.
        sums: Sums of an invocation that its registers hold.
        mul_adds_per_ms: Real multiply-adds in registers alone.
        loads_per_ms: Numbers that all invocations together read again from the nearest cache.
        shared_loads_per_ms: The same from workgroup memory.
        dispatch_ms: What one more call costs [ms].
    """

    groups: int | None = None
    threads: int | None = None
    sums: int | None = None
    mul_adds_per_ms: float = 1e9
    loads_per_ms: float = 2.5e8
    shared_loads_per_ms: float = inf
    dispatch_ms: float = 0.01


TYPICAL = GpuSpeeds()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """Limits of a device; the defaults are those that every WebGPU device has.

    Args:
        largest_tile: Most rows and columns of a register tile; 4 on GPUs, 8 on software adapters,
            which want few long invocations.
        split: Whether workgroup memory and barriers are worth using; they are not on the CPU.
        min_groups: Workgroups that keep the device busy, where nothing was measured.
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
        speeds: What was measured.
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
    speeds: GpuSpeeds = TYPICAL

    @property
    def wanted_groups(self) -> int:
        """Workgroups that keep the device busy.

        Of a simulated GPU nothing that was measured counts: who else works on the cores moves it.
        """
        return self.min_groups if self.software else self.speeds.groups or self.min_groups
