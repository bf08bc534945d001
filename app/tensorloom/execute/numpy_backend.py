"""The oracle: programs replayed with numpy's strided views; correct in every type, first of all.

Operands become batches of matrices ``(b, m, k)`` and ``(b, n, k)``, copied only where numpy must.
In Pyodide numpy has no BLAS, which makes this the slowest backend there, and the last resort.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
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
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.scaling import SliceSum, absmax, finished, scaled, shift_for
from tensorloom.kernels.slices import Slice, result_axes, slices_of
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause, Samples, SizeClass
    from tensorloom.kernels.program import Dispatch, KernelSpec, LoopAxis, Program
    from tensorloom.model.recipe import DType

__all__ = ["NumpyBackend", "run_kernel"]

CHUNK_MS = 30.0
"""Work between two pulses [ms]."""

NO_BLAS = IN_BROWSER
"""Whether ``matmul`` is a plain loop that misses the cache: 512^3 in 1.5 s in Pyodide 314."""

MANY_PRODUCTS = 1 << 20
"""Without BLAS, einsum's dot product along contiguous rows takes over from here: 0.12 s."""

DEPTH = 1024
"""Terms summed in one go. With float32, 65,536 times 0.1 sums to a relative error of 5e-4 in one
matrix product, of 4e-6 in such blocks [terms]."""

_SIDE_BY_SIDE = 1 << 13
"""Results up to this size are made for all blocks in one call; larger ones block by block."""

FEW_PRODUCTS = 64
"""Matrices with fewer multiply-adds each go to einsum: matmul's loop over batches is slower."""

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

    def peak_bytes(self, program: Program) -> int:
        """What the program says [bytes]."""
        return program.peak_bytes

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
            raise DeviceMemoryError(
                "out-of-memory",
                f"numpy ran out of memory; {bytes_text(program.peak_bytes)} were needed at once.",
                "Find a better order, slice an index, or send it to a heavy worker.",
                values={"neededBytes": str(program.peak_bytes)},
            ) from error


