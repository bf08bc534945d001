"""What a device record means for those who propose kernels, and what WebGPU tells of a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.jit import WasmDevice
from tensorloom.tune.device import GpuFacts

if TYPE_CHECKING:
    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.tune.device import DeviceRecord

__all__ = ["gpu_facts", "wasm_device"]

_WARMEST = 0.9
"""Register tiles within this share of the fastest are proposed, the fastest first."""


def gpu_facts(device: GpuDevice | None) -> GpuFacts | None:
    """What WebGPU tells of a device."""
    if device is None:
        return None
    return GpuFacts(
        adapter=device.description,
        software=device.is_software,
        max_invocations=device.limits.workgroup_threads,
        max_storage_bytes=device.limits.workgroup_bytes,
        subgroup_size=device.limits.subgroup or None,
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
