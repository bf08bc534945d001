"""Sums that keep what rounding takes, in parts, with exponents."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tensorloom.errors import ExecutionError
from tensorloom_worker.execution.sums import Sum, npy_bytes, npy_from
from tensorloom_worker.ledger import Partial


def exact(values: list[float]) -> float:
    return float(sum(Fraction(value) for value in values))


def added(values: list[float], dtype: str = "float64") -> Sum:
    total = Sum((), dtype)
    for value in values:
        total.add(np.asarray(value, dtype), 0)
    return total


def test_a_million_small_parts_beside_a_large_one_are_not_lost() -> None:
    values = [1.0, *[1e-17] * 10_000, -1.0]
    assert float(added(values).value()) == pytest.approx(1e-13, rel=1e-10)
    assert sum(values) == 0.0


def test_single_precision_is_added_up_in_double() -> None:
    values = [float(np.float32(0.1))] * 4096
    total = added(values, "float32")
    assert total.excess is None
    assert total.value().dtype == np.float64
    assert float(total.value()) == exact(values)


def test_parts_of_other_exponents_are_aligned() -> None:
    total = Sum((), "float64")
    total.add(np.asarray(0.75), 10)
    total.add(np.asarray(0.5), 400)
    total.add(np.asarray(-0.5), 400)
    total.add(np.asarray(0.25), 11)
    assert total.exponent == 400
    assert float(total.value()) * 2.0**400 == 0.75 * 2**10 + 0.25 * 2**11


def test_zero_takes_no_exponent_from_what_is_there() -> None:
    total = Sum((), "float32")
    total.add(np.asarray(1.0, "float32"), 0)
    total.add(np.asarray(0.0, "float32"), 3000)
    assert total.exponent == 0
    assert float(total.value()) == 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_that_comes_first_decides_no_exponent(dtype: str) -> None:
    nothing = Sum((), dtype)
    nothing.add(np.asarray(0.0, dtype), 3000)
    assert nothing.partial().exponent == 0
    total = Sum((), dtype)
    for zero in (nothing, Sum.of(nothing.partial(), dtype).own()):
        zero.add(np.asarray(0.75, dtype), -3000)
        total.merge(zero)
        assert (zero.exponent, float(zero.value())) == (-3000, 0.75)
    empty = Sum((), dtype)
    for part in (Sum((), dtype), total):
        empty.merge(part)
    assert (empty.exponent, float(empty.value())) == (-3000, 1.5)


def test_a_total_that_cancels_keeps_the_exponent_of_what_was_lost() -> None:
    part = Sum((), "float64")
    for value in (1.0, 1e-20, -1.0):
        part.add(np.asarray(value), -3000)
    whole = Sum((), "float64")
    whole.merge(part)
    assert (float(whole.total), whole.exponent, float(whole.value())) == (0.0, -3000, 1e-20)


def test_a_sum_goes_on_from_its_record_with_the_same_bits() -> None:
    draw = np.random.default_rng(0)
    values = [float(value) for value in draw.normal(size=200) * 10.0 ** draw.integers(-9, 9, 200)]
    whole = added(values)
    first = Sum.of(added(values[:120]).partial(), "float64").own()
    for value in values[120:]:
        first.add(np.asarray(value), 0)
    assert first.partial() == whole.partial()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_recorded_sum_has_the_size_that_the_document_reckons_with(dtype: str) -> None:
    shape = (30, 40)
    record = Sum(shape, dtype).partial()
    files = [file for file in (record.total, record.compensation) if file]
    size = sum(npy_from(file).nbytes for file in files)
    times = Fraction(size, np.empty(shape, dtype).nbytes)
    text = (Path(__file__).parents[3] / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"| the sum of a task, from worker to service | `{times} R` bytes " in text
    assert f"| the prefix | `{times} R` bytes " in text


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_parts_are_merged_where_they_belong(dtype: str) -> None:
    whole = Sum((4, 2), dtype)
    part = Sum((2, 2), dtype)
    part.add(np.asarray([[1, 2], [3, 4]], dtype), 5)
    whole.merge(part, slice(1, 3))
    whole.merge(part, slice(2, 4))
    found = whole.value() * 2.0 ** (whole.exponent or 0)
    np.testing.assert_array_equal(found, 32.0 * np.array([[0, 0], [1, 2], [4, 6], [3, 4]], dtype))


def test_what_was_lost_is_merged_too() -> None:
    one = added([1.0, 1e-20])
    whole = Sum((), "float64")
    for part in (one, added([-1.0])):
        whole.merge(part)
    assert float(whole.value()) == 1e-20


def test_an_infinite_part_stays_infinite() -> None:
    total = added([1.0, float("inf"), 2.0])
    assert float(total.value()) == float("inf")


def test_a_damaged_record_is_named() -> None:
    data = npy_bytes(np.ones(3))
    assert npy_from(data).tolist() == [1, 1, 1]
    with pytest.raises(ExecutionError) as caught:
        Sum.of(Partial(total=data[:-5], compensation=data), "float64")
    assert caught.value.code == "bad-partial-sum"
