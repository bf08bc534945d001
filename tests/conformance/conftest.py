"""The backends that the conformance suite runs on: every one that this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import drive
from tensorloom.execute.numpy_backend import NumpyBackend

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend
    from tensorloom.execute.gpu.backend import WebGpuBackend


def _numpy() -> Backend:
    return NumpyBackend()


def _wasm() -> Backend:
    """WASM kernels outside the browser, in wasmtime."""
    hosting = pytest.importorskip("wasmtime_host", reason="no WASM host for native Python yet")
    module = pytest.importorskip("tensorloom.execute.wasm.backend")
    return module.WasmBackend(host=hosting.WasmtimeHost())


def _webgpu() -> WebGpuBackend:
    pytest.importorskip("wgpu", reason="the package wgpu is not installed")
    module = pytest.importorskip("tensorloom.execute.gpu.native")
    try:
        return drive(module.make())
    except UnsupportedKernel as error:
        pytest.skip(error.message)


MAKERS = {"numpy": _numpy, "wasm": _wasm, "webgpu": _webgpu}


EACH = ["numpy", "wasm", pytest.param("webgpu", marks=pytest.mark.gpu)]


@pytest.fixture(scope="session", params=EACH)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn; skipped with the reason where the machine lacks it."""
    return MAKERS[request.param]()


@pytest.fixture(params=EACH)
def new_backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn, nothing kept yet."""
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def gpu() -> WebGpuBackend:
    """The native adapter, opened anew for each module that looks inside it."""
    return _webgpu()
