"""Predictions from rates, and rates from a device whose speed is known because it pretends."""

from __future__ import annotations

from typing import Any

import pytest

from tensorloom.execute.backend import drive
from tensorloom.execute.calibration import Rates, calibrate, predict, size_class
from tensorloom.kernels.lower import lower
from tensorloom.kernels.program import KernelSpec, LoopAxis, Program
from tensorloom.plan.tree import ContractionTree

TRUE = Rates(
    run_ms=0.5,
    dispatch_ms=0.25,
    bytes_per_ms=1e5,
    mul_adds_per_ms=(
        ("float32", "matrix", 4e5),
        ("float32", "thin", 2e5),
        ("float32", "stream", 1e5),
        ("float64", "matrix", 2e5),
        ("float64", "thin", 1e5),
        ("float64", "stream", 5e4),
    ),
)


class Device:
    """Takes exactly as long as the true rates say; counts the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def replay(self, program: Program, arrays: list[Any]) -> None:
        assert [array.size for array in arrays] == [
            buffer.elements for buffer in program.buffers if buffer.source is not None
        ]
        self.now += predict(program, TRUE) / 1e3


def matrices(n: int) -> ContractionTree:
    return ContractionTree(
        inputs=(("i", "j"), ("j", "k")),
        output=("i", "k"),
        dimensions=(("i", n), ("j", n), ("k", n)),
        path=((0, 1),),
    )


def spec(m: int, n: int, k: int, *, unary: bool = False) -> KernelSpec:
    return KernelSpec(
        dtype="float32",
        rows=(LoopAxis(size=m, left=1, right=0, out=1),),
        columns=(LoopAxis(size=n, left=0, right=1, out=1),),
        contracted=(LoopAxis(size=k, left=1, right=1, out=0),),
        unary=unary,
    )


def test_three_classes_of_kernels() -> None:
    assert size_class(spec(8, 8, 8)) == "matrix"
    assert size_class(spec(7, 100, 100)) == "thin"
    assert size_class(spec(100, 100, 2)) == "thin"
    assert size_class(spec(100, 100, 1)) == "stream"
    assert size_class(spec(100, 100, 100, unary=True)) == "stream"


def test_a_prediction_adds_up() -> None:
    # 0.5 per run + 3 * 10^4 floats moved + one call of 10^6 multiply-adds.
    program = lower(matrices(100), "float32")
    assert predict(program, TRUE) == pytest.approx(0.5 + 1.2 + 0.25 + 2.5)


def test_a_missing_type_is_estimated_from_another() -> None:
    rates = Rates(
        run_ms=0, dispatch_ms=0, bytes_per_ms=1, mul_adds_per_ms=(("float64", "thin", 100.0),)
    )
    assert rates.rate("float64", "thin") == 100
    assert rates.rate("float32", "thin") == 200
    assert rates.rate("complex64", "thin") == 50


def test_calibration_finds_the_rates_within_its_budget() -> None:
    device = Device()
    found = drive(calibrate(device.replay, ("float64", "float32"), device.clock))
    assert device.now < 0.6
    for n in (64, 512):
        for dtype in ("float32", "float64"):
            program = lower(matrices(n), dtype)
            assert predict(program, found) == pytest.approx(predict(program, TRUE), rel=0.4)
