"""Where ``auto`` runs a product, on the built site, where WebGPU is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.alone]

RUN = """
async ([backend, times]) => {
  const found = [];
  for (let n = 0; n < times; n += 1) {
    const { ms, predictedMs, backend: used } = await tensorloom.run({ backend, dtype: "float32" });
    found.push({ ms, predictedMs, used });
  }
  return found;
}
"""

PRODUCT = {"format": "einsum", "text": "ik,kj->ij", "sizes": {"i": 256, "k": 256, "j": 256}}


def runs(bench: Workbench, backend: str, times: int) -> list[dict[str, Any]]:
    return list(bench.page.evaluate(RUN, [backend, times]))


def test_a_product_is_left_to_wasm_where_the_gpu_is_simulated(bench: Workbench) -> None:
    bench.page.evaluate("(given) => tensorloom.open(given)", {**PRODUCT, "dtype": "float32"})
    forced = {name: runs(bench, name, 4) for name in ("wasm", "webgpu")}
    for name, found in forced.items():
        assert {run["used"] for run in found} == {name}
    chosen = runs(bench, "auto", 4)
    assert {run["used"] for run in chosen} == {"wasm"}
    # Least times, with room for a busy machine; the simulated GPU takes ten times as long.
    least = {name: min(run["ms"] for run in found) for name, found in forced.items()}
    assert min(run["ms"] for run in chosen) < 2 * min(least.values()) + 2
    assert least["wasm"] < least["webgpu"]


def test_predictions_are_of_the_right_size(bench: Workbench) -> None:
    bench.page.evaluate("(given) => tensorloom.open(given)", {**PRODUCT, "dtype": "float32"})
    found = runs(bench, "wasm", 6)
    # 17 million multiply-adds: 0.6 ms on one core at its peak.
    assert 0.2 < found[-1]["predictedMs"] < 50
    assert found[-1]["predictedMs"] < 20 * min(run["ms"] for run in found)
