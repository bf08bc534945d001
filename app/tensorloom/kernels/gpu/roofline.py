"""What a kernel asks of a GPU, counted, and what three real ones could make of it at best.

No measurement: bytes and multiply-adds per workgroup follow from the candidate; the roofline says
how long a GPU needs at its public peak rates if nothing else is in the way. Where no GPU is at
hand this is all that can be said honestly about hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.addresses import spans
from tensorloom.kernels.gpu.padding import padded_work, workgroups
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import KernelSpec

__all__ = ["GPUS", "Gpu", "GroupCounts", "group_counts", "roofline_ms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """Public figures of a GPU.

    Args:
        name: As sold.
        float32_tflops: Peak of single precision outside matrix units [10^12 flop/s].
        memory_gbytes_per_s: Peak bandwidth [10^9 bytes/s].
        source: Where the figures stand.
    """

    name: str
    float32_tflops: float
    memory_gbytes_per_s: float
    source: str


GPUS = (
    Gpu(
        name="NVIDIA GeForce RTX 3060",
        float32_tflops=12.7,
        memory_gbytes_per_s=360.0,
        source="3584 cores x 2 x 1.777 GHz; 192-bit GDDR6 at 15 Gbit/s "
        "(wccftech.com of 2021-01-12; pcpartdb.com)",
    ),
    Gpu(
        name="Apple M2, 10-core GPU",
        float32_tflops=3.5,
        memory_gbytes_per_s=100.0,
        source="100 GB/s and 35 % above M1's 2.6 TFLOP/s, which is 3.5 "
        "(macrumors.com of 2022-06-06; Apple's press release of that day)",
    ),
    Gpu(
        name="Intel Arc A770",
        float32_tflops=17.2,
        memory_gbytes_per_s=560.0,
        source="32 Xe cores x 128 lanes x 2 x 2.1 GHz; 256-bit GDDR6, 560 GB/s "
        "(Intel's figures of 2022-09, in svethardware.cz 58344)",
    ),
)
"""A discrete card, an integrated GPU and one of a third maker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """What one workgroup does.

    Args:
        workgroups: How many there are.
        mul_adds: Real multiply-adds of one, padding included; four per complex one.
        loaded_bytes: Bytes that its invocations ask for, reuse in registers and workgroup memory
            taken off; caches may serve part of them [bytes].
        stored_bytes: Bytes of results [bytes].
    """

    workgroups: int
    mul_adds: int
    loaded_bytes: int
    stored_bytes: int

    @property
    def intensity(self) -> float:
        """Real floating-point operations per byte asked for or stored."""
        return 2 * self.mul_adds / max(1, self.loaded_bytes + self.stored_bytes)


def group_counts(spec: KernelSpec, candidate: GpuCandidate, limits: GpuLimits) -> GroupCounts:
    """Bytes and multiply-adds of one workgroup of a candidate.

    Each element of a block's rows and columns is loaded once per workgroup by families that share
    loads (``shared``, ``lanes``), once per invocation that needs it by the others.
    """
    item = ITEM_BYTES[spec.dtype]
    real = 4 if spec.dtype == "complex64" else 1
    groups = workgroups(spec, candidate, limits)
    elements = padded_work(spec, candidate, limits) // groups
    rows, columns = candidate.block(limits.subgroup)
    if candidate.family == "lanes" and real > 1:
        columns = max(1, columns // 2)
    if candidate.family in {"shared", "lanes", "matrix", "dot"}:
        reuse_left, reuse_right = columns, rows
    else:
        reuse_right, reuse_left = candidate.reuse
    loads = elements // reuse_left + (0 if spec.unary else elements // reuse_right)
    outputs = rows * columns if candidate.family != "small" else 64
    return GroupCounts(
        workgroups=groups,
        mul_adds=real * elements,
        loaded_bytes=item * loads,
        stored_bytes=item * outputs,
    )


def roofline_ms(spec: KernelSpec, gpu: Gpu) -> float:
    """Shortest time at a GPU's peak rates: every tensor moved once, every operation done [ms].

    Example:
        >>> from tensorloom.kernels.program import KernelSpec, LoopAxis
        >>> square = KernelSpec(
        ...     dtype="float32",
        ...     rows=(LoopAxis(size=2048, left=2048, right=0, out=2048),),
        ...     columns=(LoopAxis(size=2048, left=0, right=1, out=1),),
        ...     contracted=(LoopAxis(size=2048, left=1, right=2048, out=0),),
        ... )
        >>> [round(roofline_ms(square, gpu), 2) for gpu in GPUS]
        [1.35, 4.91, 1.0]
    """
    flops = 2 * spec.mul_adds * (4 if spec.dtype == "complex64" else 1)
    reach = spans(spec)
    if spec.unary:
        reach = {**reach, "right": 0}
    moved = sum(reach.values()) * ITEM_BYTES[spec.dtype]
    arithmetic_ms = flops / (gpu.float32_tflops * 1e9)
    memory_ms = moved / (gpu.memory_gbytes_per_s * 1e6)
    return max(arithmetic_ms, memory_ms)
