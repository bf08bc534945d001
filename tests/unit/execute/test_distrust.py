"""Kernels that stop half way or compute wrongly are thrown out; numbers are right all the same."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chains import chain, matrices
from tensorloom.errors import UnsupportedKernel
from tensorloom.execute import run as execute_run
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.tuned_shape import Shape
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm import kernels as wasm_kernels
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.trials import wasm_ways
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm import fused as wasm_fused
from tensorloom.kernels.wasm.assembler import Module, i32
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.jit_code import get, memory, op
from tensorloom.kernels.wasm.layout import RECORD_FIELDS
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.tune.database import Entry
from tensorloom.tune.device import CpuFacts, DeviceRecord
from tensorloom.tune.search import Option, Trial
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.execute.backend import RawResult
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule

DEVICE = WasmDevice.typical(relaxed_simd=True)
BIG = (64, 64, 64)
FIRST, SECOND = "packed 6x8 k64", "right 4x8"

UNREACHABLE = b"\x00"


def only_unreachable() -> bytes:
    """A kernel that always stops."""
    module = Module()
    module.function("kernel", ("i32",)).write(UNREACHABLE)
    return module.encode()


@contextmanager
def stopping(condition: Any = None) -> Iterator[None]:
    """Kernels that are made meanwhile stop: at once, or where code for their record says so."""
    make = Module.function

    def function(module: Module, export: str | None, *args: Any, **kwargs: Any) -> Any:
        made = make(module, export, *args, **kwargs)
        if export == "kernel":
            code = UNREACHABLE
            if condition is not None:
                code = condition(made.parameters[0]) + b"\x04\x40" + UNREACHABLE + b"\x0b"
            made.write(code)
        return made

    Module.function = function  # type: ignore[method-assign, assignment]  # to sabotage it
    try:
        yield
    finally:
        Module.function = make  # type: ignore[method-assign]  # as above


def on_two_tiles(record: Any) -> bytes:
    """Code: whether a record has more than one tile of rows; a probe's has one."""
    rows = [get(record) + memory("i32.load", RECORD_FIELDS[n]) for n in ("row_stop", "row_start")]
    return i32(1).code + rows[0] + rows[1] + op("i32.sub") + op("i32.lt_u")


class Proposals:
    """Proposes candidates for every kernel of a program, in this order."""

    def __init__(self, *texts: str) -> None:
        self.texts = [*texts]
        self.gone: list[str] = []

    @property
    def revision(self) -> int:
        return len(self.gone)

    def plans_for(self, program: Program) -> tuple[Schedule, ...] | None:
        if not self.texts:
            return None
        candidate = Candidate.parse(self.texts[0])
        return tuple(jit_schedule(spec, candidate, DEVICE) for spec in program.kernels)

    def without(self, kernel: Kernel) -> None:
        assert kernel.candidate is not None
        self.gone.append(kernel.candidate.text)
        self.texts.remove(kernel.candidate.text)


def sabotage(monkeypatch: pytest.MonkeyPatch, *texts: str, condition: Any = None) -> None:
    """Makes candidates stop."""
    make = wasm_kernels.module_for
    spoiled = [Candidate.parse(text) for text in texts]

    def module_for(kernel: Any, features: Any) -> bytes:
        if getattr(kernel, "candidate", None) in spoiled:
            with stopping(condition):
                return make(kernel, features)
        return make(kernel, features)

    monkeypatch.setattr(wasm_kernels, "module_for", module_for)


def plan_of(sides: tuple[int, ...]) -> Plan:
    tree = chain(sides)
    return Plan(tree=tree, cost=cost_of(tree), finder="greedy")


def runs(backend: WasmBackend, sides: tuple[int, ...], times: int = 3) -> list[RawResult]:
    program, arrays = lower(chain(sides), "float64"), matrices(sides)
    found = [drive(backend.run(program, arrays, no_pulse)) for _ in range(times)]
    for raw in found:
        np.testing.assert_allclose(raw.value, np.linalg.multi_dot(arrays), rtol=0, atol=1e-10)
    return found


