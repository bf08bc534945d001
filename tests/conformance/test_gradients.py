"""Gradients of random networks, whole and sliced, on every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_gradients import assert_gradients, gradient_on, random_seed
from random_networks import random_arrays, random_tree
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend
    from tensorloom.model.recipe import DType

N_NETWORKS = {"numpy": 100, "wasm": 120, "webgpu": 60}
"""Fewer where each has kernels to compile."""

PLACES = {"float64": 1e-13, "complex128": 1e-13, "float32": 1e-4, "complex64": 1e-4}


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
@pytest.mark.parametrize("sliced", [False, True], ids=["whole", "sliced"])
def test_random_networks_have_right_gradients(
    backend: Backend, dtype: DType, *, sliced: bool
) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    checked = 0
    for seed in range(N_NETWORKS[backend.name]):
        tree = random_tree(seed, sliced=sliced)
        arrays = random_arrays(tree, dtype, seed)
        weights = random_seed(tree, dtype, seed)
        found = gradient_on(backend, tree, arrays, weights, dtype)
        assert found.dtype == dtype
        assert_gradients(found, tree, arrays, weights, places=PLACES[dtype])
        checked += len(arrays)
    assert checked > 3 * N_NETWORKS[backend.name]


def chain(n: int, bond: int) -> ContractionTree:
    """A ring of matrices, contracted from one end to the other."""
    names = [f"i{place}" for place in range(n)]
    path = [(0, 1), *((n + place, place + 2) for place in range(n - 2))]
    return ContractionTree(
        inputs=tuple((names[place], names[(place + 1) % n]) for place in range(n)),
        output=(),
        dimensions=tuple((name, bond) for name in names),
        path=tuple(path),
    )


@pytest.mark.parametrize("factor", [1e30, 1e-30], ids=["growing", "vanishing"])
def test_each_gradient_carries_its_own_exponent(backend: Backend, factor: float) -> None:
    n = 40
    tree = chain(n, 3)
    dtype: DType = "float64" if "float64" in backend.dtypes else "float32"
    arrays = [factor * np.eye(3).astype(dtype) for _ in range(n)]
    found = gradient_on(backend, tree, arrays, None, dtype)
    # value = 3 factor^n, each gradient factor^(n-1) times the identity.
    logs = [
        np.log10(np.abs(found.value)) + found.log10_scale,
        *(
            np.log10(array[0, 0]) + scale
            for array, scale in zip(found.gradients, found.log10_scales, strict=True)
        ),
    ]
    wanted = [n * np.log10(factor) + np.log10(3)] + n * [(n - 1) * np.log10(factor)]
    np.testing.assert_allclose(logs, wanted, rtol=1e-6)
    for array in found.gradients:
        np.testing.assert_allclose(array, array[0, 0] * np.eye(3), rtol=1e-5, atol=0)


def test_a_gradient_may_leave_the_range_though_the_value_does_not(backend: Backend) -> None:
    names = ("d", "d", "a", "a", "c", "c")
    tree = ContractionTree(
        inputs=tuple((name,) for name in names),
        output=(),
        dimensions=(("d", 2), ("a", 2), ("c", 2)),
        path=((0, 1), (2, 3), (4, 5), (6, 7), (9, 8)),
    )
    sizes = (1, 1, 1e-30, 1e30, 1e5, 1e5)
    arrays = [np.array([size, 0], np.float32) for size in sizes]
    found = gradient_on(backend, tree, arrays, None, "float32")
    assert found.value == pytest.approx(1e10, rel=1e-6)
    logs = [
        np.log10(array[0]) + scale
        for array, scale in zip(found.gradients, found.log10_scales, strict=True)
    ]
    np.testing.assert_allclose(logs, [10, 10, 40, -20, 5, 5], atol=1e-5)


@pytest.mark.parametrize("zero", [0, 1], ids=["first", "last"])
def test_a_slice_that_is_zero_takes_nothing_from_small_ones(backend: Backend, zero: int) -> None:
    tree = ContractionTree(
        inputs=(("s", "i"), ("s", "i", "j"), ("j", "k"), ("k",)),
        output=(),
        dimensions=tuple((name, 2) for name in "sijk"),
        path=((0, 1), (4, 2), (5, 3)),
        sliced=("s",),
    )
    first = np.full((2, 2), 1e-25, "float32")
    first[zero] = 0
    middle = np.full((2, 2, 2), 1e-20, "float32")
    arrays = [first, middle, np.full((2, 2), 1e-10, "float32"), np.ones(2, "float32")]
    found = gradient_on(backend, tree, arrays, None, "float32")
    # Below the range of the type; i, j and k have two values each.
    assert np.log10(found.value) + found.log10_scale == pytest.approx(np.log10(8e-55), abs=1e-5)
    logs = np.log10(found.gradients[3]) + found.log10_scales[3]
    np.testing.assert_allclose(logs, np.log10(4e-55), rtol=0, atol=1e-5)


def in_slices(n: int) -> ContractionTree:
    """A number times a scalar product of ``n`` slices."""
    return ContractionTree(
        inputs=((), ("s",), ("s",)),
        output=(),
        dimensions=(("s", n),),
        path=((1, 2), (0, 3)),
        sliced=("s",),
    )


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1.6e38), ("complex64", 1.6e38), ("float64", 1.2e308)]
)
def test_slices_within_the_range_may_add_up_beyond_it(
    backend: Backend, dtype: DType, size: float
) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    root = np.full(4, np.sqrt(size), dtype)
    found = gradient_on(backend, in_slices(4), [np.ones((), dtype), root, root], None, dtype)
    wanted = np.log10(size) + np.log10(4)
    assert np.log10(abs(found.value)) + found.log10_scale == pytest.approx(wanted, abs=1e-6)
    own = np.log10(abs(found.gradients[0])) + found.log10_scales[0]
    assert own == pytest.approx(wanted, abs=1e-6)
    assert found.error_bound is not None
    assert max(found.error_bound, *found.error_bounds) < 1e-5
    np.testing.assert_allclose(found.gradients[1], root, rtol=1e-6)


@pytest.mark.parametrize(
    ("left", "wanted"),
    [
        ([1e30, -1e30, 3e-30, 4e-30], 7.0),
        ([3e-30, 1e30, -4e-30, 5e29], 1.5e60),
        ([1e-28, 1e20, -1e20, 5e-10], 5e20),
    ],
    ids=["cancelling", "mixed", "within and beyond"],
)
def test_slices_of_different_scales_add_up(
    backend: Backend, left: list[float], wanted: float
) -> None:
    arrays = [np.ones((), "f4"), np.array(left, "f4"), np.full(4, 1e30, "f4")]
    found = gradient_on(backend, in_slices(4), arrays, None, "float32")
    for value, scale in (
        (found.value, found.log10_scale),
        (found.gradients[0], found.log10_scales[0]),
    ):
        assert float(value) * 10.0**scale == pytest.approx(wanted, rel=1e-6)
