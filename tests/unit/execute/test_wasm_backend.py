"""The WASM backend natively: slices, carried exponents, pauses, refusals, prediction."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chains import chain, matrices
from tensorloom.errors import Cancelled, DeviceMemoryError, UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm import replay as wasm_replay
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.rates import TYPICAL_RATES, WasmRates, typical
from tensorloom.kernels.arena import MOST_FUSED
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm import records as wasm_records
from tensorloom.kernels.wasm.modules import WasmFeatures, module_for
from tensorloom.kernels.wasm.records import record_sheet
from tensorloom.kernels.wasm.schedule import Kernel
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse, RawResult
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType


@pytest.fixture(scope="module")
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost())


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces a thousandth of their size, so that small work pauses as large work does."""
    for module in (wasm_records, wasm_replay):
        monkeypatch.setattr(module, "PIECE_CYCLES", 1 << 16)


def product(n: int, side: int, dtype: DType, sliced: tuple[str, ...] = ()) -> Program:
    """The product of ``n`` square matrices, from left to right."""
    return lower(chain([side] * (n + 1), sliced=sliced), dtype)


def squares(n: int, side: int, dtype: str) -> list[NDArray[Any]]:
    return matrices([side] * (n + 1), dtype)


def value(backend: WasmBackend, program: Program, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return drive(backend.run(program, arrays, no_pulse)).value


def test_a_small_product_by_hand(backend: WasmBackend) -> None:
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    b = np.array([[5.0, 6.0], [7.0, 8.0]])
    assert value(backend, product(2, 2, "float64"), [a, b]).tolist() == [[19, 22], [43, 50]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("sliced", [(), ("i1",), ("i0",), ("i0", "i2"), ("i3",)])
def test_slices_add_up(backend: WasmBackend, dtype: str, sliced: tuple[str, ...]) -> None:
    arrays = squares(3, 4, dtype)
    got = value(backend, product(3, 4, dtype, sliced), arrays)
    wanted = arrays[0] @ arrays[1] @ arrays[2]
    assert got.dtype == dtype
    assert np.allclose(got, wanted, rtol=0, atol=40 * np.finfo(dtype).eps * np.abs(wanted).max())


def test_inputs_are_not_touched(backend: WasmBackend) -> None:
    arrays = squares(3, 5, "float32")
    arrays[1] *= np.float32(2.0**100)
    before = [array.copy() for array in arrays]
    assert np.isfinite(value(backend, product(3, 5, "float32"), arrays)).all()
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_long_chains_neither_overflow_nor_vanish(backend: WasmBackend, factor: float) -> None:
    """A thousand times a diagonal matrix of ``factor``: 10**3000 or 10**-3000 in float32."""
    n = 1000
    arrays = [np.eye(2, dtype=np.float32) * np.float32(factor)] * n
    result = drive(backend.run(product(n, 2, "float32"), arrays, no_pulse))
    log10 = np.log10(result.value[0, 0]) + result.log10_scale
    assert log10 == pytest.approx(n * np.log10(np.float32(factor)), rel=1e-6)
    assert result.value[0, 1] == 0


def test_exponents_that_cancel_leave_a_plain_number(backend: WasmBackend) -> None:
    arrays = [np.full((1, 1), 2.0**power) for power in (600, 600, -600, -599)]
    result = drive(backend.run(product(4, 1, "float64"), arrays, no_pulse))
    assert (result.value.item(), result.log10_scale) == (2.0, 0.0)


def test_infinities_and_nan_come_out_as_they_are(backend: WasmBackend) -> None:
    a = np.array([[np.inf, 0.0], [1.0, np.nan]])
    result = value(backend, product(2, 2, "float64"), [a, np.eye(2)])
    assert np.isnan(result[1, 0])
    assert np.isnan(result[0, 1])


def test_one_program_for_other_numbers(backend: WasmBackend) -> None:
    program = product(3, 6, "complex128")
    for factor in (1.0, -2.0, 0.5j):
        arrays = [factor * array for array in squares(3, 6, "complex128")]
        wanted = arrays[0] @ arrays[1] @ arrays[2]
        assert np.allclose(value(backend, program, arrays), wanted)


@pytest.mark.usefixtures("small_pieces")
def test_a_long_run_pauses_and_tells_how_far_it_has_come(backend: WasmBackend) -> None:
    program = product(4, 150, "float64")
    seen: list[int] = []

    async def pulse(done: int, _slices: object = None) -> None:
        seen.append(done)

    drive(backend.run(program, squares(4, 150, "float64"), pulse))
    assert len(seen) >= 5
    assert seen == sorted(set(seen))
    assert program.mul_adds / 2 < seen[-1] <= program.mul_adds


def test_small_slices_do_not_pause_each(backend: WasmBackend) -> None:
    calls = count()

    async def pulse(_done: int, _slices: object = None) -> None:
        next(calls)

    drive(backend.run(product(3, 8, "float64", ("i1", "i2")), squares(3, 8, "float64"), pulse))
    assert next(calls) == 0


@pytest.mark.usefixtures("small_pieces")
def test_cancelling_leaves_the_backend_usable(backend: WasmBackend) -> None:
    program, arrays = product(4, 150, "float32"), squares(4, 150, "float32")

    async def pulse(_done: int, _slices: object = None) -> None:
        raise Cancelled("cancelled", "Stopped.")

    with pytest.raises(Cancelled):
        drive(backend.run(program, arrays, pulse))
    wanted = arrays[0] @ arrays[1] @ arrays[2] @ arrays[3]
    got = value(backend, program, arrays)
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.usefixtures("small_pieces")
def test_two_runs_of_one_program_at_once(backend: WasmBackend) -> None:
    """The second run starts while the first one is paused; both are right."""
    program = product(4, 150, "float32")
    first, second = squares(4, 150, "float32"), squares(4, 150, "float32")[::-1]
    inner: list[NDArray[Any]] = []

    async def pulse(_done: int, _slices: object = None) -> None:
        if not inner:
            inner.append(np.empty(0))
            inner[0] = (await backend.run(program, second, no_pulse)).value

    got = drive(backend.run(program, first, pulse)).value
    alone = [value(backend, program, arrays) for arrays in (first, second)]
    assert np.array_equal(got, alone[0])
    assert np.array_equal(inner[0], alone[1])


@pytest.mark.usefixtures("small_pieces")
def test_a_run_that_waits_keeps_its_kernels_whatever_else_runs(backend: WasmBackend) -> None:
    sizes = (3, 4, 5, 400, 400, 6, 5, 4)
    tree = ContractionTree(
        inputs=tuple(pairwise("abcdefgh")),
        output=("a", "h"),
        dimensions=tuple(zip("abcdefgh", sizes, strict=True)),
        path=((0, 1), *((6 + step, step + 1) for step in range(1, 6))),
    )
    program = lower(tree, "float64")
    draw = np.random.default_rng(4)
    arrays = [draw.standard_normal(shape) for shape in pairwise(sizes)]
    wanted = np.linalg.multi_dot(arrays)
    for _ in range(3):
        assert np.allclose(value(backend, program, arrays), wanted)
    others = [product(3, side, "float64") for side in range(2, 8)]

    async def pulse(_done: int, _slices: object = None) -> None:
        # Small ones that are fused take the places that others have left.
        while others:
            other = others.pop()
            kept.append(other)
            given = [np.eye(other.shape[0])] * 3
            for _ in range(3):
                assert (await backend.run(other, given, no_pulse)).value[0, 0] == 1

    kept: list[Program] = []
    found = drive(backend.run(program, arrays, pulse)).value
    assert len(kept) == 6
    assert np.allclose(found, wanted)


def test_what_does_not_fit_says_so() -> None:
    backend = WasmBackend(WasmtimeHost(pages=160))
    with pytest.raises(DeviceMemoryError) as caught:
        drive(backend.run(product(3, 1024, "float64"), squares(3, 1024, "float64"), no_pulse))
    assert caught.value.code == "out-of-memory"
    assert caught.value.message.startswith("WebAssembly ran out of memory; ")


def test_memory_that_ends_between_slices_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    backend = WasmBackend(WasmtimeHost())
    program, arrays = product(3, 4, "float64", ("i1",)), squares(3, 4, "float64")
    with monkeypatch.context() as patched:
        patched.setattr(wasm_replay.SliceSum, "add", full)
        with pytest.raises(DeviceMemoryError) as caught:
            drive(backend.run(program, arrays, no_pulse))
    assert caught.value.code == "out-of-memory"
    assert np.allclose(value(backend, program, arrays), arrays[0] @ arrays[1] @ arrays[2])


class LyingHost(WasmtimeHost):
    """An engine that runs the kernels for float32 when asked for those of float64."""

    def load(self, slot: int, module: bytes) -> None:
        del module
        super().load(slot, module_for(Kernel(form="gemm", dtype="float32"), self.features))


def test_an_engine_that_computes_wrongly_is_refused() -> None:
    backend = WasmBackend(LyingHost())
    with pytest.raises(UnsupportedKernel) as caught:
        value(backend, product(2, 64, "float64"), squares(2, 64, "float64"))
    assert caught.value.code == "wasm-wrong-answer"
    assert caught.value.message == "This browser engine computes the kernel gemm-float64 wrongly."


def test_an_engine_without_simd_is_refused() -> None:
    host = WasmtimeHost(pages=64)
    host.features = WasmFeatures(simd=False, relaxed_simd=False)
    with pytest.raises(UnsupportedKernel) as caught:
        value(WasmBackend(host), product(2, 2, "float64"), squares(2, 2, "float64"))
    assert caught.value.code == "wasm-no-simd"


def test_memory_is_given_back(backend: WasmBackend) -> None:
    """Running again and again needs no more memory than running twice."""
    host = WasmtimeHost(pages=1024)
    small = WasmBackend(host)
    program, arrays = product(3, 100, "float64"), squares(3, 100, "float64")
    for _ in range(2):
        value(small, program, arrays)
    used = host.used
    for _ in range(20):
        value(small, program, arrays)
    assert host.used == used


QUIET = WasmRates(
    run_ms=0.0,
    input_ms=0.0,
    bound_run_ms=0.0,
    bound_input_ms=0.0,
    carry_ms=0.0,
    carried_bytes_per_ms=float("inf"),
    cold_bytes_per_ms=float("inf"),
    looked_bytes_per_ms=float("inf"),
    cycles_per_ms=float("inf"),
)
"""Nothing takes any time."""


def test_prediction_follows_the_model(backend: WasmBackend) -> None:
    backend.rates = replace(
        QUIET, run_ms=0.25, input_ms=0.125, cycles_per_ms=1e6, looked_bytes_per_ms=1e5
    )
    side = 150
    program = product(3, side, "float64", ("i1",))
    assert all(spec.mul_adds > MOST_FUSED for spec in program.kernels)
    cycles = record_sheet(program, relaxed=True).cycles
    looked = sum(8 * buffer.elements for buffer in program.buffers if buffer.source is not None)
    expected = 0.25 + 3 * 0.125 + looked / 1e5 + side * cycles / 1e6
    assert backend.predicted_ms(program) == pytest.approx(expected)


def test_bytes_are_touched_for_the_first_time_once(backend: WasmBackend) -> None:
    """Three inputs, the intermediate between and the result, each of 50 x 50 numbers."""
    backend.rates = replace(QUIET, cold_bytes_per_ms=1e5)
    found = backend.predicted_ms(product(3, 50, "float64"))
    assert found == pytest.approx(5 * 50 * 50 * 8 / 1e5, rel=0.01)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_small_steps_are_predicted_as_the_one_call_they_become(
    backend: WasmBackend, n: int
) -> None:
    """From the second run on they are one; the first one compiles, whatever was predicted."""
    backend.rates = replace(
        QUIET,
        run_ms=4.0,
        input_ms=2.0,
        bound_run_ms=1.0,
        bound_input_ms=0.5,
        cycles_per_ms=1e3,
        cold_bytes_per_ms=1e4,
    )
    program, arrays = product(n, 2, "float64"), squares(n, 2, "float64")
    first = backend.predicted_ms(program)
    assert first > 1 + n * 0.5
    for _ in range(2):
        value(backend, program, arrays)
    assert backend.predicted_ms(program) == pytest.approx(first)


@pytest.mark.parametrize("sliced", [(), ("i0",)])
def test_small_steps_between_large_ones_are_predicted_as_groups(
    backend: WasmBackend, sliced: tuple[str, ...]
) -> None:
    """Two matrices and a vector: a large step, then small ones, in every slice."""
    tree = ContractionTree(
        inputs=(("i0", "i1"), ("i1", "i2"), ("i2",), ("i0",)),
        output=(),
        dimensions=(("i0", 70), ("i1", 70), ("i2", 70)),
        path=((0, 1), (2, 4), (3, 5)),
        sliced=sliced,
    )
    program = lower(tree, "float64")
    arrays = [np.ones(shape) for shape in ((70, 70), (70, 70), (70,), (70,))]
    backend.rates = replace(QUIET, run_ms=4.0, input_ms=2.0, cycles_per_ms=1e3)
    first = backend.predicted_ms(program)
    for _ in range(2):
        value(backend, program, arrays)
    assert backend._kept[id(program)].prepared.groups
    assert backend.predicted_ms(program) == pytest.approx(first)


def test_large_steps_are_predicted_one_by_one(backend: WasmBackend) -> None:
    backend.rates = replace(QUIET, run_ms=4.0, input_ms=2.0, bound_run_ms=1.0, bound_input_ms=0.5)
    program, arrays = product(5, 40, "float64"), squares(5, 40, "float64")
    for _ in range(3):
        assert backend.predicted_ms(program) == pytest.approx(4 + 5 * 2)
        value(backend, program, arrays)


@pytest.mark.parametrize("side", [8, 30])
def test_carried_exponents_are_predicted_once_they_were_seen(
    backend: WasmBackend, side: int
) -> None:
    """Each product of large numbers leaves the range; of small ones, no longer."""
    backend.rates = replace(QUIET, carry_ms=1.0, carried_bytes_per_ms=1e3)
    program = product(6, side, "float64")
    large = [2.0**399 * array for array in [np.ones((side, side))] * 6]
    for _ in range(2):
        before = backend.revision
        raw = drive(backend.run(program, large, no_pulse))
        assert raw.log10_scale > 100
        assert backend.predicted_ms(program) == pytest.approx(5 + 5 * side * side * 8 / 1e3)
    # The second run only told that small steps are one by now.
    assert side == 8 or backend.revision == before
    value(backend, program, [np.ones((side, side))] * 6)
    assert backend.predicted_ms(program) == 0


def test_forms_and_types_have_rates_of_their_own(backend: WasmBackend) -> None:
    backend.rates = replace(
        QUIET,
        cycles_per_ms=1e6,
        measured=(("gemm", "float64", 2e6), ("gemm", "float32", 4e6), ("sum", "float64", 5e5)),
    )
    for dtype, rate in (("float64", 2e6), ("float32", 4e6), ("complex64", 3e6)):
        pair = product(2, 50, dtype)
        cycles = record_sheet(pair, relaxed=True).cycles
        assert backend.predicted_ms(pair) == pytest.approx(cycles / rate)


def test_rates_are_measured_with_a_clock() -> None:
    """With a clock that moves 0.25 ms per reading, each run takes that, and so do ten in a row."""
    backend = WasmBackend(WasmtimeHost())
    ticks = count()
    drive(backend.measure(lambda: next(ticks) * 0.25e-3))
    rates = backend.rates
    assert rates.run_ms == pytest.approx(0.25, abs=0.01)
    assert rates.input_ms == 5e-4
    # Nothing takes longer than an empty run by this clock: no form can be told from another.
    assert (rates.cycles_per_ms, rates.measured) == (TYPICAL_RATES.cycles_per_ms, ())


def test_a_coarse_clock_measures_nothing() -> None:
    """By a clock of 1 ms a run of 10 us may take 1 ms, and numpy would seem the faster one."""
    backend = WasmBackend(WasmtimeHost())
    ticks = count()
    drive(backend.measure(lambda: next(ticks) * 1e-3))
    assert backend.rates == TYPICAL_RATES


def paced(
    backend: WasmBackend, held: Callable[[Program], float] = lambda _program: 0.0
) -> Callable[[], float]:
    """A clock that only runs move: 1 ms for each million cycles, and what they are held up [ms]."""
    now = 0.0
    run = backend.run

    async def timed(program: Program, arrays: list[Any], pulse: Pulse) -> RawResult:
        nonlocal now
        now += 1e-9 * record_sheet(program, relaxed=True).cycles + 1e-3 * held(program)
        return await run(program, arrays, pulse)

    def clock() -> float:
        nonlocal now
        now += 1e-9
        return now

    backend.run = timed  # type: ignore[method-assign]  # to move the clock
    return clock


def test_each_form_is_measured_in_turn() -> None:
    backend = WasmBackend(WasmtimeHost())
    drive(backend.measure(paced(backend)))
    kinds = {(form, dtype): rate for form, dtype, rate in backend.rates.measured}
    assert {("gemm", "float32"), ("gemm", "complex128"), ("run", "float32")} <= set(kinds)
    assert all(rate == pytest.approx(1e6, rel=0.02) for rate in kinds.values())


def test_a_sample_that_takes_hardly_longer_than_an_empty_run_tells_nothing() -> None:
    """Small programs are held up for nearly as long as the largest sample takes."""
    cycles = max(
        record_sheet(product(2, side, dtype), relaxed=True).cycles
        for side, dtype in (
            (192, "float32"),
            (160, "float64"),
            (128, "complex64"),
            (112, "complex128"),
        )
    )

    def held(program: Program) -> float:
        return 0.97e-6 * cycles if max(program.kernels[0].extents) < 96 else 0.0

    backend = WasmBackend(WasmtimeHost())
    drive(backend.measure(paced(backend, held)))
    rates = backend.rates
    assert (rates.cycles_per_ms, rates.measured) == (TYPICAL_RATES.cycles_per_ms, ())


def test_a_measurement_leaves_programs_as_warm_as_they_were() -> None:
    backend = WasmBackend(WasmtimeHost())
    program, arrays = product(3, 8, "float64"), [np.ones((8, 8))] * 3
    for _ in range(3):
        drive(backend.run(program, arrays, no_pulse))
    (known,) = backend._kept.values()
    counts = backend.counts
    assert known.bound is not None
    drive(backend.measure(paced(backend)))
    assert list(backend._kept.values()) == [known]
    assert known.bound is not None
    assert backend.counts["bytes"] == counts["bytes"]


def test_a_measurement_that_is_interrupted_changes_nothing() -> None:
    backend = WasmBackend(WasmtimeHost())

    async def pause() -> None:
        raise Cancelled("superseded", "Somebody wants something.")

    with pytest.raises(Cancelled):
        drive(backend.measure(pause=pause))
    assert backend.rates is TYPICAL_RATES


def test_of_several_measurements_the_middle_one_counts() -> None:
    """One was held up, one subtracted too much and found an engine twice as fast."""
    usual = replace(TYPICAL_RATES, measured=(("gemm", "float32", 2e6),))
    busy = replace(usual, run_ms=3.0, cycles_per_ms=1e6, measured=(("gemm", "float32", 1e6),))
    hasty = replace(usual, input_ms=0.0, cycles_per_ms=6e6, measured=(("gemm", "float32", 5e6),))
    for order in permutations((usual, busy, hasty)):
        assert typical(order) == usual
    assert typical([usual]) == usual
