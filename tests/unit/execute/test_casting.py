"""Arrays made fit for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.errors import NetworkError
from tensorloom.execute.casting import as_numbers, cast_arrays, common_dtype, exponent_beyond

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType


@pytest.mark.parametrize(
    ("dtypes", "common"),
    [
        ((), "float64"),
        (("float32", "float32"), "float32"),
        (("float32", "float64"), "float64"),
        (("int64",), "float64"),
        (("int8", "float32"), "float32"),
        (("complex64", "float32"), "complex64"),
        (("complex64", "float64"), "complex128"),
        (("complex128",), "complex128"),
        (("longdouble",), "float64"),
        (("float16",), "float32"),
    ],
)
def test_the_smallest_type_that_holds_all(dtypes: tuple[str, ...], common: str) -> None:
    assert common_dtype([np.zeros(1, dtype) for dtype in dtypes]) == common


def test_arrays_become_contiguous_and_of_one_type() -> None:
    given = np.arange(6).reshape(2, 3).T
    (found,), exponent = cast_arrays([given], "complex64")
    assert found.flags.c_contiguous
    assert (found.dtype, found.shape, exponent) == (np.complex64, (3, 2), 0)
    np.testing.assert_array_equal(found, given)


def test_scalars_stay_scalars() -> None:
    (found,), _ = cast_arrays([np.asarray(3)], "float64")
    assert found.shape == ()


def test_an_imaginary_part_of_zero_may_go() -> None:
    (found,), _ = cast_arrays([np.array([2 + 0j])], "float32")
    assert (found.dtype, found.item()) == (np.float32, 2)


@pytest.mark.parametrize("size", [1e100, 1e-100])
def test_numbers_beyond_the_range_move_into_the_exponent(size: float) -> None:
    given = np.array([3 * size, -size])
    (found,), exponent = cast_arrays([given], "float32")
    np.testing.assert_allclose(found.astype(float) * 2.0**exponent, given, rtol=1e-6)
    assert np.all(np.isfinite(found))
    assert exponent_beyond(given, "float32") == exponent


def test_numbers_of_a_type_as_narrow_keep_their_exponent() -> None:
    # A backend takes it out itself.
    given = np.array([1e-30], np.float32)
    assert exponent_beyond(given, "complex64") == 0
    assert exponent_beyond(np.array([2**60]), "float32") == 0


def test_what_holds_no_numbers_is_refused() -> None:
    for given in (["a", "b"], [None], [[1.0], [1.0, 2.0]]):
        with pytest.raises(NetworkError) as caught:
            as_numbers(given, 3)
        assert caught.value.code == "bad-array"
        assert caught.value.message.startswith("Operand 3 holds no numbers")


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_an_array_that_is_as_wanted_stays_the_same_object(dtype: DType) -> None:
    given = np.ones((2, 3), dtype)
    (found,), _ = cast_arrays([given], dtype)
    # Programs that run again know their arrays by identity.
    assert found is given
    (turned,), _ = cast_arrays([given.T], dtype)
    assert turned.flags.c_contiguous
    assert turned.shape == (3, 2)
