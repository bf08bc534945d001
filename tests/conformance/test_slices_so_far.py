"""Sliced runs say how many slices are done and what they sum to, and stop between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from random_networks import random_arrays
from tensorloom.errors import Cancelled
from tensorloom.execute import numpy_backend
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu import replay as gpu_replay
from tensorloom.execute.wasm import replay
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, SlicesDone

N = 12


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulses after every kernel call."""
    monkeypatch.setattr(numpy_backend, "CHUNK_MS", 0)
    monkeypatch.setattr(replay, "PIECE_CYCLES", 1)
    monkeypatch.setattr(gpu_replay, "SUBMIT_MS", 0)


def tree(output: tuple[str, ...]) -> ContractionTree:
    return ContractionTree(
        inputs=(("i", "s"), ("s", "j"), ("j", "i", "s")),
        output=output,
        dimensions=(("i", 3), ("j", 4), ("s", N)),
        path=((0, 1), (3, 2)),
        sliced=("s",),
    )


def summed(arrays: Sequence[NDArray[Any]], output: str, done: int) -> NDArray[Any]:
    a, b, c = arrays
    return np.asarray(np.einsum(f"is,sj,jis->{output}", a[:, :done], b[:done], c[..., :done]))


@pytest.mark.parametrize("output", ["", "j"])
def test_the_sum_so_far_is_that_of_the_slices_done(backend: Backend, output: str) -> None:
    program = lower(tree(tuple(output)), "complex64")
    arrays = random_arrays(tree(tuple(output)), "complex64", 3)
    told: list[tuple[int, NDArray[Any]]] = []

    async def pulse(_done: int, slices: SlicesDone | None = None) -> None:
        assert slices is not None
        assert slices.of == N
        so_far = await slices.so_far()
        assert so_far is not None
        told.append((slices.done, so_far.value))

    found = drive(backend.run(program, arrays, pulse))
    counts = [done for done, _ in told]
    assert counts == sorted(counts)
    assert len(set(counts)) >= N
    for done, value in told:
        assert value.shape == program.shape
        np.testing.assert_allclose(value, summed(arrays, output, done), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.value, summed(arrays, output, N), rtol=1e-4, atol=1e-4)


def test_a_run_stops_between_slices_and_the_next_one_is_right(backend: Backend) -> None:
    program = lower(tree(()), "float32")
    arrays = random_arrays(tree(()), "float32", 4)
    last = 0

    async def pulse(_done: int, slices: SlicesDone | None = None) -> None:
        nonlocal last
        assert slices is not None
        last = slices.done
        if slices.done == N // 2:
            raise Cancelled("cancelled", "Stopped.")

    with pytest.raises(Cancelled):
        drive(backend.run(program, arrays, pulse))
    assert last == N // 2
    found = drive(backend.run(program, arrays, no_pulse))
    np.testing.assert_allclose(found.value, summed(arrays, "", N), rtol=1e-4, atol=1e-4)
