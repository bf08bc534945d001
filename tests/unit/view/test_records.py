"""Records for the page, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.formats.opening import open_text
from tensorloom.plan.find import quick, with_path
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


def test_work_and_peak_of_a_sliced_plan_are_both_those_of_its_run() -> None:
    sizes = {"x": 2, "y": 2, "s": 3, "p": 5, "q": 5}
    text = "xy,y,sp,sq,pqx->"
    network = open_text(text, format="einsum", options={"sizes": sizes}).document.network
    path = ((2, 3), (5, 4), (0, 1), (6, 7))
    plan = with_path(network, path, finder="greedy", sliced=("s",))
    record: Any = plan_json(plan, network, "float64")
    # Three slices of 25 + 50 + 2, and once the 4 of x and y, whose 2 numbers last for all slices.
    assert record["mulAdds"] == str(3 * 77 + 4)
    # The inputs' 86, the result, pq and what it becomes; one slice by itself would do without xy.
    assert record["peakElements"] == str(86 + 1 + 2 + 25 + 2)
    assert record["peakBytes"] == str(8 * 116)
    assert max(int(step["liveElements"]) for step in record["steps"]) == 114
