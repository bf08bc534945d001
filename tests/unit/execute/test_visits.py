"""What one visit leaves to the next: kernels, how far searches have come, what threads gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.errors import Cancelled
from tensorloom.execute import tuning
from tensorloom.execute.backend import drive
from tensorloom.execute.known_device import wasm_device
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm import trials as wasm_trials
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.trials import PairedTrials, WasmTrials
from tensorloom.kernels.wasm.jit import WasmDevice
from tensorloom.tune.search import Check, Sample, Verdict, Window
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

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.tune.database import Entry


@pytest.fixture
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost(pages=1 << 11))


class Times:
    """What one run of each candidate takes from now on, and which were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms: dict[str, float | list[float]] = {}
        self.asked: list[str] = []
        times = self

        async def window(_trials: Any, text: str, _pause: Any, *, first: bool) -> float:
            if first:
                times.asked.append(text)
            ms = times.ms.get(text, 3.0)
            if isinstance(ms, list):
                return ms.pop(0)
            return ms

        monkeypatch.setattr(WasmTrials, "_window", window)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


FIRST, OTHER, THIRD, PROPOSED = "right 5x8", "unpacked 6x8", "unpacked 5x8", "right 6x8"


def entry_of(tuner: Tuner, program: Program) -> Entry:
    entry = tuner.database.get(tuner.key(spec_of(program), "wasm"))
    assert entry is not None
    return entry


def visited(backend: WasmBackend, times: Times, program: Program) -> Store:
    """What a first visit leaves, on which one kernel seemed best and another came next."""
    times.ms |= {FIRST: 1.0, OTHER: 2.0}
    store = Store()
    tuner = tuner_for(backend, store)
    tuner.observe(program)
    finish(tuner)
    entry = entry_of(tuner, program)
    assert (entry.candidate, entry.second, entry.spec) == (FIRST, OTHER, spec_of(program).name)
    times.asked.clear()
    return store


def test_a_second_visit_starts_from_what_the_first_one_found(
    backend: WasmBackend, times: Times
) -> None:
    program = product()
    store = visited(backend, times, program)
    tuner = next_visit(backend, store)
    assert tuner.record == RECORD
    way = tuner.schedule_for(spec_of(program))
    assert way is not None
    assert way.kernel.candidate is not None
    assert way.kernel.candidate.text == FIRST
    assert not tuner.running


def test_what_is_used_of_an_earlier_visit_is_timed_once_beside_the_next_best(
    backend: WasmBackend, times: Times
) -> None:
    program = product()
    store = visited(backend, times, program)
    before = store.text
    times.ms[FIRST] = 1.5
    tuner = next_visit(backend, store)
    tuner.observe(program)
    assert tuner.running
    assert tuner.message == "1 shape waits"
    assert drive(tuner.step(no_pause))
    assert tuner.message == "Timing kernels for 40x43x47"
    assert tuner.shape(spec_of(program)) is None
    finish(tuner)
    assert times.asked == [FIRST, OTHER]
    # It is as fast as it is now, and the next visit knows.
    assert tuner.known_ms(spec_of(program)) == pytest.approx(1.5, rel=1e-2)
    assert next_visit(backend, store).known_ms(spec_of(program)) == pytest.approx(1.5, rel=1e-2)
    assert store.text != before
    tuner.observe(program)
    assert not tuner.running
    assert tuner.message == "All shapes are tuned"


def test_beside_a_kernel_that_is_kept_alone_the_model_has_its_say(
    backend: WasmBackend, times: Times
) -> None:
    """As in what an earlier version has kept."""
    program = product()
    store = visited(backend, times, program)
    assert store.text is not None
    store.text = store.text.replace(f'"second":"{OTHER}"', '"second":""')
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    assert times.asked == [FIRST, PROPOSED]
    assert entry_of(tuner, program).second == PROPOSED


def test_a_kernel_that_loses_by_little_gives_up_its_place(
    backend: WasmBackend, times: Times
) -> None:
    program = product()
    store = visited(backend, times, program)
    times.ms[OTHER] = 0.95
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    entry = entry_of(tuner, program)
    assert (entry.candidate, entry.second) == (OTHER, FIRST)
    assert tuner.known_ms(spec_of(program)) == pytest.approx(0.95, rel=1e-2)
    # That is no reason to doubt all the others too.
    assert times.asked == [FIRST, OTHER]
    tuner.observe(program)
    assert not tuner.running


@pytest.mark.parametrize(
    ("now", "best"),
    [({OTHER: 0.5}, OTHER), ({FIRST: 0.7}, FIRST), ({THIRD: 0.1}, FIRST)],
)
def test_what_is_far_from_what_was_kept_is_searched_for_again(
    backend: WasmBackend, times: Times, now: dict[str, float], best: str
) -> None:
    """The next best wins clearly, or the best one is faster by far; nothing else shows."""
    program = product()
    store = visited(backend, times, program)
    times.ms |= now
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    assert entry_of(tuner, program).candidate == best
    is_far = set(now) & {FIRST, OTHER}
    assert (tuner.shape(spec_of(program)) is not None) == bool(is_far)
    assert (len(times.asked) > 2) == bool(is_far)
    # Once on each visit.
    times.asked.clear()
    tuner.observe(program)
    finish(tuner)
    assert times.asked == []


