"""E1 to E10 of the method's tests: spaces, rules, generated kernels, searches, on this machine.

Natively what needs no engine; the rest in the worker of the built site, on an engine and with
tuners of its own. A second visit is a reload of the page. What cannot be measured here is not run,
and the table says why.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import tuning_rows as rows  # noqa: E402  # the line above finds the tests' own modules
import tuning_shapes as shapes  # noqa: E402
from arena import ARGUMENTS  # noqa: E402
from load import Load  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from report import MACHINE, keep, write_section  # noqa: E402

from gauges import long_at_rest, python  # noqa: E402
from page_state import python_answered  # noqa: E402
from sitebuild import browsers, serve  # noqa: E402
from tensorloom.kernels.wasm.jit import WasmDevice  # noqa: E402
from tensorloom.kernels.wasm.modules import WasmFeatures  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Collection

    from playwright.sync_api import Page

ROOT = HERE.parents[1]
HEADING = "Tuning"
SHARED = ("published_space", "published_rules", "mutations")
"""Modules of the tests, and below those of this benchmark."""

MODULES = (*SHARED, "tuning_shapes", "tuning_page", "tuning_checks", "tuning_gpu")
GPU_SECONDS = 30.0

OPEN = """
import json, sys, types
for name, text in GIVEN:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
import tuning_checks, tuning_gpu, tuning_page
from tensorloom.execute.backends import available, opened
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.host import BrowserHost
from tuning_page import no_pause
bench = tuning_page.Bench(WasmBackend(BrowserHost()))
gpu = getattr((await available()).backends.get("webgpu"), "device", None)
json.dumps(getattr(gpu, "description", None))
"""

VISIT: dict[str, Any] = {
    "format": "einsum",
    "text": "ik,kj->ij",
    "sizes": {"i": 384, "k": 768, "j": 768},
    "seed": 1,
    "dtype": "float32",
}

RUN = """
async (times) => {
  const found = [];
  for (let n = 0; n < times; n += 1) {
    found.push((await tensorloom.run({ backend: "wasm", dtype: "float32" })).ms);
  }
  return found;
}
"""


DATABASE_BYTES = """
import json
from tensorloom.execute.backends import opened
json.dumps(len(opened().backends["wasm"].chooser.exported().encode()))
"""


def main() -> int:
    """The exit status: wrong numbers fail, goals that are missed are reported."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="few measurements, no writing")
    options.add_argument("--only", help="some measurements by name, printed as they are")
    asked = options.parse_args()
    is_quick: bool = asked.quick
    if asked.only:
        _in_page(quick=False, only={"record", *asked.only.split(",")})
        return 0
    found = {"native": _native(), **_in_page(quick=is_quick)}
    sections = rows.sections(found)
    print(sections)
    if not is_quick:
        keep("tuning", rows.figures(found))
        write_section(HEADING, f"{_words(found)}\n\n{sections}")
    return int(found["correct"]["wrong"] > 0 or found["space"].get("wrong", 0) > 0)


def _words(found: dict[str, Any]) -> str:
    return (
        "The tests of the method that the engine follows (nn-JIT.web), made by "
        f"`python3 build.py bench tuning` in headless Chromium on {MACHINE}; the page is not "
        f"isolated, one thread; WebGPU: {found['gpu'] or 'none'}. Candidates that are compared "
        f"take turns, and their best windows count; costs and whole runs are medians."
        f"{_busy(found['foreign'])}"
    )


def _busy(foreign: float | None) -> str:
    """A sentence where others used the processors meanwhile."""
    if foreign is None or foreign < _SHARE:
        return ""
    return f" Other work took {foreign:.0%} of the processors meanwhile: compare ratios."


_SHARE = 0.1


def _native() -> float:
    """What generating a kernel takes natively, the median [ms]."""
    features = WasmFeatures(simd=True, relaxed_simd=True)
    device = WasmDevice.typical(relaxed_simd=True)
    return median(ms for case in shapes.SHAPES for ms in shapes.emitted(case, device, features))


def _in_page(*, quick: bool, only: Collection[str] = ()) -> dict[str, Any]:
    """Everything that is measured on the built site, or only some of it."""
    load = Load()
    with sync_playwright() as playwright, serve.background(ROOT / "dist") as address:
        browser = playwright.chromium.launch(
            executable_path=browsers.find(ROOT).chromium, args=ARGUMENTS
        )
        page = browser.new_context().new_page()
        _opened(page, address)
        found: dict[str, Any] = {"gpu": _bench_opened(page)}
        steps = {
            "costs": "bench.costs()",
            "record": "await bench.record()",
            "tuned": "await bench.tuned()",
            "correct": "await tuning_checks.correct(bench)",
            "mistakes": "await tuning_checks.mistakes(bench)",
            "simple": "await bench.simple_ways()",
        }
        if not quick:
            steps |= {
                "exhaustive": "await bench.exhaustive()",
                "layer": "await tuning_checks.layer(bench)",
            }
        if found["gpu"]:
            steps["networks"] = "await tuning_gpu.networks(bench, gpu)"
            if not quick:
                steps["compiling"] = "await tuning_gpu.compiling(gpu)"
                steps["space"] = f"await tuning_gpu.whole_space(bench, gpu, {GPU_SECONDS})"
        for name, expression in steps.items():
            if only and name not in only:
                continue
            found[name] = python(page, f"json.dumps({expression})")
            print(f"{name}: {found[name]}", flush=True)
        found.setdefault("space", {})
        if not only or "visits" in only:
            found["visits"] = _visits(browser.new_context().new_page(), address)
            print(f"visits: {found['visits']}", flush=True)
        # Work of processes that have ended would count as that of others.
        found["foreign"] = load.foreign()
        browser.close()
    return found


def _bench_opened(page: Page) -> str | None:
    """Puts the benchmark's modules into the worker; which GPU there is."""
    folders = dict.fromkeys(SHARED, HERE.parent)
    texts = [(name, (folders.get(name, HERE) / f"{name}.py").read_text()) for name in MODULES]
    gpu: str | None = python(page, OPEN.replace("GIVEN", repr(texts)))
    return gpu


def _opened(page: Page, address: str) -> None:
    """The site, ready, its own tuner at rest: it must not work beside what is measured."""
    page.goto(address)
    python_answered(page)
    page.evaluate("tensorloom.ready")
    long_at_rest(page)


def _visits(page: Page, address: str) -> dict[str, float]:
    """One product at a first visit, tuned, and at a second visit [ms]."""
    page.goto(address)
    python_answered(page)
    page.evaluate("tensorloom.ready")
    page.evaluate("(given) => tensorloom.open(given)", VISIT)
    untuned = median(page.evaluate(RUN, 5)[1:])
    long_at_rest(page)
    tuned = median(page.evaluate(RUN, 9)[2:])
    long_at_rest(page)
    text = python(page, DATABASE_BYTES)
    page.reload()
    python_answered(page)
    page.evaluate("tensorloom.ready")
    page.evaluate("(given) => tensorloom.open(given)", VISIT)
    first, *later = page.evaluate(RUN, 9)
    return {
        "untuned": untuned,
        "tuned": tuned,
        "first": first,
        "later": median(later[1:]),
        "bytes": text,
    }


if __name__ == "__main__":
    sys.exit(main())
