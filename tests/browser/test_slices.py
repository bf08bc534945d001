"""Sliced runs in the page: the sum so far is shown as such, a stop says it, and no slice is lost.

And what a GPU gives back besides one result: gradients, and sums without what rounding takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gauges import python

if TYPE_CHECKING:
    from workbench import Workbench

pytestmark = pytest.mark.browser

LIMIT = """
import json
from tensorloom.execute.backends import opened
backend = opened().backends["numpy"]
before, backend.limit_bytes = backend.limit_bytes, GIVEN
json.dumps(before)
"""

STOPPED = """
import json
import numpy as np
from tensorloom.errors import Cancelled
from tensorloom.execute import numpy_backend
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import opened
from tensorloom.execute.gpu import replay as gpu_replay
from tensorloom.execute.wasm import replay
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

async def stopped(name):
    backend = opened().backends[name]
    tree = ContractionTree(
        inputs=(("i", "s"), ("s", "i")), output=("i",), dimensions=(("i", 3), ("s", 12)),
        path=((0, 1),), sliced=("s",))
    program = lower(tree, "float32")
    # Large numbers cancel from slice to slice: sums that round would lose the small ones.
    column = np.array([3e7, 0.5, -3e7, 2e7, 0.25, -2e7] * 2, "f4")
    arrays = [np.tile(column, (3, 1)), np.ones((12, 3), "f4")]
    told = []

    async def pulse(_done, slices=None):
        told.append((slices.done, slices.of, float((await slices.so_far()).value[0])))
        if slices.done == 5:
            raise Cancelled("cancelled", "Stopped.")

    kept = numpy_backend.CHUNK_MS, replay.PIECE_CYCLES, gpu_replay.SUBMIT_MS
    numpy_backend.CHUNK_MS = gpu_replay.SUBMIT_MS = 0
    replay.PIECE_CYCLES = 1
    try:
        await backend.run(program, arrays, pulse)
    except Cancelled:
        told.append("stopped")
    finally:
        numpy_backend.CHUNK_MS, replay.PIECE_CYCLES, gpu_replay.SUBMIT_MS = kept
    found = await backend.run(program, arrays, no_pulse)
    return json.dumps([told[-2:], found.value.tolist()])

await stopped("GIVEN")
"""

GRADIENTS = """
import json
import numpy as np
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import opened
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.plan.find import plan_for

async def compared():
    draw = np.random.default_rng(1)
    found = []
    for dtype in ("float32", "complex64"):
        sizes = (("a", 5), ("b", 40), ("c", 33), ("d", 7), ("e", 3))
        inputs = (("a", "b"), ("b", "c"), ("c", "d", "e"), ("e", "a"))
        tree = plan_for(inputs, ("d",), sizes).tree
        program = lower_gradient(tree, dtype, (0, 1, 2, 3))
        sides = dict(sizes)
        arrays = [draw.normal(size=[sides[n] for n in names]).astype(dtype)
                  for names in (*inputs, ("d",))]
        for factor in (1, 1e14):
            given = [np.asarray(arrays[0] * factor, dtype), *arrays[1:]]
            numpy = await opened().backends["numpy"].run(program, given, no_pulse)
            gpu = opened().backends["webgpu"]
            gpu.release()
            there = await gpu.run(program, given, no_pulse)
            errors = [
                float(np.abs(one.value * 10.0 ** (one.log10_scale - other.log10_scale)
                             - other.value).max() / np.abs(other.value).max())
                for one, other in zip((there, *there.kept), (numpy, *numpy.kept), strict=True)
            ]
            # A scaled plan may be beside the plain one; the last is the plan that ran.
            taken = gpu.device.counts()["bytes"] / gpu.device.counts()["plans"]
            found.append([max(errors), len(errors), taken / gpu.peak_bytes(program)])
    return json.dumps(found)

await compared()
"""


def test_a_sliced_run_shows_its_sum_so_far_and_says_it_when_stopped(bench: Workbench) -> None:
    n = 1200
    bench.page.evaluate(
        """(n) => tensorloom.open({
          format: "einsum", text: "ax,bx,ac,bc->", sizes: { a: n, b: n, c: n, x: n },
        })""",
        n,
    )
    bench.settle()
    before = python(bench.page, LIMIT.replace("GIVEN", str(8 * (4 * n * n + n * n // 12))))
    try:
        bench.page.evaluate(
            """() => tensorloomStore.request(
              { kind: "run", backend: "numpy", dtype: null, slice: true })"""
        )
        partial = bench.until("now.progress && now.partial", seconds=60)
        assert partial
        card = bench.page.locator(".tl-value")
        assert "not yet the value" in card.inner_text()
        assert "slices" in card.inner_text()
        bench.page.get_by_role("button", name="Cancel").click()
        bench.until("!now.progress && now.stale", seconds=60)
    finally:
        python(bench.page, LIMIT.replace("GIVEN", str(before)))
    assert bench.state("now.stale").startswith("Stopped.")
    kept = bench.state("now.partial")
    assert 0 < int(kept["done"]) < int(kept["of"])
    assert "which is not the value" in card.inner_text()
    assert "out of date" in card.inner_text()


@pytest.mark.parametrize("name", ["numpy", "wasm", "webgpu"])
def test_every_backend_stops_between_slices_and_loses_none(bench: Workbench, name: str) -> None:
    bench.run()
    told, value = python(bench.page, STOPPED.replace("GIVEN", name))
    # 3e7 + 0.5 - 3e7 + 2e7 + 0.25 in float32, what rounding took added.
    assert told == [[5, 12, 20000000.0], "stopped"]
    assert value == [1.5, 1.5, 1.5]


def test_gradients_of_the_gpu_are_those_of_numpy_in_the_memory_predicted(bench: Workbench) -> None:
    bench.run()
    found = python(bench.page, GRADIENTS)
    assert len(found) == 4
    for error, count, share in found:
        assert error < 1e-5
        assert count == 5
        assert 0.98 < share < 1.02
