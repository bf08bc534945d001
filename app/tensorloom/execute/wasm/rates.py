"""How long WASM takes here: the schedules' model of cycles, scaled by measured rates.

    duration = a run and its inputs + bytes first touched / cold_bytes_per_ms
               + bytes of inputs / looked_bytes_per_ms
               + cycles of each kernel / rate of its form and type
               + what was carried: exponents taken out / their rates

A run is all that a user waits for, Python's part included. Whoever waits has done something else
before, so what surrounds the kernels is measured after a rest, when caches have gone cold; the
kernels themselves in a row. The model knows each kernel's form and what it moves; how fast a form
runs in this engine is measured, in a moment when nobody waits. A kernel that was tuned brings its
measured time instead. How many exponents a program carries is known once it has run.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import islice
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.calibration import LEAST_LEFT, in_turn_ms, matrix_chain, no_pause
from tensorloom.execute.microbench import clock_tick_ms
from tensorloom.execute.wasm.carried import NOTHING_CARRIED
from tensorloom.kernels.arena import small_runs
from tensorloom.kernels.lower import lower
from tensorloom.kernels.ranges import SAFE_LOG2
from tensorloom.kernels.wasm.records import group_cycles
from tensorloom.kernels.wasm.schedule import Kernel
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.calibration import Pause, Replay
    from tensorloom.execute.wasm.carried import Carried
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Form
    from tensorloom.model.recipe import DType

__all__ = [
    "CYCLES_PER_MS",
    "TYPICAL_RATES",
    "WasmRates",
    "measured_rates",
    "typical",
]

CYCLES_PER_MS = 3e6
"""What the model's cycles are nominally: a tuned kernel's are its time times this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmRates:
    """What turns modelled cycles into time.

    Args:
        run_ms: Every run [ms].
        input_ms: Every array given to a run [ms].
        bound_run_ms: The run of a program that is a single call, see ``bound`` [ms].
        bound_input_ms: An array given to such a program [ms].
        carry_ms: An exponent taken out of an intermediate [ms].
        carried_bytes_per_ms: Bytes of those [bytes/ms].
        cold_bytes_per_ms: Bytes of arrays that a run is the first to touch [bytes/ms].
        looked_bytes_per_ms: Bytes of inputs whose magnitudes are looked at [bytes/ms].
        cycles_per_ms: Cycles of the model per millisecond, of kernels that were not measured.
        measured: The same as ``cycles_per_ms`` for forms of kernels and types that were.
    """

    run_ms: float
    input_ms: float
    cycles_per_ms: float
    bound_run_ms: float = 0.03
    bound_input_ms: float = 0.003
    carry_ms: float = 0.06
    carried_bytes_per_ms: float = 4e5
    cold_bytes_per_ms: float = 1e7
    looked_bytes_per_ms: float = 2e7
    measured: tuple[tuple[Form, DType, float], ...] = ()

    def rate(self, kernel: Kernel | FusedKernel) -> float:
        """Cycles per millisecond; of another type of the same form if need be."""
        if not isinstance(kernel, Kernel):
            return self.cycles_per_ms
        if kernel.form == "jit":
            return CYCLES_PER_MS
        form = {dtype: rate for name, dtype, rate in self.measured if name == kernel.form}
        return form.get(kernel.dtype) or (median(form.values()) if form else self.cycles_per_ms)

    def step_times(self, program: Program, sheet: RecordSheet) -> list[float]:
        """What each dispatch takes in one slice, without the start of a run [ms].

        Args:
            program: What runs.
            sheet: Its records.
        """
        rates = [self.rate(kernel) for kernel in sheet.kernels]
        times = [0.0] * len(program.dispatches)
        records = zip(sheet.dispatches, sheet.slots, sheet.record_cycles, strict=True)
        for dispatch, slot, cycles in islice(records, sheet.main):
            times[dispatch] += cycles / rates[slot]
        return times

    def work_ms(self, program: Program, sheet: RecordSheet, *, grouped: bool = False) -> float:
        """What the kernels take of it, in all slices [ms].

        Args:
            program: What runs.
            sheet: Its records.
            grouped: Whether small steps, still records of their own, will be groups.
        """
        times = self.step_times(program, sheet)
        for first, last in small_runs(program) if grouped else ():
            times[first:last] = [0.0] * (last - first)
            times[first] = self._group_ms(program, first, last)
        once = sum(times[: program.prologue])
        return once + program.n_slices * sum(times[program.prologue :])

    def _group_ms(self, program: Program, first: int, last: int) -> float:
        """What the model will expect of a group of steps, once it is one [ms]."""
        steps = program.dispatches[first:last]
        mul_adds = sum(program.kernels[step.kernel].mul_adds for step in steps)
        return group_cycles(len(steps), mul_adds) / self.cycles_per_ms

    def predict(
        self,
        program: Program,
        sheet: RecordSheet,
        *,
        arena_bytes: int = 0,
        bound: bool = False,
        carried: Carried = NOTHING_CARRIED,
        grouped: bool = False,
    ) -> float:
        """Expected duration of a program [ms].

        Args:
            program: What runs.
            sheet: Its records.
            arena_bytes: Memory of its intermediates [bytes].
            bound: Whether it is a single call.
            carried: What it carried when it ran last.
            grouped: Whether its small steps, still records of their own, will be groups.
        """
        item = ITEM_BYTES[program.dtype]
        inputs = [buffer.elements for buffer in program.buffers if buffer.source is not None]
        given_bytes = item * sum(inputs)
        made_bytes = item * program.buffers[program.result].elements + arena_bytes
        # What carries exponents is no single call, though it is tried as one each time.
        alone = self.run_ms + len(inputs) * self.input_ms
        tried = self.bound_run_ms + len(inputs) * self.bound_input_ms if bound else 0.0
        return (
            (tried if bound and not carried.times else tried + alone)
            + (given_bytes + made_bytes) / self.cold_bytes_per_ms
            + given_bytes / self.looked_bytes_per_ms
            + self.work_ms(program, sheet, grouped=grouped)
            + carried.times * self.carry_ms
            + carried.n_bytes / self.carried_bytes_per_ms
        )


