"""Devices that go away and memory that ends: the right number, from the next backend, and said so.

And what thousands of runs leave behind: nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gauges import at_rest, python, python_worker

if TYPE_CHECKING:
    from workbench import Workbench

pytestmark = pytest.mark.browser

ARRAYS = [np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)]

GPU = {"backend": "webgpu", "dtype": "float32"}

RUNS = """
import json
import numpy as np
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import opened
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

def counts(backend):
    return dict(backend.counts if hasattr(backend, "counts") else backend.device.counts())

def jobs(n):
    for size in range(2, 2 + n):
        sizes = (("a", size), ("b", 5), ("c", 7), ("d", 3))
        plan = plan_for((("a", "b"), ("b", "c"), ("c", "d")), ("a", "d"), sizes)
        arrays = [np.ones((size, 5), "f4"), np.ones((5, 7), "f4"), np.full((7, 3), size, "f4")]
        yield lower(plan, "float32"), arrays, 35 * size

async def repeated(name, n_jobs, times):
    backend = opened().backends[name]
    work = list(jobs(n_jobs))
    found = []
    for stage in range(3):
        for program, arrays, wanted in work:
            for _ in range(times // (3 * n_jobs)):
                raw = await backend.run(program, arrays, no_pulse)
                assert (raw.value == wanted).all(), (name, wanted)
        found.append(counts(backend))
    return json.dumps(found)

await repeated(*GIVEN)
"""


def opened(bench: Workbench) -> None:
    arrays = [{"shape": list(a.shape), "data": a.ravel().tolist()} for a in ARRAYS]
    bench.open(format="einsum", text="ij,jk->ik", arrays=arrays)


def value(found: dict[str, Any]) -> list[float]:
    """The value, wherever it was made.

    Raises:
        AssertionError: It is wrong.
    """
    numbers: list[float] = found["value"]
    np.testing.assert_allclose(numbers, (ARRAYS[0] @ ARRAYS[1]).ravel(), rtol=1e-6)
    return numbers


@pytest.mark.parametrize(
    ("name", "jobs", "times"), [("wasm", 10, 10_000), ("webgpu", 5, 1_000)], ids=["wasm", "webgpu"]
)
def test_thousands_of_runs_leave_nothing_behind(
    bench: Workbench, name: str, jobs: int, times: int
) -> None:
    opened(bench)
    bench.run()
    at_rest(bench.page)
    stages = python(bench.page, RUNS.replace("GIVEN", json.dumps([name, jobs, times])))
    assert stages[0] == stages[1] == stages[2]
    assert stages[0]["programs" if name == "wasm" else "plans"] > 0


def test_a_gpu_that_went_away_is_asked_for_again(bench: Workbench) -> None:
    opened(bench)
    before = bench.run(**GPU)
    assert value(before)
    python(bench.page, "import tensorloom_page; tensorloom_page.gpu.lose(); '0'")
    after = bench.run(**GPU)
    assert value(after) == value(before)
    assert (after["backend"], after["notes"]) == ("webgpu", [])


def test_a_gpu_that_others_asked_for_again_loads_again_what_it_had(bench: Workbench) -> None:
    opened(bench)
    before = bench.run(**GPU)
    # As the tuner does, when a candidate has cost it the device.
    renew = "from tensorloom.execute.backends import opened\n"
    renew += "import tensorloom_page\ntensorloom_page.gpu.lose()\n"
    renew += "await opened().backends['webgpu'].device.renew()\n'0'"
    python(bench.page, renew)
    after = bench.run(**GPU)
    assert value(after) == value(before)
    assert (after["backend"], after["notes"]) == ("webgpu", [])


def test_a_gpu_that_does_not_come_back_hands_over_and_is_back_when_it_is(bench: Workbench) -> None:
    opened(bench)
    before = bench.run(**GPU)
    worker = python_worker(bench.page)
    worker.evaluate(
        """() => {
          globalThis.asked = navigator.gpu.requestAdapter;
          navigator.gpu.requestAdapter = () => Promise.resolve(null);
        }"""
    )
    try:
        python(bench.page, "import tensorloom_page; tensorloom_page.gpu.lose(); '0'")
        for _ in range(2):
            found = bench.run(**GPU)
            assert value(found)
            assert found["backend"] == "wasm"
            words = "WebGPU could not run it: The GPU went away and did not come back."
            assert found["notes"] == [words]
    finally:
        worker.evaluate("() => { navigator.gpu.requestAdapter = asked; }")
    after = bench.run(**GPU)
    assert value(after) == value(before)
    assert (after["backend"], after["notes"]) == ("webgpu", [])


def test_a_gpu_without_memory_hands_over(bench: Workbench) -> None:
    opened(bench)
    bench.page.evaluate("() => tensorloom.run({ backend: 'wasm' })")
    # Another shape than before: what is loaded already needs no memory.
    arrays = [{"shape": [2, 3], "data": ARRAYS[0].ravel().tolist()}]
    arrays.append({"shape": [3, 4], "data": ARRAYS[1].ravel().tolist()})
    bench.open(format="einsum", text="ij,jk->ki", arrays=arrays)
    python(bench.page, "import tensorloom_page; tensorloom_page.gpu.exhaust(100); '0'")
    try:
        found = bench.run(**GPU)
    finally:
        python(bench.page, "import tensorloom_page; tensorloom_page.gpu.exhaust(0); '0'")
    assert found["backend"] == "wasm"
    assert found["value"] == (ARRAYS[0] @ ARRAYS[1]).T.ravel().tolist()
    assert found["notes"] == ["WebGPU could not run it: The GPU refused a kernel: Out of memory."]


def test_wasm_without_room_hands_over(bench: Workbench) -> None:
    opened(bench)
    limit = """
from tensorloom.execute.backends import opened
wasm = opened().backends["wasm"]
before, wasm.limit_bytes = wasm.limit_bytes, LIMIT
str(before)
"""
    before = python(bench.page, limit.replace("LIMIT", "64"))
    try:
        found = bench.run(dtype="float64")
    finally:
        python(bench.page, limit.replace("LIMIT", str(before)))
    assert value(found)
    assert found["backend"] == "numpy"


def test_python_that_cannot_wait_contracts_on_wasm(bench: Workbench) -> None:
    opened(bench)
    bench.run()
    source = """
import json, tensorloom
a = [[1.0, 2.0], [3.0, 4.0]]
found = tensorloom.gradient("ij,jk->", [a, a], backend="wasm")
json.dumps([tensorloom.contract("ij,jk->ik", a, a, backend=name).ravel().tolist()
            for name in ("wasm", "numpy", "auto", "webgpu")] + [found.backend])
"""

    text = python_worker(bench.page).evaluate("(source) => pyodide.runPython(source)", source)
    assert json.loads(text) == [[7, 10, 15, 22]] * 4 + ["wasm"]
