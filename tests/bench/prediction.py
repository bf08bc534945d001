"""Predicted against measured times, and whether ``auto`` chose well, on the built site.

Every case and every whole network is opened in one page as a user would, run by name on each
backend in turn, and then left to ``auto``. The page has calibrated itself in idle time before; it
tunes in between, as it does for everybody. Short runs are averaged over many, as clocks tick.

A prediction is of a run that somebody waits for: its caches are cold, the processor has slept.
Short runs are therefore measured after a rest each; runs in a row, as a script's loop has them, can
take half as long, and are told beside.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arena import ARGUMENTS
from cases import REFERENCE
from plans import MOST_MUL_ADDS, Opened, of_case, plans
from playwright.sync_api import sync_playwright
from report import MACHINE, keep, table, write_section

from gauges import long_at_rest, python
from sitebuild import browsers, serve
from tensorloom.view.idle_time import MEASUREMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
PREDICTION, PLACEMENT = "Predicted times", "Placement"
WITHIN, SLOWER = 1.5, 1.2
ROUNDS = 7
BACKENDS = ("wasm", "webgpu", "numpy")
CALIBRATION_MS = 4000
TICK_MS, FEW_TICKS = 0.1, 5
"""The clock of a page that is not isolated [ms]."""
SHORT_MS, REST_MS, RESTED_MS = 2, 10, 120
"""What counts as short; a rest before each such run, and what all of them may take [ms]."""

SLOW_MUL_ADDS = {"numpy": 100_000_000, "webgpu": 1_000_000_000}
"""Beyond this a backend takes seconds, and its prediction is not held against a run."""

RUN = """
async ([backend, dtype, ms, most, least = 1, rest = 0]) => {
  const found = [];
  const start = performance.now();
  do {
    if (rest) await new Promise((rested) => setTimeout(rested, rest));
    const { ms, predictedMs, backend: used, notes } = await tensorloom.run({ backend, dtype });
    found.push({ ms, predictedMs, used, notes });
  } while (performance.now() - start < ms && found.length < most || found.length < least);
  return found;
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one backend did.

    Args:
        first_ms: Predicted before it ever ran [ms].
        fresh_ms: Measured before anything was tuned [ms].
        predicted_ms: Predicted in the end [ms].
        rested_ms: Measured in the end, short runs after a rest each [ms].
        ms: Measured in the end, in a row [ms].
        used: Where it ran.
    """

    first_ms: float
    fresh_ms: float
    predicted_ms: float
    rested_ms: float
    ms: float
    used: str


def main() -> int:
    """The exit status; predictions that are off are reported, not failures."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--quick", action="store_true", help="four networks, nothing written")
    options.add_argument("--only", default="", help="networks whose names contain this")
    options.add_argument("--site", type=Path, default=ROOT / "dist", help="the built site")
    options.add_argument("--save", type=Path, help="where to put all figures as JSON")
    options.add_argument("--backends", default=",".join(BACKENDS), help="only these; not written")
    asked = options.parse_args()
    backends = tuple(asked.backends.split(","))
    every = [*map(of_case, REFERENCE), *plans()]
    chosen = [one for one in every if asked.only in one.name and one.mul_adds <= MOST_MUL_ADDS]
    if asked.quick:
        chosen = [*chosen[:2], *chosen[-2:]]
    found: dict[str, dict[str, Found]] = {}
    with sync_playwright() as playwright, serve.background(asked.site) as address:
        browser = playwright.chromium.launch(
            executable_path=browsers.find(ROOT).chromium, args=ARGUMENTS
        )
        page = browser.new_page()
        page.goto(address)
        page.evaluate("tensorloom.ready")
        _calibrate(page, backends)
        for one in chosen:
            found[one.name] = _measured(page, one, backends)
            print(one.name, *(_line(name, it) for name, it in found[one.name].items()), sep=" | ",
                  flush=True)  # fmt: skip
        browser.close()
    if asked.save:
        told = {name: {b: asdict(it) for b, it in row.items()} for name, row in found.items()}
        asked.save.write_text(json.dumps(told))
    if not {"wasm", "webgpu"} <= set(backends):
        print(_prediction(found))
        return 0
    texts = _prediction(found), _placement(found)
    print(*texts, sep="\n\n")
    if not asked.quick and not asked.only:
        keep("prediction", _figures(found))
        write_section(PREDICTION, texts[0])
        write_section(PLACEMENT, texts[1])
    return 0


