"""The project's own kernels on this process's GPU: what a worker does for the backend ``wgpu``.

A process opens one device when a job first asks for it, and keeps it; its threads take turns. What
is sliced runs as in the page, added up on the device for each block of a task.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tensorloom.errors import DeviceLost, WorkerRejected
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.backends import fresh
from tensorloom.execute.calibration import least_disturbed
from tensorloom.execute.gpu.slice_sums import SliceSums
from tensorloom.execute.run import without_work
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution.gpu_costs import GpuRates, lowered
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.execution.wanted import no_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.execute.gpu.native import NativeGpu
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.strategy import Strategy

__all__ = ["Adapter", "GpuRunner", "look", "measured", "median_of"]

_TURN = threading.RLock()
"""Held by the thread that uses the device."""

_DEVICE: list[WebGpuBackend] = []
"""This process's device, once it was opened."""

COMPILED = 3
"""Kernels that are compiled to see how long that takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What the service has to know of a worker's GPU.

    Args:
        description: In words.
        is_software: Whether it computes on the CPU.
        limits: What matters for choosing kernels.
        limit_bytes: Most bytes of all buffers together [bytes].
        max_buffer_bytes: Largest single buffer [bytes].
    """

    description: str
    is_software: bool
    limits: GpuLimits
    limit_bytes: int
    max_buffer_bytes: int


def look() -> Adapter | str:
    """This machine's adapter, or why there is none, in words; nothing stays open."""
    with _TURN:
        found = _made()
        if isinstance(found, str):
            return found
        device = cast("NativeGpu", found.device)
        adapter = Adapter(
            description=device.description,
            is_software=device.is_software,
            limits=device.limits,
            limit_bytes=device.limit_bytes,
            max_buffer_bytes=device.max_buffer_bytes,
        )
        device.close()
        return adapter


def _made() -> WebGpuBackend | str:
    try:
        return cast("WebGpuBackend | str", drive(fresh("webgpu")))
    except (OSError, RuntimeError):
        return "The GPU's driver does not start."


def _opened() -> WebGpuBackend:
    """This process's device.

    Raises:
        WorkerRejected: ``no-such-backend``.
    """
    if not _DEVICE:
        found = _made()
        if isinstance(found, str):
            raise WorkerRejected(
                "no-such-backend",
                f"One of the workers has no wgpu. {found}",
                "Give all workers a GPU, or ask for numpy.",
                values={"backend": "wgpu"},
            )
        _DEVICE.append(found)
    return _DEVICE[0]


@contextmanager
def _turn(backend: WebGpuBackend | None = None) -> Iterator[None]:
    """This thread's turn; a device that went and did not come back is let go of.

    Args:
        backend: The device that is used, if not this process's present one.
    """
    with _TURN:
        try:
            yield
        except DeviceLost:
            # Another thread may have opened a new one since.
            if backend is None or backend in _DEVICE:
                _DEVICE.clear()
            raise


def measured(dtype: str) -> GpuRates:
    """The rates of this process's device in one number type, in a second or two."""
    with _turn():
        backend = _opened()
        drive(backend.measure(dtypes=(cast("DType", dtype),)))
        before = backend.loaded.keys()
        compile_ms = median(_compile_ms(backend) for _ in range(COMPILED))
        for key in backend.loaded.keys() - before:
            backend.loaded.drop(backend.device, key)
        return GpuRates(rates=backend.rates, compile_ms=compile_ms)


def _compile_ms(backend: WebGpuBackend) -> float:
    """What a kernel's first run takes longer than its second [ms]."""
    # Other sizes each time: drivers keep on the disk what they have compiled before.
    m, k, n = (int(size) for size in np.random.default_rng().integers(33, 97, 3))
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", m), ("k", k), ("j", n)),
        path=((0, 1),),
    )
    program = lower(tree, "float32")
    arrays = [np.ones((m, k), np.float32), np.ones((k, n), np.float32)]
    times = []
    for _ in range(2):
        begun = perf_counter()
        drive(backend.run(program, arrays, no_pulse))
        times.append(perf_counter() - begun)
    return 1e3 * max(0.0, times[0] - times[1])


def median_of(several: Sequence[GpuRates]) -> GpuRates:
    """Rates measured several times, as one."""
    return GpuRates(
        rates=least_disturbed([one.rates for one in several]),
        compile_ms=median(one.compile_ms for one in several),
    )


class GpuRunner:
    """Contracts slices on this process's device; see ``runner.Runner``.

    Args:
        strategy: What is made once and what is not.
        arrays: One per input of the whole tree, of type ``dtype``.
        dtype: Type to compute in.

    Raises:
        WorkerRejected: ``no-such-backend``.
        UnsupportedKernel: The device cannot.
    """

    def __init__(self, strategy: Strategy, arrays: Sequence[NDArray[Any]], dtype: DType) -> None:
        self._dtype: DType = dtype
        self._per_block = strategy.slices_per_block
        programs = lowered(strategy, dtype)
        self._program = programs.main
        with _turn():
            self._backend = _opened()
            given: list[tuple[NDArray[Any], int]] = [(array, 0) for array in arrays]
            for table, program in zip(strategy.tables, programs.tables, strict=True):
                inputs = [given[number][0] for number in table.inputs]
                value, exponent = self._sum(program, inputs)(range(1))
                given.append((np.asarray(value.astype(dtype), order="C"), exponent))
            mains = [given[number] for number in strategy.inputs]
            self._exponent = sum(exponent for _, exponent in mains)
            self._sum_of = self._sum(self._program, [array for array, _ in mains])

    @property
    def is_lost(self) -> bool:
        """Whether its device was let go of: another runner has to be made."""
        return self._backend not in _DEVICE

    def _sum(
        self, program: Program, arrays: Sequence[NDArray[Any]]
    ) -> Callable[[range], tuple[NDArray[Any], int]]:
        """What gives the sum over some slices of a program, and its exponent."""
        if not program.dispatches:
            return lambda _slices: (without_work(program, tuple(arrays)), 0)
        sums = SliceSums(self._backend, program, arrays)
        return lambda slices: drive(sums.of(slices))

    def run(self, start: int, end: int, look: Callable[[], None] = no_look) -> Sum:
        """The sums over slices ``start`` to ``end - 1``, one for each block that they touch.

        Args:
            start: First slice.
            end: One behind the last.
            look: Raises what ends this, between blocks.

        Returns:
            A sum of shape ``(blocks, *block_shape)``.
        """
        first, last = start // self._per_block, (end - 1) // self._per_block
        total = Sum((last - first + 1, *self._program.shape), self._dtype)
        for block in range(first, last + 1):
            look()
            begin = block * self._per_block
            slices = range(max(start, begin), min(end, begin + self._per_block))
            with _turn(self._backend):
                value, exponent = self._sum_of(slices)
            total.add(value, exponent + self._exponent, block - first)
        return total
