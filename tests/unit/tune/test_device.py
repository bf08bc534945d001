"""Device records: their codec, and what curves say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tensorloom.errors import DocumentError
from tensorloom.execute.microbench import LATENCY_KIB
from tensorloom.tune.device import (
    CpuFacts,
    Curve,
    DeviceRecord,
    GpuFacts,
    device_from_json,
    device_to_json,
)
from tensorloom.tune.inference import cache_knees, copy_rate, register_cliff, saturation

MEASURED = DeviceRecord(
    name="measured here",
    origin="measured",
    cpu=CpuFacts(
        vector_registers=16,
        l1_bytes=32_768,
        l2_bytes=1 << 20,
        peak_gflops=58.7,
        bytes_per_ms=1.2e7,
        cached_bytes_per_ms=7.9e7,
        relaxed_simd=True,
        tiles=((6, 8, 58.8), (5, 8, 56.0)),
    ),
    gpu=GpuFacts(adapter="google swiftshader", software=True, peak_gflops=11.5, groups=4),
    curves=(
        Curve(
            name="latency", x="bytes", y="ns", points=((4096, 1.1),), knee=32_768, confidence=0.9
        ),
    ),
)


@pytest.mark.parametrize(
    "record", [MEASURED, DeviceRecord(name="a phone")], ids=lambda record: record.name
)
def test_records_survive_json(record: DeviceRecord) -> None:
    assert device_from_json(json.loads(json.dumps(device_to_json(record)))) == record


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("kind",), "kernels", "kind"),
        (("version",), 1, "version"),
        (("origin",), "guessed", "origin"),
        (("name",), 7, "name"),
        (("cpu",), None, "cpu"),
        (("cpu", "vector_registers"), "16", "cpu.vector_registers"),
        (("cpu", "vector_registers"), True, "cpu.vector_registers"),
        (("cpu", "l1_bytes"), 0, "cpu.l1_bytes"),
        (("cpu", "l1_bytes"), 1.5, "cpu.l1_bytes"),
        (("cpu", "peak_gflops"), float("nan"), "cpu.peak_gflops"),
        (("cpu", "relaxed_simd"), 1, "cpu.relaxed_simd"),
        (("cpu", "colour"), 1, "cpu.colour"),
        (("cpu", "tiles"), [[6, 8]], "cpu.tiles"),
        (("gpu", "adapter"), None, "gpu.adapter"),
        (("gpu", "max_invocations"), None, "gpu.max_invocations"),
        (("gpu", "peak_gflops"), -1.0, "gpu.peak_gflops"),
        (("gpu", "registers_per_thread"), 255, "gpu.registers_per_thread"),
        (("curves",), {}, "curves"),
        (("curves", 0, "points"), [[1]], "curves[0].points"),
        (("curves", 0, "name"), "mood", "curves[0].name"),
        (("curves", 0, "knee"), "x", "curves[0].knee"),
    ],
)
def test_the_first_bad_field_is_named(path: tuple[Any, ...], value: object, field: str) -> None:
    data = json.loads(json.dumps(device_to_json(MEASURED)))
    at: Any = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(DocumentError) as caught:
        device_from_json(data)
    assert caught.value.code == "bad-device"
    assert caught.value.values == {"field": field}


@pytest.mark.parametrize("version", [2, 3])
def test_of_an_older_format_the_processor_is_known(version: int) -> None:
    load = Curve(name="gpu-load", x="workgroups at once", y="GFLOP/s", points=((1, 2.0),))
    data: Any = device_to_json(replace(MEASURED, curves=(*MEASURED.curves, load)))
    data["version"] = version
    data["gpu"]["simd"] = False
    assert device_from_json(data) == replace(MEASURED, gpu=None)


def test_keys_tell_apart_what_runs_other_kernels() -> None:
    assert MEASURED.cpu_key == "cpu 16 32k 1024k fused"
    assert MEASURED.gpu_key == "gpu google swiftshader 256 16384"
    other = replace(MEASURED, name="another", cpu=replace(MEASURED.cpu, peak_gflops=9.0))
    assert other.cpu_key == MEASURED.cpu_key != DeviceRecord(name="a phone").cpu_key


# --- curves ---------------------------------------------------------------------------------------

SIZES = [1024 * kib for kib in LATENCY_KIB]


def latency(size: int, l1: int, l2: int) -> float:
    """A processor's reads: 4 cycles, 14, 50, at 3.5 GHz; the page tables' step at 256 KiB."""
    cycles = 4 if size <= l1 else 14 if size <= l2 else 50
    return (cycles + (7 if size > 256 * 1024 else 0)) / 3.5


@pytest.mark.parametrize(("l1", "l2"), [(32, 1024), (48, 512), (64, 1024), (32, 256)])
def test_caches_are_read_off_latencies(l1: int, l2: int) -> None:
    first, second = cache_knees([(size, latency(size, l1 << 10, l2 << 10)) for size in SIZES])
    assert (first.at, second.at) == (l1 << 10, l2 << 10)
    assert min(first.confidence, second.confidence) > 0.5


def test_caches_are_read_off_a_real_curve() -> None:
    """Zen 4 with a busy neighbour on the same core; its caches have 32 KiB and 1 MiB."""
    times = {4: 1.17, 8: 1.16, 16: 1.19, 24: 1.72, 32: 3.54, 48: 4.42, 64: 4.6, 96: 4.65,
             128: 4.75, 192: 4.04, 256: 4.05, 384: 4.7, 512: 5.62, 768: 7.19, 1024: 9.37,
             1536: 12.36, 2048: 14.12, 3072: 16.11, 4096: 20.54, 8192: 25.23}  # fmt: skip
    first, second = cache_knees([(1024 * kib, ns) for kib, ns in times.items()])
    assert (first.at, second.at) == (32 << 10, 1 << 20)


def test_one_busy_moment_is_no_cache() -> None:
    points = [(size, latency(size, 32 << 10, 1 << 20)) for size in SIZES]
    points[3] = (points[3][0], 9.0)
    assert cache_knees(points)[0].at == 32 << 10


def test_a_flat_curve_knows_nothing() -> None:
    first, second = cache_knees([(size, 1.1) for size in SIZES])
    assert first.at is second.at is None
    assert first.confidence == second.confidence == 0


ZEN4 = [(13, 54.7), (13, 54.9), (11, 55.1), (13, 56.0), (15, 58.8), (10, 51.0), (17, 32.1),
        (19, 36.3), (21, 35.8), (16, 27.8), (17, 27.7)]  # fmt: skip
XEON = [(15, 62.4), (13, 61.6), (13, 54.3), (13, 52.3), (11, 52.8), (19, 49.7), (21, 49.0)]
PHONE = [(11, 20.0), (15, 22.0), (19, 24.0), (21, 25.0), (27, 25.5), (31, 26.0)]


def test_registers_are_read_off_the_spill_cliff() -> None:
    assert register_cliff(ZEN4).at == 16
    assert register_cliff(ZEN4).confidence == 1
    assert register_cliff(XEON).at == 16
    assert register_cliff(XEON).confidence > 0.5


def test_a_slow_largest_tile_is_no_edge() -> None:
    """Read in Chromium 156 on a processor with 16 registers, twice, others at work beside it."""
    calm = [(10, 52.0), (11, 53.0), (13, 56.0), (15, 55.5), (16, 27.0), (17, 32.0), (19, 36.0),
            (21, 34.0), (28, 39.0), (29, 33.0)]  # fmt: skip
    busy = [(10, 52.0), (11, 56.0), (13, 63.5), (15, 8.0), (16, 26.0), (17, 25.0), (19, 37.0),
            (21, 33.0), (28, 38.5), (29, 34.0)]  # fmt: skip
    for tiles in (calm, busy):
        assert register_cliff(tiles).at == 16
        assert register_cliff(tiles).confidence == 1


def test_no_cliff_up_to_31_means_32() -> None:
    assert register_cliff(PHONE).at == 32
    assert register_cliff(PHONE[:2]).at is None


def test_threads_saturate() -> None:
    assert saturation([(32, 1.0), (64, 2.0), (128, 3.9), (256, 4.0), (512, 4.0)]).at == 128
    assert saturation([(32, 1.0)]).at is None


def test_copies_count_beyond_the_caches() -> None:
    assert copy_rate([(1, 99.0), (2, 90.0), (4, 20.0), (8, 21.0)]) == 20.5
    assert copy_rate([]) is None
