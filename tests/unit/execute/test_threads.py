"""Big programs on the threaded engine: which, how often they are loaded, what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm import kernels as wasm_kernels
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.page_engine import LoadedProgram
from tensorloom.execute.wasm.rates import TYPICAL_RATES
from tensorloom.execute.wasm.threads import ThreadedRuns
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.assembler import Module
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.kernels.wasm.records import record_sheet
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.backend import SlicesDone
    from tensorloom.execute.wasm.page_engine import PageEngine
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.compiled import Compiled


class FakeEngine:
    """Counts what is loaded; its programs multiply with numpy."""

    most_threads = 2

    def __init__(self) -> None:
        self.live = 0
        self.loads = 0

    async def load(self, compiled: Compiled) -> FakeProgram:
        assert compiled.threads == 2
        self.live += 1
        self.loads += 1
        return FakeProgram(self, compiled)


class FakeProgram:
    def __init__(self, engine: FakeEngine, compiled: Compiled) -> None:
        self.engine = engine
        self.compiled = compiled
        self.inputs: dict[int, Any] = {}
        self.exponents: dict[int, int] = {}
        self.steps = iter([5, 9, -1] * 9)

    def write(self, number: int, array: Any) -> None:
        self.inputs[number] = array

    def step(self) -> int:
        return next(self.steps)

    def read(self) -> tuple[Any, float]:
        return self.inputs[0] @ self.inputs[1], 0.0

    def made(self, number: int) -> Any:
        return np.full(self.compiled.elements[number], number, np.float32)

    def taken(self) -> dict[int, int]:
        return self.exponents

    def release(self) -> None:
        self.engine.live -= 1


def product(size: int) -> Program:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", size), ("k", size), ("j", size)),
        path=((0, 1),),
    )
    return lower(tree, "float32")


def summed(size: int) -> Program:
    """Three products, each a slice, added up."""
    tree = ContractionTree(
        inputs=(("s", "i", "k"), ("s", "k", "j")),
        output=("i", "j"),
        dimensions=(("s", 3), ("i", size), ("k", size), ("j", size)),
        path=((0, 1),),
        sliced=("s",),
    )
    return lower(tree, "float32")


def prologued(size: int) -> Program:
    """One product, the same in every slice, and three slices that only read it."""
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j"), ("j", "s")),
        output=("i",),
        dimensions=(("i", size), ("k", size), ("j", size), ("s", 3)),
        path=((0, 1), (3, 2)),
        sliced=("s",),
    )
    return lower(tree, "float32")


def test_big_programs_are_loaded_once_and_few_are_kept() -> None:
    engine = FakeEngine()
    threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    programs = [product(size) for size in (256, 257, 258)]
    for program in (*programs, programs[2]):
        size = program.shape[0]
        arrays = [np.ones((size, size), np.float32)] * 2
        found = drive(threads.run(program, None, arrays, no_pulse))
        assert (found.value == size).all()
    assert (engine.loads, engine.live) == (3, 2)


def test_progress_is_told_between_parts() -> None:
    told: list[int] = []

    async def pulse(done: int, _slices: object = None) -> None:
        told.append(done)

    threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    arrays = [np.ones((256, 256), np.float32)] * 2
    assert drive(threads.run(product(256), None, arrays, pulse)).log10_scale == 0
    assert told == [5, 9]


def test_runs_at_once_each_get_their_own_value() -> None:
    threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    program, one = product(256), np.ones((256, 256), np.float32)

    async def pulse(_done: int, _slices: object = None) -> None:
        await asyncio.sleep(0)

    async def both() -> list[Any]:
        runs = [threads.run(program, None, [one * k, one], pulse) for k in (1, 2)]
        return [raw.value[0, 0] for raw in await asyncio.gather(*runs)]

    assert asyncio.run(both()) == [256, 512]


def test_small_programs_stay_in_place() -> None:
    threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    found = [threads.worth(product(size), None) for size in (64, 128, 256)]
    assert found == [False, False, True]
    assert threads.count == 2


def test_slices_are_worth_it_by_what_each_of_them_does() -> None:
    threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    assert [threads.worth(summed(size), None) for size in (64, 128, 256)] == [False, False, True]
    assert prologued(256).prologue == 1
    assert not threads.worth(prologued(256), None)


def test_gradients_come_back_with_an_exponent_each() -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 256), ("k", 256), ("j", 256)),
        path=((0, 1),),
    )
    program = lower_gradient(tree, "float32", (0, 1))
    left, right = program.kept

    class Keeping(FakeEngine):
        async def load(self, compiled: Compiled) -> FakeProgram:
            made = await super().load(compiled)
            made.exponents = {0: 2, 1: 1, left: 100}
            return made

    threads = ThreadedRuns(cast("PageEngine", Keeping()), WasmFeatures())
    assert threads.worth(program, None)
    # Copied: two tensors, the seed, the value and two gradients, of 256 kB each.
    assert threads.copies_ms(program) == pytest.approx(0.1 + 6 * 256 * 256 * 4 / 4e6)
    arrays = [np.ones((256, 256), np.float32)] * 3
    found = drive(threads.run(program, None, arrays, no_pulse))
    assert found.value.shape == (256, 256)
    # Buffers hold their own number; a gradient is made of the seed and the other tensor.
    assert found.value[0, 0] == program.result * 2.0**3
    assert [(part.value[0], part.log10_scale) for part in found.kept] == [
        (np.float32(left * 2.0**101), 0),
        (right * 2.0**2, 0),
    ]


def test_a_sliced_run_tells_how_many_slices_are_added_up_and_their_sum() -> None:
    program = summed(256)
    each = program.mul_adds // 3

    class Summing(FakeEngine):
        async def load(self, compiled: Compiled) -> FakeProgram:
            made = await super().load(compiled)
            made.steps = iter([each // 2, each, 2 * each, 3 * each, -1])
            sums = iter([2.0, 3.0])

            def read() -> tuple[Any, float]:
                return np.full((256, 256), next(sums), np.float32), 7.0

            made.read = read  # type: ignore[method-assign]  # a sum that grows
            return made

    told: list[tuple[int, int]] = []
    sums: list[tuple[float, float]] = []

    async def pulse(_done: int, slices: SlicesDone | None = None) -> None:
        assert slices is not None
        told.append((slices.done, slices.of))
        if slices.done == 2:
            found = await slices.so_far()
            assert found is not None
            sums.append((found.value[0, 0], found.log10_scale))

    threads = ThreadedRuns(cast("PageEngine", Summing()), WasmFeatures())
    arrays = [np.ones((3, 256, 256), np.float32)] * 2
    found = drive(threads.run(program, None, arrays, pulse))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert sums == [(2.0, 7.0)]
    assert (found.value[0, 0], found.log10_scale) == (3.0, 7.0)


def test_what_was_measured_decides_beside_the_copies() -> None:
    threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    # Three arrays of 256 kB and of 4 MB: copied in 0.2 and 3 ms, with 0.1 ms for the calls.
    assert [threads.worth(product(256), ms) for ms in (-1.0, 0.25, 0.35)] == [False, False, True]
    assert [threads.worth(product(1024), ms) for ms in (3.0, 3.5)] == [False, True]
    # Small ones, too, if they gain.
    assert threads.worth(product(128), 1.0)


def test_without_room_for_threads_a_program_runs_in_place() -> None:
    class Full(FakeEngine):
        async def load(self, compiled: Compiled) -> FakeProgram:
            assert compiled.threads == self.most_threads
            raise UnsupportedKernel("wasm-refused", "RangeError: Maximum memory size exceeded")

    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", Full()), WasmFeatures())
    arrays = [np.ones((256, 256), np.float32)] * 2
    assert backend.threads.worth(product(256), None)
    assert (drive(backend.run(product(256), arrays, no_pulse)).value == 256).all()


def test_a_program_that_stops_on_threads_runs_in_place_from_then_on() -> None:
    class Stopping(FakeEngine):
        async def load(self, compiled: Compiled) -> FakeProgram:
            made = await super().load(compiled)

            def step() -> int:
                raise UnsupportedKernel("wasm-stopped", "A kernel stopped half way: unreachable")

            made.step = step  # type: ignore[method-assign]  # it fails at once
            return made

    engine = Stopping()
    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    arrays = [np.ones((256, 256), np.float32)] * 2
    program, other = product(256), product(257)
    for _ in range(3):
        assert (drive(backend.run(program, arrays, no_pulse)).value == 256).all()
    assert engine.loads == 1
    drive(backend.run(other, [np.ones((257, 257), np.float32)] * 2, no_pulse))
    assert engine.loads == 2


def test_kernels_are_tested_here_before_threads_run_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready kernels all stop: nothing is loaded, and the error says which it was."""
    module = Module()
    module.function("kernel", ("i32",)).write(b"\0")
    monkeypatch.setattr(wasm_kernels, "module_for", lambda *_: module.encode())
    engine = FakeEngine()
    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    with pytest.raises(UnsupportedKernel, match="The kernel gemm-float32 stopped half way"):
        drive(backend.run(product(256), [np.ones((256, 256), np.float32)] * 2, no_pulse))
    assert engine.loads == 0
    assert backend.kernels.n_slots == 0


