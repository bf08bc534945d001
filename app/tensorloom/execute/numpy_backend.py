"""The oracle: programs replayed with ``numpy_kernels``; correct in every type, first of all.

In Pyodide numpy has no BLAS, which makes this the slowest backend there, and the last resort.
"""

from __future__ import annotations

from dataclasses import replace
from math import frexp, isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import SlicesDone
from tensorloom.execute.calibration import (
    SAMPLES,
    Rates,
    batched,
    calibrate,
    least_disturbed,
    no_pause,
    predict,
    size_class,
    step_times,
    whole_run,
)
from tensorloom.execute.numpy_kernels import (
    DEPTH,
    FEW_PRODUCTS,
    MANY_PRODUCTS,
    NO_BLAS,
    copied_elements,
    run_kernel,
    taken_out,
)
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.scaling import SAFE_LOG2, SliceSum, absmax, finished, scale, shift_for
from tensorloom.kernels.slices import Slice, result_axes, slices_of
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause, Samples, SizeClass
    from tensorloom.kernels.program import Dispatch, KernelSpec, Program
    from tensorloom.model.recipe import DType

__all__ = ["NumpyBackend"]

CHUNK_MS = 30.0
"""Work between two pulses [ms]."""

_ADDING = 3
"""Arrays of a slice's size that ``scaling.add_exactly`` makes."""

PYODIDE_RATES = Rates(
    run_ms=0.2,
    dispatch_ms=0.1,
    bytes_per_ms=2e5,
    mul_adds_per_ms=(
        ("float64", "matrix", 8e5),
        ("float64", "thin", 3e5),
        ("float64", "stream", 1.5e5),
    ),
)
"""numpy 2.4 in Pyodide 314, no BLAS: a 512^3 product in 0.16 s."""

NATIVE_RATES = Rates(
    run_ms=0.07,
    dispatch_ms=0.03,
    bytes_per_ms=5e5,
    mul_adds_per_ms=(
        ("float64", "matrix", 1e7),
        ("float64", "thin", 1e6),
        ("float64", "stream", 3e5),
    ),
)
"""One core with BLAS."""


def way_of(spec: KernelSpec) -> SizeClass:
    """How ``run_kernel`` computes a kernel, as far as that decides its speed."""
    size = size_class(spec)
    batch, m, n, k = spec.extents
    if size == "stream" or k > DEPTH:
        return size
    if batch > 1 and m * n * k <= FEW_PRODUCTS:
        return "few"
    return "dots" if NO_BLAS and m * n * k >= MANY_PRODUCTS else size


def _samples() -> Samples:
    """A sample of each way; without BLAS only small matrices are multiplied by ``matmul``."""
    few: Samples = {"few": (batched(4), 1024, 16384)}
    if not NO_BLAS:
        return {**SAMPLES, **few}
    return {
        "matrix": (batched(32), 8, 256),
        "thin": (SAMPLES["thin"][0], 256, 512),
        "stream": SAMPLES["stream"],
        "dots": (SAMPLES["matrix"][0], 128, 256),
        **few,
    }


