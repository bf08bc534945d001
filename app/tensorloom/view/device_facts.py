"""The device record in words: every number with how it was found, for a reader who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.tune.device import GPU_CURVES

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
    "workgroup": (
        "The GPU by threads of a workgroup",
        True,
        "Sums in registers, as many threads in all. Beyond the bend larger ones bring nothing.",
    ),
    "gpu-load": (
        "The GPU by workgroups at once",
        True,
        "Sums in registers, 64 threads each. Before the bend parts of the GPU have nothing to do.",
    ),
    "gpu-copy": (
        "Speed of copying on the GPU",
        True,
        "Bytes read and written. The last point should fit no cache: it is what memory gives.",
    ),
}

_SHOWN = {"bytes/ms": ("GB/s", 1e-6)}
"""Units that a reader knows better, with what the numbers are to be multiplied by."""


def record_json(record: DeviceRecord, dtype: DType, *, on_gpu: bool = False) -> Notice:
    """``DeviceRecordJson``; peak and bandwidth are the roofline's two lines for a type.

    Args:
        record: What was measured.
        dtype: Of what ran last.
        on_gpu: Whether that ran on the GPU; its part then comes first.
    """
    cpu, gpu = record.cpu, record.gpu
    # Twice as many single numbers as double ones fit a register; complex ones are made of them.
    share = 1.0 if dtype in ("float32", "complex64") else 0.5
    peak = None if cpu.peak_gflops is None else share * cpu.peak_gflops
    bytes_per_ms = cpu.bytes_per_ms
    parts = [_cpu_facts(cpu), _gpu_facts(gpu) if gpu else []]
    curves = [curve for curve in record.curves if curve.name not in GPU_CURVES]
    of_gpu = [curve for curve in record.curves if curve.name in GPU_CURVES]
    if on_gpu:
        peak = gpu.peak_gflops if gpu else None
        bytes_per_ms = gpu.bytes_per_ms if gpu else None
        parts.reverse()
    return {
        "name": record.name,
        "facts": [fact for part in parts for fact in part],
        "curves": [
            _curve_json(curve) for curve in (of_gpu + curves if on_gpu else curves + of_gpu)
        ],
        "peakGflops": peak,
        "bytesPerMs": bytes_per_ms,
    }


def _curve_json(curve: Curve) -> Notice:
    title, log, note = _CURVES[curve.name]
    if curve.knee is not None:
        note += f" Dashed: where that is, {curve.confidence:.0%} sure."
    unit, scale = _SHOWN.get(curve.y, (curve.y, 1.0))
    return {
        "title": title,
        "x": curve.x,
        "y": unit,
        "log": log,
        "points": [[x, scale * y] for x, y in curve.points],
        "knee": curve.knee,
        "note": note,
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
            _rate(cpu.bytes_per_ms),
            "From reading and copying 64 MiB in parts, each out of every cache by its turn.",
        ),
        _fact(
            "Caches",
            _rate(cpu.cached_bytes_per_ms),
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
    return [
        _fact("GPU", f"{gpu.adapter}{', simulated on the CPU' if gpu.software else ''}", told),
        _fact("Threads of a workgroup", gpu.max_invocations, f"At most. {told}"),
        _fact("Shared memory of a workgroup", _kib(gpu.max_storage_bytes), told),
        _fact("Threads of a subgroup", gpu.subgroup_size, told),
        _fact(
            "Peak of the GPU, float32",
            None if gpu.peak_gflops is None else f"{gpu.peak_gflops:.3g} GFLOP/s",
            "The fastest of the loops that only multiply and add in registers.",
        ),
        _fact(
            "Memory of the GPU",
            _rate(gpu.bytes_per_ms),
            "The faster of reading and copying the largest block, bytes read and written.",
        ),
        _fact(
            "Threads that suffice",
            gpu.workgroup,
            "The smallest workgroup that is within 5 % of the fastest.",
        ),
        _fact(
            "Workgroups that fill it",
            gpu.groups,
            "The fewest at once, of 64 threads, that are within 5 % of the fastest.",
        ),
        _fact(
            "Sums that fit in registers",
            gpu.sums,
            "The most side by side in a thread, of 4 to 64, that are within 10 % of the fastest.",
        ),
        _fact(
            "Nearest cache of the GPU",
            _rate(gpu.cached_bytes_per_ms),
            "From 4 KiB that all workgroups read again and again.",
        ),
        _fact(
            "Shared memory of the GPU",
            _rate(gpu.shared_bytes_per_ms),
            "The same from shared memory; not asked of a simulated GPU, whose kernels do without.",
        ),
        _fact(
            "One call of a kernel",
            None if gpu.dispatch_ms is None else f"{1e3 * gpu.dispatch_ms:.3g} µs",
            "From copies of 16 KiB, one after the other.",
        ),
        _fact(
            "To the GPU", _rate(gpu.upload_bytes_per_ms), "From sending 8 MiB and waiting for it."
        ),
        _fact(
            "From the GPU", _rate(gpu.readback_bytes_per_ms), "From fetching the same 8 MiB back."
        ),
    ]


def _rate(bytes_per_ms: float | None) -> str | None:
    return None if bytes_per_ms is None else f"{bytes_per_ms / 1e6:.3g} GB/s"


def _fact(label: str, value: object, how: str) -> Notice:
    unknown = "not found"
    return {"label": label, "value": unknown if value is None else str(value), "how": how}


def _kib(size: int | None) -> str | None:
    return None if size is None else f"{size // KIB} KiB"
