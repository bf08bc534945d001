"""The start of the site: what is seen first, what works before Python, what if things fail."""

from __future__ import annotations

import json
import re
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from page_state import python_answered, until
from sitebuild import serve
from watch import Watch, origin_of
from workbench import Workbench, ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

    from known_device import KnownDevice

CONTROLLED = """() => navigator.serviceWorker.ready.then(() => new Promise((resolve) => {
  if (navigator.serviceWorker.controller) resolve(true);
  else navigator.serviceWorker.addEventListener("controllerchange", () => resolve(true));
}))"""

CACHES = """async (wanted) => {
  for (let tries = 0; (await caches.keys()).length !== wanted && tries < 300; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return (await caches.keys()).length;
}"""

TAKEN_OVER = """async (address) => {
  const found = await navigator.serviceWorker.ready;
  const begun = performance.now();
  let asked = begun;
  while (found.installing || found.waiting || found.active.state !== "activated") {
    const now = performance.now();
    if (now - begun > 120000) {
      const { installing, waiting, active } = found;
      throw new Error(`Still ${[installing, waiting, active].map((one) => one?.state).join(", ")}`);
    }
    if (now - asked > 10000) {
      asked = now;
      await fetch(address, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""
"""Until the newest build's service worker has all its files and is in charge. Chromium lets it as
the old one ends its work. A request that comes while it is being replaced may never be answered,
and then it has work for minutes: so it is asked for something, that the end of it may be seen, only
where the change is late."""

LOADED = "() => performance.getEntriesByType('resource').map((entry) => entry.name)"


def build_record(folder: Path) -> dict[str, Any]:
    """What the page of a built site says of its build."""
    found = re.search(
        r'name="tensorloom-build" content="([^"]*)"', (folder / "index.html").read_text()
    )
    assert found is not None
    record: dict[str, Any] = json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))
    return record


@contextmanager
def visit(
    browser: Browser, address: str, device: KnownDevice
) -> Iterator[tuple[BrowserContext, Watch]]:
    """A visitor of an address: fresh storage but for the device, watched until the end."""
    context = browser.new_context(storage_state=device.at(address))
    seen = Watch(origin=origin_of(address))
    seen.follow(context)
    yield context, seen
    context.close()
    assert seen.unexpected() == []


@contextmanager
def gated(folder: Path, ending: str = ".bin.gz") -> Iterator[tuple[str, threading.Event]]:
    """A server that holds back files, Python's archives at first, until the event is set."""
    opened = threading.Event()

    class Gate(serve.Handler):
        def do_GET(self) -> None:  # noqa: N802  # the name that the base class calls
            if self.path.endswith(ending):
                opened.wait(60)
            super().do_GET()

    with serve.background(folder, handler=Gate) as address:
        try:
            yield address, opened
        finally:
            opened.set()


def changed_copy(folder: Path, target: Path, name: str, change: dict[int, int]) -> Path:
    """A copy of the site in which bytes of one Python archive are different.

    Args:
        folder: The site.
        target: Where the copy goes.
        name: The archive.
        change: New bytes by offset; negative ones count from the end.
    """
    shutil.copytree(folder, target)
    archive = next(target.glob(f"py-*/{name}"))
    data = bytearray(archive.read_bytes())
    for offset, value in change.items():
        assert data[offset] != value
        data[offset] = value
    archive.write_bytes(data)
    return target


def second_build(folder: Path, target: Path) -> Path:
    """The site as a later build would be: another app folder, another hash."""
    shutil.copytree(folder, target)
    app = next(target.glob("app-*"))
    app.rename(target / "app-second")
    record = build_record(folder)
    for page in ("index.html", "service-worker.js"):
        text = (target / page).read_text()
        text = text.replace(app.name, "app-second").replace(record["build"], "second")
        (target / page).write_text(text)
    return target


