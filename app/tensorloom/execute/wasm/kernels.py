"""The kernels an engine has compiled so far, each tested once before it is trusted."""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm.fused import FusedKernel
from tensorloom.kernels.wasm.layout import WORKSPACE_BYTES
from tensorloom.kernels.wasm.modules import driver_for, module_for
from tensorloom.kernels.wasm.probe import PROBE_SIZES, probe
from tensorloom.kernels.wasm.records import address, check_of, record_sheet, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.wasm.host import Driver, WasmHost
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.model.recipe import DType

__all__ = ["WasmKernels"]

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

        Raises:
            UnsupportedKernel: The engine cannot, or computes something else than numpy.
        """
        if kernel not in self._slots:
            assert self.driver is not None  # its table must exist before a kernel enters it
            slot = self._free.pop() if self._free else len(self._slots)
            self.host.load(slot, module_for(kernel, self.host.features))
            self._slots[kernel] = slot
            if not isinstance(kernel, FusedKernel):
                self._test(kernel)
        return self._slots[kernel]

    def release(self, kernels: Iterable[Kernel | FusedKernel]) -> None:
        """Gives back the slots of kernels that belong to one program; the shared ones stay."""
        for kernel in kernels:
            if isinstance(kernel, FusedKernel) and kernel in self._slots:
                self._free.append(self._slots.pop(kernel))

    @property
    def n_slots(self) -> int:
        """Kernels in the driver's table."""
        return len(self._slots)

    def _test(self, kernel: Kernel) -> None:
        """Runs the kernel's probe; its numbers are small multiples of 1/8, so sums are exact."""
        equation, program, way = probe(kernel, relaxed=self.relaxed)
        arrays = [
            _eighths([PROBE_SIZES[name] for name in names], kernel.dtype)
            for names in equation.split("->")[0].split(",")
        ]
        wanted = np.einsum(equation, *arrays).reshape(-1)
        if not np.array_equal(self.once(program, way, arrays), wanted):
            self._free.append(self._slots.pop(kernel))
            raise UnsupportedKernel(
                "wasm-wrong-answer",
                f"This browser engine computes the kernel {kernel.name} wrongly.",
                "Tensorloom computes with numpy instead.",
                values={"kernel": kernel.name},
            )

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


def _eighths(shape: Sequence[int], dtype: DType) -> NDArray[Any]:
    """Numbers whose products and short sums are exact in every type."""
    count = prod(shape)
    numbers = (np.arange(2 * count) * 37 % 23 - 11) / 8
    if dtype.startswith("complex"):
        numbers = numbers[:count] + 1j * numbers[count:]
    return numbers[:count].reshape(shape).astype(dtype)
