"""What is known of a device: measured curves and what they mean.

Browsers tell neither caches nor registers, so they are read off curves (``inference``). A number
that no curve gave is ``None``: who needs it then does without.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from tensorloom.tune.fields import bad_field

if TYPE_CHECKING:
    from tensorloom.errors import DocumentError

__all__ = [
    "GPU_CURVES",
    "GPU_MEASURED",
    "CpuFacts",
    "Curve",
    "DeviceRecord",
    "GpuFacts",
    "device_from_json",
    "device_to_json",
]

CurveName = Literal["registers", "latency", "bandwidth", "workgroup", "gpu-load", "gpu-copy"]
GPU_CURVES: tuple[CurveName, ...] = ("workgroup", "gpu-load", "gpu-copy")
Origin = Literal["measured", "named"]

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One micro-benchmark.

    Args:
        name: Which.
        x: What was varied, with its unit.
        y: What was measured, with its unit.
        points: In the order of ``x``.
        knee: Where it bends, on ``x``; ``None`` where it does not.
        confidence: From 0 to 1: how sharp the bend is.
    """

    name: CurveName
    x: str
    y: str
    points: tuple[tuple[float, float], ...]
    knee: float | None = None
    confidence: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuFacts:
    """A processor as WebAssembly sees it.

    Args:
        vector_registers: Of 128 bits.
        l1_bytes: Nearest data cache [bytes].
        l2_bytes: The next one [bytes].
        peak_gflops: Multiply-adds in registers alone, float32, one thread [GFLOP/s].
        bytes_per_ms: What memory gives one thread: reading or copying, whichever is faster, what no
            cache holds; read and written bytes [bytes/ms].
        cached_bytes_per_ms: Copying what a cache holds, read and written bytes [bytes/ms].
        relaxed_simd: Whether multiply and add are one instruction.
        tiles: Register tiles ``(rows, columns)`` in float32 with their speed, fastest first
            [GFLOP/s].
    """

    vector_registers: int | None = None
    l1_bytes: int | None = None
    l2_bytes: int | None = None
    peak_gflops: float | None = None
    bytes_per_ms: float | None = None
    cached_bytes_per_ms: float | None = None
    relaxed_simd: bool = False
    tiles: tuple[tuple[int, int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """A GPU as WebGPU sees it: what it tells, and below that what was measured.

    Args:
        adapter: Vendor and architecture in words.
        software: Whether a CPU simulates it.
        max_invocations: Threads of a workgroup.
        max_storage_bytes: Shared memory of a workgroup [bytes].
        subgroup_size: Smallest size of a subgroup, where told.
        peak_gflops: Multiply-adds in registers alone, float32 [GFLOP/s].
        bytes_per_ms: What its memory gives: reading or copying, whichever is faster, what no cache
            should hold; read and written bytes [bytes/ms].
        workgroup: Threads of a workgroup from which more bring nothing.
        groups: Workgroups at once from which more bring nothing.
        upload_bytes_per_ms: From the page to the GPU, waiting included [bytes/ms].
        readback_bytes_per_ms: Back from it, waiting included [bytes/ms].
        sums: Sums of an invocation that its registers hold.
        cached_bytes_per_ms: What invocations together read again from the nearest cache [bytes/ms].
        shared_bytes_per_ms: The same from workgroup memory [bytes/ms].
        dispatch_ms: What one more call costs [ms].
    """

    adapter: str = ""
    software: bool = False
    max_invocations: int = 256
    max_storage_bytes: int = 16 * KIB
    subgroup_size: int | None = None
    peak_gflops: float | None = None
    bytes_per_ms: float | None = None
    workgroup: int | None = None
    groups: int | None = None
    upload_bytes_per_ms: float | None = None
    readback_bytes_per_ms: float | None = None
    sums: int | None = None
    cached_bytes_per_ms: float | None = None
    shared_bytes_per_ms: float | None = None
    dispatch_ms: float | None = None


GPU_MEASURED = (
    "peak_gflops",
    "bytes_per_ms",
    "workgroup",
    "groups",
    "upload_bytes_per_ms",
    "readback_bytes_per_ms",
    "sums",
    "cached_bytes_per_ms",
    "shared_bytes_per_ms",
    "dispatch_ms",
)
"""Fields of ``GpuFacts`` that WebGPU does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """A device.

    Args:
        name: "measured here", or a model.
        origin: Where the numbers are from.
        cpu: Its processor.
        gpu: Its GPU, where there is one.
        curves: What was measured.
    """

    name: str
    origin: Origin = "named"
    cpu: CpuFacts = CpuFacts()
    gpu: GpuFacts | None = None
    curves: tuple[Curve, ...] = ()

    @property
    def cpu_key(self) -> str:
        """Devices with the same key share kernels for the CPU."""
        cpu = self.cpu
        fused = "fused" if cpu.relaxed_simd else "plain"
        caches = f"{(cpu.l1_bytes or 0) // KIB}k {(cpu.l2_bytes or 0) // KIB}k"
        return f"cpu {cpu.vector_registers or 0} {caches} {fused}"

    @property
    def gpu_key(self) -> str:
        """The same for the GPU."""
        if self.gpu is None:
            return "gpu none"
        return f"gpu {self.gpu.adapter} {self.gpu.max_invocations} {self.gpu.max_storage_bytes}"


# --- codec ------------------------------------------------------------------------------------

FORMAT = 4
"""1 had the speed of copies in a cache as that of memory: it is measured anew."""

_OTHER_GPU_FACTS = (2, 3)
"""Of these the processor's part holds, and with it all kernels that are kept by its key."""


def device_to_json(record: DeviceRecord) -> dict[str, object]:
    """A JSON object."""
    return {"kind": "device", "version": FORMAT, **asdict(record)}


def device_from_json(data: object) -> DeviceRecord:
    """The record of a JSON object; one of an older format may come without its GPU.

    Raises:
        DocumentError: ``bad-device``, naming the first field that is wrong.
    """
    read = _object(data, "device")
    if read.get("kind") != "device":
        raise _bad("kind", "device")
    is_old = read.get("version") in _OTHER_GPU_FACTS
    if not is_old and read.get("version") != FORMAT:
        raise _bad("version", FORMAT)
    if read.get("origin") not in ("measured", "named"):
        raise _bad("origin", "measured or named")
    curves = read.get("curves", [])
    if not isinstance(curves, (list, tuple)):
        raise _bad("curves", "a list")
    gpu = None if is_old else read.get("gpu")
    found = [_curve(_object(curve, f"curves[{n}]"), n) for n, curve in enumerate(curves)]
    return DeviceRecord(
        name=_text(read.get("name"), "name"),
        origin=read["origin"],
        cpu=_cpu(_object(read.get("cpu"), "cpu")),
        gpu=None if gpu is None else _gpu(_object(gpu, "gpu")),
        curves=tuple(one for one in found if not (is_old and one.name in GPU_CURVES)),
    )


def _cpu(data: dict[str, Any]) -> CpuFacts:
    tiles = data.pop("tiles", ())
    if not isinstance(tiles, (list, tuple)) or not all(_numbers(tile, 3) for tile in tiles):
        raise _bad("cpu.tiles", "a list of rows, columns and speed")
    return CpuFacts(
        **_plain(data, CpuFacts, "cpu"),
        tiles=tuple((int(rows), int(columns), float(rate)) for rows, columns, rate in tiles),
    )


def _gpu(data: dict[str, Any]) -> GpuFacts:
    adapter = _text(data.pop("adapter", ""), "gpu.adapter")
    return GpuFacts(adapter=adapter, **_plain(data, GpuFacts, "gpu"))


def _curve(data: dict[str, Any], number: int) -> Curve:
    where = f"curves[{number}]"
    points = data.get("points")
    if not isinstance(points, (list, tuple)) or not all(_numbers(point, 2) for point in points):
        raise _bad(f"{where}.points", "a list of pairs of numbers")
    if data.get("name") not in get_args(CurveName):
        raise _bad(f"{where}.name", "the name of a micro-benchmark")
    knee, confidence = data.get("knee"), data.get("confidence", 0.0)
    if not _numbers((0 if knee is None else knee, confidence), 2):
        raise _bad(f"{where}.knee", "a number or null")
    return Curve(
        name=data["name"],
        x=_text(data.get("x"), f"{where}.x"),
        y=_text(data.get("y"), f"{where}.y"),
        points=tuple((float(x), float(y)) for x, y in points),
        knee=None if knee is None else float(knee),
        confidence=float(confidence),
    )


def _plain(data: dict[str, Any], kind: type[CpuFacts | GpuFacts], where: str) -> dict[str, Any]:
    """Fields that are numbers, switches or unknown."""
    known = {field.name: str(field.type) for field in fields(kind)}
    for name, value in data.items():
        if name not in known:
            raise _bad(f"{where}.{name}", "left out")
        if not _fits(value, known[name]):
            raise _bad(f"{where}.{name}", "a positive number, true, false or null")
    return data


def _fits(value: object, annotation: str) -> bool:
    if value is None:
        return "None" in annotation
    if isinstance(value, bool):
        return "bool" in annotation
    if "int" not in annotation and "float" not in annotation:
        return False
    kinds = (int, float) if "float" in annotation else (int,)
    # A size of nothing would let a rule divide by it.
    return isinstance(value, kinds) and 0 < value < LARGEST_NUMBER


LARGEST_NUMBER = 2**53


def _numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(
            isinstance(number, (int, float)) and not isinstance(number, bool) and number >= 0
            for number in value
        )
    )


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(where, "an object")
    return dict(value)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise _bad(where, "a short text")
    return value


_LONGEST_TEXT = 200


def _bad(where: str, wanted: object) -> DocumentError:
    return bad_field("bad-device", where, wanted, of="device record")
