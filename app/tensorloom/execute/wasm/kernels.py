"""The kernels an engine has compiled so far, each tested once before it is trusted."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm.fused import FusedKernel
from tensorloom.kernels.wasm.jit import WasmDevice, jit_schedule
from tensorloom.kernels.wasm.jit_probe import probe_tiles, spans
from tensorloom.kernels.wasm.layout import RECORD_BYTES, RECORD_FIELDS, WORKSPACE_BYTES
from tensorloom.kernels.wasm.modules import driver_for, module_for
from tensorloom.kernels.wasm.probe import PROBE_SIZES, probe
from tensorloom.kernels.wasm.records import address, check_of, record_sheet, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.wasm.host import Driver, WasmHost
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.jit import Candidate
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.model.recipe import DType

__all__ = ["WasmKernels"]

_MOST_IDLE = 256
"""Generated kernels kept though no program in memory uses them."""

_RANGES = ("batch_start", "batch_stop", "row_start", "row_stop", "column_start", "column_stop")

_DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")


class WasmKernels:
    """The driver and its table.

    Args:
        host: The engine; nothing is compiled before a kernel is asked for.
    """

    def __init__(self, host: WasmHost) -> None:
        self.host = host
        self.relaxed = host.features.relaxed_simd
        self._slots: dict[Kernel | FusedKernel, int] = {}
        self._free: list[int] = []
        self._users: Counter[Kernel] = Counter()
        self._idle: dict[Kernel, None] = {}

    @cached_property
    def driver(self) -> Driver:
        """The driver, started at first use.

        Raises:
            UnsupportedKernel: The engine has no SIMD.
        """
        return self.host.start(driver_for(self.host.features))

    @cached_property
    def workspace(self) -> NDArray[np.uint8]:
        """Scratch memory for tables and panels, shared by all kernels: one runs at a time."""
        return self.host.empty(WORKSPACE_BYTES)

    @cached_property
    def one(self) -> Mapping[DType, NDArray[Any]]:
        """The number 1 in each type, the second operand of unary kernels."""
        return {dtype: self.host.placed(np.ones(1, dtype)) for dtype in _DTYPES}

    @cached_property
    def one_address(self) -> Mapping[DType, int]:
        """Where those are."""
        return {dtype: self.host.address(array) for dtype, array in self.one.items()}

    def slot(self, kernel: Kernel | FusedKernel) -> int:
        """The kernel's place in the driver's table; compiled and tested at first use.

        A generated kernel stays there until each user has given it back with ``release``.

        Raises:
            UnsupportedKernel: The engine cannot, or computes something else than numpy.
        """
        if kernel not in self._slots:
            assert self.driver is not None  # its table must exist before a kernel enters it
            module = module_for(kernel, self.host.features)
            slot = self._free.pop() if self._free else len(self._slots)
            try:
                self.host.load(slot, module)
            except UnsupportedKernel:
                self._free.append(slot)
                raise
            self._slots[kernel] = slot
            if not isinstance(kernel, FusedKernel):
                self._test(kernel)
        if not isinstance(kernel, FusedKernel) and kernel.spec is not None:
            self._users[kernel] += 1
            self._idle.pop(kernel, None)
        return self._slots[kernel]

    def release(self, kernels: Iterable[Kernel | FusedKernel]) -> None:
        """Gives back the slots of kernels of one program; the ready ones stay.

        Of the generated ones, those used last are kept for programs that want them again.
        """
        for kernel in kernels:
            if kernel not in self._slots:
                continue
            if isinstance(kernel, FusedKernel):
                self._free.append(self._slots.pop(kernel))
            elif kernel.spec is not None:
                self._users[kernel] -= 1
                if self._users[kernel] <= 0:
                    del self._users[kernel]
                    self._idle[kernel] = None
        while len(self._idle) > _MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._free.append(self._slots.pop(oldest))

    @property
    def n_slots(self) -> int:
        """Kernels in the driver's table."""
        return len(self._slots)

    def _test(self, kernel: Kernel) -> None:
        """Runs the kernel's probe; its numbers are small multiples of 1/8, so sums are exact."""
        if kernel.spec is not None and kernel.candidate is not None:
            if not self._right_tiles(kernel, kernel.spec, kernel.candidate):
                self._reject(kernel)
            return
        equation, program, way = probe(kernel, relaxed=self.relaxed)
        arrays = [
            _eighths([PROBE_SIZES[name] for name in names], kernel.dtype)
            for names in equation.split("->")[0].split(",")
        ]
        wanted = np.einsum(equation, *arrays).reshape(-1)
        if not np.array_equal(self.once(program, way, arrays), wanted):
            self._reject(kernel)

    def _reject(self, kernel: Kernel) -> None:
        self._free.append(self._slots.pop(kernel))
        raise UnsupportedKernel(
            "wasm-wrong-answer",
            f"This browser engine computes the kernel {kernel.name} wrongly.",
            "Tensorloom computes with numpy instead.",
            values={"kernel": kernel.name},
        )

    def _right_tiles(self, kernel: Kernel, spec: KernelSpec, candidate: Candidate) -> bool:
        """Whether a generated kernel computes one tile of every kind as numpy does."""
        host, place = self.host, self.host.address
        dtype = np.dtype(kernel.dtype)
        sizes = spans(spec, candidate)
        left, right, out = (host.empty(n * dtype.itemsize).view(dtype) for n in sizes)
        device = WasmDevice.typical(relaxed_simd=self.relaxed)
        words = jit_schedule(spec, candidate, device).descriptor
        descriptor = host.placed(np.frombuffer(words, "<u4").astype(np.uint32))
        record = host.placed(np.zeros((1, RECORD_BYTES // 4), np.uint32))
        given = {"slot": self._slots[kernel], "descriptor": place(descriptor)}
        given |= {"workspace": place(self.workspace)}
        given |= {"left": place(left), "right": place(right), "out": place(out)}
        for tile in probe_tiles(spec, candidate):
            values = given | dict(zip(_RANGES, tile.ranges, strict=True))
            for name, value in values.items():
                record[0, RECORD_FIELDS[name] // 4] = value
            left[tile.left] = _eighths(tile.left.shape, kernel.dtype)
            right[tile.right] = _eighths(tile.right.shape, kernel.dtype, _OTHER_PERIOD)
            out[tile.out] = np.nan
            self.run(place(record), 0, 1, 0.0, float("inf"))
            if not np.array_equal(out[tile.out], left[tile.left] @ right[tile.right].T):
                return False
        return True

    def once(self, program: Program, way: Schedule, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The result of a program's only step, run in a given way, outside any backend."""
        sheet = record_sheet(program, relaxed=self.relaxed, plans=[way])
        place = self.host.address
        descriptors = self.host.placed(sheet.descriptors)
        slots = [self.slot(way.kernel)]
        records = self.host.placed(settled(sheet, slots, place(descriptors), place(self.workspace)))
        size = program.buffers[program.result].elements * arrays[0].itemsize
        out = self.host.empty(size).view(program.dtype)
        operands = [self.host.placed(array.reshape(-1)) for array in arrays]
        every = [*operands, out, self.one[way.kernel.dtype]]
        address(records, sheet, np.array([place(array) for array in every], np.uint32))
        self.run(place(records), 0, len(records), 0.0, float("inf"))
        self.release([way.kernel])
        return out

    def run(self, records: int, first: int, last: int, low: float, high: float) -> int:
        """Replays records; see ``kernels.wasm.driver``."""
        return self.driver.run(records, first, last, low, high)

    def outside(self, places: int, first: int, last: int, dtype: DType, limit: float) -> int:
        """The first of some arrays with magnitudes beyond ``1/limit .. limit``, or ``last``.

        Args:
            places: Where address and size of each array are [bytes].
            first: Number of the first array to look at.
            last: Number of the last one, plus one.
            dtype: Their type.
            limit: The largest magnitude that is left alone.
        """
        return self.driver.scan(places, first, last, check_of(dtype), 1 / limit, limit)


_PERIOD, _OTHER_PERIOD = 23, 19
"""Primes: over both, products of numbers with these periods add up to nothing, so that no sum grows
with its length beyond what single precision holds exactly."""


def _eighths(shape: Sequence[int], dtype: DType, period: int = _PERIOD) -> NDArray[Any]:
    """Numbers whose products and sums are exact in every type."""
    count = prod(shape)
    numbers = (np.arange(2 * count) * 37 % period - period // 2) / 8
    if dtype.startswith("complex"):
        numbers = numbers[:count] + 1j * numbers[count:]
    return numbers[:count].reshape(shape).astype(dtype)
