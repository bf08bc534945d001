"""``tensorloom.run({backend: "worker"})`` in the page."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import numpy as np

from page_state import until
from workbench import native
from worker_double import TOKEN, worker_double
from worker_page import RUN, connect, show_big

if TYPE_CHECKING:
    from watch import Watch
    from workbench import Workbench
    from worker_double import WorkerDouble


def test_scripts_run_on_the_worker_with_progress(bench: Workbench, double: WorkerDouble) -> None:
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    bench.settle()

    def work() -> None:
        with double.changed:
            assert double.changed.wait_for(lambda: "job1" in double.jobs, timeout=30)
        double.run("job1", 1, 4, 0.5)
        double.finish("job1")

    worker = threading.Thread(target=work)
    worker.start()
    found = bench.page.evaluate(RUN, {"address": double.address, "token": TOKEN})
    worker.join()
    np.testing.assert_allclose(
        np.reshape(found["value"], found["shape"]), native(bench.document()), rtol=1e-14
    )
    assert found["kind"] == "Float64Array"
    assert found["backend"] == "worker"
    assert found["notes"] == ["Computed by numpy on the worker."]
    told = bench.page.evaluate("() => told")
    assert told[-1]["state"] == "done"
    assert told[-1]["fraction"] == 1
    assert {one["job"] for one in told} == {"job1"}


def test_scripts_choose_what_contracts_there(bench: Workbench, double: WorkerDouble) -> None:
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    bench.settle()

    def work() -> None:
        with double.changed:
            assert double.changed.wait_for(lambda: "job1" in double.jobs, timeout=30)
        double.finish("job1")

    worker = threading.Thread(target=work)
    worker.start()
    given = {"address": double.address, "token": TOKEN, "backend": "wgpu"}
    assert bench.page.evaluate(RUN, given)["backend"] == "worker"
    worker.join()
    assert double.bodies["job1"]["backend"] == "wgpu"


def test_scripts_cancel_a_job(bench: Workbench, double: WorkerDouble) -> None:
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    bench.settle()
    bench.page.evaluate(
        f"(given) => {{ globalThis.running = ({RUN})(given); }}",
        {"address": double.address, "token": TOKEN},
    )
    until(bench.page, "() => globalThis.told?.length > 0")
    bench.page.evaluate("() => stopRun()")
    assert bench.page.evaluate("() => running")["code"] == "cancelled"
    assert double.jobs["job1"]["state"] == "cancelled"


def test_what_the_browser_cannot_keep_is_refused_and_not_sent(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    show_big(bench)
    button = bench.page.get_by_role("button", name="Compute on the worker")
    button.wait_for()
    # As where the quota is found to be passed at the commit: no request fails before.
    bench.page.evaluate(
        """() => {
          globalThis.usualPut = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (...given) {
            const request = usualPut.apply(this, given);
            if (this.name === "jobs")
              request.addEventListener("success", () => this.transaction.abort());
            return request;
          };
        }"""
    )
    try:
        button.click()
        bench.page.get_by_text("This browser has no room to keep the job").wait_for()
        error = bench.page.evaluate(
            """() => Promise.race([
              tensorloom.run({ backend: "worker" }).then(() => null, ({ code }) => code),
              new Promise((late) => setTimeout(() => late("nothing was said"), 10_000))])"""
        )
        assert error == "worker-not-kept"
    finally:
        bench.page.evaluate("() => { IDBObjectStore.prototype.put = usualPut; }")
    # What waits is sent at every new connection.
    bench.page.evaluate("() => tensorloomDesk.disconnect()")
    connect(bench, double)
    button.click()
    bench.until("now.remote.current?.job")
    assert list(double.jobs) == ["job1"]


def test_scripts_without_a_worker_are_told_so(bench: Workbench) -> None:
    bench.open(format="einsum", text="i->i i=2")
    error = bench.page.evaluate(
        """() => tensorloom.run({ backend: "worker" }).then(() => null, ({ code }) => code)"""
    )
    assert error == "worker-not-connected"


REMEMBERED = """() => JSON.parse(localStorage.getItem("tensorloom-worker"))"""


def test_a_run_that_a_worker_refuses_leaves_the_page_connected_as_it_was(
    bench: Workbench, double: WorkerDouble, visited: tuple[Workbench, Watch]
) -> None:
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    bench.settle()
    mistyped = {"address": double.address, "token": "mistyped"}
    closed = {"address": "http://127.0.0.1:1", "token": TOKEN}
    visited[1].allow(re.escape(closed["address"]))

    def refusals() -> list[str]:
        return [bench.page.evaluate(RUN, worker)["code"] for worker in (mistyped, closed)]

    assert refusals() == ["worker-token", "worker-unreachable"]
    assert bench.page.evaluate(REMEMBERED) is None
    assert bench.state("now.remote.connection.kind") == "off"
    connect(bench, double)
    own = {"address": double.address, "token": TOKEN}
    assert bench.page.evaluate(REMEMBERED) == own
    assert refusals() == ["worker-token", "worker-unreachable"]
    assert bench.page.evaluate(REMEMBERED) == own
    bench.until("now.remote.connection.kind === 'on'")
    assert bench.state("now.remote.connection.address") == double.address


def test_a_run_on_another_worker_gives_the_page_its_own_one_back(
    bench: Workbench, double: WorkerDouble, visited: tuple[Workbench, Watch]
) -> None:
    connect(bench, double)
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    bench.settle()
    with worker_double() as other:
        visited[1].allow(re.escape(other.address))
        found = bench.page.evaluate(RUN, {"address": other.address, "token": TOKEN})
        assert found["backend"] == "worker"
        assert list(other.jobs) == ["job1"]
        assert not double.jobs
        own = {"address": double.address, "token": TOKEN}
        assert bench.page.evaluate(REMEMBERED) == own
        bench.until("now.remote.connection.kind === 'on'")
        assert bench.state("now.remote.connection.address") == double.address
