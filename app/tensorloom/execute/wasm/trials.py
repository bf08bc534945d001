"""Trials of one shape on the WASM engine: candidates are compiled, timed and checked aside.

Losers leave nothing behind: candidates take turns in one slot of the driver's table, on operands of
their own that are freed with the trials. Large shapes are timed on a part of them, cut as pauses
cut them; nobody waits longer than about 20 ms for a pause.
"""

from __future__ import annotations

from functools import cached_property, partial
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tensorloom.errors import Cancelled, TensorloomError
from tensorloom.execute.microbench import WARM_MS, clock_tick_ms
from tensorloom.execute.oracle import GUARD, filled, largest_error, rounding_bound
from tensorloom.kernels.lone import lone_step
from tensorloom.kernels.wasm.driver import TABLE_SIZE
from tensorloom.kernels.wasm.jit import jit_kernel, jit_ranking, jit_schedule
from tensorloom.kernels.wasm.layout import RECORD_FIELDS
from tensorloom.kernels.wasm.modules import module_for
from tensorloom.kernels.wasm.records import address, record_sheet, settled
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.tune.search import Check, Failure, Option, Sample, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.jit import WasmDevice
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.tune.search import Answer, Request

    Pause = Callable[[], Awaitable[None]]

__all__ = ["MOST_OPERAND_BYTES", "TRIAL_SLOT", "PairedTrials", "WasmTrials", "wasm_ways"]

TRIAL_SLOT = TABLE_SIZE - 2
"""Slot of the driver's table in which candidates take turns; kernels in use never get it."""

_PAIR_SLOTS = TRIAL_SLOT, TRIAL_SLOT - 1

MOST_OPERAND_BYTES = 256 << 20
"""Larger shapes are not tried aside: there may be no room for a second set of operands."""

CYCLES_PER_MS = 3e6
PART_MS = 6.0
"""A run of a window takes at most about this long."""

WINDOW_MS = 1.5
TICKS = 40
"""A window is at least this many ticks of the clock, so that agreeing within 3 % means something:
about 4 ms where clocks tick in 0.1 ms, 40 ms where in 1 ms."""

SLICE_MS = 20.0
"""Longer windows are cut by pauses [ms]."""

MOST_REPEATS = 1024

COST_MS = 40.0
"""Trying a candidate: compiling, warming up, windows, and the check of some [ms]."""

