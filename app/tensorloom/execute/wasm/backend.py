"""The WASM backend: programs replayed by SIMD kernels on the memory numpy's arrays live in.

A program is prepared once (``kernels.wasm.records``), settled in the engine's memory once, and
replayed as often as numbers change (``replay``).
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.execute.wasm.rates import TYPICAL_RATES, WasmRates, measured_rates
from tensorloom.execute.wasm.replay import Prepared, Replay, Settled, prepared, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


_FUSED_FROM = 2
"""The run from which on small steps are fused."""


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A program between its runs.

    Args:
        prepared: Its records; it keeps the program alive, so an equal ``id`` is the same program.
        settled: What it has in the engine's memory, once it has run.
        runs: How often it has.
    """

    prepared: Prepared
    settled: Settled | None = None
    runs: int = 0


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
        self._kept: dict[int, _Kept] = {}

    @property
    def detail(self) -> str:
        """The device in a few words."""
        return f"SIMD {'with' if self._kernels.relaxed else 'without'} fused multiply-add."

    @property
    def counts(self) -> Mapping[str, int]:
        """What is kept between runs: programs, kernels in the table, bytes of engine memory."""
        settled = [known.settled for known in self._kept.values() if known.settled is not None]
        arrays = [array for one in settled for array in (one.descriptors, one.records, one.scanned)]
        return {
            "programs": len(self._kept),
            "slots": self._kernels.n_slots,
            "bytes": sum(array.nbytes for array in arrays),
        }

    def predicted_ms(self, program: Program) -> float:
        """Expected duration [ms]."""
        return self.rates.predict(program, self._known(program).prepared.sheet)

    async def measure(self, clock: Callable[[], float] = perf_counter) -> None:
        """Replace the typical rates by measured ones, in about 100 ms."""

        async def replay(program: Program, arrays: list[NDArray[Any]]) -> RawResult:
            return await self.run(program, arrays, no_pulse)

        def sheet_of(program: Program) -> RecordSheet:
            return self._known(program).prepared.sheet

        self.rates = await measured_rates(replay, sheet_of, clock)

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        known = self._known(program)
        try:
            settled = self._settle(known)
            replay = Replay(known.prepared, settled, self._kernels, arrays)
        except MemoryError as error:
            raise DeviceMemoryError(
                "out-of-memory",
                f"WebAssembly ran out of memory; {bytes_text(program.peak_bytes)} were needed.",
                "Slice an index, make a dimension smaller, or send it to a heavy worker.",
                values={"neededBytes": str(program.peak_bytes)},
            ) from error
        return await replay.result(pulse)

    def _known(self, program: Program) -> _Kept:
        """What is kept of a program, which is now the one used last."""
        known = self._kept.pop(id(program), None)
        if known is None:
            relaxed = self._kernels.relaxed
            known = _Kept(prepared=prepared(program, relaxed=relaxed, fused=False))
        self._kept[id(program)] = known
        if len(self._kept) > _KEPT_PROGRAMS:
            dropped = self._kept.pop(next(iter(self._kept)))
            self._kernels.release(dropped.prepared.sheet.kernels)
        return known

    def _settle(self, known: _Kept) -> Settled:
        """The program in the engine's memory; its small steps fused when it runs again.

        Most programs run once; making their groups would take longer than it saves.
        """
        known.runs += 1
        if known.runs == _FUSED_FROM:
            program, relaxed = known.prepared.program, self._kernels.relaxed
            fused = prepared(program, relaxed=relaxed, fused=True)
            if fused.steps:
                known.prepared, known.settled = fused, None
        if known.settled is None:
            known.settled = settle(known.prepared, self._kernels)
        return known.settled