def typical(found: Sequence[WasmRates]) -> WasmRates:
    """The middle one of several measurements, in each figure.

    What disturbs makes a duration longer, but a difference of two of them longer or shorter, and
    processors are faster for a moment: neither the best nor the mean would be what runs take.
    """
    kinds = dict.fromkeys(kind[:2] for one in found for kind in one.measured)
    measured = tuple(
        (*kind, median(rate for one in found for *it, rate in one.measured if (*it,) == kind))
        for kind in kinds
    )
    numbers = {
        field.name: median(getattr(one, field.name) for one in found)
        for field in fields(WasmRates)
        if field.name != "measured"
    }
    return WasmRates(measured=measured, **numbers)


TYPICAL_RATES = WasmRates(run_ms=0.15, input_ms=0.015, cycles_per_ms=2.8e6)
"""One core: Zen 4, Chromium 156."""

WARM_MS = 8.0
"""Engines need up to this long to put their better translation in place (Chromium 156)."""

WINDOW_MS, TICKS = 1.5, 10
"""A window is at least so long, and so many ticks of the clock [ms]."""

COARSE_TICK_MS = 0.5
"""Clocks that tick slower (Firefox, WebKit: 1 ms) made runs of 10 us look like 1 ms, and numpy like
the faster backend; there the typical rates are the better guess [ms]."""

WINDOWS = 3
"""Others work on this machine too: the best of so many counts, with a pause before each."""

TRUSTED = 2.0
"""Forms and types differ from their median by at most this factor; what is beyond was disturbed."""

UNTRUSTED = 2.0
"""Rates that come from small differences differ from the typical ones by at most this factor."""

_BOUND = 66
"""Matrices in the longer program that is a single call: Python's share of an input is 2 us there,
and has to be told from the clock's ticks."""

