from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from tensorloom.errors import NetworkError, TensorloomError
from tensorloom.execute.arrays import ArrayStore, arrays_of, make_array, stored_array, try_array
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import (
    ArrayRecipe,
    BlobArray,
    ConstantArray,
    CopyArray,
    Distribution,
    GateArray,
    IdentityArray,
    InlineArray,
    RandomArray,
)
from tensorloom.model.stored_array import StoredArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType


def made(recipe: ArrayRecipe, *shape: int, dtype: DType = "float64") -> np.ndarray[Any, Any]:
    array = make_array(recipe, shape, dtype, ArrayStore())
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    return array


def network_of(*tensors: Tensor, **dimensions: int) -> Network:
    indices = tuple(Index(name=name, dimension=size) for name, size in dimensions.items())
    return Network(tensors=tensors, indices=indices)


def refusal(recipe: ArrayRecipe, *shape: int, dtype: DType = "float64") -> TensorloomError:
    with pytest.raises(TensorloomError) as caught:
        make_array(recipe, shape, dtype, ArrayStore())
    return caught.value


def test_normal_numbers_are_those_of_pcg64() -> None:
    array = made(RandomArray(seed=1), 2, 2)
    expected = [[0.345584192064786, 0.8216181435011584], [0.33043707618338714, -1.303157231604361]]
    np.testing.assert_array_equal(array, expected)


def test_uniform_numbers_are_those_of_pcg64() -> None:
    array = made(RandomArray(seed=1, distribution="uniform"), 3)
    expected = [0.5118216247002567, 0.9504636963259353, 0.14415961271963373]
    np.testing.assert_array_equal(array, expected)


def test_complex_normal_draws_real_parts_first_with_variance_one_half() -> None:
    recipe = RandomArray(seed=1, distribution="complex-normal")
    plain = made(RandomArray(seed=1), 2, 2) * 0.5**0.5
    array = made(recipe, 2, dtype="complex128")
    np.testing.assert_allclose(array, plain[0] + 1j * plain[1], rtol=1e-15)
    many = made(recipe, 40_000, dtype="complex128")
    assert abs(float(np.mean(np.abs(many) ** 2)) - 1) < 0.02


def test_single_precision_holds_the_same_numbers_rounded() -> None:
    single = made(RandomArray(seed=3), 5, 7, dtype="float32")
    np.testing.assert_array_equal(single, made(RandomArray(seed=3), 5, 7).astype("float32"))


def test_numbers_are_the_same_in_whatever_parts_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipes = [RandomArray(seed=3, distribution=name) for name in get_args(Distribution)]
    whole = [made(recipe, 5, 7, dtype="complex64") for recipe in recipes]
    monkeypatch.setattr("tensorloom.execute.arrays._DRAWN", 8)
    for recipe, array in zip(recipes, whole, strict=True):
        np.testing.assert_array_equal(made(recipe, 5, 7, dtype="complex64"), array)


@pytest.mark.parametrize(
    "recipe",
    [RandomArray(), RandomArray(distribution="uniform"), ConstantArray(value=0.1), IdentityArray()],
)
def test_large_arrays_are_made_in_their_own_type(recipe: ArrayRecipe) -> None:
    tracemalloc.start()
    try:
        array = made(recipe, 2048, 2048, dtype="float32")
        assert tracemalloc.get_traced_memory()[1] < 1.5 * array.nbytes
    finally:
        tracemalloc.stop()


def test_constant_copy_and_identity() -> None:
    assert made(ConstantArray(value=2.5), 2).tolist() == [2.5, 2.5]
    assert made(ConstantArray(value=-3.0)).item() == -3.0
    assert made(CopyArray(), 2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert np.argwhere(made(CopyArray(), 2, 2, 2)).tolist() == [[0, 0, 0], [1, 1, 1]]
    assert made(CopyArray()).item() == 1
    assert made(IdentityArray(), 2, 2).tolist() == [[1, 0], [0, 1]]
    assert made(IdentityArray()).item() == 1


def test_identity_fuses_each_half_in_c_order() -> None:
    array = made(IdentityArray(), 2, 3, 6, 1)
    ones = np.argwhere(array)
    assert ones.tolist() == [[i, j, 3 * i + j, 0] for i in range(2) for j in range(3)]


def test_inline_values_in_c_order_real_and_complex() -> None:
    array = made(InlineArray(values=(1, 2, 3, 4, 5, 6), shape=(2, 3)), 2, 3)
    assert array.tolist() == [[1, 2, 3], [4, 5, 6]]
    recipe = InlineArray(values=(1, 2, 3, -4), shape=(2,), complex=True)
    assert made(recipe, 2, dtype="complex64").tolist() == [1 + 2j, 3 - 4j]


def test_gate_recipe_becomes_its_array() -> None:
    array = made(GateArray(name="y", conjugate=True), 2, 2, dtype="complex128")
    assert array.tolist() == [[0, 1j], [-1j, 0]]
    array = made(GateArray(name="x", controls=1), 2, 2, 2, dtype="float64")
    assert array.tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]


