"""300 random networks and the hostile cases, on every backend, against longer numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, RawResult

N_NETWORKS = 300
DTYPES = ("float64", "complex128", "float32", "complex64")


def contracted(
    backend: Backend, tree: ContractionTree, arrays: list[NDArray[Any]], dtype: str
) -> RawResult:
    return drive(backend.run(lower(tree, dtype), arrays, no_pulse))


def pair(left: str, right: str, out: str, **sizes: int) -> ContractionTree:
    return ContractionTree(
        inputs=(tuple(left), tuple(right)),
        output=tuple(out),
        dimensions=tuple(sizes.items()),
        path=((0, 1),),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sliced", [False, True], ids=["whole", "sliced"])
def test_random_networks_agree(backend: Backend, dtype: str, *, sliced: bool) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    checked = 0
    for seed in range(N_NETWORKS):
        tree = random_tree(seed, sliced=sliced)
        program = lower(tree, dtype)
        if not program.dispatches:
            continue  # nothing to compute: run() answers without a backend
        arrays = random_arrays(tree, dtype, seed)
        found = drive(backend.run(program, arrays, no_pulse))
        wanted = reference(equation(tree), arrays, dtype)
        assert found.value.dtype == dtype
        assert found.log10_scale == 0
        assert_close(found.value, wanted, tolerance(program, wanted))
        checked += 1
    assert checked > 0.9 * N_NETWORKS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cancellation_stays_within_the_magnitudes(backend: Backend, dtype: str) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    big = 2.0 ** (20 if dtype == "float32" else 50)
    tree = pair("i", "i", "", i=4)
    arrays = [np.array([big, 1, -big, 2], dtype), np.array([1, 1, 1, 1], dtype)]
    found = contracted(backend, tree, arrays, dtype)
    wanted = reference("i,i->", arrays, dtype)
    assert wanted.value == 3
    assert_close(found.value, wanted, tolerance(lower(tree, dtype), wanted))


@pytest.mark.parametrize(
    ("dtype", "small", "large"), [("float32", -140, 120), ("float64", -1060, 1000)]
)
def test_subnormal_numbers_count(backend: Backend, dtype: str, small: int, large: int) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    arrays = [np.ldexp(np.array([1, 3], dtype), small), np.ldexp(np.array([1, 2], dtype), large)]
    found = contracted(backend, pair("i", "i", "", i=2), arrays, dtype)
    assert float(found.value) == 7 * 2.0 ** (small + large)
    assert found.log10_scale == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_arrive(backend: Backend, dtype: str) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    left = np.ones((3, 3), dtype)
    left[0, 1], left[1, 2] = np.inf, np.nan
    found = contracted(
        backend, pair("ij", "jk", "ik", i=3, j=3, k=2), [left, np.ones((3, 2), dtype)], dtype
    )
    np.testing.assert_array_equal(
        found.value, np.array([[np.inf, np.inf], [np.nan, np.nan], [3, 3]], dtype)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log2_norm", [-3, 3], ids=["vanishing", "overflowing"])
def test_a_chain_of_1000_matrices_keeps_its_exponent_exactly(
    backend: Backend, dtype: str, log2_norm: int
) -> None:
    """Beyond the range of every type; ``test_long_chains.py`` has ten times as many."""
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    n = 1_000
    names = [f"i{number}" for number in range(n + 1)]
    tree = ContractionTree(
        inputs=tuple((names[place], names[place + 1]) for place in range(n)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, 2) for name in names),
        path=((0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))),
    )
    # A permutation matrix times a power of two: every product is exact, and so is the answer.
    matrix = np.array([[0, 2.0**log2_norm], [2.0**log2_norm, 0]], dtype)
    found = contracted(backend, tree, [matrix] * n, dtype)
    assert found.log10_scale == int(np.floor(n * log2_norm * np.log10(2)))
    mantissa = 10 ** (n * log2_norm * np.log10(2) - found.log10_scale)
    # The logarithm of the wanted number is itself rounded: 3e3 * 1e-16 of it.
    allowed = 1e-11 + 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(found.value, mantissa * np.eye(2), rtol=allowed, atol=0)


def test_numbers_that_pass_through_beyond_the_range_come_back(backend: Backend) -> None:
    if "float32" not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in float32")
    tree = ContractionTree(
        inputs=(("i",), ("i",), ("i",)),
        output=("i",),
        dimensions=(("i", 2),),
        path=((0, 1), (3, 2)),
    )
    arrays = [
        np.array(values, np.float32) for values in ([1e30, 2e30], [1e30, 1e30], [1e-30, 3e-30])
    ]
    found = contracted(backend, tree, arrays, "float32")
    assert found.log10_scale == 0
    np.testing.assert_allclose(found.value, [1e30, 6e30], rtol=1e-6)


def test_a_wrong_number_is_noticed() -> None:
    wanted = reference("i,i->", [np.ones(3), np.ones(3)], "float64")
    allowed = tolerance(lower(pair("i", "i", "", i=3), "float64"), wanted)
    assert_close(np.asarray(3.0), wanted, allowed)
    with pytest.raises(AssertionError, match="off by"):
        assert_close(np.asarray(3.0 + 1e-13), wanted, allowed)
    with pytest.raises(AssertionError, match="shape"):
        assert_close(np.ones(1), wanted, allowed)
    with pytest.raises(AssertionError, match="not a number"):
        assert_close(np.asarray(np.nan), wanted, allowed)
