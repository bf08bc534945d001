"""Micro-benchmarks do the work they are timed for."""

from __future__ import annotations

import numpy as np
import pytest

from tensorloom.kernels.wasm import micro
from tensorloom.kernels.wasm.layout import RECORD_BYTES, RECORD_FIELDS
from wasmtime_host import WasmtimeHost


def run(module: bytes, arrays: dict[str, np.ndarray], times: int, size: int = 0) -> None:
    """Runs the module's kernel on arrays, which are placed and filled from the engine after."""
    host = WasmtimeHost()
    placed = {name: host.placed(array) for name, array in arrays.items()}
    record = host.placed(np.zeros(RECORD_BYTES // 4, np.uint32))
    for name, array in placed.items():
        record[RECORD_FIELDS[name] // 4] = host.address(array)
    record[RECORD_FIELDS["row_stop"] // 4] = times
    record[RECORD_FIELDS["column_stop"] // 4] = size
    host.call(host.instantiate(module)["kernel"], host.address(record))
    for name, array in arrays.items():
        array[...] = placed[name]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("rows", "vectors"), [(6, 2), (3, 4), (8, 1)])
def test_a_tile_is_a_product_of_matrices(rows: int, vectors: int, *, fused: bool) -> None:
    generator = np.random.default_rng(2)
    left = generator.integers(-3, 4, (micro.TILE_DEPTH, rows)).astype(np.float32)
    right = generator.integers(-3, 4, (micro.TILE_DEPTH, 4 * vectors)).astype(np.float32)
    out = np.zeros((rows, 4 * vectors), np.float32)
    module = micro.tile_module(rows, vectors, fused=fused)
    run(module, {"left": left, "right": right, "out": out}, times=3)
    assert np.array_equal(out, 3 * left.T @ right)


@pytest.mark.parametrize("fused", [True, False])
def test_the_peak_counts_all_its_multiply_adds(*, fused: bool) -> None:
    half, start = np.full(4, 0.5, np.float32), np.zeros(48, np.float32)
    out = np.zeros(48, np.float32)
    run(micro.peak_module(fused=fused), {"left": half, "right": start, "out": out}, times=1)
    # x -> x/2 + 1/2 goes to 1; every step of every sum was taken if it has come that close.
    assert np.array_equal(out, np.full(48, 1.0, np.float32))
    assert micro.PEAK_FLOP == 2 * 48 * 64


def test_latency_follows_the_chain() -> None:
    host = WasmtimeHost()
    chain = host.placed(np.zeros(48, np.uint32))
    base = host.address(chain)
    # 0 -> 2 -> 1 -> 0, one line each: 64 steps end one after the first.
    chain[::16] = base + 64 * np.array([2, 0, 1])
    out = host.placed(np.zeros(1, np.uint32))
    record = host.placed(np.zeros(RECORD_BYTES // 4, np.uint32))
    for name, value in (("left", base), ("out", host.address(out)), ("row_stop", 1)):
        record[RECORD_FIELDS[name] // 4] = value
    host.call(host.instantiate(micro.latency_module())["kernel"], host.address(record))
    assert (out[0] - base) // 64 == 2


def test_reads_read_everything_once_a_turn() -> None:
    source, out = np.arange(128, dtype=np.float32), np.zeros(32, np.float32)
    run(micro.read_module(), {"left": source, "out": out}, times=3, size=384)
    assert np.array_equal(out, 3 * source[:96].reshape(3, 32).sum(0))


def test_copies_copy() -> None:
    source, target = np.arange(64, dtype=np.uint32), np.zeros(80, np.uint32)
    run(micro.copy_module(), {"left": source, "out": target}, times=2, size=256)
    assert np.array_equal(target, [*range(64), *[0] * 16])


def test_registers_are_counted_as_the_engine_needs_them() -> None:
    assert micro.registers_needed(6, 2, fused=True) == 15
    assert micro.registers_needed(6, 2, fused=False) == 16