def test_times_that_do_not_settle_change_nothing_but_a_shorter_one(
    backend: WasmBackend, times: Times
) -> None:
    program = product()
    for first, known in ((1.1, 1.0), (0.9, 0.9)):
        store = visited(backend, times, program)
        times.ms |= {FIRST: [first * 1.2**n for n in range(8)], OTHER: 0.1}
        tuner = next_visit(backend, store)
        tuner.observe(program)
        finish(tuner)
        assert entry_of(tuner, program).candidate == FIRST
        assert tuner.known_ms(spec_of(program)) == pytest.approx(known, rel=1e-2)


def test_a_known_kernel_that_fails_is_forgotten_and_another_one_found(
    backend: WasmBackend, times: Times
) -> None:
    program = product()
    store = visited(backend, times, program)
    times.ms[FIRST] = []
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    assert entry_of(tuner, program).candidate == OTHER


def test_a_better_kernel_with_wrong_numbers_does_not_win(
    backend: WasmBackend, times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = product()
    store = visited(backend, times, program)
    times.ms[OTHER] = 0.95

    async def wrong(*_given: object) -> tuple[float, float]:
        return 1.0, 0.5

    monkeypatch.setattr(WasmTrials, "_check", wrong)
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    assert (entry_of(tuner, program).candidate, entry_of(tuner, program).second) == (FIRST, "")
    assert tuner.thrown_out == [f"{OTHER}: differs from the reference by 1; rounding explains 0.5."]
    # The next visit puts another one beside it, and may compare it: it is right.
    times.asked.clear()
    tuner = next_visit(backend, store)
    tuner.observe(program)
    finish(tuner)
    assert times.asked == [FIRST, PROPOSED]
    assert (entry_of(tuner, program).second, tuner.thrown_out) == (PROPOSED, [])


def test_a_look_that_somebody_interrupts_at_its_end_is_taken_up_again(
    backend: WasmBackend, times: Times
) -> None:
    program = product(128)
    store = visited(backend, times, program)
    times.ms[OTHER] = 0.95
    team = Team(Cancelled("superseded", "Somebody wants something."))
    tuner = next_visit(backend, store, team)
    tuner.observe(program)
    with pytest.raises(Cancelled):
        finish(tuner)
    team.told = 1.6
    finish(tuner)
    assert times.asked == [FIRST, OTHER]
    later = next_visit(backend, store, team)
    assert entry_of(later, program).candidate == OTHER
    assert later.gain(spec_of(program), 2) == 1.6


def test_one_shape_stands_for_its_class(backend: WasmBackend, times: Times) -> None:
    """For all but the one that was measured, which is what is kept."""
    larger, smaller, smallest = product(64), product(62), product(63)
    store = visited(backend, times, larger)
    tuner = next_visit(backend, store)
    for program in (smaller, smallest):
        tuner.observe(program)
        finish(tuner)
    assert times.asked == [FIRST, OTHER]
    tuner.observe(larger)
    finish(tuner)
    assert times.asked == [FIRST, OTHER] * 2
    assert entry_of(tuner, smaller).spec == spec_of(larger).name


@pytest.mark.parametrize(
    "now", [{FIRST: 0.4}, {OTHER: 0.95}, {FIRST: [0.9 * 1.2**n for n in range(8)]}]
)
def test_a_look_at_one_shape_leaves_what_was_measured_of_another(
    backend: WasmBackend, times: Times, now: dict[str, float | list[float]]
) -> None:
    """It is of the same class, and has other times and another best kernel."""
    larger, smaller = product(64), product(62)
    store = visited(backend, times, larger)
    tuner = next_visit(backend, store)
    before = entry_of(tuner, larger)
    times.ms |= now
    tuner.observe(smaller)
    finish(tuner)
    assert times.asked == [FIRST, OTHER]
    assert entry_of(tuner, larger) == before
    drive(tuner.best(spec_of(larger), no_pause))
    assert tuner.known_ms(spec_of(larger)) == pytest.approx(1.0, rel=1e-2)


def test_a_kernel_that_loses_clearly_on_another_shape_is_searched_for_there(
    backend: WasmBackend, times: Times
) -> None:
    larger, smaller = product(64), product(62)
    store = visited(backend, times, larger)
    times.ms[OTHER] = 0.5
    tuner = next_visit(backend, store)
    tuner.observe(smaller)
    finish(tuner)
    entry = entry_of(tuner, smaller)
    assert (entry.candidate, entry.spec) == (OTHER, spec_of(smaller).name)
    assert tuner.known_ms(spec_of(smaller)) == pytest.approx(0.5, rel=1e-2)


def test_a_kernel_that_is_no_candidate_for_another_shape_stays_for_its_own(
    backend: WasmBackend, times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger, smaller = product(64), product(62)
    store = visited(backend, times, larger)
    ranked = wasm_trials._ranked

    def proposed(spec: KernelSpec, device: WasmDevice) -> dict[str, Any]:
        found = ranked(spec, device)
        if spec == spec_of(smaller):
            del found[FIRST]
        return found

    monkeypatch.setattr(wasm_trials, "_ranked", proposed)
    tuner = next_visit(backend, store)
    before = entry_of(tuner, larger)
    tuner.observe(smaller)
    finish(tuner)
    assert times.asked == []
    assert entry_of(tuner, larger) == before


def test_what_threads_gain_on_one_shape_is_not_kept_of_another(
    backend: WasmBackend, times: Times
) -> None:
    larger, smaller, team = product(128), product(126), Team(1.1)
    times.ms |= {FIRST: 1.0, OTHER: 2.0}
    store = Store()
    tuner = team_tuner(backend, team, store)
    tuner.observe(larger)
    finish(tuner)
    team.told = 1.9
    tuner = next_visit(backend, store, team)
    before = entry_of(tuner, larger)
    revision = tuner.revision
    tuner.observe(smaller)
    finish(tuner)
    assert entry_of(tuner, larger) == before
    assert tuner.gain(spec_of(smaller), 2) == 1.9
    assert tuner.revision > revision


def test_a_kernel_that_gives_up_its_place_takes_all_its_gains_with_it(
    backend: WasmBackend, times: Times
) -> None:
    program, team = product(128), Team(1.9)
    team.count = 4
    times.ms |= {FIRST: 1.0, OTHER: 2.0}
    store = Store()
    tuner = team_tuner(backend, team, store)
    tuner.observe(program)
    finish(tuner)
    times.ms[OTHER] = 0.95
    tuner = next_visit(backend, store, team)
    tuner._gains[spec_of(program).name, 2] = 1.9
    tuner.observe(program)
    finish(tuner)
    assert entry_of(tuner, program).candidate == OTHER
    assert tuner.gain(spec_of(program), 2) is None


def test_both_kernels_are_in_the_engine_while_they_are_compared(backend: WasmBackend) -> None:
    """Nothing is made up here: the engine computes, and what it computes is checked."""
    spec = spec_of(product())
    trials = PairedTrials(spec, backend.kernels, WasmDevice.typical(relaxed_simd=True), clock())
    one, other = (option.text for option in trials.options[:2])
    loaded = [trials._load(text) for text in (one, other)]
    for text in (one, other, one):
        sample = drive(trials.answer(Window(text=text, first=False), no_pause))
        assert isinstance(sample, Sample)
        verdict = drive(trials.answer(Check(text=text), no_pause))
        assert isinstance(verdict, Verdict)
        assert verdict.error <= verdict.bound
    assert [trials._load(text) for text in (one, other)] == loaded


def test_a_search_goes_on_where_an_earlier_visit_stopped(
    backend: WasmBackend, times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each visit has time for three: the best so far, the next best, and one that is new."""
    program, store, asked = product(64), Store(), []
    monkeypatch.setattr(tuning, "BUDGET_MS", 0.0)
    options = WasmTrials(
        spec_of(program), backend.kernels, wasm_device(RECORD, relaxed=True), clock()
    ).options
    texts = [option.text for option in options]
    times.ms |= {text: 2.0 - 0.1 * number for number, text in enumerate(texts)}
    tuner = tuner_for(backend, store)
    for _ in range(len(texts)):
        tuner.observe(program)
        finish(tuner)
        asked.append(times.asked[:])
        times.asked.clear()
        tuner = next_visit(backend, store)
    searches = [asked[0], *(one for one in asked[1:] if len(one) == 3)]
    assert asked[0] == texts[:3]
    assert asked[1] == [texts[2], texts[1], texts[3]]
    assert {text for one in searches for text in one} == set(texts)
    assert len(searches) == len(texts) - 2
    # Then it has come to its end, and what it has found is looked at.
    assert asked[-1] == [texts[-1], texts[-2]]
    assert entry_of(tuner, program).tried == ()


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
    finish(third)
    assert third.shape(spec_of(program)) is None


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
    asked = len(team.asked)
    tuner.observe(program)
    finish(tuner)
    assert len(team.asked) == asked + again
    assert tuner.gain(spec_of(program), 2) == (1.9 if again else first)
    # Without a search: its kernel is known.
    assert tuner.shape(spec_of(program)) is None
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
    finish(alone)
    drive(alone._keep(spec_of(program)))
    assert next_visit(backend, store, Team(9.0)).gain(spec_of(program), 2) == 1.7
