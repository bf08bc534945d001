"""Records for the page, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.formats.opening import open_text
from tensorloom.plan.find import quick
from tensorloom.view.records import plan_json

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.model.recipe import DType


@pytest.mark.parametrize(
    ("backend", "dtype", "item"),
    [
        ("wasm", "float64", 8),
        ("webgpu", "float32", 4),
        ("webgpu-f16", "float32", 2),
        ("webgpu-f16", "complex64", 4),
    ],
)
def test_the_peak_of_a_plan_is_counted_as_its_backend_stores_it(
    backend: BackendName, dtype: DType, item: int
) -> None:
    options = {"sizes": {"i": 3, "j": 4, "k": 5}}
    network = open_text("ij,jk->ik", format="einsum", options=options).document.network
    record: Any = plan_json(quick(network), network, dtype, backend=backend)
    # 12 + 20 numbers, and the result's 15.
    assert record["peakElements"] == "47"
    assert record["peakBytes"] == str(47 * item)
