"""A native engine for WASM kernels, so that the backend runs in plain pytest."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import wasmtime

from tensorloom.kernels.wasm.modules import WasmFeatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PAGE = 1 << 16


class WasmtimeHost:
    """wasmtime with a memory of its own; arrays are copied in.

    Args:
        relaxed_simd: Whether kernels may use fused multiply-add.
        pages: Size of the memory; the system hands out only what is touched.
    """

    def __init__(self, *, relaxed_simd: bool = True, pages: int = 1 << 15) -> None:
        config = wasmtime.Config()
        config.wasm_simd = True
        config.wasm_relaxed_simd = relaxed_simd
        self.features = WasmFeatures(simd=True, relaxed_simd=relaxed_simd)
        self._engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(self._engine)
        kind = wasmtime.MemoryType(wasmtime.Limits(pages, pages))
        self._memory = wasmtime.Memory(self._store, kind)
        data = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        length = self._memory.data_len(self._store)
        self._base = data
        self._length = length
        self._next = 64
        self._free: dict[int, list[int]] = {}
        self._table: Any = None

    def plain(self) -> WasmtimeHost:
        return WasmtimeHost(relaxed_simd=False)

    def start(self, driver: bytes) -> Any:
        exports = self.instantiate(driver)
        self._table = exports["kernels"]
        return _Exports(self._store, exports)

    def bound(self, driver: Any, arguments: tuple[float, ...]) -> Callable[[], int]:
        return partial(driver.run, *arguments)

    def load(self, slot: int, module: bytes) -> None:
        self.set_entry(self._table, slot, module)

    def set_entry(self, table: Any, slot: int, module: bytes) -> None:
        """Puts the ``kernel`` of a module into a table."""
        table.set(self._store, slot, self.instantiate(module)["kernel"])

    def instantiate(self, module: bytes) -> Any:
        """The exports of a module that imports the memory."""
        compiled = wasmtime.Module(self._engine, module)
        return wasmtime.Instance(self._store, compiled, [self._memory]).exports(self._store)

    def call(self, function: Any, *arguments: float) -> Any:
        """The result of an exported function."""
        return function(self._store, *arguments)

    def empty(self, n_bytes: int) -> NDArray[np.uint8]:
        size = max(64, 1 << (n_bytes - 1).bit_length() if n_bytes else 0)
        if self._free.get(size):
            start = self._free[size].pop()
        else:
            start = self._next
            if start + size > self._length:
                raise MemoryError
            self._next += size
        freed = self._free.setdefault(size, [])
        return np.asarray(_Block(self._base + start, n_bytes, start, freed))

    def placed(self, array: NDArray[Any]) -> NDArray[Any]:
        target = self.empty(array.nbytes).view(array.dtype).reshape(array.shape)
        target[...] = array
        return target

    def word(self, address: int) -> int:
        """The 32-bit number at an address."""
        return ctypes.c_uint32.from_address(self._base + address).value

    @property
    def used(self) -> int:
        """Bytes of the memory that were ever in use."""
        return self._next

    def address(self, array: NDArray[Any]) -> int:
        return array.__array_interface__["data"][0] - self._base


class _Block:
    """A place in the memory; numpy keeps it while any view of it lives, then it is free again."""

    def __init__(self, address: int, n_bytes: int, start: int, freed: list[int]) -> None:
        self._start = start
        self._freed = freed
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (n_bytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        self._freed.append(self._start)


class _Exports:
    """Exported functions as methods."""

    def __init__(self, store: wasmtime.Store, exports: Any) -> None:
        self._store = store
        self._exports = exports

    def __getattr__(self, name: str) -> Any:
        function = self._exports[name]
        return lambda *arguments: function(self._store, *arguments)
