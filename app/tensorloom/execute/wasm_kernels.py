"""The kernels an engine has compiled so far, each tested once before it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.kernels.wasm import module_for
from tensorloom.kernels.wasm_driver import driver_module
from tensorloom.kernels.wasm_layout import WORKSPACE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tensorloom.execute.wasm_host import WasmHost
    from tensorloom.kernels.wasm_schedule import Kernel
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
        """The kernel's place in the driver's table; compiled at first use."""
        if kernel not in self._slots:
            slot = len(self._slots)
            self.host.load(slot, module_for(kernel, self.host.features))
            self._slots[kernel] = slot
        return self._slots[kernel]

    def run(self, records: int, first: int, last: int, low: float, high: float) -> int:
        """Replays records; see ``kernels.wasm_driver``."""
        return self._driver.run(records, first, last, low, high)

    def absmax(self, array: NDArray[Any]) -> float:
        """The largest magnitude of a real or imaginary part of a placed array."""
        single = array.dtype in (np.float32, np.complex64)
        measure = self._driver.absmax_f32 if single else self._driver.absmax_f64
        return measure(self.host.address(array), array.nbytes)
