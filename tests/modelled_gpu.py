"""A GPU that computes nothing and takes the time that a simple model of one says.

For measuring it: what is found must be what the model is made of.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.kernels.gpu import micro
from tensorloom.kernels.gpu.limits import GpuLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.gpu.plan import GpuPlan

__all__ = ["ModelledGpu"]


@dataclass(slots=True, kw_only=True)
class ModelledGpu:
    """A device with a clock of its own.

    Args:
        peak_gflops: With all processors at work.
        processors: Each takes one workgroup at a time.
        full_threads: Threads that a workgroup needs to keep a processor busy.
        bytes_per_ms: Of its memory.
        cache_bytes: What fits is moved four times as fast.
        transfer_bytes_per_ms: To it and from it.
        refused: Names of templates that it does not take.
        lost_at: The load at which it goes away; ``None`` for never.
    """

    peak_gflops: float = 1000.0
    processors: int = 32
    full_threads: int = 128
    bytes_per_ms: float = 1e8
    cache_bytes: int = 4 << 20
    transfer_bytes_per_ms: float = 5e6
    refused: tuple[str, ...] = ()
    lost_at: int | None = None
    description: str = "modelled one"
    is_software: bool = False
    limits: GpuLimits = field(default_factory=lambda: GpuLimits(workgroup_threads=512))
    limit_bytes: int = 1 << 30
    max_buffer_bytes: int = 1 << 28
    now_ms: float = 0.0
    loads: int = 0
    renewals: int = 0
    longest_ms: float = 0.0
    _handles: Any = field(default_factory=lambda: count(1))
    _loaded: dict[int, GpuPlan] = field(default_factory=dict)
    _turns: dict[int, int] = field(default_factory=dict)

    def clock(self) -> float:
        """Seconds; a look takes none."""
        return 1e-3 * self.now_ms

    async def load(self, plan: GpuPlan) -> int:
        self.loads += 1
        if self.loads == self.lost_at:
            raise DeviceLost("device-lost", "The GPU went away.")
        if any(name in plan.shaders[0].text for name in self.refused):
            raise UnsupportedKernel("gpu-refused", "Out of memory.")
        self.now_ms += 5.0
        handle = next(self._handles)
        self._loaded[handle] = plan
        return handle

    def upload(self, _handle: int, _number: int, array: Any) -> None:
        self.now_ms += array.nbytes / self.transfer_bytes_per_ms

    def constants(self, handle: int, packed: bytes) -> None:
        (self._turns[handle],) = struct.unpack_from("<I", packed)

    async def submit(self, _handle: int, _first: int, _last: int, *, wait: bool) -> None:
        assert wait

    async def read(self, _handle: int, wanted: Sequence[tuple[int, Any]]) -> None:
        self.now_ms += sum(array.nbytes for _, array in wanted) / self.transfer_bytes_per_ms

    async def timed(self, handle: int, times: int) -> float:
        spent = times * self._run_ms(handle) + 0.02
        self.now_ms += spent
        self.longest_ms = max(self.longest_ms, spent)
        return spent

    def unload(self, handle: int) -> None:
        del self._loaded[handle]

    async def renew(self) -> None:
        self.renewals += 1
        self._loaded.clear()

    def counts(self) -> dict[str, int]:
        return {"plans": len(self._loaded)}

    def _run_ms(self, handle: int) -> float:
        plan = self._loaded[handle]
        shader, size = plan.shaders[0], plan.places.buffer_bytes[0]
        groups = shader.groups[0]
        if "in registers alone" not in shader.text:
            moved = size * (2 * len(plan.calls) if len(plan.calls) > 1 else 1)
            fast = 4 if 2 * size <= self.cache_bytes else 1
            return moved / (fast * self.bytes_per_ms)
        threads = int(shader.text.split("@workgroup_size(")[1].split(")")[0])
        chains = shader.text.count("  var sum_")
        flop = micro.arithmetic_flop(
            chains=chains, threads=threads, groups=groups, turns=self._turns[handle]
        )
        # Two sums side by side hide how long one takes; eight do not fit.
        fitting = {1: 0.5, 2: 0.9, 4: 1.0, 8: 0.6}[chains]
        share = fitting * min(1.0, threads / self.full_threads)
        return flop / (share * self.peak_gflops * 1e6) * self._waste(groups)

    def _waste(self, groups: int) -> float:
        """Time of all rounds beside that of processors that are all at work."""
        rounds = -(-groups // self.processors)
        return rounds * self.processors / groups
