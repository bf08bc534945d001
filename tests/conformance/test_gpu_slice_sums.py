"""Sums over ranges of slices on a GPU: the right numbers, and bits that no history changes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from random_networks import random_arrays
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu.slice_sums import SliceSums
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.model.recipe import DType

pytestmark = pytest.mark.gpu

DTYPES: tuple[DType, ...] = ("float32", "complex64")

NAMES = "abcdefgh"
CHAIN = ContractionTree(
    inputs=tuple(pairwise(NAMES)),
    output=("a", "h"),
    dimensions=tuple((name, 30 if name == "b" else 6) for name in NAMES),
    path=((0, 1), (7, 2), (8, 3), (9, 4), (10, 5), (11, 6)),
    sliced=("d", "g"),
)
"""36 slices; the first step is the same in all of them, and small beside its inputs."""


def exact(arrays: Sequence[NDArray[Any]], slices: range) -> NDArray[Any]:
    """The sum over these slices in double precision, ``g`` running fastest."""
    a = [array.astype(np.result_type(array.dtype, np.float64)) for array in arrays]
    left, middle = a[0] @ a[1] @ a[2], a[3] @ a[4]
    total = np.zeros((6, 6), a[0].dtype)
    for number in slices:
        d, g = divmod(number, 6)
        step = np.outer(left[:, d], (middle[d] @ a[5][:, g : g + 1]) * a[6][g : g + 1])
        total += step
    return total


def value(sums: SliceSums, slices: range) -> NDArray[Any]:
    found, exponent = drive(sums.of(slices))
    return np.asarray(found * 2.0**exponent)


def bits(sums: SliceSums, slices: range) -> tuple[bytes, int]:
    found, exponent = drive(sums.of(slices))
    return found.tobytes(), exponent


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slices", [range(36), range(1), range(4, 17), range(35, 36)], ids=str)
def test_a_range_of_slices_is_summed(gpu: WebGpuBackend, dtype: DType, slices: range) -> None:
    arrays = random_arrays(CHAIN, dtype, 1)
    program = lower(CHAIN, dtype)
    assert program.prologue > 0
    found = value(SliceSums(gpu, program, arrays), slices)
    wanted = exact(arrays, slices)
    assert found.dtype == wanted.dtype
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_ranges_add_up_to_what_a_run_gives(gpu: WebGpuBackend) -> None:
    arrays = random_arrays(CHAIN, "float32", 2)
    program = lower(CHAIN, "float32")
    sums = SliceSums(gpu, program, arrays)
    whole = drive(gpu.run(program, arrays, no_pulse)).value
    parts = sum(value(sums, range(start, min(36, start + 7))) for start in range(0, 36, 7))
    assert np.abs(parts - whole).max() <= 1e-6 * np.abs(whole).max()


def test_sliced_output_indices_fill_their_own_part(gpu: WebGpuBackend) -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 3), ("k", 4), ("j", 5)),
        path=((0, 1),),
        sliced=("i", "k"),
    )
    arrays = random_arrays(tree, "float32", 3)
    found = value(SliceSums(gpu, lower(tree, "float32"), arrays), range(4, 8))
    wanted = np.zeros((3, 5))
    wanted[1] = arrays[0][1].astype(float) @ arrays[1]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_bits_are_those_of_a_device_that_was_asked_for_nothing_else(gpu: WebGpuBackend) -> None:
    arrays = random_arrays(CHAIN, "complex64", 4)
    program = lower(CHAIN, "complex64")
    first = bits(SliceSums(gpu, program, arrays), range(9, 20))
    sums = SliceSums(gpu, program, arrays)
    other = SliceSums(gpu, program, random_arrays(CHAIN, "complex64", 5))
    for start in (30, 0, 12):
        _ = bits(sums, range(start, start + 5))
        _ = bits(other, range(start, start + 5))
    assert bits(sums, range(9, 20)) == first
    assert bits(other, range(9, 20)) != first


def huge(magnitudes: Sequence[float]) -> list[NDArray[Any]]:
    """Arrays of the chain, each slice of ``d`` that much larger."""
    arrays = random_arrays(CHAIN, "float32", 6)
    arrays[2] = (arrays[2] * np.array(magnitudes)).astype(np.float32)
    return [array * np.float32(2.0**14) for array in arrays]


@pytest.mark.parametrize(
    ("magnitudes", "first_in_range"),
    [([1] * 6, False), ([2.0**-60] * 2 + [1] * 4, True), ([1] * 4 + [2.0**-60] * 2, False)],
    ids=["all", "not at first", "at first"],
)
def test_numbers_beyond_the_range_are_carried(
    gpu: WebGpuBackend, magnitudes: list[float], *, first_in_range: bool
) -> None:
    arrays = huge(magnitudes)
    sums = SliceSums(gpu, lower(CHAIN, "float32"), arrays)
    for slices in (range(3), range(12), range(10, 30)):
        found, exponent = drive(sums.of(slices))
        wanted = exact(arrays, slices)
        assert np.isfinite(found).all()
        assert (exponent == 0) == (first_in_range and slices.stop <= 12)
        assert np.abs(found * 2.0**exponent - wanted).max() <= 1e-6 * np.abs(wanted).max()
    again = SliceSums(gpu, lower(CHAIN, "float32"), arrays)
    assert bits(again, range(10, 30)) == bits(sums, range(10, 30))


def test_a_lost_device_comes_back_with_the_same_bits(gpu: WebGpuBackend) -> None:
    arrays = random_arrays(CHAIN, "float32", 7)
    sums = SliceSums(gpu, lower(CHAIN, "float32"), arrays)
    before = bits(sums, range(5, 25))
    gpu.device.lose()  # type: ignore[attr-defined]  # the native one
    assert bits(sums, range(5, 25)) == before


def test_inputs_are_sent_once(gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    upload = gpu.device.upload

    def noted(handle: int, number: int, array: NDArray[Any]) -> None:
        sent.append(number)
        upload(handle, number, array)

    monkeypatch.setattr(gpu.device, "upload", noted)
    sums = SliceSums(gpu, lower(CHAIN, "float32"), random_arrays(CHAIN, "float32", 8))
    for start in range(0, 36, 6):
        _ = bits(sums, range(start, start + 6))
    assert sorted(sent) == list(range(7))