class _Replay:
    """One run: what is alive, with its carried exponents, and how far it has come."""

    def __init__(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse, rates: Rates
    ) -> None:
        self.program = program
        self.pulse = pulse
        rate = rates.rate(program.dtype, "matrix")
        self.chunk = max(1, int(CHUNK_MS * rate))
        self.call_mul_adds = int(rates.dispatch_ms * rate)
        self.inputs: list[NDArray[Any]] = []
        self.exponents: dict[int, int] = {}
        for number, array in enumerate(arrays):
            shift = shift_for(absmax(array), program.dtype)
            self.exponents[number] = shift
            self.inputs.append(scaled(array, -shift).reshape(-1))
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
            whole = finished(value.reshape(program.shape), exponent, program.dtype)
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
        return finished(total.result(), total.exponent or 0, program.dtype)

    async def _slice(self, piece: Slice | None) -> tuple[NDArray[Any], int]:
        """The result of one slice and its exponent."""
        live, exponents = dict(self.common), dict(self.exponents)
        if piece is not None:
            live |= {n: array[piece.starts[n] :] for n, array in enumerate(self.inputs)}
        await self._replay(self.program.dispatches[self.program.prologue :], live, exponents)
        self.kept = [
            finished(live[number], exponents[number], self.program.dtype)
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
            out = await self._dispatch(dispatch, live)
            exponent = exponents[dispatch.left]
            if dispatch.right is not None:
                exponent += exponents[dispatch.right]
            shift = shift_for(absmax(out), self.program.dtype)
            live[dispatch.out] = scaled(out, -shift)
            exponents[dispatch.out] = exponent + shift
            for buffer in dispatch.frees:
                del live[buffer]

    async def _dispatch(self, dispatch: Dispatch, live: dict[int, NDArray[Any]]) -> NDArray[Any]:
        spec = self.program.kernels[dispatch.kernel]
        out = np.empty(self.program.buffers[dispatch.out].elements, self.program.dtype)
        right = None if dispatch.right is None else live[dispatch.right]
        for mul_adds in run_kernel(spec, live[dispatch.left], right, out, chunk=self.chunk):
            self.done += mul_adds
            self.since_pulse += mul_adds + self.call_mul_adds
            if self.since_pulse >= self.chunk:
                self.since_pulse = 0
                await self.pulse(self.done, self.slices)
        return out


def run_kernel(
    spec: KernelSpec,
    left: NDArray[Any],
    right: NDArray[Any] | None,
    out: NDArray[Any],
    *,
    chunk: int = 1 << 22,
) -> Iterator[int]:
    """Runs one kernel into ``out`` piece by piece; yields the multiply-adds of each piece.

    Args:
        spec: What to do.
        left: Left operand, flat, from its first element on.
        right: Right operand likewise; ``None`` for a unary kernel.
        out: Result, flat.
        chunk: Size of a piece, about [multiply-adds].
    """
    if right is None:
        _unary(spec, left, out)
        yield spec.mul_adds
        return
    both = [axis for axis in spec.contracted if axis.left and axis.right]
    batch, m, n, _ = spec.extents
    k = prod(axis.size for axis in both)
    a = _operand(left, spec, "left", both).reshape(batch, m, k)
    b = _operand(right, spec, "right", both).reshape(batch, n, k)
    if NO_BLAS and m * n * k >= MANY_PRODUCTS:
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    c = _view(out, [(axis.size, axis.out) for axis in (*spec.batch, *spec.rows, *spec.columns)])
    in_place = _in_place(out, spec)
    whole = np.empty((batch, m, n), c.dtype) if in_place is None else in_place
    done = 0
    most = batch * m if spec.mul_adds <= chunk else max(1, chunk // (n * k))
    for batches, rows, reached in _pieces(batch, m, most):
        _product(a[batches, rows], b[batches], whole[batches, rows])
        so_far = spec.mul_adds * reached // (batch * m)
        yield so_far - done
        done = so_far
    if in_place is None:
        c[...] = whole.reshape(c.shape)


def _in_place(out: NDArray[Any], spec: KernelSpec) -> NDArray[Any] | None:
    """The result as the products come, ``(batch, m, n)``; ``None`` if it cannot be seen that way.

    Most can: in C order, or turned, which ``matmul`` writes as fast.
    """
    groups = [_one_axis(group) for group in (spec.batch, spec.rows, spec.columns)]
    return None if None in groups else _view(out, [axis for axis in groups if axis])


def _one_axis(axes: Sequence[LoopAxis]) -> tuple[int, int] | None:
    """Size and stride of axes of the result as one [elements]; ``None`` if they are none."""
    size, stride = 1, 1
    for axis in reversed(axes):
        if size > 1 and axis.size > 1 and axis.out != size * stride:
            return None
        if size == 1:
            stride = axis.out
        size *= axis.size
    return size, stride


def _pieces(batch: int, m: int, most: int) -> Iterator[tuple[slice, slice, int]]:
    """``(batches, rows, rows done so far)`` of pieces of at most about ``most`` rows."""
    batches = max(1, most // m)
    rows = m if batches > 1 else min(m, most)
    for at in range(0, batch, batches):
        end = min(at + batches, batch)
        for row in range(0, m, rows):
            reached = min(row + rows, m)
            yield slice(at, end), slice(row, reached), at * m + (end - at) * reached


@np.errstate(all="ignore")
def _unary(spec: KernelSpec, left: NDArray[Any], out: NDArray[Any]) -> None:
    kept = _view(left, [(axis.size, axis.left) for axis in (*spec.rows, *spec.contracted)])
    _view(out, [(axis.size, axis.out) for axis in spec.rows])[...] = _sums(kept, len(spec.rows))


def _sums(array: NDArray[Any], n_kept: int) -> NDArray[Any]:
    """Sums over all axes but the first ``n_kept``; long ones along memory, where numpy halves."""
    shape = array.shape[:n_kept]
    if prod(array.shape[n_kept:]) > DEPTH:
        array = array.reshape(*shape, -1)
    return np.asarray(array.sum(axis=tuple(range(n_kept, array.ndim))))


@np.errstate(all="ignore")
def _operand(
    flat: NDArray[Any], spec: KernelSpec, side: str, both: Sequence[LoopAxis]
) -> NDArray[Any]:
    """An operand's axes in matrix order, its lone indices summed."""
    lone = [axis for axis in spec.contracted if axis not in both and getattr(axis, side)]
    free = spec.rows if side == "left" else spec.columns
    order = (*spec.batch, *free, *both, *lone)
    axes = [(axis.size, getattr(axis, side)) for axis in order]
    view = _view(flat, axes)
    return _sums(view, view.ndim - len(lone)) if lone else view


@np.errstate(all="ignore")
def _product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> None:
    """The matrix product of each batch, into ``out``."""
    batch, m, k = a.shape
    n = b.shape[1]
    few, many = m * n * k <= FEW_PRODUCTS, m * n * k >= MANY_PRODUCTS
    if k == 1:
        np.multiply(a, b.swapaxes(1, 2), out=out)
    elif k > DEPTH:
        _deep_product(a, b, out)
    elif (batch > 1 and few) or (NO_BLAS and many):
        np.einsum("bmk,bnk->bmn", a, b, out=out)
    else:
        np.matmul(a, b.swapaxes(1, 2), out=out)


def _deep_product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> None:
    """The same, summed in blocks: as exact as a sum of ``DEPTH`` terms, or nearly."""
    batch, m, k = a.shape
    n = b.shape[1]
    blocks = k // DEPTH
    rest = blocks * DEPTH
    if m * n <= _SIDE_BY_SIDE:
        parts = np.empty((batch * blocks, m, n), out.dtype)
        _product(
            a[..., :rest].reshape(batch, m, blocks, DEPTH).swapaxes(1, 2).reshape(-1, m, DEPTH),
            b[..., :rest].reshape(batch, n, blocks, DEPTH).swapaxes(1, 2).reshape(-1, n, DEPTH),
            parts,
        )
        np.sum(parts.reshape(batch, blocks, m, n), axis=1, out=out)
        starts = [rest]
    else:
        _product(a[..., :DEPTH], b[..., :DEPTH], out)
        starts = [*range(DEPTH, rest, DEPTH), rest]
    part = np.empty_like(out)
    for start in starts:
        if start < k:
            _product(a[..., start : start + DEPTH], b[..., start : start + DEPTH], part)
            out += part


def _view(flat: NDArray[Any], axes: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """A view with these ``(size, stride)`` axes [elements]; numpy checks that it stays inside."""
    item = flat.itemsize
    return np.ndarray(
        [size for size, _ in axes],
        flat.dtype,
        flat,
        strides=[stride * item for _, stride in axes],
    )
