"""Tuning natively: wasmtime computes, a clock of our own says how long it took."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensorloom.errors import DocumentError, UnsupportedKernel
from tensorloom.execute import doubts, tuning
from tensorloom.execute.backend import drive
from tensorloom.execute.kernel_store import FileStore, NoStore
from tensorloom.execute.known_device import wasm_device
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm import trials as wasm_trials
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.trials import WasmTrials
from tensorloom.kernels.program import SliceAxis
from tensorloom.kernels.wasm.jit import WasmDevice
from tensorloom.tune.database import Database, Entry
from tensorloom.tune.device import CpuFacts, DeviceRecord
from tensorloom.tune.search import Check, Failure, Sample, Verdict, Window
from tuners import (
    RECORD,
    Store,
    Team,
    clock,
    finish,
    no_pause,
    product,
    run,
    spec_of,
    team_tuner,
    tuner_for,
)
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom.execute.wasm.team_trials import TeamTrials


@pytest.fixture
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost(pages=1 << 11))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_every_candidate_passes_its_check(backend: WasmBackend, dtype: str) -> None:
    spec = spec_of(product(dtype=dtype))
    trials = WasmTrials(spec, backend.kernels, WasmDevice.typical(relaxed_simd=True), clock())
    assert len(trials.options) > 3
    for option in trials.options:
        answer = drive(trials.answer(Check(text=option.text), no_pause))
        assert isinstance(answer, Verdict), (option.text, answer)
        assert answer.error <= answer.bound


def test_a_shape_is_tuned_and_the_next_run_uses_it(backend: WasmBackend) -> None:
    program = product()
    tuner = tuner_for(backend)
    before = run(backend, program)
    tuner.observe(program)
    assert tuner.running
    finish(tuner)
    shape = tuner.shape(spec_of(program))
    assert shape is not None
    assert shape.best is not None
    assert not tuner.running
    entry = tuner.database.get(tuner.key(spec_of(program), "wasm"))
    assert entry is not None
    assert entry.trusted
    after = run(backend, program)
    assert np.allclose(before, after, rtol=0, atol=1e-4)


def test_what_a_kernel_takes_is_known_once_it_was_measured(backend: WasmBackend) -> None:
    tuner, program = tuner_for(backend), product(64)
    spec = spec_of(program)
    assert tuner.known_ms(spec) is None
    tuner.observe(program)
    finish(tuner)
    best = tuner.shape(spec).best  # type: ignore[union-attr]  # it was tuned
    assert tuner.known_ms(spec) == best.ms  # type: ignore[union-attr]
    # Of the same class, with less to do.
    like = spec_of(product(62))
    share = like.mul_adds / spec.mul_adds
    assert tuner.known_ms(like) == pytest.approx(share * best.ms)  # type: ignore[union-attr]
    assert tuner.known_ms(spec_of(product(200))) is None


def test_a_clock_that_stands_still_ends_no_tuning(backend: WasmBackend) -> None:
    looks = count()

    def coarse() -> float:
        # Fine ticks to look at; then most windows seem to take no time, and some 20 ms.
        look = next(looks)
        return 1e-4 * look if look < 2000 else 0.2 + 2e-2 * ((look - 2000) // 8)

    tuner, program = Tuner(backend.kernels, store=NoStore(), engine="x 1", clock=coarse), product()
    tuner.record, tuner._loaded = RECORD, True
    tuner.observe(program)
    finish(tuner)
    shape = tuner.shape(spec_of(program))
    assert shape is not None
    assert all(trial.ms is None or trial.ms > 0 for trial in shape.trials)
    assert shape.best is not None


@pytest.mark.parametrize("tick_ms", [0.1, 1.0])
@pytest.mark.parametrize("each_ms", [0.003, 0.9, 7.0])
def test_nobody_waits_long_for_a_pause(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch, tick_ms: float, each_ms: float
) -> None:
    """A simulated engine: each repetition takes so long, which a coarse clock shows late."""
    spent, looks, longest, last = 0.0, 0, 0.0, 0.0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return 1e-3 * tick_ms * (looks // 100 if looks <= 2000 else 20 + spent // tick_ms)

    def run(_records: int, first: int, last: int, _low: float, _high: float) -> int:
        nonlocal spent
        spent += each_ms * (last - first)
        return last

    async def pause() -> None:
        nonlocal longest, last
        longest, last = max(longest, spent - last), spent

    spec = spec_of(product())
    trials = WasmTrials(spec, backend.kernels, WasmDevice.typical(relaxed_simd=True), clock)
    assert backend.kernels.driver is not None
    monkeypatch.setattr(backend.kernels, "run", run)
    text = trials.options[0].text
    for first in (True, False, False):
        sample = drive(trials.answer(Window(text=text, first=first), pause))
        assert isinstance(sample, Sample)
        assert sample.ms == pytest.approx(each_ms, rel=0.08)
    assert 1 < longest < 25


def test_the_winner_is_compiled_before_a_run_asks_for_it(backend: WasmBackend) -> None:
    tuner, program = tuner_for(backend), product(64)
    tuner.observe(program)
    finish(tuner)
    way = tuner.schedule_for(spec_of(program))
    kernel = way.kernel if way else None
    slots = backend.kernels.n_slots
    assert kernel is None or backend.kernels.slot(kernel) >= 0
    assert backend.kernels.n_slots == slots


def test_a_generated_kernel_replaces_the_ready_one(backend: WasmBackend) -> None:
    program = product()
    tuner = tuner_for(backend)
    run(backend, program)
    tuner.database.put(
        tuner.key(spec_of(program), "wasm"), Entry(candidate="packed 6x8 k256", gflops=50.0)
    )
    tuner.revision += 1
    run(backend, program)
    (known,) = backend._kept.values()
    assert known.plans is not None
    assert known.plans[0].kernel.form == "jit"


def test_a_stored_kernel_that_the_engine_computes_wrongly_is_not_used(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = product()
    tuner = tuner_for(backend)
    wanted = run(backend, program)
    tuner.database.put(
        tuner.key(spec_of(program), "wasm"), Entry(candidate="packed 6x8 k256", gflops=50.0)
    )
    tuner.revision += 1
    monkeypatch.setattr(type(backend.kernels), "_right_tiles", lambda *_: False, raising=False)
    assert np.array_equal(run(backend, program), wanted)


def test_what_differs_from_the_reference_is_thrown_out_and_reported(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = wasm_trials.module_for

    def broken(kernel: Any, features: Any) -> bytes:
        # A kernel for other sizes: its sums end one product early.
        if kernel.form == "jit" and kernel.candidate.family == "packed":
            return right(type(kernel)(form="points", dtype="float32"), features)
        return right(kernel, features)

    monkeypatch.setattr(wasm_trials, "module_for", broken)
    tuner = tuner_for(backend)
    program = product()
    monkeypatch.setattr(tuning, "BUDGET_MS", 1e9)
    tuner.observe(program)
    finish(tuner)
    shape = tuner.shape(spec_of(program))
    assert shape is not None
    assert shape.best is not None
    assert not shape.best.option.text.startswith("packed")


def test_candidates_that_do_not_compile_fail_alone(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(product())
    trials = WasmTrials(spec, backend.kernels, WasmDevice.typical(relaxed_simd=True), clock())
    monkeypatch.setattr(wasm_trials, "module_for", lambda *_: _raise("no such opcode"))
    answer = drive(trials.answer(Window(text=trials.options[1].text, first=True), no_pause))
    assert isinstance(answer, Failure)
    assert answer.reason == "no such opcode"


class EngineError(Exception):
    """What browsers' engines raise: JavaScript's errors share no class with Python's."""


