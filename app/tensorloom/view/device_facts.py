"""The device record in words: every number with how it was found, for a reader who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType
    from tensorloom.tune.device import CpuFacts, Curve, DeviceRecord, GpuFacts

__all__ = ["record_json"]

Notice = dict[str, object]
KIB = 1024

_CURVES = {
    "registers": (
        "Speed of register tiles",
        False,
        "Tiles that need more registers than there are spill: the edge shows how many there are.",
    ),
    "latency": (
        "Time of a read that waits for the one before",
        True,
        "A walk over shuffled lines. It bends where it no longer fits a cache, and the next one.",
    ),
    "bandwidth": (
        "Speed of copying",
        True,
        "Bytes read and written. The last point fits no cache: it is what memory gives.",
    ),
    "workgroup": ("Speed by threads of a workgroup", True, "Beyond the bend more bring nothing."),
    "gpu-copy": ("Speed of copying on the GPU", True, "Bytes read and written."),
}

_SHOWN = {"bytes/ms": ("GB/s", 1e-6)}
"""Units that a reader knows better, with what the numbers are to be multiplied by."""


def record_json(record: DeviceRecord, dtype: DType) -> Notice:
    """``DeviceRecordJson``; peak and bandwidth are the roofline's two lines for a type."""
    cpu = record.cpu
    # Twice as many single numbers as double ones fit a register; complex ones are made of them.
    share = 1.0 if dtype in ("float32", "complex64") else 0.5
    return {
        "name": record.name,
        "facts": [*_cpu_facts(cpu), *(_gpu_facts(record.gpu) if record.gpu else [])],
        "curves": [_curve_json(curve) for curve in record.curves],
        "peakGflops": None if cpu.peak_gflops is None else share * cpu.peak_gflops,
        "bytesPerMs": cpu.bytes_per_ms,
    }


def _curve_json(curve: Curve) -> Notice:
    title, log, note = _CURVES[curve.name]
    unit, scale = _SHOWN.get(curve.y, (curve.y, 1.0))
    return {
        "title": title,
        "x": curve.x,
        "y": unit,
        "log": log,
        "points": [[x, scale * y] for x, y in curve.points],
        "knee": curve.knee,
        "note": note if curve.knee is None else f"{note} Sureness: {curve.confidence:.0%}.",
    }


def _cpu_facts(cpu: CpuFacts) -> list[Notice]:
    fused = "one instruction" if cpu.relaxed_simd else "two instructions"
    facts = [
        _fact(
            "Vector registers", cpu.vector_registers, "From the edge where register tiles spill."
        ),
        _fact("Nearest cache", _kib(cpu.l1_bytes), "From the first bend of the reading times."),
        _fact("Second cache", _kib(cpu.l2_bytes), "From the second bend of the reading times."),
        _fact(
            "Peak, float32",
            None if cpu.peak_gflops is None else f"{cpu.peak_gflops:.3g} GFLOP/s",
            "The fastest of a loop that only multiplies and adds in registers, and all tiles.",
        ),
        _fact(
            "Memory",
            None if cpu.bytes_per_ms is None else f"{cpu.bytes_per_ms / 1e6:.3g} GB/s",
            "From reading and copying 64 MiB in parts, each out of every cache by its turn.",
        ),
        _fact(
            "Caches",
            None
            if cpu.cached_bytes_per_ms is None
            else f"{cpu.cached_bytes_per_ms / 1e6:.3g} GB/s",
            "From copies of one to sixteen mebibytes, bytes read and written.",
        ),
        _fact("Multiply and add", fused, "Found by trying whether the engine takes relaxed SIMD."),
    ]
    if cpu.tiles:
        rows, columns, rate = cpu.tiles[0]
        text = f"{rows} x {columns}, {rate:.3g} GFLOP/s"
        facts.append(_fact("Fastest register tile", text, "From timing fourteen tiles in float32."))
    return facts


def _gpu_facts(gpu: GpuFacts) -> list[Notice]:
    told = "As WebGPU tells it."
    subgroup = gpu.subgroup_size
    return [
        _fact("GPU", f"{gpu.adapter}{', simulated on the CPU' if gpu.software else ''}", told),
        _fact("Threads of a workgroup", gpu.max_invocations, told),
        _fact("Shared memory of a workgroup", _kib(gpu.max_storage_bytes), told),
        _fact("Threads of a subgroup", subgroup, told),
    ]


def _fact(label: str, value: object, how: str) -> Notice:
    unknown = "not found"
    return {"label": label, "value": unknown if value is None else str(value), "how": how}


def _kib(size: int | None) -> str | None:
    return None if size is None else f"{size // KIB} KiB"
