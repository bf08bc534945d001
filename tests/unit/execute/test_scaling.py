"""Carried exponents: when they are taken out, and how they come back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.execute.scaling import SliceSum, absmax, finished, scaled, shift_for

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType


def test_absmax_looks_at_real_and_imaginary_parts() -> None:
    assert absmax(np.array([1 - 7j, 3 + 2j])) == 7
    assert absmax(np.array([-4.0, 3.0])) == 4
    assert absmax(np.zeros((2, 0))) == 0
    assert math.isnan(absmax(np.array([1.0, np.nan, 3.0])))
    assert absmax(np.array([1.0, -np.inf])) == math.inf


@pytest.mark.parametrize(
    ("largest", "dtype", "shift"),
    [
        (2.0**39, "float32", 0),
        (2.0**40, "float32", 41),
        (2.0**-41, "complex64", 0),
        (2.0**-42, "complex64", -41),
        (2.0**399, "float64", 0),
        (1.5 * 2.0**400, "float64", 401),
        (5e-324, "complex128", -1073),
        (0.0, "float32", 0),
        (math.inf, "float64", 0),
        (math.nan, "float64", 0),
    ],
)
def test_exponents_leave_only_beyond_the_safe_range(largest: float, dtype: str, shift: int) -> None:
    assert shift_for(largest, dtype) == shift


def test_scaling_is_exact_and_keeps_shape_and_type() -> None:
    array = np.array([[1.5 - 2j, 0.1j]], np.complex64)
    moved = scaled(array, -120)
    assert (moved.shape, moved.dtype) == ((1, 2), np.complex64)
    np.testing.assert_array_equal(scaled(moved, 120), array)
    assert scaled(array, 0) is array
    assert scaled(np.array(3.0), 100_000).item() == math.inf


def test_finished_puts_exponents_back_where_they_fit() -> None:
    found = finished(np.array([1.5, -0.25]), 1000, "float64")
    assert found.log10_scale == 0
    np.testing.assert_array_equal(found.value, [1.5 * 2.0**1000, -0.25 * 2.0**1000])


def test_finished_carries_a_whole_power_of_ten_where_they_do_not() -> None:
    # 3 * 2**2000 = 3.4443922...e602
    found = finished(np.array(3.0), 2000, "float64")
    assert found.log10_scale == 602
    assert float(found.value) == pytest.approx(float(3 * 2**2000 // 10**590) / 1e12, rel=1e-15)


def test_finished_also_carries_numbers_too_small() -> None:
    found = finished(np.array([1.0, -0.5], np.float32), -200, "float32")
    assert found.log10_scale == -61
    np.testing.assert_allclose(found.value, [2.0**-200 * 1e61, -(2.0**-201) * 1e61], rtol=2e-7)


def test_finished_adds_up_binary_and_decimal_scales() -> None:
    back = finished(np.array(2.5), -2000, "float64", log10_scale=602.0)
    assert back.log10_scale == 0
    assert float(back.value) == pytest.approx(2.5 * float(10**602 * 10**12 // 2**2000) / 1e12)
    still = finished(np.array(2.5), 10, "float64", log10_scale=602.0)
    assert still.log10_scale == 605
    assert float(still.value) == pytest.approx(2.56)


@pytest.mark.parametrize("value", [0.0, math.inf, -math.inf])
def test_zero_and_infinity_have_no_exponent(value: float) -> None:
    found = finished(np.array(value), 5000, "float64")
    assert (float(found.value), found.log10_scale) == (value, 0)


def summed(parts: list[float], dtype: DType, exponents: list[int] | None = None) -> SliceSum:
    total = SliceSum((), dtype)
    for number, part in enumerate(parts):
        total.add(0, [], np.array([part], dtype), exponents[number] if exponents else 0)
    return total


@pytest.mark.parametrize("parts", [[0.0, 1.5], [1.5, 0.0], [0.0, 0.0, 1.5, 0.0]])
def test_slices_that_are_zero_decide_no_exponent(parts: list[float]) -> None:
    # The zeros come of a large factor times zero, beyond what float32 holds beside the rest.
    total = summed(parts, "float32", [0 if part else 280 for part in parts])
    assert (total.exponent, float(total.value)) == (0, 1.5)
    nothing = summed([0.0, -0.0], "float32", [280, 0])
    assert (nothing.exponent, float(nothing.raw().value), nothing.raw().log10_scale) == (None, 0, 0)


def test_many_slices_lose_no_more_than_two() -> None:
    parts = [0.1, 1.0 / 3, -0.25] * 5000
    exact = math.fsum(float(np.float32(part)) for part in parts)
    found = summed(parts, "float32")
    assert abs(float(found.value) - exact) < 2 * 2.0**-24 * exact
    plain = np.add.accumulate(np.array(parts, np.float32))[-1]
    assert abs(float(plain) - exact) > 100 * 2.0**-24 * exact
    # The page's own runtime has the same bits: tests/ts/engine.test.ts.
    assert float(found.value).hex() == "0x1.ca55580000000p+9"
    mixed = summed([1.0, 0.1, 0.1, -0.7], "float64", [0, -50, 1, 0])
    assert float(mixed.value).hex() == "0x1.0000000000001p-2"


def test_large_slices_that_cancel_do_not_take_small_ones_with_them() -> None:
    parts = [3e7, 1.0, -1e7, 0.25, -2e7, 0.5]
    assert float(np.add.accumulate(np.array(parts, np.float32))[-1]) == 0.5
    total = summed(parts, "float32")
    assert float(total.value) == float(total.result()) == 1.75


def test_infinite_sums_stay_infinite() -> None:
    for parts in ([1.0, math.inf, 2.0, 3.0], [3e38, 3e38, 1.0, 1.0]):
        assert float(summed(parts, "float32").value) == math.inf
    total = SliceSum((1,), "complex64")
    for part in (1 + 1j, complex(math.inf, 2), 3 + 0.5j):
        total.add(0, [(1, 1)], np.array([part], np.complex64), 0)
    assert total.value.shape == (1,)
    assert (total.value[0].real, total.value[0].imag) == (math.inf, 3.5)


def test_slices_with_different_exponents_add_up() -> None:
    total = SliceSum((2,), "float64")
    for part, exponent in (([1.0, 2.0], -3), ([1.0, 0.0], 2), ([4.0, 4.0], 0), ([0.0, 0.0], 900)):
        total.add(0, [(2, 1)], np.array(part), exponent)
    assert total.exponent == 2
    np.testing.assert_array_equal(total.value * 4, [1 / 8 + 4 + 4, 2 / 8 + 4])