def _raise(words: str) -> bytes:
    raise EngineError(words)


def test_an_imported_kernel_is_tried_before_it_is_used(backend: WasmBackend) -> None:
    program = product()
    tuner = tuner_for(backend)
    spec = spec_of(program)
    loud = Entry(candidate="unpacked 1x4", gflops=9999.0)
    text = Database([(tuner.key(spec, "wasm"), loud)]).to_text()
    assert drive(tuner.imported(text)) == 1
    assert tuner.schedule_for(spec) is None
    tuner.observe(program)
    finish(tuner)
    entry = tuner.database.get(tuner.key(spec, "wasm"))
    assert entry is not None
    assert entry.trusted
    assert entry.gflops < 9999


def test_foreign_databases_are_refused(backend: WasmBackend) -> None:
    with pytest.raises(DocumentError):
        drive(tuner_for(backend).imported("{}"))


def test_the_device_is_measured_before_anything_is_tuned(backend: WasmBackend) -> None:
    tuner = Tuner(backend.kernels, store=NoStore(), engine="wasmtime 1", clock=clock())
    steps = 0
    while tuner.record is None:
        assert drive(tuner.step(no_pause))
        steps += 1
    assert steps > 20
    assert tuner.record.origin == "measured"
    assert not drive(tuner.step(no_pause))


