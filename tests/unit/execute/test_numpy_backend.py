"""The oracle: kernels against loops in plain Python, pulses, and running out of memory."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from random_networks import random_arrays
from tensorloom.errors import Cancelled, DeviceMemoryError
from tensorloom.execute import numpy_backend
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.calibration import Rates
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.numpy_kernels import run_kernel
from tensorloom.execute.scaling import scaled
from tensorloom.kernels.lower import lower
from tensorloom.kernels.program import KernelSpec, LoopAxis
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.model.recipe import DType

SLOW = Rates(
    run_ms=0,
    dispatch_ms=0.1,
    bytes_per_ms=1e6,
    mul_adds_per_ms=tuple(("float64", kind, 1e3) for kind in ("matrix", "thin", "stream")),
)


def by_loops(spec: KernelSpec, left: NDArray[Any], right: NDArray[Any], n: int) -> NDArray[Any]:
    """The kernel's definition, one multiply-add at a time."""
    out = np.zeros(n, left.dtype)
    axes = (*spec.batch, *spec.rows, *spec.columns, *spec.contracted)
    for values in product(*(range(axis.size) for axis in axes)):
        places = [
            sum(value * getattr(axis, side) for value, axis in zip(values, axes, strict=True))
            for side in ("left", "right", "out")
        ]
        out[places[2]] += left[places[0]] * right[places[1]]
    return out


def random_spec(seed: int) -> tuple[KernelSpec, int]:
    """Random groups with arbitrary input strides and a dense result; its size."""
    draw = random.Random(seed)
    stride = 1
    groups: dict[str, list[LoopAxis]] = {"batch": [], "rows": [], "columns": [], "contracted": []}
    for _ in range(draw.randint(0, 5)):
        kind = draw.choice(list(groups))
        size = draw.randint(2, 4)
        left, right = draw.randint(1, 9), draw.randint(1, 9)
        if kind == "rows" or (kind == "contracted" and draw.random() < 0.2):
            right = 0
        elif kind == "columns" or (kind == "contracted" and draw.random() < 0.2):
            left = 0
        out = 0 if kind == "contracted" else stride
        stride *= 1 if kind == "contracted" else size
        groups[kind].insert(0, LoopAxis(size=size, left=left, right=right, out=out))
    return KernelSpec(
        dtype="float64", **{name: tuple(axes) for name, axes in groups.items()}
    ), stride


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_any_kernel_is_its_loops(chunk: int) -> None:
    generator = np.random.default_rng(5)
    for seed in range(100):
        spec, n = random_spec(seed)
        left, right = generator.normal(size=200), generator.normal(size=200)
        out = np.full(n, np.nan)
        pieces = list(run_kernel(spec, left, right, out, chunk=chunk))
        assert sum(pieces) == spec.mul_adds
        np.testing.assert_allclose(out, by_loops(spec, left, right, n), rtol=1e-12, atol=1e-12)


def matrices(n: int) -> tuple[ContractionTree, list[NDArray[Any]]]:
    tree = ContractionTree(
        inputs=(("i", "j"), ("j", "k")),
        output=("i", "k"),
        dimensions=(("i", n), ("j", n), ("k", n)),
        path=((0, 1),),
    )
    return tree, [np.ones((n, n)), np.ones((n, n))]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_without_blas_large_products_are_the_same(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_backend, "NO_BLAS", True)
    monkeypatch.setattr(numpy_backend, "MANY_PRODUCTS", 8)
    tree, _ = matrices(5)
    generator = np.random.default_rng(8)
    arrays = [generator.normal(size=(5, 5)).astype(dtype) for _ in range(2)]
    found = drive(NumpyBackend().run(lower(tree, dtype), arrays, no_pulse))
    np.testing.assert_allclose(found.value, arrays[0] @ arrays[1], rtol=1e-4, atol=1e-5)
    assert found.value.dtype == dtype


