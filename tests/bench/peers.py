"""Every library in the same rounds: the peers, native numpy, and Tensorloom's built site.

Each contestant tries its formulations of a case, each verified against float64; the fastest right
one is measured in windows of about 4 ms, in rounds whose order is shuffled. Results stay in the
library's memory. A peer that fails ends its own part of the row. Rows are kept as they come, and
the page is written anew: ``--since`` goes on with a campaign that was broken off. Exit status 1 on
a wrong result, and where ours fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arena
import goals
import numpy as np
import peers_report
import peers_rows
from cases import Case, chosen
from contest import OURS, failed_of, gflops, orders, ratios_of, tolerance, wrong_of
from contestant import ContestantFailed
from field import Field
from formulations import formulations
from load import Load
from native import Native
from onnx_model import model
from playwright.sync_api import Error

from sitebuild import SiteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from contestant import Contestant

ROUNDS, QUICK_ROUNDS = 15, 5
WINDOW_MS = 4
THREADS = 2

MAKERS: dict[str, Callable[[arena.Arena], Contestant]] = {
    "ours 1t": lambda at: at.ours("wasm", 1),
    "ours 2t": lambda at: at.ours("wasm", 2),
    "ours gpu": lambda at: at.ours("webgpu", 1),
    "jax wasm": lambda at: at.library("jax", "wasm", THREADS),
    "ort wasm": lambda at: at.library("ort", "wasm", THREADS),
    "tf wasm": lambda at: at.library("tf", "wasm", THREADS),
    "pyodide numpy": lambda at: at.library("python", "numpy", 1),
    "pyodide blas": lambda at: at.library("python", "blas", 1),
    "jax gpu": lambda at: at.library("jax", "webgpu", 1),
    "ort gpu": lambda at: at.library("ort", "webgpu", 1),
    "tf gpu": lambda at: at.library("tf", "webgpu", 1),
    "numpy 1t": lambda _: Native(1),
    "numpy 2t": lambda _: Native(THREADS),
}
"""Contestants by the name they have in every table."""


def main() -> int:
    """The exit status."""
    options = _options()
    if options.report:
        _write()
        return 0
    names = [
        name
        for name in MAKERS
        if (not options.contestants or name in options.contestants.split(","))
        and (options.backend is None or name.endswith("gpu") == (options.backend == "gpu"))
    ]
    cases = chosen(options.cases)
    if options.since:
        cases = peers_rows.missing(cases, names, options.since)
    wrong: list[str] = []
    with arena.opened(site=options.site) as place:
        entrants = _entrants(place, names)
        for case in cases:
            row = measure(place, entrants, case, options.rounds, options.products)
            wrong += [f"{case.name}: {line}" for line in row["wrong"]]
            print(peers_report.line(row), flush=True)
            if not options.quick:
                peers_rows.keep(row)
                _write()
        for entrant in entrants.values():
            entrant.close()
    for line in wrong:
        print(f"WRONG {line}", file=sys.stderr)
    return 1 if wrong else 0


def _write() -> None:
    peers_report.write(peers_rows.kept())
    goals.write(peers_rows.kept())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, nothing written")
    parser.add_argument("--cases", help="names, groups or sets (reference, other, wide)")
    parser.add_argument("--backend", choices=["cpu", "gpu"], help="only these contestants")
    parser.add_argument("--contestants", help="only these, by name")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--products", type=int, help="try only so many, of the fewest copies")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument(
        "--since", help="leave out cases with rows of this date (2026-11-30) or later"
    )
    parser.add_argument("--site", type=Path, help="the built site; default dist")
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def _entrants(place: arena.Arena, names: list[str]) -> dict[str, Contestant]:
    """Those that could be started; the others are named with the reason."""
    found = {}
    for name in names:
        try:
            found[name] = MAKERS[name](place)
        except (SiteError, ContestantFailed, Error) as error:
            print(f"{name} is not measured: {str(error).splitlines()[0]}", flush=True)
    return found


def measure(
    place: arena.Arena,
    entrants: dict[str, Contestant],
    case: Case,
    rounds: int,
    products: int | None = None,
) -> dict[str, Any]:
    """One row: times by contestant and round, what was tried, what was wrong."""
    began = time.monotonic()
    task = _task(place, case, products)
    field = Field(entrants)
    tried = {name: field.ask(name, lambda one: one.prepare(task)) or [] for name in entrants}
    for name, why in failed_of(tried).items():
        field.leave(name, why)
    able = [name for name in field.names if any(one["ms"] for one in tried[name])]
    wrong = wrong_of(tried)
    times: dict[str, list[float]] = {name: [] for name in able}
    time.sleep(0.05)
    load = Load()
    for order in orders(able, rounds, seed=len(case.name)):
        for name in order:
            spent = field.ask(name, lambda one: one.window(WINDOW_MS))
            times[name] += [] if spent is None else [spent]
    foreign = load.foreign()
    errors = {name: field.ask(name, lambda one: one.check()) for name in able}
    for name in able:
        field.ask(name, lambda one: one.release())
    wrong += [f"{name} failed: {why}" for name, why in field.failed.items() if name in OURS]
    for name, error in errors.items():
        if error is not None and not error <= task["tolerance"]:
            wrong.append(f"{name}, after the rounds: wrong by {error}")
            field.leave(name, f"wrong by {error} after the rounds")
    _forget(task)
    times = {name: found for name, found in times.items() if name not in field.failed}
    return {
        "case": case.name, "group": case.group, "equation": case.equation, "flop": case.flop,
        "dimensions": dict(case.dimensions), "dtype": case.dtype, "foreign": foreign,
        "times": times, "tried": tried, "wrong": wrong, "failed": field.failed, "rounds": rounds,
        "products": products, "ratios": ratios_of(times),
        "threads": {name: entrants[name].threads for name in times},
        "gflops": {name: gflops(case.flop, values) for name, values in times.items()},
        "date": time.strftime("%Y-%m-%d"), "machine": peers_report.MACHINE,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _task(place: arena.Arena, case: Case, products: int | None) -> dict[str, Any]:
    """What every contestant is told, its files written where the server has them."""
    left, right = case.operands
    source = np.random.default_rng(len(case.equation))
    operands = [_random(source, case.shape(names), case.dtype) for names in (left, right)]
    wide = np.complex128 if case.is_complex else np.float64
    expect = np.einsum(case.equation, *(one.astype(wide) for one in operands), optimize=True)
    *some, einsum = formulations(case.equation, dict(case.dimensions))
    made = [*some[:products], einsum]
    paths, urls = [], []
    arrays = {"left": operands[0], "right": operands[1], "expect": expect.astype(case.dtype)}
    for name, array in arrays.items():
        path = place.data / f"{case.name}-{name}.bin"
        path.write_bytes(np.ascontiguousarray(array).tobytes())
        paths.append(str(path))
        urls.append(f"{place.address}data/{path.name}")
    shapes = [case.shape(names) for names in (left, right, case.output)]
    models: list[dict[str, str]] = []
    for one in made:
        for way in ("4 products", "3 products") if case.is_complex else ("1 product",):
            path = place.data / f"{case.name}-{len(models)}.onnx"
            path.write_bytes(model(one, (shapes[0], shapes[1], shapes[2]), case.dtype, way))
            url = f"{place.address}data/{path.name}"
            models.append({"name": f"{one['name']}, {way}", "url": url})
            paths.append(str(path))
    summed = [size for name, size in case.dimensions if name not in case.output]
    return {
        "equation": case.equation, "dtype": case.dtype, "shapes": [list(one) for one in shapes[:2]],
        "formulations": made, "models": models, "urls": urls, "paths": paths[:3], "files": paths,
        "tolerance": tolerance(case.dtype, int(np.prod(summed, dtype=np.int64))),
    }  # fmt: skip


def _random(source: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    array = source.standard_normal(shape)
    if dtype.startswith("complex"):
        return (array + 1j * source.standard_normal(shape)).astype(dtype)
    return array.astype(dtype)


def _forget(task: dict[str, Any]) -> None:
    for path in task["files"]:
        Path(path).unlink()


if __name__ == "__main__":
    sys.exit(main())
