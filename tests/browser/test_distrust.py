"""Kernels that stop half way in the page's own engine: the right number, a note, and the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gauges import python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from workbench import Workbench

pytestmark = pytest.mark.browser

SPOIL = """
from tensorloom.execute.wasm import kernels
from tensorloom.kernels.wasm.assembler import Module

right_module_for = kernels.module_for

def spoiled(kernel, features):
    if kernel.name.startswith(PREFIX):
        module = Module()
        module.function("kernel", ("i32",)).write(b"\\0")
        return module.encode()
    return right_module_for(kernel, features)

kernels.module_for = spoiled
"0"
"""

MEND = """
from tensorloom.execute.backends import opened
kernels.module_for = right_module_for
trusted = opened().backends["wasm"].kernels
trusted._out.clear()
trusted.report.clear()
"0"
"""


GROUPS = """
import json
from tensorloom.execute.backends import opened
wasm = opened().backends["wasm"]
groups = [group.kernel for known in wasm._kept.values() for group in known.prepared.groups]
json.dumps([sum(group.dtype == DTYPE and wasm.kernels.is_proven(group) for group in groups),
            wasm.kernels.report])
"""

REPORT = """
import json
from tensorloom.execute.backends import opened
json.dumps(opened().backends["wasm"].kernels.report)
"""

CALM = """
from tensorloom.view.idle_time import MEASUREMENTS
from tensorloom.view.workbench import sessions
for name in sessions[-1].live._here.backends:
    sessions[-1].live.idle_time.measured[name] = MEASUREMENTS
"0"
"""
"""The page measures its backends no more: such programs push others out between their runs."""

MOST_RUNS = 20
"""Groups are made for a program's second run; others may push it out before."""


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_right_groups_are_proven_and_used(bench: Workbench, dtype: str) -> None:
    sizes = {"i": 3, "j": 5, "k": 4, "l": 6, "m": 3}
    bench.open(format="einsum", text="ij,jk,kl,lm->im", sizes=sizes, seed=3)
    python(bench.page, CALM)
    for _ in range(MOST_RUNS):
        assert bench.run(backend="wasm", dtype=dtype)["notes"] == []
        proven, thrown_out = python(bench.page, GROUPS.replace("DTYPE", repr(dtype)))
        assert thrown_out == []
        if proven:
            return
    raise AssertionError("no group was made")


@pytest.fixture
def spoil(bench: Workbench) -> Iterator[Any]:
    """Has kernels whose name begins so stop at once; afterwards all are as they were."""

    def begin(prefix: str) -> None:
        python(bench.page, SPOIL.replace("PREFIX", repr(prefix)))

    yield begin
    python(bench.page, MEND)


def test_a_group_that_stops_costs_no_number(bench: Workbench, spoil: Any) -> None:
    given = {"format": "einsum", "text": "ij,jk,kl,lm->im", "seed": 3}
    given["sizes"] = {"i": 3, "j": 5, "k": 4, "l": 6, "m": 2}
    spoil("fused-")
    bench.open(**given)
    wanted = bench.run(backend="numpy", dtype="float64")["value"]
    python(bench.page, CALM)
    reported: list[str] = []
    runs_left = MOST_RUNS
    while runs_left:
        one = bench.run(backend="wasm", dtype="float64")
        assert one["backend"] == "wasm"
        np.testing.assert_allclose(one["value"], wanted, rtol=1e-12)
        # Once it is thrown out, some runs more: nobody tries it again. Which run it was that met
        # it, and was noted, is the page's affair: it runs what is shown by itself.
        runs_left -= 1
        if not reported:
            reported = python(bench.page, REPORT)
            runs_left = 4 if reported else runs_left
    assert python(bench.page, REPORT) == reported
    (words,) = reported
    assert words.startswith("The kernel fused-3-float64-")
    assert words.endswith(" stopped half way: RuntimeError: unreachable")
    bench.press("k")
    bench.page.get_by_text("Thrown out: ").click()
    bench.page.get_by_text("The kernel fused-3-float64-").first.wait_for()
    bench.page.keyboard.press("Escape")


