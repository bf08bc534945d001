"""Predictions from rates, and rates from a device whose speed is known because it pretends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.execute import numpy_backend
from tensorloom.execute.backend import drive
from tensorloom.execute.calibration import (
    LEAST_LEFT,
    Rates,
    calibrate,
    least_disturbed,
    matrix_chain,
    predict,
    size_class,
)
from tensorloom.kernels.lower import lower
from tensorloom.kernels.program import KernelSpec, LoopAxis, Program
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.execute.calibration import SizeOf

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

    def __init__(self, rates: Rates = TRUE, size_of: SizeOf = size_class) -> None:
        self.now = 0.0
        self.rates = rates
        self.size_of = size_of

    def clock(self) -> float:
        return self.now

    async def replay(self, program: Program, arrays: list[Any]) -> None:
        assert [array.size for array in arrays] == [
            buffer.elements for buffer in program.buffers if buffer.source is not None
        ]
        self.now += predict(program, self.rates, size_of=self.size_of) / 1e3


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


NUMPY = Rates(
    run_ms=0.2,
    dispatch_ms=0.1,
    bytes_per_ms=2e5,
    mul_adds_per_ms=(
        ("float64", "matrix", 8e4),
        ("float64", "thin", 6e4),
        ("float64", "stream", 2e4),
        ("float64", "dots", 8e5),
        ("float64", "few", 4e4),
    ),
    made_per_ms=5e4,
)
"""About numpy without BLAS."""


def products(batch: int, m: int, n: int, k: int) -> Program:
    tree = ContractionTree(
        inputs=(("b", "i", "j"), ("b", "j", "k")),
        output=("b", "i", "k"),
        dimensions=(("b", batch), ("i", m), ("j", k), ("k", n)),
        path=((0, 1),),
    )
    return lower(tree, "float64")


CASES = (
    ("matrix", products(16, 32, 32, 32)),
    ("thin", products(1, 4, 500, 300)),
    ("dots", products(1, 160, 160, 160)),
    ("few", products(4000, 4, 4, 4)),
    ("stream", products(1, 300, 300, 1)),
)


@pytest.mark.parametrize(("way", "program"), CASES)
def test_numpy_computes_in_ways_of_its_own(
    way: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_backend, "NO_BLAS", True)
    assert numpy_backend.way_of(program.kernels[0]) == way


def test_results_take_time_of_their_own() -> None:
    """But for streams, whose rate has it in it."""
    plain = replace(NUMPY, made_per_ms=float("inf"))
    for way, program in CASES:
        more = predict(program, NUMPY, size_of=lambda _spec, way=way: way)
        less = predict(program, plain, size_of=lambda _spec, way=way: way)
        made = 0 if way == "stream" else program.buffers[program.result].elements
        assert more - less == pytest.approx(made / 5e4)


def test_each_way_of_numpy_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_backend, "NO_BLAS", True)
    backend = numpy_backend.NumpyBackend()
    device = Device(NUMPY, numpy_backend.way_of)
    monkeypatch.setattr(numpy_backend, "whole_run", lambda _backend: device.replay)
    drive(backend.measure(device.clock))
    for way, program in CASES:
        found, true = (
            predict(program, rates, size_of=numpy_backend.way_of)
            for rates in (backend.rates, NUMPY)
        )
        assert found == pytest.approx(true, rel=0.3), way
    assert backend.rates.made_per_ms == pytest.approx(5e4, rel=0.3)


def test_a_way_that_was_not_measured_is_estimated_from_another() -> None:
    assert TRUE.rate("float64", "dots") == TRUE.rate("float64", "matrix")
    assert TRUE.rate("float32", "few") == TRUE.rate("float32", "thin")


class HeldUp(Device):
    """Others hold the machine at some runs.

    Args:
        ms: What each of those takes longer [ms].
        when: Whether a run is one, by its number and program.
    """

    def __init__(self, ms: float, when: Callable[[int, Program], bool]) -> None:
        super().__init__()
        self.ms, self.when, self.runs = ms, when, 0

    async def replay(self, program: Program, arrays: list[Any]) -> None:
        self.now += self.ms / 1e3 if self.when(self.runs, program) else 0.0
        self.runs += 1
        await super().replay(program, arrays)


def test_who_holds_up_the_first_look_is_not_in_the_rates() -> None:
    """An empty run that seems to take 20 ms would leave calls nothing, and samples little."""
    # One run to compile, one to see how long it takes, and three windows of one.
    device = HeldUp(20.0, lambda run, _program: run < 5)
    found = drive(calibrate(device.replay, ("float32",), device.clock))
    for n in (64, 512):
        program = lower(matrices(n), "float32")
        assert predict(program, found) == pytest.approx(predict(program, TRUE), rel=0.4)


def test_what_is_taken_off_a_sample_leaves_it_a_share_of_its_time() -> None:
    sample = lower(matrices(1024), "float32")
    device = HeldUp(
        3000.0, lambda _run, program: program.kernels[0].extents != (1, 1024, 1024, 1024)
    )
    found = drive(calibrate(device.replay, ("float32",), device.clock))
    work_ms = sample.mul_adds / found.rate("float32", "matrix")
    assert work_ms == pytest.approx(LEAST_LEFT * predict(sample, TRUE))


def test_one_measurement_on_a_busy_machine_does_not_stay() -> None:
    chain = lower(matrix_chain(100), "float32")
    wrong = (
        replace(TRUE, dispatch_ms=1e-4, bytes_per_ms=1e12, made_per_ms=10.0),
        replace(TRUE, dispatch_ms=99.0, bytes_per_ms=1.0, made_per_ms=float("inf")),
    )
    right = replace(TRUE, made_per_ms=5e4)
    for one in wrong:
        for order in ((one, right, right), (right, one, right), (right, right, one)):
            found = least_disturbed(order)
            assert predict(chain, found) == pytest.approx(predict(chain, right))
            assert found.made_per_ms == pytest.approx(5e4)
    assert predict(chain, least_disturbed([TRUE])) == pytest.approx(predict(chain, TRUE))
