"""Sums of many equal terms: nearly all roundings go the same way, and the bound has to know it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import LONGER
from tensorloom.execute.backend import RawResult, drive
from tensorloom.execute.error_bound import error_bound
from tensorloom.execute.run import prepare, run
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.jit import WasmDevice, jit_candidates
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from typing import Any

    from tensorloom.execute.backend import Backend
    from tensorloom.model.recipe import DType

NUMBER = 0.7


def product(text: str, side: int, summed: int) -> ContractionTree:
    """Two tensors; ``k`` is summed."""
    inputs, output = text.split("->")
    used = sorted(set(inputs) - {","})
    return ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple((name, summed if name == "k" else side) for name in used),
        path=((0, 1),),
    )


def operands(tree: ContractionTree, dtype: DType) -> list[np.ndarray[Any, Any]]:
    """One full of the same number, one of ones: products are exact, sums are not."""
    sizes = dict(tree.dimensions)
    shapes = [[sizes[name] for name in names] for names in tree.inputs]
    return [np.full(shapes[0], NUMBER, dtype), np.ones(shapes[1], dtype)]


def error_of(tree: ContractionTree, value: np.ndarray[Any, Any], dtype: DType) -> float:
    """Relative to the exact sum."""
    summed = prod(size for name, size in tree.dimensions if name not in tree.output)
    longer = np.dtype(LONGER[dtype]).type
    wanted = longer(np.dtype(dtype).type(NUMBER)) * summed
    return float(np.abs(value.astype(longer) - wanted).max() / abs(wanted))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("summed", [5_000, 16_000, 59_000])
def test_bounds_hold_where_roundings_agree(backend: Backend, dtype: DType, summed: int) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    tree = product("ik,kj->ij", 24, summed)
    plan = Plan(tree=tree, cost=cost_of(tree), finder="optimal")
    choice = prepare(plan, backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    found = drive(run(choice, operands(tree, dtype)))
    assert found.backend == backend.name
    assert error_of(tree, found.value, dtype) < found.error_bound < 1


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize(("text", "side"), [("k,k->", 1), ("ik,k->i", 3), ("ijk,jk->i", 2)])
def test_sums_of_millions_are_made_in_parts(
    backend: Backend, dtype: DType, text: str, side: int
) -> None:
    """More than a workgroup of a GPU adds up in loops of 60,000 turns."""
    tree = product(text, side, 4_000_037 // side)
    plan = Plan(tree=tree, cost=cost_of(tree), finder="optimal")
    choice = prepare(plan, backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    found = drive(run(choice, operands(tree, dtype)))
    assert (found.backend, found.notes) == (backend.name, ())
    assert error_of(tree, found.value, dtype) < found.error_bound < 1


@pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps / 16,
    reason="needs numbers longer than 64 bits",
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("text", ["ik,jk->ij", "ki,kj->ij"])
def test_bounds_hold_for_every_kernel_that_may_be_chosen(dtype: DType, text: str) -> None:
    kernels = WasmKernels(WasmtimeHost())
    device = WasmDevice.typical(relaxed_simd=True)
    tree = product(text, 8, 59_000)
    program = lower(tree, dtype)
    arrays = operands(tree, dtype)
    ways = jit_candidates(program.kernels[0], device)
    assert len(ways) >= 3
    for way in ways:
        value = kernels.once(program, way, arrays).reshape(program.shape)
        bound = error_bound(tree, program, arrays, RawResult(value=value), ("wasm",))
        assert error_of(tree, value, dtype) < bound, way.kernel.name
