"""The page and a heavy worker: a double at the pace of the test, then the real service.

The double keeps the contract and does what it is told; so each state of a job can be looked at. The
real service runs as a process of its own, on another loopback port than the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest

from page_state import until
from watch import Watch, origin_of
from workbench import Workbench, native, ready
from worker_double import TOKEN, WorkerDouble, worker_double

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

BIG = "ab,bc,cd,de,ea-> a=40000 b=40000 c=40000 d=30000 e=30000"
"""Needs 71 GB: no tab holds it."""

VALUE = 0.123456789

START_S = 60
"""For the service to say where it is: its cluster starts processes."""


@pytest.fixture(scope="module")
def visited(browser: Browser, site_url: str) -> Iterator[tuple[Workbench, Watch]]:
    """One started workbench for the tests of the double."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watch = Watch(origin=origin_of(site_url))
    watch.follow(context)
    yield ready(context.new_page(), site_url), watch
    context.close()


@pytest.fixture
def double() -> Iterator[WorkerDouble]:
    with worker_double() as found:
        found.held = True
        yield found


@pytest.fixture
def bench(visited: tuple[Workbench, Watch], double: WorkerDouble) -> Iterator[Workbench]:
    """A page that shows what does not fit it, and is connected to nothing."""
    workbench, watch = visited
    watch.problems.clear()
    watch.allowed.clear()
    # Asked for, and on purpose not always answered.
    watch.allow(re.escape(double.address))
    workbench.clear()
    yield workbench
    workbench.page.evaluate("() => globalThis.tensorloomDesk?.disconnect()")
    workbench.page.evaluate("() => tensorloomStore.set({ dialog: null, backend: 'auto' })")
    assert watch.unexpected() == []


def link_to(address: str, token: str = TOKEN) -> str:
    return f"#worker={quote(address, safe='')}&token={token}"


def connect(bench: Workbench, double: WorkerDouble) -> None:
    """By a link, as a user who pastes it into the address bar."""
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to(double.address))
    bench.until("now.remote?.connection.kind === 'on'")


def show_big(bench: Workbench, text: str = BIG) -> None:
    bench.open(format="einsum", text=text)
    bench.until("now.plan?.refused && now.stale !== null && !now.behind")


def send(bench: Workbench, double: WorkerDouble, text: str = BIG) -> str:
    """The job of a drawing that was sent by the button."""
    show_big(bench, text)
    bench.page.get_by_role("button", name="Compute on the worker").click()
    bench.until("now.remote.current?.job")
    job: str = bench.state("now.remote.current.job.id")
    assert job in double.jobs
    return job


def card(bench: Workbench) -> str:
    """The value card's words, thin spaces as blanks."""
    return bench.page.locator(".tl-value").inner_text().replace("\u2009", " ")


# --- before anything is connected ---------------------------------------------------------------


def test_nothing_is_asked_of_a_worker_before_it_is_connected(
    bench: Workbench, double: WorkerDouble, visited: tuple[Workbench, Watch]
) -> None:
    show_big(bench)
    assert bench.state("now.remote") is None
    loaded = bench.page.evaluate(
        "() => performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert any(name.endswith("/editor.js") for name in loaded)
    assert [name for name in loaded if name.endswith("/remote.js")] == []
    assert double.requests == []
    assert [problem for problem in visited[1].problems if "other origin" in problem] == []


def test_the_panel_connects_by_keyboard_and_says_what_is_there(
    bench: Workbench, double: WorkerDouble
) -> None:
    page = bench.page
    page.get_by_role("button", name="Show this device").click()
    page.get_by_role("button", name="Connect a worker").click()
    panel = page.get_by_role("dialog", name="Worker")
    assert panel.get_by_label("Address").input_value() == "http://127.0.0.1:8765"
    page.keyboard.press("Enter")
    assert "There is no token." in panel.get_by_role("alert").inner_text()
    page.keyboard.type("wrong")
    panel.get_by_label("Address").fill(f" {double.address}/ ")
    page.keyboard.press("Enter")
    alert = panel.get_by_role("alert")
    alert.wait_for()
    assert "does not know this token. Copy the token" in alert.inner_text()
    panel.get_by_role("button", name="Disconnect").click()
    panel.get_by_label("Address").fill(double.address)
    panel.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    panel.get_by_text(f"Connected to {double.address[7:]}").wait_for()
    text = panel.inner_text().replace("\u2009", " ")
    assert "2 processes, 4.0 GB each; numpy; version 9.9." in text
    assert "None yet." in text
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Show this device").inner_text() == (
        "Runs on this CPU, 64-bit, or on the worker"
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ftp://worker", "is not the address of a worker"),
        ("https://worker.example", "This page may reach workers on this machine"),
    ],
)
def test_an_address_out_of_reach_is_refused_with_a_way_out(
    bench: Workbench, typed: str, said: str
) -> None:
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    panel = bench.page.get_by_role("dialog", name="Worker")
    panel.get_by_label("Address").fill(typed)
    panel.get_by_label("Token").fill("t")
    bench.page.keyboard.press("Enter")
    assert said in panel.get_by_role("alert").inner_text()
    assert bench.state("now.remote.connection.kind") == "off"


