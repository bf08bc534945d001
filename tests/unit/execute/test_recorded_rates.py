"""Predictions and placement by rates that were measured once: order, ratios, who gets what.

WASM and numpy by Chromium 156 on a Zen 4 core; SwiftShader on two such cores; and what a GPU of
3 TFLOP/s with memory of its own would be like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.calibration import Rates
from tensorloom.execute.numpy_backend import PYODIDE_RATES, NumpyBackend
from tensorloom.execute.run import prepare
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.rates import WasmRates
from tensorloom.plan.find import plan_for
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend, BackendName
    from tensorloom.execute.run import Choice
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

WASM = WasmRates(
    run_ms=0.1,
    input_ms=0.01,
    bound_input_ms=0.006,
    cycles_per_ms=3.0e6,
    looked_bytes_per_ms=1.5e7,
    measured=(("gemm", "float32", 3.4e6), ("gemm", "float64", 3.4e6), ("run", "float32", 3.0e6)),
)


def gpu_rates(run_ms: float, dispatch_ms: float, bytes_per_ms: float, rate: float) -> Rates:
    shares = (("matrix", 1.0), ("thin", 0.3), ("stream", 0.05))
    return Rates(
        run_ms=run_ms,
        dispatch_ms=dispatch_ms,
        bytes_per_ms=bytes_per_ms,
        mul_adds_per_ms=tuple(("float32", kind, share * rate) for kind, share in shares),  # type: ignore[misc]  # strs
    )


SWIFTSHADER = gpu_rates(3.0, 0.25, 6e5, 1.8e6)
HARDWARE = gpu_rates(3.0, 0.01, 2e6, 1.5e9)


class Gpu(NumpyBackend):
    """Rates under the name of a GPU."""

    name: BackendName = "webgpu"
    dtypes: tuple[DType, ...] = ("float32",)


def product(side: int) -> Plan:
    sizes = (("i", side), ("j", side), ("k", side))
    return plan_for((("i", "k"), ("k", "j")), ("i", "j"), sizes)


def chain(length: int, bond: int) -> Plan:
    inputs = tuple((f"i{n}", f"i{n + 1}") for n in range(length))
    sizes = tuple((f"i{n}", bond) for n in range(length + 1))
    return plan_for(inputs, ("i0", f"i{length}"), sizes)


def choice(plan: Plan, gpu: Rates) -> Choice:
    backends: dict[BackendName, Backend] = {
        "wasm": WasmBackend(WasmtimeHost(), rates=WASM),
        "webgpu": Gpu(rates=gpu),
        "numpy": NumpyBackend(rates=PYODIDE_RATES),
    }
    return prepare(plan, backends=backends, dtype="float32")


@pytest.mark.parametrize("side", [16, 64, 256, 512])
def test_a_simulated_gpu_gets_no_product(side: int) -> None:
    found = choice(product(side), SWIFTSHADER)
    assert found.attempts[0].backend.name == "wasm"
    assert found.notes == ()


@pytest.mark.parametrize(("side", "name"), [(64, "wasm"), (256, "wasm"), (2048, "webgpu")])
def test_hardware_gets_what_pays_for_its_way(side: int, name: str) -> None:
    assert choice(product(side), HARDWARE).attempts[0].backend.name == name


@pytest.mark.parametrize("gpu", [SWIFTSHADER, HARDWARE])
def test_many_small_steps_stay_in_one_place(gpu: Rates) -> None:
    found = choice(chain(200, 4), gpu)
    assert found.attempts[0].backend.name == "wasm"
    assert found.notes == ()


@pytest.mark.parametrize(
    ("side", "measured_ms"), [(256, 0.93), (512, 5.7), (1024, 44.0)], ids=["256", "512", "1024"]
)
def test_squares_take_what_they_took(side: int, measured_ms: float) -> None:
    """Medians of ``bench prediction`` on the device of these rates."""
    attempts = {one.backend.name: one for one in choice(product(side), SWIFTSHADER).attempts}
    assert measured_ms / 1.5 < attempts["wasm"].predicted_ms < 1.5 * measured_ms
    assert attempts["wasm"].predicted_ms < attempts["webgpu"].predicted_ms
