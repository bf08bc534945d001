"""10,000 runs leave nothing behind: what backends keep is counted, bounded, and does not grow."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import random_arrays, random_tree
from tensorloom.errors import Cancelled
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend
    from tensorloom.kernels.program import Program

STAGES = {"numpy": (480, 960, 960), "wasm": (1_920, 3_840, 4_320)}
"""Runs, in whole rounds of 24 jobs 20 times each. numpy keeps nothing by itself."""

GROWTH_BLOCKS = 300
"""What Python itself may hold more of after 4,000 more runs: caches of numbers and the like."""


def _wasm() -> Any:
    hosting = pytest.importorskip("wasmtime_host", reason="wasmtime is not installed")
    module = pytest.importorskip("tensorloom.execute.wasm.backend")
    return module.WasmBackend(host=hosting.WasmtimeHost())


def jobs() -> list[tuple[Program, list[NDArray[Any]]]]:
    """Programs of all kinds, more than any backend keeps; some with gradients."""
    found = []
    for seed in range(60):
        tree = random_tree(seed, sliced=seed % 3 == 0)
        dtype = ("float64", "complex128", "float32", "complex64")[seed % 4]
        arrays = random_arrays(tree, dtype, seed)
        if tree.path and not tree.sliced and not tree.output and seed % 2:
            program = lower_gradient(tree, dtype, tuple(range(len(arrays))))
            found.append((program, [*arrays, np.ones((), dtype)]))
        else:
            found.append((lower(tree, dtype), arrays))
    # The short ones: what is counted is runs.
    found.sort(key=lambda job: len(job[0].dispatches))
    short = [job for job in found if job[0].dispatches][:20]
    return [
        *short,
        *[
            job
            for job in found
            if job[0].kept and len(job[0].dispatches) > 0 and all(job is not one for one in short)
        ][:4],
    ]


def rounds(work: list[tuple[Program, list[NDArray[Any]]]]) -> Iterator[tuple[Program, Any]]:
    """Every job in turn, each several times in a row, as a slider would ask."""
    while True:
        for program, arrays in work:
            for _ in range(20):
                yield program, arrays


@pytest.mark.parametrize("make", [NumpyBackend, _wasm], ids=["numpy", "wasm"])
def test_what_is_kept_does_not_grow(make: Any) -> None:
    backend: Backend = make()
    work = jobs()
    assert any(program.kept for program, _ in work)
    runs = rounds(work)
    counts = []
    blocks = []
    for n_runs in STAGES[backend.name]:
        for _ in range(n_runs):
            program, arrays = next(runs)
            drive(backend.run(program, arrays, no_pulse))
        gc.collect()
        counts.append(dict(getattr(backend, "counts", {})))
        blocks.append(sys.getallocatedblocks())
    assert counts[0] == counts[1] == counts[2], "programs, kernels or bytes kept went on growing"
    assert blocks[2] - blocks[1] < GROWTH_BLOCKS


def test_cancelled_runs_leave_nothing_behind_in_the_engine() -> None:
    backend = _wasm()

    async def stop(_done: int, _slices: object = None) -> None:
        raise Cancelled("cancelled", "Stopped.")

    tree = ContractionTree(
        inputs=(("i", "j"), ("j", "k")),
        output=("i", "k"),
        dimensions=(("i", 800), ("j", 800), ("k", 800)),
        path=((0, 1),),
    )
    program = lower(tree, "float64")
    arrays = random_arrays(tree, "float64", 1)
    with pytest.raises(Cancelled):
        drive(backend.run(program, arrays, stop))
    before = dict(backend.counts)
    for _ in range(10):
        with pytest.raises(Cancelled):
            drive(backend.run(program, arrays, stop))
    assert dict(backend.counts) == before