_ALONE = 34
"""Matrices in the longer program of single records."""

_NOT_FUSED = 26
"""Side of matrices whose product is no small step (``kernels.arena``): they run one by one."""

_FEW, _WIDE = 8, 96
"""Matrices in the programs that carry exponents, and a side from which their numbers cost more
than the calls."""

_LEAST_MS = 5e-4

_SIDE = 1024

_DIAGONAL = ContractionTree(
    inputs=(("i", "i"),), output=("i",), dimensions=(("i", _SIDE),), path=()
)
"""Much to look at, little to do."""

_TOUCHING = ("ij,ij->ij", (512, 512))
"""Much to touch for the first time, little to do."""

_Sample = tuple["Form", "DType", str, tuple[int, ...]]

_SAMPLES: tuple[_Sample, ...] = (
    ("gemm", "float32", "ij,jk->ik", (192, 192, 192)),
    ("gemm", "float64", "ij,jk->ik", (160, 160, 160)),
    ("gemm", "complex64", "ij,jk->ik", (128, 128, 128)),
    ("gemm", "complex128", "ij,jk->ik", (112, 112, 112)),
    ("run", "float32", "ij,jk->ik", (4, 512, 512)),
    ("run", "complex64", "ij,jk->ik", (2, 256, 512)),
    ("sum", "float64", "ij,j->i", (512, 512)),
)
"""Form, type, and a product that takes this form, small enough for the caches and long enough to
tell it from an empty run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """A program with its inputs.

    Args:
        program: What runs.
        arrays: On what.
        work: One run.
    """

    program: Program
    arrays: tuple[NDArray[Any], ...]
    work: Callable[[], Awaitable[object]]

    @property
    def touched_bytes(self) -> int:
        """Bytes of inputs and result [bytes]."""
        made = self.program.buffers[self.program.result].elements * self.arrays[0].itemsize
        return made + sum(array.nbytes for array in self.arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Where programs are timed; see ``measured_rates``."""

    replay: Replay
    sheet_of: Callable[[Program], RecordSheet]
    clock: Callable[[], float]
    tick_ms: float
    pause: Pause

    def timed(
        self, program: Program, shapes: Sequence[tuple[int, ...]], value: float = 1.0
    ) -> _Timed:
        """The program on arrays full of one number."""
        arrays = tuple(np.full(shape, value, program.dtype) for shape in shapes)

        async def work() -> None:
            await self.replay(program, arrays)

        return _Timed(program=program, arrays=arrays, work=work)

    def chain(self, length: int, side: int, *, carried: bool = False) -> _Timed:
        """A chain of equal matrices; each product's exponent is carried, or none is."""
        value = 2.0 ** (SAFE_LOG2["float64"] - 1) if carried else 1 / side
        program = lower(matrix_chain(length, side), "float64")
        return self.timed(program, [(side, side)] * length, value)

    async def in_a_row_ms(self, one: _Timed) -> float:
        """One run of many, caches warm [ms]."""
        return await _best_ms(one.work, self.clock, self.tick_ms, self.pause)

    async def in_turn_ms(self, *ones: _Timed) -> list[float]:
        """One run of each after a rest; few, as backends keep few programs ready [ms]."""
        return await in_turn_ms([one.work for one in ones], self.clock, self.pause)

    def cycles(self, one: _Timed) -> float:
        """What the model expects, now that it has run: its small steps are one by then."""
        return self.sheet_of(one.program).cycles


