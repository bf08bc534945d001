"""How fast the site starts: cold and warm, from the heap image and from archives.

Usage: python3 build.py bench start [--quick]

Cold is a first visit: nothing cached. Warm is a later one, its files from the service worker's
cache. Writes the section "Start" of ``docs/benchmarks.md``, medians of several visits; ``--quick``
makes one visit of each kind and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import threading
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from sitebuild import browsers, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext

ROOT = Path(__file__).resolve().parents[2]
HEADING = "## Start"
ROUNDS = 5
WAYS = {"snapshot": "", "pyc": "?start=pyc"}
WARM_GOALS_S = {"snapshot": 3.5, "pyc": 7.0}
EDITOR_GOAL_S = 1.5

ANSWERED = """() => new Promise((resolve, reject) => {
  const look = () => {
    if (!globalThis.tensorloom) { setTimeout(look, 5); return; }
    tensorloom.ready.then(() => resolve({
      answered: performance.now(),
      paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
      editor: tensorloomBoot.marks.editor,
      snapshot: tensorloomBoot.features.snapshot,
    }), reject);
  };
  look();
})"""

KEPT = """() => navigator.serviceWorker.ready.then(() => new Promise((resolve) => {
  if (navigator.serviceWorker.controller) resolve(true);
  else navigator.serviceWorker.addEventListener("controllerchange", () => resolve(true));
}))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One start.

    Args:
        paint: First contentful paint [s since navigation].
        editor: The editor accepts a drag [s].
        answered: Python has answered the page's first request [s].
        worker_cpu: CPU time of the Python worker's thread [s]; not a number where unknown.
        all_cpu: CPU time of all threads of the renderers [s].
        megabytes: Sent by the server.
    """

    paint: float
    editor: float
    answered: float
    worker_cpu: float
    all_cpu: float
    megabytes: float


class Meter:
    """Counts what a server sends."""

    def __init__(self) -> None:
        self.sent = 0
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes."""
        with self.lock:
            self.sent += count


@contextmanager
def metered(folder: Path) -> Iterator[tuple[str, Meter]]:
    """A server of the site that counts the bytes of its answers."""
    meter = Meter()

    class Counting(serve.Handler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            data = source.read()
            meter.add(len(data))
            outputfile.write(data)

    with serve.background(folder, handler=Counting) as address:
        yield address, meter


def renderer_times(browser: Browser) -> tuple[float, float]:
    """CPU seconds of worker threads and of all threads of the renderers, from Linux's ``/proc``."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    tick = os.sysconf("SC_CLK_TCK")
    worker = total = 0.0
    for process in processes:
        for thread in Path(f"/proc/{process['id']}/task").glob("*"):
            if process["type"] != "renderer":
                continue
            head, rest = (thread / "stat").read_text().rsplit(")", 1)
            columns = rest.split()
            seconds = (int(columns[11]) + int(columns[12])) / tick
            total += seconds
            worker += seconds if "(DedicatedWorker" in head else 0
    return worker, total


def visit(browser: Browser, context: BrowserContext, address: str, meter: Meter) -> Visit:
    """One load of the page, up to Python's answer."""
    sent = meter.sent
    page = context.new_page()
    page.goto(address, wait_until="commit")
    seen = page.evaluate(ANSWERED)
    assert seen["snapshot"] == ("start=pyc" not in address), "the other way of starting was taken"
    worker_cpu, all_cpu = renderer_times(browser)
    megabytes = (meter.sent - sent) / 1e6
    page.evaluate(KEPT)
    page.close()
    return Visit(
        paint=seen["paint"] / 1000,
        editor=seen["editor"] / 1000,
        answered=seen["answered"] / 1000,
        worker_cpu=worker_cpu,
        all_cpu=all_cpu,
        megabytes=megabytes,
    )


def measure(folder: Path, rounds: int) -> dict[tuple[str, str], list[Visit]]:
    """Visits by way of starting and by cold or warm; a browser of its own for every round."""
    found: dict[tuple[str, str], list[Visit]] = {}
    chromium = browsers.find(ROOT).chromium
    arguments = ["--disable-quic", "--no-first-run", "--disable-background-networking"]
    arguments += ["--disable-component-update", "--disable-sync"]
    arguments += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright, metered(folder) as (address, meter):
        for _ in range(rounds):
            for way, query in WAYS.items():
                for kind in ("cold", "warm"):
                    browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
                    context = browser.new_context(viewport={"width": 1280, "height": 720})
                    if kind == "warm":
                        visit(browser, context, address + query, meter)
                    # Renderers of closed pages are gone, so what is counted is this visit's.
                    one = visit(browser, context, address + query, meter)
                    found.setdefault((way, kind), []).append(one)
                    browser.close()
    return found


def table(found: dict[tuple[str, str], list[Visit]]) -> str:
    """Medians as a Markdown table."""
    heads = ["start from", "visit", "(a) painted", "(b) editor", "(c) Python answered"]
    heads += ["worker CPU", "all renderer CPU", "transferred"]
    rows = [heads, ["---"] * len(heads)]
    for (way, kind), visits in found.items():
        middle = {
            field.name: statistics.median(getattr(one, field.name) for one in visits)
            for field in fields(Visit)
        }
        rows.append(
            [
                f"heap image (`{way}`)" if way == "snapshot" else f"archives (`{way}`)",
                kind,
                *(f"{middle[name]:.2f} s" for name in ("paint", "editor", "answered")),
                *(f"{middle[name]:.2f} s" for name in ("worker_cpu", "all_cpu")),
                f"{middle['megabytes']:.1f} MB",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(text: str, rounds: int, load: tuple[float, float]) -> None:
    """Put the table into its section of the page."""
    section = (
        f"{HEADING}\n\nMedians of {rounds} visits each, made by `python3 build.py bench start` in "
        f"Chromium on {os.cpu_count()} processors, {platform.machine()}, from a server on the same "
        f"machine; load average {load[0]:.1f} before, {load[1]:.1f} after (each visit itself "
        "loads both processors). Cold: a first visit, nothing cached. Warm: a later one, files "
        "from the service worker's cache. Times since navigation. Goals on a quiet machine, warm: "
        f"(b) {EDITOR_GOAL_S} s; (c) {WARM_GOALS_S['snapshot']} s from the heap image, "
        f"{WARM_GOALS_S['pyc']:.0f} s from archives.\n\n{text}\n"
    )
    page = ROOT / "docs" / "benchmarks.md"
    old = page.read_text() if page.is_file() else "# Benchmarks\n"
    found = re.compile(rf"^{HEADING}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    new = found.sub(lambda _: f"{section}\n", old) if found.search(old) else f"{old}\n{section}"
    page.write_text(new.rstrip() + "\n")


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--quick", action="store_true", help="one visit each, nothing written")
    options.add_argument("--site", type=Path, default=ROOT / "dist", help="the built site")
    given = options.parse_args()
    rounds = 1 if given.quick else ROUNDS
    before = os.getloadavg()[0]
    text = table(measure(given.site, rounds))
    print(text)
    if not given.quick:
        write(text, rounds, (before, os.getloadavg()[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
