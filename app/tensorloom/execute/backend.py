"""What a backend is: it replays programs. And what a run gives back.

Backends are coroutines so that the browser's GPU can be awaited; those that never wait (numpy,
WASM, native ``wgpu``) only await the pulse. ``drive`` runs such a coroutine without an event loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

__all__ = [
    "Backend",
    "BackendName",
    "PlaceName",
    "Pulse",
    "RawResult",
    "Result",
    "SlicesDone",
    "drive",
    "no_pulse",
]

_T = TypeVar("_T")

BackendName = Literal["webgpu", "webgpu-f16", "wasm", "numpy"]
"""``webgpu-f16`` is the same device with tensors stored in 16 bits, when asked for by name."""

PlaceName = Literal["webgpu", "webgpu-f16", "wasm", "numpy", "worker"]
"""Where a result comes from: a backend here, or a heavy worker, whose own backend a note names."""


class Pulse(Protocol):
    """Called between pieces of at most about 50 ms of work: lets messages in, may cancel."""

    async def __call__(self, done_mul_adds: int, slices: SlicesDone | None = None, /) -> None:
        """Report work done so far in this run.

        Args:
            done_mul_adds: That work [multiply-adds].
            slices: How far it is with its slices, if it has any.
        """


async def no_pulse(_done_mul_adds: int, _slices: SlicesDone | None = None) -> None:
    """Nobody is listening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResult:
    """What a backend gives back.

    Args:
        value: Array of the program's shape and dtype.
        log10_scale: The true value is ``value * 10**log10_scale``; 0 unless numbers would have left
            the range on the way or in the result.
        kept: Flat arrays of the buffers that the program keeps, in its order.
        notes: What went otherwise than it should on the way, in words.
    """

    value: NDArray[Any]
    log10_scale: float = 0.0
    kept: tuple[RawResult, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesDone:
    """How far a sliced run has come; valid during the pulse that it is given to.

    Args:
        done: Slices added up.
        of: All slices.
        so_far: The sum of those done, in the shape of the whole; it costs a copy. ``None`` where
            numbers have left the range on the way, and the run is going to start again.
    """

    done: int
    of: int
    so_far: Callable[[], Awaitable[RawResult | None]]


class Backend(Protocol):
    """Replays programs on one device."""

    @property
    def name(self) -> BackendName:
        """Which one this is."""

    @property
    def detail(self) -> str:
        """The device in a few words."""

    @property
    def is_software(self) -> bool:
        """Whether it computes on the CPU."""

    @property
    def dtypes(self) -> tuple[DType, ...]:
        """Element types it computes in."""

    @property
    def limit_bytes(self) -> int:
        """Most bytes a program may hold alive [bytes]."""

    def peak_bytes(self, program: Program) -> int:
        """Most bytes that a run holds alive there at once [bytes]."""

    def predicted_ms(self, program: Program) -> float:
        """Expected duration from calibrated rates, upload and readback included [ms]."""

    def step_ms(self, program: Program) -> list[float]:
        """Expected duration of each dispatch in one slice, the start of a run left out [ms]."""

    async def measure(
        self, clock: Callable[[], float] = ..., pause: Callable[[], Awaitable[None]] = ...
    ) -> None:
        """Replace typical rates by measured ones, in about 300 ms.

        Args:
            clock: Seconds.
            pause: Called between pieces of it; what it raises ends the measurement.
        """

    async def run(
        self, program: Program, arrays: Sequence[NDArray[Any]], pulse: Pulse
    ) -> RawResult:
        """The contracted network.

        Args:
            program: From ``kernels.lower``.
            arrays: One C-contiguous array per input buffer, of the program's dtype.
            pulse: Progress and cancellation.

        Raises:
            UnsupportedKernel: The device cannot; the next backend is asked.
            DeviceMemoryError: It does not fit.
            DeviceLost: The device went away and did not come back.
            Cancelled: The pulse said so; nothing is left behind.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A contracted network with everything a reader should know about the number.

    Args:
        value: Array of the output's shape.
        dtype: Type it was computed in.
        backend: Where.
        ms: Measured duration of the run [ms].
        predicted_ms: What had been predicted [ms].
        peak_bytes: Most bytes alive at once [bytes].
        mul_adds: Multiply-adds done.
        error_bound: Bound on max |value - exact| / max |exact| from rounding, a priori.
        log10_scale: The true value is ``value * 10**log10_scale``.
        notes: Why it did not run where asked, in words.
        placement: ``(backend, steps)`` where several backends shared the work; else empty.
    """

    value: np.ndarray[Any, Any]
    dtype: DType
    backend: PlaceName
    ms: float
    predicted_ms: float
    peak_bytes: int
    mul_adds: int
    error_bound: float
    log10_scale: float = 0.0
    notes: tuple[str, ...] = field(default=())
    placement: tuple[tuple[BackendName, int], ...] = ()


def drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never waits for anything outside itself."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: _T = done.value
        return value
    coroutine.close()
    raise RuntimeError("This backend waits for an event loop; await it instead.")