async def measured_rates(
    replay: Replay,
    sheet_of: Callable[[Program], RecordSheet],
    clock: Callable[[], float],
    pause: Pause = no_pause,
) -> WasmRates:
    """Rates from a few small programs, within about 300 ms; about 20 ms between pauses.

    Args:
        replay: Runs a program with its arrays.
        sheet_of: The records of a program.
        clock: Seconds.
        pause: Lets others have their turn; as long as a user is away, so that caches go cold.
    """
    tick_ms = clock_tick_ms(clock)
    if tick_ms > COARSE_TICK_MS:
        return TYPICAL_RATES
    bench = _Bench(replay=replay, sheet_of=sheet_of, clock=clock, tick_ms=tick_ms, pause=pause)
    around = await _around(bench)
    samples = [
        (form, bench.timed(*_product(text, sizes, dtype))) for form, dtype, text, sizes in _SAMPLES
    ]
    whole = [await bench.in_a_row_ms(one) for _, one in samples]
    # From all that was and will be measured an empty run is taken off: who held up the first may
    # have gone.
    again_ms = await bench.in_a_row_ms(bench.chain(2, _NOT_FUSED))
    around = replace(around, in_a_row_ms=min(around.in_a_row_ms, again_ms))
    rates: list[tuple[Form, DType, float]] = []
    for (form, one), whole_ms in zip(samples, whole, strict=True):
        work_ms = whole_ms - around.in_a_row_ms
        # Another engine may have chosen another form here: then the sample says nothing. Nor does
        # one that takes hardly longer than an empty run, which others have held up.
        kernels = sheet_of(one.program).kernels
        told = work_ms > LEAST_LEFT * whole_ms
        if told and {k.form for k in kernels if isinstance(k, Kernel)} == {form}:
            rates.append((form, one.program.dtype, (bench.cycles(one) - around.cycles) / work_ms))
    overall = median(rate for _, _, rate in rates) if rates else TYPICAL_RATES.cycles_per_ms
    diagonal = bench.timed(lower(_DIAGONAL, "float32"), [(_SIDE, _SIDE)])
    whole_ms = await bench.in_a_row_ms(diagonal)
    looked_ms = whole_ms - around.in_a_row_ms - bench.cycles(diagonal) / overall
    told = looked_ms > LEAST_LEFT * whole_ms
    looked = 4 * _SIDE**2 / looked_ms if told else TYPICAL_RATES.looked_bytes_per_ms
    return replace(
        around.rates(overall),
        looked_bytes_per_ms=looked,
        measured=tuple(
            (form, dtype, min(max(rate, overall / TRUSTED), overall * TRUSTED))
            for form, dtype, rate in rates
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """Durations of the programs that tell what surrounds kernels, each after a rest [ms].

    Args:
        bound: Two inputs and one step in a single call; and ``_BOUND`` inputs.
        alone: Two inputs and one step as a record; and ``_ALONE`` inputs.
        carried: ``_FEW`` of those inputs with exponents carried, and of ``_WIDE`` ones.
        wide: The latter without.
        cold_ms: What the first touch adds to a run in a row, its start not counted [ms].
        cold_bytes: To how many bytes.
        in_a_row_ms: The shorter one of ``alone``, one of many runs [ms].
        cycles: The same program's.
        each_cycles: What one more input adds, in a single call and as a record.
    """

    bound: tuple[float, float]
    alone: tuple[float, float]
    carried: tuple[float, float]
    wide: float
    cold_ms: float
    cold_bytes: int
    in_a_row_ms: float
    cycles: float
    each_cycles: tuple[float, float]

    def rates(self, cycles_per_ms: float) -> WasmRates:
        """The same as rates, the kernels' share taken off."""
        each = [
            (long - short) / (count - 2)
            for (short, long), count in ((self.bound, _BOUND), (self.alone, _ALONE))
        ]
        work = [cycles / cycles_per_ms for cycles in self.each_cycles]
        inputs = [max(_LEAST_MS, one - own) for one, own in zip(each, work, strict=True)]
        runs = [
            max(_LEAST_MS, short - 2 * one - own)
            for (short, _), one, own in zip((self.bound, self.alone), inputs, work, strict=True)
        ]
        plain = self.alone[0] + (_FEW - 2) * each[1]
        carry = max(_LEAST_MS, (self.carried[0] - plain) / (_FEW - 1))
        numbers = (self.carried[1] - self.wide) / (_FEW - 1) - carry
        typical = TYPICAL_RATES
        return WasmRates(
            bound_run_ms=runs[0],
            bound_input_ms=inputs[0],
            run_ms=runs[1],
            input_ms=inputs[1],
            carry_ms=carry,
            carried_bytes_per_ms=_believable(8 * _WIDE**2, numbers, typical.carried_bytes_per_ms),
            cold_bytes_per_ms=_believable(self.cold_bytes, self.cold_ms, typical.cold_bytes_per_ms),
            cycles_per_ms=cycles_per_ms,
        )


def _believable(n_bytes: float, ms: float, typical: float) -> float:
    """A rate from the difference of two durations, which noise may have made anything."""
    found = n_bytes / ms if ms > 0 else typical
    return min(max(found, typical / UNTRUSTED), typical * UNTRUSTED)


async def _around(bench: _Bench) -> _Around:
    bound, bound_long = bench.chain(2, 2), bench.chain(_BOUND, 2)
    bound_ms, bound_long_ms = await bench.in_turn_ms(bound, bound_long)
    bound_cycles = bench.cycles(bound_long) - bench.cycles(bound)
    alone, alone_long = bench.chain(2, _NOT_FUSED), bench.chain(_ALONE, _NOT_FUSED)
    carried = bench.chain(_FEW, _NOT_FUSED, carried=True)
    in_a_row_ms = await bench.in_a_row_ms(alone)
    alone_ms, alone_long_ms, carried_ms = await bench.in_turn_ms(alone, alone_long, carried)
    alone_cycles = bench.cycles(alone_long) - bench.cycles(alone)
    wide, plain = bench.chain(_FEW, _WIDE, carried=True), bench.chain(_FEW, _WIDE)
    touching = bench.timed(*_product(*_TOUCHING, "float32"))
    touched_ms = await bench.in_a_row_ms(touching)
    wide_ms, plain_ms, first_ms = await bench.in_turn_ms(wide, plain, touching)
    return _Around(
        bound=(bound_ms, bound_long_ms),
        alone=(alone_ms, alone_long_ms),
        carried=(carried_ms, wide_ms),
        wide=plain_ms,
        cold_ms=(first_ms - touched_ms) - (alone_ms - in_a_row_ms),
        cold_bytes=touching.touched_bytes - alone.touched_bytes,
        in_a_row_ms=in_a_row_ms,
        cycles=bench.cycles(alone),
        each_cycles=(bound_cycles / (_BOUND - 2), alone_cycles / (_ALONE - 2)),
    )


async def _best_ms(
    work: Callable[[], Awaitable[object]],
    clock: Callable[[], float],
    tick_ms: float,
    pause: Pause,
) -> float:
    """One call once the engine is warm: the best window of a few [ms]."""
    await pause()
    start = clock()
    calls = 0
    warm_ms = 0.0
    while warm_ms < WARM_MS:
        await work()
        calls += 1
        warm_ms = 1e3 * (clock() - start)
    window_ms = max(WINDOW_MS, TICKS * tick_ms)
    repeats = ceil(window_ms * calls / warm_ms)
    times = []
    for _ in range(WINDOWS):
        await pause()
        start = clock()
        for _ in range(repeats):
            await work()
        times.append(1e3 * (clock() - start) / repeats)
    return max(min(times), tick_ms / repeats)


def _product(
    text: str, sizes: tuple[int, ...], dtype: DType
) -> tuple[Program, list[tuple[int, ...]]]:
    """A product of two tensors, its indices' sizes in alphabetical order; and their shapes."""
    operands, out = text.split("->")
    left, right = operands.split(",")
    dimensions = tuple(zip("ijk", sizes, strict=False))
    tree = ContractionTree(
        inputs=(tuple(left), tuple(right)), output=tuple(out), dimensions=dimensions, path=((0, 1),)
    )
    size = dict(dimensions)
    return lower(tree, dtype), [tuple(size[name] for name in names) for names in (left, right)]
