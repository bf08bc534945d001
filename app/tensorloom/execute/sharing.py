"""Two backends for one program, where their predictions say that this is faster than either.

    shared(program, home, other) -> SharedBackend | None

Only predicted times count, never names: a software adapter that is slow at everything gets nothing.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.execute.calibration import Rates, no_pause, step_times
from tensorloom.execute.hybrid import one_step, parts, run_parts
from tensorloom.execute.placement import placed
from tensorloom.kernels.program import Buffer, Dispatch, KernelSpec, Program
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause
    from tensorloom.execute.placement import Placement
    from tensorloom.model.recipe import DType

__all__ = ["SharedBackend", "shared"]


class SharedBackend:
    """Runs one program, part of its steps on another backend.

    Args:
        backends: Where inputs and result are, and the other one.
        program: The only one it runs.
        placement: Where each step runs.

    Attributes:
        parts: Its steps by device.
    """

    is_software = False

    def __init__(
        self, backends: tuple[Backend, Backend], program: Program, placement: Placement
    ) -> None:
        self.backends = backends
        self.program = program
        self.placement = placement
        self.name: BackendName = backends[0].name
        self.dtypes: tuple[DType, ...] = (program.dtype,)
        self.limit_bytes = min(backend.limit_bytes for backend in backends)
        self.detail = " ".join(backend.detail for backend in backends)
        self.parts = parts(program, placement.devices)

    @property
    def places(self) -> tuple[BackendName, ...]:
        """Where each dispatch runs."""
        return tuple(self.backends[number].name for number in self.placement.devices)

    @property
    def steps(self) -> tuple[tuple[BackendName, int], ...]:
        """How many steps each backend runs."""
        counts = Counter(self.places)
        return tuple((backend.name, counts[backend.name]) for backend in self.backends)

    def peak_bytes(self, program: Program) -> int:
        """What the program says: no backend holds more than all of it [bytes]."""
        return program.peak_bytes

    def predicted_ms(self, _program: Program) -> float:
        """Expected duration, transfers included [ms]."""
        return self.placement.ms

    async def measure(
        self, clock: Callable[[], float] = perf_counter, pause: Pause = no_pause
    ) -> None:
        """Nothing: its backends measure themselves."""

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        assert program is self.program
        return await run_parts(self.parts, self.backends, arrays, pulse)


def shared(program: Program, home: Backend, other: Backend) -> SharedBackend | None:
    """A backend that shares the work, if the best placement uses both.

    Args:
        program: What is to run.
        home: Where inputs are and the result is wanted, such as WASM.
        other: A device with memory of its own; its rates tell what a transfer costs.
    """
    rates = getattr(other, "rates", None)
    if not isinstance(rates, Rates) or program.slices or program.kept:
        return None
    item = ITEM_BYTES[program.dtype]

    def transfer_ms(elements: int) -> float:
        return rates.run_ms / 2 + elements * item / rates.bytes_per_ms

    step_ms = _step_ms(program, home), _step_ms(program, other)
    placement = placed(program, step_ms, transfer_ms)
    return SharedBackend((home, other), program, placement) if placement.is_mixed else None


def _step_ms(program: Program, backend: Backend) -> list[float]:
    """What each step takes by itself, transfers and the start of a run left out."""
    rates = getattr(backend, "rates", None)
    if isinstance(rates, Rates):
        return step_times(program, rates, getattr(backend, "known_ms", lambda _spec: None))
    least = backend.predicted_ms(_nothing(program.dtype))
    first = {dispatch.kernel: dispatch for dispatch in reversed(program.dispatches)}
    times = [
        max(0.0, backend.predicted_ms(one_step(program, first[number])) - least)
        for number in range(len(program.kernels))
    ]
    return [times[dispatch.kernel] for dispatch in program.dispatches]


def _nothing(dtype: DType) -> Program:
    """The product of two numbers."""
    return Program(
        dtype=dtype,
        buffers=(Buffer(elements=1, source=0), Buffer(elements=1, source=1), Buffer(elements=1)),
        kernels=(KernelSpec(dtype=dtype),),
        dispatches=(Dispatch(kernel=0, left=0, right=1, out=2),),
        result=2,
        shape=(),
        mul_adds=1,
        peak_bytes=3 * ITEM_BYTES[dtype],
    )
