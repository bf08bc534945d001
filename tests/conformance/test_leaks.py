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
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend
    from tensorloom.execute.wasm.backend import WasmBackend
    from tensorloom.kernels.program import Program

TIMES = 20
"""Each job in a row, as a slider would ask."""

STAGES = {"numpy": (1, 2, 2), "wasm": (4, 8, 9), "webgpu": (6, 13, 15)}
"""Rounds of all jobs: 10,000 runs, but of numpy, which keeps nothing by itself."""

MANY = 10_000

GROWTH_BLOCKS = 300
"""What Python itself may hold more of after 4,000 more runs: caches of numbers and the like."""


def kept_by(backend: Any) -> dict[str, int]:
    """What a backend keeps between runs, counted by itself."""
    return dict(
        backend.device.counts() if backend.name == "webgpu" else getattr(backend, "counts", {})
    )


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
    """Every job in turn, each several times in a row."""
    while True:
        for program, arrays in work:
            for _ in range(TIMES):
                yield program, arrays


def test_what_is_kept_does_not_grow(new_backend: Backend) -> None:
    backend = new_backend
    work = [job for job in jobs() if job[0].dtype in backend.dtypes]
    assert any(program.kept for program, _ in work)
    assert backend.name == "numpy" or sum(STAGES[backend.name]) * len(work) * TIMES >= MANY
    runs = rounds(work)
    counts = []
    blocks = []
    for n_rounds in STAGES[backend.name]:
        for _ in range(n_rounds * len(work) * TIMES):
            program, arrays = next(runs)
            drive(backend.run(program, arrays, no_pulse))
        gc.collect()
        counts.append(kept_by(backend))
        blocks.append(sys.getallocatedblocks())
    assert counts[0] == counts[1] == counts[2], "programs, kernels or bytes kept went on growing"
    assert blocks[2] - blocks[1] < GROWTH_BLOCKS


@pytest.mark.parametrize("new_backend", ["wasm"], indirect=True)
def test_cancelled_runs_leave_nothing_behind_in_the_engine(new_backend: WasmBackend) -> None:
    backend = new_backend

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