def test_small_light_and_unary_kernels_are_left_alone(backend: WasmBackend) -> None:
    tuner = tuner_for(backend)
    tuner.observe(product(2))
    assert not tuner.running


def test_forgetting_forgets(backend: WasmBackend) -> None:
    store = Store()
    tuner = tuner_for(backend, store)
    tuner.observe(product())
    finish(tuner)
    drive(tuner.cleared())
    assert len(tuner.database) == 0
    assert json.loads(store.text or "")["kernels"]["entries"] == []
    assert tuner.plans_for(product()) is None


def test_one_shape_can_be_tuned_at_once(backend: WasmBackend) -> None:
    tuner = tuner_for(backend)
    shape = drive(tuner.best(spec_of(product()), no_pause))
    assert shape.best is not None
    assert drive(tuner.best(spec_of(product()), no_pause)) == shape


def test_settling_finds_out_once_and_the_winner_is_shared_out(backend: WasmBackend) -> None:
    team, store, program = Team(1.8), Store(), product(128)
    spec = spec_of(program)
    tuner = team_tuner(backend, team, store)
    assert tuner.saved_ms(program) is None
    drive(tuner.settle(program, no_pause, threads=2))
    spent = tuner.spent_ms
    best = tuner.shape(spec).best  # type: ignore[union-attr]  # it was tuned
    ((name, kernel, threads),) = team.asked
    assert (name, threads) == (spec.name, 2)
    plans = tuner.plans_for(program, least=1)
    assert kernel == plans[0].kernel.name if plans else "gemm-float32"
    assert tuner.saved_ms(program) == pytest.approx(best.ms * (1 - 1 / 1.8))  # type: ignore[union-attr]
    assert tuner.pays(program, 2)
    # Known: nothing is done again, here and on the next visit.
    drive(tuner.settle(program, no_pause, threads=2))
    assert (tuner.spent_ms, len(team.asked)) == (spent, 1)
    again = Tuner(
        backend.kernels,
        store=store,
        engine="wasmtime 1",
        clock=clock(),
        team=cast("TeamTrials", team),
    )
    drive(again.settle(program, no_pause, threads=2))
    assert (again.spent_ms, len(team.asked)) == (0, 1)
    assert again.gain(spec, 2) == 1.8


def test_what_threads_save_counts_every_slice(backend: WasmBackend) -> None:
    program = product(128)
    tuner = team_tuner(backend, Team(1.8))
    drive(tuner.settle(program, no_pause, threads=2))
    whole = tuner.saved_ms(program)
    axis = SliceAxis(size=3, inputs=())
    assert whole is not None
    assert tuner.saved_ms(replace(program, slices=(axis,))) == pytest.approx(3 * whole)
    assert tuner.saved_ms(replace(program, slices=(axis,), prologue=1)) == pytest.approx(whole)


def test_threads_that_lose_are_not_taken(backend: WasmBackend) -> None:
    program = product(128)
    for told, pays in ((0.9, False), (0.97, True), (1.5, True)):
        tuner = team_tuner(backend, Team(told))
        drive(tuner.settle(program, no_pause, threads=2))
        assert tuner.pays(program, 2) == pays
    # What is too small to be shared out runs alone.
    assert not tuner.pays(product(40), 2)


def test_a_shape_known_from_a_page_without_threads_is_only_compared(backend: WasmBackend) -> None:
    store, program = Store(), product(128)
    alone = tuner_for(backend, store)
    drive(alone.settle(program, no_pause))
    team = Team(1.6)
    tuner = team_tuner(backend, team, store)
    tuner._loaded, tuner.record = False, None
    drive(tuner.settle(program, no_pause, threads=2))
    assert len(team.asked) == 1
    assert tuner.shape(spec_of(program)) is None  # it was not tuned
    assert tuner.gain(spec_of(program), 2) == 1.6


def test_idle_time_compares_threads_too(backend: WasmBackend) -> None:
    team, program = Team(1.7), product(128)
    tuner = team_tuner(backend, team)
    tuner.observe(program)
    finish(tuner)
    assert len(team.asked) == 1
    saved = tuner.saved_ms(program)
    assert saved is not None
    assert saved > 0


