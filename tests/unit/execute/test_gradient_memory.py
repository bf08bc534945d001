"""Memory of gradients: predicted for the whole way there and back, sliced by it, and taken so."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memory_taken import Counting, ring, taken
from random_networks import random_arrays, random_tree
from tensorloom.errors import DeviceMemoryError
from tensorloom.execute import gradient
from tensorloom.execute.backend import drive
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.calibration import Rates
    from tensorloom.execute.run import Choice


def choice(
    tree: ContractionTree, limit: int, *, slicing: bool = False, rates: Rates | None = None
) -> Choice:
    """How all gradients of a tree are made by numpy with so much room [bytes]."""
    return prepare(
        Plan(tree=tree, cost=cost_of(tree), finder="greedy"),
        backends={"numpy": NumpyBackend(limit_bytes=limit, rates=rates)},
        dtype="float64",
        allow_slicing=slicing,
        lowering=gradient.lowering(tuple(range(len(tree.inputs)))),
    )


def peak(chosen: Choice, arrays: Sequence[NDArray[Any]], *, bounds: bool = False) -> int:
    """Most that a run holds at once, the arrays given included [bytes]."""
    wrt = tuple(range(len(arrays)))
    drive(gradient.run(chosen, arrays, None, wrt, bounds=bounds))
    given = sum(array.nbytes for array in arrays)
    tracemalloc.start()
    found = drive(gradient.run(chosen, arrays, None, wrt, bounds=bounds))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.gradients) == len(arrays)
    return given + most


def test_numpy_takes_for_gradients_what_was_predicted() -> None:
    tree = ring(96, 60)
    chosen = choice(tree, 1 << 30)
    found = peak(chosen, random_arrays(tree, "float64", 1))
    assert found == pytest.approx(chosen.attempts[0].peak_bytes, rel=0.02)


def test_gradients_that_are_spread_out_are_counted() -> None:
    tree = ContractionTree(
        inputs=(("i", "j"), ("i",)),
        output=(),
        dimensions=(("i", 2), ("j", 100_000)),
        path=((0, 1),),
    )
    chosen = choice(tree, 1 << 30)
    found = peak(chosen, [np.ones((2, 100_000)), np.ones(2)])
    assert found == pytest.approx(chosen.attempts[0].peak_bytes, rel=0.02)
    with pytest.raises(DeviceMemoryError):
        choice(tree, 2_000_000)


def test_memory_of_repetitions_that_measure_the_error_is_said() -> None:
    n = 250_000
    tree = ContractionTree(
        inputs=(("a", "i"), ("a",)), output=("i",), dimensions=(("a", 2), ("i", n)), path=((0, 1),)
    )
    row = np.random.default_rng(0).normal(size=n)
    arrays = [np.stack([row, -row * (1 + 1e-12)]), np.ones(2)]
    chosen = choice(tree, 1 << 30)
    found = drive(gradient.run(chosen, arrays, None, (0, 1)))
    measured = peak(chosen, arrays, bounds=True)
    assert measured > 1.5 * chosen.attempts[0].peak_bytes
    assert measured == pytest.approx(found.peak_bytes, rel=0.15)
    # Nothing is repeated for who wants no bounds.
    plain = drive(gradient.run(chosen, arrays, None, (0, 1), bounds=False))
    assert plain.peak_bytes == chosen.attempts[0].peak_bytes


def test_the_wasm_engine_takes_for_gradients_what_was_predicted() -> None:
    kernels = WasmKernels(Counting())
    for seed in range(60):
        tree = random_tree(seed)
        if not tree.path:
            continue
        arrays = list(random_arrays(tree, "float64", seed))
        sizes = dict(tree.dimensions)
        seeds = np.ones([sizes[name] for name in tree.output])
        program = lower_gradient(tree, "float64", tuple(range(len(arrays))))
        given = [*arrays, seeds]
        found = sum(array.nbytes for array in given) + taken(kernels, program, given)
        assert found == program.peak_bytes


def wide(n: int) -> ContractionTree:
    """Small tensors whose intermediates are large, and smaller along any slice."""
    return ContractionTree(
        inputs=(("a", "x"), ("b", "x"), ("c", "a"), ("c", "b"), ("c", "x")),
        output=(),
        dimensions=tuple((name, n) for name in "abcx"),
        path=((0, 1), (5, 2), (6, 3), (7, 4)),
    )


def test_gradients_are_sliced_by_the_memory_of_the_way_back() -> None:
    tree = wide(64)
    whole = choice(tree, 1 << 30).attempts[0].peak_bytes
    limit = whole - 100_000
    # The value alone would fit without slices.
    assert 8 * cost_of(tree).peak_elements < limit
    with pytest.raises(DeviceMemoryError):
        choice(tree, limit)
    chosen = choice(tree, limit, slicing=True)
    attempt = chosen.attempts[0]
    assert attempt.plan.tree.n_slices > 1
    assert attempt.peak_bytes <= limit
    arrays = random_arrays(tree, "float64", 2)
    # Products and sums of slices pass through temporaries of numpy's.
    largest = 8 * max(buffer.elements for buffer in attempt.program.buffers)
    found = peak(chosen, arrays)
    assert attempt.peak_bytes * 0.98 <= found <= attempt.peak_bytes * 1.02 + 4 * largest
    wrt = tuple(range(len(arrays)))
    sliced = drive(gradient.run(chosen, arrays, None, wrt, bounds=False))
    plain = drive(gradient.run(choice(tree, 1 << 30), arrays, None, wrt))
    for one, other in zip(sliced.gradients, plain.gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())


def test_predictions_of_sliced_gradients_count_every_slice() -> None:
    tree = wide(16)
    sliced = replace(tree, sliced=("x",))
    rates = replace(NumpyBackend().rates, run_ms=0.0, dispatch_ms=0.0, bytes_per_ms=1e99)
    wrt = tuple(range(5))
    attempt = choice(sliced, 1 << 30, rates=rates).attempts[0]
    assert (attempt.n_runs, attempt.program.n_slices) == (16, 1)
    one = attempt.backend.predicted_ms(attempt.program)
    assert attempt.predicted_ms == pytest.approx(16 * one)
    found = drive(
        gradient.run(choice(sliced, 1 << 30, rates=rates), random_arrays(tree, "float64", 3),
                     None, wrt)
    )  # fmt: skip
    assert found.predicted_ms == attempt.predicted_ms
    assert found.mul_adds == 16 * attempt.program.mul_adds
    # Slices only add work: never is the whole predicted to be shorter.
    assert attempt.predicted_ms >= choice(tree, 1 << 30, rates=rates).attempts[0].predicted_ms


def test_what_no_slicing_helps_is_refused() -> None:
    tree = ring(60, 4)
    with pytest.raises(DeviceMemoryError) as caught:
        choice(tree, 8 * 60 * 60 * 5, slicing=True)
    assert caught.value.code == "does-not-fit"


def test_sums_of_gradients_keep_what_rounding_takes() -> None:
    tree = ContractionTree(
        inputs=(("s", "i"), ("s", "i")),
        output=("i",),
        dimensions=(("s", 6), ("i", 2)),
        path=((0, 1),),
        sliced=("s",),
    )
    column = np.array([3e7, 0.5, -3e7, 2e7, 0.25, -2e7], "f4")
    arrays = [np.stack([column] * 2, axis=1), np.ones((6, 2), "f4")]
    chosen = prepare(
        Plan(tree=tree, cost=cost_of(tree), finder="greedy"),
        backends={"numpy": NumpyBackend()},
        dtype="float32",
        lowering=gradient.lowering((0,)),
    )
    assert drive(gradient.run(chosen, arrays, None, (0,))).value.tolist() == [0.75, 0.75]
