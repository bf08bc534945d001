"""What one visit leaves to the next: kernels, how far searches have come, what threads gain."""

from __future__ import annotations

import json

import pytest

from tensorloom.execute import tuning
from tensorloom.execute.backend import drive
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm.backend import WasmBackend
from tuners import (
    RECORD,
    Store,
    Team,
    clock,
    finish,
    next_visit,
    no_pause,
    product,
    spec_of,
    team_tuner,
    tuner_for,
)
from wasmtime_host import WasmtimeHost


@pytest.fixture
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost(pages=1 << 11))


def test_a_second_visit_starts_from_what_the_first_one_found(backend: WasmBackend) -> None:
    store = Store()
    program = product()
    first = tuner_for(backend, store)
    first.observe(program)
    finish(first)
    assert store.saves == 1
    second = Tuner(backend.kernels, store=store, engine="wasmtime 1", clock=clock())
    assert drive(second.step(no_pause))
    assert second.record == RECORD
    second.observe(program)
    assert not second.running
    assert json.loads(second.exported()) == json.loads(first.exported())


@pytest.mark.parametrize("text", ["{", "[]", '{"engine": "wasmtime 1", "device": 5}', "null"])
def test_a_damaged_store_is_an_empty_one(backend: WasmBackend, text: str) -> None:
    tuner = Tuner(backend.kernels, store=Store(text), engine="wasmtime 1", clock=clock())
    assert drive(tuner.step(no_pause))
    assert tuner.record is None
    assert len(tuner.database) == 0


def test_another_engine_measures_anew(backend: WasmBackend) -> None:
    store = Store()
    first = tuner_for(backend, store)
    first.observe(product())
    finish(first)
    other = Tuner(backend.kernels, store=store, engine="wasmtime 2", clock=clock())
    assert drive(other.step(no_pause))
    assert other.record is None


def test_a_search_that_a_busy_machine_ended_is_made_again_on_the_next_visit(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, program = Store(), product(64)
    with monkeypatch.context() as busy:
        busy.setattr(tuning, "BUDGET_MS", 0.0)
        first = tuner_for(backend, store)
        first.observe(program)
        finish(first)
        first.observe(program)
        assert not first.running
    monkeypatch.setattr(tuning, "BUDGET_MS", 1e9)
    second = next_visit(backend, store)
    second.observe(program)
    assert second.running
    finish(second)
    entry = second.database.get(second.key(spec_of(program), "wasm"))
    assert entry is not None
    assert entry.spec == spec_of(program).name
    third = next_visit(backend, store)
    third.observe(program)
    assert not third.running


@pytest.mark.parametrize(("first", "again"), [(1.1, True), (0.8, True), (1.5, False), (1.0, False)])
def test_a_gain_that_a_busy_machine_hid_is_looked_for_on_the_next_visit(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch, first: float, *, again: bool
) -> None:
    """A clear one is not; nor one of exactly 1, as of a kernel that is not shared out."""
    monkeypatch.setattr(tuning, "BUDGET_MS", 1e9)
    store, program, team = Store(), product(128), Team(first)
    tuner = team_tuner(backend, team, store)
    tuner.observe(program)
    finish(tuner)
    team.told = 1.9
    tuner = next_visit(backend, store, team)
    tuner.observe(program)
    assert tuner.running == again
    finish(tuner)
    assert tuner.gain(spec_of(program), 2) == (1.9 if again else first)
    # Once for each visit.
    tuner.observe(program)
    assert not tuner.running


def test_a_page_without_threads_leaves_what_is_known_of_them(
    backend: WasmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "BUDGET_MS", 1e9)
    store, program = Store(), product(128)
    tuner = team_tuner(backend, Team(1.7), store)
    tuner.observe(program)
    finish(tuner)
    alone = next_visit(backend, store)
    alone.observe(program)
    assert not alone.running
    drive(alone._keep(spec_of(program)))
    assert next_visit(backend, store, Team(9.0)).gain(spec_of(program), 2) == 1.7
