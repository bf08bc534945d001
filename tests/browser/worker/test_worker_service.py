"""The page and the real service, which runs as a process of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from page_state import until
from watch import Watch, origin_of
from workbench import Workbench, native, ready
from worker_double import TOKEN
from worker_page import RUN, link_to, send_it_there

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from worker_harness import Process

    from worker_double import WorkerDouble


def test_a_real_worker_on_another_port_computes_what_is_drawn(
    visited: tuple[Workbench, Watch], real: Process
) -> None:
    bench, watch = visited
    address, token = real.address, real.token
    watch.problems.clear()
    # What is not there before it is sent is no error on the console.
    watch.allow(f"^other origin: {re.escape(address)}")
    bench.clear()
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to(address, token))
    bench.until("now.remote?.connection.kind === 'on'", seconds=40)
    random = np.random.default_rng(5)
    arrays = [random.normal(size=shape) for shape in [(70, 80), (80, 90), (90, 70)]]
    given = [{"shape": list(one.shape), "data": one.ravel().tolist()} for one in arrays]
    bench.open(format="einsum", text="ij,jk,ki->", arrays=given)
    send_it_there(bench)
    value = float(np.einsum("ij,jk,ki->", *arrays, optimize=True))
    bench.until("now.result?.backend === 'worker'", seconds=60)
    bench.shows_value(value, relative=1e-10)
    job = bench.state("now.remote.current.job")
    assert job["state"] == "done"
    assert job["result"]["errorBound"] > 0
    bench.page.evaluate("() => tensorloomDesk.disconnect()")
    bench.page.evaluate("() => tensorloomStore.set({ backend: 'auto' })")
    assert watch.unexpected() == []


def test_a_batch_of_a_script_shares_the_drawing(
    visited: tuple[Workbench, Watch], real: Process
) -> None:
    bench, watch = visited
    watch.problems.clear()
    watch.allow(f"^other origin: {re.escape(real.address)}")
    bench.clear()
    left = np.random.default_rng(6).normal(size=(5, 2, 3))
    bench.open(
        format="einsum",
        text="ij,jk->ik",
        arrays=[
            {"shape": [2, 3], "data": left[0].ravel().tolist()},
            {"shape": [3, 2], "data": list(range(6))},
        ],
    )
    bench.settle()
    first = bench.document()["tensors"][0]
    shown = bench.state("now.result.ms")
    given = {
        "address": real.address,
        "token": real.token,
        "batch": {first["id"]: {"shape": [5, 2, 3], "data": left.ravel().tolist()}},
    }
    found = bench.page.evaluate(
        """async ({ address, token, batch }) => {
          const worker = { address, token };
          const result = await tensorloom.run({ backend: "worker", worker, batch });
          return { ...result, value: [...result.value] };
        }""",
        given,
    )
    right = np.arange(6.0).reshape(3, 2)
    assert found["shape"] == [5, 2, 2]
    np.testing.assert_allclose(np.reshape(found["value"], (5, 2, 2)), left @ right, rtol=1e-14)
    # It is listed, and is not the value of what is drawn.
    assert bench.state("now.remote.jobs[0].job.state") == "done"
    assert bench.state("[now.remote.current, now.remote.news]") == [None, None]
    assert bench.state("now.result.ms") == shown
    bench.page.evaluate("() => tensorloomDesk.disconnect()")
    assert watch.unexpected() == []


def test_the_page_that_the_worker_serves_is_connected_by_its_link(
    browser: Browser, real: Process
) -> None:
    address, token = real.address, real.token
    context = browser.new_context(viewport={"width": 390, "height": 844})
    watch = Watch(origin=origin_of(f"{address}/"))
    watch.follow(context)
    try:
        page = context.new_page()
        bench = ready(page, f"{address}/{link_to(address, token)}")
        assert page.url == f"{address}/"
        bench.until("now.remote?.connection.kind === 'on'", seconds=40)
        until(page, "() => navigator.serviceWorker.controller", seconds=60)
        bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
        first = bench.run(backend="worker")
        np.testing.assert_allclose(
            np.reshape(first["value"], first["shape"]), native(bench.document()), rtol=1e-12
        )
        kept = page.evaluate(
            """async () => {
              const found = [];
              for (const name of await caches.keys())
                for (const { url } of await (await caches.open(name)).keys()) found.push(url);
              return found;
            }"""
        )
        assert [url for url in kept if "/v1/" in url] == []
        page.reload()
        until(page, "() => globalThis.tensorloomStore?.get().ready")
        bench.until("now.remote?.jobs.length > 0 && now.remote.connection.kind === 'on'")
        assert watch.unexpected() == []
    finally:
        context.close()


def test_an_isolated_page_reaches_a_worker(
    browser: Browser, site_url: str, double: WorkerDouble
) -> None:
    double.held = False
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        ready(page, site_url)
        until(page, "() => navigator.serviceWorker.controller", seconds=60)
        page.evaluate(
            """() => new Promise((resolve) => {
              const { port1, port2 } = new MessageChannel();
              port1.onmessage = resolve;
              navigator.serviceWorker.controller.postMessage({ isolate: true }, [port2]);
            })"""
        )
        bench = ready(page, site_url)
        assert page.evaluate("() => crossOriginIsolated") is True
        bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
        found = page.evaluate(RUN, {"address": double.address, "token": TOKEN})
        np.testing.assert_allclose(
            np.reshape(found["value"], found["shape"]), native(bench.document()), rtol=1e-14
        )
    finally:
        context.close()
