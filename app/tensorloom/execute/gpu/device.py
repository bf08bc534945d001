"""What a GPU device offers to the backend: plans loaded once, submitted many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tensorloom.kernels.gpu.limits import GpuLimits, GpuSpeeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tensorloom.kernels.gpu.plan import GpuPlan

__all__ = ["GpuDevice", "limits_for"]

CORES_SIMULATED, CORES_HARDWARE = 2, 32
"""Workgroups that keep a simulated and a real GPU busy, halved: cores are not told to pages."""


class GpuDevice(Protocol):
    """A WebGPU device that replays plans.

    Every method raises ``DeviceLost`` once the device has gone, and ``UnsupportedKernel`` for what
    the device refuses.

    Attributes:
        limits: What matters for choosing kernels. Who has measured the device adds its speeds,
            which stay when it is renewed.
    """

    limits: GpuLimits

    @property
    def description(self) -> str:
        """Adapter in words."""

    @property
    def is_software(self) -> bool:
        """Whether the adapter computes on the CPU."""

    @property
    def limit_bytes(self) -> int:
        """Most bytes of all buffers together [bytes]."""

    @property
    def max_buffer_bytes(self) -> int:
        """Largest single buffer that a kernel can read [bytes]."""

    async def load(self, plan: GpuPlan) -> int:
        """Make buffers, pipelines and bind groups; the number to name them by."""

    def upload(self, handle: int, number: int, array: NDArray[Any]) -> None:
        """Fill an input."""

    def constants(self, handle: int, packed: bytes) -> None:
        """Say where operands start, for the submissions that follow."""

    def begin(self, handle: int) -> None:
        """Clear the magnitudes, and what slices are added up in."""

    async def submit(self, handle: int, first: int, last: int, *, wait: bool) -> None:
        """Run the calls from ``first`` up to ``last``; to the end if asked to wait."""

    async def read(
        self, handle: int, wanted: Sequence[tuple[int, NDArray[Any]]]
    ) -> NDArray[np.uint32]:
        """Fill arrays from physical buffers; give the largest magnitudes as float bits."""

    async def repeat(self, handle: int, times: int) -> float:
        """Run all calls a number of times in one submission; duration of all [ms]."""

    async def timed(self, handle: int, times: int) -> float:
        """As ``repeat``, by the device's own clock where it has one; for comparing kernels [ms]."""

    def unload(self, handle: int) -> None:
        """Free the buffers of a plan; its pipelines stay for other plans."""

    async def renew(self) -> None:
        """Ask for the device again after it was lost; nothing is loaded then."""

    def counts(self) -> Mapping[str, int]:
        """Plans, buffers, bytes and pipelines alive, for finding leaks."""


def limits_for(  # noqa: PLR0913  # one for each that adapters tell
    *,
    software: bool,
    threads: int,
    workgroup_bytes: int,
    subgroup: int,
    half: bool,
    matrices: bool,
    speeds: GpuSpeeds,
) -> GpuLimits:
    """Limits of a device from what its adapter says, with the speeds that are known."""
    return GpuLimits(
        largest_tile=8 if software else 4,
        split=not software,
        min_groups=2 * (CORES_SIMULATED if software else CORES_HARDWARE),
        software=software,
        workgroup_threads=threads,
        workgroup_bytes=workgroup_bytes,
        subgroup=subgroup,
        half=half,
        matrices=matrices,
        speeds=speeds,
    )
