"""The WASM backend: programs replayed by SIMD kernels on the memory numpy's arrays live in.

A program is prepared once (``kernels.wasm.records``), settled in the engine's memory once, and
replayed as often as numbers change (``replay``).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from tensorloom.errors import DeviceMemoryError, UnsupportedKernel
from tensorloom.execute.calibration import no_pause, whole_run
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.wasm.bound import Bound, can_bind
from tensorloom.execute.wasm.carried import NOTHING_CARRIED, Carried, carried_in
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.execute.wasm.rates import TYPICAL_RATES, WasmRates, measured_rates, typical
from tensorloom.execute.wasm.replay import (
    Prepared,
    Replay,
    Settled,
    prepared,
    settle,
    with_plans,
)
from tensorloom.execute.wasm.threads import ThreadedRuns
from tensorloom.kernels.wasm.schedule import Kernel
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause
    from tensorloom.execute.wasm.host import WasmHost
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel, Group
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Schedule
    from tensorloom.model.recipe import DType

__all__ = ["Chooser", "WasmBackend", "make"]

LIMIT_BYTES = 1 << 31
"""Pyodide's heap ends at 4 GiB; half of it leaves room for copies and fragmentation."""

_KEPT_PROGRAMS = 4
"""Programs whose records are kept, so that dragging a value prepares nothing anew."""


_FUSED_FROM = 2
"""The run from which on small steps are fused."""


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A program between its runs.

    Args:
        prepared: Its records; it keeps the program alive, so an equal ``id`` is the same program.
        settled: What it has in the engine's memory, once it has run.
        outgoing: Kernels of the way it ran before, held until it has settled in another: most of
            them stay, and would be compiled again.
        bound: What runs it again in one call, where that can be.
        runs: How often it has run without that.
        under_way: Runs that wait within a pause: until they end, its kernels keep their places.
        plans: How its kernels run, where the chooser said.
        revision: Of the chooser when it was asked.
        saved_ms: What threads save of it, where the chooser knows [ms].
        alone: Whether threads are not asked again.
        carried: Exponents that the last run took out.
    """

    prepared: Prepared
    settled: Settled | None = None
    outgoing: tuple[Kernel | FusedKernel, ...] = ()
    bound: Bound | None = None
    runs: int = 0
    under_way: int = 0
    plans: tuple[Schedule, ...] | None = None
    revision: int = -1
    saved_ms: float | None = None
    alone: bool = False
    carried: Carried = NOTHING_CARRIED


class Chooser(Protocol):
    """Knows better kernels than the model; ``execute.tuning.Tuner`` does."""

    @property
    def revision(self) -> int:
        """Grows whenever the answers may change."""

    def plans_for(self, program: Program) -> tuple[Schedule, ...] | None:
        """How to run each kernel of a program; ``None`` for the model's choice."""

    def saved_ms(self, program: Program) -> float | None:
        """What threads save of a program; ``None`` where that was not measured [ms]."""

    def without(self, kernel: Kernel) -> None:
        """A generated kernel was thrown out; it is not to be proposed again."""


async def make() -> WasmBackend:
    """The backend on the browser's engine, with typical rates until it is measured.

    Raises:
        UnsupportedKernel: The engine has no SIMD, or computes wrongly.
    """
    host = BrowserHost()
    backend = WasmBackend(host)
    # An engine that cannot is found out now, not at the first result.
    assert backend.kernels.driver is not None
    backend.threads = ThreadedRuns.here(host.features)
    return backend


