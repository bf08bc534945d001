"""When a processor is measured again, and which record then stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.backend import drive
from tensorloom.execute.device_measuring import DeviceMeasuring
from tensorloom.execute.record_age import MOST_VISITS, PATIENCE_VISITS, RecordAge
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.tune.device import CpuFacts, Curve, DeviceRecord, GpuFacts
from tuners import RECORD, Store, finish, next_visit, no_pause, product, spec_of, tuner_for
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.tuning import Tuner
    from tensorloom.model.recipe import DType
    from tensorloom.tune.database import Entry

REGISTERS = Curve(name="registers", x="vectors", y="GFLOP/s", points=((10.0, 50.0),))
LOADS = Curve(name="gpu-load", x="groups", y="GFLOP/s", points=((1.0, 2.0),))


def record(peak: float | None) -> DeviceRecord:
    cpu = CpuFacts(vector_registers=16, peak_gflops=peak)
    return DeviceRecord(name="measured here", origin="measured", cpu=cpu, curves=(REGISTERS,))


def test_it_is_due_after_some_visits() -> None:
    assert [visits for visits in range(40) if RecordAge(visits=visits).is_due(record(50.0))] == [
        *range(MOST_VISITS, 40)
    ]
    assert not RecordAge(visits=40).is_due(replace(record(50.0), origin="named"))


@pytest.mark.parametrize(
    ("gflops", "dtype", "due"),
    [
        (54.0, "float32", False),
        (56.0, "float32", True),
        (56.0, "complex64", True),
        (27.0, "float64", False),
        (28.0, "complex128", True),
    ],
)
def test_it_is_due_when_a_kernel_exceeds_the_peak(
    gflops: float, dtype: DType, *, due: bool
) -> None:
    age = RecordAge(visits=1)
    age.saw(gflops, dtype)
    age.saw(1.0, "float32")
    assert age.is_due(record(50.0)) == due
    assert not age.is_due(record(None))
    # Both were measured on the same visit, under the same load.
    age.visits = 0
    assert not age.is_due(record(50.0))


def test_a_new_record_keeps_what_is_known_of_the_gpu() -> None:
    old = replace(record(50.0), gpu=GpuFacts(adapter="x"), curves=(REGISTERS, LOADS))
    age, new = RecordAge(visits=MOST_VISITS), record(48.0)
    assert age.judged(old, new) == replace(old, cpu=new.cpu)
    assert age.visits == 0


def test_a_record_of_a_busy_moment_does_not_replace_a_better_one() -> None:
    age = RecordAge(visits=MOST_VISITS, fastest=48.0)
    old = record(50.0)
    assert age.judged(old, record(40.0)) == old
    assert age.visits == -PATIENCE_VISITS
    # One that is better stays, though it cannot be right either.
    assert age.judged(old, record(51.0)).cpu.peak_gflops == 51.0
    age.fastest = 60.0
    assert age.judged(old, record(51.0)).cpu.peak_gflops == 51.0
    assert age.visits == -PATIENCE_VISITS


def test_a_clearly_lower_peak_is_believed_when_another_visit_finds_it_too() -> None:
    age, old = RecordAge(visits=MOST_VISITS), record(58.0)
    assert age.judged(old, record(20.0)) == old
    # Measured again on the very next visit.
    assert not age.is_due(old)
    age.visits += 1
    assert age.is_due(old)
    assert age.judged(old, record(19.0)).cpu.peak_gflops == 19.0
    assert (age.visits, age.lower) == (0, 0.0)


def test_the_better_of_two_lower_peaks_has_to_be_found_twice() -> None:
    age, old = RecordAge(visits=MOST_VISITS), record(58.0)
    for peak in (30.0, 20.0):
        assert age.judged(old, record(peak)) == old
    assert age.lower == 30.0
    assert age.judged(old, record(29.0)).cpu.peak_gflops == 29.0


@pytest.mark.parametrize(("fastest", "peak"), [(0.0, 57.0), (50.0, 20.0)])
def test_a_lower_peak_that_was_disproved_is_no_first_measurement(
    fastest: float, peak: float
) -> None:
    """By a later measurement, or by a kernel."""
    age, old = RecordAge(visits=MOST_VISITS), record(58.0)
    assert age.judged(old, record(20.0)) == old
    age.fastest = fastest
    old = age.judged(old, record(peak))
    age.fastest = 0.0
    assert age.judged(old, record(20.0)) == old


# --- the tuner ------------------------------------------------------------------------------------


@pytest.fixture
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost(pages=1 << 11))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[DeviceRecord]:
    """Records that measuring finds, each after three steps."""
    found: list[DeviceRecord] = []
    steps = 0

    def step(_measuring: DeviceMeasuring) -> DeviceRecord | None:
        nonlocal steps
        steps += 1
        return None if steps % 3 else found.pop(0)

    monkeypatch.setattr(DeviceMeasuring, "cpu_step", step)
    return found


def tuned(backend: WasmBackend, store: Store) -> Tuner:
    tuner = tuner_for(backend, store)
    tuner.observe(product())
    finish(tuner)
    return tuner


def entry_of(tuner: Tuner) -> Entry | None:
    return tuner.database.get(tuner.key(spec_of(product()), "wasm"))


def test_it_is_measured_again_on_some_visit_and_its_kernels_stay(
    backend: WasmBackend, measured: list[DeviceRecord]
) -> None:
    store = Store()
    known = entry_of(tuned(backend, store))
    assert known is not None
    # Other caches: other kernels may be better, and the database has another place for them.
    other = replace(RECORD, cpu=replace(RECORD.cpu, l1_bytes=1 << 16))
    measured.append(other)
    for _ in range(MOST_VISITS - 1):
        tuner = next_visit(backend, store)
        finish(tuner)
        assert tuner.record == RECORD
    tuner = next_visit(backend, store)
    assert tuner.running
    assert drive(tuner.step(no_pause))
    assert tuner.message == "Measuring this device again"
    finish(tuner)
    assert not tuner.running
    assert tuner.record == other
    assert other.cpu_key != RECORD.cpu_key
    moved = entry_of(tuner)
    assert moved is not None
    assert (moved.candidate, moved.second, moved.spec) == (known.candidate, known.second, "")
    tuner.observe(product())
    assert tuner.running
    # Kept, and counted from here.
    again = next_visit(backend, store, known=other)
    finish(again)
    assert (again.record, again._age.visits) == (other, 1)


def test_it_is_measured_again_when_a_kernel_is_faster_than_it_could_be(
    backend: WasmBackend, measured: list[DeviceRecord]
) -> None:
    store, slow = Store(), replace(RECORD, cpu=replace(RECORD.cpu, peak_gflops=1e-6))
    tuner = tuner_for(backend, store)
    tuner.record = slow
    tuner.observe(product())
    finish(tuner)
    # Not on the visit on which it was measured.
    assert tuner.record == slow
    right = replace(RECORD, cpu=replace(RECORD.cpu, peak_gflops=58.0))
    measured.append(right)
    tuner = next_visit(backend, store, known=slow)
    tuner.observe(product())
    finish(tuner)
    assert tuner.record == right
    assert entry_of(tuner) is not None


def test_a_busy_moment_does_not_cost_the_kernels_their_place(
    backend: WasmBackend, measured: list[DeviceRecord]
) -> None:
    """Whatever was measured while others had the processor: the next visit finds the old peak."""
    store, cpu = Store(), RECORD.cpu
    before = replace(RECORD, cpu=replace(cpu, peak_gflops=58.0))
    busy = replace(RECORD, cpu=replace(cpu, peak_gflops=20.0, l1_bytes=1 << 16))
    tuner = tuner_for(backend, store)
    tuner.record = before
    tuner.observe(product())
    finish(tuner)
    known = tuner.database.items()
    for record in [*[None] * (MOST_VISITS - 1), busy, before]:
        measured[:] = [record] if record else []
        tuner = next_visit(backend, store, known=before)
        finish(tuner)
        assert (tuner.record, measured) == (before, [])
    assert tuner._age.visits == 0
    (key, entry), (before_key, before_entry) = *tuner.database.items(), *known
    assert (key, entry.candidate, entry.spec) == (
        before_key,
        before_entry.candidate,
        before_entry.spec,
    )
