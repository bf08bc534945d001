"""``tensorloom.gradient``: what it takes, what it gives and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tensorloom
from tensorloom.errors import EquationError, NetworkError, PlanError
from tensorloom.execute import backends
from tensorloom.execute.calibration import Rates
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.model.diagram import Diagram
from tensorloom.model.document import Document, default_mark
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import RandomArray
from tensorloom.model.tensor import Tensor
from tensorloom.plan.find import plan_for
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RANDOM = np.random.default_rng(11)


def network_of(
    inputs: Sequence[tuple[str, ...]], sizes: Mapping[str, int], output: tuple[str, ...]
) -> Network:
    return Network(
        tensors=tuple(
            Tensor(id=f"t{n}", name=f"T{n}", indices=names, array=RandomArray(seed=n))
            for n, names in enumerate(inputs)
        ),
        indices=tuple(Index(name=name, dimension=size) for name, size in sizes.items()),
        output=output,
    )


def test_value_and_gradients_of_a_bilinear_form() -> None:
    x, m, y = RANDOM.normal(size=3), RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4)
    found = tensorloom.gradient("i,ij,j->", [x, m, y])
    np.testing.assert_allclose(found.value, x @ m @ y, rtol=1e-13)
    np.testing.assert_allclose(found.gradients[0], m @ y, rtol=1e-13)
    np.testing.assert_allclose(found.gradients[1], np.outer(x, y), rtol=1e-13)
    np.testing.assert_allclose(found.gradients[2], x @ m, rtol=1e-13)
    assert (found.wrt, found.dtype, found.backend) == ((0, 1, 2), "float64", "numpy")
    assert (found.log10_scale, found.log10_scales) == (0, (0, 0, 0))


def test_gradients_match_finite_differences() -> None:
    arrays = [RANDOM.normal(size=shape) for shape in [(2, 3, 2), (3, 4), (4, 2, 2)]]
    equation = "abc,bd,dac->"
    found = tensorloom.gradient(equation, arrays)
    step = 1e-6
    for number, array in enumerate(arrays):
        for place in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = array.copy()
                moved[place] += sign * step
                given = [*arrays[:number], moved, *arrays[number + 1 :]]
                ends.append(tensorloom.contract(equation, *given))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert found.gradients[number][place] == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_a_seed_weighs_the_output_and_only_those_asked_for_are_made() -> None:
    a, b = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(3, 4))
    seed = RANDOM.normal(size=(2, 4))
    found = tensorloom.gradient("ij,jk->ik", [a, b], wrt=[1], seed=seed)
    (made,) = found.gradients
    np.testing.assert_allclose(made, a.T @ seed, rtol=1e-13)
    assert found.wrt == (1,)


def test_nothing_is_conjugated() -> None:
    a, b = np.array([1 + 2j, 3j]), np.array([2 - 1j, 1 + 1j])
    found = tensorloom.gradient("i,i->", [a, b])
    np.testing.assert_array_equal(found.gradients[0], b)
    assert found.value == a @ b


def test_broadcast_axes_are_summed_and_keep_their_place() -> None:
    a, b = RANDOM.normal(size=(2, 1)), RANDOM.normal(size=(3, 4))
    found = tensorloom.gradient("ab,bc->c", [a, b])
    assert [array.shape for array in found.gradients] == [(2, 1), (3, 4)]
    np.testing.assert_allclose(found.gradients[0], np.full((2, 1), b.sum()), rtol=1e-13)


def test_one_tensor_none_and_no_gradients() -> None:
    matrix = RANDOM.normal(size=(3, 3))
    trace = tensorloom.gradient("ii->", [matrix])
    assert trace.value == pytest.approx(np.trace(matrix))
    np.testing.assert_array_equal(trace.gradients[0], np.eye(3))
    seed = RANDOM.normal(size=(3, 3))
    turned = tensorloom.gradient("ij->ji", [matrix], seed=seed)
    np.testing.assert_array_equal(turned.gradients[0], seed.T)
    assert tensorloom.gradient("ij,jk->ik", [matrix, matrix], wrt=[]).gradients == ()


def test_documents_bring_their_arrays_and_type() -> None:
    network = network_of([("i",), ("i",)], {"i": 3}, ())
    marks = {tensor.id: default_mark() for tensor in network.tensors}
    document = Document(network=network, dtype="float32", diagram=Diagram(marks=marks))
    found = tensorloom.gradient(document)
    assert found.dtype == "float32"
    assert found.value == pytest.approx(found.gradients[0] @ found.gradients[1])


def test_slices_add_up_to_the_same_gradients() -> None:
    shapes = {"a": 6, "b": 5, "c": 4, "d": 3}
    inputs = (("a", "b"), ("b", "c", "a"), ("c", "d"), ("a", "d"))
    arrays = [RANDOM.normal(size=tuple(shapes[name] for name in names)) for names in inputs]
    network = network_of(inputs, shapes, ("a",))
    plan = plan_for(inputs, ("a",), tuple(shapes.items()))
    sliced = sliced_to_fit(plan, 195)
    assert sliced.tree.n_slices > 1
    whole = tensorloom.gradient(network, arrays, plan=plan)
    parts = tensorloom.gradient(network, arrays, plan=sliced)
    np.testing.assert_allclose(parts.value, whole.value, rtol=1e-12)
    for part, wanted in zip(parts.gradients, whole.gradients, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-12)
    assert parts.mul_adds >= whole.mul_adds


@pytest.mark.parametrize("wrt", [1, (1,), np.array([1]), np.int64(1), [np.int8(1)], np.array(1)])
def test_any_whole_numbers_name_tensors(wrt: Any) -> None:
    found = tensorloom.gradient("i,i->", [np.ones(2), np.zeros(2)], wrt=wrt)
    assert found.wrt == (1,)
    np.testing.assert_array_equal(found.gradients, [[1, 1]])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"seed": np.ones(3)}, "seed-shape"),
        ({"seed": "words"}, "bad-array"),
        ({"wrt": [2]}, "no-such-tensor"),
        ({"wrt": [0, 0]}, "no-such-tensor"),
        ({"wrt": [True, False]}, "no-such-tensor"),
        ({"wrt": np.array([True, False])}, "no-such-tensor"),
        ({"wrt": [0.5]}, "no-such-tensor"),
        ({"wrt": ["a"]}, "no-such-tensor"),
        ({"wrt": [[0, 1]]}, "no-such-tensor"),
        ({"backend": "abacus"}, "bad-backend"),
        ({"dtype": "int8"}, "bad-dtype"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(tensorloom.errors.InputError) as raised:
        tensorloom.gradient("ij,jk->ik", [np.ones((2, 3)), np.ones((3, 2))], **options)
    assert raised.value.code == code


def test_sentences_name_both_shapes_and_numbers() -> None:
    with pytest.raises(NetworkError, match=r"The seed has shape \(3,\), but the value has shape"):
        tensorloom.gradient("i->i", [np.ones(2)], seed=np.ones(3))
    with pytest.raises(NetworkError, match=r"The seed holds no numbers, but elements of type <U5"):
        tensorloom.gradient("i->i", [np.ones(2)], seed="words")
    with pytest.raises(NetworkError, match=r"There is no tensor 5 among 1"):
        tensorloom.gradient("i->i", [np.ones(2)], wrt=[5])
    with pytest.raises(NetworkError, match=r"There is no tensor True among 1, or it is named"):
        tensorloom.gradient("i->i", [np.ones(2)], wrt=[True])
    with pytest.raises(EquationError):
        tensorloom.gradient("ij,", [np.ones(2)])


def on_a_slow_machine(monkeypatch: pytest.MonkeyPatch, mul_adds_per_ms: float) -> None:
    rates = Rates(
        run_ms=0.0,
        dispatch_ms=0.0,
        bytes_per_ms=1e99,
        mul_adds_per_ms=tuple(
            ("float64", kind, mul_adds_per_ms) for kind in ("matrix", "thin", "stream")
        ),
    )
    made = {"numpy": NumpyBackend(rates=rates), "webgpu": "None here."}
    monkeypatch.setattr(backends, "_MADE", made)


def test_what_takes_too_long_over_all_slices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At this speed a slice takes ten days, and all ten of them a hundred."""
    inputs = (("i", "j"), ("j", "k"), ("k", "i"))
    network = network_of(inputs, dict.fromkeys("ijk", 10), ())
    plan = plan_for(inputs, (), tuple((name, 10) for name in "ijk"))
    sliced = replace(plan, tree=replace(plan.tree, sliced=("i",)))
    on_a_slow_machine(monkeypatch, 1.0)
    all_slices = tensorloom.gradient(network, plan=sliced, backend="numpy")
    assert all_slices.predicted_ms == pytest.approx(all_slices.mul_adds)
    day_ms = 24 * 3.6e6
    on_a_slow_machine(monkeypatch, all_slices.mul_adds / (100 * day_ms))
    with pytest.raises(PlanError) as caught:
        tensorloom.gradient(network, plan=sliced, backend="numpy")
    assert caught.value.code == "too-long"
    assert caught.value.message == "This would take about 2.4e+03 h here."
    assert caught.value.values["predictedMs"] == pytest.approx(100 * day_ms)