class WasmBackend:
    """Replays programs with WASM kernels.

    Args:
        host: The engine.
        limit_bytes: Most bytes a program may hold alive [bytes].
        rates: How fast it is; typical ones unless measured.

    Attributes:
        chooser: Who is asked for kernels before the model is.
        threads: Where big programs run instead, if the page is isolated.
    """

    name: BackendName = "wasm"
    is_software = True
    dtypes: tuple[DType, ...] = ("float64", "complex128", "float32", "complex64")

    def __init__(
        self, host: WasmHost, *, limit_bytes: int = LIMIT_BYTES, rates: WasmRates = TYPICAL_RATES
    ) -> None:
        self.limit_bytes = limit_bytes
        self.rates = rates
        self._found: list[WasmRates] = []
        self._kernels = WasmKernels(host)
        self.chooser: Chooser | None = None
        self.threads: ThreadedRuns | None = None
        self._kept: dict[int, _Kept] = {}
        self._latest: _Kept | None = None
        self._fusings = 0
        self._carryings = 0

    @property
    def revision(self) -> tuple[int, int]:
        """Changes whenever programs may run otherwise than they did."""
        chosen = -1 if self.chooser is None else self.chooser.revision
        return self._fusings + self._carryings, chosen

    @property
    def detail(self) -> str:
        """The device in a few words."""
        threads = "" if self.threads is None else f", {self.threads.count} threads for big steps"
        return f"SIMD {'with' if self._kernels.relaxed else 'without'} fused multiply-add{threads}."

    @property
    def kernels(self) -> WasmKernels:
        """The engine's kernels, for measuring beside the runs."""
        return self._kernels

    @property
    def counts(self) -> Mapping[str, int]:
        """What is kept between runs: programs, kernels in the table, bytes of engine memory."""
        settled = [known.settled for known in self._kept.values() if known.settled is not None]
        arrays = [array for one in settled for array in (one.descriptors, one.records, one.scanned)]
        bound = [known.bound for known in self._kept.values() if known.bound is not None]
        return {
            "programs": len(self._kept),
            "slots": self._kernels.n_slots,
            "bytes": sum(array.nbytes for array in arrays) + sum(one.nbytes for one in bound),
        }

    def groups(self, program: Program) -> tuple[Group, ...] | None:
        """The fused groups of a program that ran; ``None`` while they wait for its second run."""
        known = self._kept.get(id(program))
        if known is None or self._on_threads(known):
            return ()
        return known.prepared.groups if known.runs >= _FUSED_FROM else None

    def peak_bytes(self, program: Program) -> int:
        """What the program says; where threads run it, with what is copied for them [bytes]."""
        shared = self.threads is not None and self._shared(program, self._saved_ms(program))
        return program.peak_bytes + (_copied_bytes(program) if shared else 0)

    def _saved_ms(self, program: Program) -> float | None:
        """What threads save of a program, where there are any and it was measured [ms]."""
        if self.threads is None or self.chooser is None:
            return None
        return self.chooser.saved_ms(program)

    def _shared(self, program: Program, saved_ms: float | None) -> bool:
        """Whether threads run a program: where that is faster, and the copies have room."""
        return (
            self.threads is not None
            and self.threads.worth(program, saved_ms)
            and program.peak_bytes + _copied_bytes(program) <= self.limit_bytes
        )

    def _on_threads(self, known: _Kept) -> bool:
        """Whether threads run a program."""
        return not known.alone and self._shared(known.prepared.program, known.saved_ms)

    def predicted_ms(self, program: Program) -> float:
        """Expected duration [ms]."""
        known = self._known(program)
        made = known.prepared
        # Small steps become groups at the second run; the first one compiles, and is no measure.
        to_group = known.runs < _FUSED_FROM and not made.groups
        alone_ms = self.rates.predict(
            program,
            made.sheet,
            arena_bytes=made.arena_bytes,
            bound=can_bind(made, grouped=to_group),
            carried=known.carried,
            grouped=to_group,
        )
        if self.threads is None or not self._shared(program, known.saved_ms):
            return alone_ms
        return alone_ms - self._expected_saving_ms(known) + self.threads.copies_ms(program)

    def _expected_saving_ms(self, known: _Kept) -> float:
        """What threads save of a program that they run, measured or not [ms]."""
        if known.saved_ms is not None:
            return known.saved_ms
        assert self.threads is not None
        work_ms = self.rates.work_ms(known.prepared.program, known.prepared.sheet)
        return work_ms * (1 - 1 / self.threads.count)

    def step_ms(self, program: Program) -> list[float]:
        """What each dispatch takes in one slice; threads are taken to help all of them alike [ms].

        Of the program as it is: steps that were made into programs of their own for this would
        push out the ones that the user runs.
        """
        known = self._known(program)
        times = self.rates.step_times(program, known.prepared.sheet)
        work_ms = sum(times)
        if not work_ms or not self._shared(program, known.saved_ms):
            return times
        left = max(0.0, 1 - self._expected_saving_ms(known) / work_ms)
        return [left * time for time in times]

    async def measure(
        self, clock: Callable[[], float] = perf_counter, pause: Pause = no_pause
    ) -> None:
        """Replace the typical rates by measured ones, in about 300 ms of work.

        Args:
            clock: Seconds.
            pause: Called about every 20 ms; what it raises ends the measurement.
        """

        def sheet_of(program: Program) -> RecordSheet:
            return self._known(program).prepared.sheet

        # Whoever comes back finds the programs that ran before as warm as they were.
        users, self._kept, self._latest = self._kept, {}, None
        try:
            found = await measured_rates(whole_run(self), sheet_of, clock, pause)
        finally:
            for known in self._kept.values():
                self._forget(known)
            self._kept, self._latest = users, None
        self._found.append(found)
        self.rates = typical(self._found)

    def make_ready(self) -> None:
        """Brings the program that ran last to where its next run would: fused, compiled, tested.

        In idle time, so that nobody waits for it; what fails is told by that run.
        """
        known = next(reversed(self._kept.values()), None)
        if known is None or known.under_way or self._on_threads(known):
            return
        self._choose(known)
        if known.runs > 0 and (known.runs < _FUSED_FROM or known.settled is None):
            with suppress(UnsupportedKernel, MemoryError):
                self._settle(known)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``.

        A kernel that turns out wrong, or stops half way, is thrown out, and the run begins again
        with the next best; a note says so.
        """
        notes: tuple[str, ...] = ()
        while True:
            known = self._known(program)
            try:
                raw = await self._run(known, arrays, pulse)
            except UnsupportedKernel as error:
                if not self._replaced(known):
                    raise
                notes = (*notes, f"{error.message.removesuffix('.')}. {_INSTEAD}")
            except MemoryError as error:
                needed = bytes_text(program.peak_bytes)
                raise DeviceMemoryError(
                    "out-of-memory",
                    f"WebAssembly ran out of memory; {needed} were needed.",
                    "Slice an index, make a dimension smaller, or send it to a heavy worker.",
                    values={"neededBytes": str(program.peak_bytes)},
                ) from error
            else:
                return replace(raw, notes=notes) if notes else raw

    async def _run(self, known: _Kept, arrays: Sequence[NDArray[Any]], pulse: Pulse) -> RawResult:
        program = known.prepared.program
        if self.threads is not None and self._on_threads(known):
            self._prove(known)
            try:
                return await self.threads.run(program, known.plans, arrays, pulse)
            except UnsupportedKernel as error:
                # No helpers, or no room for a second set of arrays: here is need of neither. A
                # kernel that has stopped half way does so here too, and is found out.
                known.alone = error.code == "wasm-stopped"
        if known.bound is not None:
            found = known.bound.run(arrays)
            if found is not None:
                if known.carried is not NOTHING_CARRIED:
                    self._learn(known, NOTHING_CARRIED)
                return found
            known.bound.release()
        settled = self._settle(known)
        replay = Replay(known.prepared, settled, self._kernels, arrays)
        known.under_way += 1
        try:
            found = await replay.result(pulse)
            self._learn(known, carried_in(program, replay.taken))
            return found
        finally:
            known.under_way -= 1
            if self._kept.get(id(program)) is not known and not known.under_way:
                # Another one took its place while it waited; only this run still had its kernels.
                self._forget(known)

    def _learn(self, known: _Kept, carried: Carried) -> None:
        """What a run carried, the next one of the same network will carry too."""
        if carried != known.carried:
            known.carried = carried
            self._carryings += 1

    def _known(self, program: Program) -> _Kept:
        """What is kept of a program, which is now the one used last."""
        latest = self._latest
        if latest is not None and latest.prepared.program is program:
            self._choose(latest)
            return latest
        known = self._kept.pop(id(program), None)
        if known is None:
            known = _Kept(prepared=self._prepared(program, None))
        self._kept[id(program)] = known
        self._choose(known)
        self._trim()
        self._latest = known
        return known

    def _prepared(
        self, program: Program, plans: Sequence[Schedule] | None, *, fused: bool = False
    ) -> Prepared:
        found = prepared(program, relaxed=self._kernels.relaxed, fused=fused, plans=plans)
        if fused and any(self._kernels.is_out(group.kernel) for group in found.groups):
            return self._prepared(program, plans)
        return found

    def _trim(self) -> None:
        """Forgets the programs used longest ago, but none that is under way."""
        *others, _newest = self._kept.items()
        for key, known in others:
            if len(self._kept) <= _KEPT_PROGRAMS:
                return
            if not known.under_way:
                del self._kept[key]
                self._forget(known)

    def _forget(self, known: _Kept) -> None:
        self._leave(known)
        self._let_go(known)

    def _leave(self, known: _Kept) -> None:
        """It will run otherwise; its kernels stay until it has settled again."""
        if known.settled is not None:
            known.outgoing += tuple(known.prepared.sheet.kernels)
            known.settled = known.bound = None

    def _let_go(self, known: _Kept) -> None:
        self._kernels.release(known.outgoing)
        known.outgoing = ()

    def _choose(self, known: _Kept) -> None:
        """Takes better kernels where the chooser knows some by now."""
        if self.chooser is None or known.revision == self.chooser.revision or known.under_way:
            return
        known.revision = self.chooser.revision
        known.saved_ms = self._saved_ms(known.prepared.program)
        plans = self.chooser.plans_for(known.prepared.program)
        if plans != known.plans:
            self._replan(known, plans)

    def _replan(self, known: _Kept, plans: tuple[Schedule, ...] | None) -> None:
        self._leave(known)
        known.plans = plans
        relaxed = self._kernels.relaxed
        if any(self._kernels.is_out(group.kernel) for group in known.prepared.groups):
            known.prepared = self._prepared(known.prepared.program, plans)
        else:
            known.prepared = with_plans(known.prepared, plans, relaxed=relaxed)

    def _settle(self, known: _Kept) -> Settled:
        """The program in the engine's memory; its small steps fused when it runs again.

        Most programs run once; making their groups would take longer than it saves.
        """
        known.runs += 1
        if known.runs == _FUSED_FROM:
            fused = self._prepared(known.prepared.program, known.plans, fused=True)
            if fused.steps:
                self._leave(known)
                known.prepared = fused
                self._fusings += 1
        if known.settled is None:
            known.settled = settle(known.prepared, self._kernels)
            self._let_go(known)
            if can_bind(known.prepared):
                known.bound = Bound(known.prepared, known.settled, self._kernels)
        return known.settled

    def _prove(self, known: _Kept) -> None:
        """Has the kernels tested here before they run elsewhere."""
        for kernel in known.prepared.sheet.kernels:
            self._kernels.slot(kernel)
            self._kernels.release([kernel])

    def _replaced(self, known: _Kept) -> bool:
        """Whether a program has other kernels now, after one of its own did not do.

        The chooser's next best take the place of those that were thrown out; where it knows none,
        or the engine refused what it knew, the model's choice does.
        """
        kernels, program = self._kernels, known.prepared.program
        out = [kernel for kernel in known.prepared.sheet.kernels if kernels.is_out(kernel)]
        if not out and known.plans is None:
            return False
        plans = None
        if out and self.chooser is not None:
            for kernel in out:
                if isinstance(kernel, Kernel) and kernel.spec is not None:
                    self.chooser.without(kernel)
            plans = self.chooser.plans_for(program)
            if plans is not None and any(kernels.is_out(plan.kernel) for plan in plans):
                plans = None
        made = self._prepared(program, plans, fused=known.runs >= _FUSED_FROM)
        if any(kernels.is_out(kernel) for kernel in made.sheet.kernels):
            return False
        revision = -1 if self.chooser is None else self.chooser.revision
        fresh = _Kept(prepared=made, runs=known.runs, plans=plans, revision=revision)
        self._kept[id(program)] = self._latest = fresh
        if not known.under_way:
            self._forget(known)
        return True


_INSTEAD = "It was thrown out, and another one computed this."


def _copied_bytes(program: Program) -> int:
    """What a run on threads holds beside the program: inputs and results are in both memories.

    A single result passes through a third one, JavaScript's, on its way back.
    """
    inputs = sum(buffer.elements for buffer in program.buffers if buffer.source is not None)
    kept = sum(program.buffers[number].elements for number in program.kept)
    results = prod(program.shape) * (1 if program.kept else 2) + kept
    return (inputs + results) * ITEM_BYTES[program.dtype]
