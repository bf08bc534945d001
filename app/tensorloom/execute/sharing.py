"""Two backends for one program, where their predictions say that this is faster than either.

    shared(program, home, other) -> SharedBackend | None

Only predicted times count, never names: a software adapter that is slow at everything gets nothing.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.execute.calibration import Rates, no_pause
from tensorloom.execute.hybrid import parts, run_parts
from tensorloom.execute.placement import placed
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, BackendName, Pulse, RawResult
    from tensorloom.execute.calibration import Pause
    from tensorloom.execute.placement import Placement
    from tensorloom.kernels.program import Program
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

    def step_ms(self, program: Program) -> list[float]:
        """What each dispatch takes where it runs [ms]."""
        times = [backend.step_ms(program) for backend in self.backends]
        return [times[at][place] for place, at in enumerate(self.placement.devices)]

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

    placement = placed(program, (home.step_ms(program), other.step_ms(program)), transfer_ms)
    return SharedBackend((home, other), program, placement) if placement.is_mixed else None
