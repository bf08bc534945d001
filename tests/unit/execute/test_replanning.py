"""Better kernels arrive while a network runs again and again: what stays is not made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from chains import chain, matrices
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.calibration import Rates
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import WORTH_SHARING_MS, prepare
from tensorloom.execute.wasm import backend as wasm_backend
from tensorloom.execute.wasm import kernels as wasm_kernels
from tensorloom.execute.wasm import proof
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.rates import WasmRates
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.fused import FusedKernel
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule

DEVICE = WasmDevice.typical(relaxed_simd=True)
SIDES = (2, 3, 2, 3, 2, 64, 64, 64)
"""Small steps that become a group, and two that are big enough to be tuned."""


class Tuned:
    """Knows another candidate for big steps whenever it is told so."""

    revision = 0
    text = ""

    def plans_for(self, program: Program) -> tuple[Schedule, ...] | None:
        if not self.text:
            return None
        candidate = Candidate.parse(self.text)
        return tuple(
            jit_schedule(spec, candidate, DEVICE)
            if spec.mul_adds >= 64 * 64
            else schedule(spec, relaxed=True)
            for spec in program.kernels
        )

    def find(self, text: str) -> None:
        self.text = text
        self.revision += 1

    def saved_ms(self, _program: Program) -> None:
        return None

    def without(self, kernel: Kernel) -> None:
        raise AssertionError(kernel)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Kernel | FusedKernel]:
    """The kernels that are generated and compiled."""
    made: list[Kernel | FusedKernel] = []
    generate = wasm_kernels.module_for

    def module_for(kernel: Any, features: Any) -> bytes:
        made.append(kernel)
        return generate(kernel, features)

    monkeypatch.setattr(wasm_kernels, "module_for", module_for)
    return made


def test_a_tuned_kernel_makes_no_group_anew(loaded: list[Kernel | FusedKernel]) -> None:
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = tuned = Tuned()
    program, arrays = lower(chain(SIDES), "float32"), matrices(SIDES, "float32")
    wanted = np.linalg.multi_dot(arrays)

    def run() -> None:
        got = drive(backend.run(program, arrays, no_pulse)).value
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())

    run()
    run()
    assert any(isinstance(kernel, FusedKernel) for kernel in loaded)
    for text in ("right 4x8", "packed 6x8 k64", "right 4x8"):
        loaded.clear()
        tuned.find(text)
        backend.predicted_ms(program)
        run()
        assert not [kernel for kernel in loaded if isinstance(kernel, FusedKernel)]
        assert len(backend.groups(program) or ()) == 1
    slots = backend.counts["slots"]
    # Each way that was left has given its kernels back.
    for text in ("packed 6x8 k64", "right 4x8"):
        tuned.find(text)
        run()
    assert backend.counts["slots"] == slots
    assert sum(backend.kernels._users.values()) == len(_made_kernels(backend, program))


def test_idle_time_makes_the_next_run_ready(loaded: list[Kernel | FusedKernel]) -> None:
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = tuned = Tuned()
    program, arrays = lower(chain(SIDES), "float32"), matrices(SIDES, "float32")
    backend.predicted_ms(program)
    backend.make_ready()
    assert loaded == [], "nothing has run yet"
    drive(backend.run(program, arrays, no_pulse))
    for text in (None, "right 4x8"):
        if text is not None:
            tuned.find(text)
        loaded.clear()
        backend.make_ready()
        assert loaded != []
        loaded.clear()
        got = drive(backend.run(program, arrays, no_pulse)).value
        assert loaded == [], "the run waited for new code"
        assert len(backend.groups(program) or ()) == 1
        wanted = np.linalg.multi_dot(arrays)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_what_cannot_be_made_ready_is_told_by_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = WasmBackend(WasmtimeHost())
    program, arrays = lower(chain(SIDES), "float32"), matrices(SIDES, "float32")
    first = drive(backend.run(program, arrays, no_pulse)).value

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as short:
        short.setattr(wasm_backend, "settle", full)
        backend.make_ready()
    again = drive(backend.run(program, arrays, no_pulse)).value
    np.testing.assert_allclose(again, first, rtol=1e-4, atol=1e-4 * np.abs(first).max())


def test_a_long_network_proves_its_groups_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit of a thousand gates has more than sixty of them."""
    proven: list[FusedKernel] = []
    prove = proof._is_right

    def is_right(kernel: FusedKernel, *more: Any) -> bool:
        proven.append(kernel)
        return prove(kernel, *more)

    monkeypatch.setattr(proof, "_is_right", is_right)
    # Small steps between large ones, a group each.
    sides = [2, *(side for number in range(24) for side in (3 + number, 4, 100, 100)), 64, 64]
    backend = WasmBackend(WasmtimeHost())
    backend.chooser = tuned = Tuned()
    program, arrays = lower(chain(sides), "float32"), matrices(sides, "float32")
    for _ in range(2):
        drive(backend.run(program, arrays, no_pulse))
    assert len(proven) == len(set(proven)) >= 20
    proven.clear()
    tuned.find("right 4x8")
    drive(backend.run(program, arrays, no_pulse))
    assert proven == []


def _made_kernels(backend: WasmBackend, program: Program) -> list[Kernel | FusedKernel]:
    sheet = backend._kept[id(program)].prepared.sheet
    return [kernel for kernel in sheet.kernels if wasm_kernels._is_made(kernel)]


class Gpu(NumpyBackend):
    """numpy under the name of a GPU."""

    name: BackendName = "webgpu"


def test_looking_for_a_place_pushes_no_program_out() -> None:
    """The steps were asked about as programs of their own, more than the engine keeps."""
    slow = WasmRates(run_ms=1.0, input_ms=0.01, cycles_per_ms=10.0)
    wasm = WasmBackend(WasmtimeHost(), rates=slow)
    used, arrays = lower(chain((3, 4, 5)), "float32"), matrices((3, 4, 5), "float32")
    drive(wasm.run(used, arrays, no_pulse))
    sides = (8, 9, 10, 11, 12, 13, 14, 15, 16)
    tree = chain(sides)
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    backends = {"wasm": wasm, "webgpu": Gpu(rates=gpu_rates())}
    found = prepare(plan, backends=backends, dtype="float32")  # type: ignore[arg-type]  # a GPU that is none
    assert min(one.predicted_ms for one in found.attempts) >= WORTH_SHARING_MS
    assert id(used) in wasm._kept
    assert all(len(one.prepared.program.dispatches) > 1 or one.prepared.program is used
               for one in wasm._kept.values())  # fmt: skip


def gpu_rates() -> Rates:
    return Rates(
        run_ms=1.0,
        dispatch_ms=0.1,
        bytes_per_ms=1e6,
        mul_adds_per_ms=tuple(("float32", size, 10.0) for size in ("matrix", "thin", "stream")),
    )


def test_the_steps_of_a_program_add_up_to_its_work() -> None:
    wasm = WasmBackend(WasmtimeHost())
    program = lower(chain((64, 65, 66, 67, 68)), "float64")
    steps = wasm.step_ms(program)
    assert len(steps) == len(program.dispatches)
    assert min(steps) > 0
    rest = wasm.predicted_ms(program) - sum(steps)
    assert 0 < rest < 0.5
