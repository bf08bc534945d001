"""``contract`` under autograd: against autograd on numpy, and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from autograd import grad, hessian, jacobian
from autograd import numpy as anp
from autograd.test_util import check_grads

import tensorloom
from tensorloom.autograd import contract

RANDOM = np.random.default_rng(7)

CASES = [
    ("ij,jk->ik", (3, 4), (4, 2)),
    ("ij,ji->", (3, 4), (4, 3)),
    ("iij,j->i", (3, 3, 2), (2,)),
    ("ii,j->", (3, 3), (4,)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("i,ij,j->", (3,), (3, 2), (2,)),
    ("ab,bc->c", (2, 1), (3, 4)),
    ("left row, (row)->(left)", (2, 3), (3,)),
    (",ij->j", (), (2, 3)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(case[0], case[1:]) for case in CASES])
def test_first_and_second_derivatives_match_finite_differences(
    equation: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    arrays = [RANDOM.normal(size=shape) for shape in shapes]
    found = []

    def value(*operands: object) -> object:
        found.append(equation)
        return contract(equation, *operands)

    check_grads(value, modes=["rev"], order=2)(*arrays)  # raises where they differ
    assert found


@pytest.mark.parametrize(
    "equation", ["ij,jk,kl->il", "ij,jk,ki->", "ij,jk,jl->kl", "ij,kj,lj->ikl"]
)
def test_gradients_equal_those_of_autograd_on_numpy(equation: str) -> None:
    arrays = [RANDOM.normal(size=(4, 4)) + 1j * RANDOM.normal(size=(4, 4)) for _ in range(3)]

    def loss(value: object) -> object:
        return anp.sum(anp.abs(value) ** 2)

    for number in range(3):
        ours = grad(lambda *a: loss(contract(equation, *a)), number)(*arrays)
        numpys = grad(lambda *a: loss(anp.einsum(equation, *a)), number)(*arrays)
        np.testing.assert_allclose(ours, numpys, rtol=1e-12)


def test_a_real_operand_of_a_complex_value_has_a_real_gradient() -> None:
    real, phases = RANDOM.normal(size=3), np.exp(1j * np.arange(3))

    def loss(x: object) -> object:
        return anp.abs(contract("i,i->", x, phases)) ** 2

    found = grad(loss)(real)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 2 * np.real(np.conj(phases @ real) * phases), rtol=1e-12)


def test_hessians_and_jacobians_are_exact_for_quadratic_forms() -> None:
    matrix, vector = RANDOM.normal(size=(4, 4)), RANDOM.normal(size=4)
    found = hessian(lambda x: contract("i,ij,j->", x, matrix, x))(vector)
    np.testing.assert_allclose(found, matrix + matrix.T, rtol=1e-12)
    found = jacobian(lambda x: contract("ij,j->i", matrix, x))(vector)
    np.testing.assert_allclose(found, matrix, rtol=1e-12)


def test_a_number_is_made_together_with_its_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = tensorloom.autograd.gradient

    def counted(*arguments: object, **options: object) -> object:
        runs.append(arguments[0])
        return real(*arguments, **options)

    monkeypatch.setattr("tensorloom.autograd.gradient", counted)
    monkeypatch.setattr("tensorloom.engine.contract", None)  # not asked at all
    a, b = np.ones((2, 3)), np.ones((3, 2))
    found = grad(lambda a, b: contract("ij,ji->", a, b) ** 2, (0, 1))(a, b)
    assert runs == ["ij,ji->"]
    np.testing.assert_array_equal(found[0], np.full((2, 3), 12.0))


def test_without_derivatives_it_is_contract() -> None:
    a, b = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(3, 2))
    np.testing.assert_array_equal(
        contract("ij,jk->ik", a, b, backend="numpy"), tensorloom.contract("ij,jk->ik", a, b)
    )