class NumpyBackend:
    """Replays programs with numpy.

    Args:
        limit_bytes: Most bytes a program may hold alive [bytes].
        rates: How fast it is; typical ones unless measured.
    """

    name: BackendName = "numpy"
    detail = "The reference, on the CPU."
    is_software = True
    dtypes: tuple[DType, ...] = ("float64", "complex128", "float32", "complex64")

    def __init__(self, *, limit_bytes: int = 2 << 30, rates: Rates | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.rates = rates or (PYODIDE_RATES if IN_BROWSER else NATIVE_RATES)
        self._found: list[Rates] = []
        self._known: tuple[Program, int] | None = None

    def peak_bytes(self, program: Program) -> int:
        """What the program says, and what numpy copies on the way [bytes]."""
        if self._known is None or self._known[0] is not program:
            self._known = program, peak_bytes(program, chunk=_chunk(program, self.rates))
        return self._known[1]

    def predicted_ms(self, program: Program) -> float:
        """Expected duration [ms]."""
        return predict(program, self.rates, size_of=way_of)

    def step_ms(self, program: Program) -> list[float]:
        """What each dispatch takes in one slice [ms]."""
        return step_times(program, self.rates, size_of=way_of)

    async def measure(
        self, clock: Callable[[], float] = perf_counter, pause: Pause = no_pause
    ) -> None:
        """Replace the typical rates by measured ones, in about 300 ms."""
        found = await calibrate(whole_run(self), self.dtypes, clock, pause, samples=_samples())
        self._found.append(found)
        self.rates = least_disturbed(self._found)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        try:
            return await _Replay(program, arrays, pulse, self.rates).result()
        except MemoryError as error:
            needed = self.peak_bytes(program)
            raise DeviceMemoryError(
                "out-of-memory",
                f"numpy ran out of memory; {bytes_text(needed)} were needed at once.",
                "Find a better order, slice an index, or send it to a heavy worker.",
                values={"neededBytes": str(needed)},
            ) from error


def _chunk(program: Program, rates: Rates) -> int:
    """Work between two pulses [multiply-adds]."""
    return max(1, int(CHUNK_MS * rates.rate(program.dtype, "matrix")))


class _Replay:
    """One run: what is alive, with its carried exponents, and how far it has come."""

    def __init__(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse, rates: Rates
    ) -> None:
        self.program = program
        self.pulse = pulse
        self.chunk = _chunk(program, rates)
        self.call_mul_adds = int(rates.dispatch_ms * rates.rate(program.dtype, "matrix"))
        self.inputs = [array.reshape(-1) for array in arrays]
        # Inputs are the caller's and stay as they are: kernels take their exponents out.
        self.exponents = dict.fromkeys(range(len(arrays)), 0)
        self.largest = {number: _exponent(absmax(array)) for number, array in enumerate(arrays)}
        # What every slice starts with.
        self.common = dict(enumerate(self.inputs))
        self.kept: list[RawResult] = []
        self.slices: SlicesDone | None = None
        self.done = 0
        self.since_pulse = 0

    async def result(self) -> RawResult:
        program = self.program
        if not program.slices:
            value, exponent = await self._slice(None)
            value = value.reshape(program.shape)
            own = bool(program.dispatches)
            whole = finished(value, exponent, program.dtype, in_place=own)
            return replace(whole, kept=tuple(self.kept))
        total = SliceSum(program.shape, program.dtype)
        axes = result_axes(program)
        await self._replay(program.dispatches[: program.prologue], self.common, self.exponents)

        async def so_far() -> RawResult:
            return finished(total.value, total.exponent or 0, program.dtype)

        for number, piece in enumerate(slices_of(program)):
            self.slices = SlicesDone(done=number, of=program.n_slices, so_far=so_far)
            value, exponent = await self._slice(piece)
            total.add(piece.out, axes, value, exponent)
            del value
        return finished(total.result(), total.exponent or 0, program.dtype, in_place=True)

    async def _slice(self, piece: Slice | None) -> tuple[NDArray[Any], int]:
        """The result of one slice and its exponent."""
        live, exponents = dict(self.common), dict(self.exponents)
        if piece is not None:
            live |= {n: array[piece.starts[n] :] for n, array in enumerate(self.inputs)}
        await self._replay(self.program.dispatches[self.program.prologue :], live, exponents)
        self.kept = [
            finished(live[number], exponents[number], self.program.dtype, in_place=True)
            for number in self.program.kept
        ]
        result = self.program.result
        if result not in live:
            return np.ones(1, self.program.dtype), 0
        return live[result], exponents[result]

    async def _replay(
        self,
        dispatches: Sequence[Dispatch],
        live: dict[int, NDArray[Any]],
        exponents: dict[int, int],
    ) -> None:
        """Dispatches one after the other; what they make and free."""
        for dispatch in dispatches:
            largest = self._unsafe(dispatch)
            out = live[dispatch.out] = await self._dispatch(dispatch, live, largest)
            exponent = exponents[dispatch.left] + taken_out(largest)
            if dispatch.right is not None:
                exponent += exponents[dispatch.right]
            size = absmax(out)
            shift = shift_for(size, self.program.dtype)
            scale(out, -shift)
            self.largest[dispatch.out] = _exponent(size) - shift
            exponents[dispatch.out] = exponent + shift
            for buffer in dispatch.frees:
                del live[buffer]

    async def _dispatch(
        self, dispatch: Dispatch, live: dict[int, NDArray[Any]], largest: tuple[int, int]
    ) -> NDArray[Any]:
        spec = self.program.kernels[dispatch.kernel]
        out = np.empty(self.program.buffers[dispatch.out].elements, self.program.dtype)
        left, right = live[dispatch.left], None if dispatch.right is None else live[dispatch.right]
        for mul_adds in run_kernel(spec, left, right, out, chunk=self.chunk, largest=largest):
            self.done += mul_adds
            self.since_pulse += mul_adds + self.call_mul_adds
            if self.since_pulse >= self.chunk:
                self.since_pulse = 0
                await self.pulse(self.done, self.slices)
        return out

    def _unsafe(self, dispatch: Dispatch) -> tuple[int, int]:
        """Exponents of the operands' largest numbers; 0 where both are in the safe range."""
        left = self.largest[dispatch.left]
        right = 0 if dispatch.right is None else self.largest[dispatch.right]
        safe = max(abs(left), abs(right)) <= SAFE_LOG2[self.program.dtype]
        return (0, 0) if safe else (left, right)


def _exponent(largest: float) -> int:
    """The binary exponent of a magnitude; 0 if it is 0 or no finite number."""
    return frexp(largest)[1] if isfinite(largest) else 0


def peak_bytes(program: Program, *, chunk: int) -> int:
    """Most bytes alive at once where numpy runs a program [bytes].

    What the program says counts operands, results and what lies between; this adds what is copied
    while a kernel runs and while slices are added up.

    Args:
        program: What would run.
        chunk: As ``run_kernel`` gets it [multiply-adds].
    """
    extra = [copied_elements(spec, chunk) for spec in program.kernels]
    size = [buffer.elements for buffer in program.buffers]
    live = counted = most = 0
    for dispatch in program.dispatches:
        live += size[dispatch.out]
        most = max(most, live + extra[dispatch.kernel])
        counted = max(counted, live - (size[dispatch.out] if dispatch.out == program.result else 0))
        live -= sum(size[buffer] for buffer in dispatch.frees)
    if program.slices:
        most = max(most, live + _ADDING * size[program.result])
    counted += size[program.result] if program.dispatches else 0
    # Less where the result comes after all else is gone; what gradients keep is counted elsewhere.
    more = max(0, most - counted) if program.kept else most - counted
    return program.peak_bytes + more * np.dtype(program.dtype).itemsize
