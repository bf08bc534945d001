"""Error bounds of gradients of small networks, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tensorloom
from random_networks import random_tree
from tensorloom.execute.error_bound import SAFETY, length_bound, length_bounds
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.lower import lower

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType

U = 2.0**-53


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("sliced", [False, True])
def test_the_value_of_a_program_has_the_length_of_all_its_steps(
    dtype: DType, *, sliced: bool
) -> None:
    for seed in range(40):
        program = lower(random_tree(seed, sliced=sliced), dtype)
        assert length_bounds(program, ("wasm",), 1) == (length_bound(program, ("wasm",)),)


def test_each_gradient_counts_the_steps_that_lead_to_it() -> None:
    vectors = [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])]
    found = tensorloom.gradient("i,i->", vectors)
    # Two inputs, three terms and their product; then the seed and the other tensor, one product.
    assert found.error_bound == SAFETY * U * (2 + 3 + 1)
    assert found.error_bounds == (SAFETY * U * (2 + 1 + 1),) * 2


def test_only_what_a_gradient_is_made_of_can_cancel_in_it() -> None:
    arrays = [np.array([1.0, -1.0]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0])]
    found = tensorloom.gradient("i,ij,j->", arrays, wrt=[0, 2])
    # d/dx = m y adds positive numbers; d/dy = x m does not: -2, where random signs give sqrt(15).
    plain, cancelling = found.error_bounds
    assert plain == SAFETY * U * (3 + 2 + 1 + 1 + 1)
    typical = np.sqrt(2 * 1 * 7.5)
    assert cancelling == pytest.approx(plain * typical / 2)


def test_a_zero_tensor_says_nothing_of_its_own_gradient() -> None:
    found = tensorloom.gradient("i,i->", [np.zeros(3), np.array([1.0, 2.0, 3.0])])
    assert found.error_bound == 0
    assert found.error_bounds == (SAFETY * U * 4, 0.0)


def test_no_digit_is_certain_of_what_cancelled_to_nothing() -> None:
    found = tensorloom.gradient("i,ij->j", [np.array([1.0, -1.0]), np.ones((2, 2))], wrt=[0])
    assert found.error_bound == 1.0
    cancelled = tensorloom.gradient("i,ij->", [np.ones(2), np.array([[1.0, -1.0]] * 2)], wrt=[0])
    np.testing.assert_array_equal(cancelled.gradients[0], [0, 0])
    assert cancelled.error_bounds == (1.0,)


def test_nothing_is_repeated_for_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    inner = NumpyBackend.run

    async def counted(self: NumpyBackend, *given: Any) -> Any:
        calls.append(given)
        return await inner(self, *given)

    monkeypatch.setattr(NumpyBackend, "run", counted)
    # d/dx vanishes; y's gradient and the value do not.
    arrays = [np.array([1.0, 2.0]), np.array([[1.0, -1.0]] * 2), np.array([1.0, 1.0])]
    found = tensorloom.gradient("i,ij,j->", arrays, backend="numpy", wrt=[0, 2])
    assert found.error_bounds[0] == 1.0
    assert found.error_bounds[1] < 1e-10
    assert len(calls) == 1


def test_the_real_part_is_judged_by_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom.execute.second_opinion.MOST_WORK", 0)
    real, turned = np.array([1.0, 2.0]), np.array([1e-9 + 1j, 1e-9 + 1j])
    found = tensorloom.gradient("i,i->", [real, turned])
    assert found.gradients[0].dtype == "float64"
    plain = 2 * SAFETY * U * 4
    assert found.error_bounds[0] == pytest.approx(1e9 * plain, rel=1e-6)


def test_an_adjoint_is_not_summed_along_what_it_is_constant_along() -> None:
    left, right = -np.ones((2, 50)), np.ones(2)
    found = tensorloom.gradient("ij,i->", [left, right])
    assert found.error_bounds[0] == SAFETY * U * 4


def test_one_tensor_and_no_gradient() -> None:
    found = tensorloom.gradient("ij->ji", [np.ones((2, 2))])
    # Input, one term and its product; the seed is no further off.
    assert found.error_bounds == (SAFETY * U * 3,)
    assert found.error_bound == SAFETY * U * 3
    nothing = tensorloom.gradient("->", [np.ones(())], wrt=[])
    assert (nothing.error_bound, nothing.error_bounds) == (SAFETY * U, ())


def test_bounds_are_measured_where_averages_say_little(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 120
    draw = np.random.default_rng(0)
    names = [chr(0x4E00 + place) for place in range(n + 1)]
    equation = ",".join(names[k] + names[k + 1] for k in range(n)) + "->" + names[0] + names[-1]
    arrays = [draw.normal(size=(2, 2)) for _ in range(n)]

    def largest(**options: Any) -> float:
        return max(tensorloom.gradient(equation, arrays, wrt=[0, 60], **options).error_bounds)

    assert largest(dtype="float32") < 1e-2
    monkeypatch.setattr("tensorloom.execute.second_opinion.MOST_WORK", 0)
    assert largest(dtype="float32") > 0.1


def test_who_wants_no_bounds_gets_none() -> None:
    found = tensorloom.gradient("i,i->", [np.ones(2), np.ones(2)], bounds=False)
    assert found.error_bound is None
    assert found.error_bounds == ()
