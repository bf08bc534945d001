"""Networks stored in 16 bits: true bounds, half the memory, errors beyond the range."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from accuracy_networks import accuracy_case
from judged import judged
from tensorloom.errors import ExecutionError, UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu.half import HalfGpuBackend
from tensorloom.execute.run import prepare, run
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.plan.plan import Plan

pytestmark = pytest.mark.gpu

N_NETWORKS = 240


@pytest.fixture(scope="module")
def half(gpu: WebGpuBackend) -> Iterator[HalfGpuBackend]:
    if not gpu.device.limits.half:
        pytest.skip("the adapter has no shader-f16")
    made = HalfGpuBackend(gpu)
    yield made
    made.release()
    assert made.device.counts()["plans"] == 0


def chain(*sizes: int) -> Plan:
    """Matrices in a row."""
    inputs = tuple((f"i{n}", f"i{n + 1}") for n in range(len(sizes) - 1))
    output = ("i0", f"i{len(sizes) - 1}")
    return plan_for(inputs, output, tuple((f"i{n}", size) for n, size in enumerate(sizes)))


def normal(plan: Plan, seed: int, dtype: str = "float32") -> list[NDArray[Any]]:
    draw = np.random.default_rng(seed)
    sizes = dict(plan.tree.dimensions)
    shapes = [tuple(sizes[name] for name in names) for names in plan.tree.inputs]
    parts = [draw.standard_normal((2, *shape)) for shape in shapes]
    return [
        (part[0] + 1j * part[1] if dtype == "complex64" else part[0]).astype(dtype)
        for part in parts
    ]


def test_bounds_hold_and_are_useful(half: HalfGpuBackend) -> None:
    """Few networks are too wild for 16 bits; of the others every bound is true."""
    ratios, ends = [], Counter[str]()
    for seed in range(N_NETWORKS):
        case = accuracy_case(seed)
        try:
            found = judged(case, half, 32)
        except ExecutionError as error:
            ends[error.code] += 1
            continue
        said = f"{case.structure}, {case.filling}, {found.dtype}"
        assert found.holds, f"{said}: error {found.error:.3g} > bound {found.bound:.3g}"
        if not found.vanishes:
            ratios.append(found.bound / max(found.error, 2.0**-12))
    assert set(ends) <= {"f16-range"}
    assert ends.total() < 0.1 * N_NETWORKS
    assert np.median(ratios) < 100


def test_small_numbers_beside_large_ones_have_fewer_digits(half: HalfGpuBackend) -> None:
    """Nothing is negative, so nothing cancels; but the result is made of the small ones alone."""
    plan = chain(1, 2, 2, 1)
    arrays = [np.array([[1.0, 3.3e-7]]), np.eye(2), np.array([[0.0], [1.0]])]
    choice = prepare(plan, backends={half.name: half}, backend=half.name, dtype="float32")
    found = drive(run(choice, [array.astype(np.float32) for array in arrays]))
    error = abs(float(found.value[0, 0]) / 3.3e-7 - 1)
    # More than what storing four tensors makes of numbers that are as large as the largest.
    assert 8 * 2.0**-11 < error <= found.error_bound


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_long_chains_stay_within_the_range(half: HalfGpuBackend, dtype: str) -> None:
    plan = chain(*[40] * 31)
    arrays = [1000 * array for array in normal(plan, 1, dtype)]
    choice = prepare(plan, backends={half.name: half}, backend=half.name, dtype=dtype)  # type: ignore[arg-type]  # one of two
    found = drive(run(choice, arrays))
    wide = np.linalg.multi_dot([array.astype(np.complex128) / 1000 for array in arrays])
    value = found.value * 10.0 ** (found.log10_scale - 90)
    error = np.abs(value - wide).max() / np.abs(wide).max()
    assert 2.0**-16 < error < found.error_bound < 1
    assert found.dtype == dtype
    assert found.backend == "webgpu-f16"
    assert "stored in 16 bits" in found.notes[0]


def test_tensors_take_half_the_memory_and_the_result_all_of_it(
    half: HalfGpuBackend, gpu: WebGpuBackend
) -> None:
    program = lower(chain(512, 512, 512, 512, 1), "float32")
    assert half.peak_bytes(program) == pytest.approx(gpu.peak_bytes(program) / 2, rel=0.01)
    one = lower(chain(16, 4, 512), "float32")
    # Two inputs, the result where it is made and where it is read.
    stored, result = 2 * (16 * 4 + 4 * 512), 4 * 16 * 512
    assert half.peak_bytes(one) - stored - 2 * result == gpu.peak_bytes(one) - 2 * (stored + result)


def test_the_result_is_stored_in_32_bits(half: HalfGpuBackend) -> None:
    # 2049 and 262,144 are no 16-bit numbers; their factors are.
    program = lower(chain(2, 2, 1), "float32")
    arrays = [np.array([[2048.0, 1.0], [512.0, 0.0]], "f"), np.array([[1.0], [1.0]], "f")]
    found = drive(half.run(program, arrays, no_pulse))
    assert found.value.tolist() == [[2049.0], [512.0]]
    arrays = [np.full((2, 2), 512.0, "f"), np.full((2, 1), 256.0, "f")]
    assert drive(half.run(program, arrays, no_pulse)).value.tolist() == [[262_144.0]] * 2


def test_slices_add_up(half: HalfGpuBackend) -> None:
    plan = chain(24, 30, 36, 28)
    sliced = replace(plan.tree, sliced=("i1", "i2"))
    arrays = normal(plan, 3)
    wanted = np.linalg.multi_dot([array.astype(float) for array in arrays])
    found = drive(half.run(lower(sliced, "float32"), arrays, no_pulse))
    assert np.abs(found.value - wanted).max() < 2.0**-8 * np.abs(wanted).max()


def spiked(n: int = 48) -> NDArray[Any]:
    """One large number among many small ones: their powers are far from what averages say."""
    made = np.full((n, n), 1e-4, np.float32)
    made[0, 0] = 100.0
    return made


@pytest.mark.parametrize("is_sliced", [False, True], ids=["whole", "sliced"])
def test_numbers_beyond_the_range_are_noticed(
    half: HalfGpuBackend, gpu: WebGpuBackend, *, is_sliced: bool
) -> None:
    plan = chain(*[48] * 8)
    arrays = [spiked()] * 7
    tree = replace(plan.tree, sliced=("i3",)) if is_sliced else plan.tree
    program = lower(tree, "float32")
    with pytest.raises(ExecutionError) as caught:
        drive(half.run(program, arrays, no_pulse))
    assert caught.value.code == "f16-range"
    assert caught.value.message == (
        "A tensor on the way left the range of 16-bit numbers, 6e-05 to 32,768 here."
    )
    assert caught.value.hint == "Choose WebGPU, which stores 32 bits, or the CPU."
    # The way out.
    found = drive(gpu.run(program, arrays, no_pulse))
    wanted = np.linalg.multi_dot([array.astype(float) for array in arrays])
    np.testing.assert_allclose(found.value, wanted, rtol=1e-4)


def test_new_numbers_and_a_lost_device_bring_new_results(half: HalfGpuBackend) -> None:
    plan = chain(9, 33, 7, 5)
    program = lower(plan, "complex64")
    for seed in range(3):
        arrays = normal(plan, seed, "complex64")
        wanted = np.linalg.multi_dot([array.astype(complex) for array in arrays])
        found = drive(half.run(program, arrays, no_pulse))
        assert np.abs(found.value - wanted).max() < 2.0**-8 * np.abs(wanted).max()
        half.device.lose()  # type: ignore[attr-defined]  # the native device can


def test_gradients_are_refused(half: HalfGpuBackend) -> None:
    plan = chain(3, 4, 5)
    program = lower_gradient(plan.tree, "float32", (0, 1))
    with pytest.raises(UnsupportedKernel) as caught:
        drive(half.run(program, [*normal(plan, 1), np.ones((3, 5), "f")], no_pulse))
    assert caught.value.code == "no-f16"
