"""What a device record means for those who propose kernels, and what WebGPU tells of a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tensorloom.kernels.gpu.limits import GpuSpeeds
from tensorloom.kernels.wasm.jit import WasmDevice
from tensorloom.tune.device import GPU_CURVES, GPU_MEASURED, GpuFacts

if TYPE_CHECKING:
    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.tune.device import DeviceRecord

__all__ = ["gpu_facts", "gpu_speeds", "is_measured", "wasm_device", "with_gpu"]

_WARMEST = 0.9
"""Register tiles within this share of the fastest are proposed, the fastest first."""


def gpu_facts(device: GpuDevice) -> GpuFacts:
    """What WebGPU tells of a device."""
    return GpuFacts(
        adapter=device.description,
        software=device.is_software,
        max_invocations=device.limits.workgroup_threads,
        max_storage_bytes=device.limits.workgroup_bytes,
        subgroup_size=device.limits.subgroup or None,
    )


def with_gpu(record: DeviceRecord, device: GpuDevice | None) -> DeviceRecord:
    """The record with the GPU that is there now; what was measured stays if it is the same one."""
    told = None if device is None else gpu_facts(device)
    if told is not None and record.gpu is not None and _as_told(record.gpu) == told:
        return record
    curves = tuple(curve for curve in record.curves if curve.name not in GPU_CURVES)
    return replace(record, gpu=told, curves=curves)


def _as_told(facts: GpuFacts) -> GpuFacts:
    unmeasured: dict[str, Any] = dict.fromkeys(GPU_MEASURED)
    return replace(facts, **unmeasured)


def is_measured(facts: GpuFacts | None) -> bool:
    """Whether a GPU's own speeds are known."""
    return facts is not None and any(getattr(facts, name) is not None for name in GPU_MEASURED)


def gpu_speeds(facts: GpuFacts) -> GpuSpeeds:
    """What of a GPU's record decides between kernels; typical values for what is unknown."""
    typical = GpuSpeeds()
    cached, shared = facts.cached_bytes_per_ms, facts.shared_bytes_per_ms
    return GpuSpeeds(
        groups=facts.groups,
        threads=facts.workgroup,
        sums=facts.sums,
        mul_adds_per_ms=5e5 * facts.peak_gflops if facts.peak_gflops else typical.mul_adds_per_ms,
        loads_per_ms=cached / 4 if cached else typical.loads_per_ms,
        shared_loads_per_ms=shared / 4 if shared else typical.shared_loads_per_ms,
        dispatch_ms=facts.dispatch_ms or typical.dispatch_ms,
    )


def wasm_device(record: DeviceRecord | None, *, relaxed: bool) -> WasmDevice:
    """What the generator of kernels should know of a device; typical values for what is unknown."""
    typical = WasmDevice.typical(relaxed_simd=relaxed)
    if record is None:
        return typical
    cpu = record.cpu
    best = max((rate for _, _, rate in cpu.tiles), default=0.0)
    tiles = tuple(
        (rows, columns // 4) for rows, columns, rate in cpu.tiles if rate >= _WARMEST * best
    )
    return replace(
        typical,
        tiles=tiles[: len(typical.tiles)] or typical.tiles,
        level1_bytes=cpu.l1_bytes or typical.level1_bytes,
        level2_bytes=cpu.l2_bytes or typical.level2_bytes,
    )
