"""The public functions: numpy's semantics, its corners, and errors with both numbers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import tensorloom
from tensorloom import engine
from tensorloom.errors import (
    DeviceMemoryError,
    EquationError,
    InputError,
    NetworkError,
    PlanError,
    TensorloomError,
)
from tensorloom.execute import backends
from tensorloom.execute.calibration import Rates
from tensorloom.execute.choices import Choices
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import Choice, prepare
from tensorloom.model.document import Document
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import ConstantArray, IdentityArray, InlineArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from tensorloom.execute.backend import SlicesDone
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

A = np.arange(6.0).reshape(2, 3)
B = np.arange(12.0).reshape(3, 4)
C = np.random.default_rng(1).normal(size=(2, 3, 3, 4))


@pytest.mark.parametrize(
    ("text", "operands"),
    [
        ("ij,jk->ik", (A, B)),
        ("ij,jk", (A, B)),
        ("jk,ij", (B, A)),
        ("ij,ij->", (A, A)),
        ("ij->ji", (A,)),
        ("ij->", (A,)),
        ("abbc->ca", (C,)),
        ("abbc", (C,)),
        ("i,i,i->i", (A[0], A[1], B[:, 0])),
        (",ij->ij", (2.5, A)),
        ("i->", (np.array([True, False, True]),)),
        ("...j,jk->...k", (C.swapaxes(1, 3), B)),
        ("...j,jk", (A, B)),
        ("a...,...a->...", (C, np.moveaxis(C, 0, -1)[..., :1, :])),
        ("ij,ij->ij", (A, A[:1])),
        ("ij,ij", (A, A[:, :1])),
        ("ij,jk->ik", (A[:, :1], B)),
    ],
)
def test_agrees_with_numpy(text: str, operands: tuple[np.ndarray, ...]) -> None:
    found = tensorloom.contract(text, *operands)
    wanted = np.einsum(text, *operands, dtype=float, casting="unsafe")
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)


def test_lists_and_numbers_will_do() -> None:
    assert tensorloom.contract("i,i->", [1, 2], [3, 4]).item() == 11
    assert tensorloom.contract(",->", 3, 1 + 2j).item() == 3 + 6j


def test_long_names() -> None:
    found = tensorloom.contract("left row, row right -> right left", A, B)
    np.testing.assert_array_equal(found, (A @ B).T)


@pytest.mark.parametrize(
    ("given", "dtype", "found"),
    [
        ("float32", None, "float32"),
        ("int64", None, "float64"),
        ("complex64", None, "complex64"),
        ("float64", "complex64", "complex64"),
    ],
)
def test_the_type_is_the_smallest_that_holds_all_or_the_one_asked_for(
    given: str, dtype: str | None, found: str
) -> None:
    array = np.ones((2, 2), given)
    assert tensorloom.contract("ij,jk->ik", array, array, dtype=dtype).dtype == found


def test_beyond_the_range_is_infinity_here_and_an_exponent_there() -> None:
    assert tensorloom.contract("i,i->", [1e200], [1e200]).item() == np.inf
    assert tensorloom.contract("i,i->", [1e-200], [1e-200]).item() == 0


@pytest.mark.parametrize(
    ("text", "operands", "kind", "message"),
    [
        (
            "ij,jk->ik",
            (A, B.T),
            NetworkError,
            "Index 'j' has dimension 3 on operand 0 (axis 1) but 4 on operand 1 (axis 0).",
        ),
        ("ij,jk->ik", (A,), EquationError, "The equation has 2 operands; 1 arrays were given."),
        ("ij,jk->ik", (A, C), NetworkError, "Operand 1 has 4 axes, but 2 indices."),
        (
            "ij->j",
            (np.ones((2, 0)),),
            NetworkError,
            "Index 'j' cannot have dimension 0 on operand 0 (axis 1).",
        ),
        (
            "ij->j",
            ([["x"]],),
            NetworkError,
            "Operand 0 holds no numbers, but elements of type <U1.",
        ),
        ("ij->k", (A,), EquationError, "Output index 'k' is on no operand."),
    ],
)
def test_errors_name_both_numbers(
    text: str, operands: tuple[object, ...], kind: type[TensorloomError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        tensorloom.contract(text, *operands)
    assert caught.value.message == message
    assert caught.value.hint


def test_backends_have_names() -> None:
    with pytest.raises(NetworkError) as caught:
        tensorloom.contract("i->i", [1.0], backend="abacus")
    assert caught.value.message == "'abacus' is not a backend."
    assert tensorloom.contract("ij,jk->ik", A, B, backend="numpy").shape == (2, 4)


def network() -> Network:
    return Network(
        tensors=(
            Tensor(id="t1", name="A", indices=("i", "j"), array=ConstantArray(value=2.0)),
            Tensor(id="t2", name="I", indices=("j", "k"), array=IdentityArray()),
        ),
        indices=(
            Index(name="i", dimension=2),
            Index(name="j", dimension=3),
            Index(name="k", dimension=3),
        ),
        output=("k", "i"),
    )


def test_a_network_is_contracted_from_its_recipes() -> None:
    result = tensorloom.contract_network(network(), backend="numpy")
    np.testing.assert_array_equal(result.value, np.full((3, 2), 2.0))
    assert (result.dtype, result.backend) == ("float64", "numpy")
    assert (result.mul_adds, result.peak_bytes) == (18, 8 * (6 + 9 + 6))
    assert 0 < result.error_bound < 1e-14
    assert result.ms > 0


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("size", [1e-50, 1.2e-45, 1e-36, 1e50])
def test_recipes_beyond_single_precision_give_the_right_number(size: float, dtype: DType) -> None:
    numbers = (size, 3.3 * size)
    tensors = (
        Tensor(id="t1", name="A", indices=("i",), array=InlineArray(values=numbers, shape=(2,))),
        Tensor(id="t2", name="B", indices=("i",), array=InlineArray(values=(3.0, 4.0), shape=(2,))),
    )
    narrow = Network(tensors=tensors, indices=(Index(name="i", dimension=2),), output=())
    found = tensorloom.contract_network(narrow, dtype=dtype, backend="numpy")
    wanted = 3 * numbers[0] + 4 * numbers[1]
    assert (found.dtype, found.value.dtype) == (dtype, dtype)
    assert complex(found.value) * 10**found.log10_scale == pytest.approx(wanted, rel=1e-6)
    assert 2.0**-24 < found.error_bound < 1e-5
    gradient = tensorloom.gradient(narrow, dtype=dtype, wrt=[1], backend="numpy")
    np.testing.assert_allclose(
        gradient.gradients[0].astype(complex) * 10 ** gradient.log10_scales[0], numbers, rtol=1e-6
    )


def test_a_document_brings_its_type_and_arrays_may_be_given() -> None:
    document = Document(dtype="complex64", network=Network())
    assert tensorloom.contract_network(document).dtype == "complex64"
    given = [np.ones((2, 3)), 5 * np.eye(3)]
    result = tensorloom.contract_network(network(), given, dtype="float32")
    np.testing.assert_array_equal(result.value, np.full((3, 2), np.float32(5)))


def test_what_would_take_years_is_refused() -> None:
    names = [f"i{number}" for number in range(14)]
    dense = Network(
        tensors=tuple(
            Tensor(id=f"t{a}_{b}", name="T", indices=(names[a], names[b]))
            for a in range(14)
            for b in range(a)
        ),
        indices=tuple(Index(name=name, dimension=100) for name in names),
        output=(),
    )
    with pytest.raises(DeviceMemoryError) as caught:
        tensorloom.contract_network(dense, backend="numpy")
    assert caught.value.code == "does-not-fit"
    assert "EB at once; numpy has room for" in caught.value.message


def test_what_fits_but_takes_too_long_is_refused() -> None:
    # 10^9 and 10^6 multiply-adds at one per second.
    long = Network(
        tensors=(
            Tensor(id="a", name="A", indices=("i", "j"), array=ConstantArray(value=1.0)),
            Tensor(id="b", name="B", indices=("j", "k"), array=ConstantArray(value=1.0)),
            Tensor(id="c", name="C", indices=("k", "i"), array=ConstantArray(value=1.0)),
        ),
        indices=tuple(Index(name=name, dimension=1000) for name in "ijk"),
        output=(),
    )
    slow = Rates(
        run_ms=0,
        dispatch_ms=0,
        bytes_per_ms=1e9,
        mul_adds_per_ms=tuple(("float64", kind, 1e-3) for kind in ("matrix", "thin", "stream")),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            backends, "_MADE", {"numpy": NumpyBackend(rates=slow), "webgpu": "None here."}
        )
        with pytest.raises(PlanError) as caught:
            tensorloom.contract_network(long, backend="numpy")
    assert caught.value.code == "too-long"
    assert caught.value.message == "This would take about 2.78e+05 h here."


def test_who_contracts_in_a_loop_lowers_and_chooses_once() -> None:
    made = []

    def counted(*arguments: object, **options: object) -> object:
        made.append(arguments)
        return prepare(*arguments, **options)  # type: ignore[arg-type]  # as the engine gives them

    a, b = np.ones((3, 4)), np.ones((4, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "prepare", counted)
        for _ in range(3):
            tensorloom.contract("rs,st->rt", a, b)
            tensorloom.gradient("rs,st->rt", [a, b], wrt=[1])
            tensorloom.contract_network(network())
        assert len(made) == 3
        # Another type, another derivative and other sizes are other programs.
        tensorloom.contract("rs,st->rt", a, b, dtype="float32")
        tensorloom.gradient("rs,st->rt", [a, b], wrt=[0])
        tensorloom.contract("rs,st->rt", a[:2], b)
    assert len(made) == 6


def test_plans_are_forgotten_and_new_rates_decide_anew() -> None:
    choices = Choices(2)
    plans = [engine.planned("ij,jk->ik", [np.ones((2, n)), np.ones((n, 3))])[0] for n in (2, 3, 4)]
    backend = NumpyBackend()
    made = []

    def get(plan: Plan) -> Choice:
        def make() -> Choice:
            made.append(plan)
            return prepare(plan, backends={"numpy": backend})

        return choices.get(plan, "asked", {"numpy": backend}, make)

    assert get(plans[0]) is get(plans[0])
    for plan in plans[1:]:
        get(plan)
    get(plans[0])
    assert made == [*plans, plans[0]]
    backend.rates = replace(backend.rates, run_ms=1000.0)
    assert get(plans[0]).attempts[0].predicted_ms > 1000.0


def test_public_names() -> None:
    assert set(tensorloom.__all__) == {"contract", "contract_network", "gradient"}
    with pytest.raises(AttributeError, match="no attribute 'einsum'"):
        tensorloom.einsum  # noqa: B018  # the look-up is what is tested


def test_a_call_without_an_equation_says_so() -> None:
    with pytest.raises(EquationError) as caught:
        tensorloom.contract(3, 1)  # type: ignore[arg-type]  # the mistake in question
    assert caught.value.code == "not-an-equation"
    assert caught.value.message == "The first argument is 3, not an equation."


class Waiting:
    """A pulse that waits for an event loop."""

    calls = 0

    async def __call__(self, _done: int, _slices: SlicesDone | None = None, /) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(1e-3)
        self.calls += 1


def test_a_pulse_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom.execute.numpy_backend.CHUNK_MS", 0)
    pulse = Waiting()
    found = tensorloom.contract_network(network(), [A, B[:, :3]], backend="numpy", pulse=pulse)
    np.testing.assert_array_equal(found.value, (A @ B[:, :3]).T)
    assert pulse.calls > 0
    before = pulse.calls
    tensorloom.gradient(network(), [A, B[:, :3]], backend="numpy", pulse=pulse)
    assert pulse.calls > before


def test_a_pulse_cannot_wait_for_a_loop_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom.execute.numpy_backend.CHUNK_MS", 0)

    async def notebook() -> None:
        tensorloom.contract_network(network(), [A, B[:, :3]], backend="numpy", pulse=Waiting())

    with pytest.raises(InputError) as caught:
        asyncio.run(notebook())
    assert caught.value.code == "pulse-waits"
    assert caught.value.message == "The pulse waits for the event loop, which waits for this call."