def add_a_leg(bench: Workbench) -> int:
    """Its dimension; on a new tensor, so that the value gets an axis."""
    before = bench.document()
    assert before["output"] == []
    bench.click(bench.paper(0.96, 0.2), times=2)
    bench.press("Escape")
    tensor = bench.document()["tensors"][-1]
    assert tensor["id"] not in {old["id"] for old in before["tensors"]}
    start = bench.rim(tensor["name"], 0, 1)
    bench.drag(start, (start[0], start[1] + 70))
    after = bench.document()
    assert len(after["output"]) == 1
    dimension: int = after["dimensions"][after["output"][0]]
    return dimension


def test_the_first_paint_waits_for_no_script(
    browser: Browser, site_folder: Path, known_device: KnownDevice
) -> None:
    with (
        gated(site_folder, ".js") as (address, opened),
        visit(browser, address, known_device) as (context, _),
    ):
        page = context.new_page()
        page.goto(address, wait_until="commit")
        until(page, "() => performance.getEntriesByName('first-contentful-paint').length === 1")
        assert page.locator(".tl-shell-header").is_visible()
        assert page.locator("#tl-progress").inner_text() == "Starting"
        opened.set()
        python_answered(page)


def test_python_answers_and_the_example_has_its_value(page: Page, site_url: str) -> None:
    bench = ready(page, site_url)
    bench.shows_value(bench.run(backend="numpy")["value"][0])


def test_the_heap_image_is_used(page: Page, site_url: str, site_folder: Path) -> None:
    assert build_record(site_folder)["snapshot"], "the site was built without Chromium"
    page.goto(site_url)
    features = python_answered(page)
    assert features["snapshot"], features["snapshotReason"]


def test_two_visitors_draw_different_random_numbers(page: Page, site_url: str) -> None:
    """The heap image holds the state of Python's generators; it is set anew."""
    drawn = set()
    for _ in range(2):
        page.goto(site_url)
        python_answered(page)
        worker = next(worker for worker in page.workers if "python.worker" in worker.url)
        drawn.add(worker.evaluate("() => pyodide.runPython('__import__(\"random\").random()')"))
    assert len(drawn) == 2


def test_starting_from_archives_can_be_asked_for(page: Page, site_url: str) -> None:
    page.goto(f"{site_url}?start=pyc")
    features = python_answered(page)
    assert not features["snapshot"]
    assert features["snapshotReason"] == "asked for"
    assert Workbench(page).run(backend="numpy")["shape"] == []


def test_edits_before_python_reach_it(
    browser: Browser, site_folder: Path, known_device: KnownDevice
) -> None:
    with (
        gated(site_folder) as (address, opened),
        visit(browser, address, known_device) as (context, _),
    ):
        page = context.new_page()
        page.goto(address)
        until(page, "() => globalThis.tensorloomBoot?.marks.editor")
        bench = Workbench(page)
        dimension = add_a_leg(bench)
        status = page.evaluate("() => tensorloomBoot.status")
        assert re.fullmatch(r"Fetching Python, \d+\.\d of \d+\.\d MB", status["message"])
        assert page.get_by_text("Fetching Python").filter(visible=True).count() > 0
        opened.set()
        python_answered(page)
        assert bench.run(backend="numpy")["shape"] == [dimension]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("snapshot.bin.gz", {1_000_000: 0x5A}),
        ("snapshot.bin.gz", {0: 0}),
        ("snapshot.bin.gz", {-5: 0x77}),
        ("libraries.bin.gz", {20_000: 0x5A}),
        ("files.bin.gz", {-3: 0x77}),
    ],
)
def test_a_damaged_image_is_replaced_and_edits_survive(
    browser: Browser,
    site_folder: Path,
    tmp_path: Path,
    name: str,
    change: dict[int, int],
    known_device: KnownDevice,
) -> None:
    damaged = changed_copy(site_folder, tmp_path / "site", name, change)
    with (
        gated(damaged) as (address, opened),
        visit(browser, address, known_device) as (context, watch),
    ):
        watch.allow("Start by snapshot failed")
        page = context.new_page()
        page.goto(address)
        until(page, "() => globalThis.tensorloomBoot?.marks.editor")
        bench = Workbench(page)
        dimension = add_a_leg(bench)
        opened.set()
        features = python_answered(page)
        assert not features["snapshot"]
        assert features["snapshotReason"]
        assert bench.run(backend="numpy")["shape"] == [dimension]