UNTUNED = """
from tensorloom.view.workbench import sessions
desk = sessions[-1].live.kernels
kept_tuner, desk._tuner = desk._tuner, None
"0"
"""
TUNED = """
desk._tuner = kept_tuner
"0"
"""
"""Whether the page tunes in idle time."""


def _calibrate(page: Page, backends: Sequence[str]) -> None:
    """First answers, and the idle time after each in which the page measures where it ran."""
    product = {"format": "einsum", "text": "ij,jk->ik", "sizes": {"i": 8, "j": 8, "k": 8}}
    page.evaluate("(options) => tensorloom.open(options)", {**product, "dtype": "float32"})
    for backend in [*backends] * MEASUREMENTS:
        page.evaluate(RUN, [backend, "float32", 1, 1])
        page.wait_for_timeout(CALIBRATION_MS)


def _measured(page: Page, one: Opened, backends: Sequence[str]) -> dict[str, Found]:
    """Every backend that can, and ``auto``."""
    page.evaluate("(options) => tensorloom.open(options)", {**one.options, "dtype": one.dtype})
    able = [name for name in backends if one.mul_adds <= SLOW_MUL_ADDS.get(name, MOST_MUL_ADDS)]
    # Tuning between them would compile for the GPU on the processors that simulate it.
    python(page, UNTUNED)
    fresh = {name: _untuned(page, name, one.dtype) for name in able}
    python(page, TUNED)
    names = [*able, "auto"]
    for _ in range(2):
        for name in names:
            page.evaluate(RUN, [name, one.dtype, 30, 4])
            # What ran is tuned, until something else runs. Whatever is found later makes the
            # program anew, which takes as long as many runs.
            long_at_rest(page)
    late: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    rested: dict[str, list[float]] = {name: [] for name in names}
    order = random.Random(one.name)
    for _ in range(ROUNDS):
        # Who always came after numpy would always find its garbage.
        for name in order.sample(names, len(names)):
            late[name].append(_window(page.evaluate(RUN, [name, one.dtype, 25, 20])))
            if (ms := late[name][-1]["ms"]) < SHORT_MS:
                runs = page.evaluate(RUN, [name, one.dtype, RESTED_MS, 20, 1, REST_MS])
                ms = _window(runs)["ms"]
            rested[name].append(ms)
    return {
        name: _found(fresh.get(name, late[name]), late[name], statistics.median(rested[name]))
        for name in names
    }


def _untuned(page: Page, name: str, dtype: str) -> list[dict[str, Any]]:
    """First runs; the first two compile kernels, then fused steps. Short ones rest, as all do."""
    runs: list[dict[str, Any]] = page.evaluate(RUN, [name, dtype, 60, 40, 5])
    if _window(runs[2:])["ms"] >= SHORT_MS:
        return runs
    return [*runs[:2], *page.evaluate(RUN, [name, dtype, RESTED_MS, 20, 1, REST_MS])]


