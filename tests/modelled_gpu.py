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
from tensorloom.kernels.gpu.padding import padded_work, workgroups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.plan import GpuPlan
    from tensorloom.kernels.program import KernelSpec

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
        registers: Sums that an invocation holds; more take four times as long.
        nearest_bytes_per_ms: Of the nearest caches, all together.
        shared_bytes_per_ms: Of workgroup memory, the same.
        dispatch_ms: Of each call.
        refused: Names of templates that it does not take.
        lost_at: The load at which it goes away; ``None`` for never.
    """

    peak_gflops: float = 1000.0
    processors: int = 32
    full_threads: int = 128
    bytes_per_ms: float = 1e8
    cache_bytes: int = 4 << 20
    transfer_bytes_per_ms: float = 5e6
    registers: int = 64
    nearest_bytes_per_ms: float = 1e9
    shared_bytes_per_ms: float = 2e9
    dispatch_ms: float = 0.0
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

    def kernel_ms(self, spec: KernelSpec, candidate: GpuCandidate) -> float:
        """What a kernel takes, workgroup by workgroup; the device is never asked for it.

        Each processor takes one workgroup after another. One computes, reads through its cache and
        reads from its workgroup memory at once, each at the processor's share of the speed.
        """
        _, _, _, contracted = spec.extents
        groups = workgroups(spec, candidate, self.limits)
        rounds = -(-groups // self.processors)
        turns = contracted / candidate.splits
        block_rows, block_columns = candidate.block(0)
        products = padded_work(spec, candidate, self.limits) / groups
        read = products / candidate.rows + products / candidate.columns
        share = min(1.0, candidate.threads / self.full_threads)
        if candidate.rows * candidate.columns > self.registers:
            share /= 4
        each = {"gflops": 2e-6 * products / share / self.peak_gflops}
        if candidate.family == "shared":
            staged = turns * (block_rows + block_columns)
            each["nearest"] = 4 * staged / self.nearest_bytes_per_ms
            each["shared"] = 4 * read / self.shared_bytes_per_ms
        else:
            each["nearest"] = 4 * read / self.nearest_bytes_per_ms
        calls = 2 if candidate.splits > 1 else 1
        return rounds * self.processors * max(each.values()) + calls * self.dispatch_ms

    def _run_ms(self, handle: int) -> float:
        plan = self._loaded[handle]
        shader, size = plan.shaders[0], plan.places.buffer_bytes[0]
        groups = shader.groups[0]
        if "again, " in shader.text:
            is_shared = "again, from workgroup memory" in shader.text
            read = micro.again_bytes(threads=64, groups=groups, turns=self._turns[handle])
            rate = self.shared_bytes_per_ms if is_shared else self.nearest_bytes_per_ms
            return read / rate * self._waste(groups)
        if "in registers alone" not in shader.text:
            moved = size * (2 * len(plan.calls) if len(plan.calls) > 1 else 1)
            fast = 4 if 2 * size <= self.cache_bytes else 1
            return moved / (fast * self.bytes_per_ms) + len(plan.calls) * self.dispatch_ms
        threads = int(shader.text.split("@workgroup_size(")[1].split(")")[0])
        chains = shader.text.count("  var sum_")
        flop = micro.arithmetic_flop(
            chains=chains, threads=threads, groups=groups, turns=self._turns[handle]
        )
        # Sums side by side hide how long one takes.
        fitting = {1: 0.5, 2: 0.8}.get(chains, 1.0) if 4 * chains <= self.registers else 0.25
        share = fitting * min(1.0, threads / self.full_threads)
        return flop / (share * self.peak_gflops * 1e6) * self._waste(groups)

    def _waste(self, groups: int) -> float:
        """Time of all rounds beside that of processors that are all at work."""
        rounds = -(-groups // self.processors)
        return rounds * self.processors / groups