@pytest.mark.parametrize("condition", [None, on_two_tiles], ids=["in its probe", "in the run"])
def test_the_next_candidate_takes_over(monkeypatch: pytest.MonkeyPatch, condition: Any) -> None:
    sabotage(monkeypatch, FIRST, condition=condition)
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = chooser = Proposals(FIRST, SECOND)
    first, *others = runs(backend, BIG)
    (note,) = first.notes
    assert note.startswith("The kernel jit-")
    assert FIRST.replace(" ", "-") in note
    assert " stopped half way: " in note
    assert note.endswith("It was thrown out, and another one computed this.")
    assert [raw.notes for raw in others] == [(), ()]
    assert chooser.gone == [FIRST]
    (reported,) = backend.kernels.report
    assert note.startswith(reported.removesuffix("."))
    used = {kernel.candidate for kernel in backend._kept.popitem()[1].prepared.sheet.kernels}  # type: ignore[union-attr]  # none is fused
    assert used == {Candidate.parse(SECOND)}


def test_the_ready_kernel_takes_over_from_the_last_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sabotage(monkeypatch, FIRST, condition=on_two_tiles)
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = Proposals(FIRST)
    assert len(runs(backend, BIG)[0].notes) == 1
    assert backend.chooser.texts == []


def test_a_wrong_number_gives_way_to_the_next_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    make = wasm_kernels.module_for

    def module_for(kernel: Any, features: Any) -> bytes:
        if getattr(kernel, "candidate", None) == Candidate.parse(FIRST):
            module = Module()
            module.function("kernel", ("i32",))
            return module.encode()
        return make(kernel, features)

    monkeypatch.setattr(wasm_kernels, "module_for", module_for)
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = Proposals(FIRST, SECOND)
    (note,) = runs(backend, BIG)[0].notes
    assert " wrongly. It was thrown out" in note


@pytest.mark.parametrize("once", [False, True], ids=["in its proof", "in the run"])
def test_a_group_that_stops_is_run_step_by_step(
    monkeypatch: pytest.MonkeyPatch, *, once: bool
) -> None:
    make = wasm_fused.FusedKernel.module

    def module(kernel: wasm_fused.FusedKernel, features: Any) -> bytes:
        # The kernel of a group trusts in its proof; where that is left out, a run finds it out.
        with stopping():
            return make(kernel, features)

    monkeypatch.setattr(wasm_fused.FusedKernel, "module", module)
    if once:
        monkeypatch.setattr("tensorloom.execute.wasm.replay.prove_groups", lambda *_: None)
    backend = WasmBackend(WasmtimeHost())
    notes = [raw.notes for raw in runs(backend, (3, 4, 5, 6), times=5)]
    assert [len(one) for one in notes] == [0, 1, 0, 0, 0]
    assert notes[1][0].startswith("The kernel fused-2-float64-")
    assert len(backend.kernels.report) == 1


@pytest.mark.usefixtures("no_ready_kernels")
def test_numpy_takes_over_from_the_ready_kernel() -> None:
    wasm = WasmBackend(WasmtimeHost())
    plan, arrays = plan_of(BIG), matrices(BIG)
    choice = execute_run.prepare(
        plan, backends={"wasm": wasm, "numpy": NumpyBackend()}, backend="wasm"
    )
    for _ in range(2):
        result = drive(execute_run.run(choice, arrays))
        assert result.backend == "numpy"
        assert np.array_equal(result.value, arrays[0] @ arrays[1])
        (note,) = result.notes
        assert note.startswith("WebAssembly could not run it: The kernel gemm-float64 stopped ")


