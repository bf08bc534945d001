"""Which backends this device has, and why the others are missing.

Each backend's module offers ``async def make() -> Backend``, which raises ``UnsupportedKernel``
with the reason where the device lacks something. numpy is always there. In the browser its fellows
are WASM and WebGPU; under native Python WebGPU through the ``wgpu`` package.

A device is opened once: the page has one GPU device and one table of kernels, which the drawing's
own value, ``contract`` and ``bench`` share with what was measured and tuned on them.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tensorloom.execute.backend import Backend, BackendName

__all__ = ["Available", "available", "forget", "fresh", "numpy_backend", "opened"]

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


_ORDER: tuple[BackendName, ...] = ("wasm", "webgpu", "webgpu-f16", "numpy")

_MADE: dict[BackendName, Backend | str] = {}
"""What was asked for so far, or why it is not here. Empty in a heap snapshot."""

_MAKING = asyncio.Lock()
"""Held while a device is opened: opening it twice would take it from who has it."""


async def available(names: Collection[BackendName] | None = None) -> Available:
    """The backends of this device, made and ready; each is made when first asked for.

    Args:
        names: Only these are opened, besides what is open already; by default all.
    """
    for name in MODULES:
        if name not in _MADE and (names is None or name in names):
            async with _MAKING:
                if name not in _MADE:
                    _MADE[name] = await fresh(name)
                    if name == "webgpu":
                        _make_half()
    if "numpy" not in _MADE:
        _MADE["numpy"] = numpy_backend()
    return opened()


def opened() -> Available:
    """The backends that are open by now; to find out nothing has to be waited for."""
    missing: dict[BackendName, str] = {} if IN_BROWSER else {"wasm": "Runs in browsers only."}
    found: dict[BackendName, Backend] = {}
    # What a user's device is best at comes first, whatever was opened first.
    for name in _ORDER:
        made = _MADE.get(name)
        if isinstance(made, str):
            missing[name] = made
        elif made is not None:
            found[name] = made
    return Available(backends=found, missing=missing)


def _make_half() -> None:
    """The GPU once more, with 16-bit storage; where there is none at all, nobody asks why."""
    from tensorloom.execute.gpu.backend import WebGpuBackend  # noqa: PLC0415  # not in snapshots
    from tensorloom.execute.gpu.half import HalfGpuBackend  # noqa: PLC0415  # as before

    wide = _MADE["webgpu"]
    if not isinstance(wide, WebGpuBackend):
        return
    try:
        _MADE["webgpu-f16"] = HalfGpuBackend(wide)
    except UnsupportedKernel as error:
        _MADE["webgpu-f16"] = error.message


def forget() -> None:
    """Close the books, so that devices are looked for anew."""
    _MADE.clear()


async def fresh(name: BackendName) -> Backend | str:
    """A backend that nobody else has, or why it is not here, in words."""
    try:
        return cast("Backend", await import_module(MODULES[name]).make())
    except UnsupportedKernel as error:
        return error.message
    except ImportError as error:
        return f"The package {error.name} is not installed."


def numpy_backend() -> NumpyBackend:
    """The numpy backend with this machine's memory as its limit."""
    return NumpyBackend(limit_bytes=_memory_limit())


def _memory_limit() -> int:
    """Half of the memory there is, as numpy copies operands into matrix order [bytes]."""
    if IN_BROWSER or not hasattr(os, "sysconf"):
        return BROWSER_LIMIT_BYTES
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
