"""The kernels an engine has compiled so far, each tested once before it is trusted."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm import module_for
from tensorloom.kernels.wasm_driver import driver_module
from tensorloom.kernels.wasm_layout import WORKSPACE_BYTES
from tensorloom.kernels.wasm_probe import PROBE_SIZES, probe
from tensorloom.kernels.wasm_records import address, record_sheet, settled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.wasm_host import WasmHost
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm_schedule import Kernel, Schedule
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
        self._slots: dict[Kernel, int] = {}
        self._driver = host.start(driver_module())
        self.workspace = host.empty(WORKSPACE_BYTES)
        self.one: Mapping[DType, NDArray[Any]] = {
            dtype: host.placed(np.ones(1, dtype)) for dtype in _DTYPES
        }

    def slot(self, kernel: Kernel) -> int:
        """The kernel's place in the driver's table; compiled and tested at first use.

        Raises:
            UnsupportedKernel: It does not compile, or computes something else than numpy.
        """
        if kernel not in self._slots:
            slot = len(self._slots)
            self.host.load(slot, module_for(kernel, self.host.features))
            self._slots[kernel] = slot
            self._test(kernel)
        return self._slots[kernel]

    def _test(self, kernel: Kernel) -> None:
        """Runs the kernel's probe; its numbers are small multiples of 1/8, so sums are exact."""
        equation, program, way = probe(kernel, relaxed=self.relaxed)
        arrays = [
            _eighths([PROBE_SIZES[name] for name in names], kernel.dtype)
            for names in equation.split("->")[0].split(",")
        ]
        wanted = np.einsum(equation, *arrays).reshape(-1)
        if not np.array_equal(self.once(program, way, arrays), wanted):
            del self._slots[kernel]
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
        """Replays records; see ``kernels.wasm_driver``."""
        return self._driver.run(records, first, last, low, high)

    def absmax(self, array: NDArray[Any], dtype: DType) -> float:
        """The largest magnitude of a real or imaginary part of a placed array."""
        single = dtype in ("float32", "complex64")
        measure = self._driver.absmax_f32 if single else self._driver.absmax_f64
        return measure(self.host.address(array), array.nbytes)


def _eighths(shape: Sequence[int], dtype: DType) -> NDArray[Any]:
    """Numbers whose products and short sums are exact in every type."""
    count = prod(shape)
    numbers = (np.arange(2 * count) * 37 % 23 - 11) / 8
    if dtype.startswith("complex"):
        numbers = numbers[:count] + 1j * numbers[count:]
    return numbers[:count].reshape(shape).astype(dtype)
