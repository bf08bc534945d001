"""The browser's engine as Python sees it, its objects played by Python's."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.host import BrowserHost
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType


class JavaScriptError(Exception):
    """Shares no class with Python's own errors, as in Pyodide."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> BrowserHost:
    def instantiate(_module: object, _imports: object) -> Any:
        raise JavaScriptError("CompileError: no such opcode\n    at worker.js:1")

    page = SimpleNamespace(
        features=json.dumps({"simd": True, "relaxedSimd": False}),
        memory=lambda: None,
        instantiate=instantiate,
    )
    js = SimpleNamespace(Object=SimpleNamespace(fromEntries=dict))
    ffi = SimpleNamespace(to_js=lambda value, **_options: value)
    for name, module in (("tensorloom_page", page), ("pyodide.ffi", ffi), ("js", js)):
        monkeypatch.setitem(sys.modules, name, module)
    return BrowserHost()


@pytest.mark.parametrize("step", ["start", "load"])
def test_what_an_engine_refuses_is_one_of_our_errors(host: BrowserHost, step: str) -> None:
    with pytest.raises(UnsupportedKernel) as refused:
        host.start(b"") if step == "start" else host.load(3, b"")
    assert refused.value.code == "wasm-refused"
    wanted = "This browser engine refused a kernel: CompileError: no such opcode"
    assert refused.value.message == wanted


class Picky(WasmtimeHost):
    """Refuses kernels for as long as it is told to."""

    refuses = False

    def load(self, slot: int, module: bytes) -> None:
        if self.refuses:
            raise UnsupportedKernel("wasm-refused", "No.")
        super().load(slot, module)


def product(columns: int, dtype: DType) -> Program:
    tree = ContractionTree(
        inputs=(("i", "j"), ("j", "k")),
        output=("i", "k"),
        dimensions=(("i", 3), ("j", 4), ("k", columns)),
        path=((0, 1),),
    )
    return lower(tree, dtype)


def test_a_refused_kernel_takes_no_other_kernels_place() -> None:
    host = Picky()
    backend = WasmBackend(host)

    def assert_right(program: Program, times: int = 1) -> None:
        shapes = (3, 4), (4, program.shape[1])
        arrays = [np.ones(shape, program.dtype) for shape in shapes]
        for _ in range(times):
            assert (drive(backend.run(program, arrays, no_pulse)).value == 4).all()

    # Run again it is fused, in a place of its own, which is free once others came.
    assert_right(product(5, "float64"), times=2)
    for columns in range(6, 12):
        assert_right(product(columns, "float32"))
    assert backend.kernels._free
    host.refuses = True
    with pytest.raises(UnsupportedKernel):
        assert_right(product(5, "complex64"))
    host.refuses = False
    assert_right(product(5, "complex64"))
    for columns in range(6, 12):
        assert_right(product(columns, "float32"))