# --- links --------------------------------------------------------------------------------------


def test_a_link_connects_and_leaves_no_token_behind(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    show_big(bench)
    assert TOKEN not in bench.page.url
    assert "worker=" not in bench.page.url
    assert TOKEN not in bench.page.evaluate("() => JSON.stringify(tensorloomStore.get().remote)")
    assert TOKEN not in bench.page.evaluate("() => tensorloom.link()")
    assert TOKEN not in bench.page.evaluate("() => JSON.stringify(history.state)")
    kept = bench.page.evaluate(
        """async () => {
          const open = (name) => new Promise((resolve, reject) => {
            const request = indexedDB.open(name);
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
          const all = [];
          for (const { name } of await indexedDB.databases()) {
            const database = await open(name);
            for (const store of database.objectStoreNames) {
              const request = database.transaction(store).objectStore(store).getAll();
              await new Promise((resolve) => { request.onsuccess = resolve; });
              all.push(request.result);
            }
            database.close();
          }
          return JSON.stringify(all);
        }"""
    )
    assert TOKEN not in kept
    assert all(TOKEN not in path for _, path, _ in double.requests)


def test_a_link_to_another_machine_asks_and_sends_nothing(bench: Workbench) -> None:
    before = bench.document()
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to("https://evil.example"))
    panel = bench.page.get_by_role("dialog", name="Worker")
    question = panel.get_by_role("group", name="A link asks to connect")
    question.wait_for()
    assert "the worker at evil.example" in question.inner_text()
    assert bench.state("now.remote.connection.kind") == "off"
    assert "evil" not in bench.page.url
    bench.page.get_by_role("button", name="Do not connect").click()
    assert bench.state("now.remote.asked") is None
    assert bench.document() == before


def test_a_link_never_replaces_a_connection_unasked(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to("http://127.0.0.1:9"))
    bench.page.get_by_role("group", name="A link asks to connect").wait_for()
    assert bench.state("now.remote.connection.address") == double.address
    bench.page.get_by_role("button", name="Do not connect").click()


# --- sending ------------------------------------------------------------------------------------


