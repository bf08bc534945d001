"""The kernels an engine has compiled so far, each tested once before it is trusted.

One that computes wrongly, or stops half way, is thrown out: it gets no place again, and ``report``
says so. Fused groups are tested with the program they belong to; see ``proof``.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.wasm.host import stopped
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

_MOST_REPORTED = 20
_MOST_PROVEN = 256
_MOST_OUT = 64
"""Kernels remembered; one that is forgotten is only tested again."""

_RANGES = ("batch_start", "batch_stop", "row_start", "row_stop", "column_start", "column_stop")

_DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")


class WasmKernels:
    """The driver and its table.

    Args:
        host: The engine; nothing is compiled before a kernel is asked for.

    Attributes:
        report: Kernels that were thrown out and why, in words.
    """

    def __init__(self, host: WasmHost) -> None:
        self.host = host
        self.relaxed = host.features.relaxed_simd
        self.report: list[str] = []
        self._slots: dict[Kernel | FusedKernel, int] = {}
        self._free: list[int] = []
        self._users: Counter[Kernel | FusedKernel] = Counter()
        self._idle: dict[Kernel, None] = {}
        self._out: dict[Kernel | FusedKernel, UnsupportedKernel] = {}
        self._proven: dict[FusedKernel, None] = {}

    def plain(self) -> WasmKernels:
        """These, if they do without fused multiply-add; else others that do, on the same engine."""
        return WasmKernels(self.host.plain()) if self.relaxed else self

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

        One that is made for a program stays until each user has given it back with ``release``.

        Raises:
            UnsupportedKernel: The engine cannot, or computes something else than numpy.
        """
        if self.is_out(kernel):
            raise copy(self._out[kernel])
        if kernel not in self._slots:
            self._load(kernel)
        if _is_made(kernel):
            self._users[kernel] += 1
            if not isinstance(kernel, FusedKernel):
                self._idle.pop(kernel, None)
        return self._slots[kernel]

    def _load(self, kernel: Kernel | FusedKernel) -> None:
        assert self.driver is not None  # its table must exist before a kernel enters it
        module = module_for(kernel, self.host.features)
        slot = self._free.pop() if self._free else len(self._slots)
        try:
            self.host.load(slot, module)
        except UnsupportedKernel:
            self._free.append(slot)
            raise
        self._slots[kernel] = slot
        right = False
        try:
            right = isinstance(kernel, FusedKernel) or self._is_right(kernel)
        except UnsupportedKernel as error:
            raise self.thrown_out(kernel, error) from error
        finally:
            if not right:
                self._free.append(self._slots.pop(kernel))
        if not right:
            raise self.thrown_out(kernel)

    def release(self, kernels: Iterable[Kernel | FusedKernel]) -> None:
        """Gives back the slots of kernels of one program; the ready ones stay.

        Of the generated ones, those used last are kept for programs that want them again.
        """
        for kernel in kernels:
            if kernel not in self._slots or not _is_made(kernel):
                continue
            self._users[kernel] -= 1
            if self._users[kernel] <= 0:
                del self._users[kernel]
                if isinstance(kernel, FusedKernel) or self.is_out(kernel):
                    self._free.append(self._slots.pop(kernel))
                else:
                    self._idle[kernel] = None
        while len(self._idle) > _MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._free.append(self._slots.pop(oldest))

    # --- trust ------------------------------------------------------------------------------------

    def is_out(self, kernel: Kernel | FusedKernel) -> bool:
        """Whether it was thrown out."""
        return bool(self._out) and kernel in self._out

    def thrown_out(
        self, kernel: Kernel | FusedKernel, error: UnsupportedKernel | None = None
    ) -> UnsupportedKernel:
        """The error to raise for a kernel that is not to be run again.

        Args:
            kernel: It keeps its place while programs that wait have it.
            error: What the engine said; by default, its numbers were wrong.
        """
        why = wrong(kernel.name) if error is None else stopped(error, kernel.name)
        if kernel not in self._out:
            if len(self._out) >= _MOST_OUT:
                del self._out[next(iter(self._out))]
            self._out[kernel] = why
            self.report.append(why.message)
            del self.report[:-_MOST_REPORTED]
        return copy(why)

    def blamed(
        self, error: UnsupportedKernel, words: NDArray[np.uint32], first: int, last: int
    ) -> UnsupportedKernel:
        """The error of records that stopped half way; the kernel at fault is thrown out.

        They run once more, one at a time. Should all go well then, no kernel that was made for
        these records is trusted any more, and if there is none, not one of theirs.

        Args:
            error: From ``run``.
            words: Records.
            first: Number of the first that ran.
            last: Number of the last one, plus one.
        """
        column = RECORD_FIELDS["slot"] // 4
        names = {slot: kernel for kernel, slot in self._slots.items()}
        place = self.host.address(words)
        for number in range(first, last):
            try:
                self.run(place, number, number + 1, 0.0, float("inf"))
            except UnsupportedKernel:
                return self.thrown_out(names[int(words[number, column])], error)
        used = [names[slot] for slot in dict.fromkeys(words[first:last, column].tolist())]
        suspects = [kernel for kernel in used if _is_made(kernel)] or used
        return [self.thrown_out(kernel, error) for kernel in suspects][-1]

    def is_proven(self, kernel: FusedKernel) -> bool:
        """Whether a group has computed rightly here before."""
        return kernel in self._proven

    def proven(self, kernel: FusedKernel) -> None:
        """Remembers that it has."""
        if len(self._proven) >= _MOST_PROVEN:
            del self._proven[next(iter(self._proven))]
        self._proven[kernel] = None

    def place(self, kernel: Kernel | FusedKernel) -> int:
        """The slot of a kernel that is there."""
        return self._slots[kernel]

    @property
    def n_slots(self) -> int:
        """Kernels in the driver's table."""
        return len(self._slots)

    def _is_right(self, kernel: Kernel) -> bool:
        """Runs the kernel's probe; its numbers are small multiples of 1/8, so sums are exact."""
        if kernel.spec is not None and kernel.candidate is not None:
            return self._right_tiles(kernel, kernel.spec, kernel.candidate)
        equation, program, way = probe(kernel, relaxed=self.relaxed)
        arrays = [
            _eighths([PROBE_SIZES[name] for name in names], kernel.dtype)
            for names in equation.split("->")[0].split(",")
        ]
        wanted = np.einsum(equation, *arrays).reshape(-1)
        return np.array_equal(self.once(program, way, arrays), wanted)

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
        """Replays records; see ``kernels.wasm.driver``.

        Raises:
            UnsupportedKernel: ``wasm-stopped``: a kernel did something that the engine forbids.
        """
        driver = self.driver
        try:
            return driver.run(records, first, last, low, high)
        # In browsers an error of JavaScript; engines' errors have no class in common.
        except Exception as error:
            raise stopped(error) from error

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


def wrong(kernel: str) -> UnsupportedKernel:
    """A kernel's numbers were wrong."""
    return UnsupportedKernel(
        "wasm-wrong-answer",
        f"This browser engine computes the kernel {kernel} wrongly.",
        "Tensorloom computes in another way instead.",
        values={"kernel": kernel},
    )


def _is_made(kernel: Kernel | FusedKernel) -> bool:
    """Whether it is made for a program or a shape; the others are there for all."""
    return isinstance(kernel, FusedKernel) or kernel.spec is not None


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