def test_a_site_below_a_path_needs_no_special_headers(
    browser: Browser, site_folder: Path, known_device: KnownDevice
) -> None:
    with (
        serve.background(site_folder, prefix="/tensorloom/") as address,
        visit(browser, address, known_device) as (context, _),
    ):
        assert address.endswith("/tensorloom/")
        page = context.new_page()
        answer = page.goto(address)
        assert answer is not None
        assert not {name for name in answer.headers if name.startswith("cross-origin")}
        python_answered(page)
        assert page.evaluate("() => crossOriginIsolated") is False
        loaded = page.evaluate(LOADED)
        assert loaded
        assert [name for name in loaded if not name.startswith(address)] == []
        assert page.evaluate(CONTROLLED)
        scope = page.evaluate("() => navigator.serviceWorker.ready.then((found) => found.scope)")
        assert scope == address


def test_the_content_policy_stops_inline_scripts_and_eval(
    page: Page, site_url: str, watch: Watch
) -> None:
    page.goto(site_url)
    watch.allow("Content Security Policy")
    stopped = page.evaluate(
        """() => new Promise((resolve) => {
          const stopped = [];
          document.addEventListener("securitypolicyviolation", (event) => {
            stopped.push(event.effectiveDirective);
            if (stopped.length === 3) resolve(stopped.sort());
          });
          const script = document.createElement("script");
          script.textContent = "globalThis.intruder = true";
          document.body.append(script);
          const image = "<img src='data:,' onerror='globalThis.intruder = true'>";
          document.body.insertAdjacentHTML("beforeend", image);
          fetch("https://example.invalid/").catch(() => undefined);
        })"""
    )
    assert stopped == ["connect-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("() => globalThis.intruder") is None
    watch.problems = [problem for problem in watch.problems if "example.invalid" not in problem]


def test_offline_after_the_first_visit(browser: Browser, site_folder: Path) -> None:
    with serve.background(site_folder) as address:
        context = browser.new_context()  # the device is measured meanwhile
        page = context.new_page()
        ready(page, address)
        assert page.evaluate(CONTROLLED)
    # The server is gone now.
    bench = ready(page, address)
    assert bench.run(backend="wasm")["shape"] == []
    assert page.evaluate("() => fetch('no-such-file').then(() => true, () => false)") is False
    context.close()


def test_an_update_never_mixes_two_builds(
    browser: Browser, site_folder: Path, tmp_path: Path, known_device: KnownDevice
) -> None:
    live = tmp_path / "live"
    shutil.copytree(site_folder, live)
    second = second_build(site_folder, tmp_path / "second")
    first_app = build_record(site_folder)["app"]
    with serve.background(live) as address, visit(browser, address, known_device) as (context, _):
        page = context.new_page()
        ready(page, address)
        assert page.evaluate(CONTROLLED)
        live.rename(tmp_path / "old")
        second.rename(live)
        # The first page after the update is all of the first build, from its cache.
        ready(page, address)
        assert all("/app-second/" not in name for name in page.evaluate(LOADED))
        page.evaluate("() => navigator.serviceWorker.ready.then((found) => found.update())")
        assert page.evaluate(CACHES, 2) == 2
        old_file = f"{address}{first_app}search.worker.js"
        page.evaluate(TAKEN_OVER, old_file)
        # Under the new service worker the old page still gets its own files.
        assert page.evaluate("(address) => fetch(address).then((answer) => answer.ok)", old_file)
        ready(page, address)
        names = page.evaluate(LOADED)
        assert [name for name in names if f"/{first_app}" in name] == []
        assert any("/app-second/" in name for name in names)
        assert page.evaluate(CACHES, 1) == 1
        assert page.evaluate("() => caches.keys()") == ["tensorloom-second"]