def test_the_button_sends_what_does_not_fit_and_the_value_lands(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    show_big(bench)
    bench.page.get_by_role("button", name="Compute on the worker").wait_for()
    assert "Here\n71.2 GB, does not fit" in card(bench)
    assert "Worker\nabout 6 min, in 64 slices" in card(bench)
    job = send(bench, double)
    assert "Queued" in card(bench)
    plan = bench.state("now.plan.steps.map(({ left, right }) => [left, right])")
    assert double.bodies[job]["plan"] == {"path": plan, "sliced": []}
    double.run(job, 16, 64, 0.111)
    bench.until("now.remote.current.job.state === 'running'")
    assert "25 %, about 5 min left" in card(bench)
    assert "The sum of 16 of 64 slices, not yet the value." in card(bench)
    assert (
        bench.page.get_by_role("progressbar", name="Job on the worker").get_attribute(
            "aria-valuenow"
        )
        == "25"
    )
    double.finish(job, VALUE)
    bench.shows_value(VALUE)
    assert "measured 1 min" in card(bench)
    assert "predicted 5 min" in card(bench)
    assert "Where\nWorker, f64" in card(bench)
    assert f"Computed by numpy on the worker at {double.address[7:]}." in card(bench)
    assert bench.headline().replace("\u2009", "").startswith("0.12345")


def test_an_estimate_that_says_no_says_why_and_offers_nothing(
    bench: Workbench, double: WorkerDouble
) -> None:
    double.estimate = {
        "fits": False,
        "peakBytesPerWorker": "96000000000",
        "refusal": {
            "kind": "WorkerRejected",
            "code": "too-big-for-worker",
            "message": "One process needs 96 GB, but has 4 GB.",
            "hint": "Slice it further.",
        },
    }
    connect(bench, double)
    show_big(bench)
    bench.until("now.remote.estimate?.state === 'known'")
    assert "Worker\n96.0 GB per process, does not fit" in card(bench)
    assert "One process needs 96 GB, but has 4 GB. Slice it further." in card(bench)
    assert bench.page.get_by_role("button", name="Compute on the worker").count() == 0


def test_a_job_is_cancelled_from_the_card_and_deleted_from_the_list(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    job = send(bench, double)
    bench.page.locator(".tl-value").get_by_role("button", name="Cancel").click()
    bench.until("now.remote.jobs[0].job.state === 'cancelled'")
    assert double.jobs[job]["state"] == "cancelled"
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    bench.page.get_by_role("button", name="Delete Untitled").click()
    bench.until("now.remote.jobs.length === 0")
    assert job not in double.jobs


def test_what_another_client_does_is_seen(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    body = b'{"kind": "contract", "title": "By somebody", "document": {}}'
    double.submit("their-key", body)
    bench.until("now.remote.jobs[0]?.job.title === 'By somebody'")
    double.step("job1", state="failed", error={"code": "x", "message": "It broke.", "hint": ""})
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    line = bench.page.get_by_role("dialog", name="Worker").get_by_role("listitem")
    line.get_by_text("It broke.").wait_for()
    assert "sent from elsewhere" in line.inner_text()
    assert line.get_by_role("button").all_inner_texts() == ["Delete"]


# --- what changes meanwhile ---------------------------------------------------------------------


def test_a_job_whose_drawing_was_changed_opens_its_own(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    job = send(bench, double)
    sent = bench.document()
    bench.open(format="einsum", text="i,i-> i=3", seed=1)
    bench.until("now.result && !now.behind && now.stale === null")
    own = bench.state("now.result.scalar")
    double.finish(job, VALUE)
    news = bench.page.locator(".tl-run-news")
    news.wait_for()
    assert "is done" in news.inner_text()
    assert "The drawing has changed since it was sent." in news.inner_text()
    assert bench.state("now.result.scalar") == own
    news.get_by_role("button", name="Open its drawing").click()
    bench.shows_value(VALUE)
    shown = bench.document()
    assert (shown["tensors"], shown["dimensions"]) == (sent["tensors"], sent["dimensions"])
    assert bench.page.locator(".tl-run-news").count() == 0
    # What is opened is shown whole.
    bottom = bench.paper(0, 1)[1]
    assert all(bench.tensor(name)[1] < bottom for name in "ABCDE")
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+z")
    bench.shows_value(own[0])


def test_a_changed_drawing_does_not_keep_the_value(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    job = send(bench, double)
    double.finish(job, VALUE)
    bench.shows_value(VALUE)
    assert bench.page.locator(".tl-value.is-live").count() == 1
    bench.page.evaluate(
        """() => tensorloomStore.dispatch("Change", [
          { kind: "set-dimension", name: "a", dimension: 40001 }])"""
    )
    bench.until("now.stale !== null")
    assert bench.page.locator(".tl-value.is-refused").count() == 1
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+z")
    bench.shows_value(VALUE)
    bench.page.locator(".tl-value.is-live").wait_for()


def test_progress_survives_a_reload_and_a_lost_line(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    job = send(bench, double)
    double.run(job, 8, 64, 0.1)
    bench.until("now.remote.current.job.state === 'running'")
    bench.page.reload()
    until(bench.page, "() => globalThis.tensorloomStore?.get().ready")
    bench.until("now.remote?.current?.job?.state === 'running'")
    assert bench.page.locator(".tl-value.is-away").count() == 1
    double.away = True
    with double.changed:
        double.changed.notify_all()
    bench.until("now.remote.connection.kind === 'waiting'")
    assert "The worker does not answer just now; the job goes on there." in card(bench)
    double.finish(job, VALUE)
    double.away = False
    bench.shows_value(VALUE, seconds=40)
    streams = [headers for _, path, headers in double.requests if path == "/v1/events"]
    assert len(streams) >= 3


def test_what_is_sent_while_the_worker_is_away_is_sent_when_it_is_back(
    bench: Workbench, double: WorkerDouble
) -> None:
    connect(bench, double)
    show_big(bench)
    bench.page.get_by_role("button", name="Compute on the worker").wait_for()
    double.broken = 1
    bench.page.get_by_role("button", name="Compute on the worker").click()
    bench.page.get_by_text("Sending").wait_for()
    assert bench.state("now.remote.current.sent.id") is None
    # The line breaks, and the page comes back.
    double.away = True
    with double.changed:
        double.changed.notify_all()
    bench.until("now.remote.connection.kind === 'waiting'")
    assert "Waits until the worker answers; it is kept here." in card(bench)
    double.away = False
    bench.until("now.remote.current.job?.state === 'queued'", seconds=40)
    assert len(double.jobs) == 1


# --- scripts ------------------------------------------------------------------------------------

RUN = """async ({ address, token, stop }) => {
  const control = new AbortController();
  globalThis.told = [];
  globalThis.stopRun = () => control.abort();
  const onProgress = (news) => told.push(news);
  try {
    const worker = { address, token };
    const { signal } = control;
    const result = await tensorloom.run({ backend: "worker", worker, onProgress, signal });
    return { ...result, kind: result.value.constructor.name, value: [...result.value] };
  } catch (error) {
    return { code: error.code, message: error.message };
  }
}"""


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


def test_scripts_without_a_worker_are_told_so(bench: Workbench) -> None:
    bench.open(format="einsum", text="i->i i=2")
    error = bench.page.evaluate(
        """() => tensorloom.run({ backend: "worker" }).then(() => null, ({ code }) => code)"""
    )
    assert error == "worker-not-connected"


# --- the real service ---------------------------------------------------------------------------


@contextmanager
def service(root: Path, data: Path, *flags: str) -> Iterator[tuple[str, str]]:
    """Address and token of a service that runs as a process of its own."""
    paths = [str(root / "app"), str(root / "workers")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "tensorloom_worker", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--workers", "1", *flags],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    greeted = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.startswith("Stop with Ctrl+C"):
                greeted.set()
        greeted.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert greeted.wait(START_S), said
        text = "".join(said)
        address = re.search(r"The heavy worker is at (\S+)", text)
        token = re.search(r"Token \(shown only now\): (\S+)", text)
        assert address, text
        assert token, text
        yield address[1], token[1]
    finally:
        process.terminate()
        process.wait(START_S)
        listener.join(START_S)
        process.stdout.close()


@pytest.fixture(scope="module")
def real(
    root: Path, site_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """One real service, which also serves the built site."""
    with service(root, tmp_path_factory.mktemp("worker"), "--site", str(site_folder)) as found:
        yield found


def test_a_real_worker_on_another_port_computes_what_is_drawn(
    visited: tuple[Workbench, Watch], real: tuple[str, str]
) -> None:
    bench, watch = visited
    address, token = real
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
    bench.settle()
    bench.page.get_by_role("button", name="Show this device").click()
    bench.page.get_by_role("radio", name="Worker").check()
    bench.page.keyboard.press("Escape")
    bench.page.get_by_role("button", name="Compute on the worker").click()
    value = float(np.einsum("ij,jk,ki->", *arrays, optimize=True))
    bench.until("now.result?.backend === 'worker'", seconds=60)
    bench.shows_value(value, relative=1e-10)
    job = bench.state("now.remote.current.job")
    assert job["state"] == "done"
    assert job["result"]["errorBound"] > 0
    bench.page.evaluate("() => tensorloomDesk.disconnect()")
    bench.page.evaluate("() => tensorloomStore.set({ backend: 'auto' })")
    assert watch.unexpected() == []


def test_the_page_that_the_worker_serves_is_connected_by_its_link(
    browser: Browser, real: tuple[str, str]
) -> None:
    address, token = real
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