def test_a_long_kernel_pulses_and_reports_what_is_done() -> None:
    tree, arrays = matrices(64)
    reports: list[int] = []

    async def pulse(done: int, _slices: object = None) -> None:
        reports.append(done)

    found = drive(NumpyBackend(rates=SLOW).run(lower(tree, "float64"), arrays, pulse))
    np.testing.assert_array_equal(found.value, np.full((64, 64), 64.0))
    assert len(reports) >= 5
    assert reports == sorted(reports)
    assert reports[-1] <= 64**3


def test_a_pulse_can_cancel() -> None:
    tree, arrays = matrices(64)

    async def pulse(_done: int, _slices: object = None) -> None:
        raise Cancelled("cancelled", "You stopped it.")

    with pytest.raises(Cancelled):
        drive(NumpyBackend(rates=SLOW).run(lower(tree, "float64"), arrays, pulse))


def test_out_of_memory_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tree, arrays = matrices(4)

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "matmul", full)
    with pytest.raises(DeviceMemoryError) as caught:
        drive(NumpyBackend().run(lower(tree, "float64"), arrays, no_pulse))
    assert caught.value.message == "numpy ran out of memory; 384 bytes were needed at once."


def test_inputs_are_not_written_to() -> None:
    tree, arrays = matrices(3)
    arrays[0] *= 2.0**500
    kept = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    found = drive(NumpyBackend().run(lower(tree, "float64"), arrays, no_pulse))
    np.testing.assert_array_equal(found.value, np.full((3, 3), 3 * 2.0**500))
    np.testing.assert_array_equal(arrays, kept)


def test_measured_rates_replace_the_typical_ones() -> None:
    backend = NumpyBackend()
    typical = backend.rates
    drive(backend.measure())
    assert backend.rates is not typical
    assert backend.predicted_ms(lower(matrices(64)[0], "float64")) > 0


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize(("left", "right"), [(0.97, 0.97), (-0.9, -0.9), (0.97, 0.2), (-0.1, -0.9)])
@pytest.mark.parametrize(
    "names",
    [
        "ij,jk->ik",
        "ij,kj->ki",
        "aij,jak->ik",
        "bi,bi->b",
        "i,i->",
        "i,j->ij",
        "ij,k->ik",
        "ik,kjl->ij",
        "bij,bkj->ibk",
    ],
)
def test_operands_at_the_ends_of_the_range_lose_nothing(
    names: str, left: float, right: float, dtype: DType
) -> None:
    """Magnitudes as shares of the exponents there are; sums of more than ``DEPTH`` terms too."""
    a, b, output = names.replace("->", ",").split(",")
    sizes = {"a": 2, "b": 3, "i": 1500 if names[0] != "a" else 7, "j": 40, "k": 41, "l": 2}
    if "i" in output:
        sizes |= {"i": 5, "j": 1100}
    tree = ContractionTree(
        inputs=(tuple(a), tuple(b)),
        output=tuple(output),
        dimensions=tuple((name, sizes[name]) for name in dict.fromkeys(a + b)),
        path=((0, 1),),
    )
    program = lower(tree, dtype)
    plain = random_arrays(tree, dtype, 1)
    powers = [int(share * np.finfo(dtype).maxexp) for share in (left, right)]
    moved = [scaled(array, power) for array, power in zip(plain, powers, strict=True)]
    before = [array.copy() for array in moved]
    wanted = drive(NumpyBackend().run(program, plain, no_pulse)).value
    raw = drive(NumpyBackend().run(program, moved, no_pulse))
    # Exactly as far away as their powers of two say.
    found = Fraction(10) ** int(raw.log10_scale) / Fraction(2) ** sum(powers)
    shift = found.numerator.bit_length() - found.denominator.bit_length()
    value = scaled(raw.value.astype("complex128"), shift) * float(found / Fraction(2) ** shift)
    size = np.abs(wanted).max()
    np.testing.assert_allclose(value, wanted, rtol=0, atol=200 * np.finfo(dtype).eps * size)
    for array, kept in zip(moved, before, strict=True):
        np.testing.assert_array_equal(array, kept)