def _window(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One figure of many runs, the interrupted ones left out: a mean, as ticks round each.

    Of runs of a few ticks those are told by their length alone: the slower ones of the others are
    as right as the faster ones, and a mean without them would be too short.
    """
    times = sorted(run["ms"] for run in runs)
    middle = statistics.median(times)
    if middle < FEW_TICKS * TICK_MS:
        kept = [ms for ms in times if ms <= middle + 2 * TICK_MS]
    else:
        kept = times[: 3 * len(times) // 4 + 1]
    return {**runs[-1], "ms": statistics.fmean(kept)}


def _found(
    fresh: Sequence[dict[str, Any]], late: Sequence[dict[str, Any]], rested_ms: float
) -> Found:
    return Found(
        first_ms=fresh[0]["predictedMs"],
        fresh_ms=_window(fresh[2:])["ms"],
        predicted_ms=statistics.median(run["predictedMs"] for run in late),
        rested_ms=rested_ms,
        ms=statistics.median(run["ms"] for run in late),
        used=_used(late[-1]),
    )


def _used(run: dict[str, Any]) -> str:
    """Where it ran; both names where two backends shared the steps, as a note then says."""
    both = any(" steps on " in note for note in run["notes"])
    return "wasm and webgpu" if both else str(run["used"])


def _line(name: str, it: Found) -> str:
    first, late = (
        f"{it.first_ms:.3g}/{it.fresh_ms:.3g}",
        f"{it.predicted_ms:.3g}/{it.rested_ms:.3g}",
    )
    return f"{name} ({it.used}) {first} {late}, in a row {it.ms:.3g}"


# --- what is said of it ---------------------------------------------------------------------------

Rows = dict[str, dict[str, Found]]


Run = Literal["first", "rested", "in a row"]
RUNS: Mapping[Run, str] = {"first": ", never run", "rested": "", "in a row": ", in a row"}
"""Which runs predictions are held against, and what is added to the names of their figures."""


def _share(found: Rows, backend: str, *, cases: bool, run: Run) -> float | None:
    """Which part of the cases, or of the whole networks, was predicted within ``WITHIN``."""
    names = {case.name for case in REFERENCE}
    ratios = [
        it.fresh_ms / it.first_ms
        if run == "first"
        else (it.rested_ms if run == "rested" else it.ms) / it.predicted_ms
        for name, row in found.items()
        if (name in names) == cases and (it := row.get(backend)) is not None
    ]
    return statistics.fmean(1 / WITHIN <= ratio <= WITHIN for ratio in ratios) if ratios else None


def _slowdown(row: dict[str, Found]) -> float:
    """Time where ``auto`` ran over the time on the better backend, in the same rounds."""
    chosen = _forced(row).get(row["auto"].used, row["auto"])
    return chosen.ms / min(it.ms for it in _forced(row).values())


def _auto_slowdown(row: dict[str, Found]) -> float:
    """The runs of ``auto`` itself over the better backend: what choosing costs, and noise."""
    return row["auto"].ms / min(it.ms for it in _forced(row).values())


def _forced(row: dict[str, Found]) -> dict[str, Found]:
    return {name: it for name, it in row.items() if name in ("wasm", "webgpu")}


def _figures(found: Rows) -> dict[str, float]:
    """What the goals are held against."""
    figures = {
        f"{backend} {what}{added}": share
        for backend in BACKENDS
        for what, cases in (("cases", True), ("networks", False))
        for run, added in RUNS.items()
        if (share := _share(found, backend, cases=cases, run=run)) is not None
    }
    return {
        **figures,
        "placement": max(map(_slowdown, found.values())),
        "placement, auto itself": max(map(_auto_slowdown, found.values())),
    }


def _prediction(found: Rows) -> str:
    rows = [
        [name, *(_percent(found, name, cases=cases, run=run) for run in RUNS for cases in KINDS)]
        for name in BACKENDS
    ]
    heads = ["backend", *(f"{kind}{added}" for added in RUNS.values() for kind in KINDS.values())]
    each = [
        [name, *(_cell(row.get(backend)) for backend in BACKENDS)] for name, row in found.items()
    ]
    return (
        f"Share of predictions within a factor {WITHIN} of the measured time, in the page, after "
        "its calibration in idle time: before anything of the kind ever ran, held against untuned "
        "kernels while nothing is tuned; and after tuning and the corrections by repeated runs. A "
        "prediction is of a run "
        f"that somebody waits for: runs below {SHORT_MS} ms are measured after a rest of {REST_MS} "
        "ms each, and once more in a row, as a loop has them, caches warm. Made by `python3 "
        f"build.py bench prediction` in headless Chromium on {MACHINE}; WebGPU is simulated there."
        f"\n\n{table(heads, rows)}\n\nPredicted / measured, in a row; tuned [ms]:\n\n"
        f"{table(['network', *BACKENDS], each)}"
    )


KINDS = {True: "31 cases", False: "networks"}


def _percent(found: Rows, backend: str, *, cases: bool, run: Run) -> str:
    share = _share(found, backend, cases=cases, run=run)
    return "-" if share is None else f"{share:.0%}"


def _cell(it: Found | None) -> str:
    if it is None:
        return "-"
    return f"{it.predicted_ms:.3g} / {it.rested_ms:.3g}, {it.ms:.3g}"


def _placement(found: Rows) -> str:
    rows = [
        [name, *(f"{row[one].ms:.3g}" if one in row else "-" for one in ("wasm", "webgpu")),
         row["auto"].used, f"{row['auto'].ms:.3g}", f"{_slowdown(row):.2f}x",
         f"{_auto_slowdown(row):.2f}x"]
        for name, row in found.items()
    ]  # fmt: skip
    worst = max(map(_slowdown, found.values()))
    heads = [
        "network", "WASM ms", "WebGPU ms", "auto took", "auto ms", "choice / better",
        "auto's runs / better",
    ]  # fmt: skip
    return (
        "Where `auto` runs each network, and the time there over the time on the better of the two "
        f"when asked for by name, in the same rounds: at most {worst:.2f}x (goal {SLOWER}x). "
        "Beside it the runs of `auto` itself, on the same backend and so the same but for noise. "
        f"Without WebGPU's time: it would take seconds. Same runs as above.\n\n"
        f"{table(heads, rows)}"
    )


if __name__ == "__main__":
    sys.exit(main())
