"""The WASM backend: programs replayed by SIMD kernels on the memory numpy's arrays live in.

A program becomes one sheet of records, prepared once; a run fills in addresses and replays the
sheet piece by piece, one call into WASM for as many kernels as fit between two pulses. Memory:
inputs stay where they are, intermediates share one arena, the result is an array of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import RawResult, no_pulse
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.scaling import SAFE_LOG2, SliceSum, absmax, finished, scaled, shift_for
from tensorloom.execute.wasm_host import BrowserHost
from tensorloom.execute.wasm_kernels import WasmKernels
from tensorloom.execute.wasm_rates import TYPICAL_RATES, WasmRates, measured_rates
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.slices import Slice, result_axes, slices_of
from tensorloom.kernels.wasm_records import PIECE_CYCLES, address, record_sheet, settled
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse
    from tensorloom.execute.wasm_host import WasmHost
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm_records import RecordSheet
    from tensorloom.model.recipe import DType

__all__ = ["WasmBackend", "make"]

LIMIT_BYTES = 1 << 31
"""Pyodide's heap ends at 4 GiB; half of it leaves room for copies and fragmentation."""

_KEPT_PROGRAMS = 4
"""Programs whose records are kept, so that dragging a value prepares nothing anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What a program needs besides arrays.

    Args:
        program: What it is.
        sheet: Its records, for any address.
        offsets: Where its intermediates lie in the arena [bytes].
        arena_bytes: Size of the arena.
    """

    program: Program
    sheet: RecordSheet
    offsets: NDArray[np.int64]
    arena_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What a program keeps in the engine's memory between runs.

    Args:
        descriptors: Sizes and strides of its kernels.
        records: Complete but for the operands' addresses.
    """

    descriptors: NDArray[np.uint32]
    records: NDArray[np.uint32]


async def make() -> WasmBackend:
    """The backend on the browser's engine, its rates measured.

    Raises:
        UnsupportedKernel: The engine has no SIMD, or computes wrongly.
    """
    backend = WasmBackend(BrowserHost())
    await backend.measure()
    return backend


class WasmBackend:
    """Replays programs with WASM kernels.

    Args:
        host: The engine.
        limit_bytes: Most bytes a program may hold alive [bytes].
        rates: How fast it is; typical ones unless measured.
    """

    name: BackendName = "wasm"
    dtypes: tuple[DType, ...] = ("float64", "complex128", "float32", "complex64")

    def __init__(
        self, host: WasmHost, *, limit_bytes: int = LIMIT_BYTES, rates: WasmRates = TYPICAL_RATES
    ) -> None:
        self.limit_bytes = limit_bytes
        self.rates = rates
        self._kernels = WasmKernels(host)
        self._prepared: dict[int, _Prepared] = {}
        self._settled: dict[int, _Settled] = {}

    def predicted_ms(self, program: Program) -> float:
        """Expected duration [ms]."""
        return self.rates.predict(program, self._prepare(program).sheet)

    async def measure(self, clock: Callable[[], float] = perf_counter) -> None:
        """Replace the typical rates by measured ones, in about 100 ms."""

        async def replay(program: Program, arrays: list[NDArray[Any]]) -> RawResult:
            return await self.run(program, arrays, no_pulse)

        def sheet_of(program: Program) -> RecordSheet:
            return self._prepare(program).sheet

        self.rates = await measured_rates(replay, sheet_of, clock)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        prepared = self._prepare(program)
        try:
            replay = _Replay(prepared, self._settle(prepared), self._kernels, arrays)
        except MemoryError as error:
            raise DeviceMemoryError(
                "out-of-memory",
                f"WebAssembly ran out of memory; {bytes_text(program.peak_bytes)} were needed.",
                "Slice an index, make a dimension smaller, or send it to a heavy worker.",
                values={"neededBytes": str(program.peak_bytes)},
            ) from error
        return await replay.result(pulse)

    def _prepare(self, program: Program) -> _Prepared:
        known = self._prepared.get(id(program))
        # The record keeps its program alive, so an equal id is the same program.
        if known is None:
            offsets, arena_bytes = place_buffers(program)
            known = _Prepared(
                program=program,
                sheet=record_sheet(program, relaxed=self._kernels.relaxed),
                offsets=np.array([*offsets, 0], np.int64),
                arena_bytes=arena_bytes,
            )
            self._prepared[id(program)] = known
            if len(self._prepared) > _KEPT_PROGRAMS:
                oldest = next(iter(self._prepared))
                del self._prepared[oldest]
                self._settled.pop(oldest, None)
        return known

    def _settle(self, prepared: _Prepared) -> _Settled:
        known = self._settled.get(id(prepared.program))
        if known is None:
            kernels, sheet = self._kernels, prepared.sheet
            slots = [kernels.slot(kernel) for kernel in sheet.kernels]
            descriptors = kernels.host.placed(sheet.descriptors)
            place = kernels.host.address(descriptors)
            records = settled(sheet, slots, place, kernels.host.address(kernels.workspace))
            known = _Settled(descriptors=descriptors, records=kernels.host.placed(records))
            self._settled[id(prepared.program)] = known
        return known


class _Replay:
    """One run: its memory, its exponent, and how far it has come."""

    def __init__(
        self,
        prepared: _Prepared,
        kept: _Settled,
        kernels: WasmKernels,
        arrays: Sequence[NDArray[Any]],
    ) -> None:
        self.prepared = prepared
        self.program = program = prepared.program
        self.kernels = kernels
        self.records = kept.records
        self.limit = 2.0 ** SAFE_LOG2[program.dtype]
        place = kernels.host.address
        self.inputs = [kernels.host.placed(array.reshape(-1)) for array in arrays]
        self.places = [place(array) for array in self.inputs]
        self.input_exponent = self._make_inputs_safe()
        self.arena = kernels.host.empty(prepared.arena_bytes)
        elements = program.buffers[program.result].elements if program.dispatches else 0
        self.out = kernels.host.empty(elements * ITEM_BYTES[program.dtype]).view(program.dtype)
        self.addresses = self._addresses()
        self.done = 0
        self.since_pulse = 0.0

    async def result(self, pulse: Pulse) -> RawResult:
        """All slices, added up."""
        program = self.program
        if not program.slices:
            value, exponent = await self._slice(None, pulse)
            return _result(value.reshape(program.shape), exponent, program.dtype)
        total = SliceSum(program.shape, program.dtype)
        axes = result_axes(program)
        flat = total.value.reshape(-1)
        item = flat.itemsize
        for piece in slices_of(program):
            value, exponent = await self._slice(piece, pulse)
            where = np.lib.stride_tricks.as_strided(
                flat[piece.out :],
                [size for size, _ in axes],
                [stride * item for _, stride in axes],
            )
            total.add(where, value.reshape(where.shape), exponent)
        return _result(total.value, total.exponent or 0, program.dtype)

    def _make_inputs_safe(self) -> int:
        """Takes exponents out of inputs that have left the safe range; the sum of them."""
        kernels, dtype = self.kernels, self.program.dtype
        sizes = [array.nbytes for array in self.inputs]
        scanned = np.array([self.places, sizes], np.uint32).T
        scanned = kernels.host.placed(np.ascontiguousarray(scanned))
        total = 0
        number = kernels.outside(scanned, 0, dtype, self.limit)
        while number < len(self.inputs):
            shift = shift_for(absmax(self.inputs[number]), dtype)
            if shift:
                self.inputs[number] = kernels.host.placed(scaled(self.inputs[number], -shift))
                self.places[number] = kernels.host.address(self.inputs[number])
            total += shift
            number = kernels.outside(scanned, number + 1, dtype, self.limit)
        return total

    def _addresses(self) -> NDArray[np.int64]:
        """Address of every buffer, and last that of the constant 1."""
        place = self.kernels.host.address
        found = self.prepared.offsets + place(self.arena)
        found[: len(self.inputs)] = self.places
        if self.program.dispatches:
            found[self.program.result] = place(self.out)
        found[-1] = place(self.kernels.one[self.program.dtype])
        return found

    async def _slice(self, piece: Slice | None, pulse: Pulse) -> tuple[NDArray[Any], int]:
        """The result of one slice and its exponent."""
        program, sheet = self.program, self.prepared.sheet
        if not program.dispatches:
            return self._untouched(piece)
        addresses = self.addresses
        if piece is not None:
            starts = np.array([*piece.starts, 0], np.int64)
            addresses = addresses + starts * ITEM_BYTES[program.dtype]
        numbers = addresses.astype(np.uint32)
        address(self.records, sheet, numbers)
        exponent = self.input_exponent
        before = self.done
        for number, (first, last) in enumerate(sheet.pieces):
            exponent += self._piece(first, last)
            self.done = before + sheet.done[number]
            self.since_pulse += min(sheet.cycles, PIECE_CYCLES)
            if self.since_pulse >= PIECE_CYCLES:
                self.since_pulse = 0.0
                await pulse(self.done)
                # Another run of this program may have used the records meanwhile.
                address(self.records, sheet, numbers)
        return self.out, exponent

    def _piece(self, first: int, last: int) -> int:
        """Replays records; the exponents taken out on the way."""
        place = self.kernels.host.address(self.records)
        exponent = 0
        while first < last:
            reached = self.kernels.run(place, first, last, 1 / self.limit, self.limit)
            first = abs(reached)
            if reached < 0:
                exponent += self._rescaled(self.prepared.sheet.dispatches[first - 1])
        return exponent

    def _rescaled(self, dispatch: int) -> int:
        """Takes the exponent out of what a dispatch made, in place."""
        program = self.program
        number = program.dispatches[dispatch].out
        made = self.out
        if number != program.result:
            start = int(self.prepared.offsets[number])
            stop = start + program.buffers[number].elements * ITEM_BYTES[program.dtype]
            made = self.arena[start:stop].view(program.dtype)
        shift = shift_for(absmax(made), program.dtype)
        if shift:
            made[...] = scaled(made, -shift)
        return shift

    def _untouched(self, piece: Slice | None) -> tuple[NDArray[Any], int]:
        """The result of a program without work: an input as it is, or the scalar 1."""
        program = self.program
        if program.result >= len(self.inputs):
            return np.ones(1, program.dtype), 0
        array = self.inputs[program.result]
        return array if piece is None else array[
            piece.starts[program.result] :
        ], self.input_exponent


def _result(value: NDArray[Any], exponent: int, dtype: DType) -> RawResult:
    """The result; most carry no exponent and need no look at their numbers."""
    if exponent == 0:
        return RawResult(value=value)
    return finished(value, exponent, dtype)
