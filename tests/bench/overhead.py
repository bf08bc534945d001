"""What a run costs beside its arithmetic: three tensors of 4 x 4.

From Python in Pyodide through ``tensorloom.contract`` and ``contract_network`` as users call them,
and on the backend with a program at hand, as the drawing's own value is run again; from JavaScript
through the page's engine. Peers make one product of two such matrices, each its fastest way.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import arena
import peers
from cases import Case
from circuits import pyodide_page
from contestant import ContestantFailed
from report import MACHINE, keep, table, write_section

HEADING = "Overhead"
GOAL_PYTHON_MS, GOAL_JS_MS = 0.2, 0.05
ROUNDS = 15

MEASURE = """
import json, time
import numpy as np
import tensorloom
from tensorloom.engine import planned
from tensorloom.execute import backends
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.kernels.lower import lower
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import ConstantArray
from tensorloom.model.tensor import Tensor

# This page has no second engine to ask for threads; the backend at hand is what users get there.
backends._MADE["wasm"] = circuits_peer._backend

EQUATION = "ij,jk,kl->il"
arrays = [np.random.default_rng(n).standard_normal((4, 4)).astype("float32") for n in range(3)]
right = arrays[0] @ arrays[1] @ arrays[2]
network = Network(
    tensors=tuple(
        Tensor(id=name, name=name, indices=tuple(legs), array=ConstantArray(value=1.0))
        for name, legs in zip("ABC", ("ij", "jk", "kl"))
    ),
    indices=tuple(Index(name=name, dimension=4) for name in "ijkl"),
    output=("i", "l"),
)
program = lower(planned(EQUATION, arrays)[0], "float32")

def windows(call):
    began = time.perf_counter()
    for _ in range(200):
        call()
    # Long beside the clock's ticks of 0.1 ms.
    runs = max(10, round(200 * 0.02 / (time.perf_counter() - began)))
    found = []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(runs):
            call()
        found.append((time.perf_counter() - began) * 1000 / runs)
    return found

def session():
    return drive(circuits_peer._backend.run(program, arrays, no_pulse)).value

calls = {
    "contract": lambda: tensorloom.contract(EQUATION, *arrays, backend="wasm"),
    "contract_network": lambda: tensorloom.contract_network(network, arrays, backend="wasm").value,
    "backend.run": session,
    "np.einsum": lambda: np.einsum(EQUATION, *arrays),
    "matmul": lambda: arrays[0] @ arrays[1] @ arrays[2],
    "one matmul": lambda: arrays[0] @ arrays[1],
}
found = {}
for name, call in calls.items():
    if name != "one matmul":
        assert np.abs(call() - right).max() < 1e-5, name
    found[name] = windows(call)
json.dumps(found)
"""

ROWS = {
    "contract": '`tensorloom.contract(..., backend="wasm")`, Python',
    "contract_network": '`tensorloom.contract_network(..., backend="wasm")`, Python',
    "backend.run": "the same program again on the WASM backend, Python",
    "engine": "the same program again in the page's engine, JavaScript, arrays left in its memory",
    "np.einsum": "`np.einsum` of all three, Pyodide",
    "matmul": "two products by `@`, Pyodide",
    "one matmul": "one product by `@`, Pyodide",
}
"""What each figure is, in the order of the table."""


def main() -> int:
    """The exit status: it asks for right values, goals are reported."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no peers, nothing written")
    parser.add_argument("--site", type=Path, help="the built site; default dist")
    options = parser.parse_args()
    with pyodide_page() as page:
        found: dict[str, list[float]] = json.loads(
            page.evaluate("(text) => circuits.run(text)", MEASURE)
        )
    with arena.opened(peers=not options.quick, site=options.site) as place:
        found["engine"] = _engine(place)
        theirs = {} if options.quick else _small_product(place)
    medians = {name: statistics.median(times) for name, times in {**found, **theirs}.items()}
    text = _text(medians, {name: min(times) for name, times in {**found, **theirs}.items()})
    print(text)
    if not options.quick:
        keep("overhead", medians)
        write_section(HEADING, text)
    return 0


def _engine(place: arena.Arena) -> list[float]:
    """Milliseconds per run in the page's own engine."""
    page = place.ours("wasm", 1).at
    call = (
        "() => tensorloom.bench('ij,jk,kl->il', [[4,4],[4,4],[4,4]], 'float32', {backend: 'wasm'})"
    )
    return [float(page.ask(call)["ms"]) for _ in range(ROUNDS)]


def _small_product(place: arena.Arena) -> dict[str, list[float]]:
    """The WASM peers' one product of 4 x 4 each."""
    sizes = (("i", 4), ("k", 4), ("j", 4))
    case = Case(name="tiny4", group="overhead", equation="ik,kj->ij", dimensions=sizes)
    found = {}
    for name in ("jax wasm", "ort wasm", "tf wasm"):
        try:
            entrant: dict[str, Any] = {name: peers.MAKERS[name](place)}
        except ContestantFailed as error:
            print(f"{name} is not measured: {error}", flush=True)
            continue
        row = peers.measure(place, entrant, case, ROUNDS)
        found |= row["times"]
        for who, why in row["failed"].items():
            print(f"{who} failed: {why}", flush=True)
    return found


def _text(medians: dict[str, float], best: dict[str, float]) -> str:
    rows = [
        [ROWS.get(name, f"one product, {name}"), f"{1e3 * medians[name]:.3g}",
         f"{1e3 * best[name]:.3g}"]
        for name in [*ROWS, *(set(medians) - set(ROWS))]
    ]  # fmt: skip
    state = [
        f"{what} below {goal} ms: {'met' if medians[name] < goal else 'missed'}"
        for what, name, goal in (
            ("run again from Python", "backend.run", GOAL_PYTHON_MS),
            ("`contract_network` from Python", "contract_network", GOAL_PYTHON_MS),
            ("from JavaScript", "engine", GOAL_JS_MS),
        )
    ]
    return (
        "Three tensors of 4 x 4 in float32, microseconds per run by windows; values compared. Made "
        f"by `python3 build.py bench overhead` in headless Chromium on {MACHINE}. Python runs in "
        "Pyodide, as in the page's worker. Goals: "
        f"{'; '.join(state)}.\n\n{table(['call', 'median', 'best'], rows)}"
    )


if __name__ == "__main__":
    sys.exit(main())
