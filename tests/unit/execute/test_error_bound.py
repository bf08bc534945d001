"""Error bounds of small networks, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.execute.backend import RawResult
from tensorloom.execute.error_bound import SAFETY, error_bound, length_bound
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName

U32, U64 = 2.0**-24, 2.0**-53
HERE: tuple[BackendName, ...] = ("numpy",)


def dot(n: int) -> ContractionTree:
    return ContractionTree(
        inputs=(("i",), ("i",)), output=(), dimensions=(("i", n),), path=((0, 1),)
    )


def bound(left: list[float], right: list[float], dtype: str = "float64") -> float:
    arrays = [np.array(left), np.array(right)]
    raw = RawResult(value=np.asarray(arrays[0] @ arrays[1], dtype))
    return error_bound(dot(len(left)), lower(dot(len(left)), dtype), arrays, raw, HERE)


def test_lengths_add_up() -> None:
    # Two inputs, one step of 5 terms and its product.
    assert length_bound(lower(dot(5), "float64"), HERE) == U64 * (2 + 5 + 1)
    assert length_bound(lower(dot(5), "complex64"), HERE) == 2 * U32 * (2 + 5 + 1)


@pytest.mark.parametrize(
    ("places", "beyond"),
    [(["numpy"], 2), (["wasm"], 4), (["webgpu"], 16), (["wasm", "webgpu"], 16)],
)
def test_long_sums_are_made_in_parts_by_some_backends(
    places: list[BackendName], beyond: int
) -> None:
    lengths = length_bound(lower(dot(256 + 64), "float64"), places) / U64
    assert lengths == 2 + 256 + beyond + 1


def test_tensors_stored_in_16_bits_add_a_rounding_each() -> None:
    chain = ContractionTree(
        inputs=(("i", "j"), ("j", "k"), ("k", "l")),
        output=("i", "l"),
        dimensions=(("i", 2), ("j", 3), ("k", 4), ("l", 5)),
        path=((0, 1), (3, 2)),
    )
    program = lower(chain, "float32")
    # Three inputs and what the first step makes; the result is stored in full.
    stored = length_bound(program, ["webgpu-f16"]) - length_bound(program, ["webgpu"])
    assert stored == pytest.approx(4 * 2.0**-11, rel=1e-12)


def test_small_numbers_stored_in_16_bits_may_be_all_there_is() -> None:
    tree = dot(2)
    arrays = [np.array([1.0, 1e-6]), np.array([0.0, 1.0])]
    raw = RawResult(value=np.float32(1e-6).reshape(()))
    program = lower(tree, "float32")
    assert error_bound(tree, program, arrays, raw, ["webgpu"]) < 1e-5
    assert error_bound(tree, program, arrays, raw, ["webgpu-f16"]) == 1.0


def test_nothing_is_lost_without_negative_numbers() -> None:
    assert bound([1e-9, 1, 1e9], [1, 5, 0.1]) == SAFETY * U64 * (2 + 3 + 1)


@pytest.mark.parametrize("place", ["numpy", "webgpu"])
def test_what_underflowed_beside_larger_numbers_may_be_all_there_is(place: BackendName) -> None:
    tree, program = dot(2), lower(dot(2), "float32")

    def of(small: float) -> float:
        arrays = [np.array([1.0, small]), np.array([0.0, 1.0])]
        return error_bound(tree, program, arrays, RawResult(value=np.asarray(small, "f4")), [place])

    plain = SAFETY * U32 * (2 + 2 + 1)
    assert of(1e-6) == plain
    assert of(3.3e-44) == 1.0
    # The smallest numbers may be zeros on a GPU, and products 2^-80 at most.
    lost = SAFETY * 3 * 2.0 ** (80 - 126) * np.sqrt(0.5) / 1e-12
    assert of(1e-12) == (pytest.approx(lost) if place == "webgpu" else plain)


def test_cancellation_raises_the_bound() -> None:
    # Typical: sqrt(2) * 1 * 1; found 2^-10.
    loss = np.sqrt((1 + (1 - 2.0**-10) ** 2) / 2 * 2) / 2.0**-10
    assert bound([1, -(1 - 2.0**-10)], [1, 1]) == pytest.approx(SAFETY * U64 * 5 * loss)


def test_no_digit_is_certain_of_a_zero_left_by_cancellation() -> None:
    assert bound([1, -1], [1, 1]) == 1.0


def test_a_zero_tensor_gives_an_exact_zero() -> None:
    assert bound([0, 0], [1, -1]) == 0.0


def test_infinity_has_no_certain_digit() -> None:
    assert bound([np.inf, 1], [1, 1]) == 1.0


def test_carried_exponents_count() -> None:
    arrays = [np.array([-1e300]), np.array([1e300])]
    raw = RawResult(value=np.asarray(-1.0), log10_scale=600.0)
    found = error_bound(dot(1), lower(dot(1), "float64"), arrays, raw, HERE)
    assert found == pytest.approx(SAFETY * U64 * 4)