def test_what_the_engine_says_of_a_stop_is_a_refusal() -> None:
    class Engine:
        def step(self, number: int) -> int:
            raise RuntimeError(f"unreachable in {number}\nat a place")

    loaded = LoadedProgram(Engine(), 7, cast("Compiled", None))
    with pytest.raises(UnsupportedKernel) as caught:
        loaded.step()
    assert caught.value.code == "wasm-stopped"
    assert caught.value.message == "A kernel stopped half way: unreachable in 7"


class Holding(FakeEngine):
    """Counts the bytes that the page's engine would hold for a program; see its program.ts."""

    def __init__(self) -> None:
        super().__init__()
        self.held_bytes = 0

    async def load(self, compiled: Compiled) -> FakeProgram:
        item = np.dtype(compiled.dtype).itemsize
        places = [*compiled.elements[: compiled.inputs], compiled.elements[compiled.result]]
        # The sum of slices, and beside it, in JavaScript, what its additions round away.
        places += [prod(compiled.shape)] * 2 if compiled.slices else []
        self.held_bytes = item * sum(places) + compiled.arena_bytes
        return await super().load(compiled)


def test_the_predicted_peak_counts_both_memories() -> None:
    """Arrays given, their copies, intermediates, and the result in all three places."""
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j"), ("j", "l")),
        output=("i", "l"),
        dimensions=(("i", 300), ("k", 310), ("j", 320), ("l", 330)),
        path=((0, 1), (3, 2)),
    )
    program = lower(tree, "float32")
    engine = Holding()
    threaded, plain = WasmBackend(WasmtimeHost()), WasmBackend(WasmtimeHost())
    threaded.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    sizes = dict(tree.dimensions)
    arrays = [np.ones([sizes[name] for name in names], np.float32) for names in tree.inputs]
    drive(threaded.run(program, arrays, no_pulse))
    in_python = sum(array.nbytes for array in arrays) + 300 * 330 * 4
    in_javascript = 300 * 330 * 4
    taken = in_python + in_javascript + engine.held_bytes
    assert threaded.peak_bytes(program) == pytest.approx(taken, rel=0.02)
    assert plain.peak_bytes(program) == program.peak_bytes


