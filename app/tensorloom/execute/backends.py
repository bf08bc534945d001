"""Which backends this device has, and why the others are missing.

Each backend's module offers ``async def make() -> Backend``, which raises ``UnsupportedKernel``
with the reason where the device lacks something. numpy is always there. In the browser its fellows
are WASM and WebGPU; under native Python WebGPU through the ``wgpu`` package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.execute.backend import Backend, BackendName

__all__ = ["Available", "available", "numpy_backend"]

MODULES: Mapping[BackendName, str] = (
    {"wasm": "tensorloom.execute.wasm.backend", "webgpu": "tensorloom.execute.gpu.page"}
    if IN_BROWSER
    else {"webgpu": "tensorloom.execute.gpu.native"}
)

BROWSER_LIMIT_BYTES = 3 << 29
"""1.5 GiB: WASM memory ends at 4 GiB, and numpy copies operands into matrix order [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """What is here.

    Args:
        backends: By name.
        missing: Why each other one is not, in words.
    """

    backends: Mapping[BackendName, Backend]
    missing: Mapping[BackendName, str]


async def available() -> Available:
    """The backends of this device, made and ready."""
    backends: dict[BackendName, Backend] = {}
    missing: dict[BackendName, str] = {} if IN_BROWSER else {"wasm": "Runs in browsers only."}
    for name, module in MODULES.items():
        try:
            backends[name] = cast("Backend", await import_module(module).make())
        except UnsupportedKernel as error:
            missing[name] = error.message
        except ImportError as error:
            missing[name] = f"The package {error.name} is not installed."
    backends["numpy"] = numpy_backend()
    return Available(backends=backends, missing=missing)


def numpy_backend() -> NumpyBackend:
    """The numpy backend with this machine's memory as its limit."""
    return NumpyBackend(limit_bytes=_memory_limit())


def _memory_limit() -> int:
    """Half of the memory there is, as numpy copies operands into matrix order [bytes]."""
    if IN_BROWSER or not hasattr(os, "sysconf"):
        return BROWSER_LIMIT_BYTES
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