def test_a_page_whose_threads_do_not_start_goes_on_without(backend: WasmBackend) -> None:
    team, program = Team(UnsupportedKernel("wasm-refused", "No helpers.")), product(128)
    tuner = team_tuner(backend, team)
    drive(tuner.settle(program, no_pause, threads=2))
    assert tuner.shape(spec_of(program)).best is not None  # type: ignore[union-attr]
    assert any("No helpers." in words for words in tuner.report)
    assert tuner.gain(spec_of(program), 2) is None


def test_a_shape_counts_before_its_class(backend: WasmBackend) -> None:
    tuner, larger, smaller = tuner_for(backend), product(64), product(62)
    assert tuner.key(spec_of(larger), "wasm") == tuner.key(spec_of(smaller), "wasm")
    drive(tuner.settle(larger, no_pause))
    assert tuner.known_ms(spec_of(smaller)) is not None
    assert tuner.shape(spec_of(smaller)) is None
    # Who waits for the best kernel gets that of the shape itself.
    drive(tuner.settle(smaller, no_pause))
    found = [tuner.shape(spec_of(one)) for one in (larger, smaller)]
    assert [shape is not None and shape.best is not None for shape in found] == [True, True]
    assert tuner.known_ms(spec_of(larger)) == found[0].best.ms  # type: ignore[union-attr]


def test_a_busy_machine_is_given_a_second_look(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "BUDGET_MS", 0.0)
    tuner, program = tuner_for(backend), product(64)
    spec, reached, settled = spec_of(program), [], []
    for _ in range(4):
        before = tuner.spent_ms
        drive(tuner.settle(program, no_pause))
        shape, entry = tuner.shape(spec), tuner.database.get(tuner.key(spec, "wasm"))
        assert shape is not None
        assert entry is not None
        assert shape.best is not None
        assert [one.state for one in shape.trials].count("best") == 1
        reached.append(sum(one.state != "waiting" for one in shape.trials))
        # What is not settled is looked for again on the next visit.
        settled.append((tuner.spent_ms > before, entry.spec == spec.name))
    # Each search reaches three: the best one so far, and others.
    assert reached == [3, 5, 7, 7]
    assert settled == [(True, False), (True, False), (True, True), (False, True)]


def test_threads_that_gain_nothing_are_looked_at_again(backend: WasmBackend) -> None:
    team, program = Team(0.7), product(128)
    tuner, spec = team_tuner(backend, team), spec_of(program)
    found = []
    for gain in (0.7, 1.1, 0.9, 1.9):
        team.told = gain
        drive(tuner.settle(program, no_pause, threads=2))
        found.append(tuner.gain(spec, 2))
    # Others on the machine hide a gain and make none: the best look counts.
    assert found == [0.7, 1.1, 1.1, 1.1]
    assert len(team.asked) == doubts.MOST_TIMES
    entry = tuner.database.get(tuner.key(spec, "wasm"))
    assert entry is not None
    assert (entry.threads, entry.gain) == (2, 1.1)


def test_who_waits_comes_before_what_was_under_way(backend: WasmBackend) -> None:
    tuner, first, wanted = tuner_for(backend), product(), product(70)
    tuner.observe(first)
    for _ in range(3):
        assert drive(tuner.step(no_pause))
    drive(tuner.settle(wanted, no_pause))
    assert tuner.shape(spec_of(wanted)).best is not None  # type: ignore[union-attr]
    finish(tuner)
    shape = tuner.shape(spec_of(first))
    assert shape is not None
    assert shape.best is not None


def test_measured_tiles_come_first() -> None:
    facts = CpuFacts(tiles=((3, 16, 35.0), (2, 16, 34.5), (5, 8, 26.0)), l1_bytes=65_536)
    device = wasm_device(DeviceRecord(name="x", cpu=facts), relaxed=False)
    assert device.tiles == ((3, 4), (2, 4))
    assert device.level1_bytes == 65_536
    assert wasm_device(None, relaxed=True) == WasmDevice.typical(relaxed_simd=True)


def test_a_file_keeps_the_text(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "deep" / "kernels.json")
    assert drive(store.load()) is None
    drive(store.save("one"))
    drive(store.save("two"))
    assert drive(store.load()) == "two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["kernels.json"]


def test_a_file_that_cannot_be_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    drive(FileStore(tmp_path / "file" / "kernels.json").save("text"))
    assert drive(FileStore(tmp_path).load()) is None