@pytest.fixture
def no_ready_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are not generated all stop."""
    monkeypatch.setattr(wasm_kernels, "module_for", lambda *_: only_unreachable())


def test_results_carry_the_notes_of_their_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch, FIRST)
    wasm = WasmBackend(WasmtimeHost())
    wasm.chooser = Proposals(FIRST, SECOND)
    choice = execute_run.prepare(plan_of(BIG), backends={"wasm": wasm})
    result = drive(execute_run.run(choice, matrices(BIG)))
    assert result.backend == "wasm"
    assert [note.endswith("another one computed this.") for note in result.notes] == [True]


def test_a_stop_that_does_not_happen_again_costs_all_made_kernels_their_trust(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = Proposals(FIRST, SECOND)
    driver = backend.kernels.driver
    run = driver.run
    stops = iter([RuntimeError("memory access out of bounds")])

    class Once:
        scan = staticmethod(driver.scan)

        def run(self, *given: Any) -> int:
            # The probes before have one record with a single tile.
            for error in stops if backend._latest and backend._latest.settled else ():
                raise error
            return run(*given)

    monkeypatch.setattr(backend.kernels, "driver", Once())
    (note,) = runs(backend, BIG)[0].notes
    assert "stopped half way: memory access out of bounds. It was thrown out" in note
    assert FIRST.replace(" ", "-") in backend.kernels.report[0]


def test_another_run_that_waits_keeps_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels of a program are exchanged while another run of it is half way."""
    for module in ("records", "replay"):
        where = "kernels" if module == "records" else "execute"
        monkeypatch.setattr(f"tensorloom.{where}.wasm.{module}.PIECE_CYCLES", 1 << 16)
    sides = (150, 150, 150, 150)
    program, arrays = lower(chain(sides), "float64"), matrices(sides)
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = Proposals(FIRST, SECOND)
    inner: list[RawResult] = []

    async def pulse(_done: int, _slices: object = None) -> None:
        if not inner:
            (known,) = backend._kept.values()
            (kernel,) = known.prepared.sheet.kernels
            backend.kernels.thrown_out(kernel)
            known.settled = None
            inner.append(await backend.run(program, arrays, no_pulse))

    outer = drive(backend.run(program, arrays, pulse))
    for raw in (outer, *inner):
        np.testing.assert_allclose(raw.value, np.linalg.multi_dot(arrays), rtol=0, atol=1e-9)
    assert len(inner[0].notes) == 1
    assert backend.counts["programs"] == 1


def test_two_programs_alike_share_a_group_until_both_are_done() -> None:
    """A place in the table that one of them gave back was the other's too."""
    backend = WasmBackend(WasmtimeHost())
    sides = (3, 4, 5, 6)
    first, second = (lower(chain(sides), "float64") for _ in range(2))
    arrays = matrices(sides)
    for program in (first, second):
        for _ in range(2):
            drive(backend.run(program, arrays, no_pulse))
    # Others take the first one's place among those that are kept, and any slot that is free.
    for extra in range(2, 5):
        other = lower(chain((*sides, extra)), "float64")
        for _ in range(2):
            drive(backend.run(other, matrices((*sides, extra)), no_pulse))
    found = drive(backend.run(second, arrays, no_pulse))
    np.testing.assert_allclose(found.value, np.linalg.multi_dot(arrays), rtol=1e-12)


def test_a_program_that_cannot_settle_gives_back_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = Proposals(FIRST)
    sides = (64, 48, 40)
    program = lower(chain((*sides, 32)), "float64")
    slots = backend.kernels.slot

    def slot(kernel: Any) -> int:
        if kernel.spec == program.kernels[-1]:
            raise UnsupportedKernel("wasm-refused", "No.")
        return slots(kernel)

    monkeypatch.setattr(backend.kernels, "slot", slot)
    drive(backend.run(program, matrices((*sides, 32)), no_pulse))
    assert not backend.kernels._users


class Store:
    """Keeps what was saved."""

    text: str | None = None

    async def load(self) -> str | None:
        return self.text

    async def save(self, text: str) -> None:
        self.text = text


async def no_pause() -> None:
    pass


def texts_of(tuner: Tuner, program: Program) -> list[str]:
    """The first three candidates that are generated."""
    ways = wasm_ways(program.kernels[0], tuner.device)
    return [text for text in ways if not text.startswith("generic")][:3]


