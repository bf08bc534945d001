"""The WASM backend: programs replayed by SIMD kernels on the memory numpy's arrays live in.

A program is prepared once (``kernels.wasm.records``), settled in the engine's memory once, and
replayed as often as numbers change (``replay``).
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.execute.wasm.rates import TYPICAL_RATES, WasmRates, measured_rates
from tensorloom.execute.wasm.replay import Prepared, Replay, Settled, settle
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.wasm.records import record_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, Pulse, RawResult
    from tensorloom.execute.wasm.host import WasmHost
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.model.recipe import DType

__all__ = ["WasmBackend", "make"]

LIMIT_BYTES = 1 << 31
"""Pyodide's heap ends at 4 GiB; half of it leaves room for copies and fragmentation."""

_KEPT_PROGRAMS = 4
"""Programs whose records are kept, so that dragging a value prepares nothing anew."""


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
    is_software = True
    dtypes: tuple[DType, ...] = ("float64", "complex128", "float32", "complex64")

    def __init__(
        self, host: WasmHost, *, limit_bytes: int = LIMIT_BYTES, rates: WasmRates = TYPICAL_RATES
    ) -> None:
        self.limit_bytes = limit_bytes
        self.rates = rates
        self._kernels = WasmKernels(host)
        self._prepared: dict[int, Prepared] = {}
        self._settled: dict[int, Settled] = {}

    @property
    def detail(self) -> str:
        """The device in a few words."""
        return f"SIMD {'with' if self._kernels.relaxed else 'without'} fused multiply-add."

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
            replay = Replay(prepared, self._settle(prepared), self._kernels, arrays)
        except MemoryError as error:
            raise DeviceMemoryError(
                "out-of-memory",
                f"WebAssembly ran out of memory; {bytes_text(program.peak_bytes)} were needed.",
                "Slice an index, make a dimension smaller, or send it to a heavy worker.",
                values={"neededBytes": str(program.peak_bytes)},
            ) from error
        return await replay.result(pulse)

    def _prepare(self, program: Program) -> Prepared:
        known = self._prepared.get(id(program))
        # The record keeps its program alive, so an equal id is the same program.
        if known is None:
            offsets, arena_bytes = place_buffers(program)
            known = Prepared(
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

    def _settle(self, prepared: Prepared) -> Settled:
        known = self._settled.get(id(prepared.program))
        if known is None:
            known = settle(prepared, self._kernels)
            self._settled[id(prepared.program)] = known
        return known