_COLUMN = {name: offset // 4 for name, offset in RECORD_FIELDS.items()}
_RANGES = slice(_COLUMN["batch_start"], _COLUMN["column_stop"] + 1)


class _Ranked(NamedTuple):
    """A candidate before its tables are made."""

    kernel: Kernel
    cycles: float
    schedule: Callable[[], Schedule]


def wasm_ways(spec: KernelSpec, device: WasmDevice) -> dict[str, Schedule]:
    """All candidates of a spec by text, in the order of ``WasmTrials``."""
    return {text: ranked.schedule() for text, ranked in _ranked(spec, device).items()}


def _ranked(spec: KernelSpec, device: WasmDevice) -> dict[str, _Ranked]:
    """Candidates by text, the most promising first.

    The ready-made kernel, which runs so far, has the second place: time may not do for all.
    """
    ready = schedule(spec, relaxed=device.relaxed_simd)
    ordered = [
        (
            candidate.text,
            _Ranked(
                jit_kernel(spec, candidate), cycles, partial(jit_schedule, spec, candidate, device)
            ),
        )
        for candidate, cycles in jit_ranking(spec, device)
    ]
    generic = _Ranked(ready.kernel, ready.cycles, lambda: ready)
    ordered.insert(1, (f"generic {ready.kernel.form}", generic))
    return dict(ordered)


class WasmTrials:
    """Answers the requests of a search for one shape.

    Args:
        spec: The shape; not unary.
        kernels: The engine.
        device: What candidates are proposed for.
        clock: Seconds.

    Attributes:
        options: Candidates for ``Search``.
    """

    def __init__(
        self,
        spec: KernelSpec,
        kernels: WasmKernels,
        device: WasmDevice,
        clock: Callable[[], float],
    ) -> None:
        self._spec = spec
        self._kernels = kernels
        self._clock = clock
        self._ranked = _ranked(spec, device)
        self._ways: dict[str, Schedule] = {}
        self._program = lone_step(spec)
        self._operands: _Operands | None = None
        self._loaded: _Loaded | None = None
        self._tick_ms = clock_tick_ms(clock)
        self._window_ms = max(WINDOW_MS, TICKS * self._tick_ms)
        cut = "" if self._program.peak_bytes <= MOST_OPERAND_BYTES else "too large to try aside"
        self.options = tuple(
            Option(
                text=text,
                predicted_ms=ranked.cycles / CYCLES_PER_MS,
                family=text.split(" ", 1)[0],
                cut="thrown out before" if kernels.is_out(ranked.kernel) else cut,
                cost_ms=COST_MS,
            )
            for text, ranked in self._ranked.items()
        )

    def way(self, text: str) -> Schedule:
        """How a candidate runs; its tables are made when first asked for."""
        if text not in self._ways:
            self._ways[text] = self._ranked[text].schedule()
        return self._ways[text]

    async def answer(self, request: Request, pause: Pause) -> Answer:
        """Serves a request; what goes wrong is a failure of the candidate.

        Args:
            request: From a ``Search``.
            pause: Lets others have their turn; if it raises ``Cancelled``, so does this, and the
                request may be asked again.
        """
        start = self._clock()

        def spent() -> float:
            return 1e3 * (self._clock() - start)

        try:
            if isinstance(request, Check):
                error, bound = await self._check(request.text, pause)
                return Verdict(error=error, bound=bound, spent_ms=spent())
            ms = await self._window(request.text, pause, first=request.first)
            return Sample(ms=ms, spent_ms=spent())
        except Cancelled:
            raise
        # An engine raises what it likes where a kernel traps: in browsers errors of JavaScript.
        except Exception as error:  # noqa: BLE001  # they have no class in common
            words = error.message if isinstance(error, TensorloomError) else str(error)
            self._loaded = None
            return Failure(reason=words.splitlines()[0][:160] if words else "it failed",
                           spent_ms=spent())  # fmt: skip

    def _load(self, text: str) -> _Loaded:
        """The candidate, compiled, with records for its operands."""
        if self._loaded is None or self._loaded.text != text:
            self._loaded = self._entered(text, TRIAL_SLOT)
        return self._loaded

    def _entered(self, text: str, slot: int) -> _Loaded:
        if self._operands is None:
            self._operands = _Operands(self._program, self._kernels)
        return _Loaded(text, self.way(text), self._operands, self._kernels, slot)

    async def _window(self, text: str, pause: Pause, *, first: bool) -> float:
        loaded = self._load(text)
        if first:
            await self._warm(loaded, pause)
        spent = await self._timed(loaded, pause)
        if spent < self._window_ms / 2 and loaded.repeats < MOST_REPEATS:
            # The machine was busy while it warmed up, so it is repeated too seldom.
            self._repeat_more(loaded, spent)
            spent = await self._timed(loaded, pause)
        # A clock may stand still over a short window; no run takes no time.
        return max(spent, self._window_ms / TICKS / 2) / loaded.repeats / loaded.share

    async def _warm(self, loaded: _Loaded, pause: Pause) -> None:
        """Runs until the engine has put its better code in place, and finds how often to repeat."""
        warm = 0.0
        while True:
            spent = await self._timed(loaded, pause)
            warm += spent
            enough = spent >= self._window_ms or loaded.repeats == MOST_REPEATS
            if enough and warm >= WARM_MS:
                break
            if not enough:
                self._repeat_more(loaded, spent)
        wanted = self._window_ms / max(spent / loaded.repeats, 1e-4)
        loaded.repeats = min(MOST_REPEATS, max(1, ceil(wanted)))

    def _repeat_more(self, loaded: _Loaded, spent: float) -> None:
        """Repetitions for a window, after a shorter one took ``spent`` [ms].

        What a clock shows may be a tick too little; taken as more, no window gets much too long.
        """
        wanted = ceil(1.2 * self._window_ms * loaded.repeats / (spent + self._tick_ms))
        loaded.repeats = min(MOST_REPEATS, max(loaded.repeats + 1, wanted))

    async def _timed(self, loaded: _Loaded, pause: Pause) -> float:
        """All repetitions, some at a time where they take long [ms]."""
        spent, left = 0.0, loaded.repeats
        while left > 0:
            await pause()
            times = min(left, loaded.at_once)
            start = self._clock()
            loaded.run_part(times)
            took = 1e3 * (self._clock() - start)
            loaded.at_once = max(1, floor(times * SLICE_MS / (took + self._tick_ms)))
            spent, left = spent + took, left - times
        return spent

    async def _check(self, text: str, pause: Pause) -> tuple[float, float]:
        loaded = self._load(text)
        operands = loaded.operands
        # What a kernel does not write shows too.
        operands.out[...] = np.nan
        for first, last in loaded.pieces:
            await pause()
            loaded.run_whole(first, last)
        await pause()
        written = operands.out[len(operands.out) - GUARD :]
        if not np.isnan(written).all():
            return float("inf"), 0.0
        left, right = operands.inputs
        error = largest_error(self._spec, left, right, operands.out)
        return error, rounding_bound(self._spec, left, right)


class PairedTrials(WasmTrials):
    """The same for two candidates that are timed in turns: each stays where it is."""

    @cached_property
    def _pair(self) -> dict[str, _Loaded]:
        return {}

    def _load(self, text: str) -> _Loaded:
        if text not in self._pair:
            assert len(self._pair) < len(_PAIR_SLOTS)
            self._pair[text] = self._entered(text, _PAIR_SLOTS[len(self._pair)])
        return self._pair[text]


class _Operands:
    """Arrays in the engine's memory, with guards behind them."""

    def __init__(self, program: Program, kernels: WasmKernels) -> None:
        self.program = program
        self.inputs = [
            self._made(kernels, buffer.elements)
            for buffer in program.buffers
            if buffer.source is not None
        ]
        for seed, array in enumerate(self.inputs, start=1):
            filled(array, seed)
        self.out = self._made(kernels, program.buffers[program.result].elements)
        if len(self.inputs) == 1:
            self.inputs.append(kernels.one[program.dtype])
        place = kernels.host.address
        every = [*self.inputs[: len(program.buffers) - 1], self.out, kernels.one[program.dtype]]
        self.addresses = np.array([place(array) for array in every], np.uint32)

    def _made(self, kernels: WasmKernels, elements: int) -> NDArray[Any]:
        size = (elements + GUARD) * ITEM_BYTES[self.program.dtype]
        return kernels.host.empty(size).view(self.program.dtype)


class _Loaded:
    """A candidate in a slot of the driver's table, with its records."""

    def __init__(
        self, text: str, way: Schedule, operands: _Operands, kernels: WasmKernels, slot: int
    ) -> None:
        self.text = text
        self.operands = operands
        self.repeats = 1
        self.at_once = 1
        self._kernels = kernels
        host = kernels.host
        assert kernels.driver is not None  # its table must exist before a kernel enters it
        host.load(slot, module_for(way.kernel, host.features))
        sheet = record_sheet(operands.program, relaxed=kernels.relaxed, plans=[way])
        self._descriptors = host.placed(sheet.descriptors)
        self.pieces = sheet.pieces
        words = settled(
            sheet, [slot], host.address(self._descriptors), host.address(kernels.workspace)
        )
        address(words, sheet, operands.addresses)
        words[:, _COLUMN["check"]] = 0
        self._whole = host.placed(words)
        part = np.repeat(words[:1], MOST_REPEATS, axis=0)
        ranges, self.share = _part(way)
        part[:, _RANGES] = ranges
        self._part = host.placed(part)

    def run_part(self, repeats: int) -> None:
        """Runs the part that is timed some times in a row."""
        self._kernels.run(self._kernels.host.address(self._part), 0, repeats, 0.0, float("inf"))

    def run_whole(self, first: int, last: int) -> None:
        """Runs records of the whole shape."""
        self._kernels.run(self._kernels.host.address(self._whole), first, last, 0.0, float("inf"))


def _part(way: Schedule) -> tuple[list[int], float]:
    """Ranges of about ``PART_MS`` of work, and their share of the whole.

    Batches are left out first; then rows and columns alike, so that packing keeps its proportion as
    far as it can.
    """
    batch, rows, columns = way.extents
    share = min(1.0, PART_MS * CYCLES_PER_MS / max(1.0, way.cycles))
    taken = max(1, round(batch * share))
    side = sqrt(min(1.0, share * batch / taken))
    ends = [
        taken,
        *(min(size, ceil(size * side / way.grain) * way.grain) for size in (rows, columns)),
    ]
    ranges = [edge for end in ends for edge in (0, end)]
    return ranges, ends[0] * ends[1] * ends[2] / (batch * rows * columns)