def test_the_predicted_peak_of_slices_counts_both_memories() -> None:
    program, engine = summed(256), Holding()
    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    arrays = [np.ones((3, 256, 256), np.float32)] * 2
    drive(backend.run(program, arrays, no_pulse))
    assert engine.loads == 1
    result_bytes = 256 * 256 * 4
    in_python = sum(array.nbytes for array in arrays) + result_bytes
    taken = in_python + result_bytes + engine.held_bytes
    assert backend.peak_bytes(program) == pytest.approx(taken, rel=0.02)


def test_the_predicted_peak_of_gradients_counts_both_memories() -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j"), ("j", "i")),
        output=(),
        dimensions=(("i", 256), ("k", 257), ("j", 258)),
        path=((0, 1), (3, 2)),
    )
    program, engine = lower_gradient(tree, "float32", (0, 2)), Holding()
    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    sizes = dict(tree.dimensions)
    arrays = [np.ones([sizes[name] for name in names], np.float32) for names in tree.inputs]
    found = drive(backend.run(program, [*arrays, np.ones((), np.float32)], no_pulse))
    assert engine.loads == 1
    given = sum(array.nbytes for array in arrays) + 4
    in_python = given + found.value.nbytes + sum(part.value.nbytes for part in found.kept)
    assert backend.peak_bytes(program) == pytest.approx(in_python + engine.held_bytes, rel=0.02)


def test_small_programs_are_copied_nowhere() -> None:
    backend = WasmBackend(WasmtimeHost())
    backend.threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    assert backend.peak_bytes(product(64)) == product(64).peak_bytes


def test_where_the_copies_have_no_room_a_program_runs_in_place() -> None:
    """What fits without threads is neither refused nor sliced for their sake."""
    engine, program = FakeEngine(), product(256)
    limit = program.peak_bytes + 1000
    backend = WasmBackend(WasmtimeHost(), limit_bytes=limit)
    backend.threads = ThreadedRuns(cast("PageEngine", engine), WasmFeatures())
    assert backend.peak_bytes(program) == program.peak_bytes
    arrays = [np.ones((256, 256), np.float32)] * 2
    assert (drive(backend.run(program, arrays, no_pulse)).value == 256).all()
    assert engine.loads == 0


def test_predictions_count_on_threads() -> None:
    """All but the kernels takes as long as alone, and the copies come on top."""
    program, rates = product(256), replace(TYPICAL_RATES, measured=())
    alone, threaded = (WasmBackend(WasmtimeHost(), rates=rates) for _ in range(2))
    threads = threaded.threads = ThreadedRuns(cast("PageEngine", FakeEngine()), WasmFeatures())
    copies_ms = threads.copies_ms(program)
    assert copies_ms == pytest.approx(0.1 + 3 * 256 * 256 * 4 / 4e6)
    sheet = record_sheet(program, relaxed=True)
    work_ms = rates.work_ms(program, sheet)
    assert work_ms == pytest.approx(sheet.cycles / rates.cycles_per_ms)
    alone_ms = alone.predicted_ms(program)
    assert threaded.predicted_ms(program) == pytest.approx(alone_ms - work_ms / 2 + copies_ms)
    small = product(64)
    assert threaded.predicted_ms(small) == alone.predicted_ms(small)