def test_without_a_kernel_numpy_takes_over(bench: Workbench, spoil: Any) -> None:
    bench.open(format="einsum", text="ab,bc->ca", seed=4, sizes={"a": 17, "b": 90, "c": 31})
    wanted = bench.run(backend="numpy", dtype="complex128")["value"]
    spoil("")
    # Kernels that are there already are right ones.
    python(bench.page, FORGET)
    found = bench.run(backend="wasm", dtype="complex128")
    assert found["backend"] == "numpy"
    assert found["value"] == wanted
    (note,) = found["notes"]
    assert note.startswith("WebAssembly could not run it: The kernel ")


FORGET = """
from tensorloom.execute.backends import opened
wasm = opened().backends["wasm"]
for known in wasm._kept.values():
    wasm._forget(known)
wasm._kept.clear()
wasm._latest = None
wasm.kernels._slots.clear()
wasm.kernels._idle.clear()
wasm.kernels._free.clear()
"0"
"""

TEAM = """
import json
from dataclasses import replace
import numpy as np
from tensorloom.execute.backends import opened
from tensorloom.execute.wasm.page_engine import PageEngine
from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.assembler import Module
from tensorloom.kernels.wasm.compiled import compiled
from tensorloom.kernels.wasm.jit_code import get, memory, op
from tensorloom.kernels.wasm.layout import RECORD_FIELDS
from tensorloom.plan.find import plan_for

SIDE = 260
engine = PageEngine()
features = opened().backends["wasm"].kernels.host.features
sizes = tuple((name, SIDE) for name in "ijk")
program = lower(plan_for((("i", "j"), ("j", "k")), ("i", "k"), sizes), "float32")
right = compiled(program, features, threads=2)
shared = sum(group[2] for group in right.groups)
numbers = (np.arange(SIDE * SIDE) % 7).reshape(SIDE, SIDE).astype("f4")

def spoiled(where):
    \"\"\"The program with a kernel that stops in some threads.\"\"\"
    module = Module()
    kernel = module.function("kernel", ("i32",))
    (record,) = kernel.parameters
    own = get(record) + memory("i32.load", RECORD_FIELDS["workspace"])
    if where == "everywhere":
        kernel.write(b"\\0")
    else:
        # The leader's workspace is the first thing in memory. It dawdles, so that helpers get work.
        at = kernel.local("i32")
        kernel.write(own + b"\\x41\\xc0\\x00" + op("i32.ne") + b"\\x04\\x40\\0\\x0b")
        with kernel.counting(at, 5_000_000):
            pass
    return replace(right, modules=tuple((n + where, module.encode()) for n, _ in right.modules))

async def value_of(one):
    loaded = await engine.load(one)
    try:
        for number in range(2):
            loaded.write(number, numbers)
        while loaded.step() >= 0:
            pass
        return loaded.read()[0]
    finally:
        loaded.release()

codes = []
for where in ("everywhere", "in helpers", "everywhere"):
    try:
        for _ in range(20):
            await value_of(spoiled(where))
    except UnsupportedKernel as error:
        codes.append([where, error.code, error.values["reason"]])
same = [bool((await value_of(right) == numbers @ numbers).all()) for _ in range(3)]
json.dumps([engine.most_threads, shared, codes, same])
"""


@pytest.mark.alone
def test_a_thread_that_stops_holds_nobody_up(isolated: Page) -> None:
    assert isolated.evaluate("crossOriginIsolated")
    threads, shared, codes, same = python(isolated, TEAM)
    if threads < 2:
        pytest.skip("this machine has one core")
    assert shared == 1
    assert [(where, code) for where, code, _ in codes] == [
        ("everywhere", "wasm-stopped"),
        ("in helpers", "wasm-stopped"),
        ("everywhere", "wasm-stopped"),
    ]
    assert codes[1][2] == "Error: A kernel stopped half way in a helper thread."
    assert same == [True] * 3
