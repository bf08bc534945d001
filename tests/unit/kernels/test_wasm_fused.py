"""Small steps as one kernel: numbers, magnitudes, and which steps are small."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chains import chain
from random_networks import random_arrays, random_tree
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.fused import fused_groups
from tensorloom.kernels.wasm.records import record_sheet
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.model.recipe import DType

DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")
TOLERANCES: dict[DType, float] = {
    "float32": 3e-5, "float64": 1e-13, "complex64": 3e-5, "complex128": 1e-13,
}  # fmt: skip


@pytest.fixture(scope="module", params=[True, False], ids=["relaxed", "plain"])
def backend(request: pytest.FixtureRequest) -> WasmBackend:
    return WasmBackend(WasmtimeHost(relaxed_simd=request.param))


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_and_step_by_step_agree(backend: WasmBackend, dtype: DType) -> None:
    for seed in range(80):
        tree = random_tree(seed, sliced=seed % 2 == 1)
        program = lower(tree, dtype)
        if not program.dispatches:
            continue
        arrays = random_arrays(tree, dtype, seed)
        first, *again = (drive(backend.run(program, arrays, no_pulse)) for _ in range(3))
        scale = max(1.0, float(np.abs(first.value).max(initial=0)))
        for raw in again:
            difference = np.abs(raw.value - first.value).max(initial=0)
            assert difference <= TOLERANCES[dtype] * scale, seed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_exponents_are_carried_as_step_by_step(
    backend: WasmBackend, dtype: DType, size: float
) -> None:
    program = lower(chain([2] * 60), dtype)
    arrays = [np.asarray(size * np.eye(2) + [[0, 1], [0, 0]], dtype) for _ in range(59)]
    first, *again = (drive(backend.run(program, arrays, no_pulse)) for _ in range(3))
    assert abs(first.log10_scale) > 1000
    for raw in again:
        assert raw.log10_scale == first.log10_scale
        np.testing.assert_allclose(raw.value, first.value, rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_and_missing_numbers_stay(backend: WasmBackend, dtype: DType) -> None:
    program = lower(chain([3, 4, 5, 3]), dtype)
    for fill in (0.0, np.nan, np.inf):
        arrays = [np.full(s, fill, dtype) for s in ((3, 4), (4, 5), (5, 3))]
        with np.errstate(invalid="ignore"):
            first, again = (drive(backend.run(program, arrays, no_pulse)) for _ in range(2))
        np.testing.assert_array_equal(again.value, first.value)


def test_what_large_steps_leave_is_read_by_groups() -> None:
    program = lower(chain([4, 4, 64, 64, 64, 4, 4, 4]), "float64")
    groups = fused_groups(program, most=2000)
    assert [(group.first, group.last) for group in groups] == [(0, 1), (3, 6)]
    backend = WasmBackend(WasmtimeHost())
    generator = np.random.default_rng(3)
    shapes = list(pairwise([4, 4, 64, 64, 64, 4, 4, 4]))
    arrays = [generator.standard_normal(shape) for shape in shapes]
    wanted = np.linalg.multi_dot(arrays)
    for _ in range(3):
        np.testing.assert_allclose(
            drive(backend.run(program, arrays, no_pulse)).value, wanted, rtol=1e-12, atol=1e-10
        )


def test_a_group_keeps_what_it_reads_until_its_end() -> None:
    program = lower(chain([2] * 8), "float64")
    plain, least = place_buffers(program)
    kept, total = place_buffers(program, [(1, 6)])
    first = program.dispatches[0].out
    later = [d.out for d in program.dispatches[1:6] if d.out != program.result]
    assert least == 128
    assert total == 192
    assert len({plain[n] for n in (first, *later)}) == 2
    assert kept[first] not in {kept[n] for n in later}


def test_records_of_steps_come_after_all_pieces() -> None:
    program = lower(chain([2] * 6), "float64")
    groups = fused_groups(program)
    sheet = record_sheet(program, relaxed=True, groups=groups)
    assert [(group.first, group.last) for group in groups] == [(0, 4)]
    assert sheet.pieces == ((0, 1),)
    assert sheet.fused == ((0, 1, 5),)
    assert len(groups[0].kernel.calls) == len(program.dispatches)
    assert sheet.done[-1] == program.mul_adds


def test_kept_programs_and_their_slots_are_bounded() -> None:
    backend = WasmBackend(WasmtimeHost())
    counts = []
    for n in range(3, 12):
        program = lower(chain([2] * n), "float64")
        for _ in range(3):
            drive(backend.run(program, [np.eye(2)] * (n - 1), no_pulse))
        counts.append(backend.counts)
    assert counts[-1]["programs"] == counts[-2]["programs"] == 4
    assert counts[-1]["slots"] == counts[-2]["slots"]


def test_bound_programs_follow_new_arrays_and_leave_the_unusual() -> None:
    backend = WasmBackend(WasmtimeHost())
    program = lower(chain([2] * 5), "float64")
    generator = np.random.default_rng(1)
    arrays = [generator.standard_normal((2, 2)) for _ in range(4)]
    for turn in range(6):
        arrays[turn % 4] = generator.standard_normal((2, 2))
        found = drive(backend.run(program, arrays, no_pulse))
        np.testing.assert_allclose(found.value, np.linalg.multi_dot(arrays), rtol=1e-13)
    huge = [array * 1e200 for array in arrays]
    found = drive(backend.run(program, huge, no_pulse))
    assert found.log10_scale > 700
    digits = found.value / np.linalg.multi_dot(arrays)
    np.testing.assert_allclose(digits, digits[0, 0], rtol=1e-12)
    again = drive(backend.run(program, arrays, no_pulse))
    np.testing.assert_allclose(again.value, np.linalg.multi_dot(arrays), rtol=1e-13)


class InPlace(WasmtimeHost):
    """As in the page: arrays are where kernels work."""

    def array(self, value: float) -> NDArray[Any]:
        """A matrix of one number."""
        made = self.empty(8).view(np.float64).reshape(1, 1)
        made[...] = value
        return made

    def placed(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array itself, if it lies there."""
        inside = 0 <= self.address(array) < self.used
        return array if inside else super().placed(array)


def test_bound_programs_see_numbers_change_in_arrays_that_were_equal() -> None:
    host = InPlace()
    backend = WasmBackend(host)
    program = lower(chain([1, 1, 1, 1]), "float64")
    first, second, third = host.array(2.0), host.array(3.0), host.array(5.0)

    def value() -> float:
        return float(drive(backend.run(program, [first, second, third], no_pulse)).value[0, 0])

    assert [value() for _ in range(3)] == [30.0] * 3
    second[...] = 7.0
    assert value() == 70.0
    second = host.array(7.0)
    assert value() == 70.0
    second[...] = 11.0
    assert value() == 110.0
