"""The workbench used for three minutes: edits, drags, runs, tuning at constant memory.

``python3 build.py soak --minutes 60`` is the same for an hour.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from gauges import Gauges, at_rest, growth
from workbench import Workbench, beside, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

MINUTES = float(os.environ.get("TENSORLOOM_SOAK_MINUTES", "3"))

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60 * MINUTES + 420)]

LEAST_ROUNDS = 9
"""Three per third, however slow the machine."""

CIRCUIT = """
OPENQASM 2.0;
include "qelib1.inc";
qreg q[3];
h q[0];
cx q[0], q[1];
cx q[1], q[2];
t q[2];
h q[2];
"""

DOCUMENTS = [
    {"format": "einsum", "text": "ab,bc,cd,de->ae", "sizes": {"a": 9, "c": 33}},
    {"format": "einsum", "text": "abc,cbd,aed->e", "sizes": {"b": 12, "d": 20}},
    {"format": "uai", "text": "MARKOV 2 2 2 2 1 0 2 0 1 2 1.5 2.5 4 1 2 3 4"},
    {
        "format": "qasm",
        "text": CIRCUIT,
    },
]

UNDO_ALL = """
async () => {
  for (let before = null; before !== tensorloomStore.get().document; ) {
    before = tensorloomStore.get().document;
    tensorloomStore.undo();
  }
  await tensorloomStore.settled();
}
"""

ALLOWED = {
    "page heap": 1 << 20,
    "worker heap": 1 << 20,
    "page nodes": 100,
    "page listeners": 20,
    "wasm memory": 0,
    "wasm slots": 2,
    "wasm bytes": 16_000,
    "python objects": 1500,
}
"""Growth that is noise, of medians of thirds [bytes, objects]; all else may grow by nothing.

Tuning may put another kernel, of another size, in a shape's place at any time. Of WASM, bytes are
those of the four programs that are kept: each has up to 4 kB from its second run until tuning
betters one of its kernels, and none before and after."""


def one_round(bench: Workbench, number: int) -> None:
    """What a user does in a few seconds; every round the same, but for where things stand."""
    for given in DOCUMENTS:
        bench.open(**given)
        for backend in ("wasm", "webgpu", "numpy"):
            bench.run(backend=backend, dtype="complex64")
    bench.clear()
    bench.open(**DOCUMENTS[0])
    bench.run(backend="wasm", dtype="float64")
    at = bench.tensor("A")
    bench.drag(at, beside(at, 20, 15), beside(at, 8, 5 if number % 2 else -5))
    bench.press("Control+z")
    bench.type_equation("ab,bc,cd,de->ea")
    bench.settle()


def test_memory_stays_constant_under_use(page: Page, site_url: str) -> None:
    bench = ready(page, site_url)
    gauges = Gauges(page)
    # A device is measured once, after the first result; the shaders of that stay.
    bench.open(**DOCUMENTS[0])
    bench.run(backend="webgpu", dtype="complex64")
    at_rest(page)
    readings: list[dict[str, int]] = []
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end or len(readings) < LEAST_ROUNDS:
        begun = time.monotonic()
        one_round(bench, len(readings))
        # What can be undone is kept, up to 500 steps: undone, it is garbage at the next edit.
        page.evaluate(UNDO_ALL)
        readings.append(gauges.read())
        # As long as that took nobody does anything, and the page tunes if it wants to.
        page.wait_for_timeout(1000 * (time.monotonic() - begun))
    table = {name: growth(readings, name) for name in readings[0]}
    rows = [f"{name}: {middle:.0f} -> {last:.0f}" for name, (middle, last) in table.items()]
    print(f"{len(readings)} rounds", *rows, sep="\n")
    grown = {
        name: (middle, last)
        for name, (middle, last) in table.items()
        if last - middle > max(ALLOWED.get(name, 0), 0.01 * middle)
    }
    assert not grown, f"these went on growing, medians of the middle and the last third: {grown}"
    assert table["gpu pipelines"][1] > 0, "nothing ran on the GPU"
    assert table["wasm slots"][1] > 0, "nothing ran on WASM"
