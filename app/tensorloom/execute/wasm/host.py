"""The engine that runs WASM kernels: a small protocol, and the browser's engine behind it.

Only here does Tensorloom touch Pyodide's memory. It is a private part of Pyodide, so the backend
tests every kernel before it trusts one.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm.modules import WasmFeatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["BrowserHost", "Driver", "WasmHost", "refused", "stopped"]


def refused(error: Exception) -> UnsupportedKernel:
    """What an engine's own error means, which in browsers is one of JavaScript's."""
    return UnsupportedKernel(
        "wasm-refused",
        f"This browser engine refused a kernel: {_words(error)}",
        "Tensorloom computes in another way instead.",
    )


def stopped(error: Exception, kernel: str = "") -> UnsupportedKernel:
    """What an error within a kernel means: a trap, such as an access beyond the memory.

    Args:
        error: The engine's, or an earlier answer of this function.
        kernel: Its name, once it is known.
    """
    words = _words(error)
    if isinstance(error, UnsupportedKernel):
        words = str(error.values.get("reason", error.message))
    return UnsupportedKernel(
        "wasm-stopped",
        f"{f'The kernel {kernel}' if kernel else 'A kernel'} stopped half way: {words}",
        "Tensorloom computes in another way instead.",
        values={"kernel": kernel, "reason": words},
    )


def _words(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:160]


class Driver(Protocol):
    """The exports of the driver module."""

    def run(self, records: int, first: int, last: int, low: float, high: float) -> int:
        """Replays records; see ``kernels.wasm.driver``."""

    def scan(  # WebAssembly functions have no records
        self, places: int, first: int, last: int, check: int, low: float, high: float
    ) -> int:
        """Looks through arrays; see ``kernels.wasm.driver``."""


class WasmHost(Protocol):
    """An engine and its memory."""

    @property
    def features(self) -> WasmFeatures:
        """What it can do."""

    def plain(self) -> WasmHost:
        """The same engine anew, for kernels without fused multiply-add."""

    def start(self, driver: bytes) -> Driver:
        """Instantiates the driver, once, before any kernel.

        Raises:
            UnsupportedKernel: ``wasm-refused``.
        """

    def bound(self, driver: Driver, arguments: tuple[float, ...]) -> Callable[[], int]:
        """The driver's ``run`` with arguments that stay the same."""

    def load(self, slot: int, module: bytes) -> None:
        """Instantiates a kernel's module and puts its ``kernel`` into the driver's table.

        Raises:
            UnsupportedKernel: ``wasm-refused``.
        """

    def empty(self, n_bytes: int) -> NDArray[np.uint8]:
        """Memory that kernels can address; freed with the array."""

    def placed(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array where kernels can address it: itself, or a copy."""

    def address(self, array: NDArray[Any]) -> int:
        """Where an array from ``empty`` or ``placed`` starts."""


class BrowserHost:
    """The browser's engine on Pyodide's own memory: arrays are where kernels work, nothing moves.

    Modules import the memory itself, not a view of it, so they go on working after it grows.

    Args:
        relaxed_simd: Whether kernels may use fused multiply-add where the engine has it.
    """

    def __init__(self, *, relaxed_simd: bool = True) -> None:
        # These modules exist only in the browser.
        self._page: Any = import_module("tensorloom_page")
        self._to_js: Any = import_module("pyodide.ffi").to_js
        found = json.loads(self._page.features)
        relaxed = relaxed_simd and found["relaxedSimd"]
        self.features = WasmFeatures(simd=found["simd"], relaxed_simd=relaxed)
        self._imports = self._to_js(
            {"env": {"memory": self._page.memory()}},
            dict_converter=import_module("js").Object.fromEntries,
        )
        self._table: Any = None

    def plain(self) -> WasmHost:
        """Another driver with a table of its own, on the same memory."""
        return BrowserHost(relaxed_simd=False)

    def start(self, driver: bytes) -> Driver:
        """Instantiates the driver."""
        exports = self._instantiated(driver).exports
        self._table = exports.kernels
        started: Driver = exports
        return started

    def bound(self, driver: Driver, arguments: tuple[float, ...]) -> Callable[[], int]:
        """The function bound by JavaScript: to convert five arguments takes longer than a call."""
        run: Any = driver.run
        bound: Callable[[], int] = run.bind(None, *arguments)
        return bound

    def load(self, slot: int, module: bytes) -> None:
        """Adds a kernel to the driver's table."""
        made = self._instantiated(module)
        self._table.set(slot, made.exports.kernel)

    def _instantiated(self, module: bytes) -> Any:  # noqa: ANN401  # a JavaScript object
        try:
            return self._page.instantiate(self._to_js(module), self._imports)
        except Exception as error:
            raise refused(error) from error

    def empty(self, n_bytes: int) -> NDArray[np.uint8]:
        """A new array."""
        return np.empty(n_bytes, np.uint8)

    def placed(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array itself."""
        return array

    def address(self, array: NDArray[Any]) -> int:
        """Its place in Pyodide's memory."""
        # Several times cheaper than ``array.ctypes.data``, which builds an object first.
        address: int = array.__array_interface__["data"][0]
        return address
