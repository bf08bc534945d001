"""The reference for generated kernels, against einsum; and what it must notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.execute.oracle import GUARD, filled, largest_error, rounding_bound
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec

SIZES = {"a": 3, "b": 20, "c": 31, "d": 7, "e": 40, "f": 4, "g": 4}


def spec_of(equation: str, dtype: str) -> KernelSpec:
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple((n, SIZES[n]) for n in sorted(set(equation) - set(",->"))),
        path=((0, 1),),
    )
    program = lower(tree, dtype)  # type: ignore[arg-type]  # names of types
    assert program.dispatches[0].left == 0
    return program.kernels[0]


def operands(equation: str, dtype: str) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Guarded operands, and the right result."""
    inputs = equation.partition("->")[0]
    arrays, shaped = [], []
    for seed, names in enumerate(inputs.split(",")):
        shape = [SIZES[name] for name in names]
        array = np.empty(int(np.prod(shape)) + GUARD, dtype)
        filled(array, seed)
        arrays.append(array)
        shaped.append(array[:-GUARD].reshape(shape))
    return arrays, np.einsum(equation, *shaped).reshape(-1).astype(dtype)


# Of these lowering keeps the order of the operands.
EQUATIONS = ["bc,ce->be", "ace,abc->aeb", "edc,cbd->eb", "cd,bd->cb", "abc,acb->a"]


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_right_result_is_within_rounding(equation: str, dtype: str) -> None:
    spec = spec_of(equation, dtype)
    (left, right), out = operands(equation, dtype)
    bound = rounding_bound(spec, left, right)
    assert 0 < largest_error(spec, left, right, out) <= bound < 1e-2


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_the_bound_is_the_same_without_guards(dtype: str) -> None:
    # A gate of two qubits has as many numbers as a guard.
    spec = spec_of("ef,fg->eg", dtype)
    (left, right), _ = operands("ef,fg->eg", dtype)
    assert right.size - GUARD <= GUARD
    bound = rounding_bound(spec, left[:-GUARD], right[:-GUARD])
    assert rounding_bound(spec, left, right) == bound > 0


@pytest.mark.parametrize("equation", EQUATIONS[:4])
def test_legs_exchanged_in_packing_are_noticed(equation: str) -> None:
    spec = spec_of(equation, "float32")
    (left, right), out = operands(equation, "float32")
    swapped = right.copy()
    names = equation.partition("->")[0].split(",")[1]
    shape = [SIZES[name] for name in names]
    swapped[:-GUARD] = np.swapaxes(right[:-GUARD].reshape(shape), -1, -2).reshape(-1)
    assert largest_error(spec, left, swapped, out) > 100 * rounding_bound(spec, left, right)


@pytest.mark.parametrize("place", [0, -1])
def test_one_wrong_number_at_the_edge_is_noticed(place: int) -> None:
    spec = spec_of(EQUATIONS[0], "float32")
    (left, right), out = operands(EQUATIONS[0], "float32")
    out[place] += 0.1
    assert largest_error(spec, left, right, out) > 0.05


def test_what_was_not_written_is_noticed() -> None:
    spec = spec_of(EQUATIONS[0], "float32")
    (left, right), out = operands(EQUATIONS[0], "float32")
    out[-1] = np.nan
    assert not largest_error(spec, left, right, out) <= 1e9


def test_reading_beyond_the_end_gives_nan() -> None:
    array = np.empty(70_000, np.float32)
    filled(array, 1)
    assert np.isnan(array[-GUARD:]).all()
    assert np.isfinite(array[:-GUARD]).all()


def test_the_span_of_an_operand() -> None:
    assert spec_of("bc,ce->be", "float32").reach("right") == 31 * 40
