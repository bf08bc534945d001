"""Predicted memory is what is taken, and what is the same in every slice is done once."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memory_taken import Counting, ring, taken
from random_networks import random_arrays, random_tree
from tensorloom.execute import numpy_backend
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.arena import place_buffers, small_runs
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program


def programs() -> Iterator[tuple[Program, list[NDArray[Any]]]]:
    """Networks of many kinds, half of them sliced."""
    trees = [random_tree(seed, sliced=seed % 2 == 1) for seed in range(150)]
    trees += [ring(48, 7), ring(48, 7, sliced=("i3",))]
    for seed, tree in enumerate(trees):
        program = lower(tree, "complex64")
        if program.dispatches:
            yield program, list(random_arrays(tree, "complex64", seed))


def test_the_wasm_engine_takes_what_was_predicted() -> None:
    kernels = WasmKernels(Counting())
    counted = 0
    for program, arrays in programs():
        given = sum(array.nbytes for array in arrays)
        assert given + taken(kernels, program, arrays) == program.peak_bytes
        counted += 1
    assert counted > 100


def test_numpy_takes_little_more_than_was_predicted() -> None:
    tree = ring(160, 6)
    program = lower(tree, "float64")
    arrays = random_arrays(tree, "float64", 1)
    given = sum(array.nbytes for array in arrays)
    backend = NumpyBackend()
    tracemalloc.start()
    drive(backend.run(program, arrays, no_pulse))
    peak = given + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Products pass through a temporary of their size.
    largest = max(buffer.elements for buffer in program.buffers) * 8
    assert program.peak_bytes * 0.98 <= peak <= program.peak_bytes * 1.02 + 2 * largest


def test_large_intermediates_are_packed_without_holes() -> None:
    names = "abcdefgh"
    dimensions = tuple(zip(names, (40, 8, 90, 33, 70, 12, 64, 25), strict=True))
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "g"), ("g", "h")),
        output=("a", "h"),
        dimensions=dimensions,
        path=((0, 1), (2, 3), (4, 5), (8, 9), (7, 10), (11, 6)),
    )
    program = lower(tree, "complex128")
    alive = most = 0
    sizes = [-(-16 * buffer.elements // 64) * 64 for buffer in program.buffers]
    for dispatch in program.dispatches:
        alive += sizes[dispatch.out] * (dispatch.out != program.result)
        most = max(most, alive)
        alive -= sum(sizes[buffer] for buffer in dispatch.frees)
    assert place_buffers(program, ())[1] == most


def test_what_is_the_same_in_every_slice_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ring(6, 7, sliced=("i5",))
    program = lower(tree, "float64")
    # Matrices 0 to 3 do not meet i5: three steps are the same in all six slices.
    assert (program.n_slices, len(program.dispatches), program.prologue) == (6, 6, 3)
    work = [program.kernels[call.kernel].mul_adds for call in program.dispatches]
    assert program.mul_adds == sum(work[:3]) + 6 * sum(work[3:])
    assert small_runs(program) == ((0, 3), (3, 6))
    calls = 0
    inner = numpy_backend.run_kernel

    def counted(*given: Any, **named: Any) -> Iterator[int]:
        nonlocal calls
        calls += 1
        return inner(*given, **named)

    monkeypatch.setattr(numpy_backend, "run_kernel", counted)
    arrays = random_arrays(tree, "float64", 2)
    drive(NumpyBackend().run(program, arrays, no_pulse))
    assert calls == 3 + 6 * 3


def test_wasm_replays_what_is_common_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ring(6, 7, sliced=("i5",))
    program = lower(tree, "float64")
    arrays = random_arrays(tree, "float64", 2)
    wanted = drive(NumpyBackend().run(lower(ring(6, 7), "float64"), arrays, no_pulse)).value
    backend = WasmBackend(WasmtimeHost())
    records: Counter[int] = Counter()
    inner = backend.kernels.run

    def counted(address: int, first: int, last: int, low: float, high: float) -> int:
        records[address] += last - first
        return inner(address, first, last, low, high)

    monkeypatch.setattr(backend.kernels, "run", counted)
    # Groups are made and proven for the second run.
    for expected in (3 + 6 * 3, None, 1 + 6):
        records.clear()
        found = drive(backend.run(program, arrays, no_pulse)).value
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        # Others are trials of new kernels.
        assert expected in (None, max(records.values()))


@pytest.mark.parametrize("size", [1e-60, 1e60])
def test_exponents_of_the_common_part_are_carried(size: float) -> None:
    tree = ring(4, 24, sliced=("i20",))
    arrays = [size * array for array in random_arrays(tree, "float64", 5)]
    program = lower(tree, "float64")
    assert program.prologue > 10
    wasm = WasmBackend(WasmtimeHost())
    plain = drive(NumpyBackend().run(lower(ring(4, 24), "float64"), arrays, no_pulse))
    assert abs(plain.log10_scale) > 1000
    for backend in (NumpyBackend(), wasm, wasm):
        found = drive(backend.run(program, arrays, no_pulse))
        assert found.log10_scale == plain.log10_scale
        np.testing.assert_allclose(found.value, plain.value, rtol=1e-10)
