r"""WASM kernels: which modules exist, and their bytes.

KernelSpec --schedule--> Kernel (form, element type) --module_for--> bytes
                     \-> descriptor (sizes, strides) --records--> driver.run
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm.driver import driver_module
from tensorloom.kernels.wasm.element import Element, WasmFeatures
from tensorloom.kernels.wasm.fused import FusedKernel
from tensorloom.kernels.wasm.gemm import gemm_module
from tensorloom.kernels.wasm.jit_module import jit_module
from tensorloom.kernels.wasm.run import line_module, points_module, run_module, sum_module
from tensorloom.kernels.wasm.schedule import exchanged

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.schedule import Kernel

__all__ = ["WasmFeatures", "driver_for", "module_for"]


def module_for(kernel: Kernel | FusedKernel, features: WasmFeatures) -> bytes:
    """The module of a kernel; it exports ``kernel(record)`` and imports ``env.memory``.

    Raises:
        UnsupportedKernel: The engine has no SIMD.
    """
    _demand_simd(features)
    if isinstance(kernel, FusedKernel):
        return kernel.module(features)
    element = Element(kernel.dtype, relaxed=features.relaxed_simd)
    if kernel.spec is not None and kernel.candidate is not None:
        spec = exchanged(kernel.spec) if kernel.candidate.turned else kernel.spec
        return jit_module(spec, kernel.candidate, element)
    if kernel.form == "gemm":
        return gemm_module(element)
    if kernel.form == "run":
        return run_module(element, kernel.mode)
    if kernel.form == "sum":
        return sum_module(element, kernel.mode)
    return line_module(element) if kernel.form == "line" else points_module(element)


def driver_for(features: WasmFeatures) -> bytes:
    """The module of the driver; see ``kernels.wasm.driver``.

    Raises:
        UnsupportedKernel: The engine has no SIMD.
    """
    _demand_simd(features)
    return driver_module()


def _demand_simd(features: WasmFeatures) -> None:
    if not features.simd:
        raise UnsupportedKernel(
            "wasm-no-simd",
            "This browser engine has no WebAssembly SIMD.",
            "Tensorloom computes with numpy instead; a newer browser is much faster.",
        )