@pytest.fixture
def tuned() -> tuple[WasmBackend, Tuner, Store, Program]:
    """A backend whose tuner has tried three candidates, by a clock of its own."""
    backend, store = WasmBackend(WasmtimeHost(pages=1 << 11)), Store()
    looks = count()

    def clock() -> float:
        look = next(looks)
        return (1e-6 if look < 2000 else 2e-3) * look

    tuner = Tuner(backend.kernels, store=store, engine="wasmtime 1", clock=clock)
    facts = CpuFacts(vector_registers=16, l1_bytes=32_768, relaxed_simd=True)
    tuner.record = DeviceRecord(name="measured here", origin="measured", cpu=facts)
    tuner._loaded = True
    backend.chooser = tuner
    program = lower(chain((40, 47, 43)), "float64")
    (spec,) = program.kernels
    first, second, third = texts_of(tuner, program)
    trials = (
        Trial(option=Option(text=first), state="best", ms=1.0),
        Trial(option=Option(text=second), state="measured", ms=2.0),
        Trial(option=Option(text=third), state="measured", ms=3.0),
    )
    tuner._shapes["wasm", spec.name] = Shape(spec=spec, backend="wasm", trials=trials)
    entry = Entry(candidate=first, gflops=2e-6 * spec.mul_adds, spec=spec.name)
    tuner.database.put(tuner.key(spec, "wasm"), entry)
    tuner._changed()
    return backend, tuner, store, program


def tune(tuner: Tuner, program: Program) -> None:
    tuner.observe(program)
    while drive(tuner.step(no_pause)):
        pass


def best_of(tuner: Tuner, program: Program) -> str:
    shape = tuner.shape(program.kernels[0])
    assert shape is not None
    assert shape.best is not None
    return shape.best.option.text


def test_the_tuner_proposes_its_next_best_and_never_the_same_again(
    tuned: tuple[WasmBackend, Tuner, Store, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, tuner, store, program = tuned
    texts = texts_of(tuner, program)
    sabotage(monkeypatch, *texts, condition=on_two_tiles)
    arrays = matrices((40, 47, 43))
    found = [drive(backend.run(program, arrays, no_pulse)) for _ in range(3)]
    for raw in found:
        np.testing.assert_allclose(raw.value, arrays[0] @ arrays[1], rtol=0, atol=1e-10)
    first, *others = (raw.notes for raw in found)
    assert [text.replace(" ", "-") in note for text, note in zip(texts, first, strict=True)] == [
        True
    ] * 3
    assert others == [(), ()]
    assert len(tuner.thrown_out) == 3
    assert tuner.plans_for(program) is None
    # They are not tried again, whatever else is.
    tune(tuner, program)
    shape = tuner.shape(program.kernels[0])
    assert shape is not None
    states = {trial.option.text: trial.state for trial in shape.trials}
    assert [states[text] for text in texts] == ["cut"] * 3
    assert store.text is not None
    assert not any(f'"candidate":"{text}"' in store.text for text in texts)


def test_a_tuner_that_knows_another_kernel_by_now_keeps_it(
    tuned: tuple[WasmBackend, Tuner, Store, Program],
) -> None:
    _, tuner, _, program = tuned
    before, revision = best_of(tuner, program), tuner.revision
    way = jit_schedule(program.kernels[0], Candidate.parse(texts_of(tuner, program)[1]), DEVICE)
    tuner.without(way.kernel)
    assert (best_of(tuner, program), tuner.revision) == (before, revision)


def test_what_a_repetition_throws_out_is_noted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that cancel are repeated for the error bound: groups are made for that second run."""
    make = wasm_fused.FusedKernel.module

    def module(kernel: wasm_fused.FusedKernel, features: Any) -> bytes:
        with stopping():
            return make(kernel, features)

    monkeypatch.setattr(wasm_fused.FusedKernel, "module", module)
    sides = (3, 4, 5, 6)
    choice = execute_run.prepare(plan_of(sides), backends={"wasm": WasmBackend(WasmtimeHost())})
    first, second, third = matrices(sides)
    second[:, 1:] = 0
    first[:, 0], first[:, 1] = 1.0, -1.0
    second[0, 0], second[1, 0], second[2:, 0] = 1.0, 1.0 + 1e-13, 0.0
    result = drive(execute_run.run(choice, [first, second, third]))
    assert len(result.notes) == 1
    assert result.notes[0].startswith("The kernel fused-2-float64-")