def test_real_gate_fits_a_real_network_and_a_complex_one_does_not() -> None:
    assert made(GateArray(name="x"), 2, 2, dtype="float32").tolist() == [[0, 1], [1, 0]]
    error = refusal(GateArray(name="s"), 2, 2, dtype="float32")
    assert isinstance(error, NetworkError)
    assert error.code == "complex-into-real"
    assert error.message == "The array is complex, but the network is contracted in float32."
    assert error.hint == "Choose complex64 or complex128 as the number type."


@pytest.mark.parametrize(
    ("recipe", "shape", "code", "message"),
    [
        (
            GateArray(name="h"),
            (2, 3),
            "array-shape",
            "The tensor has shape (2, 3), but the gate 'h' has shape (2, 2).",
        ),
        (
            GateArray(name="x", controls=1),
            (2, 2),
            "array-shape",
            "The tensor has shape (2, 2), but the gate 'x' has shape (2, 2, 2).",
        ),
        (
            # Refused before 2^64 numbers are made.
            GateArray(name="x", controls=62),
            (2, 2),
            "array-shape",
            f"The tensor has shape (2, 2), but the gate 'x' has shape {(2,) * 64}.",
        ),
        (
            InlineArray(values=(1, 2), shape=(2, 1)),
            (5,),
            "array-shape",
            "The tensor has shape (5,), but the given array has shape (2, 1).",
        ),
        (
            IdentityArray(),
            (2, 2, 2),
            "odd-axes",
            "An identity needs as many legs in as out, but the tensor has 3.",
        ),
        (
            IdentityArray(),
            (2, 3, 4, 1),
            "array-shape",
            "An identity is square, but this tensor's halves have 6 and 4 elements.",
        ),
        (
            BlobArray(hash="ab" * 32, shape=(2,), dtype="float64"),
            (2,),
            "array-missing",
            "The stored array abababababab is not here.",
        ),
        (
            ConstantArray(value=0.0),
            (2**30, 3),
            "array-too-big",
            "The array needs 25769803776 bytes; the most is 2147483648.",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_refused(
    recipe: ArrayRecipe, shape: tuple[int, ...], code: str, message: str
) -> None:
    error = refusal(recipe, *shape)
    assert (error.code, error.message) == (code, message)
    assert error.hint


@pytest.mark.parametrize("values", [(1.0, -3e300), (1e-50, 2e-50), (1.2e-45, 3.3e-45)])
@pytest.mark.parametrize(("dtype", "wide"), [("float32", "float64"), ("complex64", "complex128")])
def test_numbers_beyond_single_precision_stay_in_double(
    values: tuple[float, ...], dtype: DType, wide: str
) -> None:
    array = make_array(InlineArray(values=values, shape=(2,)), (2,), dtype, ArrayStore())
    assert (array.dtype, array.tolist()) == (wide, [*values])


def test_what_stands_beside_infinity_carries_no_exponent() -> None:
    store = ArrayStore()
    stored = store.add(np.array([np.inf, 2.0]))
    array = make_array(stored, (2,), "float32", store)
    assert (array.dtype, array.tolist()) == ("float32", [np.inf, 2.0])


def test_store_gives_back_what_was_added_read_only() -> None:
    store = ArrayStore()
    array = np.arange(6, dtype=np.complex64).reshape(2, 3).T
    recipe = store.add(array)
    assert (recipe.shape, recipe.dtype) == ((3, 2), "complex64")
    assert recipe.hash in store
    np.testing.assert_array_equal(store.get(recipe.hash), array)
    assert not store.get(recipe.hash).flags.writeable
    np.testing.assert_array_equal(make_array(recipe, (3, 2), "complex128", store), array)
    array[0, 0] = 9
    assert store.get(recipe.hash)[0, 0] == 0


def test_equal_content_is_stored_once_and_types_tell_it_apart() -> None:
    store = ArrayStore()
    first = store.add(np.ones(3))
    assert store.add(stored_array(np.ones(3))) == first
    assert store.add(np.ones(3, dtype="float32")).hash != first.hash


@pytest.mark.parametrize("dtype", ["int8", "uint16", "bool", "float16", ">f8"])
def test_other_number_types_become_float64(dtype: str) -> None:
    stored = stored_array(np.array([0, 1, 1], dtype=dtype))
    assert stored.dtype == "float64"
    assert stored.data == np.array([0, 1, 1], dtype="<f8").tobytes()


def test_arrays_without_numbers_are_refused() -> None:
    with pytest.raises(NetworkError) as caught:
        stored_array(np.array(["a", "bc"]))
    assert caught.value.code == "not-numbers"
    assert caught.value.message == "An array of type <U2 holds no numbers."


def test_scalars_stay_scalars() -> None:
    store = ArrayStore()
    recipe = store.add(StoredArray.of(dtype="float64", shape=(), data=np.float64(4).tobytes()))
    assert make_array(recipe, (), "float64", store).shape == ()


def test_arrays_of_a_network_come_in_its_order_and_equal_ones_are_shared() -> None:
    tensors = (
        Tensor(id="a", name="A", indices=("i", "j"), array=ConstantArray(value=2.0)),
        Tensor(id="b", name="B", indices=("j",), array=ConstantArray(value=3.0)),
        Tensor(id="c", name="C", indices=("j",), array=ConstantArray(value=3.0)),
    )
    arrays = arrays_of(network_of(*tensors, i=2, j=4), "float32", ArrayStore())
    assert [array.shape for array in arrays] == [(2, 4), (4,), (4,)]
    assert arrays[1] is arrays[2]


def test_what_has_not_changed_is_not_made_again() -> None:
    store = ArrayStore()
    tensors = (
        Tensor(id="a", name="A", indices=("i",), array=RandomArray(seed=1)),
        Tensor(id="b", name="B", indices=("j",), array=RandomArray(seed=2)),
    )
    before = arrays_of(network_of(*tensors, i=2, j=4), "float64", store)
    after = arrays_of(network_of(*tensors, i=3, j=4), "float64", store)
    assert after[0].shape == (3,)
    assert after[1] is before[1]
    assert len(store.recent) == 2


def test_errors_name_the_tensor() -> None:
    tensor = Tensor(id="t7", name="A_1", indices=("i",), array=GateArray(name="cx"))
    with pytest.raises(NetworkError) as caught:
        arrays_of(network_of(tensor, i=2), "float64", ArrayStore())
    assert caught.value.where.tensors == ("t7",)
    assert caught.value.message == (
        "A_1: The tensor has shape (2,), but the gate 'cx' has shape (2, 2, 2, 2)."
    )


def test_given_values_are_cropped_and_padded_to_the_tensor() -> None:
    recipe = InlineArray(values=(1, 2, 3, 4, 5, 6), shape=(2, 3))
    assert made(recipe, 3, 2).tolist() == [[1, 2], [4, 5], [0, 0]]
    # A pulled leg: the values lie at the first value of the new axis.
    assert made(recipe, 1, 3, 2).tolist() == [[[1, 0], [2, 0], [3, 0]]]
    store = ArrayStore()
    stored = store.add(np.arange(4.0))
    assert make_array(stored, (2,), "float64", store).tolist() == [0, 1]
    assert make_array(stored, (6,), "float64", store).tolist() == [0, 1, 2, 3, 0, 0]


def test_values_are_tried_without_making_them() -> None:
    large = (2**40, 2**40)
    complex_values = InlineArray(values=(1.0, 0.0, 0.0, 2.0), shape=(2,), complex=True)
    for recipe in (
        RandomArray(),
        RandomArray(distribution="complex-normal"),
        ConstantArray(value=1e300),
        CopyArray(),
        complex_values,
    ):
        try_array(recipe, large, "complex128")
    for tried, code in (
        (RandomArray(distribution="complex-normal"), "complex-into-real"),
        (complex_values, "complex-into-real"),
    ):
        with pytest.raises(NetworkError) as caught:
            try_array(tried, large, "float32")
        assert caught.value.code == code
    # Numbers beyond the type are kept wide until their exponent is taken out.
    try_array(ConstantArray(value=1e300), large, "float32")
    # What is cropped away does not count.
    try_array(complex_values, (1, 5), "float32")
    try_array(GateArray(name="x"), (2, 2), "float32")
    with pytest.raises(NetworkError) as caught:
        try_array(GateArray(name="y"), (2, 2), "float32")
    assert caught.value.code == "complex-into-real"
    with pytest.raises(NetworkError) as caught:
        try_array(complex_values, (), "float32")
    assert caught.value.code == "array-shape"
